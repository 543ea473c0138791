"""What there is to convert: which program wrote the files of a folder, found out by looking into them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tarsia.annotations.class_list import ClassList
from tarsia.annotations.source import read_json
from tarsia.data._folders import nearby_name
from tarsia.errors import DatasetError, RecipeError, nearest
from tarsia.pictures.find import walk
from tarsia.plain_text import listed
from tarsia.yaml_tree import Document

KINDS = {
    "coco": "a JSON with images, annotations and categories",
    "labelme": "JSON files with shapes",
    "yolo": "a data.yaml with names",
    "masks": "a folder of PNG, TIFF, BMP or GIF files",
}
_PEEK_BYTES = 65_536  # of a JSON: its first keys tell whose it is
_COCO_KEY = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')
_LABELME_KEY = re.compile(rb'"shapes"\s*:\s*\[')
# COCO's files of regions, as instances_val2017.json, whose pictures are in val2017/; those beside them hold captions or
# keypoints of the same pictures.
INSTANCES = "instances_"


@dataclass
class Source:
    """A folder (or that of the one file given), its JSON files by kind, its data.yaml."""

    root: Path
    coco: list[Path]
    labelme: list[Path]
    yaml: Path | None = None
    one_file: bool = True
    left_out: Sequence[Path] = ()

    def kinds(self) -> list[str]:
        """What it seems to be; masks only where it seems nothing else."""
        seen = {"coco": self.coco, "labelme": self.labelme, "yolo": self.yaml}
        found = [kind for kind, files in seen.items() if files]
        return found or (["masks"] if not self.one_file and walk(self.root) else [])

    def may_be(self, kind: str) -> bool:
        """Whether it can be read as `kind`, whatever it seems to be."""
        if kind in ("coco", "labelme"):
            return bool(self.coco if kind == "coco" else self.labelme)
        return not self.one_file or (kind == "yolo" and self.yaml is not None)


@dataclass(frozen=True)
class Asked:
    """What a person says of a source, as `convert` takes it; `words`: those of the command that does the same."""

    images: Path | None
    classes: Path | None
    background: str | None
    crowd: str | None
    words: Sequence[object]

    def class_list(self) -> ClassList | None:
        return None if self.classes is None else ClassList.read(self.classes)


def find(path: Path, kind: str | None) -> tuple[str, Source]:
    """What `path` holds: the kind asked for, or without one the only kind there is.

    Raises RecipeError for an unknown kind, DatasetError where there is nothing of it, or more than one kind.
    """
    if kind is not None and kind not in KINDS:
        raise RecipeError(f"cannot convert from {kind!r}{nearest(kind, KINDS)}")
    source = _source(path, kind)
    kinds = [kind] if kind else source.kinds()
    if len(kinds) > 1:
        several = listed([f"{kind} ({KINDS[kind]})" for kind in kinds])
        raise DatasetError(f"{path}: holds {several}: say which with `kind`")
    if not kinds:
        looked = "; ".join(f"{kind}: {what}" for kind, what in KINDS.items())
        raise DatasetError(f"{path}: nothing to convert was found; looked for {looked}")
    if not source.may_be(kinds[0]):
        raise DatasetError(f"{path}: holds no {kind}; expected {KINDS[kinds[0]]}, or a folder of such")
    return kinds[0], source


def _source(path: Path, kind: str | None) -> Source:
    if path.is_dir():
        coco, labelme, left_out = _jsons([path / name for name in walk(path, (".json",))], kind)
        yaml = _data_yaml(path) if kind in (None, "yolo") else None
        return Source(path, coco, labelme, yaml, one_file=False, left_out=left_out)
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder{nearby_name(path)}")
    if path.suffix.lower() == ".json":
        coco, labelme, _ = _jsons([path], kind)
        if not coco and not labelme:
            read_json(path)  # damaged files are called that
        return Source(path.parent, coco, labelme)
    if path.suffix.lower() in (".yaml", ".yml"):
        return Source(path.parent, [], [], path)
    raise DatasetError(f"{path}: expected a folder, a JSON file (COCO, labelme) or a data.yaml (YOLO)")


def _jsons(paths: Sequence[Path], kind: str | None) -> tuple[list[Path], list[Path], list[Path]]:
    """JSON files of COCO, of labelme, and COCO's that are left out for there are files of instances."""
    coco: list[Path] = []
    labelme: list[Path] = []
    other: list[Path] = []
    for path in paths:
        try:
            with path.open("rb") as file:
                start = file.read(_PEEK_BYTES)
        except OSError as error:
            raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
        (labelme if _LABELME_KEY.search(start) else coco if _COCO_KEY.search(start) else other).append(path)
    if kind == "labelme" or (labelme and not coco):
        labelme = sorted([*labelme, *other])  # one that is cut short is an error, not left out
    elif kind == "coco" and not coco:
        coco = other
    else:  # an empty or damaged file that stands for a split is an error too
        names = {path.name for path in coco}
        coco = sorted([*coco, *(p for p in other if p.name.startswith(INSTANCES) or p.name in names)])
    instances = [path for path in coco if path.name.startswith(INSTANCES)] or coco
    return instances, labelme, [path for path in coco if path not in instances]


def _data_yaml(folder: Path) -> Path | None:
    found = []
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        try:
            if "names" in Document.read(path).tree:
                found.append(path)
        except RecipeError:
            continue  # some other program's
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DatasetError(f"{folder}: which of {names} is it? Give the file as SOURCE")
    return found[0] if found else None
