"""A dataset.yaml as text: every key with what it was concluded from, doubtful ones as comments; kept what is there."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tarsia.plain_text import plain
from tarsia.yaml_tree import Document

HEADER = "# Written by `tarsia init`, which looked at what lies here.  Change what is wrong: a second run keeps it."
_INTRO = (
    "# The labels can be read in more than one way, and only you can know which is right: take the # away from\n"
    "# the lines of one reading, and remove the others."
)
_WIDTH = 110
_COMMENTED = re.compile(r"# *([a-z_]+):")


@dataclass(frozen=True)
class Block:
    """A key of dataset.yaml with its lines, and why it is so."""

    key: str
    lines: tuple[str, ...]
    why: str = ""

    def text(self, commented: bool = False) -> str:
        """Its lines, after the reason; `commented`, to be uncommented by a person."""
        shown = [f"#{line}" if commented else line for line in self.lines]
        return "\n".join([*(f"# {line}" for line in textwrap.wrap(plain(self.why), _WIDTH)), *shown])


@dataclass(frozen=True)
class Choice:
    """Keys of which there are several readings: each in words, with its blocks."""

    words: str
    blocks: tuple[Block, ...]

    def text(self, letter: str) -> str:
        return "\n".join(
            [f"# Reading {letter}: {plain(self.words)}", *(block.text(commented=True) for block in self.blocks)]
        )


def composed(blocks: Sequence[Block], choices: Sequence[Choice]) -> str:
    """The whole file, for a folder that has none."""
    return "\n\n".join([HEADER, *_chosen(choices), _joined(blocks)]) + "\n"


def completed(path: Path, blocks: Sequence[Block], choices: Sequence[Choice]) -> tuple[str, list[str]]:
    """The file that is there, with the keys that it lacks below; and which these are.

    Of keys that exclude each other (split and splits) one is enough.  Raises RecipeError where it is no YAML.
    """
    tree = Document.read(path).tree
    text = path.read_text(encoding="utf-8")
    commented = {match[1] for line in text.splitlines() if (match := _COMMENTED.match(line))}
    known = {*tree, *({"split", "splits"} if {"split", "splits"} & tree.keys() else ())}
    if "splits" in tree:
        known |= {"images", "labels"}
    added = [block for block in blocks if block.key not in known]
    asked = [] if "classes" in known | commented else _chosen(choices)
    if not (added or asked):
        return text, []
    more = [*asked, *([_joined(added)] if added else [])]
    keys = [*(["classes"] if asked else []), *(block.key for block in added)]
    return text.rstrip("\n") + "\n\n" + "\n\n".join(more) + "\n", keys


def _joined(blocks: Sequence[Block]) -> str:
    """The blocks one after the other, an empty line before each that begins with its reason."""
    return "".join(("\n" if block.why else "") + block.text() + "\n" for block in blocks).strip("\n")


def _chosen(choices: Sequence[Choice]) -> list[str]:
    if not choices:
        return []
    return [_INTRO, *(choice.text(letter) for letter, choice in zip("ABCDEFGH", choices, strict=False))]
