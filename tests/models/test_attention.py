"""Attention over all positions against the formula written out: values, gradients, memory; and what is drawn of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tarsia import hardware, models
from tarsia.models import _attention
from tarsia.models._attention import Attended, Attention, Attentive, attend, attention_of, attention_received
from tarsia.models._blocks import SqueezeExcitation
from tarsia.models._segmenter import Segmenter

SCHEMA = (
    "aten::_softmax_backward_data.out(Tensor grad_output, Tensor output, int dim, ScalarType input_dtype, *, "
    "Tensor(a!) grad_input) -> Tensor(a!)"
)
pytestmark = pytest.mark.processor
needs_gpu = pytest.mark.skipif(not hardware.has_cuda(), reason="needs a GPU")


def naive(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return (query @ key.transpose(1, 2)).softmax(-1) @ value


def inputs(dtype: torch.dtype, positions: int = 60, channels: int = 16, batch: int = 2) -> list[Tensor]:
    """Query, key, value, and the gradient of the result; scores that make some positions stand out."""
    random = torch.Generator().manual_seed(1)
    drawn = [torch.randn(batch, positions, channels, generator=random, dtype=torch.float64) for _ in range(4)]
    return [(one * (0.7 if index < 2 else 1)).to(dtype) for index, one in enumerate(drawn)]


def values_and_gradients(function: Any, dtype: torch.dtype, given: list[Tensor]) -> list[Tensor]:
    leaves = [one.to(dtype).requires_grad_() for one in given[:3]]
    out = function(*leaves)
    assert out.dtype == dtype
    return [out.detach(), *torch.autograd.grad(out, leaves, given[3].to(dtype))]


@pytest.fixture(params=[32, 10**6], ids=["rows of 32", "one block"])
def blocks(request, monkeypatch):
    """The computation in blocks, whatever the type, with a last block that is smaller."""
    monkeypatch.setattr(_attention, "_BLOCK_ROWS", request.param)
    return _attention._BlockAttention.apply


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 3e-5)])
def test_attention_is_the_formula_with_all_its_gradients(dtype, tolerance):
    given = inputs(torch.float64)
    expected = values_and_gradients(naive, torch.float64, given)
    for found, wanted in zip(values_and_gradients(attend, dtype, given), expected, strict=True):
        torch.testing.assert_close(found.double(), wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 3e-5)])
def test_blocks_are_the_formula_with_all_its_gradients(blocks, dtype, tolerance):
    given = inputs(torch.float64)
    expected = values_and_gradients(naive, torch.float64, given)
    for found, wanted in zip(values_and_gradients(blocks, dtype, given), expected, strict=True):
        torch.testing.assert_close(found.double(), wanted, rtol=tolerance, atol=tolerance)


def test_bfloat16_is_as_near_as_the_formula_in_bfloat16(blocks):
    given = inputs(torch.bfloat16, positions=200)
    exact = values_and_gradients(naive, torch.float64, given)
    rough = values_and_gradients(naive, torch.bfloat16, given)
    found = values_and_gradients(attend, torch.bfloat16, given)
    for ours, theirs, wanted in zip(found, rough, exact, strict=True):
        errors = [float((one.double() - wanted).norm() / wanted.norm()) for one in (ours, theirs)]
        assert errors[0] < 1.3 * errors[1] + 1e-3 and errors[0] < 0.03, errors


def test_sums_over_many_blocks_do_not_round_away(monkeypatch):
    monkeypatch.setattr(_attention, "_BLOCK_ROWS", 32)
    given = inputs(torch.bfloat16, positions=1600, batch=1)  # 50 additions
    exact = values_and_gradients(naive, torch.float64, given)
    for ours, wanted in zip(values_and_gradients(attend, torch.bfloat16, given), exact, strict=True):
        assert float((ours.double() - wanted).norm() / wanted.norm()) < 0.03


def test_large_scores_do_not_overflow():
    for dtype in (torch.float32, torch.bfloat16):
        query, key, value, _ = inputs(dtype)
        assert attend(100 * query, 100 * key, value).isfinite().all()


def test_under_autocast_nothing_is_rounded_twice():
    """What arrives as bfloat16 is computed as such; a float32 gradient sum stays float32 whatever autocast says."""
    given = inputs(torch.bfloat16)
    expected = values_and_gradients(attend, torch.bfloat16, given)
    with torch.autocast("cpu", torch.bfloat16):
        found = values_and_gradients(attend, torch.bfloat16, given)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("function", [attend, attention_received])
def test_positions_may_lie_in_memory_as_a_convolution_leaves_them(function):
    query, key, value, _ = inputs(torch.float32)
    given = [query, key, value] if function is attend else [query, key]
    strided = [one.transpose(1, 2).contiguous().transpose(1, 2) for one in given]
    assert not strided[0].is_contiguous()
    torch.testing.assert_close(function(*strided), function(*given))


@pytest.mark.parametrize(("positions", "rows"), [(1, 32), (60, 64), (3136, 1056), (12_544, 1056), (65_536, 256)])
def test_blocks_are_of_one_size_and_few(positions, rows):
    query = torch.empty(1, positions, 1, device="meta")
    assert _attention._scratch(2, query, query).shape == (2, rows, positions)
    steps = [step for step, _ in _attention._blocks(query[0], torch.empty(2, rows, 1, device="meta"))]
    assert steps[0].start == 0 and steps[-1].stop == positions
    assert all(one.stop == other.start for one, other in zip(steps, steps[1:], strict=False))


class Largest(TorchDispatchMode):
    """The number of values of the largest tensor that any operation gave, views included."""

    def __init__(self) -> None:
        super().__init__()
        self.values = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        for one in result if isinstance(result, list | tuple) else [result]:
            if isinstance(one, Tensor):
                self.values = max(self.values, one.numel())
        return result


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("training", [True, False])
def test_the_scores_are_never_all_there(dtype, training, monkeypatch):
    positions = 1024
    monkeypatch.setattr(_attention, "_BLOCK_SCORES", positions * 64)
    leaves = [one.requires_grad_(training) for one in inputs(dtype, positions, batch=1)[:3]]
    with Largest() as largest:
        out = attend(*leaves)
        if training:
            out.sum().backward()
        else:
            attention_received(*leaves[:2])
    assert 0 < largest.values <= 3 * positions * 64
    with Largest() as largest:  # the probe sees what it should see
        naive(*leaves)
    assert largest.values == positions**2


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_nor_in_the_whole_network(precision, monkeypatch):
    monkeypatch.setattr(_attention, "_BLOCK_SCORES", 1536 * 64)
    model = models.create("msanet", 3, options={"width": 0.125}).train()
    image = torch.zeros(1, 3, 64, 96, dtype=torch.uint8)  # 32 x 48 = 1536 positions in MSAM-112
    with Largest() as largest:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            scores = model(image)
        scores.float().sum().backward()
        model.eval().attention(image)
    assert largest.values < 1536**2


@needs_gpu
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-3), (torch.bfloat16, 0.03)])
def test_on_a_gpu_it_is_the_formula_without_the_scores(dtype, tolerance):
    given = [one.cuda() for one in inputs(dtype, positions=4096, channels=64)]
    exact = values_and_gradients(naive, torch.float64, given)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    found = values_and_gradients(attend, dtype, given)
    assert torch.cuda.max_memory_allocated() - before < 2 * 4096**2 * dtype.itemsize / 2
    for ours, wanted in zip(found, exact, strict=True):
        assert float((ours.double() - wanted).norm() / wanted.norm()) < tolerance


# ---- what is drawn


def test_attention_received_counts_the_columns(monkeypatch):
    monkeypatch.setattr(_attention, "_BLOCK_ROWS", 32)
    query, key, _, _ = inputs(torch.float32)
    expected = (query @ key.transpose(1, 2)).softmax(-1).mean(1) * 60
    found = attention_received(query, key)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.mean(1), torch.ones(2))
    assert torch.equal(attention_received(query.bfloat16(), key.bfloat16()).isfinite(), torch.ones(2, 60) > 0)


def test_squeeze_and_excitation_shows_its_weights_and_where_they_act():
    block = SqueezeExcitation(12).eval()
    x = torch.randn(2, 12, 3, 5, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        found, out = block.attended(x), block(x)
    assert isinstance(block, Attentive)
    weights = found.weights_BC
    assert weights is not None and weights.shape == (2, 12)
    drawn = attention_of(found, out, (0.5, 0.5))
    assert drawn.received_BHW is None and drawn.paid_BHW is None and drawn.weights_BC is weights
    for image in range(2):
        for channel in range(12):
            torch.testing.assert_close(out[image, channel], x[image, channel] * weights[image, channel])
    torch.testing.assert_close(drawn.active_BHW, sum(out[:, channel].abs() for channel in range(12)) / 12)


@pytest.mark.parametrize(
    ("at", "position"), [((0, 0), 0), ((0.999, 0.999), 14), ((1, 1), 14), ((0.34, 0.59), 7), ((0.33, 0.61), 3)]
)
def test_what_one_position_pays_adds_up_to_what_all_receive(at, position):
    """3 x 5 positions; the share is a column of eq. 1's softmax over who is attended to."""
    generator = torch.Generator().manual_seed(6)
    query, key, output = (torch.randn(2, 4, 3, 5, generator=generator) for _ in range(3))
    found = attention_of(Attended(query_BCHW=query, key_BCHW=key), output, at)
    shares = torch.einsum("bcj,bci->bji", query.flatten(2), key.flatten(2)).softmax(2)
    torch.testing.assert_close(found.paid_BHW, 15 * shares[:, position].view(2, 3, 5))
    torch.testing.assert_close(found.received_BHW, shares.sum(1).view(2, 3, 5))
    torch.testing.assert_close(found.active_BHW, output.abs().mean(1))
    assert found.weights_BC is None
    assert attention_of(Attended(query_BCHW=query, key_BCHW=key), output).paid_BHW is None


