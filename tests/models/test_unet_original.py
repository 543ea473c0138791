"""The original U-Net against its figure 1, layer by layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from tarsia import models
from tarsia.errors import ModelFileError, RecipeError

# Figure 1's arrows: inputs and outputs of each 3x3 convolution, then of each 2x2 up-convolution.
CONVOLUTIONS = [
    *((3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512)),
    *((512, 1024), (1024, 1024), (1024, 512), (512, 512), (512, 256), (256, 256), (256, 128), (128, 128)),
    *((128, 64), (64, 64)),
]
UP = [(1024, 512), (512, 256), (256, 128), (128, 64)]


def create(**options):
    return models.create("unet_original", 3, options={"channels": (4, 6, 10)} | options).eval()


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("batch_norm", [True, False])
def test_the_published_size(batch_norm):
    with torch.device("meta"):
        model = models.create("unet_original", 2, options={"batch_norm": batch_norm})
    expected = sum(9 * a * b + (2 if batch_norm else 1) * b for a, b in CONVOLUTIONS)
    expected += sum(4 * a * b + b for a, b in UP) + 64 * 2 + 2
    assert sum(one.numel() for one in model.parameters()) == expected
    assert round(expected / 1e6, 1) == 31.0
    assert sum(isinstance(part, nn.Conv2d | nn.ConvTranspose2d) for part in model.modules()) == 23  # "In total"
    assert model.stride == 16


def test_the_network_written_out():
    model = create(batch_norm=False)
    x = noise(2, 3, 8, 12)

    def pair(part: nn.Module, x: torch.Tensor) -> torch.Tensor:
        for one in part:
            x = functional.conv2d(x, one[0].weight, one[0].bias, padding=1).clamp(min=0)
        return x

    with torch.no_grad():
        for one in model.parameters():
            one.add_(0.05)  # biases that matter
        fine = pair(model.contracting[0], x)
        middle = pair(model.contracting[1], functional.max_pool2d(fine, 2))
        coarse = pair(model.contracting[2], functional.max_pool2d(middle, 2))
        up = model.expansive[0].up(coarse)
        assert up.shape == middle.shape
        middle = pair(model.expansive[0].pair, torch.cat([middle, up], 1))
        fine = pair(model.expansive[1].pair, torch.cat([fine, model.expansive[1].up(middle)], 1))
        torch.testing.assert_close(model.segment(x), model.classifier(fine))


@pytest.mark.parametrize("batch_norm", [True, False])
def test_weights_start_gaussian_with_the_published_deviation(batch_norm):
    model = create(channels=[32, 64, 128], batch_norm=batch_norm)
    # 576 = 9 x 64 is the publication's own example: a 3x3 convolution of 64 channels.
    expected = {"contracting.1.1.0": 576, "contracting.2.0.0": 576, "expansive.0.up": 128, "expansive.1.up": 64}
    for name, incoming in expected.items():
        weight = model.get_submodule(name).weight.detach()
        assert float(weight.std()) == pytest.approx((2 / incoming) ** 0.5, rel=0.03), name
        assert abs(float(weight.mean())) < 0.1 * float(weight.std())
    biases = [one for key, one in model.named_parameters() if key.endswith("bias")]
    assert biases and not any(one.any() for one in biases)


def test_without_normalisation_values_keep_their_size_through_the_network():
    """What the deviation is for (section 3): about unit variance in every map."""
    model, seen = create(channels=[32, 64, 128], batch_norm=False), []
    for name, part in model.named_modules():
        if name.startswith("contracting") and isinstance(part, nn.Conv2d):
            part.register_forward_hook(lambda part, given, result: seen.append(float(result.std())))
    with torch.no_grad():
        model.segment(noise(1, 3, 64, 64))
    assert len(seen) == 6 and all(0.5 < one < 3 for one in seen), seen


def test_dropout_falls_on_the_two_coarsest_maps_of_the_contracting_path_and_only_in_training():
    model = create(channels=[4, 6, 8, 10], batch_norm=False).train()
    given = {}
    for step, part in enumerate(model.expansive):
        part.register_forward_hook(lambda part, seen, result, step=step: given.update({step: seen}))
    with torch.no_grad():
        for one in model.parameters():
            one.fill_(0.01)  # every value positive, so that a zero was dropped
    torch.manual_seed(0)
    model.segment(noise(1, 3, 32, 32).abs())
    coarsest, second = given[0]
    for dropped in (coarsest, second):
        assert 0.35 < float((dropped == 0).float().mean()) < 0.65
    assert not any((copied == 0).any() for copied in (given[1][1], given[2][1]))
    model.eval()
    model.segment(noise(1, 3, 32, 32).abs())
    assert not any((one == 0).any() for one in given[0])


@pytest.mark.parametrize("channels", [[5], [4, 5, 6, 7]])
def test_any_number_of_levels(channels):
    model = create(channels=channels)
    assert model.stride == 2 ** (len(channels) - 1)
    with torch.no_grad():
        assert model.segment(noise(1, 3, 16, 24)).shape == (1, 3, 16, 24)


def test_weights_are_refused():
    with pytest.raises(ModelFileError, match=r"imagenet: unet_original has no .* leave weights out"):
        models.create("unet_original", 3, weights="imagenet")


def test_options_out_of_range_are_refused():
    with pytest.raises(RecipeError) as caught:
        create(channels=[], dropout=1.0, batch_norm="perhaps")
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "model.channels",
        "model.batch_norm",
        "model.dropout",
    ]
