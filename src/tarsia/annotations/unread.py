"""Files of annotations that are known and not read: whose they are, and what to export or do in their place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tarsia.annotations.look import Look
from tarsia.errors import DatasetError


class Unread(NamedTuple):
    """`what` a file is, whether one `is_one`, and what to do."""

    what: str
    is_one: Callable[[Look], bool]
    remedy: str


_MASKS = "SegmentationClass holds its masks, if it has any: give that folder, and with `images` that of the pictures"
UNREAD = (
    Unread(
        "boxes of Pascal VOC, which say nothing of what each pixel is",
        lambda look: look.elements[:1] == ["annotation"],
        f"export masks or polygons; {_MASKS}",
    ),
    Unread(
        "a project of VIA 3, which is not read",
        lambda look: {"file", "metadata"} <= look.keys and "attribute" in look.keys,
        "export COCO from it, or use VIA 2",
    ),
    Unread(
        "captions or keypoints of COCO",
        lambda look: "annotations[].caption" in look.keys or "annotations[].keypoints" in look.keys,
        "take instances_*.json or panoptic_*.json of the same pictures",
    ),
    Unread(
        "polygons of Cityscapes",
        lambda look: {"imgHeight", "imgWidth"} <= look.keys and "objects[].polygon" in look.more,
        "the data set `cityscapes` reads its label maps, *_labelIds.png, and draws these with ids=polygons",
    ),
    Unread(
        "polygons of Mapillary Vistas",
        lambda look: {"width", "height"} <= look.keys and "objects[].polygon" in look.more,
        "the data set `vistas` reads its label maps",
    ),
    Unread(
        "a release of Segments.ai",
        lambda look: "dataset.samples[]" in look.more,
        "export COCO panoptic from it (segments.export_dataset with `coco-panoptic`)",
    ),
    Unread(
        "masks of Open Images",
        lambda look: "MaskPath" in look.columns,
        "each is of one object and of another size than its picture: convert them to COCO with its own tools first",
    ),
    Unread(
        "footprints of SpaceNet",
        lambda look: "PolygonWKT_Pix" in look.columns,
        "take its GeoJSON files, with `images`",
    ),
    Unread(
        "a table of Label Studio",
        lambda look: {"annotation_id", "annotator"} <= set(look.columns),
        "export JSON from it",
    ),
    Unread(
        "a labelling configuration of Label Studio",
        lambda look: look.elements[:1] == ["View"],
        "export the annotations as JSON",
    ),
    Unread("an archive", lambda look: look.start.startswith(b"PK\3\4"), "unpack it and give the folder"),
)


def known(looks: Sequence[Look]) -> DatasetError | None:
    """What the first file that is known says; None where there is none."""
    for look in looks:
        for one in UNREAD:
            if one.is_one(look):
                return DatasetError(f"{look.path}: {one.what}: {one.remedy}")
    return None
