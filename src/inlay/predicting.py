"""The command `predict`: files and folders of pictures in; label maps, overlays and class shares out.

What is written for a picture, below `out`:

    NAME.png           the label map: class indices with the classes' palette
    NAME_overlay.jpg   the picture with its classes in colour, and a legend
    NAME_attention.jpg where asked for: what each attention module of the network attends to in the picture
    shares.json        one for all: each picture's size and each class's share of its pixels

NAME is the file's name without its suffix; for a picture found in a folder, its path below that folder.  Where two
pictures would share a NAME (x.jpg and x.png), these keep their suffix (x.jpg.png, x.png.png); where that is not
enough, as for two x.jpg of different folders, the later ones end in -2, -3 ... in the order they were given.
"""

from __future__ import annotations

import io
import os
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from inlay import console
from inlay.errors import ImageError, OutputError, nearest
from inlay.files import write_json, writing
from inlay.runtime import paint
from inlay.runtime.heat import attention_sheet
from inlay.runtime.image import SUFFIXES, open_rgb, shown
from inlay.runtime.predictor import Predictor

OUTPUTS = ("label", "overlay", "shares")  # what is written unless something else is asked for
KINDS = (*OUTPUTS, "attention")
_ENDINGS = {"label": ".png", "overlay": "_overlay.jpg", "attention": "_attention.jpg"}
_LONGEST_NAME_BYTES = 255  # of one file name, on every file system in use
_LARGEST_JPEG_SIDE = 65_500


@dataclass(frozen=True)
class PredictionRun:
    """What became of the pictures: `done` (source, label file or None), `failed` (source, message)."""

    done: list[tuple[Path, Path | None]] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 where every picture was done, else 2."""
        return 2 if self.failed else 0


@dataclass(frozen=True)
class _Picture:
    source: Path
    relative: str  # below the folder that was searched; the file's name for a file given itself
    name: str = ""  # NAME of the outputs

    def output(self, out: Path, kind: str) -> Path:
        return out / (self.name + _ENDINGS[kind])


def predict(
    predictor: Predictor,
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    overwrite: bool = False,
    recursive: bool = True,
    save: Sequence[str] = OUTPUTS,
) -> PredictionRun:
    """Segment the pictures in `paths` (files, and folders searched for known suffixes) and write results below `out`.

    A picture that cannot be read is one line and an entry in `failed`; the rest go on.  Raises, before any work,
    ImageError where there is no picture at all and OutputError where a result exists already (without `overwrite`),
    would lie outside `out`, or would replace a source, and for `attention` of a network without any.
    """
    out = Path(out)
    for kind in save:
        if kind not in KINDS:
            raise OutputError(f"cannot save `{kind}`{nearest(kind, KINDS)}")
    if "attention" in save:
        predictor.check_attention()
    run = PredictionRun()
    pictures = _named(_find([Path(path) for path in paths], out, recursive, run), run, save)
    if not pictures:
        reasons = [f"{shown(source)}: {message}" for source, message in run.failed]
        raise ImageError("\n".join(reasons) or "no pictures given: name files or folders")
    _check_outputs(pictures, out, overwrite, save)
    for source, message in run.failed:
        console.note(f"{shown(source)}: {message}")
    rows: list[dict[str, Any]] = []
    try:
        for picture in console.track(pictures, len(pictures), "predict"):
            _attempt(predictor, picture, out, save, run, rows)
    except BaseException:
        # Interrupted or out of room: what is done stays usable, and the first error is the one to show.
        try:
            _write_shares(predictor, out, save, run, rows, complete=False)
        except OutputError as error:
            console.note(str(error))
        raise
    _write_shares(predictor, out, save, run, rows, complete=True)
    return run


def _attempt(
    predictor: Predictor,
    picture: _Picture,
    out: Path,
    save: Sequence[str],
    run: PredictionRun,
    rows: list[dict[str, Any]],
) -> None:
    """Segment one picture into `run` and `rows`; a bad one is noted, not raised."""
    try:
        with warnings.catch_warnings(record=True) as remarks:
            warnings.simplefilter("always", UserWarning)
            row = _segment(predictor, picture, out, save)
    except ImageError as error:
        run.failed.append((picture.source, str(error)))
        console.note(str(error))
        return
    except MemoryError:
        run.failed.append((picture.source, "not enough memory for a picture of this size"))
        console.note(f"{shown(picture.source)}: {run.failed[-1][1]}")
        return
    for remark in remarks:
        console.note(str(remark.message))
    rows.append(row)
    run.done.append((picture.source, picture.output(out, "label") if "label" in save else None))


def _segment(predictor: Predictor, picture: _Picture, out: Path, save: Sequence[str]) -> dict[str, Any]:
    """Read, predict, write; the picture's entry in shares.json."""
    image_HW3 = open_rgb(picture.source)
    try:
        prediction = predictor(image_HW3)
        maps = predictor.attention(image_HW3) if "attention" in save else []
    except ImageError as error:  # the predictor has seen an array and cannot name the file
        raise ImageError(f"{shown(picture.source)}: {error}") from error
    if "overlay" in save:
        overlay = paint.overlay(image_HW3, prediction.label_HW, predictor.classes)
        if max(overlay.size) > _LARGEST_JPEG_SIDE:
            raise ImageError(
                f"{shown(picture.source)}: its overlay is too large for a JPEG ({_LARGEST_JPEG_SIDE} pixels a side): "
                "leave `overlay` out of what is saved"
            )
        _save_jpeg(picture.output(out, "overlay"), overlay)
    if "attention" in save:
        _save_jpeg(picture.output(out, "attention"), attention_sheet(image_HW3, maps))
    if "label" in save:
        prediction.save(picture.output(out, "label"))
    return {
        "source": _text(picture.source),
        "name": _text(picture.name),
        "size": list(prediction.label_HW.shape),
        "shares": prediction.shares(),
    }


