"""U-Net's levels against the encoder's."""

from __future__ import annotations

import pytest
import torch

from tarsia import models


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
