"""A data set of Tarsia's own: a folder with a dataset.yaml, so that its labels can be handed to another program."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from tarsia import data
from tarsia.annotations.form import Form, Found, Reading
from tarsia.annotations.look import Look
from tarsia.annotations.source import Annotations, Picture
from tarsia.data._paired import PairedData
from tarsia.errors import DatasetError, NoSplitError

_SPLITS = ("train", "val", "test")


def read(source: Found, reading: Reading) -> Annotations:
    """The pictures of every split, or all where there are none."""
    parts = {}
    for split in _SPLITS:
        try:
            parts[split] = data.open("folder", source.root, split)
        except NoSplitError:
            continue
    if len(parts) < 2:
        parts = {"": data.open("folder", source.root, "all")}
    pictures, labels = [], []
    for split, opened in parts.items():
        if not isinstance(opened, PairedData):
            raise DatasetError(f"{source.root}: its pictures and labels are no files")
        if opened.spec.files:
            raise DatasetError(f"{source.root}: its pictures are of several files each, which no other program takes")
        for index, (name, image, label) in enumerate(opened.pairs):
            pictures.append(Picture(name, Path(image), partial(_label, opened, index), 0, split))
            labels.append(Path(label))
    classes = next(iter(parts.values())).classes
    return Annotations(classes, pictures, [*labels, *source.files], splits=tuple(filter(None, parts)))


def _label(opened: PairedData, index: int) -> np.ndarray:
    return opened[index].label.copy()


def _is_one(look: Look) -> bool:
    return re.search(rb"^classes\s*:", look.start, re.MULTILINE) is not None


FORM = Form(
    "folder",
    "a data set of Tarsia",
    "a dataset.yaml with classes",
    _is_one,
    read,
    suffixes=(".yaml",),
    root_only=True,
    takes=(),
)
