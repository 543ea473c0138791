"""Benchmarks run on every processor: what one cannot do is left out, and what is chosen is measured."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import small_onnx
from programs import BENCHMARKS, STUDIES, program
from tarsia import hardware


@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_exporting_leaves_out_what_the_processor_lacks(
    has_bfloat16: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(hardware, "openvino_computes_bfloat16", lambda core: has_bfloat16)
    ways = program(BENCHMARKS / "export", monkeypatch).our_ways(
        {"float32": small_onnx.content()}, 1, np.zeros((8, 8), np.uint8)
    )
    names = ["float32 onnxruntime", "float32 openvino", "float32 openvino bfloat16"]
    assert [name for name, _ in ways] == names[: 2 + has_bfloat16]
    assert ("left out: openvino bfloat16" in capsys.readouterr().err) == (not has_bfloat16)


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.stem)
def test_no_benchmark_takes_a_layout_for_granted(path: Path) -> None:
    assert "torch.channels_last" not in path.read_text(encoding="utf-8")


PROGRAMS = sorted([*BENCHMARKS.glob("*.py"), *STUDIES.glob("*.py")])


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_what_a_program_imports_is_there(path: Path) -> None:
    """Also in the text of the processes it starts, which nothing else reads."""
    text = path.read_text(encoding="utf-8")
    lines = re.findall(r"^\s*(from tarsia[\w.]* import (?:\([^)]*\)|.+?)|import tarsia[\w.]*)(?: as \w+)?$", text, re.M)
    assert [line for line in lines if not works(line)] == []


def works(line: str) -> bool:
    try:
        exec(line, {})
    except ImportError:
        return False
    return True
