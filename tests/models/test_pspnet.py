"""PSPNet's pyramid and how fine its encoder's map is."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tarsia import models
from tarsia.card import Card, Classes, Input
from tarsia.engines.weights import load_model, save_model
from tarsia.errors import ModelFileError, RecipeError
from tarsia.learning.losses import CrossEntropy
from tarsia.models.pspnet import Config, _Pyramid


def test_the_pyramid_against_means_taken_bin_by_bin():
    pyramid = _Pyramid(5, 2, (1, 2, 3)).eval()
    x = torch.randn(2, 5, 12, 18, generator=torch.Generator().manual_seed(1))
    found = pyramid(x)
    assert found.shape == (2, 5 + 3 * 2, 12, 18) and torch.equal(found[:, :5], x)
    for index, bins in enumerate((1, 2, 3)):
        height, width = 12 // bins, 18 // bins
        pooled = torch.empty(2, 5, bins, bins)
        for row in range(bins):
            for column in range(bins):
                cell = x[:, :, row * height : (row + 1) * height, column * width : (column + 1) * width]
                pooled[:, :, row, column] = cell.mean((2, 3))
        slow = functional.interpolate(pyramid.branches[index](pooled), size=(12, 18), mode="bilinear")
        torch.testing.assert_close(found[:, 5 + 2 * index : 7 + 2 * index], slow)


def test_bins_are_an_argument_and_share_the_encoder_s_channels():
    model = models.create("pspnet", 3, options={"encoder": "test_resnet", "bins": [1, 4]})
    assert [branch[0].out_channels for branch in model.pyramid.branches] == [48, 48]  # of the encoder's 96


@pytest.mark.parametrize(
    ("encoder", "output_stride", "expected"),
    [
        ("test_resnet", None, 8),  # dilated, as Zhao et al. do
        ("test_resnet", 16, 16),
        ("test_resnet", 32, 32),
        ("test_vit", None, 16),  # a plain ViT's own: not resampled to 1/32
        ("test_mambaout", None, 32),  # cannot be dilated
        ("test_mambaout", 32, 32),
    ],
)
def test_output_stride(encoder, output_stride, expected):
    options = {"encoder": encoder, "output_stride": output_stride}
    model = models.create("pspnet", 3, options=options).eval()
    assert model.encoder.stride == model.stride == expected
    with torch.no_grad():
        x = model.encoder(torch.zeros(1, 3, 64, 96))[-1]
    assert x.shape[-2:] == (64 // expected, 96 // expected)


@pytest.mark.parametrize(("encoder", "own"), [("test_mambaout", 32), ("test_vit", 16)])
def test_an_output_stride_that_cannot_be_had_is_refused_with_what_can(encoder, own):
    with pytest.raises(RecipeError, match=rf"{encoder} cannot be dilated to 8: .* set it to {own}"):
        models.create("pspnet", 3, options={"encoder": encoder, "output_stride": 8})


# ---- the improved PSPNet


IMPROVED = {"bins": [1, 2, 3, 4], "squeeze_excitation": True}


def small(**options):
    return models.create("pspnet", 3, options={"encoder": "test_resnet", "fusion_channels": 32} | options)


def batch(count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    image = torch.randint(0, 256, (count, 3, 48, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    return image, image[:, 0] // 86


def test_the_improved_network_s_channels_are_the_publication_s():
    with torch.device("meta"):
        model = models.create("pspnet", 13, options=IMPROVED | {"encoder": "resnet50"})
    assert model.stride == 8
    assert [branch[0].out_channels for branch in model.pyramid.branches] == [512] * 4
    assert (model.fusion[0].in_channels, model.fusion[0].out_channels) == (2048 + 4 * 512, 512)
    assert model.fusion[0].kernel_size == (1, 1)
    assert model.excitation.weigh.squeeze.out_channels == 512 // 16
    merge = model.excitation.merge[0]
    assert (merge.in_channels, merge.out_channels, merge.kernel_size) == (512 + 2048, 512, (3, 3))
    assert (model.classifier.in_channels, model.classifier.kernel_size) == (512, (1, 1))


def test_the_improved_network_against_its_equations():
    model = small(**IMPROVED).eval()
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(3))
    first, second = model.excitation.weigh.squeeze.weight, model.excitation.weigh.excite.weight
    with torch.no_grad():
        x = model.encoder(image)[-1]
        fused = model.fusion(model.pyramid(x))
        weighed = torch.empty_like(fused)
        y = torch.tensor([float(fused[0, channel].mean()) for channel in range(fused.shape[1])])  # eq. 3
        weights = torch.sigmoid(second[:, :, 0, 0] @ (first[:, :, 0, 0] @ y).relu())  # eq. 4
        for channel, weight in enumerate(weights):
            weighed[:, channel] = fused[:, channel] * weight  # eq. 5
        slow = model.classifier(model.excitation.merge(torch.cat([weighed, x], 1)))
        torch.testing.assert_close(model.segment(image), slow, rtol=1e-4, atol=1e-5)


def size(**options) -> int:
    with torch.device("meta"):
        model = models.create("pspnet", 13, options={"encoder": "resnet50"} | options)
    return sum(one.numel() for one in model.parameters())


def test_what_weighing_and_refining_cost():
    both, weighed = size(**IMPROVED), size(**IMPROVED, refine=False)
    refined, plain = size(bins=[1, 2, 3, 4], refine=True), size(bins=[1, 2, 3, 4])
    assert weighed - plain == both - refined == 2 * 512 * 32 + 32 + 512 == 33_312
    assert refined - plain == both - weighed == 9 * (512 + 2048) * 512 + 2 * 512 == 11_797_504


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"squeeze_excitation": True, "refine": False}, {"weigh"}),
        ({"refine": True}, {"merge"}),
        ({"squeeze_excitation": False}, set()),
        ({"squeeze_excitation": True}, {"weigh", "merge"}),
        ({"squeeze_excitation": True, "refine": True}, {"weigh", "merge"}),
    ],
    ids=["weigh", "refine", "neither", "as of before", "both"],
)
def test_weighing_and_refining_are_switches_of_their_own(options, parts):
    model = small(**options).eval()
    assert {key.split(".")[1] for key in model.state_dict() if key.startswith("excitation.")} == parts
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        x = model.encoder(image)[-1]
        slow = model.fusion(model.pyramid(x))
        if "weigh" in parts:
            slow = slow * model.excitation.weigh.weights(slow)
        if "merge" in parts:
            slow = model.excitation.merge(torch.cat([slow, x], 1))
        torch.testing.assert_close(model.segment(image), model.classifier(slow))


@pytest.mark.parametrize("value", ["maybe", [1], None])
def test_a_value_that_is_neither_true_nor_false_is_one_fault(value):
    with pytest.raises(RecipeError, match=r"squeeze_excitation") as caught:
        small(squeeze_excitation=value)
    assert "refine" not in str(caught.value)


def test_a_model_file_from_before_refine_was_a_switch_opens_as_it_was(tmp_path):
    model = small(**IMPROVED).eval()
    told = Config.model_validate(IMPROVED | {"encoder": "test_resnet", "fusion_channels": 32}).model_dump(mode="json")
    assert told.pop("refine") is True
    classes = Classes(names=tuple("abc"), colors=((0, 0, 0), (200, 0, 0), (0, 200, 0)))
    card = Card(architecture="pspnet", model=told, classes=classes, input=Input(stride=model.stride))
    save_model(tmp_path / "old.safetensors", model, card)
    again, read = load_model(tmp_path / "old.safetensors")
    assert "refine" not in read.model
    with torch.no_grad():
        assert torch.equal(again.eval()(batch()[0]), model(batch()[0]))


def test_switched_off_it_is_the_network_it_was():
    """Stored model files have these parts and no others."""
    assert {key.partition(".")[0] for key in small().state_dict()} == {"encoder", "pyramid", "fusion", "classifier"}


def test_the_auxiliary_term_is_of_the_stage_before_last():
    model = small(auxiliary=0.4).train()
    model.auxiliary[1].p = 0.0
    image, label = batch()
    seen = []
    model.encoder.register_forward_hook(lambda part, given, maps: seen.append(maps[-2]))
    terms, scores = model.loss(image, label, CrossEntropy())
    assert terms.keys() == {"loss", "auxiliary"} and scores.shape == (2, 3, 48, 64)
    beside = functional.interpolate(model.auxiliary(seen[0]), size=(48, 64), mode="bilinear")
    slow = {"loss": CrossEntropy()(scores, label), "auxiliary": 0.4 * CrossEntropy()(beside, label)}
    torch.testing.assert_close(terms, slow)
    assert model.auxiliary[0][0].in_channels == model.encoder.channels[-2]


def test_the_auxiliary_head_works_in_training_alone():
    model, calls = small(auxiliary=0.4).eval(), []
    model.auxiliary.register_forward_hook(lambda *_: calls.append(1))
    image, label = batch()
    with torch.no_grad():
        assert model(image).shape == (2, 3, 48, 64)
        terms, _ = model.loss(image, label, CrossEntropy())
        assert terms.keys() == {"loss"} and not calls
        model.train()
        assert model(image).shape == (2, 3, 48, 64)
        assert model.loss(image, label, CrossEntropy())[0].keys() == {"loss", "auxiliary"} and len(calls) == 2


@pytest.mark.parametrize("count", [1, 3])
def test_improved_and_with_the_auxiliary_head_every_parameter_learns(count):
    model = small(**IMPROVED, auxiliary=0.4).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        terms, _ = model.loss(*batch(count), CrossEntropy())
        loss = torch.stack(list(terms.values())).sum()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert [key for key, one in model.named_parameters() if one.grad is None or not one.grad.any()] == []


def test_an_auxiliary_head_needs_a_stage_before_the_last():
    with pytest.raises(RecipeError, match=r"model\.auxiliary: the encoder has one map only"):
        small(auxiliary=0.4, encoder_options={"out_indices": [4]})


@pytest.mark.parametrize(
    ("encoder", "stem", "widths"),
    [
        ("resnet18", None, [64]),
        ("resnet18", "plain", [64]),
        ("resnet18", "deep", [32, 32, 64]),
        ("resnet26d", "deep", [32, 32, 64]),
        ("resnet26d", "plain", [64]),
        ("resnet50", "deep", [32, 32, 64]),
    ],
)
def test_stem(encoder, stem, widths):
    with torch.device("meta"):
        net = models.create("pspnet", 3, options={"encoder": encoder, "stem": stem}).encoder.net
    found = net["conv1"]
    convolutions = list(found)[::3] if isinstance(found, torch.nn.Sequential) else [found]
    assert [one.out_channels for one in convolutions] == widths
    assert convolutions[0].kernel_size == ((7, 7) if widths == [64] else (3, 3))


def test_a_stem_of_its_own_runs_and_keeps_the_other_options():
    model = small(stem="plain", encoder_options={"zero_init_last": False}).eval()
    assert model.encoder.net["conv1"].kernel_size == (7, 7)
    with torch.no_grad():
        assert model(batch()[0]).shape == (2, 3, 48, 64)


@pytest.mark.parametrize("encoder", ["vgg11", "test_convnext", "test_vit"])
def test_a_stem_where_there_is_no_choice_is_refused(encoder):
    with pytest.raises(RecipeError, match=rf"model\.stem: {encoder} has no choice of stem"):
        models.create("pspnet", 3, options={"encoder": encoder, "stem": "deep"})


def test_a_misspelt_encoder_is_told_as_such_with_a_stem_too():
    with pytest.raises(RecipeError, match=r"unknown encoder resnet5"):
        models.create("pspnet", 3, options={"encoder": "resnet5", "stem": "deep"})


def test_imagenet_weights_do_not_fit_another_stem():
    with pytest.raises(ModelFileError, match=r"weights of resnet18 are for the stem it has, not a deep one"):
        models.create("pspnet", 3, weights="imagenet", options={"encoder": "resnet18", "stem": "deep"})
