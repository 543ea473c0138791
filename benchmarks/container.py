"""What the container installs, in megabytes: the Dockerfile's own steps, run in a bare virtual environment.

    python benchmarks/container.py
    python benchmarks/container.py --limit 400 --model MODEL.onnx
    EXTRAS=serve,openvino python benchmarks/container.py

No container engine is needed: COPY becomes a copy, RUN runs, with another folder in the place of /opt/tarsia.  Then the
`tarsia` of that folder alone answers for MODEL.  The base image with its Python comes on top of what is counted.  Exit
code 1 where the limit is passed or torch was installed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tarsia import environment

ROOT = Path(__file__).parents[1]


def build_steps() -> Iterator[tuple[str, str]]:
    """ARG, COPY and RUN of the stage `build`."""
    joined = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    stage = joined.partition(" AS build\n")[2].partition("\nFROM ")[0]
    for line in stage.splitlines():
        word, _, rest = line.partition(" ")
        if word in ("ARG", "COPY", "RUN"):
            yield word, rest


def build(source: Path, installed: Path) -> None:
    """Do them, in `source`, into `installed`."""
    given: dict[str, str] = {}
    for word, rest in build_steps():
        if word == "ARG":
            name, _, value = rest.partition("=")
            given[name] = os.environ.get(name, value)
        elif word == "RUN":
            command = rest.replace("/opt/tarsia", str(installed)).replace("python -m venv", f"{sys.executable} -m venv")
            environ = os.environ | given
            subprocess.run(["bash", "-ec", command], cwd=source, check=True, stdout=sys.stderr, env=environ)
        else:
            *names, target = rest.split()
            for name in names:
                if (ROOT / name).is_dir():
                    shutil.copytree(ROOT / name, source / target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / name, source / target)


def megabytes(folder: Path) -> float:
    """All files below `folder`."""
    return round(sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6, 1)


def answers(installed: Path, model: Path) -> float:
    """Seconds until the installed program is ready with `model`, in an empty environment."""
    command = [str(installed / "bin" / "tarsia"), "serve", str(model), "--port", "0"]
    process = subprocess.Popen(command, env={"PATH": str(installed / "bin")}, stderr=subprocess.PIPE, text=True)
    began = time.monotonic()
    try:
        assert process.stderr is not None
        for line in process.stderr:
            found = re.search(r"http://\S+", line)
            if found:
                with urllib.request.urlopen(found[0] + "/readyz", timeout=10) as answer:
                    assert answer.status == 200
                return round(time.monotonic() - began, 2)
        raise SystemExit("the installed program did not start")
    finally:
        process.terminate()
        process.wait(60)


def main() -> None:
    """Install, weigh, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=float, default=400, help="megabytes")
    parser.add_argument("--model", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, installed = Path(folder) / "src", Path(folder) / "tarsia"
        source.mkdir()
        build(source, installed)
        site = next(installed.glob("lib/python*/site-packages"))
        packages = {path.name: megabytes(path) for path in site.iterdir() if path.is_dir()}
        total = megabytes(installed)
        result = {
            "environment": environment.describe(),
            "installed_mb": total,
            "largest_mb": dict(sorted(packages.items(), key=lambda item: -item[1])[:8]),
            "ready_seconds": answers(installed, asked.model.absolute()) if asked.model else None,
        }
    print(json.dumps(result, indent=2))
    if total > asked.limit or "torch" in packages:
        sys.exit(1)


if __name__ == "__main__":
    main()
