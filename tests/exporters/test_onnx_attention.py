"""Attention in an exported graph, against torch's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional

from tarsia.exporters.attention import _ROWS, TRANSLATIONS
from tarsia.exporters.writer import OPSET

POSITIONS = {0: Dim("batch", min=1), 2: Dim("positions", min=1)}
OTHERS = {0: Dim("batch", min=1), 2: Dim("others", min=1)}


class Attention(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return functional.scaled_dot_product_attention(query, key, value, **self.options)


def given(batch: int, heads: int, queries: int, keys: int) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(queries)
    shapes = ((queries, 8), (keys, 8), (keys, 12))
    query, key, value = (torch.randn(batch, heads, *shape, generator=random) for shape in shapes)
    return query, key, value


def written(module: nn.Module, heads: int = 2) -> onnx.ModelProto:
    program = torch.onnx.export(
        module.eval(),
        given(2, heads, 20, 30),
        dynamo=True,
        dynamic_shapes=(POSITIONS, OTHERS, OTHERS),
        input_names=["query", "key", "value"],
        opset_version=OPSET,
        custom_translation_table=TRANSLATIONS,
        verbose=False,
    )
    return program.model_proto


def run(model: onnx.ModelProto, inputs: tuple[Tensor, ...]) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = ("query", "key", "value")
    return session.run(None, {name: one.numpy() for name, one in zip(names, inputs, strict=True)})[0]


@pytest.mark.parametrize("options", [{"scale": 1.0}, {}], ids=["unscaled", "scaled"])
def test_any_number_of_positions(options: dict[str, Any]) -> None:
    module = Attention(**options)
    model = written(module)
    assert [one.op_type for one in model.graph.node].count("Scan") == 1 and not model.functions
    for batch, queries, keys in ((1, 1, 1), (3, 20, 7), (1, _ROWS, 40), (2, _ROWS + 1, 3), (1, 3 * _ROWS - 5, 600)):
        inputs = given(batch, 2, queries, keys)
        np.testing.assert_allclose(run(model, inputs), module(*inputs).numpy(), atol=2e-5, rtol=1e-4)


def test_a_mask_is_added() -> None:
    mask = torch.randn(1, 2, 20, 30, generator=torch.Generator().manual_seed(1))
    program = torch.onnx.export(
        Attention(attn_mask=mask).eval(),
        given(2, 2, 20, 30),
        dynamo=True,
        input_names=["query", "key", "value"],
        opset_version=OPSET,
        custom_translation_table=TRANSLATIONS,
        verbose=False,
    )
    inputs = given(2, 2, 20, 30)
    expected = functional.scaled_dot_product_attention(*inputs, attn_mask=mask)
    np.testing.assert_allclose(run(program.model_proto, inputs), expected.numpy(), atol=1e-5)


def test_causal_attention_is_refused() -> None:
    with pytest.raises(torch.onnx.OnnxExporterError) as caught:
        written(Attention(is_causal=True))
    assert "causal" in str(caught.value) + str(caught.value.__cause__)


def test_the_scores_of_all_against_all_are_never_there(tmp_path: Path) -> None:
    onnx.save(written(Attention(), heads=1), tmp_path / "m.onnx")
    code = (
        "import re, sys, numpy, onnxruntime\n"
        "def peak(): return int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) / 1024\n"
        "session = onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])\n"
        "one = numpy.zeros((1, 1, 8192, 12), numpy.float32)\n"
        "before = peak()\n"
        "session.run(None, {'query': one[..., :8], 'key': one[..., :8], 'value': one})\n"
        "print(peak() - before)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "m.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 130, "8192 x 8192 scores are 256 MB"
