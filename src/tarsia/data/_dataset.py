"""What a data set is: indexed, lazy, checked as it is read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np

from tarsia.card import IGNORED, Classes, Spec
from tarsia.errors import DatasetError

if TYPE_CHECKING:
    from tarsia.pictures.ranges import Levels
    from tarsia.pictures.reader import Picture

RGB = Spec()
_NAMED = 5  # classes named one by one


class Sample(NamedTuple):
    """One labelled picture.

    `image`: H x W x 3 uint8 RGB, or H x W x N where the data set has N bands.  `label`: H x W uint8, 0 .. K-1 or
    255 = ignored.  `name`: unique in its split, the file stem where there is one.  `domain`: condition, scene, city or
    sequence; "" where the data set has none.  `sequence`: the video or group whose pictures resemble each other; ""
    for a picture by itself.  `levels`: what 0 and 255 are in this picture, where each has a range of its own; None:
    counted of `image`, where that is asked for.
    """

    image: np.ndarray
    label: np.ndarray
    name: str
    domain: str = ""
    sequence: str = ""
    levels: Levels | None = None


@runtime_checkable
class Dataset(Protocol):
    """A split of a data set.  Indexing reads one sample from disk (or draws it) and checks it.

    One whose pictures are not RGB says how many bands they have: `bands` (see `bands_of`).
    """

    classes: Classes

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def name(self, index: int) -> str:
        """The name of sample `index` without reading it."""
        ...


def spec_of(dataset: Dataset) -> Spec:
    """What the pictures of a data set are: its `spec`, or so many bands of 8 bits as its `bands` says, or RGB."""
    return getattr(dataset, "spec", None) or Spec(getattr(dataset, "bands", 3))


def bands_of(dataset: Dataset) -> int:
    """How many bands the pictures of a data set have: 3 (red, green and blue) where it says nothing."""
    return spec_of(dataset).bands


def read_as(dataset: Dataset, spec: Spec) -> Dataset:
    """The data set with its pictures read as a model takes them.

    What dataset.yaml says of its files (alpha, take, nodata, which file is which band) stands; the kind of numbers is
    the model's.  DatasetError where it has other bands, or another kind and no files to read anew.
    """
    check_bands(dataset, spec.bands)
    found = spec_of(dataset)
    names, theirs = ([one.name for one in spec.files] for spec in (spec, found))
    if names and theirs and names != theirs:
        raise DatasetError(
            f"bands differ: the model takes {', '.join(names)}, and dataset.yaml lists {', '.join(theirs)}: list the "
            "same ones, by these names and in this order"
        )
    if found.harmonise and not spec.harmonise:
        raise DatasetError(
            f"dataset.yaml says `harmonise: {found.harmonise}`, and the model learned from pictures without it: leave "
            "it out, or train a model with it"
        )
    ours = replace(
        spec,
        alpha=spec.alpha if found.alpha is None else found.alpha,
        take=found.take or spec.take,
        nodata=spec.nodata if found.nodata is None else found.nodata,
        files=found.files,
    )
    if found == ours:
        return dataset
    again = getattr(dataset, "read_as", None)
    if again is not None:
        seen: Dataset = again(ours)
        return seen
    if found.dtype != ours.dtype:
        raise DatasetError(
            f"the pictures of the data set are {found.dtype}, the model takes {ours.dtype}: use the data set that the "
            "model was trained for"
        )
    return dataset


def picture_of(dataset: Dataset, index: int) -> Picture:
    """The picture of sample `index`, with where it has data; of a data set without files all has."""
    from tarsia.pictures.reader import Picture

    own = getattr(dataset, "picture", None)
    return own(index) if own is not None else Picture(dataset[index].image)


def levels_for(sample: Sample, dataset: Dataset, spec: Spec) -> Levels | None:
    """A sample's own levels, where the data set it is of counts them as a model of `spec` does; else None."""
    found = spec_of(dataset)
    return sample.levels if (found.percentiles, found.per) == (spec.percentiles, spec.per) else None


def check_bands(dataset: Dataset, model_bands: int) -> None:
    """DatasetError where a model takes pictures of other bands than the data set has."""
    found = bands_of(dataset)
    if found != model_bands:
        raise DatasetError(
            f"bands differ: the pictures of the data set have {found}, the model takes {model_bands}: use the data set "
            "that the model was trained for, or say in its dataset.yaml how many bands its pictures have (bands: N)"
        )


def evenly(count: int, of: int) -> list[int]:
    """Up to `count` of the numbers 0 .. `of` - 1 (samples of a data set), evenly spaced, the first and last of them."""
    return np.linspace(0, of - 1, min(count, of)).round().astype(int).tolist()


def check_same_classes(
    ours: Classes,
    theirs: Classes,
    whose: tuple[str, str] = ("the model", "the data set"),
    remedy: str = "use the data set that the model was trained for, or map the classes in its dataset.yaml",
) -> None:
    """DatasetError where the classes of two things (`whose`) have other names or another order, saying which."""
    if ours.names == theirs.names:
        return
    parts = [f"{whose[0]} has {len(ours)} classes, {whose[1]} {len(theirs)}"]
    for who, names, others in ((whose[0], ours.names, theirs.names), (whose[1], theirs.names, ours.names)):
        only = [name for name in names if name not in others]
        if only:
            parts.append(f"only {who} has {', '.join(only[:_NAMED])}")
    if len(parts) == 1:
        k = next(k for k, (one, other) in enumerate(zip(ours.names, theirs.names, strict=True)) if one != other)
        both = f"{ours.names[k]} in {whose[0]} and {theirs.names[k]} in {whose[1]}"
        parts.append(f"the order differs: class {k} is {both}")
    raise DatasetError(f"classes differ: {'; '.join(parts)}: {remedy}")


def one_class_fault(classes: Classes) -> str | None:
    """What is wrong with a list of one class, and the remedy; None for longer ones.

    Where there is one answer every labelled pixel has it: the loss is 0 and mIoU 1, whatever the network does.
    """
    if len(classes) != 1:
        return None
    only = classes.names[0]
    return (
        f"one class ({only}): every labelled pixel is of it, so nothing can be learned and mIoU is 1.0000 whatever is "
        "predicted: list the background first: classes: "
        f"[background, {only if only.lower() != 'background' else 'what stands before it'}]"
    )


def check_classes(classes: Classes) -> None:
    """DatasetError for classes among which there is nothing to choose."""
    fault = one_class_fault(classes)
    if fault is not None:
        raise DatasetError(fault)


def check_labelled(dataset: Dataset, split: str) -> None:
    """DatasetError where no pixel of a split is labelled.  Reads up to the first sample that has one."""
    for index in range(len(dataset)):
        if (dataset[index].label != IGNORED).any():
            return
    if len(dataset):
        raise DatasetError(
            f"{split}: no labelled pixels: those of all {len(dataset)} pictures are ignored ({IGNORED}): correct the "
            "labels (`tarsia check` tells what they hold), or choose another split"
        )


def check_sample(sample: Sample, classes: Classes, spec: Spec = RGB) -> Sample:
    """`sample` itself, if it keeps its promises.

    Raises DatasetError naming the sample, what was found and the remedy: image not H x W x bands of `spec`, sizes that
    differ, a label that is neither a class nor 255.
    """
    image, label, name = sample.image, sample.label, sample.name
    if image.dtype != spec.dtype or image.ndim != 3 or image.shape[2] != spec.bands:
        raise DatasetError(f"{name}: image is {image.dtype} {image.shape}, expected {spec.dtype} (H, W, {spec.bands})")
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
