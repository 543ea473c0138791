"""PASCAL VOC 2012: photos of 20 kinds of things and background, 21 classes.

Everingham et al., "The PASCAL visual object classes challenge: a retrospective", IJCV 2015.  Folders as in
`VOCdevkit/VOC2012`: `JPEGImages/NAME.jpg`, `SegmentationClass/NAME.png` with 0 .. 20 (or their colours) and 255, the
border between things, which is ignored.

A split is a list of names, `ImageSets/Segmentation/SPLIT.txt`: train, val, trainval (test has no published labels), and
any other list put there.  Two are drawn from trainval instead, by the names and the option `seed` alone: val10, a tenth
of it, and train90, the rest, as Guo, Jiang & Jiang, "Multi-level spatial attention network for image data
segmentation", IJES 2021, divide it.  Their flips, horizontal and vertical, are the augmentation's business.

`labels`: the folder of the label files.  SegmentationClassAug, for one, the additional masks of Hariharan et al.,
"Semantic contours from inverse detectors", ICCV 2011, as commonly passed on, with their list, as train_aug.txt.

Samples have no domain.
"""

from __future__ import annotations

from pathlib import Path

from tarsia.card import IGNORED, Classes
from tarsia.data._folders import require_folders, require_root
from tarsia.data._labels import LabelTable, Rgb
from tarsia.data._lists import read_names
from tarsia.data._paired import PairedData
from tarsia.data._pairing import pair
from tarsia.data._split import RandomSplit, divide
from tarsia.errors import DatasetError, nearest

LISTS = "ImageSets/Segmentation"
DRAWN = {"train90": "train", "val10": "val"}  # the name of a drawn split, and what `divide` calls it
BORDER: Rgb = (224, 224, 192)  # the colour of value 255

NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


def palette_color(index: int) -> Rgb:
    """The colour of entry `index` in VOC's palette: its bits 0, 3, 6 from the top of red, 1, 4, 7 green, 2, 5 blue."""
    red, green, blue = (
        sum((index >> (3 * step + channel) & 1) << (7 - step) for step in range(3)) for channel in range(3)
    )
    return red, green, blue


CLASSES = Classes(names=NAMES, colors=tuple(palette_color(index) for index in range(len(NAMES))))


class Data(PairedData):
    """The pictures of one list below `root`, train90 or val10.  Raises DatasetError where files are missing."""

    def __init__(
        self, root: str | Path | None, split: str = "train", *, labels: str = "SegmentationClass", seed: int = 0
    ) -> None:
        folder = require_root(root, "voc", f"JPEGImages/, SegmentationClass/ and {LISTS}/ in it")
        images, masks, lists = require_folders(folder, ("JPEGImages", labels, LISTS), "voc")
        known = [*sorted(path.stem for path in lists.glob("*.txt")), *DRAWN]
        if split not in known:
            raise DatasetError(f"{lists}: no list {split}.txt, so voc has no split {split}{nearest(split, known)}")
        source = lists / f"{'trainval' if split in DRAWN else split}.txt"
        names = read_names(source)
        if split in DRAWN:
            try:
                names = [names[index] for index in divide(names, RandomSplit(val=0.1, seed=seed))[DRAWN[split]]]
            except DatasetError as error:
                raise DatasetError(f"{source}: {error}") from error
        super().__init__(pair(images, masks, only=names, where=str(source)), CLASSES, _table())


def _table() -> LabelTable:
    labels = {index: index for index in range(len(CLASSES))}
    colors = {color: index for index, color in enumerate(CLASSES.colors)}
    remedy = (
        "VOC's masks hold 0 to 20 and 255, or the colours of these: for masks of your own write a dataset.yaml and use "
        "folder:ROOT"
    )
    return LabelTable(labels | {IGNORED: IGNORED}, colors | {BORDER: IGNORED}, remedy)
