"""VGG's fully connected layers as convolutions, and their weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from tarsia import models
from tarsia.errors import ModelFileError
from tarsia.models import _fully_connected
from tarsia.models._fully_connected import FullyConnected, is_vgg


def stored(channels: int = 9, inputs: int = 4) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    shapes = {
        "pre_logits.fc1.weight": (channels, inputs, 7, 7),
        "pre_logits.fc1.bias": (channels,),
        "pre_logits.fc2.weight": (channels, channels, 1, 1),
        "pre_logits.fc2.bias": (channels,),
    }
    return {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}


@pytest.fixture
def tensors(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    there = stored()
    monkeypatch.setattr(_fully_connected, "encoder_weights", lambda *_: there)
    return there


def test_in_the_middle_of_a_7x7_map_it_is_the_fully_connected_layers(tensors):
    layers = FullyConnected(4, 9).eval()
    layers.take("vgg11", "imagenet", {})
    x = torch.randn(2, 4, 7, 7, generator=torch.Generator().manual_seed(1))
    first = functional.linear(x.flatten(1), tensors["pre_logits.fc1.weight"].flatten(1), tensors["pre_logits.fc1.bias"])
    weight, bias = tensors["pre_logits.fc2.weight"].flatten(1), tensors["pre_logits.fc2.bias"]
    slow = functional.linear(first.relu(), weight, bias).relu()
    with torch.no_grad():
        found = layers(x)
    assert found.shape == (2, 9, 7, 7)
    torch.testing.assert_close(found[:, :, 3, 3], slow, rtol=1e-4, atol=1e-4)


def test_a_smaller_layer_takes_evenly_spaced_channels_and_positions(tensors):
    layers = FullyConnected(4, 5, kernel=3, dilation=12)
    layers.take("vgg11", "imagenet", {})
    channels, positions = [0, 2, 4, 6, 8], [0, 3, 6]
    assert layers.fc6.dilation == (12, 12)
    for row, channel in enumerate(channels):
        assert layers.fc6.bias[row] == tensors["pre_logits.fc1.bias"][channel]
        for i, y in enumerate(positions):
            for j, x in enumerate(positions):
                assert torch.equal(layers.fc6.weight[row, :, i, j], tensors["pre_logits.fc1.weight"][channel, :, y, x])
    assert torch.equal(layers.fc7.weight, tensors["pre_logits.fc2.weight"][channels][:, channels])
    assert torch.equal(layers.fc7.bias, tensors["pre_logits.fc2.bias"][channels])


@pytest.mark.parametrize(
    ("layers", "gone", "message"),
    [
        ((4, 10), None, r"pre_logits\.fc1\.weight of vgg11 is \(9, 4, 7, 7\), expected at least \(10, 4, 7, 7\)"),
        ((5, 9), None, r"pre_logits\.fc1\.weight of vgg11 is \(9, 4, 7, 7\), expected at least \(9, 5, 7, 7\)"),
        ((4, 9), "pre_logits.fc2.bias", r"model\.weights: pre_logits\.fc2\.bias of vgg11 is missing"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tensors, layers, gone, message):
    tensors.pop(gone, None)
    with pytest.raises(ModelFileError, match=message):
        FullyConnected(*layers).take("vgg11", "imagenet", {})


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 12), (4, 1), (4, 3), (7, 1)])
def test_the_size_stays(kernel, dilation):
    assert FullyConnected(2, 3, kernel, dilation)(torch.zeros(1, 2, 5, 8)).shape == (1, 3, 5, 8)


def test_dropout_is_of_single_values():
    x = FullyConnected(2, 64, dropout=0.5).train().dropout(torch.ones(1, 64, 8, 8))
    assert isinstance(FullyConnected(2, 3).dropout, nn.Dropout)
    assert 0.4 < float((x == 0).float().mean()) < 0.6 and bool((x == 0).any((2, 3)).all())


@pytest.mark.parametrize(
    ("encoder", "expected"), [("vgg16", True), ("vgg16_bn.tv_in1k", True), ("repvgg_a0", False), ("resnet18", False)]
)
def test_which_encoders_have_them(encoder, expected):
    assert is_vgg(encoder) == expected


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole VGG with 40 in the place of 4096 channels between its fully connected layers."""
    path = tmp_path_factory.mktemp("vgg") / "vgg11.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(timm.create_model("vgg11", mlp_ratio=0.01, num_classes=2).state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("name", "part", "options", "rows"),
    [
        ("fcn", "fully_connected", {"fully_connected": 40}, list(range(40))),
        ("deeplabv1", "field", {"channels": 4, "kernel": 7}, [0, 13, 26, 39]),
    ],
)
def test_a_vgg_s_file_serves_the_whole_network(file, name, part, options, rows):
    options = options | {"encoder": "vgg11", "encoder_options": {"mlp_ratio": 0.01}}
    model = models.create(name, 2, weights=str(file), options=options)
    tensors = load_file(file)
    layers = getattr(model, part)
    assert torch.equal(layers.fc6.weight, tensors["pre_logits.fc1.weight"][rows])
    assert torch.equal(layers.fc7.weight[0], tensors["pre_logits.fc2.weight"][0, rows])
    first = next(model.encoder.parameters())
    assert torch.equal(first, tensors["features.0.weight"])
