"""Attention FCN's size, switches and fusion."""

from __future__ import annotations

import pytest
import timm
import torch
from torch.nn import functional

from tarsia import models
from tarsia.errors import ModelFileError
from tarsia.models import _vgg

FULL, SKIPS, ATTENTION, CONTEXT, STRIDED = 1_625_119, 38_880, 5_388, 139_840, 344_032
IMAGE = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def create(classes: int = 3, weights: str = "none", **options):
    return models.create("attention_fcn", classes, weights=weights, options={"width": 0.0625} | options).eval()


@pytest.mark.parametrize(
    ("off", "expected"),
    [
        ((), FULL),
        (("skips",), 1_586_239),
        (("attention",), FULL - ATTENTION),
        (("context",), FULL - CONTEXT),
        (("skips", "attention", "context"), FULL - SKIPS - ATTENTION - CONTEXT),
    ],
    ids=["full", "no skips", "no attention", "no context", "bare"],
)
def test_the_published_size_for_19_classes(off, expected):
    """Published: 1.58 M without skips, 1.63 M with."""
    with torch.device("meta"):
        model = models.create("attention_fcn", 19, options=dict.fromkeys(off, False))
    assert sum(one.numel() for one in model.parameters()) == expected
    assert model.decoder[0].up[0].in_channels == 128 and model.decoder[-1].up[0].out_channels == 16


def test_max_pooling_has_no_parameters_and_is_pooling_by_2x2():
    with torch.device("meta"):
        model = models.create("attention_fcn", 19, options={"down": "max"})
    assert sum(one.numel() for one in model.parameters()) == FULL - STRIDED
    pooled, strided = create(down="max"), create()
    given, found = [], []
    for part in pooled.shrinks:
        part.register_forward_pre_hook(lambda part, x: given.append(x[0]))
        part.register_forward_hook(lambda part, x, result: found.append(result))
    with torch.no_grad():
        assert pooled(IMAGE).shape == strided(IMAGE).shape
    for x, result in zip(given, found, strict=True):
        windows = x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
        assert torch.equal(result, windows.amax((3, 5)))
    assert [tuple(one.shape[2:]) for one in found] == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    left_out = strided.state_dict().keys() - pooled.state_dict().keys()
    assert {key.partition(".")[0] for key in left_out} == {"shrinks"}


def test_five_strided_convolutions_down_and_five_transposed_up():
    model, down, up = create(), [], []
    for part in model.shrinks:
        part.register_forward_hook(lambda part, given, result: down.append(tuple(result.shape[2:])))
    for part in model.decoder:
        part.register_forward_hook(lambda part, given, result: up.append(tuple(result.shape[2:])))
    with torch.no_grad():
        model(IMAGE)
    assert down == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    assert up == [(4, 6), (8, 12), (16, 24), (32, 48), (64, 96)]
    assert not [part for part in model.modules() if "Pool" in type(part).__name__]


def test_a_level_written_out():
    """Up, plus the projected map, ReLU, then the publication's eq. 1 to 3 channel by channel."""
    level = create().decoder[2]
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(1, level.up[0].in_channels, 3, 2, generator=generator)
    of_encoder = torch.randn(1, level.up[0].out_channels, 6, 4, generator=generator)
    attention = level.attention
    with torch.no_grad():
        for one in level.parameters():
            one.copy_(torch.randn(one.shape, generator=generator))
        up = torch.zeros(1, level.up[0].out_channels, 6, 4)
        for row in range(6):
            for column in range(4):
                window = level.up[0].weight[:, :, row % 2, column % 2]
                up[0, :, row, column] = x[0, :, row // 2, column // 2] @ window
        projected = torch.einsum("oi,bihw->bohw", level.skip[0].weight[:, :, 0, 0], of_encoder)
        u = (level.up[1](up) + level.skip[1](projected)).clamp(min=0)
        z = torch.stack([u[0, channel].mean() for channel in range(u.shape[1])])
        hidden = (attention.squeeze.weight[:, :, 0, 0] @ z + attention.squeeze.bias).clamp(min=0)
        s = 1 / (1 + torch.exp(-(attention.excite.weight[:, :, 0, 0] @ hidden + attention.excite.bias)))
        slow = torch.stack([s[channel] * u[0, channel] for channel in range(len(s))])[None]
        torch.testing.assert_close(level(x, of_encoder), slow)


def test_skips_that_add_nothing_and_attention_that_lets_all_through_are_as_good_as_off():
    full, bare = create(), create(skips=False, attention=False)
    with torch.no_grad():
        for level in full.decoder:
            level.skip[1].weight.zero_()
            level.attention.excite.weight.zero_()
            level.attention.excite.bias.fill_(50)
        missing = bare.load_state_dict(full.state_dict(), strict=False)
        assert not missing.missing_keys
        assert {key.split(".")[2] for key in missing.unexpected_keys} == {"skip", "attention"}
        torch.testing.assert_close(full(IMAGE), bare(IMAGE))
        full.decoder[-1].attention.excite.bias.fill_(0)
        assert not torch.allclose(full(IMAGE), bare(IMAGE))


def test_options_reach_the_network():
    model = create(rates=[3], reduction=2)
    assert [branch[0].dilation for branch in model.context.dilated] == [(3, 3)]
    assert [level.attention.squeeze.out_channels for level in model.decoder] == [16, 16, 8, 4, 4]


def test_imagenet_weights_land_in_the_thirteen_convolutions(monkeypatch):
    with torch.random.fork_rng():
        torch.manual_seed(11)
        full = timm.create_model("vgg16_bn", mlp_ratio=0.01).eval()
        full.features[1].running_mean.uniform_(-1, 1)
        full.features[0].bias.data.uniform_(-1, 1)
    monkeypatch.setattr(_vgg, "encoder_weights", lambda name, weights, _: full.state_dict())
    model = create(width=1.0, weights="imagenet")
    seen = []
    model.encoder.stages[0].register_forward_hook(lambda part, given, result: seen.append((given[0], result)))
    mean, std = (torch.tensor(full.pretrained_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        model(IMAGE[:1, :, :32, :32])
        normalised = (IMAGE[:1, :, :32, :32] / 255 - mean) / std
        theirs = full.features[:6](normalised)
    torch.testing.assert_close(seen[0][0], normalised)
    torch.testing.assert_close(seen[0][1], theirs, rtol=1e-4, atol=1e-4)
    convolutions = [part for part in full.features if isinstance(part, torch.nn.Conv2d)]
    landed = [block[0] for stage in model.encoder.stages for block in stage]
    assert len(landed) == 13
    assert all(torch.equal(a.weight, b.weight) for a, b in zip(landed, convolutions, strict=True))


def test_imagenet_weights_need_the_full_width():
    with pytest.raises(ModelFileError, match=r"need width 1, not 0\.25: leave weights out"):
        create(width=0.25, weights="imagenet")


def test_pictures_at_the_stride_s_size_have_one_position_of_context():
    model = create().train()
    scores = model(IMAGE[:1, :, :32, :32])
    functional.cross_entropy(scores, torch.zeros(1, 32, 32, dtype=torch.long)).backward()
    assert scores.shape == (1, 3, 32, 32)
    assert all(one.grad.isfinite().all() for one in model.parameters() if one.grad is not None)
