"""What the doctor looks at in one sample: its files, its picture, its label, and whether the two go together.

Whatever is wrong with a sample is a `Fault` of it; nothing that a file holds raises.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image

from tarsia.card import IGNORED
from tarsia.data._dataset import Dataset, Sample, check_sample, spec_of
from tarsia.data._labels import MAX_VALUE, LabelTable, Rgb
from tarsia.data._paired import PairedData
from tarsia.doctor.edges import NEAR, Alignment, alignment, edges
from tarsia.doctor.perceptual_hash import Hashes, hashes
from tarsia.errors import DatasetError, ImageError, TarsiaError
from tarsia.pictures import headers, reader
from tarsia.pictures.labels import read_label
from tarsia.pictures.orientation import swaps_sides, upright
from tarsia.pictures.rgb import as_visible, resize_label

GRID = (48, 64)  # of mean picture and heat maps
FLAT = 2.0  # grey levels of deviation: less is one colour, and the noise of a camera's lens cap
UNLABELLED = 0.99  # share of what is ignored, from which on a label says nothing
_LARGE_PIXELS = 20_000_000  # pictures beyond this are looked at one at a time, however many threads there are
_ENOUGH = 512  # of a side: statistics of large pictures look at every n-th pixel, so that both sides keep this many
_ROWS = 500  # in which borders are looked for, evenly spaced
_COUNTED = 1 << 22  # pixels counted at a time
_KINDS = 400  # different strange values of one label that are kept
_one_at_a_time = threading.Lock()
T = TypeVar("T")


class Fault(NamedTuple):
    """Something wrong with one sample: the finding's kind, and what is the matter."""

    kind: str
    detail: str


@dataclass
class CheckedSample:
    """What is known of one sample; None and empty where it could not be read."""

    faults: list[Fault] = field(default_factory=list)
    remarks: tuple[str, ...] = ()  # of whoever read the picture
    mode: str = ""  # of the picture's file, as Pillow calls it
    size: tuple[int, int] = (0, 0)
    mean: float = 0.0  # brightness, 0 .. 255
    deviation: float = 0.0
    grey: bool = False
    hashes: Hashes | None = None
    digest: bytes = b""  # of the pixels
    small_HW3: np.ndarray | None = None  # at GRID
    counts_K1: np.ndarray | None = None  # pixels of each class, and of what is ignored
    label_digest: bytes = b""
    grid_HW: np.ndarray | None = None  # the label at GRID
    values: dict[Any, int] = field(default_factory=dict)  # what stands in the label file -> pixels
    strange: dict[Any, int] = field(default_factory=dict)  # of these, what means nothing; the commonest
    strange_kinds: int = 0
    exchanged: bool = False  # some colours mean nothing, and all are known with red and blue exchanged
    smoothed: float = 0.0  # share of the borders that lead over a value in between
    alignment: Alignment | None = None
    sequence: str = ""  # where the data set says so of the sample alone


def examine(dataset: Dataset, index: int) -> CheckedSample:
    """Sample `index` -> what is known of it.  Files of a paired data set are looked at one by one."""
    checked = CheckedSample()
    try:
        if isinstance(dataset, PairedData):
            _examine_files(dataset, index, checked)
        else:
            sample = check_sample(dataset[index], dataset.classes, spec_of(dataset))
            _see_picture(checked, sample.image)
            every = _see_label(checked, sample.label, len(dataset.classes))
            checked.values = _held(every)
            checked.alignment, checked.sequence = alignment(edges(thinned(sample.image)), sample.label), sample.sequence
    except Exception as error:  # a data set of somebody's own may raise anything
        checked.faults.append(Fault("unreadable", _said(error)))
    return checked


def _examine_files(dataset: PairedData, index: int, checked: CheckedSample) -> None:
    _, image, label = dataset.pairs[index]
    turned, pixels = _header(checked, image)
    with _one_at_a_time if pixels > _LARGE_PIXELS else contextlib.nullcontext():
        spec = dataset.spec
        picture: reader.Picture | None = _attempt(checked, "unreadable-image", lambda: reader.read(image, spec))
        if picture is not None:
            checked.remarks = picture.remarks
            _see_picture(checked, picture.values_HWC)
        stored = _attempt(checked, "unreadable-label", lambda: stored_label(dataset, label))
        if stored is None:
            return
        label_HW = _translated(checked, stored, dataset.table)
        _see_label(checked, label_HW, len(dataset.classes))
        if checked.strange:
            checked.label_digest = _digest(stored)  # labels that differ in what means nothing are not the same
        if stored.ndim == 2:
            checked.smoothed = _smoothed(stored)
        if picture is not None:
            image_HWC = picture.values_HWC
            _see_both(checked, edges(thinned(image_HWC)), image_HWC.shape[:2], label_HW, turned)


