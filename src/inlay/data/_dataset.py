"""What a data set is: indexed, lazy, checked as it is read."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from inlay.card import IGNORED, Classes
from inlay.errors import DatasetError


class Sample(NamedTuple):
    """One labelled picture.

    `image`: H x W x 3 uint8 RGB.  `label`: H x W uint8, 0 .. K-1 or 255 = ignored.  `name`: unique in its split, the
    file stem where there is one.  `domain`: condition, scene, city or sequence; "" where the data set has none.
    `sequence`: the video or group whose pictures resemble each other; "" for a picture by itself.
    """

    image: np.ndarray
    label: np.ndarray
    name: str
    domain: str = ""
    sequence: str = ""


@runtime_checkable
class Dataset(Protocol):
    """A split of a data set.  Indexing reads one sample from disk (or draws it) and checks it."""

    classes: Classes

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def name(self, index: int) -> str:
        """The name of sample `index` without reading it."""
        ...


def check_sample(sample: Sample, classes: Classes) -> Sample:
    """`sample` itself, if it keeps its promises.

    Raises DatasetError naming the sample, what was found and the remedy: image not H x W x 3 uint8, sizes that
    differ, a label that is neither a class nor 255.
    """
    image, label, name = sample.image, sample.label, sample.name
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise DatasetError(f"{name}: image is {image.dtype} {image.shape}, expected uint8 (H, W, 3)")
    if label.dtype != np.uint8 or label.ndim != 2:
        raise DatasetError(f"{name}: label is {label.dtype} {label.shape}, expected uint8 (H, W)")
    if image.shape[:2] != label.shape:
        raise DatasetError(
            f"{name}: image is {image.shape[0]}x{image.shape[1]} but its label {label.shape[0]}x{label.shape[1]} "
            "(height x width): resize one of the two files, labels with nearest neighbour"
        )
    count = len(classes)
    # A label within 0 .. K-1 or 255 is the rule; adding 1 wraps 255 to 0, so one maximum tells.
    if label.size and int((label + np.uint8(1)).max()) > count:
        strange = sorted({int(value) for value in np.unique(label)} - set(range(count)) - {IGNORED})
        raise DatasetError(
            f"{name}: label value {strange[0]} is neither a class (0 to {count - 1}) nor ignored ({IGNORED}); "
            "add it to the classes, or to `ignore` in dataset.yaml"
        )
    return sample
