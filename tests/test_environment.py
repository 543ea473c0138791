"""What is said of this machine: versions, and packages of ONNX Runtime that lie on top of each other."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
import sys

import pytest

import small_onnx
from tarsia import cli, environment, hardware
from tarsia.engines import onnx_file
from tarsia.engines.onnx_engine import OnnxEngine
from tarsia.errors import MissingExtraError, RecipeError


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Names and versions of packages, to be changed; all others stay what they are."""
    changes: dict[str, str] = {}
    real = importlib.metadata.version
    monkeypatch.setattr(environment, "version", lambda name: changes.get(name) or real(name))
    return changes


def info(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[str, str]:
    monkeypatch.setattr(sys, "argv", ["tarsia", "info", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    printed = capsys.readouterr()
    return printed.out, printed.err


def test_the_one_package_is_named_with_its_providers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = info(capsys, monkeypatch, "--json")
    found = json.loads(out)
    assert found["onnxruntime"]["providers"] == hardware.onnxruntime_providers() and not err
    (package,) = found["onnxruntime"]["packages"].items()
    assert package[0].startswith("onnxruntime") and environment.runtime_conflict() is None
    assert "openvino" in found["versions"]


def test_two_packages_are_warned_of(
    installed: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed |= {"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.31.0"}
    out, err = info(capsys, monkeypatch)
    assert "1.31.0" in out
    told = " ".join(err.split())
    assert told.startswith("warning: onnxruntime and onnxruntime-gpu are installed over each other")
    assert "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install onnxruntime-gpu" in told
    if "CUDAExecutionProvider" not in hardware.onnxruntime_providers():
        with pytest.raises(RecipeError, match="installed over each other"):
            OnnxEngine(onnx_file.parse(small_onnx.content(), "m"), "m", "cuda")


def test_an_install_line_names_the_packages_that_are_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not this package, which is on no index: what is printed must work wherever it came from."""
    needs = ['here>=1; extra == "x"', "gone<3,>=2; extra == 'x'", "bare", "other; extra == 'y'", "lost; extra == 'x'"]
    monkeypatch.setattr(environment, "requires", lambda _: needs)
    monkeypatch.setattr(environment, "_version", lambda name: "1.0" if name == "here" else None)
    assert environment.install_line("x") == "pip install 'gone<3,>=2' lost"
    monkeypatch.setattr(environment, "_version", lambda _: "1.0")  # all there, and yet one cannot be imported
    assert environment.install_line("x") == "pip install 'here>=1' 'gone<3,>=2' lost"
    assert environment.install_line("newer") == ""  # of the Tarsia that is installed


@pytest.mark.parametrize(("need", "told"), [("torch<3,>=2", True), ("torchvision", False), ("a-torch", False)])
def test_who_lacks_torch_is_told_of_its_smaller_build(monkeypatch: pytest.MonkeyPatch, need: str, told: bool) -> None:
    monkeypatch.setattr(environment, "requires", lambda _: [f"{need}; extra == 'train'"])
    monkeypatch.setattr(environment, "_version", lambda name: None)
    said = str(MissingExtraError("training", "train"))
    assert ("CPU build first: https://pytorch.org/get-started/locally/" in said) == told


def test_an_install_line_of_a_folder_that_was_never_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> list[str]:
        raise environment.PackageNotFoundError(name)

    monkeypatch.setattr(environment, "requires", unknown)
    assert environment.install_line("train") == ""
    assert str(MissingExtraError("training", "train")).endswith("are not installed (the extra `train`)")


def test_every_extra_has_an_install_line() -> None:
    for extra in ("report", "train", "serve", "geo", "video", "heic", "openvino", "parquet", "all"):
        words = shlex.split(environment.install_line(extra))
        assert words[:2] == ["pip", "install"] and len(words) > 2 and "tarsia" not in " ".join(words)
