"""A conversion's pictures and label maps as the files of an annotation program: what is in annotations/tools/.

images/NAME.jpg   a link to the picture, or a copy; labelme's NAME.json beside it
coco.json ...     the file of all pictures, where the program has one; COCO's of several splits instances_SPLIT.json
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tarsia import console
from tarsia.annotations.placing import Placed, place
from tarsia.annotations.source import Annotations
from tarsia.annotations.tool import Listed, Tool
from tarsia.card import IGNORED
from tarsia.files import remove_parts, write_text, writing

_NO_SPLITS = ("label-studio", "labelme")


def files(tool: Tool, found: Annotations, chosen: Collection[Placed]) -> Iterator[str]:
    """The names of what is written besides pictures, below the folder."""
    yield from _parts(tool, chosen).values()
    yield from (f"images/{one.picture.split}/{one.picture.name}.json" for one in chosen if not tool.file)
    yield from tool.beside(found.classes)


def write(
    tool: Tool, found: Annotations, chosen: Collection[Placed], to: Path, copy: bool, simplify: float
) -> np.ndarray:
    """Pictures and files -> how many pixels have each value; what the form cannot hold is noted with its count."""
    remove_parts({image.parent for _, image, _ in chosen})
    pixels = np.zeros(256, np.int64)
    sides = array("i")  # height and width by turns
    for picture, image, _ in console.track(chosen, len(chosen), "convert"):
        place(picture, image, copy)
        label_HW = picture.draw()
        pixels += np.bincount(label_HW.ravel(), minlength=256)
        size = (label_HW.shape[0], label_HW.shape[1])
        sides.extend(size)
        if not tool.file:
            own = Listed(image.name, size, partial(tool.shapes, label_HW, found.classes, simplify))
            with writing(image.with_suffix(".json")) as part, part.open("w", encoding="utf-8") as file:
                tool.write(file, found.classes, lambda: [own], False)  # noqa: B023
    for split, name in _parts(tool, chosen).items():

        def pictures() -> Iterator[Listed]:
            for one, height, width in zip(chosen, sides[::2], sides[1::2], strict=True):
                if split in ("", one.picture.split):  # noqa: B023
                    shapes = partial(_shapes, tool, found, one, simplify)
                    yield Listed(_name(tool, one, to), (height, width), shapes, one.picture.split)

        with writing(to / name) as part, part.open("w", encoding="utf-8") as file:
            tool.write(file, found.classes, pictures, False)
    for name, content in tool.beside(found.classes).items():
        write_text(to / name, content)
    if pixels[IGNORED] and not tool.holds_ignored:
        found.notes.add(
            f"ignored pixels (255), which {tool.title} does not hold, in no shape", "", int(pixels[IGNORED])
        )
    if found.splits and tool.name in _NO_SPLITS:
        found.notes.add(f"splits, which {tool.title} does not hold", found.splits[0], len(found.splits))
    return pixels


def _parts(tool: Tool, chosen: Collection[Placed]) -> dict[str, str]:
    """The files of all pictures by split, "" for the one of all: COCO has a file for each split."""
    splits = list(dict.fromkeys(one.picture.split for one in chosen))
    if tool.name == "coco" and any(splits):
        return {split: f"instances_{split}.json" for split in splits}
    return {"": tool.file} if tool.file else {}


def _name(tool: Tool, one: Placed, to: Path) -> str:
    """What a picture is called in the file: below images/ (and its split); Label Studio's below the folder."""
    base = to if tool.name == "label-studio" else to / "images" / one.picture.split
    return one.image.relative_to(base).as_posix()


def _shapes(tool: Tool, found: Annotations, one: Placed, simplify: float) -> list[dict[str, Any]]:
    return tool.shapes(one.picture.draw(), found.classes, simplify)
