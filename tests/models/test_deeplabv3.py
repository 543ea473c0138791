"""DeepLabv3's dilations and size."""

from __future__ import annotations

import pytest
import torch

from tarsia import models
from tarsia.errors import RecipeError


def on_meta(**options):
    with torch.device("meta"):
        return models.create("deeplabv3", 21, options=options).eval()


def grid(model) -> list[tuple[int, int]]:
    return [block.conv2.dilation for block in model.encoder.net["layer4"]]


def test_the_published_network_s_size():
    """ResNet-50 without its classifier; 1x1, three 3x3 and the mean, each of 256; 1x1 to 256; 1x1 to the classes."""
    branch, norm = 2048 * 256, 2 * 256
    pyramid = branch * (1 + 3 * 9 + 1) + 5 * norm + 5 * 256 * 256 + norm
    expected = 23_508_032 + pyramid + 21 * 257
    assert sum(one.numel() for one in on_meta().parameters()) == expected == 39_048_533


@pytest.mark.parametrize(
    ("output_stride", "dilations", "rates"),
    [(None, (2, 4, 8), (6, 12, 18)), (8, (4, 8, 16), (12, 24, 36)), (32, (1, 2, 4), (3, 6, 9))],
)
def test_dilations_follow_the_output_stride(output_stride, dilations, rates):
    model = on_meta(output_stride=output_stride)
    assert model.stride == (output_stride or 16)
    assert grid(model) == [(rate, rate) for rate in dilations]
    assert [branch[0].dilation for branch in model.pyramid.dilated] == [(rate, rate) for rate in rates]
    size = (512 // model.stride, 256 // model.stride)
    assert model.segment(torch.zeros(1, 3, 512, 256, device="meta")).shape == (1, 21, *size)


@pytest.mark.parametrize(("multi_grid", "dilations"), [((1, 1, 1), [2, 2, 2]), ((1, 2, 1), [2, 4, 2])])
def test_the_grid_is_an_ablation(multi_grid, dilations):
    assert grid(on_meta(multi_grid=multi_grid)) == [(rate, rate) for rate in dilations]


@pytest.mark.parametrize(
    ("encoder", "multi_grid"),
    [("resnet26", None), ("test_resnet", (1, 1, 1)), ("test_vit", None), ("test_vit", (1, 1, 1)), ("resnest14d", None)],
)
def test_encoders_without_three_bottlenecks_stay_as_they_are(encoder, multi_grid):
    model = on_meta(encoder=encoder, multi_grid=multi_grid)
    with torch.device("meta"):
        plain = models.create("pspnet", 1, options={"encoder": encoder, "output_stride": model.stride}).encoder
    for one, other in zip(model.encoder.modules(), plain.modules(), strict=True):
        assert getattr(one, "dilation", None) == getattr(other, "dilation", None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"multi_grid": (1, 2)}, r"resnet50 has 3 bottlenecks .* \[1, 2\] is for 2: give 3 numbers"),
        ({"encoder": "resnet26", "multi_grid": (1, 2, 4)}, r"resnet26 has 2 bottlenecks .*: give 2 numbers"),
        (
            {"encoder": "resnet18", "multi_grid": (1, 2)},
            r"resnet18 has 0 bottlenecks .*: leave it out, or choose a Res",
        ),
        ({"encoder": "test_vit", "multi_grid": (1, 2, 4)}, r"test_vit has 0 bottlenecks"),
    ],
)
def test_a_grid_that_cannot_be_had_is_refused(options, message):
    with pytest.raises(RecipeError, match=r"model\.multi_grid: " + message):
        on_meta(**options)


def test_a_dilated_bottleneck_keeps_the_size_and_widens_the_view():
    """One value changed at the last stage's input is seen three dilations away, and not between."""
    options = {"encoder": "resnet26", "encoder_options": {"channels": [8, 8, 8, 8]}, "multi_grid": [1, 4]}
    model = models.create("deeplabv3", 2, options=options).eval()
    convolution = model.encoder.net["layer4"][1].conv2
    assert convolution.dilation == (8, 8)
    x = torch.zeros(1, 8, 33, 33)
    x[0, :, 16, 16] = 1
    with torch.no_grad():
        rows, columns = convolution(x).abs().sum(1)[0].nonzero(as_tuple=True)
    assert set(rows.tolist()) == set(columns.tolist()) == {8, 16, 24}
