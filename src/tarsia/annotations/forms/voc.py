"""Pascal VOC's masks with a labelmap.txt, as CVAT ("Segmentation mask 1.1") and datumaro export them.

A line of labelmap.txt is `name:r,g,b:parts:actions`; where no line has a colour, as datumaro writes classes that had
none, they are VOC's own in the order of the lines.  SegmentationClass holds the masks, in these colours or in the
numbers of the lines, JPEGImages the pictures; ImageSets/Segmentation/train.txt and its like list the splits.
"""

from __future__ import annotations

import re
from pathlib import Path

from tarsia.annotations.class_list import ClassList
from tarsia.annotations.form import Form, Found, Reading
from tarsia.annotations.forms.masks import of_folders
from tarsia.annotations.look import Look
from tarsia.annotations.source import Annotations
from tarsia.card import IGNORED, MAX_CLASSES, Classes
from tarsia.data._labels import LabelTable, Rgb
from tarsia.data.voc import palette_color
from tarsia.errors import DatasetError

_LINE = re.compile(r"(.+?)\s*:\s*(?:(\d+)\s*,\s*(\d+)\s*,\s*(\d+))?\s*:([^:]*):([^:]*)$")
_BORDER = (224, 224, 192)  # VOC's, around each object
_SPLITS = ("train", "val", "test")


def read(source: Found, reading: Reading) -> Annotations:
    """The masks of the folder in which labelmap.txt lies, with their pictures."""
    root = source.root
    if len(source.files) != 1:
        raise DatasetError(f"{root}: holds {len(source.files)} files like labelmap.txt, expected one")
    masks, images = root / "SegmentationClass", reading.images or root / "JPEGImages"
    if not masks.is_dir():
        raise DatasetError(f"{source.files[0]}: there is no {masks}, which holds the masks")
    if not images.is_dir():
        raise DatasetError(f"{masks}: there is no {images}: say with `images` where the pictures are")
    found = of_folders(masks, images, _classes(source.files[0]), reading.faults)
    splits = _splits(root)
    pictures = []
    for picture in found.pictures:
        if splits and picture.name not in splits:
            found.notes.add("masks that no list of ImageSets names, taken for train", picture.name)
        pictures.append(picture._replace(split=splits.get(picture.name, "train") if splits else ""))
    found.pictures = pictures
    found.files.append(source.files[0])
    found.splits = tuple(split for split in _SPLITS if split in splits.values())
    return found


def _classes(path: Path) -> ClassList:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    told: dict[str, Rgb | None] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.match(line.strip())
        if found is None or any(int(part or 0) > 255 for part in found.groups()[1:4]):
            raise DatasetError(f"{path}:{number}: {line.strip()!r:.60}, expected name:red,green,blue:parts:actions")
        color = (int(found[2]), int(found[3]), int(found[4])) if found[2] else None
        if found[1] in told or (color and color in told.values()):
            raise DatasetError(f"{path}:{number}: {found[1]} or its colour {color} stands twice: give each its own")
        told[found[1]] = color
    if not 1 <= len(told) <= MAX_CLASSES:
        raise DatasetError(f"{path}: {len(told)} classes, expected 1 to {MAX_CLASSES}")
    without = [name for name, color in told.items() if color is None]
    if 0 < len(without) < len(told):
        raise DatasetError(f"{path}: {without[0]} has no colour and others have one: give all of them one, or none")
    names = list(told)
    colors = [told[name] or palette_color(index) for index, name in enumerate(names)]
    of_color = {_BORDER: IGNORED} | {color: index for index, color in enumerate(colors)}
    table = LabelTable({index: index for index in range(len(names))} | {IGNORED: IGNORED}, of_color, "")
    numbers: dict[int, str | None] = dict(enumerate(names))
    return ClassList(Classes(names=tuple(names), colors=tuple(colors)), table, True, numbers)


def _splits(root: Path) -> dict[str, str]:
    """Which split each picture is of; nothing where there are not several lists."""
    found: dict[str, str] = {}
    lists = [path for split in _SPLITS if (path := root / "ImageSets/Segmentation" / f"{split}.txt").is_file()]
    for path in lists if len(lists) > 1 else ():
        try:
            found |= {line.strip(): path.stem for line in path.read_text("utf-8-sig").splitlines() if line.strip()}
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    return found


def _is_one(look: Look) -> bool:
    lines = look.start.decode("utf-8-sig", "replace").splitlines()
    told = [line.strip() for line in lines[:50] if line.strip() and not line.lstrip().startswith("#")]
    return bool(told) and _LINE.match(told[0]) is not None and (look.path.parent / "SegmentationClass").is_dir()


FORM = Form(
    "voc",
    "VOC's masks",
    "a labelmap.txt beside SegmentationClass",
    _is_one,
    read,
    suffixes=(".txt",),
    root_only=True,
    takes=("images",),
    refusals={
        "classes": "`classes` is not for VOC's masks: labelmap.txt names them; edit dataset.yaml afterwards",
        "background": "`background` is for polygons: masks have a class everywhere; edit dataset.yaml afterwards",
    },
)
