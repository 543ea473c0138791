"""Memory: how much there is, by whatever limits it, and what it is called when it has run out."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from tarsia.engines import memory_limit

MEMINFO = "MemTotal:  900 kB\nMemAvailable:     800 kB\nSwapFree:   50 kB\n"


def system(root: Path, **files: str) -> Path:
    """A root with these files; `__` stands for a slash."""
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_the_machine_says_what_it_has_left(tmp_path):
    assert memory_limit.free_bytes(tmp_path) is None, "no such system"
    assert memory_limit.free_bytes(system(tmp_path, proc__meminfo=MEMINFO)) == 800 * 1024


def test_the_tightest_of_all_groups_around_counts_without_what_only_caches_files(tmp_path):
    root = system(
        tmp_path,
        proc__meminfo=MEMINFO,
        proc__self__cgroup="0::/outer/inner\n",
        sys__fs__cgroup__outer__inner__memory_dot_max="max\n",
        sys__fs__cgroup__outer__inner__memory_dot_current="4096\n",
        sys__fs__cgroup__outer__memory_dot_max="500000\n",
        sys__fs__cgroup__outer__memory_dot_current="450000\n",
        sys__fs__cgroup__outer__memory_dot_stat="anon 1\ninactive_file 100000\n",
    )
    assert memory_limit.free_bytes(root) == 150_000
    (root / "sys/fs/cgroup/outer/memory.current").write_text("700000\n")
    assert memory_limit.free_bytes(root) == 0, "never less than nothing"


@pytest.mark.parametrize(("limit", "expected"), [("600000", 500_000), ("9223372036854771712", 800 * 1024)])
def test_groups_of_version_1_as_a_container_sees_them(limit, expected, tmp_path):
    root = system(
        tmp_path,
        proc__meminfo=MEMINFO,
        proc__self__cgroup="9:name=systemd:/\n4:cpu,memory:/docker/of/the/host\n0::/\n",
        sys__fs__cgroup__memory__memory_dot_limit_in_bytes=limit,
        sys__fs__cgroup__memory__memory_dot_usage_in_bytes="200000",
        sys__fs__cgroup__memory__memory_dot_stat="total_inactive_file 100000\n",
    )
    assert memory_limit.free_bytes(root) == expected


@pytest.mark.parametrize(("limit", "taken"), [(resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")])
def test_limits_of_the_process_count(limit, taken, tmp_path, monkeypatch):
    root = system(tmp_path, proc__meminfo=MEMINFO, proc__self__status=f"{taken}:\t  100 kB\n")
    given = {limit: (102_401, -1)}
    monkeypatch.setattr(resource, "getrlimit", lambda one: given.get(one, (-1, -1)))
    assert memory_limit.free_bytes(root) == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (np._core._exceptions._ArrayMemoryError((9,), np.dtype(int)), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 20 GiB"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), True),
        (RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for 9 GB"), True),
        (RuntimeError("Exception from src/inference:\n[CPU] Failed to allocate 9 bytes of memory\n\n"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
    ids=str,
)
def test_whoever_says_it(error, expected):
    assert memory_limit.is_exhausted(error) is expected
    said = "model.onnx: .*(llocate|ALLOC|out of memory|no reason)" if expected else "mat1"
    with pytest.raises(MemoryError if expected else RuntimeError, match=said), memory_limit.exhaustion("model.onnx"):
        raise error


def test_a_real_refused_allocation_is_out_of_memory():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert memory_limit.is_exhausted(caught.value)


def test_nothing_of_what_failed_is_left_once_the_error_is_dealt_with():
    """Its arrays are what the next try has to have room for."""
    found, said = [], []

    def work() -> None:
        array = np.zeros(9)
        found.append(weakref.ref(array))
        raise RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory\nfor all")

    try:
        with memory_limit.exhaustion("m.onnx"):
            work()
    except MemoryError as error:
        said.append(str(error))
    assert said == ["m.onnx: Failed to allocate memory"]
    assert found[0]() is None, "without waiting for the collector of circles"


LIMITED = """
import resource, numpy as np
from tarsia.engines import memory_limit
before = resource.getrlimit(resource.RLIMIT_DATA)
left = [300 * 2**20]
with memory_limit.limited(lambda: left[0]) as look, memory_limit.limited(lambda: 0):  # the second changes nothing
    some = np.ones(100 * 2**20, np.uint8)
    try:
        np.ones(500 * 2**20, np.uint8)
    except MemoryError:
        print("refused")
    left[0] = 900 * 2**20
    look()
    try:
        np.ones(500 * 2**20, np.uint8)
    except MemoryError:
        print("too early for another look")
    memory_limit._SECONDS = 0
    look()
    np.ones(500 * 2**20, np.uint8)
print("restored", resource.getrlimit(resource.RLIMIT_DATA) == before)
"""


@pytest.mark.skipif(
    memory_limit.resident_bytes() is None, reason="this system does not say how much memory a process has"
)
def test_what_there_is_no_room_for_fails_instead_of_ending_the_process():
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["refused", "too early for another look", "restored True"], done.stderr


def test_the_peak_is_the_most_that_was_seen():
    seen, over = iter([5, 9, 7]), threading.Event()

    def look() -> int | None:
        found = next(seen, None)
        if found is None:
            over.set()
        return found

    with memory_limit.Peak(look) as peak:
        assert over.wait(60)
    assert peak.bytes == 9
    with memory_limit.Peak(lambda: None) as unknown:
        pass
    assert unknown.bytes is None


def test_without_room_for_a_thread_nothing_is_known(monkeypatch):
    def none(self: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", none)
    with memory_limit.Peak() as peak:
        pass
    assert peak.bytes is None
