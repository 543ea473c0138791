"""SegNet's unpooling, its mirrored decoder and its form on other encoders."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from tarsia import models
from tarsia.errors import ModelFileError, RecipeError
from tarsia.learning.losses import CrossEntropy
from tarsia.models.segnet import _unpool


def create(classes: int = 3, weights: str = "none", **options):
    return models.create("segnet", classes, weights=weights, options=options).eval()


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(4))


@pytest.mark.processor
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["NCHW", "NHWC"])
@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (3, 4, 6, 10), (2, 5, 32, 2)])
def test_unpooling_and_its_gradient_are_torch_s(shape, layout):
    found = []
    for unpool in (_unpool, lambda x, where, size: nn.MaxUnpool2d(2)(x, where, output_size=size)):
        image = noise(*shape).to(memory_format=layout).requires_grad_()
        pooled, positions = functional.max_pool2d(image, 2, return_indices=True)
        pooled.retain_grad()
        result = unpool(pooled * 2, positions, shape[2:])
        (result * noise(*shape).roll(1)).sum().backward()
        found.append((result.detach(), image.grad, pooled.grad))
    for ours, theirs in zip(*found, strict=True):
        assert ours.any() and torch.equal(ours, theirs)


def test_unpooling_written_out():
    image = noise(2, 3, 4, 6)
    pooled, positions = functional.max_pool2d(image, 2, return_indices=True)
    slow = torch.zeros_like(image)
    for picture in range(2):
        for channel in range(3):
            for row in range(0, 4, 2):
                for column in range(0, 6, 2):
                    window = image[picture, channel, row : row + 2, column : column + 2]
                    place = (window == window.max()).nonzero()[0]
                    slow[picture, channel, row + place[0], column + place[1]] = window.max()
    assert torch.equal(_unpool(pooled, positions, (4, 6)), slow)


def test_thirteen_convolutions_and_their_mirror():
    with torch.device("meta"):
        model = create(12)
    mirror = [[part for part in level.modules() if isinstance(part, nn.Conv2d)] for level in model.decoder]
    widths = [[(part.in_channels, part.out_channels) for part in level] for level in mirror]
    assert widths == [
        [(512, 512), (512, 512), (512, 512)],
        [(512, 512), (512, 512), (512, 256)],
        [(256, 256), (256, 256), (256, 128)],
        [(128, 128), (128, 64)],
        [(64, 64)],
    ]
    assert (model.classifier.in_channels, model.classifier.out_channels) == (64, 12)
    convolutions = [part for part in model.modules() if isinstance(part, nn.Conv2d)]
    assert len(convolutions) == 13 + 13
    expected = sum(9 * part.in_channels * part.out_channels for part in convolutions) + 12
    expected += 2 * sum(part.out_channels for part in convolutions[:-1])
    assert sum(one.numel() for one in model.parameters()) == expected
    assert round(expected / 1e6, 1) == 29.4


def test_the_network_against_torch_s_unpooling():
    model = create(width=0.0625).train()
    image = noise(2, 3, 96, 32)
    x, stored = image, []
    for stage in model.encoder.stages:
        x, positions = nn.MaxPool2d(2, return_indices=True)(stage(x))
        stored.append(positions)
    for level, positions in zip(model.decoder, reversed(stored), strict=True):
        x = level(nn.MaxUnpool2d(2)(x, positions))
    slow = model.classifier(x)
    assert slow.shape == (2, 3, 96, 32)
    torch.testing.assert_close(model.segment(image), slow)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("options", [{"width": 0.0625}, {"encoder": "test_resnet"}], ids=["unpools", "interpolates"])
@pytest.mark.processor
def test_mixed_precision_and_channels_last_train(options, batch):
    model = create(**options).to(memory_format=torch.channels_last).train()
    generator = torch.Generator().manual_seed(4)
    image = torch.randint(0, 256, (batch, 96, 64, 3), dtype=torch.uint8, generator=generator).permute(0, 3, 1, 2)
    with torch.autocast("cpu", torch.bfloat16):
        terms, scores = model.loss(image, image[:, 0] // 86, CrossEntropy())
    terms["loss"].backward()
    assert scores.shape == (batch, 3, 96, 64) and scores.isfinite().all()
    assert all(one.grad is not None and one.grad.isfinite().all() for one in model.parameters())
    model.eval()
    with torch.no_grad():
        full = model(image)
        with torch.autocast("cpu", torch.bfloat16):
            half = model(image).float()
    assert (full - half).abs().mean() < 0.1 * full.abs().mean() + 0.01


def test_mobilenet_goes_through_512_256_128_64_up_to_half_the_size():
    model, seen = create(8, encoder="mobilenetv1_100"), []
    assert model.encoder.channels[-1] == 1024 and model.stride == 32
    for level in model.decoder:
        level.register_forward_hook(lambda part, given, result: seen.append(tuple(result.shape[1:])))
    with torch.no_grad():
        assert model.segment(noise(1, 3, 32, 64)).shape == (1, 8, 16, 32)
    assert seen == [(512, 2, 4), (256, 4, 8), (128, 8, 16), (64, 16, 32)]


def test_other_decoder_channels():
    model = create(encoder="test_resnet", channels=[9, 8, 7, 6, 5])
    with torch.no_grad():
        assert model.segment(noise(1, 3, 32, 64)).shape == (1, 3, 32, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": [64]}, r"model\.channels: encoder vgg16_bn takes no channels.*leave channels out"),
        ({"encoder_options": {"drop_rate": 0.1}}, r"model\.encoder_options: encoder vgg16_bn takes no encoder_options"),
        ({"encoder": "test_resnet", "width": 0.5}, r"model\.width: encoder test_resnet takes no width, only vgg16_bn"),
        (
            {"encoder": "vgg16", "batch_norm": False},
            r"batch_norm: encoder vgg16 takes no batch_norm, only vgg16_bn",
        ),
        ({"encoder": "test_resnet", "channels": [4] * 6}, r"6 levels double the size 6 times.*at 1/32"),
        ({"channels": []}, r"model\.channels"),
        ({"width": 0}, r"model\.width"),
    ],
)
def test_what_one_form_does_not_have_is_refused(options, message):
    with pytest.raises(RecipeError, match=message):
        create(**options)


def test_a_card_s_full_configuration_is_taken_again():
    for options in ({"width": 0.0625}, {"encoder": "test_resnet", "channels": (8, 4)}):
        config = models.config_class("segnet").model_validate(options)
        assert models.config_class("segnet").model_validate(config.model_dump(mode="json")) == config


def test_imagenet_weights_need_the_full_width():
    with pytest.raises(ModelFileError, match="need width 1"):
        create(width=0.5, weights="imagenet")
