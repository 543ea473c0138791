"""MSANet against its tables, its equations written out, and torch's own unpooling."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from tarsia import models
from tarsia.errors import ModelFileError
from tarsia.models._attention import attention_of
from tarsia.models.msanet import Model, SpatialAttention, unpool

TINY = {"width": 0.125}


def published(**options: object) -> Model:
    """The network at its published size, without memory for its weights."""
    with torch.device("meta"):
        return models.create("msanet", 21, options=options)


def sizes(model: Model, parts: dict[str, nn.Module]) -> dict[str, tuple[int, ...]]:
    """Channels, height and width of what each part gives for a picture of 224x224."""
    found = {}
    for name, part in parts.items():
        part.register_forward_hook(lambda _, __, out, name=name: found.__setitem__(name, tuple(out.shape[1:])))
    with torch.no_grad():
        scores = model.eval()(torch.zeros(2, 3, 224, 224, dtype=torch.uint8, device="meta"))
    return found | {"scores": tuple(scores.shape[1:])}


@pytest.mark.parametrize(("attention", "expected"), [(True, 19_558_293), (False, 16_352_917)])
def test_the_published_number_of_parameters(attention, expected):
    assert sum(one.numel() for one in published(attention=attention).parameters()) == expected


def test_every_row_of_the_tables():
    model = published()
    parts: dict[str, nn.Module] = {}
    for block, stage in enumerate(model.encoder_blocks, 1):
        parts |= {f"encoder {block}.{row}": one for row, one in enumerate(stage, 1)}
    decoder = (model.decode_28, model.decode_56, model.decode_112, model.decode_224)
    for block, stage in enumerate(decoder, 1):
        parts |= {f"decoder {block}.{row}": one for row, one in enumerate(stage, 1)}
    for module in ("56", "112"):
        attention = getattr(model, f"attention_{module}")
        parts |= {f"{module} from {row}": one for row, one in enumerate(attention.projections, 1)}
        parts |= {f"{module} {one}": getattr(attention, one) for one in "abcd"} | {f"{module} E": attention}
    expected = {  # tables 1, 2 and 3, with the misprints put right
        "encoder 1": [(64, 224), (64, 224), (64, 224)],
        "encoder 2": [(128, 112), (128, 112), (128, 112)],
        "encoder 3": [(256, 56), (256, 56), (256, 56)],
        "encoder 4": [(512, 28), (512, 28), (512, 28)],
        "decoder 1": [(1024, 28), (512, 28), (256, 28)],
        "decoder 2": [(512, 56), (256, 56), (128, 56)],
        "decoder 3": [(256, 112), (128, 112), (64, 112)],
        "decoder 4": [(128, 224), (64, 224), (21, 224)],
    }
    wanted = {f"{block}.{row}": one for block, rows in expected.items() for row, one in enumerate(rows, 1)}
    wanted |= {"56 from 1": (64, 56), "56 from 2": (64, 56), "56 from 3": (128, 56)}
    wanted |= {"112 from 1": (64, 112), "112 from 2": (64, 112), "scores": (21, 224)}
    wanted |= {f"56 {one}": (256, 56) for one in "abcdE"} | {f"112 {one}": (128, 112) for one in "abcdE"}
    assert sizes(model, parts) == {name: (channels, side, side) for name, (channels, side) in wanted.items()}
    assert [model.decode_28[0][0].in_channels, model.decode_224[0][0].in_channels] == [512, 64]
    assert [model.decode_56[0][0].in_channels, model.decode_112[0][0].in_channels] == [512, 256]
    plain = published(attention=False)
    assert [plain.decode_56[0][0].in_channels, plain.decode_112[0][0].in_channels] == [256, 128]


def test_kernels_and_what_follows_each_convolution():
    model = published()
    kernels = {
        module: [(one[0].kernel_size[0], one[0].stride[0], one[0].padding[0]) for one in attention.projections]
        for module, attention in (("56", model.attention_56), ("112", model.attention_112))
    }
    assert kernels == {"56": [(12, 4, 4), (6, 2, 2), (3, 1, 1)], "112": [(6, 2, 2), (3, 1, 1)]}
    parts = dict(model.named_modules())
    for name, part in parts.items():
        if not isinstance(part, nn.Conv2d):
            continue
        block = list(parts[name.rpartition(".")[0]].children())
        alone = name.rpartition(".")[2] in "abcd" or name == "decode_224.2"
        assert (part.bias is not None) == alone, name
        if not alone:
            assert [type(one).__name__ for one in block] == ["Conv2d", "Norm", "ReLU"], name
    assert sum(isinstance(part, nn.Conv2d) for part in parts.values()) == 12 + 12 + 5 + 8
    assert parts["decode_224.2"].kernel_size == (3, 3)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_unpooling_is_torch_s(memory_format):
    x = torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(1)).relu()  # zeros tie
    x = x.contiguous(memory_format=memory_format)
    pooled, positions = functional.max_pool2d(x, 2, return_indices=True)
    values = torch.randn_like(pooled).requires_grad_()
    again = values.detach().clone().requires_grad_()
    found, expected = unpool(values, positions), functional.max_unpool2d(again, positions, 2)
    assert torch.equal(found, expected)
    weight = torch.randn_like(expected)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    assert torch.equal(values.grad, again.grad)


def test_what_is_unpooled_lies_where_its_own_size_was_pooled():
    """Decoder maps meet the positions of the pooling layer of their size: with no attention, by hand."""
    model = models.create("msanet", 3, seed=2, options=TINY | {"attention": False}).eval()
    image = torch.randn(1, 3, 32, 40, generator=torch.Generator().manual_seed(3))
    pool, back = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)
    with torch.no_grad():
        x, places = image, []
        for block in model.encoder_blocks[:3]:
            x, place = pool(block(x))
            places.append(place)
        x = nn.MaxPool2d(3, stride=1, padding=1)(model.encoder_blocks[3](x))
        for part in (model.decode_28, model.decode_56, model.decode_112):
            x = back(part(x), places.pop())
        torch.testing.assert_close(model.segment(image), model.decode_224(x))


@pytest.mark.parametrize(("scale", "divisor"), [("none", 1), ("sqrt", 4)])
def test_the_module_against_its_equations_position_by_position(scale, divisor):
    module = SpatialAttention([8, 16], [8, 8], scale).eval()
    random = torch.Generator().manual_seed(4)
    for part in (module.a, module.b, module.c, module.d):
        nn.init.normal_(part.weight, std=0.8, generator=random)
    maps = [torch.randn(2, 8, 8, 12, generator=random), torch.randn(2, 16, 4, 6, generator=random)]
    with torch.no_grad():
        found = module(*maps)
        drawn = attention_of(module.attended(*maps), found, (0.3, 0.9))  # row 1 of 4, column 5 of 6
        x = torch.cat([project(one) for project, one in zip(module.projections, maps, strict=True)], 1)
        a, b, c, d = (part(x).flatten(2) for part in (module.a, module.b, module.c, module.d))
        share = torch.empty(2, 24, 24)  # s_ij
        for j in range(24):
            raised = torch.stack([(a[:, :, i] * b[:, :, j]).sum(1) for i in range(24)], 1)
            raised = (raised / divisor).exp()
            share[:, :, j] = raised / raised.sum(1, keepdim=True)
        expected = torch.stack([(c * share[:, None, :, j]).sum(2) for j in range(24)], 2) + d
    torch.testing.assert_close(found, expected.view(2, 16, 4, 6), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(drawn.received_BHW, 24 * share.mean(2).view(2, 4, 6), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(drawn.paid_BHW, 24 * share[:, :, 11].view(2, 4, 6), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(drawn.active_BHW, found.abs().mean(1))
    assert drawn.received_BHW.max() > 1.5 and drawn.weights_BC is None  # the case is not a trivial one


def test_scaling_divides_by_the_root_of_each_module_s_channels_and_adds_nothing():
    plain, scaled = (models.create("msanet", 3, options=TINY | {"scale": scale}) for scale in ("none", "sqrt"))
    assert plain.state_dict().keys() == scaled.state_dict().keys()
    assert [plain.attention_56.divisor, plain.attention_112.divisor] == [1, 1]
    assert [scaled.attention_56.divisor, scaled.attention_112.divisor] == [32**0.5, 4]
    assert [published(scale="sqrt").attention_56.divisor, models.config_class("msanet")().scale] == [16, "none"]


@pytest.mark.parametrize("init", ["gaussian", "kaiming"])
def test_initialisation(init):
    model = models.create("msanet", 3, seed=5, options=TINY | {"init": init})
    convolutions = {name: one for name, one in model.named_modules() if isinstance(one, nn.Conv2d)}
    del convolutions["decode_224.2"]  # the scores', which start as the recipe says
    for name, one in convolutions.items():
        he = (2 / (one.out_channels * one.kernel_size[0] * one.kernel_size[1])) ** 0.5
        expected = 0.01 if init == "gaussian" or name.endswith((".a", ".b")) else he
        assert abs(float(one.weight.detach().mean())) < 4 * expected / one.weight.numel() ** 0.5, name
        assert float(one.weight.detach().std()) == pytest.approx(expected, rel=0.3), name
        assert one.bias is None or not one.bias.any(), name


def test_attention_is_spread_before_training():
    """A softmax without scaling that began with one position would pass no gradient to the others."""
    model = models.create("msanet", 3, options={"width": 0.25}).eval()
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        maps = model.attention(image)
    assert [name for name, _ in maps] == ["attention_56", "attention_112"]
    assert [tuple(one.received_BHW.shape) for _, one in maps] == [(1, 16, 16), (1, 32, 32)]
    assert all(float(one.received_BHW.min()) > 0.5 and float(one.received_BHW.max()) < 2 for _, one in maps)


def test_widths_are_multiples_of_eight():
    for width in (0.01, 0.13, 0.3, 0.7):
        with torch.device("meta"):
            model = models.create("msanet", 21, options={"width": width})
        channels = [one.out_channels for one in model.modules() if isinstance(one, nn.Conv2d)][:-1]
        assert all(one % 8 == 0 and one >= 8 for one in channels)


@pytest.mark.parametrize("weights", ["imagenet", "vgg.safetensors"])
def test_weights_it_cannot_take_are_refused(weights):
    with pytest.raises(ModelFileError, match="msanet"):
        models.create("msanet", 3, weights=weights, options=TINY)
