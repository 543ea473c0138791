"""Xception U-Net's size and its stages."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from tarsia import models
from tarsia.errors import ModelFileError


def create(**options):
    return models.create("unet_xception", 3, options={"channels": (4, 6, 10)} | options).eval()


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(4))


def test_the_published_size_for_three_classes():
    with torch.device("meta"):
        model = models.create("unet_xception", 3)
    assert sum(one.numel() for one in model.parameters() if one.requires_grad) == 2_055_203
    assert model.stride == 16


def test_down_to_a_sixteenth_and_up_to_full_size():
    with torch.random.fork_rng():
        model, seen = models.create("unet_xception", 3).eval(), []
    for part in (model.entry, *model.down, *model.up):
        part.register_forward_hook(lambda part, given, result: seen.append(tuple(result.shape[1:])))
    with torch.no_grad():
        assert model.segment(noise(1, 3, 32, 48)).shape == (1, 3, 32, 48)
    assert seen == [
        *((32, 16, 24), (64, 8, 12), (128, 4, 6), (256, 2, 3)),
        *((256, 4, 6), (128, 8, 12), (64, 16, 24), (32, 32, 48)),
    ]


def randomised(part: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for one in part.parameters():
            one.copy_(torch.randn(one.shape, generator=generator))
    return part


def test_a_stage_down_written_out():
    stage = randomised(create().down[0])
    x = noise(2, 4, 8, 6)
    convolutions = [part for part in stage.main.modules() if isinstance(part, nn.Conv2d)]
    norms = [part for part in stage.main if isinstance(part, nn.BatchNorm2d)]
    with torch.no_grad():
        main = x
        for (depthwise, pointwise), norm in zip((convolutions[:2], convolutions[2:]), norms, strict=True):
            main = main.clamp(min=0)
            assert depthwise.bias is None
            channels = [
                functional.conv2d(main[:, [channel]], depthwise.weight[[channel]], padding=1)
                for channel in range(main.shape[1])
            ]
            main = torch.einsum("oi,bihw->bohw", pointwise.weight[:, :, 0, 0], torch.cat(channels, 1))
            main = norm(main + pointwise.bias[:, None, None])
        main = functional.max_pool2d(main, 3, 2, 1)
        every_second = torch.einsum("oi,bihw->bohw", stage.residual.weight[:, :, 0, 0], x[:, :, ::2, ::2])
        slow = main + every_second + stage.residual.bias[:, None, None]
        torch.testing.assert_close(stage(x), slow, rtol=1e-4, atol=1e-4)


def test_a_stage_up_in_the_published_order():
    """The residual is upsampled first and convolved then, which comes to the same."""
    stage = randomised(create().up[0])
    x = noise(2, 10, 3, 5)
    double = nn.Upsample(scale_factor=2, mode="nearest")
    first, second = (part for part in stage.main if isinstance(part, nn.ConvTranspose2d))
    norms = [part for part in stage.main if isinstance(part, nn.BatchNorm2d)]
    with torch.no_grad():
        main = norms[1](second(norms[0](first(x.relu())).relu()))
        torch.testing.assert_close(stage(x), double(main) + stage.residual(double(x)))


@pytest.mark.parametrize("channels", [[4, 5], [4, 5, 6, 7, 8]])
def test_any_number_of_stages_ends_at_full_size(channels):
    model = create(channels=channels)
    assert model.stride == 2 ** len(channels)
    with torch.no_grad():
        assert model.segment(noise(1, 3, 32, 64)).shape == (1, 3, 32, 64)


@pytest.mark.parametrize("weights", ["imagenet", "some.safetensors"])
def test_weights_are_refused(weights):
    with pytest.raises(ModelFileError, match=rf"{weights}: unet_xception has no .* leave weights out"):
        models.create("unet_xception", 3, weights=weights)
