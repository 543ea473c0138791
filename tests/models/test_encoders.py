"""Every kind of encoder below every decoder, and the encoders' weights."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from tarsia import models
from tarsia.card import Card, Classes
from tarsia.engines.weights import save_model
from tarsia.errors import ModelFileError, RecipeError
from tarsia.learning.losses import CrossEntropy
from tarsia.models import _weights
from tarsia.models._blocks import synchronise
from tarsia.models._encoders import Encoder

SMALL_SWIN = {"embed_dim": 24, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 4]}
KINDS = {
    "convolutional": ("test_resnet", {}),
    "convolutional with fused norms": ("test_efficientnet", {}),
    "ConvNeXt": ("test_convnext", {}),
    "Swin (NHWC)": ("swin_tiny_patch4_window7_224", SMALL_SWIN),
    "NHWC of convolutions": ("test_mambaout", {}),
    "plain ViT": ("test_vit", {}),
    "plain ViT with patches of 14": ("vit_small_patch14_dinov2", {"embed_dim": 48, "depth": 4, "num_heads": 2}),
}
every_kind = pytest.mark.parametrize(("encoder", "options"), KINDS.values(), ids=KINDS)


def seeded(name: str, *arguments, **more) -> Encoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Encoder(name, *arguments, **more)


def noise(size: tuple[int, int], batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(3))


@every_kind
@pytest.mark.parametrize(
    "decoder", [name for name in models.names() if "encoder" in models.config_class(name).model_fields]
)
def test_any_encoder_carries_any_decoder(decoder, encoder, options):
    model = models.create(decoder, 4, options={"encoder": encoder, "encoder_options": options})
    for size in ((96, 128), (64, 160)):
        image = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
        label = (image[:, 0] // 64).to(torch.uint8)
        terms, scores = model.train().loss(image, label, CrossEntropy())
        assert scores.shape == (1, 4, *size) and scores.isfinite().all()
        terms["loss"].backward()
    assert all(one.grad.isfinite().all() for one in model.parameters() if one.grad is not None)


@every_kind
def test_maps_are_as_described(encoder, options):
    pyramid = seeded(encoder, options=options).eval()
    assert pyramid.stride == 32 and sorted(pyramid.reductions) == pyramid.reductions
    with torch.no_grad():
        for height, width in ((96, 128), (32, 32)):
            found = [tuple(one.shape) for one in pyramid(noise((height, width), 2))]
            described = zip(pyramid.channels, pyramid.reductions, strict=True)
            assert found == [(2, channels, height // step, width // step) for channels, step in described]


def test_an_nhwc_map_as_high_as_it_has_channels_is_turned_all_the_same():
    # 24 channels at 1/4 of 96 rows: the shape alone does not tell rows from channels.
    pyramid = seeded("swin_tiny_patch4_window7_224", options=SMALL_SWIN).eval()
    with torch.no_grad():
        finest, raw = pyramid(noise((96, 128)))[0], pyramid.net(noise((96, 128)))[0]
    assert raw.shape == (1, 24, 32, 24) and finest.shape == (1, 24, 24, 32)
    assert torch.equal(finest, raw.permute(0, 3, 1, 2))


def test_a_plain_vit_gives_maps_of_four_depths_resampled():
    pyramid = seeded("test_vit").eval()
    with torch.no_grad():
        maps, raw = pyramid(noise((64, 96))), pyramid.net(noise((64, 96)))
    assert pyramid.reductions == [4, 8, 16, 32] and pyramid.net.out_indices == [0, 2, 3, 5]
    assert [one.shape[-2:] for one in raw] == [(4, 6)] * 4
    torch.testing.assert_close(maps[2], raw[2])  # 1/16 is its own
    slow = raw[3].unflatten(2, (2, 2)).unflatten(4, (3, 2)).mean((3, 5))  # bilinear halving is the mean of 2 x 2
    torch.testing.assert_close(maps[3], slow)


def test_patches_of_14_see_a_picture_in_which_they_lie_at_one_sixteenth():
    pyramid = seeded("vit_small_patch14_dinov2", options=KINDS["plain ViT with patches of 14"][1]).eval()
    seen = []
    pyramid.net.register_forward_hook(lambda part, given, result: seen.append((given[0].shape, result[0].shape)))
    with torch.no_grad():
        pyramid(noise((64, 96)))
    assert seen == [((1, 3, 56, 84), (1, 48, 4, 6))]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet81", {}, r"unknown encoder resnet81, did you mean resnet\d+\?"),
        ("zzzz", {}, r"unknown encoder zzzz: any name of timm.list_models\(\)"),
        ("resnet18.nonsense", {}, r"timm cannot build resnet18.nonsense .*tag"),
        ("test_resnet", {"pad_typ": "same"}, r"timm cannot build test_resnet with {'pad_typ': 'same'}"),
        ("test_vit", {"depth": 1}, r"timm cannot build test_vit"),
        ("maxvit_tiny_tf_224", {}, r"maxvit_tiny_tf_224 cannot see pictures of any multiple of 32"),
    ],
)
def test_an_encoder_that_cannot_be_is_one_recipe_error(name, options, message):
    with pytest.raises(RecipeError, match=message) as caught:
        models.create("unet", 3, options={"encoder": name, "encoder_options": options})
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("key", ["pretrained", "pretrained_cfg_overlay", "checkpoint_path", "features_only"])
def test_options_that_could_read_files_are_refused(key):
    # They would come from the card of any model file.
    with pytest.raises(RecipeError, match=f"model.encoder_options: {key} cannot be given"):
        models.create("unet", 3, options={"encoder": "test_resnet", "encoder_options": {key: "x.pth"}})


# Dilation


def test_vgg_dilated_to_an_eighth_keeps_its_weights():
    narrow = {"mlp_ratio": 0.01}  # of the classifier, which timm makes and throws away
    plain, fine = seeded("vgg11", options=narrow).eval(), seeded("vgg11", "none", 8, narrow).eval()
    assert plain.reductions == [1, 2, 4, 8, 16, 32] and fine.reductions == [1, 2, 4, 8, 8, 8] and fine.stride == 8
    assert plain.state_dict().keys() == fine.state_dict().keys()
    assert all(torch.equal(one, fine.state_dict()[key]) for key, one in plain.state_dict().items())
    pools = [module.stride for module in fine.modules() if isinstance(module, nn.MaxPool2d)]
    assert pools == [2, 2, 2, 1, 1]
    dilations = [module.dilation[0] for module in fine.modules() if isinstance(module, nn.Conv2d)]
    assert dilations == [1, 1, 1, 1, 1, 1, 2, 2]
    with torch.no_grad():
        maps, coarse = fine(noise((64, 96))), plain(noise((64, 96)))
    assert [tuple(one.shape[-2:]) for one in maps] == [(64, 96), (32, 48), (16, 24), (8, 12), (8, 12), (8, 12)]
    for index in range(4):  # nothing changes above the first pool that was kept fine
        assert torch.equal(maps[index], coarse[index])


def test_the_dilated_convolution_sees_what_the_plain_one_saw():
    """After pools that pass every second pixel, the fine map at those pixels is the coarse map (Chen et al. 2015)."""
    from tarsia.models._encoders import _dilate

    torch.manual_seed(0)
    chain = [nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(2, 2, 3, padding=1, bias=False)) for _ in range(2)]
    chain[1].load_state_dict(chain[0].state_dict())
    _dilate("chain", nn.Sequential(nn.MaxPool2d(2), chain[1]), 2)
    x = noise((1, 1)).expand(1, 3, 8, 8)[:, :2] + torch.arange(8.0)  # grows to the right: a pool's maximum is its last
    coarse = chain[0](x)
    fine = chain[1](x)
    assert coarse.shape[-2:] == (4, 4) and fine.shape[-2:] == (8, 8)
    torch.testing.assert_close(fine[:, :, 2:6:2, 2:6:2], coarse[:, :, 1:3, 1:3])


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet"])
def test_timm_dilates_its_own_families(name):
    pyramid = seeded(name, "none", 8).eval()
    with torch.no_grad():
        assert pyramid(noise((64, 96)))[-1].shape[-2:] == (8, 12)
    assert pyramid.stride == 8


def test_densenet_is_not_dilated_by_guesswork():
    with pytest.raises(RecipeError, match="densenet121 cannot be dilated to 8"):
        Encoder("densenet121", "none", 8)


# Freezing


@pytest.mark.parametrize(
    ("encoder", "parts", "frozen"),
    [
        ("test_resnet", ("bn1", "layer1"), ("net.bn1.", "net.layer1.")),
        ("test_resnet", ("layer2.0",), ("net.layer2.0.",)),
        ("test_efficientnet", ("all",), ("net.",)),
        ("test_vit", ("blocks.0", "patch_embed"), ("net.model.blocks.0.", "net.model.patch_embed.")),
    ],
)
def test_frozen_parts_keep_weights_and_statistics(encoder, parts, frozen):
    model = models.create("unet", 3, options={"encoder": encoder})
    model.encoder.freeze(parts)
    before = {key: value.clone() for key, value in model.encoder.state_dict().items()}
    model.train()
    parameters = [one for group in model.parameter_groups(0.1, 0.1) for one in group["params"]]
    optimizer = torch.optim.SGD(parameters, lr=0.1, weight_decay=0.1)
    image = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    terms, _ = model.loss(image, image[:, 0] // 86, CrossEntropy())
    terms["loss"].backward()
    optimizer.step()
    after = model.encoder.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert not [key for key in changed if key.startswith(frozen)]
    still = [key for key in before if key not in changed and not key.startswith(frozen)]
    assert len(still) < len(before) / 2 or parts == ("all",)
    model.eval().train()
    assert not any(one.training for name, one in model.encoder.named_modules() if f"{name}.".startswith(frozen))


@pytest.mark.parametrize("encoder", ["test_resnet", "test_efficientnet"])
def test_fixed_statistics_are_used_and_kept_while_all_else_learns(encoder):
    """Of batch normalisation of both kinds, and where batches of several processes are normalised together."""
    model = models.create("unet", 3, options={"encoder": encoder})
    norms = [part for part in model.encoder.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.running_mean.fill_(0.01)
    model.encoder.fix_statistics()
    synchronise(model, TwoAlike())
    model.eval().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    image = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    terms, _ = model.loss(image, image[:, 0] // 86, CrossEntropy())
    terms["loss"].backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    after = model.state_dict()
    statistics = {key for key in after if key.rpartition(".")[2] in ("running_mean", "running_var")}
    changed = {key for key in after if not torch.equal(before[key], after[key])}
    assert norms and statistics & changed == {key for key in statistics if not key.startswith("encoder.")}
    of_encoder = {f"encoder.{name}" for name, _ in model.encoder.named_parameters()}
    assert len(of_encoder & changed) > len(of_encoder) / 2
    assert {id(part) for part in model.encoder.modules() if not part.training} == {id(part) for part in norms}
    with pytest.raises(RecipeError, match="encoder has no batch normalisation"):
        models.create("unet", 3, options={"encoder": "test_convnext"}).encoder.fix_statistics()


class TwoAlike:
    """Two processes with the same pictures."""

    count, counts = 2, True

    def sum(self, numbers):
        return 2 * numbers


def test_an_unknown_part_to_freeze_is_refused_with_the_nearest():
    with pytest.raises(RecipeError, match=r"the encoder has no part layer5, did you mean layer\d\?"):
        seeded("test_resnet").freeze(("layer5",))
    with pytest.raises(RecipeError, match=r"no part block, did you mean blocks\?"):
        seeded("test_vit").freeze(("block",))


# Weights from a file


@pytest.fixture
def weights_file(tmp_path):
    """A timm state dict of test_resnet with all its weights."""
    with torch.random.fork_rng():
        torch.manual_seed(42)
        save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "test_resnet.safetensors")
    return tmp_path / "test_resnet.safetensors"


def test_a_file_s_weights_are_the_encoder_s(weights_file):
    encoder, stored = seeded("test_resnet", str(weights_file)), load_file(weights_file)
    for key, value in encoder.net.state_dict().items():
        assert torch.equal(value, stored[key]), key
    assert not [module for module in encoder.modules() if "state_dict" in (getattr(module, "pretrained_cfg", 0) or {})]


@pytest.mark.parametrize("name", ["test_vit", "test_convnext"])
def test_weights_of_other_families_and_any_file_name(name, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(42)
        full = timm.create_model(name)
    save_file(full.state_dict(), tmp_path / "weights")  # as in a hub's cache, without an extension
    loaded = seeded(name, str(tmp_path / "weights"))
    theirs = full.state_dict()
    for key, value in loaded.net.state_dict().items():
        plain = key.removeprefix("model.").replace("stem_", "stem.").replace("stages_", "stages.")
        assert torch.equal(value, theirs[plain]), key


def test_a_file_of_another_network_lists_what_does_not_fit(weights_file):
    with pytest.raises(ModelFileError, match=r"does not fit encoder test_vit: cls_token: missing.*and \d+ more"):
        Encoder("test_vit", str(weights_file))


def test_a_deeper_network_of_the_same_family_does_not_pass_for_the_shallower(tmp_path):
    tensors = timm.create_model("test_resnet", layers=[2, 1, 1, 1]).state_dict()
    save_file(tensors, tmp_path / "deeper.safetensors")
    with pytest.raises(ModelFileError, match=r"layer1\.1\.bn1\.bias: \(32,\), expected no such tensor"):
        Encoder("test_resnet", str(tmp_path / "deeper.safetensors"))


def test_a_whole_tarsia_model_is_sent_to_start_from(tmp_path):
    model = models.create("fcn", 1, options={"encoder": "test_resnet"})
    card = Card(architecture="fcn", model={}, classes=Classes(names=("a",), colors=((0, 0, 0),)))
    save_model(tmp_path / "m.safetensors", model, card)
    with pytest.raises(ModelFileError, match=r"whole Tarsia model: give it as train\.start_from"):
        Encoder("test_resnet", str(tmp_path / "m.safetensors"))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda content: content[: len(content) // 2], "damaged"),
        (lambda content: content[:100], "cut off"),
        (lambda content: b"", "an empty or cut file"),
        (lambda content: b"weights: none\n" * 9, "another file format"),
        (lambda content: content[:20] + b"\xff" + content[21:], "damaged"),
    ],
    ids=["cut", "cut in its header", "empty", "text", "flipped"],
)
def test_a_damaged_file_is_one_model_file_error(weights_file, harm, message):
    weights_file.write_bytes(harm(weights_file.read_bytes()))
    with pytest.raises(ModelFileError, match=message):
        Encoder("test_resnet", str(weights_file))


def test_a_pickle_is_refused_as_one(tmp_path):
    for new_format in (True, False):
        torch.save({"weight": torch.zeros(3)}, tmp_path / "weights.pth", _use_new_zipfile_serialization=new_format)
        with pytest.raises(ModelFileError, match=r"a pickle .* never loaded"):
            Encoder("test_resnet", str(tmp_path / "weights.pth"))


def test_a_file_that_is_not_there_names_the_known_words():
    with pytest.raises(ModelFileError, match="imagnet: no such file; known words: none, imagenet"):
        Encoder("test_resnet", "imagnet")


# Weights from the hub


@pytest.fixture
def no_cache(monkeypatch):
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


def test_without_a_network_the_hub_fails_at_once_and_names_the_file_option(monkeypatch, no_cache):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(ModelFileError, match=r"cannot be reached .*model\.weights: FILE"):
        Encoder("test_resnet", "imagenet")


def test_a_network_that_swallows_everything_fails_within_seconds(monkeypatch, no_cache):
    release, given_up = threading.Event(), []

    def swallow(*_, **__):
        given_up.append(not release.wait(60))
        raise OSError("released")

    monkeypatch.setattr(_weights, "_REACH_SECONDS", 0.2)
    monkeypatch.setattr(_weights.urllib.request, "urlopen", swallow)
    with pytest.raises(ModelFileError, match="no answer in"):
        Encoder("test_resnet", "imagenet")
    assert not given_up, "the network was waited for"
    release.set()


def test_offline_asks_nobody(monkeypatch, no_cache):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(_weights, "_unreachable", lambda _: pytest.fail("asked the network"))
    with pytest.raises(ModelFileError, match=r"not on this machine and `offline` is on .*; give model\.weights: FILE"):
        Encoder("test_resnet", "imagenet")


def test_a_cached_hub_file_is_used_without_a_network(monkeypatch, weights_file):
    asked = []
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache", lambda *names: asked.append(names) or str(weights_file)
    )
    monkeypatch.setattr(_weights, "_unreachable", lambda _: pytest.fail("asked the network"))
    encoder = seeded("test_resnet", "imagenet")
    assert torch.equal(encoder.net.state_dict()["conv1.0.weight"], load_file(weights_file)["conv1.0.weight"])
    assert asked == [("timm/test_resnet.r160_in1k", "model.safetensors")]


def test_a_hub_that_answers_is_downloaded_from_and_its_refusal_is_explained(monkeypatch, no_cache, weights_file):
    monkeypatch.setattr(_weights, "_unreachable", lambda _: None)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_: str(weights_file))
    assert torch.equal(
        seeded("test_resnet", "imagenet").net.state_dict()["bn1.bias"], load_file(weights_file)["bn1.bias"]
    )

    def refuse(*_):
        raise OSError("404\nEntry not found")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    with pytest.raises(ModelFileError, match=r"test_resnet\.r160_in1k \(404\); give model\.weights: FILE"):
        Encoder("test_resnet", "imagenet")


def test_an_encoder_without_hub_weights_says_so():
    without = next(name for name in timm.list_models("resnet*") if timm.get_pretrained_cfg(name).hf_hub_id is None)
    with pytest.raises(ModelFileError, match=f"no imagenet weights for {without}"):
        _weights.encoder_weights(without, "imagenet", {})


# Real weights


def preprocessed(file, mean, std) -> torch.Tensor:
    """expected.json: shorter side to 256 (bicubic, PIL), centre crop 224, normalised."""
    image = Image.open(file).convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) / 255
    return ((torch.from_numpy(pixels) - torch.tensor(mean)) / torch.tensor(std)).permute(2, 0, 1)[None]


@pytest.mark.shared
@pytest.mark.parametrize("network", ["mobilenetv2_100", "mobilenetv1_100"])
def test_a_real_file_in_the_encoder_classifies_as_expected(shared, network):
    """The encoder's last map through timm's own head gives the classes that the file is known to give."""
    file = shared / "weights" / f"{network}_tf.safetensors"
    encoder = Encoder(network, str(file), options={"pad_type": "same"}).eval()
    full = timm.create_model(network, pad_type="same").eval()
    full.load_state_dict(load_file(file))
    expected = json.loads((shared / "weights" / "expected.json").read_text())[f"{file.name} (pad_type=same)"]
    for photo in ("bird.webp", "sunflower.webp"):
        x = preprocessed(shared / "data" / "samples" / "photos" / photo, (0.5,) * 3, (0.5,) * 3)
        with torch.no_grad():
            last = encoder(x)[-1]
            found = full.forward_head(full.bn2(full.conv_head(last))).softmax(1)[0]
        assert found.topk(5).indices.tolist() == expected[photo]["top5"]
        assert float(found.max()) == pytest.approx(expected[photo]["p1"], abs=2e-3)


@pytest.mark.shared
def test_a_real_file_without_a_classifier_loads_and_gives_timm_s_maps(shared):
    file = shared / "weights" / "mobilenetv2_100.safetensors"
    encoder = Encoder("mobilenetv2_100", str(file)).eval()
    direct = timm.create_model("mobilenetv2_100", features_only=True).eval()
    assert not direct.load_state_dict(load_file(file), strict=False).missing_keys
    with torch.no_grad():
        for ours, theirs in zip(encoder(noise((64, 96))), direct(noise((64, 96))), strict=True):
            torch.testing.assert_close(ours, theirs)
    assert encoder.mean == (0.485, 0.456, 0.406)


@pytest.mark.shared
def test_a_real_file_of_another_network_is_refused(shared):
    with pytest.raises(
        ModelFileError, match=r"espnet.* does not fit encoder mobilenetv2_100: conv_stem\.weight: missing"
    ):
        Encoder("mobilenetv2_100", str(shared / "weights" / "espnet_p2_q8_camvid.safetensors"))
