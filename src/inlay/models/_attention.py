"""Attention between all positions of a map, in memory that grows with the positions, not with their square."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

_softmax_backward = torch.ops.aten._softmax_backward_data.out
_BLOCK_ROWS, _BLOCK_SCORES = 512, 8 * 2**20  # queries, and at most so many scores, computed at once


class Attended(NamedTuple):
    """What an attention module does to one batch."""

    map_BHW: Tensor  # how much of the attention each position gets, at the module's own resolution
    weights_BC: Tensor | None = None  # each channel's weight, 0 .. 1, where channels are weighted


@runtime_checkable
class Attentive(Protocol):
    """A module whose attention can be drawn."""

    def attended(self, *inputs: Any) -> Attended:
        """What the module does, from what its `forward` was given."""
        ...


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
    """How much attention each key gets from all queries together, B x N float32; the mean over the keys is 1."""
    query_BNC, key_BNC = query_BNC.float(), key_BNC.float()
    received_BN = torch.zeros(key_BNC.shape[:2], device=key_BNC.device)
    with _plain(query_BNC):
        for image, rows, (scores, shares) in _blocks(query_BNC, key_BNC, 2):
            torch.mm(query_BNC[image, rows], key_BNC[image].T, out=scores)
            received_BN[image] += torch.softmax(scores, -1, out=shares).sum(0)
    return received_BN * (key_BNC.shape[1] / query_BNC.shape[1])


class _BlockAttention(torch.autograd.Function):
    """`attend` with explicit blocks; what a block computed is forgotten, and computed again for its gradient."""

    @staticmethod
    def forward(ctx: Any, query_BNC: Tensor, key_BNC: Tensor, value_BNC: Tensor) -> Tensor:
        ctx.save_for_backward(query_BNC, key_BNC, value_BNC)
        out_BNC = torch.empty_like(query_BNC, memory_format=torch.contiguous_format)
        with _plain(query_BNC):
            for image, rows, (scores, shares) in _blocks(query_BNC, key_BNC, 2):
                torch.mm(query_BNC[image, rows], key_BNC[image].T, out=scores)
                torch.mm(torch.softmax(scores, -1, out=shares), value_BNC[image], out=out_BNC[image, rows])
        return out_BNC

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BNC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """dV = Pᵀ dE;  dP = dE Vᵀ;  dS = P (dP - its mean under P);  dQ = dS K;  dK = dSᵀ Q."""
        query_BNC, key_BNC, value_BNC = ctx.saved_tensors
        grad_query_BNC = torch.empty_like(query_BNC, memory_format=torch.contiguous_format)
        # Sums over blocks: in float32 at least, or each addition would round.
        wide = torch.promote_types(key_BNC.dtype, torch.float32)
        grad_key_BNC, grad_value_BNC = torch.zeros_like(key_BNC, dtype=wide), torch.zeros_like(value_BNC, dtype=wide)
        with _plain(query_BNC):
            for image, rows, (first, shares, grad_scores) in _blocks(query_BNC, key_BNC, 3):
                query, key, grad = query_BNC[image, rows], key_BNC[image], grad_BNC[image, rows]
                torch.softmax(torch.mm(query, key.T, out=first), -1, out=shares)
                grad_value_BNC[image] += (shares.T @ grad).to(wide)  # a mixed addition takes twice as long
                torch.mm(grad, value_BNC[image].T, out=first)
                _softmax_backward(first, shares, -1, shares.dtype, grad_input=grad_scores)
                torch.mm(grad_scores, key, out=grad_query_BNC[image, rows])
                grad_key_BNC[image] += (grad_scores.T @ query).to(wide)
        return grad_query_BNC, grad_key_BNC.to(key_BNC.dtype), grad_value_BNC.to(value_BNC.dtype)


def _blocks(query_BNC: Tensor, key_BNC: Tensor, count: int) -> Iterator[tuple[int, slice, tuple[Tensor, ...]]]:
    """(image, rows of its queries, `count` tensors for their scores against all keys).

    The tensors are the same memory every time: fresh pages would cost about as much as a product of matrices.
    """
    (images, queries, _), keys = query_BNC.shape, key_BNC.shape[1]
    step = max(1, min(queries, _BLOCK_ROWS, _BLOCK_SCORES // keys))
    scratch = query_BNC.new_empty(count, step, keys)
    for image in range(images):
        for start in range(0, queries, step):
            stop = min(start + step, queries)
            yield image, slice(start, stop), scratch[:, : stop - start].unbind()


def _plain(like: Tensor) -> Any:
    """No autocast within: it would round what is computed in float32 on purpose."""
    return torch.autocast(like.device.type, enabled=False)
