"""Names and commands as a person reads them: nothing moves the cursor, and a shell gives the same words back."""

from __future__ import annotations

import copy
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tarsia import cli, console, environment
from tarsia.card import Card, Classes
from tarsia.errors import DatasetError, RecipeError
from tarsia.files import write_json
from tarsia.plain_text import be, command, decimal, listed, number, plain, quoted, shortened, some
from tarsia.yaml_tree import Document

TEXT = st.text(max_size=12)
TYPED = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
HOSTILE = (
    "[/red][bold]x",
    "\x1b]0;pwn\x07\x1b[31mred",
    "$x^{2$",
    "two\nlines",
    "\u202eabc",
    "\ud800",
    "\x9b31m",
    "\x7f",
)


@given(TEXT)
def test_plain_prints_stays_plain_and_says_all(text):
    found = plain(text)
    assert found.isprintable() and plain(found) == found
    if "\\" not in text:
        assert found.encode("ascii", "backslashreplace").decode("unicode_escape") == text


def test_plain_by_hand():
    assert plain("\x1b[31mred\n\u202e\ud800 [bold]é") == r"\x1b[31mred\n\u202e\ud800 [bold]é"
    assert plain("one\ntwo\r", lines=True) == "one\ntwo\\r"


def test_an_error_has_the_lines_it_was_given_and_no_other():
    error = RecipeError("a.yaml:1: \x1b[31m\nb", "second")
    assert str(error) == "a.yaml:1: \\x1b[31m\\nb\nsecond"
    assert str(copy.copy(error)) == str(error)
    assert str(DatasetError("plain")) == "plain"


@settings(max_examples=25, deadline=None)
@given(st.lists(TYPED, min_size=1, max_size=4))
def test_bash_gives_the_words_back(words):
    line = command(*words)
    assert line.isprintable()
    done = subprocess.run(
        ["bash", "-c", f'tarsia() {{ printf "%s\\0" "$@"; }}; {line}'], capture_output=True, check=True, timeout=30
    )
    assert done.stdout.decode() == "".join(f"{word}\0" for word in words)


def test_quoting_by_hand():
    assert command("predict", Path("runs/demo"), "PICTURE") == "tarsia predict runs/demo PICTURE"
    assert quoted("my photos") == "'my photos'" and quoted("it's") == shlex.quote("it's")
    assert quoted(Path("-rf")) == "./-rf" and quoted("--out") == "--out"
    assert quoted("a\x1b1'\\") == r"$'a\0331\'\\'"
    assert quoted("\udcff") == r"$'\377'"  # a byte that is no UTF-8, as Python names files


def test_the_record_of_a_command_is_quoted(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/bin/tarsia", "train", "my recipes/a.yaml"])
    assert environment.describe()["command"] == "tarsia train 'my recipes/a.yaml'"


@pytest.mark.parametrize("name", HOSTILE)
def test_tables_and_lines_are_plain_text(name, capsys):
    table = console.Table("class\nname", name, title=name, caption=name)
    table.add_column(name, footer=name)
    table.add_row(name, name, name)
    console.show(console.stack(name, table, name))
    console.say(name)
    console.note(name)
    console.complain(RecipeError(name))
    said = "".join(capsys.readouterr())
    assert "".join(said.split("\n")).isprintable()
    assert said.count(plain(name)) >= 5


def test_json_is_exact_and_prints(capsys):
    value = {"names": list(HOSTILE), "é": 1.5}
    console.data(value)
    console.data(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    once, twice = capsys.readouterr().out.split("}\n", 1)
    assert once + "}\n" == twice and json.loads(twice) == value
    assert "".join(twice.split("\n")).isprintable() and "é" in twice


# ---- text that is none: half of a surrogate pair, or a file's name that is no UTF-8


def test_half_a_pair_in_yaml_is_an_error_with_its_line(tmp_path):
    path = tmp_path / "dataset.yaml"
    path.write_text('classes:\n  - "\\uD800"\n')
    with pytest.raises(RecipeError, match=r"dataset.yaml:2: not valid YAML: half of a surrogate pair"):
        Document.read(path)
    with pytest.raises(ValidationError, match="surrogate"):
        Classes(names=("\ud800",), colors=((0, 0, 0),))


def test_a_path_that_is_no_utf8_survives_card_and_json(tmp_path):
    facts = {"recipe": {"train": {"start_from": "runs/\udcff"}}}
    card = Card(architecture="unet", model={}, classes=Classes(names=("a",), colors=((0, 0, 0),)), provenance=facts)
    assert Card.from_json(card.to_json().encode().decode(), "here") == card
    write_json(tmp_path / "facts.json", facts)
    assert json.loads((tmp_path / "facts.json").read_bytes()) == facts


def test_what_nobody_foresaw_is_told_in_plain_text(monkeypatch, capsys):
    def fails(*_, **__):
        raise RuntimeError("\x1b[31m\u202e")

    monkeypatch.setattr(cli, "app", fails)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 1 and "Traceback" in said and r"RuntimeError: \x1b[31m\u202e" in said


def test_a_terminal_without_the_letters_loses_no_result(tmp_path):
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "tarsia", "info", "é\u4e2d"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120)
    assert done.returncode == 2 and "tarsia: \\xe9\\u4e2d: no such model file" in done.stderr


def test_numbers_and_lists_in_a_sentence() -> None:
    assert [number(count, "label file") for count in (0, 1, 1200)] == [
        "0 label files",
        "1 label file",
        "1,200 label files",
    ]
    assert number(2, "class", "classes") == "2 classes" and (be(1), be(0)) == ("is", "are")
    assert [listed(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
    assert some(["a", "b"], 2) == "a, b" and some(["a", "b", "c", "d"], 2, "; ") == "a; b and 2 more"
    assert shortened("abcdef", 6) == "abcdef" and shortened("abcdefg", 6) == "abc..." == shortened("abc   g", 6)
    assert (decimal(0.12345), decimal(0.5, 2), decimal(None), decimal(float("nan"))) == ("0.1235", "0.50", "-", "-")
