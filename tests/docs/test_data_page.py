"""docs/data.md: every data set, layout and tool is in it, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from drawn_layouts import LAYOUTS
from tarsia import data
from tarsia.annotations.forms import all_forms
from tarsia.annotations.tools import all_tools

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs/data.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`tests/((?:\w+/)*test_\w+\.py)::(\w+)(?:\[([^\]]+)\])?`", PAGE)


def test_every_row_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.endswith("| test |")]
    assert len(rows) > 50 and all(re.search(r"`[\w/]+\.py::\w+(\[[\w-]+\])?` \|$", row) for row in rows)


@pytest.mark.parametrize("file", sorted({file for file, _, _ in NAMED}))
def test_the_tests_that_it_names_are_there(file: str) -> None:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert {name for other, name, _ in NAMED if other == file} <= there


def test_it_lists_all_that_there_are() -> None:
    assert {case for _, _, case in NAMED if case} == LAYOUTS.keys()
    assert set(re.findall(r"^\|[^|]+\| `(\w+)[:`]", PAGE, re.MULTILINE)) == set(data.names())
    assert set(re.findall(r"`--from ([\w-]+)`", PAGE)) == all_forms().keys()
    assert set(re.findall(r"`--to-tool ([\w-]+)`", PAGE)) == all_tools().keys()
