"""Who calls Tarsia from Python reads settings in its errors; who types commands reads their flags."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import tarsia
from small_onnx import content
from tarsia import console
from tarsia.cli import COMMANDS, app, main
from tarsia.cli._flags import Flag, flags_of, in_flags
from tarsia.errors import TarsiaError

FLAGS = {name: flags_of(app[name]) for name in COMMANDS}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, a picture and a folder that holds the picture's label map already."""
    monkeypatch.chdir(tmp_path)
    Path("model.onnx").write_bytes(content())
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save("a.png")
    Path("full").mkdir()
    Path("full/a.png").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    ("out", "typed", "given", "flags", "settings"),
    [
        (
            "out",
            ("--engine", "openvin"),
            {"engine": "openvin"},
            "--engine openvin: no such engine, did you mean openvino?",
            "engine='openvin': no such engine, did you mean openvino?",
        ),
        (
            "out",
            ("--tile", 3),
            {"tile": 3},
            "--tile 3 with --overlap 0.25: expected tiles of 16 pixels or more (twice the model's stride) and an",
            "`tile=3` with `overlap=0.25`: expected tiles of 16 pixels or more (twice the model's stride) and an",
        ),
        (
            "full",
            (),
            {},
            "full/a.png exists already: choose another --out or add --overwrite",
            "full/a.png exists already: choose another `out` or add `overwrite=True`",
        ),
    ],
    ids=["engine", "tile", "out"],
)
def test_one_mistake_in_both_worlds(
    out: str,
    typed: tuple[Any, ...],
    given: dict[str, Any],
    flags: str,
    settings: str,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["tarsia", "predict", "model.onnx", "a.png", "--save", "label", "--out", out, *map(str, typed), "--quiet"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err.startswith(f"tarsia: {flags}")
    with pytest.raises(TarsiaError) as caught:
        tarsia.predict(tarsia.load("model.onnx", **given), ["a.png"], out, save=("label",))
    assert str(caught.value).startswith(settings)


@pytest.mark.parametrize(
    ("command", "said", "shown"),
    [
        ("predict", "engine='openvin': none (engine='x y')", "--engine openvin: none (--engine 'x y')"),
        ("predict", "leave `style` out, or `tile=512`", "leave --style out, or --tile 512"),
        ("predict", r"""style="it's" or style='a\nb'""", r"""--style 'it'"'"'s' or --style $'a\012b'"""),
        ("predict", "add `overwrite=True`; `min_confidence=0.5`", "add --overwrite; --min-confidence 0.5"),
        ("convert", "`background=None` or `kind`, `copy=False`", "--no-background or --from, `copy=False`"),
        ("compare", "`pool=False`, only=['a', 'b c']", "--no-pool, --only a --only 'b c'"),
        ("train", "overrides=['train.epocs=3']: no", "--set train.epocs=3: no"),
        ("train", "`model.accept_licence=True` says that you know", "--accept-licence says that you know"),
        ("recipe", "`model.accept_licence=True`", "--accept-licence"),
        ("adapt", "`model.accept_licence=True`", "`model.accept_licence=True`"),
        ("adapt", "`share=2`", "--share 2"),
        ("evaluate", "`ignored_values=[11, 12]`", "--ignored-values 11 --ignored-values 12"),
        ("export", "choose another `onnx`", "choose another --out"),
        ("serve", "allowed_hosts=['a b']: no; `port`", "--allowed-host 'a b': no; --port"),
    ],
)
def test_settings_of_the_command_are_flags(command: str, said: str, shown: str) -> None:
    assert in_flags(said, FLAGS[command]) == shown


@pytest.mark.parametrize(
    "said",
    [
        "streets='a' and `overlap_of`",  # of no option
        "train.batch=2, `train.batch` and data.seed='x'",  # keys of a recipe
        "seed=5 exists, runs/seed='5', tile=3",  # names of files
        "go on with: `tarsia train r.yaml --set seed=5`",
        "`classes: [a]`, `tile=wide`, `tile=1; 2`, `out = 3`",
    ],
)
@pytest.mark.parametrize("command", ["predict", "train"])
def test_all_else_stays(command: str, said: str) -> None:
    assert in_flags(said, FLAGS[command]) == said


@given(st.text(max_size=12))
def test_a_shell_gives_any_text_back(text: str) -> None:
    shown = in_flags(f"{text!r}: no, out={text!r}", {"out": Flag("--out")})
    _, _, flag = shown.rpartition("--out ")
    if text.isprintable():
        assert shlex.split(flag) == [text]
    else:
        assert flag.isprintable() and flag.startswith("$'")


def test_every_option_of_every_command_is_a_setting() -> None:
    for name, flags in FLAGS.items():
        options = {one.name for one in app[name].assemble_argument_collection() if one.name.startswith("--")}
        assert {flag.name for flag in flags.values()} == options, name
    assert FLAGS["predict"]["min_confidence"] == Flag("--min-confidence")


def test_what_is_said_in_python_stays_as_it_is(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after a command has run in the same process."""
    monkeypatch.setattr(sys, "argv", ["tarsia", "info"])
    with pytest.raises(SystemExit, match="0"):
        main()
    console.quiet(False)
    console.note("in tiles of 512 (`tile`)")
    assert capsys.readouterr().err == "in tiles of 512 (`tile`)\n"
    with console.worded(lambda text: in_flags(text, FLAGS["predict"])):
        console.note("in tiles of 512 (`tile`)")
        console.say("`out`")
        console.complain("`out`")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("--out\n", "in tiles of 512 (--tile)\ntarsia: --out\n")