def stored_label(dataset: PairedData, path: str) -> np.ndarray:
    """What a label file holds; colours also where dataset.yaml does not say what colours mean."""
    try:
        return dataset.read_label(path)
    except DatasetError:
        stored = read_label(path)
        if stored.ndim != 3:
            raise
        return stored


def translated(stored: np.ndarray, table: LabelTable) -> np.ndarray:
    """What a label file holds -> labels, strange values as ignored ones."""
    return _translated(CheckedSample(), stored, table)


def read(dataset: Dataset, index: int) -> Sample:
    """Sample `index` as the doctor sees it: strange label values are ignored ones.  Raises TarsiaError."""
    if not isinstance(dataset, PairedData):
        return dataset[index]
    name, image, label = dataset.pairs[index]
    picture = reader.read(image, dataset.spec)  # remarked on when it was examined
    label_HW = translated(stored_label(dataset, label), dataset.table)
    return Sample(picture.values_HWC, label_HW, name, levels=picture.levels)


def _attempt(checked: CheckedSample, kind: str, reads: Callable[[], T]) -> T | None:
    try:
        return reads()
    except Exception as error:
        checked.faults.append(Fault(kind, _said(error)))
        return None


def _said(error: Exception) -> str:
    if isinstance(error, TarsiaError):
        return str(error)
    return "not enough memory" if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}"


def _header(checked: CheckedSample, path: str) -> tuple[int, int]:
    """EXIF orientation and pixels of a picture by its first bytes; 1 and 0 where it has none to tell."""
    try:
        (height, width), orientation, checked.mode = headers.read_header(path)
        return orientation, height * width
    except ImageError:  # what is wrong, the reader says
        return 1, 0


def thinned(image_HWC: np.ndarray) -> np.ndarray:
    """Every n-th pixel as a person sees it, so that statistics of a large picture need no copy of it."""
    return as_visible(_thinned(image_HWC))


