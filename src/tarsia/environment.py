"""Where a result came from: versions, machine, commit, command."""

from __future__ import annotations

import platform
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from tarsia import hardware
from tarsia.plain_text import command, listed

_PACKAGES = ("tarsia", "numpy", "pillow", "torch", "timm", "opencv-python-headless", "onnxruntime", "openvino")
# All of them bring the one module `onnxruntime`; where there are two, that of the one installed last is left.
_RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-qnn")


def describe() -> dict[str, Any]:
    """What must be known to repeat a result on another machine; unknown entries are None."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": typed(),
        "commit": _commit(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": hardware.processor(),
        "instructions": hardware.instructions(),
        "cores": hardware.cores(),
    }


def runtimes() -> dict[str, str]:
    """The packages of ONNX Runtime that are installed, and their versions."""
    found = {name: _version(name) for name in _RUNTIMES}
    return {name: number for name, number in found.items() if number is not None}


def runtime_conflict() -> str | None:
    """What is wrong, and what to do, where packages of ONNX Runtime lie on top of each other; None where none do."""
    installed = list(runtimes())
    if len(installed) < 2:
        return None
    kept = "onnxruntime-gpu" if "onnxruntime-gpu" in installed else installed[-1]
    return (
        f"{listed(installed)} are installed over each other, and which of them runs is left to chance (a GPU may "
        f"not be used): pip uninstall -y {' '.join(installed)}, then pip install {kept}"
    )


def install_line(extra: str) -> str:
    """What to type for the packages of an extra that are not here: themselves, by name, wherever Tarsia came from.

    Empty where nobody knows what the extra holds: Tarsia is run from its folder, or an older one is what is installed.
    """
    marker = re.compile(rf"""extra == ['"]{extra}['"]""")
    try:
        said = [line.partition(";") for line in requires("tarsia") or []]
    except PackageNotFoundError:
        return ""
    wanted = [need.strip() for need, _, condition in said if marker.search(condition)]
    if not wanted:
        return ""
    absent = [need for need in wanted if _version(re.split(r"[<>=!~\[ ]", need)[0]) is None]
    return shlex.join(["pip", "install", *(absent or wanted)])


def typed() -> str:
    """What was typed, as far as it can be told."""
    program = Path(sys.argv[0]).name
    return command(*sys.argv[1:]) if program in ("tarsia", "__main__.py") else program


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit Tarsia itself runs from, `-dirty` where its tree was changed; None outside a checkout."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
        return done.stdout.strip()

    try:
        if git("ls-files", "--error-unmatch", __file__) == "":
            return None
        commit = git("rev-parse", "--short=12", "HEAD")
        return commit + ("-dirty" if git("status", "--porcelain", "--", str(folder)) else "")
    except (OSError, subprocess.SubprocessError):
        return None