def _save_jpeg(path: Path, sheet: Image.Image) -> None:
    # Through memory: given a file, Pillow's JPEG writer takes a full disk for success and leaves a cut picture.
    content = io.BytesIO()
    sheet.convert("RGB").save(content, format="JPEG", quality=90)
    with writing(path) as part:
        part.write_bytes(content.getbuffer())


def _write_shares(
    predictor: Predictor, out: Path, save: Sequence[str], run: PredictionRun, rows: list[dict[str, Any]], complete: bool
) -> None:
    if "shares" not in save:
        return
    card = predictor.card
    failed = [{"source": _text(source), "message": message} for source, message in run.failed]
    model = {"architecture": card.architecture, "provenance": card.provenance}
    content = {"model": model, "classes": list(card.classes.names), "complete": complete}
    write_json(out / "shares.json", content | {"pictures": rows, "failed": failed})


def _find(paths: Sequence[Path], out: Path, recursive: bool, run: PredictionRun) -> list[_Picture]:
    """Every picture once, in the order of `paths`, each folder's sorted; folders without any go to `run.failed`."""
    found: dict[str, _Picture] = {}
    for path in paths:
        if not os.path.isdir(path):  # a file that is missing fails when its turn comes
            found.setdefault(os.path.abspath(path), _Picture(path, path.name))
            continue
        if out.exists() and _real(out) == _real(path):
            raise OutputError(f"{out}: results would lie among the pictures; choose an --out of its own")
        inside = sorted(_walk(path, out, recursive, run))
        if not inside:
            run.failed.append((path, f"no pictures in this folder; looked for {', '.join(sorted(SUFFIXES))}"))
        for relative in inside:
            found.setdefault(os.path.abspath(path / relative), _Picture(path / relative, relative))
    return list(found.values())


def _walk(folder: Path, out: Path, recursive: bool, run: PredictionRun) -> Iterator[str]:
    """Pictures below `folder` as paths relative to it; hidden ones, and the results in `out`, are left alone.

    Linked folders are followed, but each real folder is entered once, and none that contains `folder`.
    """
    start = _real(folder)
    seen = {start, _real(out)}

    def enter(directory: Path) -> bool:
        real = _real(directory)
        if directory.name.startswith(".") or real in seen or start.is_relative_to(real):
            return False
        seen.add(real)
        return True

    def refused(error: OSError) -> None:
        run.failed.append((Path(error.filename), f"folder cannot be read ({error.strerror})"))

    for directory, folders, files in os.walk(folder, onerror=refused, followlinks=True):
        folders[:] = [name for name in sorted(folders) if recursive and enter(Path(directory, name))]
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield str(Path(directory, name).relative_to(folder))


def _named(pictures: Sequence[_Picture], run: PredictionRun, save: Sequence[str]) -> list[_Picture]:
    """The pictures with the NAMEs of their outputs, as the module's docstring says; none twice, whatever the case."""
    folders = {_same(str(parent)) for picture in pictures for parent in Path(picture.relative).parents}

    def free(name: str) -> bool:
        return _same(name) not in taken and not any(_same(name + ending) in folders for ending in _ENDINGS.values())

    stems = [str(Path(picture.relative).with_suffix("")) for picture in pictures]
    counts = Counter(map(_same, stems))
    longest = max(len(_ENDINGS[kind]) for kind in ("overlay", *save) if kind in _ENDINGS)
    taken: set[str] = set()
    names: dict[int, str] = {}
    for index, stem in enumerate(stems):
        if counts[_same(stem)] == 1 and free(stem):
            names[index] = stem
            taken.add(_same(stem))
    named = []
    for index, picture in enumerate(pictures):
        name, count = names.get(index, picture.relative), 1
        while index not in names and not free(name):
            count += 1
            name = f"{picture.relative}-{count}"
        taken.add(_same(name))
        if len(os.fsencode(Path(name).name)) + longest > _LONGEST_NAME_BYTES:
            run.failed.append((picture.source, "its name is too long for the results' names; give it a shorter one"))
        else:
            named.append(_Picture(picture.source, picture.relative, name))
    return named


def _check_outputs(pictures: Sequence[_Picture], out: Path, overwrite: bool, save: Sequence[str]) -> None:
    """OutputError where results would leave `out`, replace a source, or replace something without `overwrite`."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{shown(out)}: cannot be made a folder ({error.strerror}); choose another --out") from error
    real_out = _real(out)
    sources = {_real(picture.source) for picture in pictures}
    planned = [picture.output(out, kind) for picture in pictures for kind in save if kind in _ENDINGS]
    planned += [out / "shares.json"] if "shares" in save else []
    for path in planned:
        real = _real(path.parent) / path.name
        if not real.is_relative_to(real_out):
            raise OutputError(f"{shown(path)}: a link leads out of {shown(out)}; choose another --out")
        if real in sources:
            raise OutputError(f"{shown(path)}: a result would replace this picture; choose another --out")
    existing = [path for path in planned if os.path.lexists(path)]
    if existing and not overwrite:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise OutputError(f"{shown(existing[0])}{more} exists already: choose another --out or add --overwrite")


def _real(path: Path) -> Path:
    """The path without links; unlike Path.resolve it says nothing against links that run in a circle."""
    return Path(os.path.realpath(path))


def _same(name: str) -> str:
    """What two names share that some file system would not tell apart."""
    return unicodedata.normalize("NFC", name).casefold()


def _text(path: str | Path) -> str:
    """A path for a JSON file: as it is, but for bytes that are no text in any encoding."""
    return str(path).encode("utf-8", "backslashreplace").decode()