def _thinned(image_HWC: np.ndarray) -> np.ndarray:
    step = max(1, min(image_HWC.shape[:2]) // _ENOUGH)
    return np.ascontiguousarray(image_HWC[::step, ::step])


def _see_picture(checked: CheckedSample, image_HWC: np.ndarray) -> None:
    checked.size = (image_HWC.shape[0], image_HWC.shape[1])
    checked.digest = _digest(image_HWC)
    every = _thinned(image_HWC)
    thin = as_visible(every)
    checked.mean, checked.deviation = float(every.mean()), float(every.std())
    checked.grey = image_HWC.shape[2] == 3 and bool((thin == thin[..., :1]).all())
    checked.hashes = hashes(thin)
    checked.small_HW3 = np.asarray(Image.fromarray(thin).resize(GRID[::-1], Image.Resampling.BOX))


def _see_label(checked: CheckedSample, label_HW: np.ndarray, count: int) -> np.ndarray:
    """What a label shows; how often each of its 256 values occurs."""
    checked.label_digest = _digest(label_HW)
    every = _counted(label_HW)
    checked.counts_K1 = np.append(every[:count], every[IGNORED])
    checked.grid_HW = resize_label(label_HW, GRID)
    return every


def _see_both(
    checked: CheckedSample, edges_2hw: np.ndarray, size: tuple[int, ...], label_HW: np.ndarray, exif: int
) -> None:
    """Sizes and fit; where EXIF turns the picture, whether the label was left lying."""
    if size == label_HW.shape:
        checked.alignment = alignment(edges_2hw, label_HW)
    if exif != 1:
        comparable = size == label_HW.shape[::-1] or not swaps_sides(exif)
        turned = alignment(edges_2hw, upright(label_HW, exif)) if comparable else None
        sizes_tell = size != label_HW.shape and size == label_HW.shape[::-1]
        if sizes_tell or (
            turned and turned.off <= NEAR and (not checked.alignment or 2 * checked.alignment.here < turned.here)
        ):
            said = f"EXIF orientation {exif} turns the picture, the label lies as before"
            checked.faults.append(Fault("turned", said))
            checked.alignment = None
            return
    if size != label_HW.shape:
        found = f"the picture is {size[0]}x{size[1]}, its label {label_HW.shape[0]}x{label_HW.shape[1]}"
        checked.faults.append(Fault("size", f"{found} (height x width)"))


def _translated(checked: CheckedSample, stored: np.ndarray, table: LabelTable) -> np.ndarray:
    """What a label file holds -> labels, strange values as ignored ones; `checked` gets them, and the other values."""
    if table.tolerance:
        with contextlib.suppress(DatasetError):
            return table(stored, "")
    if stored.ndim == 2 and stored.size and stored.min() >= 0 and stored.max() <= MAX_VALUE:
        every = _counted(stored)
        checked.values = _held(every)
        meaning: dict[Any, int | None] = {value: table.values.get(value) for value in checked.values}
        labels = np.full(len(every), IGNORED, np.uint8)
        for value, label in meaning.items():
            labels[value] = IGNORED if label is None else label
        label_HW = labels[stored]
    else:
        with contextlib.suppress(DatasetError):
            return table(stored, "")  # the fast way; only what is strange needs a closer look
        found, places, counts = distinct(stored)
        keys: list[Any] = [colors_of(code) for code in found] if stored.ndim == 3 else found
        known: Any = table.values if stored.ndim == 2 else table.colors
        meaning = {key: known.get(key) for key in keys}
        labels = np.array([IGNORED if label is None else label for label in meaning.values()], np.uint8)
        label_HW = labels[places].reshape(stored.shape[:2])
        checked.values = dict(zip(keys, counts, strict=True))
        checked.exchanged = stored.ndim == 3 and all(key[::-1] in known for key in keys)
    strange = {value: checked.values[value] for value, label in meaning.items() if label is None}
    checked.values = _commonest(checked.values)
    checked.strange, checked.strange_kinds = _commonest(strange), len(strange)
    return label_HW


def distinct(stored: np.ndarray) -> tuple[list[int], np.ndarray, list[int]]:
    """The different values (or colour codes) in an array, the place of each pixel among them, and their counts."""
    codes = stored.reshape(-1)
    if stored.ndim == 3:
        codes = stored.reshape(-1, 3).astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    found, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
    return found.tolist(), places, counts.tolist()


def colors_of(code: int) -> Rgb:
    """A colour by its code of 24 bits."""
    return code >> 16, code >> 8 & 255, code & 255


def _commonest(counts: dict[Any, int]) -> dict[Any, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_KINDS])


def _counted(array: np.ndarray) -> np.ndarray:
    """How often each value occurs, 256 of them or 65,536; in parts, for bincount makes eight bytes of each."""
    flat, kinds = array.reshape(-1), 256 if array.dtype == np.uint8 else MAX_VALUE + 1
    total = np.zeros(kinds, np.int64)
    for start in range(0, flat.size, _COUNTED):
        total += np.bincount(flat[start : start + _COUNTED], minlength=kinds)
    return total


def _held(every: np.ndarray) -> dict[Any, int]:
    return {value: int(every[value]) for value in np.flatnonzero(every).tolist()}


def _smoothed(stored_HW: np.ndarray) -> float:
    """Of the places where a label's number changes, the share where it does so over a number in between.

    Numbers are names, so a step from 2 to 9 over 5, one pixel wide, is rare in a label that was drawn (below 0.02 in
    CamVid, VOC's layout and the street scenes) and the rule in one that was resized smoothly or kept as JPEG (0.15 to
    0.5; with three classes, of which one only lies between, 0.03 to 0.17).  0 where there are too few places to say.
    """
    between = changes = 0
    for lines in (stored_HW, stored_HW.T):
        some = lines[:: max(1, len(lines) // _ROWS)]
        before, here, after = some[:, :-2], some[:, 1:-1], some[:, 2:]
        drawn = (before != IGNORED) & (here != IGNORED) & (after != IGNORED)
        changes += int((((before != here) | (here != after)) & drawn).sum())
        between += int(((np.minimum(before, after) < here) & (here < np.maximum(before, after)) & drawn).sum())
    return between / changes if changes >= 100 else 0.0


def _digest(array: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=16, key=repr(array.shape).encode()).digest()
