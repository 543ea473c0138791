"""FCN's sum of scores from coarse to fine, and the publication's VGG16 below it."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from tarsia import models
from tarsia.errors import RecipeError


def create(**options):
    return models.create("fcn", 3, options={"encoder": "test_resnet"} | options)


def on_meta(**options):
    with torch.device("meta"):
        return models.create("fcn", 21, options=options)


@pytest.mark.parametrize(("finest", "levels"), [(32, [32]), (16, [32, 16]), (8, [32, 16, 8])])
def test_scores_are_at_one_over_finest(finest, levels):
    model = create(finest=finest).eval()
    assert model.levels == levels
    with torch.no_grad():
        assert model.segment(torch.zeros(1, 3, 64, 96)).shape == (1, 3, 64 // finest, 96 // finest)


def test_every_class_is_equal_before_training():
    """As published, where the recipe says so."""
    model = models.create("fcn", 3, head_start=0, options={"encoder": "test_resnet"})
    assert not model(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)).any()


@pytest.mark.parametrize("fully_connected", [None, 12])
def test_the_sum_against_one_written_out(fully_connected):
    model = create(finest=8, fully_connected=fully_connected).eval()
    generator = torch.Generator().manual_seed(2)
    image = torch.randn(1, 3, 64, 96, generator=generator)
    with torch.no_grad():
        for classifier in model.classifiers:
            classifier.weight.copy_(torch.randn(classifier.weight.shape, generator=generator))
        at_8, at_16, at_32 = model.encoder(image)[2:]
        if fully_connected:
            at_32 = model.fully_connected.fc7(model.fully_connected.fc6(at_32).relu()).relu()
        of_32, of_16, of_8 = model.classifiers
        up = {"scale_factor": 2.0, "mode": "bilinear"}
        sum_16 = of_16(at_16) + functional.interpolate(of_32(at_32), **up)
        slow = of_8(at_8) + functional.interpolate(sum_16, **up)
        torch.testing.assert_close(model.segment(image), slow)


def test_an_encoder_without_the_wanted_depth_is_refused():
    with pytest.raises(RecipeError, match=r"test_resnet has maps at 1/\[8, 16\], FCN-8s needs 1/\[32\]"):
        create(encoder_options={"out_indices": [2, 3]})
    with pytest.raises(RecipeError, match=r"vgg11 has maps at 1/\[8, 16, 32\], FCN-8s needs 1/\[4\]"):
        on_meta(encoder="vgg11", encoder_options={"out_indices": [3, 4, 5]})


def test_the_published_network_s_size():
    """VGG16's thirteen convolutions, fc6 and fc7, and 1x1 scores of fc7 (4096), pool4 (512) and pool3 (256)."""
    vgg16 = 14_714_688
    layers = 7 * 7 * 512 * 4096 + 4096 + 4096 * 4096 + 4096
    expected = vgg16 + layers + sum(21 * (channels + 1) for channels in (4096, 512, 256))
    published = on_meta(encoder="vgg16")
    assert sum(one.numel() for one in published.parameters()) == expected == 134_362_751
    assert (published.fully_connected.fc6.kernel_size, published.fully_connected.fc7.kernel_size) == ((7, 7), (1, 1))
    default = on_meta()
    norms = 2 * 2 * (2 * 64 + 2 * 128 + 3 * 256 + 6 * 512) // 2
    assert sum(one.numel() for one in default.parameters()) == expected + norms


@pytest.mark.parametrize(
    ("options", "channels"),
    [
        ({"encoder": "vgg11"}, 4096),
        ({"encoder": "vgg11", "fully_connected": 64}, 64),
        ({"encoder": "vgg11", "fully_connected": 0}, None),
        ({"encoder": "resnet18"}, None),
        ({"encoder": "resnet18", "fully_connected": 64}, 64),
    ],
)
def test_who_has_fully_connected_layers(options, channels):
    model = on_meta(**options)
    found = model.fully_connected and model.fully_connected.fc7.out_channels
    assert found == channels
    assert model.classifiers[0].in_channels == (channels or 512)


def test_on_vgg_the_maps_after_the_poolings_are_scored():
    # timm makes VGG's fully connected layers and drops them: with mlp_ratio they are small.
    options = {"encoder": "vgg11", "encoder_options": {"mlp_ratio": 0.01}, "fully_connected": 8}
    model = models.create("fcn", 2, options=options).eval()
    generator = torch.Generator().manual_seed(4)
    x = image = torch.randn(1, 3, 32, 64, generator=generator)
    pools = []
    with torch.no_grad():
        for classifier in model.classifiers:
            classifier.weight.copy_(torch.randn(classifier.weight.shape, generator=generator))
        for layer in model.encoder.net.children():  # VGG is one chain
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                pools.append(x)
        scores = model.classifiers[0](model.fully_connected(pools[4]))
        for pool, classifier in ((pools[3], model.classifiers[1]), (pools[2], model.classifiers[2])):
            scores = classifier(pool) + functional.interpolate(scores, scale_factor=2.0, mode="bilinear")
        assert scores.shape[-2:] == (4, 8)
        torch.testing.assert_close(model.segment(image), scores)
