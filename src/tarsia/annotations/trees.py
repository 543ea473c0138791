"""JSON and XML files of annotations as trees; whatever is wrong with a file is one DatasetError that names it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from tarsia.errors import DatasetError
from tarsia.plain_text import shortened


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; DatasetError naming the file and line where it is none."""
    tree = load_json(path)
    if not isinstance(tree, dict):
        raise DatasetError(f"{path}: holds a {type(tree).__name__}, expected an object of annotations")
    return tree


def load_json(path: Path) -> Any:
    """What a JSON file holds; DatasetError naming the file and line where it is damaged."""
    with faults_of(path):
        try:
            return json.loads(path.read_text(encoding="utf-8-sig"))
        except UnicodeDecodeError as error:
            raise no_utf8(path, error.object[error.start], error.start) from error


@contextlib.contextmanager
def faults_of(path: Path) -> Iterator[None]:
    """What Python says of a file that cannot be read or is no JSON, as a DatasetError."""
    try:
        yield
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        what = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise DatasetError(f"{path}: damaged, or no JSON ({what}): get the file again") from error


def no_utf8(path: Path, byte: int, at: int) -> DatasetError:
    """The error of a file in another coding, which shows at a byte."""
    how = "as `iconv -f GBK -t UTF-8` does (GBK, or whatever its program wrote)"
    return DatasetError(f"{path}: no UTF-8 (byte {byte:#x} at {at}): save it as UTF-8, {how}")


def load_gbk(path: Path) -> Any:
    """A JSON that may be in GBK, as labelme wrote it on Windows in Chinese; None where it is not."""
    try:
        return json.loads(path.read_bytes().decode("gbk"))
    except (OSError, ValueError, RecursionError):
        return None


def entries(tree: dict[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    """The list of objects under `key`; DatasetError where it is something else."""
    found = tree.get(key)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise DatasetError(f"{where}: its {key} are {shortened(repr(found))}, expected a list of objects")
    return found


def load_xml(path: Path) -> Element:
    """The root of an XML; DatasetError naming the file and line where it is damaged.

    One that declares entities is refused: a few lines of them can stand for any amount of text.
    """
    try:
        content = path.read_bytes()
        if b"<!ENTITY" in content.replace(b"\0", b""):  # of UTF-16 too
            raise DatasetError(f"{path}: declares entities, which no annotation needs: remove its DOCTYPE")
        return ElementTree.fromstring(content)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DatasetError(f"{path}: damaged, or no XML ({error}): get the file again") from error


def text_of(element: Element, name: str) -> str:
    """The text of the first child of a name, without blanks around; empty where there is none."""
    return (element.findtext(name) or "").strip()


def numbers_of(element: Element, names: str, where: str) -> Iterator[float]:
    """Attributes, or children's texts, as numbers, in the order of `names`."""
    for name in names.split():
        text = element.get(name) or text_of(element, name)
        try:
            yield float(text)
        except ValueError as error:
            raise DatasetError(f"{where}: its {name} is {text!r}, expected a number") from error
