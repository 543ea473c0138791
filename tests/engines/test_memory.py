"""Memory after a large picture: given back, at once where it was an exception, else when no picture comes."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small_onnx
from tarsia.engines import onnx_file
from tarsia.engines.memory import Footprint, trim
from tarsia.engines.open import engine_class

STATUS = Path("/proc/self/statm")
needs_proc = pytest.mark.skipif(not STATUS.exists(), reason="the system does not say how much memory is resident")


def resident_mb() -> float:
    return int(STATUS.read_text().split()[1]) * 4096 / 2**20


FAULTS = """
import resource
import numpy as np
from tarsia.engines.memory import kept

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        np.ones(48 * 2**20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with kept():
    faults()
    print(faults())
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_what_is_freed_stays_for_the_next_step_and_goes_afterwards() -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    within, after = map(int, done.stdout.split())
    assert within < 100 < after


def test_what_was_needed_once_is_given_back_and_what_is_usual_is_kept() -> None:
    footprint = Footprint()
    assert not footprint.outgrown_by(1_000_000), "the first is all that is known"
    assert footprint.outgrown_by(2_000_001)
    assert not any(footprint.outgrown_by(pixels) for pixels in [1_000_000, 1_900_000] * 10)
    assert footprint.outgrown_by(4_000_000)
    assert not any(footprint.outgrown_by(1_000_000) for _ in range(20))


def test_larger_pictures_become_usual_and_are_outgrown_again() -> None:
    footprint = Footprint()
    footprint.outgrown_by(300_000)
    given_back = [footprint.outgrown_by(3_000_000) for _ in range(20)]
    assert given_back[0] and not any(given_back[2:])
    given_back = [footprint.outgrown_by(300_000) for _ in range(20)]
    assert given_back.count(True) == 1, "once most of them are small again"


def test_small_pictures_are_not_worth_the_work() -> None:
    footprint = Footprint()
    assert not any(footprint.outgrown_by(pixels) for pixels in [64, 250_000] * 10)
    assert not footprint.forget()
    footprint.outgrown_by(250_001)
    assert footprint.forget() and not footprint.forget()


@needs_proc
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("rests", [False, True])
def test_memory_after_a_large_picture(name: str, rests: bool) -> None:
    """Its numbers as floats and its scores take 50 MB each; where it is usual, they go when no picture comes."""
    if name == "openvino":
        pytest.importorskip("openvino")
    engine: Any = engine_class(name)(onnx_file.parse(small_onnx.content(), "small"), "small", "cpu", threads=1)
    small, large = (np.zeros((1, 8, width, 3), np.uint8) for width in (64, 524_288))
    engine.run(large if rests else small)
    if rests:
        engine.run(large)
        engine.give_back()
    trim()
    before = resident_mb()
    for _ in range(3):
        engine.run(small)
    for _ in range(3):
        engine.run(large)
        if rests:
            engine.give_back()
        else:
            for _ in range(3):
                engine.run(small)
    trim()
    assert resident_mb() - before < 25
