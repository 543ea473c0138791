"""CamVid: street scenes filmed from a car in Cambridge, 11 classes.

Brostow, Fauqueur, Cipolla, "Semantic object classes in video: a high-definition ground truth database", Pattern
Recognition Letters 2009.  Folders `train/ trainannot/ val/ valannot/ test/ testannot/`, as in the reduced version of
Badrinarayanan, Kendall, Cipolla (SegNet, PAMI 2017); images PNG, WebP or JPEG.  Labels are either

- index masks, 0 .. 10 as `classes` says and 11 = void, ignored in memory (the SegNet version), or
- the original RGB masks in 32 colours, merged to the 11 classes in the usual way; names may end in `_L`.

The two agree but for OtherMoving, which is a car here and void in the reduced masks (seen in five frames of both).

- `classes`: 11; or 8, the categories of Cityscapes that Saraceno, "Image Semantic Segmentation", 2022 learns.
- `void`: ignored, or scored as a class of its own.  Unless told it is ignored with 11 and, as in Cityscapes' 8, scored
  with 8, where it comes first; ignored, it leaves 7.

CamVid has one class for a cyclist and what he rides, human and vehicle there: it counts as human.

The domain of a sample is its drive, the name before the underscore: 0016E5_07959 -> 0016E5.  It is its sequence too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tarsia.card import IGNORED, Classes
from tarsia.data._folders import nearby, require_root
from tarsia.data._labels import LabelTable, Rgb
from tarsia.data._paired import PairedData
from tarsia.data._pairing import common_suffix, pair
from tarsia.errors import DatasetError, nearest

SPLITS = ("train", "val", "test")
VOID = 11

# Names and colours in the order of the reduced version's masks.
CLASSES = Classes(
    names=(
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "sign_symbol",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    ),
    colors=(
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
)

# The categories of Cityscapes, and what of the 11 belongs to each; the first gives it its colour.
CATEGORIES = {
    "flat": ("road", "pavement"),
    "construction": ("building", "fence"),
    "object": ("pole", "sign_symbol"),
    "nature": ("tree",),
    "sky": ("sky",),
    "human": ("pedestrian", "bicyclist"),
    "vehicle": ("car",),
}

# The 32 colours of the original masks (label_colors.txt of the data set), by the class each is merged into.
ORIGINAL_COLORS: dict[str, dict[str, Rgb]] = {
    "sky": {"Sky": (128, 128, 128)},
    "building": {
        "Building": (128, 0, 0),
        "Archway": (192, 0, 128),
        "Bridge": (0, 128, 64),
        "Tunnel": (64, 0, 64),
        "Wall": (64, 192, 0),
    },
    "pole": {"Column_Pole": (192, 192, 128), "TrafficCone": (0, 0, 64)},
    "road": {"Road": (128, 64, 128), "LaneMkgsDriv": (128, 0, 192), "LaneMkgsNonDriv": (192, 0, 64)},
    "pavement": {"Sidewalk": (0, 0, 192), "ParkingBlock": (64, 192, 128), "RoadShoulder": (128, 128, 192)},
    "tree": {"Tree": (128, 128, 0), "VegetationMisc": (192, 192, 0)},
    "sign_symbol": {"SignSymbol": (192, 128, 128), "Misc_Text": (128, 128, 64), "TrafficLight": (0, 64, 64)},
    "fence": {"Fence": (64, 64, 128)},
    "car": {
        "Car": (64, 0, 128),
        "SUVPickupTruck": (64, 128, 192),
        "Truck_Bus": (192, 128, 192),
        "Train": (192, 64, 128),
        "OtherMoving": (128, 64, 64),
    },
    "pedestrian": {
        "Pedestrian": (64, 64, 0),
        "Child": (192, 128, 64),
        "CartLuggagePram": (64, 0, 192),
        "Animal": (64, 128, 64),
    },
    "bicyclist": {"Bicyclist": (0, 128, 192), "MotorcycleScooter": (192, 0, 192)},
}
ORIGINAL_VOID: Rgb = (0, 0, 0)


class Data(PairedData):
    """One split of CamVid below `root`: train, val or test; options as this module says.

    Raises DatasetError where files are missing, and for another number of classes.
    """

    def __init__(
        self,
        root: str | Path | None,
        split: str = "train",
        *,
        classes: int = 11,
        void: Literal["ignored", "scored"] | None = None,
    ) -> None:
        if classes not in (11, 8):
            raise DatasetError(f"camvid: classes is {classes}, expected 11 or 8 (categories)")
        if split not in SPLITS:
            raise DatasetError(f"camvid has no split {split}{nearest(split, SPLITS)}")
        folder = require_root(root, "camvid", "train/ and trainannot/ in it")
        images, labels = folder / split, folder / f"{split}annot"
        if not (images.is_dir() and labels.is_dir()):
            raise DatasetError(_missing(folder, split))
        # The original masks are called NAME_L.png; elsewhere they carry the image's own name.
        suffix = "_L" if common_suffix(images, labels) == "_L" else ""
        pairing = pair(images, labels, suffix)
        drives = [Path(one.name).name.partition("_")[0] for one in pairing.pairs]
        found, labels_of = meaning(classes, void or ("ignored" if classes == 11 else "scored"))
        super().__init__(pairing, found, _table(labels_of), drives, drives)


def meaning(count: int, void: str) -> tuple[Classes, list[int]]:
    """The classes for `count` (11 or 8) with void scored or ignored, and the label of each of the 11, then of void."""
    homes = {name: name for name in CLASSES.names}
    colors = dict(zip(CLASSES.names, CLASSES.colors, strict=True)) | {"void": (0, 0, 0)}
    if count == 8:
        homes = {name: category for category, names in CATEGORIES.items() for name in names}
        colors |= {category: colors[names[0]] for category, names in CATEGORIES.items()}
    names = list(CATEGORIES if count == 8 else CLASSES.names)
    if void == "scored":
        names.insert(0 if count == 8 else len(names), "void")
    labels = [names.index(homes[name]) for name in CLASSES.names]
    found = Classes(names=tuple(names), colors=tuple(colors[name] for name in names))
    return found, [*labels, names.index("void") if void == "scored" else IGNORED]


def _table(labels: list[int]) -> LabelTable:
    values = dict(enumerate(labels))
    colors = {ORIGINAL_VOID: labels[VOID]}
    for index, name in enumerate(CLASSES.names):
        colors |= dict.fromkeys(ORIGINAL_COLORS[name].values(), labels[index])
    remedy = (
        "CamVid's masks hold 0 to 10 and 11 for void, or its 32 RGB colours; for masks of your own write a "
        "dataset.yaml and use folder:ROOT"
    )
    return LabelTable(values, colors, remedy)


def _missing(folder: Path, split: str) -> str:
    """What is not where it should be, and where it may be instead."""
    wanted = [f"{split}/", f"{split}annot/"]
    lacking = [name for name in wanted if not (folder / name).is_dir()]
    there = [name for name in SPLITS if _has(folder, name)]
    found = f"found: {', '.join(f'{name}/ with {name}annot/' for name in there) or 'no split of CamVid'}"
    hint = "" if there else nearby(folder, lambda other: _has(other, split))
    return f"{folder}: no {' and no '.join(lacking)}, camvid's {split} split needs both ({found}){hint}"


def _has(folder: Path, split: str) -> bool:
    return (folder / split).is_dir() and (folder / f"{split}annot").is_dir()
