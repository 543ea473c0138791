"""MSANet's attention (equations 1 and 2) against the formula written out: time and peak memory, forward and backward.

For the two modules at 224x224, MSAM-56 (3,136 positions, 256 channels) and MSAM-112 (12,544 positions, 128 channels),
in float32 and bfloat16.  Times are CPU seconds of one process (neighbours hardly disturb them), the two taken in turn,
medians; a ratio above 1 says that ours is faster.  Memory is what the process's peak (VmHWM) grows by, in a process of
its own each: results and gradients, which both need, are part of it and given beside it.

    python benchmarks/attention.py --batch 4
"""

from __future__ import annotations

import argparse
import ctypes
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from tarsia import environment, hardware
from tarsia.models._attention import attend

MODULES = {"MSAM-56": (56 * 56, 256), "MSAM-112": (112 * 112, 128)}
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def naive(query_BNC: Tensor, key_BNC: Tensor, value_BNC: Tensor) -> Tensor:
    """The formula, with all scores at once."""
    return (query_BNC @ key_BNC.transpose(1, 2)).softmax(-1) @ value_BNC


WAYS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"naive": naive, "ours": attend}


def step(way: str, inputs: list[Tensor]) -> float:
    """CPU seconds of one forward and backward pass."""
    started = time.process_time()
    torch.autograd.grad(WAYS[way](*inputs[:3]), inputs[:3], inputs[3])
    return time.process_time() - started


def drawn(batch: int, positions: int, channels: int, dtype: torch.dtype) -> list[Tensor]:
    """Query, key, value and the gradient of the result, with scores of deviation 1."""
    random = torch.Generator().manual_seed(0)
    scales = (channels**-0.25, channels**-0.25, 1.0, 1.0)
    inputs = [(torch.randn(batch, positions, channels, generator=random) * scale).to(dtype) for scale in scales]
    return [*(one.requires_grad_() for one in inputs[:3]), inputs[3]]


def peak_megabytes(way: str, batch: int, module: str, dtype: str) -> float:
    """What the peak of a new process grows by in one step, after a small step of warming up."""
    command = [sys.executable, __file__, "--measure", way, module, dtype, "--batch", str(batch)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def measure(way: str, module: str, dtype: str, batch: int) -> None:
    """The work of that process: prints megabytes."""
    positions, channels = MODULES[module]
    step(way, drawn(1, 64, channels, TYPES[dtype]))
    inputs = drawn(batch, positions, channels, TYPES[dtype])
    ctypes.CDLL(None).malloc_trim(0)  # what drawing has left would be used again and not be seen
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = status("VmRSS")
    step(way, inputs)
    print((status("VmHWM") - before) / 1024)


def status(key: str) -> int:
    """A figure of this process, in KB."""
    found = re.search(rf"{key}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def compared(module: str, dtype: str, batch: int, rounds: int) -> dict[str, object]:
    """One row of the result."""
    positions, channels = MODULES[module]
    inputs = drawn(batch, positions, channels, TYPES[dtype])
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(rounds + 1):
        for way, taken in seconds.items():
            taken.append(step(way, inputs))
    del inputs
    ratios = [a / b for a, b in zip(seconds["naive"][1:], seconds["ours"][1:], strict=True)]
    peaks = {way: peak_megabytes(way, batch, module, dtype) for way in WAYS}
    needed = 4 * batch * positions * channels * TYPES[dtype].itemsize / 2**20  # the result and three gradients
    return {
        "cpu_seconds": {way: round(statistics.median(taken[1:]), 3) for way, taken in seconds.items()},
        "speed_ratio": round(statistics.median(ratios), 2),
        "speed_ratios": [round(ratio, 2) for ratio in sorted(ratios)],
        "peak_MB": {way: round(peak) for way, peak in peaks.items()} | {"results_and_gradients": round(needed)},
        "memory_ratio": round(peaks["naive"] / peaks["ours"], 1),
    }


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs=2, metavar=("MODULE", "TYPE"), help="one row, as MSAM-56 bfloat16")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.measure:
        measure(*asked.measure, asked.batch)
        return
    result: dict[str, object] = {"environment": environment.describe(), "torch": hardware.torch_described()}
    result |= {"batch": asked.batch, "threads": asked.threads}
    for module, dtype in [asked.only] if asked.only else [(m, t) for m in MODULES for t in TYPES]:
        result[f"{module} {dtype}"] = compared(module, dtype, asked.batch, asked.rounds)
        print(f"{module} {dtype}: {result[f'{module} {dtype}']}", file=sys.stderr)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
