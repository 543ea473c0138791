"""FCN's sum of scores from coarse to fine."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from inlay import models
from inlay.errors import RecipeError


def create(**options):
    return models.create("fcn", 3, options={"encoder": "test_resnet"} | options)


@pytest.mark.parametrize(("finest", "levels"), [(32, [32]), (16, [32, 16]), (8, [32, 16, 8])])
def test_scores_are_at_one_over_finest(finest, levels):
    model = create(finest=finest).eval()
    assert model.levels == levels
    with torch.no_grad():
        assert model.segment(torch.zeros(1, 3, 64, 96)).shape == (1, 3, 64 // finest, 96 // finest)


def test_every_class_is_equal_before_training():
    scores = create()(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    assert not scores.any()


def test_the_sum_against_one_written_out():
    model = create(finest=8).eval()
    generator = torch.Generator().manual_seed(2)
    image = torch.randn(1, 3, 64, 96, generator=generator)
    with torch.no_grad():
        for classifier in model.classifiers:
            classifier.weight.copy_(torch.randn(classifier.weight.shape, generator=generator))
        at_8, at_16, at_32 = model.encoder(image)[2:]
        of_32, of_16, of_8 = model.classifiers
        up = {"scale_factor": 2.0, "mode": "bilinear"}
        sum_16 = of_16(at_16) + functional.interpolate(of_32(at_32), **up)
        slow = of_8(at_8) + functional.interpolate(sum_16, **up)
        torch.testing.assert_close(model.segment(image), slow)


def test_an_encoder_without_the_wanted_depth_is_refused():
    with pytest.raises(RecipeError, match=r"test_resnet has maps at 1/\[8, 16\], FCN-8s needs 1/\[32\]"):
        create(encoder_options={"out_indices": [2, 3]})
