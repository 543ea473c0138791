"""The files that are one for all pictures: shares.json, shares.csv and coco.json, written from the journal's lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tarsia.card import IGNORED, Card
from tarsia.files import write_json, writing
from tarsia.output.journal import Journal
from tarsia.output.sources import Failed, Source, text
from tarsia.polygons.formats import coco_categories

FILES = {"shares": "shares.json", "csv": "shares.csv", "coco": "coco.json"}


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
    sources: Sequence[Source],
    failed: Failed,
    complete: bool,
) -> None:
    """Write those that are asked for; pictures in the order they were given."""
    if "shares" in save:
        _write_shares(out / FILES["shares"], card, journal, sources, failed, complete)
    if "csv" in save:
        _write_csv(out / FILES["csv"], card, journal, sources)
    if "coco" in save:
        _write_coco(out / FILES["coco"], card, journal, sources)


def _in_order(journal: Journal, sources: Sequence[Source]) -> list[dict[str, Any]]:
    """The pictures' lines without their polygons, which are too much to hold at once."""
    return [{"source": line["source"], "name": line["name"]} | line["row"] for line in journal.rows(sources)]


def _write_shares(
    path: Path, card: Card, journal: Journal, sources: Sequence[Source], failed: Failed, complete: bool
) -> None:
    pictures = []
    for row in _in_order(journal, sources):
        pixels, ignored = row.pop("pixels"), row.pop("ignored")
        total = sum(pixels) + ignored
        shares = {name: count / total for name, count in zip(card.classes.names, pixels, strict=True)}
        row = {"source": row.pop("source"), "name": row.pop("name"), **row, "shares": shares}
        pictures.append(row | ({"ignored": ignored / total} if ignored else {}))
    model = {"architecture": card.architecture, "provenance": card.provenance}
    refused = [{"source": text(source), "message": message} for source, message in failed]
    content = {"model": model, "classes": list(card.classes.names), "complete": complete}
    write_json(path, content | {"pictures": pictures, "failed": refused})


def _write_csv(path: Path, card: Card, journal: Journal, sources: Sequence[Source]) -> None:
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


def _write_coco(path: Path, card: Card, journal: Journal, sources: Sequence[Source]) -> None:
    """A COCO data set of all pictures, a line of the file at a time: polygons can be more than memory holds."""

    def dumped(value: object) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    with writing(path) as part, part.open("w", encoding="utf-8") as file:
        file.write('{"info":{"description":"predicted by Tarsia"},\n')
        file.write(f'"categories":{dumped(coco_categories(card.classes))},\n"images":[')
        listed = (line for line in journal.rows(sources) if "coco" in line)
        for number, line in enumerate(listed, 1):
            height, width = line["row"]["size"]
            image = {"id": number, "file_name": line["file_name"], "height": height, "width": width}
            file.write(("," if number > 1 else "") + "\n" + dumped(image))
        file.write('],\n"annotations":[')
        count = 0
        for number, line in enumerate((line for line in journal.rows(sources) if "coco" in line), 1):
            for annotation in line["coco"]:
                count += 1
                file.write(("," if count > 1 else "") + "\n")
                file.write(dumped({"id": count, "image_id": number} | annotation))
        file.write("]}\n")
