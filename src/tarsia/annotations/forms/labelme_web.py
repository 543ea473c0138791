"""LabelMe of the web (MIT's): one XML a picture, with polygons, or masks in files of their own.

Format: its source and sample, and datumaro's reader.  Objects are painted in the order of the file; deleted ones are
left out.  Masks are PNGs of the picture's size below Masks/.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

from tarsia.annotations.finding import Pictures
from tarsia.annotations.form import Form, Found, Reading
from tarsia.annotations.look import Look
from tarsia.annotations.records import Record, Shape, assemble, bitmap, opaque, polygon
from tarsia.annotations.source import Annotations, Notes
from tarsia.annotations.trees import load_xml, numbers_of, text_of
from tarsia.errors import DatasetError
from tarsia.pictures.find import walk
from tarsia.plain_text import some


def read(source: Found, reading: Reading) -> Annotations:
    """XML files -> their pictures, which lie below their folder or `reading.images`."""
    notes, records = Notes(), []
    for path in source.files:
        with reading.faults.of(path):
            tree = load_xml(path)
            name, folder = text_of(tree, "filename"), text_of(tree, "folder")
            if not name:
                raise DatasetError(f"{path}: its filename is missing, expected the picture's")
            record = Record(str(path), f"{folder}/{name}" if folder else name)
            record.size = _size(tree, path)
            _fill(record, tree, path)
            records.append(record)
    masks = {path.resolve() for folder in _mask_folders(source) for path in (folder / n for n in walk(folder))}
    pictures = Pictures([source.root] if reading.images is None else [reading.images])
    for record in records:  # a mask is no picture, though it may be called so
        places = [place for place in pictures.all() if place.path.resolve() not in masks] if masks else []
        same = [place for place in places if Path(place.path).name == Path(record.picture).name]
        record.place = same[0] if len(same) == 1 else None
    return assemble(records, [source.root], reading, list(source.files), notes)


def _mask_folders(source: Found) -> set[Path]:
    return {folder for path in source.files for folder in _masks(path) if folder.is_dir()}


def _masks(path: Path) -> list[Path]:
    """Where masks may lie: in Masks/ beside the file, or beside Annotations/, there in a folder of the same name."""
    found = [above / "Masks" for above in path.parents[:3]]
    return [*found, *(folder / path.parent.name for folder in found)]


def _size(tree: Element, path: Path) -> tuple[int, int] | None:
    size = tree.find("imagesize")
    if size is None or not text_of(size, "nrows") or not text_of(size, "ncols"):
        return None
    height, width = numbers_of(size, "nrows ncols", str(path))
    return (int(height), int(width)) if height and width else None


def _fill(record: Record, tree: Element, path: Path) -> None:
    for number, element in enumerate(tree.findall("object")):
        if text_of(element, "deleted") == "1":
            continue

        def make(element: Element = element, where: str = f"{path}: object {number}") -> Shape | None:
            return _shape(element, where, path, record)

        record.add(make)


def _shape(element: Element, where: str, path: Path, record: Record) -> Shape | None:
    label = text_of(element, "name")
    if not label:
        record.notes.add("objects without a name, left out", where)
        return None
    where = f"{where} ({label})"
    outline, mask = element.find("polygon"), element.find("segm")
    if outline is not None:
        points = [list(numbers_of(point, "x y", where)) for point in outline.findall("pt")]
        return polygon(label, where, [points], record.notes)
    name = text_of(mask, "mask") if mask is not None else ""
    if not name or "/" in name or "\\" in name:
        raise DatasetError(f"{where}: has neither a polygon nor a mask's file")
    file = next((folder / name for folder in _masks(path) if (folder / name).is_file()), None)
    if file is None:
        raise DatasetError(f"{where}: its mask {name} is in none of {some(map(str, _masks(path)))}: add it")
    return bitmap(label, where, lambda: opaque(file, where, record.size, alpha=False))


def _is_one(look: Look) -> bool:
    elements = set(look.elements)
    return look.elements[:1] == ["annotation"] and ({"polygon", "pt"} <= elements or "segm" in elements)


FORM = Form(
    "labelme-web",
    "LabelMe (web)",
    "XML files with polygons or segm",
    _is_one,
    read,
    suffixes=(".xml",),
    per_picture=True,
)
