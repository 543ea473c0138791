"""Files of weights that hold what an encoder needs and no more, in any precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from tarsia import models
from tarsia.errors import ModelFileError
from tarsia.models._encoders import Encoder
from tarsia.models._fully_connected import FullyConnected
from tarsia.models._weights import encoder_weights

# timm's network, its options, and what of it comes after the last map.
KINDS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "vgg11": ({"mlp_ratio": 0.01}, ("pre_logits.", "head.")),
    "vgg11_bn": ({"mlp_ratio": 0.01}, ("pre_logits.", "head.")),
    "mobilenetv2_100": ({}, ("conv_head.", "bn2.", "classifier.")),
    "mobilenetv3_small_050": ({}, ("conv_head.", "classifier.")),
    "test_efficientnet": ({}, ("conv_head.", "bn2.", "classifier.")),
    "test_convnext": ({}, ("head.",)),
    "test_resnet": ({}, ("fc.",)),
    "test_vit": ({}, ("head.",)),
}


def full_state(name: str, options: dict[str, Any]) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(42)
        return timm.create_model(name, **options).state_dict()


@pytest.mark.parametrize("name", KINDS)
def test_a_file_may_lack_what_the_encoder_never_builds(name, tmp_path):
    options, after = KINDS[name]
    whole = full_state(name, options)
    short = {key: value for key, value in whole.items() if not key.startswith(after)}
    assert len(short) < len(whole)
    encoders = []
    for file, tensors in (("whole", whole), ("short", short)):
        save_file(tensors, tmp_path / file)
        encoders.append(Encoder(name, str(tmp_path / file), options=options).state_dict())
    assert all(torch.equal(value, encoders[1][key]) for key, value in encoders[0].items())


@pytest.mark.parametrize("name", [*KINDS, "legacy_xception"])  # whose maps serve no decoder, but are named otherwise
def test_what_it_builds_is_missed(name, tmp_path):
    options, after = KINDS.get(name, ({}, ("fc.",)))
    tensors = full_state(name, options)
    gone = [key for key, value in tensors.items() if value.ndim == 4 and not key.startswith(after)][-1]
    del tensors[gone]
    save_file(tensors, tmp_path / "holed")
    with pytest.raises(ModelFileError, match=rf"does not fit encoder {name}: {gone}: missing, expected \(\d+"):
        Encoder(name, str(tmp_path / "holed"), options=options)


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16, torch.float64])
def test_any_precision_is_taken_as_float32(precision, tmp_path):
    stored = {key: value.to(precision) if value.is_floating_point() else value for key, value in ZOO.items()}
    save_file(stored, tmp_path / "other")
    for key, value in encoder_weights("test_resnet", str(tmp_path / "other"), {}).items():
        assert value.dtype == (torch.int64 if key.endswith("num_batches_tracked") else torch.float32)
        assert torch.equal(value, stored[key].to(value.dtype))
    for bands in (3, 4):
        encoder = Encoder("test_resnet", str(tmp_path / "other"), bands=bands)
        assert {one.dtype for one in encoder.parameters()} == {torch.float32}


ZOO = full_state("test_resnet", {})


@pytest.fixture(scope="module")
def convolutions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VGG16's thirteen convolutions in half precision, without fully connected layers, as such files go about."""
    tensors = full_state("vgg16", {"mlp_ratio": 0.01})
    path = tmp_path_factory.mktemp("vgg16") / "vgg16_convolutions.safetensors"
    save_file({key: value.half() for key, value in tensors.items() if key.startswith("features.")}, path)
    return path


ON_VGG16: list[tuple[str, dict[str, Any]]] = [
    ("unet", {"encoder": "vgg16"}),
    ("pspnet", {"encoder": "vgg16"}),
    ("fcn", {"encoder": "vgg16", "fully_connected": 32}),
    ("fcn", {"encoder": "vgg16", "fully_connected": 0}),
    ("deeplabv1", {"encoder": "vgg16", "channels": 32}),
    ("segnet", {"encoder": "vgg16"}),
    ("segnet", {"batch_norm": False}),
    ("attention_fcn", {"width": 1.0, "batch_norm": False}),
]


def check_on_vgg16(name: str, options: dict[str, Any], file: Path) -> None:
    """The thirteen convolutions are the file's, in their order, and a picture of a stride's size has finite scores."""
    options = {"encoder_options": {"mlp_ratio": 0.01}, **options} if "encoder" in options else options
    model = models.create(name, 3, weights=str(file), options=options).eval()
    stored = {int(key.split(".")[1]): value.float() for key, value in load_file(file).items() if key.endswith("weight")}
    own = [one for one in model.encoder.modules() if isinstance(one, torch.nn.Conv2d)]
    assert len(own) == 13
    assert all(torch.equal(one.weight, stored[place]) for one, place in zip(own, sorted(stored), strict=True))
    with torch.no_grad():
        scores = model(torch.full((1, 3, 32, 32), 99, dtype=torch.uint8))
    assert scores.shape == (1, 3, 32, 32) and scores.isfinite().all()


@pytest.mark.parametrize(("name", "options"), ON_VGG16)
def test_convolutions_alone_serve_every_network_on_vgg16(name, options, convolutions):
    check_on_vgg16(name, options, convolutions)


def test_layers_that_a_file_lacks_start_anew_and_a_part_of_them_is_refused(convolutions, tmp_path, capsys):
    layers = FullyConnected(512, 8)
    before = layers.fc6.weight.clone()
    layers.take("vgg16", str(convolutions), {"mlp_ratio": 0.01})
    assert torch.equal(layers.fc6.weight, before)
    said = " ".join(capsys.readouterr().err.split())
    assert said == f"model.weights: {convolutions} has no fully connected layers: fc6 and fc7 start anew"
    part = load_file(convolutions) | {"pre_logits.fc2.bias": torch.zeros(4096)}
    save_file(part, tmp_path / "part")
    with pytest.raises(ModelFileError, match=r"pre_logits\.fc1\.weight of vgg16 is missing"):
        FullyConnected(512, 8).take("vgg16", str(tmp_path / "part"), {"mlp_ratio": 0.01})


# Real weights


@pytest.mark.shared
@pytest.mark.parametrize(("name", "options"), ON_VGG16)
def test_a_real_file_of_convolutions_alone(shared, name, options):
    check_on_vgg16(name, options, shared / "weights" / "vgg16_edges_f16.safetensors")


@pytest.mark.shared
@pytest.mark.parametrize("size", ["0", "2"])
@pytest.mark.parametrize("name", ["unet", "pspnet", "fpn"])
def test_real_files_of_efficientnet_lite_need_no_options(shared, name, size):
    encoder = f"tf_efficientnet_lite{size}"
    file = shared / "weights" / f"{encoder}.safetensors"
    model = models.create(name, 3, weights=str(file), options={"encoder": encoder}).eval()
    assert model.mean.flatten().tolist() == model.std.flatten().tolist() == [127.5] * 3
    stored = load_file(file)
    assert torch.equal(model.encoder.net.conv_stem.weight, stored["conv_stem.weight"])
    last = [key for key in stored if key.startswith("blocks.6.") and key.endswith("weight")][-1]
    assert torch.equal(model.encoder.net.state_dict()[last], stored[last])
    with torch.no_grad():
        assert model(torch.full((1, 3, 64, 64), 99, dtype=torch.uint8)).isfinite().all()
