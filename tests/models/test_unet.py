"""U-Net's levels against the encoder's."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tarsia import models
from tarsia.models._blocks import convolve_upsampled


def create(**options):
    return models.create("unet", 3, options={"encoder": "test_resnet"} | options)


def test_each_level_doubles_the_size_up_to_the_picture_s():
    model = create(channels=[20, 16, 12, 8, 4]).eval()
    seen = []
    for up in model.decoder:
        up.register_forward_hook(lambda part, given, result: seen.append(tuple(result.shape[1:])))
    with torch.no_grad():
        model(torch.zeros(1, 3, 64, 96, dtype=torch.uint8))
    assert seen == [(20, 4, 6), (16, 8, 12), (12, 16, 24), (8, 32, 48), (4, 64, 96)]


def test_a_level_s_skip_is_the_encoder_s_map_of_that_size():
    model = create()
    # The transposed convolution's channels and the encoder's (48, 32, ... at 1/8, 1/4 ...) meet in the convolution.
    widths = dict(zip(model.encoder.reductions, model.encoder.channels, strict=True))
    for level, up in zip(model.levels, model.decoder, strict=True):
        assert up.convolutions[0][0].in_channels == up.up.out_channels + widths.get(level, 0)


@pytest.mark.parametrize(
    ("channels", "expected"),
    [([9], [9, 9, 9, 9, 9]), ([9, 8, 7, 6, 5, 4, 3], [7, 6, 5, 4, 3]), ([9, 5], [9, 5, 5, 5, 5])],
)
def test_channels_of_another_length_than_the_levels_end_at_the_finest(channels, expected):
    model = create(channels=channels)
    assert [up.convolutions[0][0].out_channels for up in model.decoder] == expected


def test_ablations_change_the_decoder_alone():
    one, two = create(), create(convolutions=2, upsampling="nearest")
    assert all(up.up is None and len(up.convolutions) == 2 for up in two.decoder)
    assert two(torch.zeros(2, 3, 32, 64, dtype=torch.uint8)).shape == (2, 3, 32, 64)
    assert [key for key in one.state_dict() if key.startswith("encoder.")] == [
        key for key in two.state_dict() if key.startswith("encoder.")
    ]


def plain(x, skip, weight):
    repeated = functional.interpolate(x, scale_factor=2.0, mode="nearest")
    return functional.conv2d(repeated if skip is None else torch.cat([repeated, skip], 1), weight, padding=1)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["NCHW", "NHWC"])
@pytest.mark.parametrize(
    ("channels", "beside", "size", "taken"),
    [(3, 2, (7, 5), True), (3, 0, (7, 5), True), (4, 5, (8, 1), False), (1, 1, (1, 9), True), (1, 0, (3, 3), True)],
)
def test_convolving_what_is_repeated_without_repeating_it(layout, channels, beside, size, taken, monkeypatch):
    """Values and gradients are those of the formula written out, in float64, borders included."""
    fused = []
    transposed = functional.conv_transpose2d
    monkeypatch.setattr(functional, "conv_transpose2d", lambda *a, **k: fused.append(1) or transposed(*a, **k))
    torch.manual_seed(0)
    given = [torch.randn(2, channels, *size), torch.randn(2, beside, 2 * size[0], 2 * size[1])]
    given += [torch.randn(6, channels + beside, 3, 3)]
    results = []
    for function in (plain, convolve_upsampled):
        x, skip, weight = (one.double().to(memory_format=layout).requires_grad_() for one in given)
        out = function(x, skip if beside else None, weight)
        (out * torch.linspace(-1, 2, out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
        results.append([out, x.grad, weight.grad, *([skip.grad] if beside else [])])
    assert bool(fused) == taken
    for mine, theirs in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_training_step_is_that_of_the_network_as_it_is_written(monkeypatch):
    images = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    scores = []
    for function in (convolve_upsampled, plain):
        monkeypatch.setattr("tarsia.models.unet.convolve_upsampled", function)
        model = create(upsampling="nearest", convolutions=2, channels=[8, 8, 8, 8, 8]).train()
        scores.append(model(images))
        scores[-1].square().mean().backward()
        scores.append(model.decoder[-1].convolutions[0][0].weight.grad)
    torch.testing.assert_close(scores[0], scores[2], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(scores[1], scores[3], rtol=1e-2, atol=1e-4)
