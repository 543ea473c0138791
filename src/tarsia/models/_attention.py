"""Attention between all positions of a map, in memory that grows with the positions, not with their square."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

_softmax_backward = torch.ops.aten._softmax_backward_data.out
_BLOCK_ROWS, _BLOCK_SCORES = 1056, 16 * 2**20  # queries, and scores, computed at once at most


class Attended(NamedTuple):
    """What an attention module attends by in one batch: the weights of channels, or query and key of positions."""

    weights_BC: Tensor | None = None  # each channel's weight, 0 .. 1
    query_BCHW: Tensor | None = None  # a position pays its attention to all by softmax(its query . their keys)
    key_BCHW: Tensor | None = None


@runtime_checkable
class Attentive(Protocol):
    """A module whose attention can be drawn: `forward` gives B x C x H x W."""

    def attended(self, *inputs: Any) -> Attended:
        """What the module attends by, from what its `forward` was given."""
        ...


class Attention(NamedTuple):
    """What an attention module does to one batch; maps have the resolution of what it gives."""

    active_BHW: Tensor  # the mean absolute value over the channels of what it gives
    weights_BC: Tensor | None = None  # as Attended's
    received_BHW: Tensor | None = None  # how much of the attention of all positions each gets, 1 on average
    paid_BHW: Tensor | None = None  # how much of the attention of one chosen position each gets, 1 on average


def attention_of(found: Attended, output_BCHW: Tensor, at: tuple[float, float] | None = None) -> Attention:
    """What is drawn of a module that attends so and gives `output`.

    `at`: the position whose attention is asked for, as shares of height and width, from the top left.
    """
    active_BHW = output_BCHW.float().abs().mean(1)
    if found.query_BCHW is None or found.key_BCHW is None:
        return Attention(active_BHW, found.weights_BC)
    size = found.key_BCHW.shape[-2:]
    query_BNC, key_BNC = (one.flatten(2).transpose(1, 2) for one in (found.query_BCHW, found.key_BCHW))
    received_BHW, paid_BHW = attention_received(query_BNC, key_BNC).unflatten(1, size), None
    if at is not None:
        row, column = (min(int(share * side), side - 1) for share, side in zip(at, size, strict=True))
        paid_BHW = attention_received(query_BNC[:, [row * size[1] + column]], key_BNC).unflatten(1, size)
    return Attention(active_BHW, found.weights_BC, received_BHW, paid_BHW)


def attend(query_BNC: Tensor, key_BNC: Tensor, value_BNC: Tensor) -> Tensor:
    """softmax(query keyᵀ) value over all N positions, without scaling: B x N x C -> the same.

    Equal to the formula written out, gradients included, but the N x N scores are never all there: float32, and
    everything on GPUs, goes through torch's fused attention, which is slower than the formula for bfloat16 on CPUs
    (by 1.5 to 3.6 where AMX is absent); that is computed in blocks of queries, and again in the backward pass.
    """
    if query_BNC.dtype == torch.bfloat16 and query_BNC.device.type == "cpu":
        out: Tensor = _BlockAttention.apply(query_BNC, key_BNC, value_BNC)
        return out
    # Four dimensions and adjacent channels: without them torch falls back to the formula.
    query, key, value = (one.contiguous().unsqueeze(1) for one in (query_BNC, key_BNC, value_BNC))
    return functional.scaled_dot_product_attention(query, key, value, scale=1.0).squeeze(1)


@torch.no_grad()
def attention_received(query_BNC: Tensor, key_BNC: Tensor) -> Tensor:
    """How much attention each key gets from the queries together, B x N float32; the mean over the keys is 1."""
    query_BNC, key_BNC = query_BNC.float(), key_BNC.float()
    received_BN = torch.zeros(key_BNC.shape[:2], device=key_BNC.device)
    scratch = _scratch(1, query_BNC, key_BNC)
    with _plain(query_BNC):
        for query_NC, key_NC, received_N in zip(query_BNC, key_BNC, received_BN, strict=True):
            for rows, (scores,) in _blocks(query_NC, scratch):
                torch.mm(query_NC[rows], key_NC.T, out=scores)
                received_N += torch.softmax(scores, -1, out=scores).sum(0)
    return received_BN * (key_BNC.shape[1] / query_BNC.shape[1])


class _BlockAttention(torch.autograd.Function):
    """`attend` with explicit blocks; what a block computed is forgotten, and computed again for its gradient."""

    @staticmethod
    def forward(ctx: Any, query_BNC: Tensor, key_BNC: Tensor, value_BNC: Tensor) -> Tensor:
        ctx.save_for_backward(query_BNC, key_BNC, value_BNC)
        out_BNC = torch.empty_like(query_BNC, memory_format=torch.contiguous_format)
        scratch = _scratch(1, query_BNC, key_BNC)
        with _plain(query_BNC):
            for query_NC, key_NC, value_NC, out_NC in zip(query_BNC, key_BNC, value_BNC, out_BNC, strict=True):
                key_CN = key_NC.T.contiguous()  # or every block would arrange it anew
                for rows, (scores,) in _blocks(query_NC, scratch):
                    torch.mm(query_NC[rows], key_CN, out=scores)
                    torch.mm(torch.softmax(scores, -1, out=scores), value_NC, out=out_NC[rows])
        return out_BNC

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BNC: Tensor) -> tuple[Tensor, ...]:
        given = ctx.saved_tensors
        grads = tuple(torch.empty_like(one, memory_format=torch.contiguous_format) for one in given)
        scratch = _scratch(2, *given[:2])
        with _plain(grad_BNC):
            for image, grad_NC in enumerate(grad_BNC):
                _differentiate([one[image] for one in given], grad_NC, [one[image] for one in grads], scratch)
        return grads


def _differentiate(given_NC: list[Tensor], grad_NC: Tensor, grads_NC: list[Tensor], scratch: Tensor) -> None:
    """Write one image's gradients of query, key and value; P is the softmax of the scores S, dE the given gradient.

    dV = Pᵀ dE;  dP = dE Vᵀ;  dS = P (dP - its mean under P);  dQ = dS K;  dK = dSᵀ Q.
    """
    query_NC, key_NC, value_NC = given_NC
    grad_query_NC, grad_key_NC, grad_value_NC = grads_NC
    # Sums over blocks: in float32 at least, or each addition would round.
    wide = torch.promote_types(key_NC.dtype, torch.float32)
    key_sum_NC, value_sum_NC = torch.zeros_like(key_NC, dtype=wide), torch.zeros_like(value_NC, dtype=wide)
    key_CN, value_CN = key_NC.T.contiguous(), value_NC.T.contiguous()
    for rows, (shares, grad_scores) in _blocks(query_NC, scratch):
        query, grad = query_NC[rows], grad_NC[rows]
        torch.softmax(torch.mm(query, key_CN, out=shares), -1, out=shares)
        value_sum_NC += (shares.T @ grad).to(wide)  # without `to`, adding takes twice as long
        _softmax_backward(torch.mm(grad, value_CN, out=grad_scores), shares, -1, shares.dtype, grad_input=grad_scores)
        torch.mm(grad_scores, key_NC, out=grad_query_NC[rows])
        key_sum_NC += (grad_scores.T @ query).to(wide)
    grad_key_NC.copy_(key_sum_NC)
    grad_value_NC.copy_(value_sum_NC)


def _scratch(count: int, query_BNC: Tensor, key_BNC: Tensor) -> Tensor:
    """`count` x rows x keys: memory for the scores of one block after the other.

    The same for all, because fresh pages cost about as much as a product of matrices.
    """
    queries, keys = query_BNC.shape[1], key_BNC.shape[1]
    blocks = math.ceil(queries / max(1, min(_BLOCK_ROWS, _BLOCK_SCORES // keys)))
    rows = 32 * math.ceil(queries / blocks / 32)  # blocks of one size, as matrix units like it
    return query_BNC.new_empty(count, rows, keys)


def _blocks(query_NC: Tensor, scratch: Tensor) -> Iterator[tuple[slice, tuple[Tensor, ...]]]:
    """The queries in blocks: their rows, and the scratch memory for their scores."""
    count, step = len(query_NC), scratch.shape[1]
    for start in range(0, count, step):
        stop = min(start + step, count)
        yield slice(start, stop), scratch[:, : stop - start].unbind()


def _plain(like: Tensor) -> Any:
    """No autocast within: it would round what is computed in float32 on purpose."""
    return torch.autocast(like.device.type, enabled=False)
