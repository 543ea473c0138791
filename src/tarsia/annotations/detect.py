"""What there is to convert: which program wrote the files of a folder, found out by looking into them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tarsia.annotations import unread
from tarsia.annotations.finding import converted
from tarsia.annotations.form import Form, Found
from tarsia.annotations.forms import all_forms
from tarsia.annotations.look import Look
from tarsia.annotations.trees import load_json
from tarsia.data._folders import nearby_name
from tarsia.errors import DatasetError, RecipeError, nearest
from tarsia.pictures.find import SUFFIXES, walk
from tarsia.plain_text import listed, number, some
from tarsia.yaml_tree import Document

MASKS, FOLDER = "masks", "folder"
_NO_MASKS = {".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".heic", ".heif", ".hif", ".ppm", ".pnm"}


def find(path: Path, kind: str | None) -> tuple[Form, Found]:
    """What `path` holds: the kind asked for, or without one the only kind there is.

    Raises RecipeError for an unknown kind, DatasetError where there is nothing of it, or more than one kind; of files
    that are known and not read it says whose they are and what to do.
    """
    forms = all_forms()
    if kind is not None and kind not in forms:
        raise RecipeError(f"cannot convert from {kind!r}{nearest(kind, forms)}")
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder{nearby_name(path)}")
    looks = _looks(path)
    of, others = _sorted(looks, forms, path if path.is_dir() else path.parent)
    if kind is not None:
        return forms[kind], _of_kind(path, forms[kind], of.get(kind, []), others)
    if not of and path.is_dir() and walk(path, SUFFIXES - _NO_MASKS) and not unread.known(others):
        return forms[MASKS], Found(path, [])
    if not of:
        raise _nothing(path, others, forms)
    if len(of) > 1:  # a dataset.yaml beside annotations is of what was made of them
        of.pop(FOLDER, None)
    if len(of) > 1:
        several = listed([f"{name} ({forms[name].holds})" for name in of])
        raise DatasetError(f"{path}: holds {several}: say which with `kind`")
    (name,) = of
    return forms[name], _of_kind(path, forms[name], of[name], others)


def _looks(path: Path) -> list[Look]:
    """Every file that may be of a form: of a folder those of its suffixes, and archives beside them."""
    if path.is_file():
        return [Look(path)]
    known = list(all_forms().values())
    deep = {suffix for form in known if not form.root_only for suffix in form.suffixes}
    flat = {suffix for form in known if form.root_only for suffix in form.suffixes} | {".zip"}
    below = walk(path, deep | flat, converted(path))
    names = [name for name in below if Path(name).suffix.lower() in deep or Path(name).name == name]
    return [Look(path / name) for name in names]


def _sorted(looks: Sequence[Look], forms: dict[str, Form], root: Path) -> tuple[dict[str, list[Path]], list[Look]]:
    """Files by the form that recognises them, and those that none does."""
    of: dict[str, list[Path]] = {}
    others: list[Look] = []
    for look in looks:
        suffix = look.path.suffix.lower()
        likely = [form for form in forms.values() if suffix in form.suffixes and _may_be(look, form, root)]
        names = [form.name for form in likely if form.is_one(look)]
        if names:
            of.setdefault(names[0], []).append(look.path)
        else:
            others.append(look)
    return {name: of[name] for name in forms if name in of}, others


def _of_kind(path: Path, form: Form, files: list[Path], others: list[Look]) -> Found:
    """What there is of a form; DatasetError where that is nothing."""
    root = path if path.is_dir() else path.parent
    alike = [look.path for look in others if look.path.suffix.lower() in form.suffixes and _may_be(look, form, root)]
    left_out: list[Path] = []
    if form.name == MASKS:
        found = path.is_dir()
    elif form.chosen_of is not None:
        files, left_out = form.chosen_of(files, alike)
        found = bool(files) or (form.root_only and path.is_dir())
    else:
        if form.per_picture or not files:  # one that is cut short is a fault, not left out
            files = sorted([*files, *alike])
        found = bool(files) or (form.root_only and path.is_dir())
    if not found:
        raise DatasetError(f"{path}: holds no {form.name}; expected {form.holds}, or a folder of such")
    return Found(root, files, path.is_file(), left_out)


def _may_be(look: Look, form: Form, root: Path) -> bool:
    return not form.root_only or look.path.parent == root


def _nothing(path: Path, others: Sequence[Look], forms: dict[str, Form]) -> DatasetError:
    """What to do where nothing is there that is read."""
    known = unread.known(others)
    if known is not None:
        return known
    if path.is_file():
        suffix = path.suffix.lower()
        if suffix == ".json":
            load_json(path)  # damaged files are called that
        elif suffix in (".yaml", ".yml"):
            Document.read(path)
        elif not any(suffix in form.suffixes for form in forms.values()):
            kinds = sorted({suffix for form in forms.values() for suffix in form.suffixes})
            return DatasetError(f"{path}: expected a folder, a JSON file or another of {', '.join(kinds)}")
    elif pictures := walk(path):
        return DatasetError(
            f"{path}: holds {number(len(pictures), 'picture')} ({some(pictures, 2)}) and no annotations; JPEG and "
            "WebP hold no masks: give the folder of annotations, and with `images` that of the pictures"
        )
    looked = "; ".join(f"{name}: {form.holds}" for name, form in forms.items())
    return DatasetError(f"{path}: nothing to convert was found; looked for {looked}")
