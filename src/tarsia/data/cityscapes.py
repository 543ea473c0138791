"""Cityscapes: street scenes filmed from a car in 50 cities, 19 classes or 8 categories.

Cordts et al., "The Cityscapes dataset for semantic urban scene understanding", CVPR 2016.  Folders
`leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png` and `gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png`; images may be JPEG too.

- `labels`: fine, of the splits train, val and test (those of test are published blank: its scores come from the
  benchmark's server); or coarse, `gtCoarse/.../NAME_gtCoarse_labelIds.png`, of train, val and train_extra.
- `classes`: 19, in the order of the official train ids; or 8, the categories.
- `void`: what belongs to none of the 19, or to the category of that name, is ignored, or scored as a class of its own,
  the last after the 19 and the first of the 8.  Unless told it is ignored with 19, and scored with 8 as in Saraceno,
  "Image Semantic Segmentation", 2022; ignored, it leaves 7 categories.  Scored with 19 it is the background of Guo,
  Jiang & Jiang, "Multi-level spatial attention network for image data segmentation", IJES 2021.
- `ids`: label; or train, where only NAME_gtFine_labelTrainIds.png are there, which tell the 19 classes alone; or
  polygons, where only NAME_gtFine_polygons.json are there: they are drawn, to the label maps that would have been
  published (data/_drawn_outlines.py).

The 34 ids are 0 .. 33.  Licence plates, id -1, are not drawn in the published files; 255 in labelIds is ignored.

The domain of a sample is its city, the name before the first underscore: aachen_000000_000019 -> aachen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from tarsia.card import IGNORED, Classes
from tarsia.data._drawn_outlines import drawn
from tarsia.data._folders import require_folders, require_root
from tarsia.data._labels import LabelTable, Rgb
from tarsia.data._paired import PairedData
from tarsia.data._pairing import LABEL_SUFFIXES, pair
from tarsia.errors import DatasetError, nearest

SPLITS = {"fine": ("train", "val", "test"), "coarse": ("train", "val", "train_extra")}
VOID = "void"


class Id(NamedTuple):
    """What a value of the labelIds files means; `trained`: one of the 19."""

    name: str
    category: str
    color: Rgb
    trained: bool = True


# Ids 0 .. 33, as in cityscapesScripts (helpers/labels.py).
IDS = (
    Id("unlabeled", VOID, (0, 0, 0), False),
    Id("ego_vehicle", VOID, (0, 0, 0), False),
    Id("rectification_border", VOID, (0, 0, 0), False),
    Id("out_of_roi", VOID, (0, 0, 0), False),
    Id("static", VOID, (0, 0, 0), False),
    Id("dynamic", VOID, (111, 74, 0), False),
    Id("ground", VOID, (81, 0, 81), False),
    Id("road", "flat", (128, 64, 128)),
    Id("sidewalk", "flat", (244, 35, 232)),
    Id("parking", "flat", (250, 170, 160), False),
    Id("rail_track", "flat", (230, 150, 140), False),
    Id("building", "construction", (70, 70, 70)),
    Id("wall", "construction", (102, 102, 156)),
    Id("fence", "construction", (190, 153, 153)),
    Id("guard_rail", "construction", (180, 165, 180), False),
    Id("bridge", "construction", (150, 100, 100), False),
    Id("tunnel", "construction", (150, 120, 90), False),
    Id("pole", "object", (153, 153, 153)),
    Id("polegroup", "object", (153, 153, 153), False),
    Id("traffic_light", "object", (250, 170, 30)),
    Id("traffic_sign", "object", (220, 220, 0)),
    Id("vegetation", "nature", (107, 142, 35)),
    Id("terrain", "nature", (152, 251, 152)),
    Id("sky", "sky", (70, 130, 180)),
    Id("person", "human", (220, 20, 60)),
    Id("rider", "human", (255, 0, 0)),
    Id("car", "vehicle", (0, 0, 142)),
    Id("truck", "vehicle", (0, 0, 70)),
    Id("bus", "vehicle", (0, 60, 100)),
    Id("caravan", "vehicle", (0, 0, 90), False),
    Id("trailer", "vehicle", (0, 0, 110), False),
    Id("train", "vehicle", (0, 80, 100)),
    Id("motorcycle", "vehicle", (0, 0, 230)),
    Id("bicycle", "vehicle", (119, 11, 32)),
)


class Data(PairedData):
    """One split of Cityscapes below `root`; options as this module says.

    Raises DatasetError where files are missing, and where `split`, `labels`, `classes` and `ids` do not go together.
    """

    def __init__(
        self,
        root: str | Path | None,
        split: str = "train",
        *,
        labels: Literal["fine", "coarse"] = "fine",
        classes: int = 19,
        void: Literal["ignored", "scored"] | None = None,
        ids: Literal["label", "train", "polygons"] = "label",
    ) -> None:
        _check_split(split, labels)
        if classes not in (19, 8):
            raise DatasetError(f"cityscapes: classes is {classes}, expected 19 (train ids) or 8 (categories)")
        if classes == 8 and ids == "train":
            raise DatasetError(
                "cityscapes: the 8 categories need the labelIds files, ids=train tells the 19 classes alone: leave out "
                "classes=8 or ids=train"
            )
        folder = require_root(root, "cityscapes", "leftImg8bit/ and gtFine/ in it")
        kind = "gtFine" if labels == "fine" else "gtCoarse"
        images, truths = require_folders(
            folder, (f"leftImg8bit/{split}", f"{kind}/{split}"), f"cityscapes' {split} split"
        )
        files = LABEL_SUFFIXES | {".json"} if ids == "polygons" else LABEL_SUFFIXES
        suffix = _suffix(truths, kind, ids)
        pairing = pair(images, truths, suffix, _REMEDY, image_suffix="_leftImg8bit", label_suffixes=files)
        names, by_id = meaning(classes, void or ("ignored" if classes == 19 else "scored"))
        cities = [Path(one.name).name.partition("_")[0] for one in pairing.pairs]
        super().__init__(pairing, names, _table(by_id, ids), cities)

    def read_label(self, path: str) -> np.ndarray:
        """The ids in a label file, or those that its polygons draw; H x W."""
        return drawn(path, _BY_NAME) if path.endswith(".json") else super().read_label(path)


def meaning(count: int, void: str) -> tuple[Classes, list[int]]:
    """The classes for `count` (19 or 8) with void scored or ignored, and the label of each of the 34 ids.

    A category has the colour of its first id.
    """
    if count == 19:
        groups = [found.name if found.trained else VOID for found in IDS]
    else:
        groups = [found.category for found in IDS]
    names = [name for name in dict.fromkeys(groups) if name != VOID]
    if void == "scored":
        names.insert(len(names) if count == 19 else 0, VOID)
    colors = tuple(IDS[groups.index(name)].color for name in names)
    labels = [names.index(group) if group in names else IGNORED for group in groups]
    return Classes(names=tuple(names), colors=colors), labels


_REMEDY = "labels end in _labelIds, these in {found}: take the files as they were published"
_FILES = {"label": "_labelIds.png", "train": "_labelTrainIds.png", "polygons": "_polygons.json"}
_OTHER = {"train": "add ids=train, enough for 19 classes", "polygons": "add ids=polygons, and they are drawn"}
_BY_NAME = {one.name.replace("_", " "): number for number, one in enumerate(IDS)} | {"license plate": -1}


def _table(by_id: list[int], ids: str) -> LabelTable:
    if ids != "train":
        remedy = (
            "labelIds files hold one id a pixel, 0 to 33 (_color files are for looking at): take them as they were "
            "published; for masks of your own write a dataset.yaml and use folder:ROOT"
        )
        return LabelTable(dict(enumerate(by_id)) | {IGNORED: IGNORED}, {}, remedy)
    trained = [label for label, found in zip(by_id, IDS, strict=True) if found.trained]
    remedy = "labelTrainIds files hold 0 to 18, and 255 for the rest: make them anew with cityscapesScripts"
    return LabelTable(dict(enumerate(trained)) | {IGNORED: by_id[0]}, {}, remedy)


def _check_split(split: str, labels: str) -> None:
    if split not in SPLITS[labels]:
        other = "coarse" if labels == "fine" else "fine"
        remedy = f": add labels={other}" if split in SPLITS[other] else nearest(split, SPLITS[labels])
        raise DatasetError(f"cityscapes has no split {split} with {labels} labels{remedy}")


def _suffix(truths: Path, kind: str, ids: str) -> str:
    """What the names of the label files end in; DatasetError where only those of other `ids` are there."""
    wanted = f"_{kind}{_FILES[ids]}"
    if not _any(truths, wanted):
        for other in _FILES:
            if _any(truths, f"_{kind}{_FILES[other]}"):
                remedy = _OTHER.get(other, f"leave out ids={ids}")
                raise DatasetError(f"{truths}: no labels named *{wanted} but *_{kind}{_FILES[other]}: {remedy}")
    return wanted if ids == "polygons" else wanted.removesuffix(".png")


def _any(folder: Path, suffix: str) -> bool:
    return any(True for _ in folder.rglob(f"*{suffix.rpartition('.')[0]}.*"))
