"""VGG16's convolutions against timm's."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional

from tarsia.errors import ModelFileError, RecipeError
from tarsia.models import _vgg
from tarsia.models._vgg import Vgg16
from tarsia.models._weights import encoder_weights

NARROW = {"mlp_ratio": 0.01}  # of the fully connected layers, which would be half a gigabyte and go unused


def random_vgg(name: str = "vgg16_bn") -> torch.nn.Module:
    """timm's network with random biases, norms and statistics too."""
    with torch.random.fork_rng():
        torch.manual_seed(11)
        full = timm.create_model(name, **NARROW).eval()
        for key, value in full.state_dict().items():
            if key.startswith("features.") and value.ndim == 1:
                value.copy_(torch.rand_like(value) + (0.5 if key.endswith(("weight", "var")) else -0.5))
    return full


@pytest.fixture
def narrow_check(monkeypatch):
    """The check of a file against timm's network, with narrow fully connected layers."""
    monkeypatch.setattr(_vgg, "encoder_weights", lambda name, weights, _: encoder_weights(name, weights, NARROW))


def test_stages_are_table_1_s_column_d():
    with torch.device("meta"):
        encoder = Vgg16()
        full = timm.create_model("vgg16_bn").features
    assert [len(stage) for stage in encoder.stages] == [2, 2, 3, 3, 3]
    assert encoder.channels == [64, 128, 256, 512, 512]
    theirs = sum(one.numel() for one in full.parameters())
    convolution_biases = sum(2 * n for n in (64, 128)) + sum(3 * n for n in (256, 512, 512))
    assert sum(one.numel() for one in encoder.parameters()) == theirs - convolution_biases == 14_718_912


@pytest.mark.parametrize(
    ("width", "channels"), [(0.25, [16, 32, 64, 128, 128]), (0.01, [1, 1, 3, 5, 5]), (1.5, [96, 192, 384, 768, 768])]
)
def test_width_multiplies_the_channels(width, channels):
    with torch.device("meta"):
        encoder = Vgg16(width)
    assert encoder.channels == channels
    assert [stage[-1][0].out_channels for stage in encoder.stages] == channels


@pytest.mark.parametrize("batch_norm", [True, False])
def test_a_file_s_weights_give_timm_s_maps(narrow_check, tmp_path, batch_norm):
    full = random_vgg("vgg16_bn" if batch_norm else "vgg16")
    save_file(full.state_dict(), tmp_path / "vgg16.safetensors")
    encoder = Vgg16(weights=str(tmp_path / "vgg16.safetensors"), batch_norm=batch_norm).eval()
    mine = theirs = torch.randn(2, 3, 32, 64, generator=torch.Generator().manual_seed(3))
    stages, part = [], []
    for module in full.features:
        part.append(module)
        if isinstance(module, torch.nn.MaxPool2d):
            stages.append(torch.nn.Sequential(*part[:-1]))
            part = []
    assert len(stages) == 5
    with torch.no_grad():
        for ours, stage in zip(encoder.stages, stages, strict=True):
            mine, theirs = ours(mine), stage(theirs)
            assert theirs.any()
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
            mine, theirs = functional.max_pool2d(mine, 2), functional.max_pool2d(theirs, 2)


@pytest.mark.parametrize(("batch_norm", "other"), [(True, "vgg16"), (False, "vgg16_bn")])
def test_weights_with_and_without_norms_are_not_confused(narrow_check, tmp_path, batch_norm, other):
    save_file(random_vgg(other).state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(ModelFileError, match=rf"does not fit encoder vgg16{'_bn' * batch_norm}: features"):
        Vgg16(weights=str(tmp_path / "other.safetensors"), batch_norm=batch_norm)


def test_without_norms_every_convolution_has_a_bias():
    with torch.device("meta"):
        encoder = Vgg16(batch_norm=False)
        full = timm.create_model("vgg16").features
    assert sum(one.numel() for one in encoder.parameters()) == sum(one.numel() for one in full.parameters())
    assert not [one for one in encoder.modules() if isinstance(one, torch.nn.BatchNorm2d)]


def test_weights_of_another_depth_are_refused(narrow_check, tmp_path):
    save_file(random_vgg("vgg11_bn").state_dict(), tmp_path / "vgg11.safetensors")
    with pytest.raises(ModelFileError, match=r"vgg11\.safetensors does not fit encoder vgg16_bn: features\.3\.weight"):
        Vgg16(weights=str(tmp_path / "vgg11.safetensors"))


@pytest.mark.parametrize("width", [0.25, 2.0])
def test_weights_need_the_published_width(width):
    with pytest.raises(ModelFileError, match=rf"VGG16's weights need width 1, not {width}: leave weights out"):
        Vgg16(width, "imagenet")


def test_frozen_stages_keep_weights_and_statistics():
    encoder = Vgg16(0.05)
    encoder.freeze(("stages.0", "stages.1.0"))
    encoder.train()
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    for stage in encoder.stages:
        x = stage(x)
    x.square().sum().backward()
    with torch.no_grad():
        for one in encoder.parameters():
            if one.requires_grad:
                one -= 0.1 * one.grad
    still = {key for key, value in encoder.state_dict().items() if torch.equal(value, before[key])}
    assert {key.rpartition(".")[0] for key in still} == {
        *(f"stages.0.{block}.{layer}" for block in (0, 1) for layer in (0, 1)),
        *(f"stages.1.0.{layer}" for layer in (0, 1)),
    }
    with pytest.raises(RecipeError, match="the encoder has no part stage, did you mean stages"):
        encoder.freeze(("stage",))
