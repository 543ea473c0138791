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


def test_a_rule_is_changed_where_it_gains_and_no_set_loses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rules = program(BENCHMARKS / "auto_rules", monkeypatch)
    gains = {"CE alone": (0.02, 0.0), "cosine": (0.04, -0.02), "no flips": (0.004, 0.004), "rate 1e-3": (0.02,)}
    for seed in range(3):
        base = {"cells": 0.8 + 0.01 * seed, "fields": 0.6}
        rows = [
            ("as it is", base.values()),
            *((one, [sum(pair) for pair in zip(base.values(), change, strict=False)]) for one, change in gains.items()),
        ]
        for changed, mious in rows:
            for data, miou in zip(base, mious, strict=False):
                found = {
                    "miou": round(miou, 4),
                    "steps": 9,
                    "batch": 4,
                    "processor_seconds": 1,
                    "wall_seconds": 2,
                    "commit": "abc",
                }
                rules.append(tmp_path / "rows.csv", rules.Asked(data, changed, seed), found)
    read = rules.read(tmp_path / "rows.csv")
    assert len(read) == 27 and read[rules.Asked("cells", "CE alone", 2)] == 0.84
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in rules.table(read).splitlines()]
    assert cells[0] == ["changed", "cells", "fields", "mean", ""]
    assert cells[2] == ["as it is (mIoU)", "0.810 ± 0.025", "0.600 ± 0.000", "", ""]
    assert {row[0]: row[-2:] for row in cells[3:]} == {
        "CE alone": ["+0.010", "better"],
        "cosine": ["+0.010", "kept as it is"],
        "no flips": ["+0.004", "kept as it is"],
        "rate 1e-3": ["+0.020", "better, not on all sets, of few seeds"],
    }
    assert cells[3][1] == "+0.020 ± 0.000" and next(row for row in cells if row[0] == "rate 1e-3")[2] == "-"
