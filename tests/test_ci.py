"""`.ci/run`: a page that no browser opened does not land."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder of programs to be the whole PATH: what scripts need, a `make` that says what it is asked, no browser."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "env", "dirname", "id"):
        (programs / name).symlink_to(str(shutil.which(name)))
    program(programs, "make", 'echo "make $1 browser required: $TARSIA_REQUIRE_BROWSER"')
    return programs


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/usr/bin/env bash\n{script}\n")
    (folder / name).chmod(0o755)


def ci(programs: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CHECKOUT / ".ci/run"], env={"PATH": str(programs)}, capture_output=True, text=True, timeout=60
    )


def test_with_a_browser_both_targets_run_and_require_it(bare: Path) -> None:
    program(bare, "chromium", "exit 0")
    done = ci(bare)
    assert done.returncode == 0, done.stderr
    made = [line for line in done.stdout.splitlines() if line.startswith("make")]
    asked = [f"make {target} browser required: 1" for target in ("oracles", "setup", "check", "test")]
    assert sorted(made[:2]) == asked[:2] and made[2:] == asked[2:], "the first two at once"


@pytest.mark.parametrize("installs", ["", "exit 1", "exit 0"], ids=["no apt-get", "it fails", "it brings none"])
def test_without_a_browser_it_fails_and_tests_nothing(bare: Path, installs: str) -> None:
    if installs:
        program(bare, "apt-get", installs)
    done = ci(bare)
    assert done.returncode == 1 and "make check" not in done.stdout and "make test" not in done.stdout
    assert done.stderr.count("\n") == 1 and "install chromium" in done.stderr


def test_without_the_programs_of_annotations_it_fails_and_tests_nothing(bare: Path) -> None:
    program(bare, "chromium", "exit 0")
    program(bare, "make", 'echo "make $1"; test "$1" != oracles')
    done = ci(bare)
    assert done.returncode == 1 and sorted(done.stdout.split("\n")) == ["", "make oracles", "make setup"]


def test_a_browser_is_installed_where_that_can_be(bare: Path) -> None:
    (bare / "id").unlink()
    program(bare, "id", "echo 0")
    (bare / "ln").symlink_to(str(shutil.which("ln")))
    program(bare, "apt-get", f'if [ "$1" = install ]; then ln -s {shutil.which("true")} {bare}/chromium; fi')
    done = ci(bare)
    assert done.returncode == 0 and "make test" in done.stdout, done.stderr


@pytest.mark.parametrize(("required", "word"), [("", "skipped"), ("1", "error")])
def test_the_pages_tests_skip_for_a_user_and_fail_there(required: str, word: str, bare: Path) -> None:
    command = [sys.executable, "-m", "pytest", "tests/page/test_viewing.py", "-x", "-p", "no:cacheprovider"]
    environment = os.environ | {"PATH": str(bare), "TARSIA_REQUIRE_BROWSER": required}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=240)
    assert f"1 {word}" in done.stdout or (word == "skipped" and word in done.stdout), done.stdout
    assert (done.returncode != 0) == bool(required) and ("chromium is installed" in done.stdout) == bool(required)


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
def test_what_is_imported_is_kept_compiled_whatever_the_environment_says(tmp_path: Path) -> None:
    said = "import sys; print(sys.dont_write_bytecode)"
    (tmp_path / "Makefile").write_text(f"include {CHECKOUT}/Makefile\nsaid:\n\t@{sys.executable} -c '{said}'\n")
    words = ["make", "--no-print-directory", "-C", str(tmp_path), "said"]
    done = subprocess.run(words, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
