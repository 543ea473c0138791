"""Predictions of another system: index PNGs matched by the samples' names, checked as they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tarsia import console
from tarsia.card import IGNORED, Classes
from tarsia.data._dataset import Dataset, Sample
from tarsia.errors import DatasetError, ImageError
from tarsia.pictures.labels import read_label
from tarsia.plain_text import some

_NAMED = 5  # missing files named one by one


def require_files(folder: Path, dataset: Dataset) -> None:
    """Raise DatasetError unless `folder` has NAME.png for every sample NAME of `dataset`."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder of predictions")
    names = [dataset.name(index) for index in range(len(dataset))]
    missing = [name for name in names if not (folder / f"{name}.png").is_file()]
    if missing:
        named = some([f"{name}.png" for name in missing], _NAMED)
        raise DatasetError(
            f"{folder}: {len(missing)} of {len(names)} predictions are missing: {named}; each sample NAME of the "
            "split needs NAME.png"
        )
    extra = {path.stem for path in folder.glob("*.png")} - set(names)
    if extra:
        console.note(f"{folder}: {len(extra)} more PNGs are of no sample of this split and are not scored")


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
    if values.shape != sample.label.shape:
        found, expected = ("x".join(map(str, shape)) for shape in (values.shape, sample.label.shape))
        raise DatasetError(
            f"{path}: the prediction is {found} but the label {expected} (height x width): predictions are scored at "
            "the label's own size, resize them with nearest neighbour"
        )
    meaning = known[values]
    if meaning.size and int(meaning.min()) < 0:
        value = int(values[meaning < 0].min())
        raise DatasetError(
            f"{path}: value {value} is neither a class (0 to {len(classes) - 1}) nor {IGNORED}: if {value} stands for "
            f"no class, add `ignored_values=[{value}]` and it counts as wrong; else give the predictions the data "
            "set's class numbers"
        )
    return meaning.astype(np.uint8)
