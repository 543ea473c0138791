"""DeepLabv1's sizes, its dilations, and the maps beside the last."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from tarsia import models


def on_meta(**options):
    with torch.device("meta"):
        return models.create("deeplabv1", 21, options=options).eval()


@pytest.mark.parametrize(
    ("options", "millions"),
    [
        ({"kernel": 7, "dilation": 1, "channels": 4096}, 134.3),
        ({"kernel": 4, "dilation": 1, "channels": 4096}, 65.1),
        ({"kernel": 4, "dilation": 2, "channels": 4096}, 65.1),
        ({}, 20.5),
    ],
)
def test_the_sizes_of_table_2(options, millions):
    model = on_meta(encoder="vgg16", **options)
    assert round(sum(one.numel() for one in model.parameters()) / 1e6, 1) == millions


def test_the_default_is_large_fov_on_vgg16_with_batch_normalisation():
    model = on_meta()
    assert sum(one.numel() for one in model.parameters()) == 20_513_877
    fc6, fc7 = model.field.fc6, model.field.fc7
    assert (fc6.kernel_size, fc6.dilation, fc6.out_channels) == ((3, 3), (12, 12), 1024)
    assert (fc7.kernel_size, fc7.out_channels, model.field.dropout.p) == ((1, 1), 1024, 0.5)
    assert model.stride == 8 and model.segment(torch.zeros(1, 3, 64, 96, device="meta")).shape == (1, 21, 8, 12)


def test_vgg_is_dilated_after_the_fourth_pooling():
    layers = list(on_meta().encoder.net.children())
    convolutions = [one.dilation[0] for one in layers if isinstance(one, nn.Conv2d)]
    assert convolutions == [1] * 10 + [2] * 3
    assert [one.stride for one in layers if isinstance(one, nn.MaxPool2d)] == [2, 2, 2, 1, 1]


def test_the_scores_against_ones_written_out():
    model = models.create("deeplabv1", 3, options={"encoder": "test_resnet", "channels": 6, "dilation": 2}).eval()
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(5))
    fc6 = model.field.fc6
    with torch.no_grad():
        x = model.encoder(image)[-1]
        padded = functional.pad(x, (2, 2, 2, 2))
        slow = fc6.bias.view(1, -1, 1, 1).repeat(1, 1, *x.shape[-2:])
        for i in range(3):  # a dilated convolution is nine shifted 1x1 ones
            for j in range(3):
                shifted = padded[:, :, 2 * i : 2 * i + x.shape[2], 2 * j : 2 * j + x.shape[3]]
                slow = slow + functional.conv2d(shifted, fc6.weight[:, :, i : i + 1, j : j + 1])
        slow = model.classifier(model.field.fc7(slow.relu()).relu())
        torch.testing.assert_close(model.segment(image), slow, rtol=1e-4, atol=1e-5)


def test_multi_scale_sees_the_picture_and_four_finer_maps():
    model = on_meta(multi_scale=True)
    assert model.classifier.in_channels == 1024 + 5 * 128  # section 4.3: 640 more
    assert [part[0].in_channels for part in model.beside] == [3, 64, 128, 256, 512]
    assert [part[0].stride[0] for part in model.beside] == [8, 8, 4, 2, 1]


@pytest.mark.parametrize("encoder", ["test_resnet", "test_vit", "test_mambaout"])
def test_multi_scale_trains_on_any_encoder(encoder):
    options = {"encoder": encoder, "channels": 8, "multi_scale": True, "dropout": 0}
    model = models.create("deeplabv1", 3, options=options).train()
    scores = model(torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8))
    assert scores.shape == (2, 3, 64, 96)
    scores.square().mean().backward()
    assert all(one.grad.any() for one in model.beside.parameters())


@pytest.mark.parametrize(
    ("options", "stride"),
    [({}, 8), ({"output_stride": 16}, 16), ({"encoder": "test_mambaout"}, 32), ({"encoder": "test_vit"}, 16)],
)
def test_output_stride(options, stride):
    assert on_meta(**options).stride == stride
