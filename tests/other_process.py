"""Python in a process of its own: what it has loaded in the end, what it does on a full disk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence


def ran(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Python that was given `code`; it finds whatever this process finds."""
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, env=paths, check=False)


def loaded(names: Sequence[str], code: str, *arguments: object) -> list[str]:
    """Which of the modules are there once `code` has run."""
    done = ran(f"{code}\nimport sys; print(*(name for name in {names!r} if name in sys.modules))", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def on_a_full_disk(limit: int, imports: str, code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """`code` where no file can grow beyond `limit` bytes, as on a full disk; it prints its OutputError."""
    lines = (
        f"{imports}; import resource, signal, sys; from tarsia.errors import OutputError",
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)",
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))",
        f"try: {code}",
        "except OutputError as error: print(error)",
    )
    return ran("\n".join(lines), *arguments)
