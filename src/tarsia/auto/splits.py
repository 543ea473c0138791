"""The pictures that are learned from and those held out, and that none are both."""

from __future__ import annotations

import hashlib
import os
from typing import Any

from tarsia import data
from tarsia.auto.page import Page
from tarsia.data import Dataset
from tarsia.data._paired import PairedData
from tarsia.errors import DatasetError
from tarsia.plain_text import be, command, first_line, number


def opened(given: str, page: Page) -> tuple[dict[str, Any], Dataset, Dataset | None, str]:
    """The section `data` of the recipe, both splits, and why there is none to validate on."""
    name, root, options = data.parse(given)
    options.pop("split", None)
    own = {key.removeprefix("data."): value for key, value in page.fixed.items() if key.startswith("data.")}
    section = {"name": name, **({"root": root} if root else {}), **options} | own
    special = ("name", "root", "train", "val", "cache", "keep_megabytes")
    more = {key: value for key, value in section.items() if key not in special and not key.startswith("val_options")}
    where = section["name"], section.get("root")
    train_data = data.open(*where, section.get("train", "train"), **more)
    val = section.get("val", "val")
    try:
        val_data = data.open(*where, val, **more) if val else None
        fault = "" if val_data else "data.val is null"
    except DatasetError as error:
        val_data, fault = None, first_line(error)
    if val_data is not None and (alike := also_learned(train_data, val_data)):
        raise DatasetError(
            f"{data.spec(*where)}: {number(len(alike), 'picture')} of {val} {be(len(alike))} also in "
            f"{section.get('train', 'train')}, as {alike[0]}, so that a score would say nothing: take them out of one "
            f"(`{command('check', data.spec(*where))}` lists them), or hold others out"
        )
    return section, train_data, val_data, fault


def also_learned(train: Dataset, held_out: Dataset) -> list[str]:
    """The names of held-out pictures whose file is, byte for byte, one that is learned from.

    Only files of equal length are read, so it costs next to nothing; `tarsia check` finds near copies too.
    """
    if not (isinstance(train, PairedData) and isinstance(held_out, PairedData)):
        return []
    learned: dict[int, list[str]] = {}
    for path in [pair.image for pair in train.pairs if os.path.isfile(pair.image)]:
        learned.setdefault(os.path.getsize(path), []).append(path)
    known: dict[str, bytes] = {}

    def content(path: str) -> bytes:
        if path not in known:
            with open(path, "rb") as file:
                known[path] = hashlib.file_digest(file, "sha256").digest()
        return known[path]

    def is_learned(path: str) -> bool:  # a file that is gone is told of when it is read
        alike = learned.get(os.path.getsize(path), []) if os.path.isfile(path) else []
        return any(content(one) == content(path) for one in alike)

    return [held_out.name(index) for index, pair in enumerate(held_out.pairs) if is_learned(pair.image)]
