"""Networks for pictures of other than three bands: all of them build, and pretrained first convolutions are adapted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from tarsia import models
from tarsia.errors import RecipeError
from tarsia.models._segmenter import Segmenter
from tarsia.models._vgg import Vgg16


def build(name: str, bands: int, weights: str = "none", **options: Any) -> Segmenter:
    smallest = models.config_class(name).smallest
    return models.create(name, 3, weights=weights, options={**smallest, "bands": bands, **options}).eval()


@pytest.mark.parametrize("name", models.names())
@pytest.mark.parametrize("bands", [1, 2, 5, 12])
def test_every_network_sees_every_band(name: str, bands: int) -> None:
    model = build(name, bands)
    assert model.bands == bands
    image = torch.randint(0, 256, (1, bands, model.stride * 2, model.stride * 2), dtype=torch.uint8)
    scores = model(image)
    assert scores.shape == (1, 3, *image.shape[2:]) and scores.isfinite().all()
    with pytest.raises(ValueError, match=f"picture of {bands + 1} bands, the network takes {bands}"):
        model(torch.zeros((1, bands + 1, *image.shape[2:]), dtype=torch.uint8))
    first = next(part for part in model.modules() if isinstance(part, torch.nn.Conv2d))
    assert first.in_channels == bands
    for part in model.modules():
        if isinstance(part, torch.nn.Conv2d) and not part.weight.any():  # FCN starts with scores of zero
            torch.nn.init.normal_(part.weight)
    model(image).square().mean().backward()
    gradient = first.weight.grad
    assert gradient is not None and (gradient.abs().amax((0, 2, 3)) > 0).all()


@pytest.mark.parametrize("name", models.names())
def test_three_bands_are_what_they_were_and_the_default(name: str) -> None:
    smallest = models.config_class(name).smallest
    plain, asked = models.create(name, 3, options=dict(smallest)), build(name, 3)
    assert plain.bands == 3
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(asked.state_dict()[key], value, rtol=0, atol=0)


def test_mean_and_deviation_are_a_half_and_a_quarter_unless_given() -> None:
    model = build("unet", 4)
    assert model.mean.flatten().tolist() == [127.5] * 4 and model.std.flatten().tolist() == [63.75] * 4
    given = build("unet", 2, mean=(0.1, 0.2), std=(0.3, 0.4))
    torch.testing.assert_close(given.mean.flatten(), torch.tensor([0.1, 0.2]) * 255)
    torch.testing.assert_close(given.std.flatten(), torch.tensor([0.3, 0.4]) * 255)
    three = build("unet", 3)
    torch.testing.assert_close(three.mean.flatten(), torch.tensor(timm.get_pretrained_cfg("test_resnet").mean) * 255)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"bands": 0}, "model.bands"),
        ({"bands": 65}, "model.bands"),
        ({"bands": True}, "model.bands"),
        ({"bands": "many"}, "model.bands"),
        ({"bands": 4, "mean": (0.1, 0.2, 0.3)}, "model.mean: 3 values, expected 4"),
        ({"std": (0.1, 0.2)}, "model.std: 2 values, expected 3"),
        ({"encoder_options": {"in_chans": 4}}, "in_chans cannot be given"),
    ],
)
def test_options_that_are_wrong(options: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        models.create("unet", 3, options=options)


def test_pretrained_first_convolutions_are_adapted_and_the_rest_is_kept(tmp_path: Path) -> None:
    """By hand: one band is the sum of the three, others repeat them, scaled so that the sum stays."""
    pretrained = timm.create_model("test_resnet", pretrained=False)
    file = tmp_path / "encoder.safetensors"
    save_file(pretrained.state_dict(), file)
    stem = pretrained.state_dict()["conv1.0.weight"]
    expected = {
        1: stem.sum(1, keepdim=True),
        2: stem[:, :2] * 3 / 2,
        5: torch.cat([stem, stem[:, :2]], 1) * 3 / 5,
    }
    for bands, weight in expected.items():
        found = build("unet", bands, str(file)).state_dict()
        torch.testing.assert_close(found["encoder.net.conv1.0.weight"], weight)
        kept = [key for key in found if key.startswith("encoder.net.layer")]
        assert kept
        for key in kept:
            torch.testing.assert_close(found[key], pretrained.state_dict()[key.removeprefix("encoder.net.")])


def test_a_first_convolution_that_timm_cannot_adapt_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As timm has it for stems that fold pixels into channels: it would start that layer at random, with a warning."""

    def unable(*_: Any, **__: Any) -> None:
        raise NotImplementedError

    save_file(timm.create_model("test_resnet", pretrained=False).state_dict(), tmp_path / "encoder.safetensors")
    monkeypatch.setattr("timm.models._builder.adapt_input_conv", unable)
    with pytest.raises(RecipeError, match=r"model\.bands: timm cannot adapt .* test_resnet to 5 bands"):
        build("unet", 5, str(tmp_path / "encoder.safetensors"))
    build("unet", 3, str(tmp_path / "encoder.safetensors"))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("deeplabv1", {"multi_scale": True}),
        ("segnet", {"encoder": "test_resnet", "width": 1.0}),
        ("unet", {"encoder": "test_vit"}),
    ],
)
def test_further_ways_of_the_picture_into_a_network(name: str, options: dict[str, Any]) -> None:
    model = build(name, 4, **options)
    assert model(torch.zeros((1, 4, model.stride * 2, model.stride), dtype=torch.uint8)).shape[1] == 3


def test_vgg_s_own_first_convolution_is_adapted_likewise(tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = timm.create_model("vgg16_bn").state_dict()
    generator = torch.Generator().manual_seed(0)
    tensors = {
        key: torch.rand(value.shape, generator=generator) if value.dtype.is_floating_point else torch.tensor(0)
        for key, value in shapes.items()
        if key.startswith("features.")
    }
    stem = tensors["features.0.weight"]

    def taken(bands: int) -> torch.Tensor:
        with torch.device("meta"):
            own = Vgg16(bands=bands)
        own = own.to_empty(device="cpu")
        own._take(tensors, bands)
        return own.stages[0][0][0].weight

    torch.testing.assert_close(taken(3), stem)
    torch.testing.assert_close(taken(4), torch.cat([stem, stem[:, :1]], 1) * 3 / 4)
