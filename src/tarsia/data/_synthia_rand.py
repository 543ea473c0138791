"""SYNTHIA-RAND-CITYSCAPES: 9,400 single pictures with the classes of Cityscapes and four more, ids 1 .. 22.

`RGB/NUMBER.png` and `GT/LABELS/NUMBER.png`, PNGs of 16 bits a channel whose first is the class; 0 is void.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tarsia.card import IGNORED, Classes
from tarsia.data._labels import LabelTable
from tarsia.data._pairing import Pairing, pair
from tarsia.data._split import RandomSplit, divide

NAME = "RAND_CITYSCAPES"
DRAWN = RandomSplit(val=0.1, test=0.1)
CLASSES = Classes(
    names=(
        "sky", "building", "road", "sidewalk", "fence", "vegetation", "pole", "car", "traffic_sign", "pedestrian",
        "bicycle", "motorcycle", "parking_slot", "road_work", "traffic_light", "terrain", "rider", "truck", "bus",
        "train", "wall", "lane_marking",
    ),
    colors=(
        (70, 130, 180), (70, 70, 70), (128, 64, 128), (244, 35, 232), (64, 64, 128), (107, 142, 35), (153, 153, 153),
        (0, 0, 142), (220, 220, 0), (220, 20, 60), (119, 11, 32), (0, 0, 230), (250, 170, 160), (128, 64, 64),
        (250, 170, 30), (152, 251, 152), (255, 0, 0), (0, 0, 70), (0, 60, 100), (0, 80, 100), (102, 102, 156),
        (0, 172, 0),
    ),
)  # fmt: skip


def find(root: Path) -> Path | None:
    """The folder of these pictures, `root` or one in it; None where there is none."""
    return next((folder for folder in (root, root / NAME) if _is_one(folder)), None)


def _is_one(folder: Path) -> bool:
    """Pictures and labels without folders of cameras between."""
    return all(
        (folder / part).is_dir() and next((folder / part).glob("*.png"), None) is not None
        for part in ("RGB", "GT/LABELS")
    )


def frames(folder: Path, split: str) -> Pairing:
    """The pictures of a split, drawn by their names: a tenth is val, a tenth test; all is all of them."""
    found = pair(folder / "RGB", folder / "GT" / "LABELS")
    if split == "all":
        return found
    drawn = divide([one.name for one in found.pairs], DRAWN)[split]
    return replace(found, pairs=[found.pairs[index] for index in drawn])


def table() -> LabelTable:
    """Id 0 is void, 1 .. 22 the classes in their order."""
    values = {0: IGNORED} | {k + 1: k for k in range(len(CLASSES))}
    return LabelTable(values, {}, "GT/LABELS of SYNTHIA-RAND holds 0 to 22 in the first channel: get the files again")