class Twice(Segmenter):
    """A network that weights its channels, in one of two modules twice."""

    stride = 1

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(SqueezeExcitation(3))
        self.outer = SqueezeExcitation(3)

    def segment(self, image_B3HW: Tensor) -> Tensor:
        return self.outer(self.inner(self.inner(image_B3HW)))


def test_a_network_s_attention_is_what_its_modules_saw_in_order():
    model = Twice().eval()
    image = torch.randint(0, 256, (2, 3, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = model(image)
        found = model.attention(image)
        assert torch.equal(model(image), expected)
        seen = (image - model.mean) / model.std
        again = model.inner(seen)
    assert [name for name, _ in found] == ["inner.0", "inner.0", "outer"]
    wanted = [(model.inner[0], seen), (model.inner[0], again), (model.outer, model.inner(again))]
    for (_, one), (block, given) in zip(found, wanted, strict=True):
        assert isinstance(one, Attention)
        torch.testing.assert_close(one.active_BHW, block(given).abs().mean(1))
        torch.testing.assert_close(one.weights_BC, block.attended(given).weights_BC)
    assert all(not part._forward_hooks for part in model.modules())


def test_hooks_are_removed_where_the_network_fails():
    model = models.create("msanet", 3, options={"width": 0.125}).eval()
    with pytest.raises(ValueError, match="stride"):
        model.attention(torch.zeros(1, 3, 9, 9, dtype=torch.uint8))
    assert all(not part._forward_hooks for part in model.modules())


def test_a_network_without_attention_has_none():
    model = models.create("unet", 3, options={"encoder": "test_resnet"}).eval()
    assert model.attention(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)) == []


def test_the_private_operator_is_still_what_it_was() -> None:
    """models/_attention.py calls it; seen with torch 2.15, and pyproject.toml allows no torch 3."""
    found = str(torch.ops.aten._softmax_backward_data.out._schema)
    assert found == SCHEMA, f"torch {torch.__version__} has changed it: write models/_attention.py anew"
