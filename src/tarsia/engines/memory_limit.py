"""How much memory there is, and running out of it as one MemoryError: not as the end of the process."""

from __future__ import annotations

import contextlib
import re
import resource
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_ROOT = Path("/")
_WORDS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "failed to allocate",
    "unable to allocate",
    "could not allocate",
    "not enough memory",
    "alloc_failed",
    "bad_alloc",
)
_NONE_BYTES = 2**60  # cgroups of version 1 say so where there is no limit, in round numbers below 2^63
_SECONDS = 1.0  # between two looks at what other programs have left
_POLL_SECONDS = 0.002

_limiting = threading.Lock()  # a limit is the whole process's


def free_bytes(root: Path = _ROOT) -> int | None:
    """How much more this process may take: what the machine, its container and its own limits leave it.

    None where the system does not say.
    """
    left = [_left_by_the_machine(root)]
    for limit, taken in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        soft, _ = resource.getrlimit(limit)
        used = _kilobytes(root / "proc/self/status", taken)
        if soft != resource.RLIM_INFINITY and used is not None:
            left.append(max(0, soft - used))
    return min((one for one in left if one is not None), default=None)


def is_exhausted(error: BaseException) -> bool:
    """Whether an error says that memory has run out, whoever raises it: torch, ONNX Runtime, OpenVINO, numpy, CUDA."""
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in _WORDS)


@contextlib.contextmanager
def exhaustion(what: str) -> Iterator[None]:
    """Within, what says that memory has run out is a MemoryError.

    Deal with it after its `except` has ended: until then it knows the frames, and they what was computed.
    """
    try:
        yield
    except Exception as error:
        if not is_exhausted(error):
            raise
        lines = str(error).splitlines() or ["no reason given"]
        line = next((one for one in lines if any(word in one.lower() for word in _WORDS)), lines[0])[:300]
        reason = re.sub(r"^\[\w+\] : \d+ : [A-Z_]+ : ", "", line)  # ONNX Runtime's
        raise MemoryError(f"{what}: {reason}") from None


@contextlib.contextmanager
def limited(left: Callable[[], int | None] | None = None, device: str = "cpu") -> Iterator[Callable[[], None]]:
    """Within, to take more memory than there is fails, which an engine can say; the kernel would end the process.

    What is given is to be called now and then: it looks again at how much other programs have left.  Where the system
    does not say, another thread is limited already, or a `device` other than the CPU computes, nothing happens.
    `left`: by default by machine and container.
    """
    left = left or (lambda: _left_by_the_machine(_ROOT, swap=True))
    unknown = left() is None or _kilobytes(_ROOT / "proc/self/status", "VmData") is None
    if device != "cpu" or unknown or not _limiting.acquire(False):
        yield lambda: None
        return
    before, hard = resource.getrlimit(resource.RLIMIT_DATA)
    looked = -_SECONDS

    def look() -> None:
        nonlocal looked
        if time.monotonic() - looked < _SECONDS:
            return
        looked = time.monotonic()
        more, taken = left(), _kilobytes(_ROOT / "proc/self/status", "VmData")
        if more is not None and taken is not None:
            limits = [taken + more, *(one for one in (before, hard) if one != resource.RLIM_INFINITY)]
            resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))

    try:
        look()
        yield look
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, hard))
        _limiting.release()


def resident_bytes(root: Path = _ROOT) -> int | None:
    """How much memory this process has; None where the system does not say."""
    return _kilobytes(root / "proc/self/status", "VmRSS")


class Peak:
    """The most memory that this process has within, looked at every two milliseconds; a context."""

    def __init__(self, look: Callable[[], int | None] = resident_bytes) -> None:
        self._look = look
        self.bytes: int | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> Peak:
        with contextlib.suppress(RuntimeError):  # no room for a thread: then nothing is known
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
            self._see()

    def _watch(self) -> None:
        self._see()
        while not self._over.wait(_POLL_SECONDS):
            self._see()

    def _see(self) -> None:
        found = self._look()
        if found is not None:
            self.bytes = max(found, self.bytes or 0)


def _left_by_the_machine(root: Path, swap: bool = False) -> int | None:
    """What the machine and each group that this process is in have left; None where neither says."""
    meminfo = root / "proc/meminfo"
    free = _kilobytes(meminfo, "MemAvailable")
    if free is not None and swap:
        free += _kilobytes(meminfo, "SwapFree") or 0
    return min((one for one in (free, *_left_by_groups(root)) if one is not None), default=None)


def _left_by_groups(root: Path) -> Iterator[int]:
    """Of each control group's limit, and of those around it; files that only cache the disk's are given up first."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        kinds, _, path = rest.partition(":")
        if number == "0":
            top, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in kinds.split(","):
            top = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        inside = Path(path.lstrip("/"))
        for folder in (top / inside, *(top / parent for parent in inside.parents)):
            limit, used = (_text(folder / name).strip() for name in names[:2])
            if limit.isdecimal() and used.isdecimal() and int(limit) < _NONE_BYTES:
                cached = re.search(rf"^{names[2]} (\d+)$", _text(folder / "memory.stat"), re.MULTILINE)
                yield max(0, int(limit) - int(used) + int(cached[1] if cached else 0))


def _kilobytes(path: Path, name: str) -> int | None:
    """A line such as `VmRSS:  12 kB` of a file, in bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", _text(path), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
