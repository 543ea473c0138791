"""PSPNet's pyramid and how fine its encoder's map is."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from inlay import models
from inlay.errors import RecipeError
from inlay.models.pspnet import _Pyramid


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
