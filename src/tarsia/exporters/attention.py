"""Attention in ONNX files: the scores of a block of queries at a time, never those of all against all.

Torch's exporter writes attention as its formula, which for the 22,500 positions of a 300x300 map holds two matrices of
2 GB each.  Here a Scan goes over blocks of up to `_ROWS` queries, which at 12,544 positions of 128 channels takes a
fourteenth of the memory and two thirds of the time (ONNX Runtime on a CPU).  All operators are standard ones.
"""

# mypy: ignore-errors
# (onnxscript types its operators for running them, not for scripts, which are never run as Python.)
from __future__ import annotations

from typing import Any

import torch
from onnxscript import FLOAT, INT64, graph, script
from onnxscript import opset18 as op  # torch's exporter translates at 18 and brings all of it to OPSET afterwards

_ROWS = 512  # as in models/_attention.py


@script()
def _attend(query: FLOAT, key: FLOAT, value: FLOAT, rows: INT64, scale: FLOAT) -> FLOAT:
    """B x heads x N x C, B x heads x M x C, B x heads x M x D -> softmax(scale query keyᵀ) value, B x heads x N x D.

    The queries are brought to whole blocks of one size, the last with zeros that are cut off again.
    """
    turned = op.Transpose(op.Mul(key, scale), perm=[0, 1, 3, 2])

    @graph()
    def block(some):  # type: ignore[no-untyped-def]
        return op.MatMul(op.Softmax(op.MatMul(some, turned), axis=-1), value)

    count = op.Shape(query, start=2, end=3)
    outer = op.Shape(query, start=0, end=2)
    blocks = op.Div(op.Sub(op.Add(count, rows), 1), rows)
    size = op.Div(op.Sub(op.Add(count, blocks), 1), blocks)
    zero, along, rest = op.Constant(value_ints=[0]), op.Constant(value_ints=[2]), op.Constant(value_ints=[-1])
    padded = op.Pad(query, op.Concat(zero, op.Sub(op.Mul(size, blocks), count), axis=0), None, along)
    cut = op.Reshape(padded, op.Concat(outer, blocks, size, rest, axis=0))
    attended = op.Scan(cut, body=block, num_scan_inputs=1, scan_input_axes=[2], scan_output_axes=[2])
    joined = op.Reshape(attended, op.Concat(outer, rest, op.Shape(value, start=3, end=4), axis=0))
    return op.Slice(joined, zero, count, along)


def _translate(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """torch's scaled_dot_product_attention, with its own names, in ONNX's operators."""
    if is_causal or enable_gqa:
        raise ValueError("attention that is causal or shares its keys among heads is not written")
    factor = op.Constant(value_float=float(query.shape[-1]) ** -0.5 if scale is None else scale)
    if attn_mask is None:
        return _attend(query, key, value, op.Constant(value_ints=[_ROWS]), factor)
    scores = op.MatMul(op.Mul(query, factor), op.Transpose(key, perm=[0, 1, 3, 2]))
    return op.MatMul(op.Softmax(op.Add(scores, attn_mask), axis=-1), value)


# For torch.onnx.export's custom_translation_table.
TRANSLATIONS: dict[Any, Any] = {torch.ops.aten.scaled_dot_product_attention.default: _translate}
