"""What this machine computes with: the one place that asks after its processor, cores and GPUs.

Whatever depends on an answer asks here (`from tarsia import hardware`, so that a test can give either answer to all of
it).  How fast something is, is not asked but measured: learning/probe.py.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_CPUINFO = Path("/proc/cpuinfo")
# What changes how a network is best computed, and the flags (of x86 and ARM) that say so.
_INSTRUCTIONS = {
    "AVX2": {"avx2"},
    "AVX-512": {"avx512f"},
    "VNNI": {"avx_vnni", "avx512_vnni"},
    "bfloat16": {"avx512_bf16", "amx_bf16", "bf16"},
    "AMX": {"amx_tile"},
    "NEON": {"asimd"},
    "SVE": {"sve"},
}
_sharing = 1  # processes of one training that compute on the same cores
_most: int | None = None  # cores that this process was given, of those it may run on


def cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """How many cores this process can keep busy: those it may run on, or its container's quota of them, rounded up.

    Of `shared` cores its part, and no more than it was told to `take`.
    """
    if _most is not None:
        return _most
    allowed = len(core_numbers()) or os.cpu_count() or 1
    try:
        microseconds, period = map(int, quota.read_text(encoding="ascii").split())
    except (OSError, ValueError):  # no such file, or the word `max` in it
        return max(1, allowed // _sharing)
    return max(1, min(allowed, -(-microseconds // period)) // _sharing)


def core_numbers() -> list[int]:
    """The cores that this process may run on, by their numbers; empty where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@contextlib.contextmanager
def shared(processes: int) -> Iterator[None]:
    """Within, the cores are those of `processes` together, this one among them."""
    global _sharing
    before, _sharing = _sharing, processes
    try:
        yield
    finally:
        _sharing = before


def keep_to(place: int, processes: int) -> None:
    """Keep this process, the first (0), second ... of several, to its share of the cores: as many for each of them.

    Where there are fewer cores than processes, to one that it shares.  Torch, where it is loaded, follows.
    """
    if processes == 1:
        return
    share = max(1, cores() // processes)
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {allowed[(place * share + k) % len(allowed)] for k in range(share)})
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(share)


def take(count: int) -> None:
    """Compute on so many cores, whichever: others have the rest.  Torch, where it is loaded, follows."""
    global _most
    _most = count
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)


def processor() -> str | None:
    """The processor's name; None where the system does not say."""
    return _first("model name") or platform.processor() or None


def instructions() -> list[str]:
    """Which of AVX2, AVX-512, VNNI, bfloat16, AMX, NEON and SVE the processor has; empty where it cannot be asked."""
    flags = set((_first("flags") or _first("Features") or "").split())
    return [name for name, said_by in _INSTRUCTIONS.items() if flags & said_by]


def torch_computes_bfloat16(device: str = "cpu") -> bool:
    """Whether `device` has hardware for bfloat16 that torch uses: without it bfloat16 is computed, many times slower.

    oneDNN, held to older instructions by ONEDNN_MAX_CPU_ISA, says no; and it says yes where AVX-512 has to emulate it,
    which the processor's own flags then deny.
    """
    import torch

    kind = device.partition(":")[0]
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and "bfloat16" in instructions()


def torch_described() -> str:
    """Which instructions torch uses on the CPU, whatever the processor has: `AVX512, bfloat16`."""
    import torch

    return torch.backends.cpu.get_cpu_capability() + (", bfloat16" if torch_computes_bfloat16() else "")


def openvino_computes_bfloat16(core: Any) -> bool:
    """Whether an openvino.Core computes in bfloat16 on this CPU, if asked to."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def has_cuda() -> bool:
    """Whether torch has a GPU of NVIDIA's, or of AMD's under the same name."""
    import torch

    return torch.cuda.is_available()


def gpus() -> int:
    """How many GPUs torch has."""
    import torch

    return torch.cuda.device_count()


def onnxruntime_providers() -> list[str]:
    """What the installed ONNX Runtime was built for, best first; whether it starts there is another question."""
    import onnxruntime

    return list(onnxruntime.get_available_providers())


def _first(key: str) -> str | None:
    """What the first processor says under `key`."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), None)
