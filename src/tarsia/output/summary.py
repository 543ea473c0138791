"""The files that are one for all pictures: shares.json, shares.csv and those of tools, from the journal's lines."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tarsia import console
from tarsia.annotations.tool import Listed, Tool
from tarsia.annotations.tools import all_tools
from tarsia.card import IGNORED, Card
from tarsia.files import write_json_list, write_text, writing
from tarsia.output.journal import Journal
from tarsia.output.sources import Failed, Source, text
from tarsia.output.what_to_write import FILES


def counted(label_HW: np.ndarray) -> list[int]:
    """How many pixels have each of the values 0 .. 255."""
    return np.bincount(label_HW.reshape(-1), minlength=256).tolist()


def row_of(size: Sequence[int], counts: Sequence[int], card: Card, **more: Any) -> dict[str, Any]:
    """A picture's line: size (height, width), pixels of each class and ignored ones."""
    pixels = list(counts[: len(card.classes)])
    return {"size": list(size), **more, "pixels": pixels, "ignored": counts[IGNORED]}


def write(
    save: Sequence[str],
    out: Path,
    card: Card,
    journal: Journal,
    sources: Iterable[Source],
    failed: Failed,
    complete: bool,
) -> None:
    """Write those that are asked for; pictures in the order they were given."""
    if "shares" in save:
        _write_shares(out / FILES["shares"], card, journal, sources, failed, complete)
    if "csv" in save:
        _write_csv(out / FILES["csv"], card, journal, sources)
    for tool in (tool for name, tool in all_tools().items() if name in save):
        _write_tool(tool, out, card, journal, sources)


def shares(card: Card, journal: Journal, sources: Iterable[Source]) -> dict[str, float]:
    """Each class's share of the pixels of all pictures that are not ignored, in class order; none where none is."""
    total_K = sum((np.array(line["row"]["pixels"]) for line in journal.rows(sources)), np.zeros(len(card.classes)))
    every = max(1.0, float(total_K.sum()))
    return {name: float(pixels) / every for name, pixels in zip(card.classes.names, total_K, strict=True)}


def planned(save: Sequence[str], card: Card) -> list[str]:
    """The names of the files that `write` writes."""
    beside = [name for kind, tool in all_tools().items() if kind in save for name in tool.beside(card.classes)]
    return [*(name for kind, name in FILES.items() if kind in save), *beside]


def _in_order(journal: Journal, sources: Iterable[Source]) -> Iterator[dict[str, Any]]:
    """The pictures' lines without their polygons."""
    return ({"source": line["source"], "name": line["name"]} | line["row"] for line in journal.rows(sources))


def _write_shares(
    path: Path, card: Card, journal: Journal, sources: Iterable[Source], failed: Failed, complete: bool
) -> None:
    def pictures() -> Iterator[dict[str, Any]]:
        for row in _in_order(journal, sources):
            pixels, ignored = row.pop("pixels"), row.pop("ignored")
            total = sum(pixels) + ignored
            shares = {name: count / total for name, count in zip(card.classes.names, pixels, strict=True)}
            row = {"source": row.pop("source"), "name": row.pop("name"), **row, "shares": shares}
            yield row | ({"ignored": ignored / total} if ignored else {})

    model = {"architecture": card.architecture, "provenance": card.provenance}
    refused = [{"source": text(source), "message": message} for source, message in failed]
    content = {"model": model, "classes": list(card.classes.names), "complete": complete}
    write_json_list(path, content, "pictures", pictures(), {"failed": refused})


def _write_csv(path: Path, card: Card, journal: Journal, sources: Iterable[Source]) -> None:
    """A line for each class of each picture: what spreadsheets pivot and pandas groups."""
    with writing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("source", "name", "height", "width", "index", "class", "pixels", "share"))
        for row in _in_order(journal, sources):
            where = (row["source"], row["name"], *row["size"])
            total = sum(row["pixels"]) + row["ignored"]
            for k, (name, count) in enumerate(zip(card.classes.names, row["pixels"], strict=True)):
                table.writerow((*where, k, name, count, f"{count / total:.6f}"))
            if row["ignored"]:
                table.writerow((*where, IGNORED, "(ignored)", row["ignored"], f"{row['ignored'] / total:.6f}"))


def _write_tool(tool: Tool, out: Path, card: Card, journal: Journal, sources: Iterable[Source]) -> None:
    """A tool's file, and what it needs besides; a picture at a time, for shapes can be more than memory holds."""

    def pictures() -> Iterator[Listed]:
        for line in journal.rows(sources):
            if tool.name in line:
                height, width = line["row"]["size"]
                yield Listed(line["file_name"], (height, width), partial(line.__getitem__, tool.name))

    if tool.file:
        with writing(out / tool.file) as part, part.open("w", encoding="utf-8") as file:
            tool.write(file, card.classes, pictures, True)
    for name, content in tool.beside(card.classes).items():
        write_text(out / name, content)
    ignored = sum(line["row"]["ignored"] for line in journal.rows(sources))
    if ignored and not tool.holds_ignored:
        console.note(f"{tool.title} holds no ignored pixels: {ignored:,} of them are in no shape of {tool.file}")
