"""Predictions of another system: index PNGs matched by the samples' names, checked as they are read."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from tarsia import console
from tarsia.card import IGNORED, Classes
from tarsia.data._coding import files_of
from tarsia.data._dataset import Dataset, Sample
from tarsia.errors import DatasetError, ImageError
from tarsia.pictures.labels import read_label
from tarsia.plain_text import some

_NAMED = 5  # missing files named one by one


def prediction_files(folder: Path, dataset: Dataset) -> dict[str, Path]:
    """The file of every sample NAME of `dataset`: `folder`/NAME.png, or so called as the picture is.

    Raises DatasetError where some are missing.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder of predictions")
    files = files_of(dataset)
    found, missing = {}, []
    for index in range(len(dataset)):
        name = dataset.name(index)
        path = folder / f"{name}.png"
        if not path.is_file() and files is dataset:  # a picture's name may have more at its ends
            path = path.with_name(f"{Path(files.pairs[index].image).stem}.png")
        found[name] = path
        missing += [] if path.is_file() else [name]
    if missing:
        named = some([f"{name}.png" for name in missing], _NAMED)
        raise DatasetError(
            f"{folder}: {len(missing)} of {len(found)} predictions are missing: {named}; each sample NAME of the "
            "split needs NAME.png"
        )
    extra = set(folder.glob("*.png")) - set(found.values())
    if extra:
        console.note(f"{folder}: {len(extra)} more PNGs are of no sample of this split and are not scored")
    return found


def known_values(classes: Classes, ignored_values: tuple[int, ...]) -> np.ndarray:
    """256 entries: what a value in a prediction means, -1 where it means nothing."""
    known = np.full(256, -1, np.int16)
    known[: len(classes)] = np.arange(len(classes))
    known[IGNORED] = IGNORED
    for value in ignored_values:
        if not len(classes) <= value <= IGNORED:
            what = f"class {classes.names[value]}" if 0 <= value < len(classes) else "no value of an 8-bit picture"
            raise DatasetError(f"`ignored_values=[{value}]`: {value} is {what}; expected {len(classes)} to {IGNORED}")
        known[value] = IGNORED
    return known


class Reader:
    """The predictions in a folder -> label maps, by the data set's class numbers or by its labels' own values.

    `coding`: "classes", "data", or None: class numbers, unless that is wrong.  `check` says so once all are read.
    """

    def __init__(
        self, folder: Path, dataset: Dataset, ignored_values: tuple[int, ...], coding: Literal["classes", "data"] | None
    ) -> None:
        self.folder, self.dataset, self.coding = folder, dataset, coding
        self.paths, self.files = prediction_files(folder, dataset), files_of(dataset)
        self.known = known_values(dataset.classes, ignored_values)
        self.own = own_coding(dataset)
        self.right = {"classes": 0, "data": 0}
        if coding == "data" and self.files is None:
            raise DatasetError("`coding='data'` is for labels in files: this data set draws them, as class numbers")

    def __call__(self, sample: Sample) -> np.ndarray:
        """The label map of a sample; DatasetError or ImageError naming the file where there is none."""
        path = self.paths[sample.name]
        if self.coding == "data":
            return self._in_own_values(path, sample)
        try:
            found_HW = read_prediction(path, sample, self.known, self.dataset.classes)
        except (DatasetError, ImageError) as error:
            if self.coding is None and self.own:
                raise type(error)(f"{error}.  {self._remedy()}") from error
            raise
        if self.coding is None and self.own:
            with contextlib.suppress(DatasetError):
                own_HW = self._in_own_values(path, sample)
                labelled_HW = sample.label != IGNORED
                self.right["classes"] += int((found_HW == sample.label)[labelled_HW].sum())
                self.right["data"] += int((own_HW == sample.label)[labelled_HW].sum())
        return found_HW

    def check(self) -> None:
        """DatasetError where the predictions agree with the labels better in the data set's own values."""
        if self.right["data"] > self.right["classes"]:
            raise DatasetError(
                f"{self.folder}: read as class numbers {self.right['classes']:,} pixels are right, and in the values "
                f"of the data set's own labels {self.right['data']:,}.  {self._remedy()}; `coding='classes'` if they "
                "are class numbers all the same"
            )

    def _remedy(self) -> str:
        return f"If these are values as in the data set's own labels ({self.own}), add `coding='data'`"

    def _in_own_values(self, path: Path, sample: Sample) -> np.ndarray:
        assert self.files is not None
        label_HW = self.files.table(self.files.read_label(str(path)), str(path))
        _check_size(path, label_HW, sample)
        return label_HW


def own_coding(dataset: Dataset) -> str:
    """What stands for what in the labels of a data set, where that is not the classes' numbers; else ""."""
    files = files_of(dataset)
    if files is None:
        return ""
    names, table = dataset.classes.names, files.table
    numbers = {value: label for value, label in sorted(table.values.items()) if label != IGNORED}
    if any(value != label for value, label in numbers.items()):
        return some([f"{value} is {names[label]}" for value, label in numbers.items()], 3)
    return some([f"{list(one)} is {names[label]}" for one, label in table.colors.items() if label != IGNORED], 3)


def read_prediction(path: Path, sample: Sample, known: np.ndarray, classes: Classes) -> np.ndarray:
    """The label map in `path` for `sample`; DatasetError or ImageError naming the file where it is not one."""
    try:
        with Image.open(path) as picture:
            picture.load()
            mode = picture.mode
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path}: cannot be read as a picture ({error})") from error
    if mode not in ("L", "P"):
        raise ImageError(f"{path}: mode {mode}, expected an index PNG (8-bit grey or palette) of class numbers")
    values = read_label(path)  # Pillow alone would spread greys of 2 and 4 bits over 0 .. 255
    _check_size(path, values, sample)
    meaning = known[values]
    if meaning.size and int(meaning.min()) < 0:
        value = int(values[meaning < 0].min())
        raise DatasetError(
            f"{path}: value {value} is neither a class (0 to {len(classes) - 1}) nor {IGNORED}: if {value} stands for "
            f"no class, add `ignored_values=[{value}]` and it counts as wrong; else give the predictions the data "
            "set's class numbers"
        )
    return meaning.astype(np.uint8)


def _check_size(path: Path, values_HW: np.ndarray, sample: Sample) -> None:
    if values_HW.shape != sample.label.shape:
        found, expected = ("x".join(map(str, shape)) for shape in (values_HW.shape, sample.label.shape))
        raise DatasetError(
            f"{path}: the prediction is {found} but the label {expected} (height x width): predictions are scored at "
            "the label's own size, resize them with nearest neighbour"
        )
