"""The command `predict`: pictures, huge TIFFs and videos in; label maps, overlays, polygons and class shares out.

What is written for a picture, below `out`, of what is asked for (NAME: output/sources.py):

    NAME.png             the label map: class indices with the classes' palette (a raster's: NAME.tif)
    NAME_overlay.jpg     the picture with its classes in colour, and a legend (a video's: NAME_overlay.mp4)
    NAME_confidence.png  the probability of each label, 255 = certain
    NAME.geojson         its regions as polygons
    NAME_attention.jpg   what each attention module of the network does in the picture
    shares.json          one for all: each picture's size and each class's share of its pixels
    shares.csv           the same as a table, with counts
    NAME.json            labelme's: its classes as masks
    coco.json            one for all: every region as COCO has it
    cvat.xml             one for all: as CVAT has it
    label-studio.json    one for all: as Label Studio has it, and label-studio.xml, which its project needs
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from tarsia import console
from tarsia.engines import memory_limit
from tarsia.errors import ImageError, OutputError
from tarsia.files import holds_files
from tarsia.folder_lock import holding
from tarsia.inference import Inference, predictor_of
from tarsia.look.labels_among import LabelsAmong
from tarsia.output import summary
from tarsia.output.fitting import Fitting
from tarsia.output.journal import Journal
from tarsia.output.label_files import coding_for
from tarsia.output.plan import BEFORE, DONE, Plan
from tarsia.output.sources import VIDEO_SUFFIXES, Checked, Failed, Source, check_words, find
from tarsia.output.what_to_write import KINDS, OUTPUTS, WhatToWrite, class_indices
from tarsia.output.work import PredictionRun, Work
from tarsia.pictures.files import shown
from tarsia.pictures.find import SUFFIXES
from tarsia.pictures.rasters import is_raster
from tarsia.plain_text import number, some
from tarsia.prediction.predictor import Predictor
from tarsia.prediction.tiling import Tiling

__all__ = ["KINDS", "OUTPUTS", "PredictionRun", "predict"]

_WHOLE = "attention is drawn of whole pictures: leave out `attention`"


def predict(
    model: Predictor | str | Path,
    paths: Sequence[str | Path] | str | Path,
    out: str | Path,
    *,
    inference: Inference | None = None,
    overwrite: bool = False,
    resume: bool = False,
    recursive: bool = True,
    save: Sequence[str] | None = None,
    only: Sequence[str] = (),
    min_confidence: float = 0.0,
    simplify: float = 0.0,
    batch: int = 1,
    frames: int | None = None,
    attention_at: tuple[int, int] | None = None,
    coding: Literal["classes", "data"] = "classes",
) -> PredictionRun:
    """Segment what `paths` name (output/sources.py: files, folders, patterns, lists) and write results below `out`.

        tarsia.predict("runs/demo", "photos", "seen", save=["label", "overlay", "csv"])

    `model`: a predictor, or a model file or run folder, opened as `inference` says.
    `only` these classes, and where the probability is at least `min_confidence`: other pixels get 255.  `simplify`:
    side of a square, in pixels, below whose area corners of polygons are left out.  `batch`: so many pictures (or
    tiles) of one size go through the network at once.  Pictures go in tiles where the predictor was told so, or where
    memory would not suffice.  `frames`: so many of each video at most.  `resume` leaves alone what an interrupted run
    into `out` has finished.

    `save`: which of `KINDS`; by default `OUTPUTS`, of a video without a label map for each frame.  `attention_at`: with
    `attention`, also what the position at that pixel (x, y), from the left and the top, attends to.  `coding`: what
    stands in label maps, "classes", class numbers, or "data", the numbers or colours of the label files of the data set
    that the model learned from (16-bit PNGs beyond 255, RGB PNGs).

    A picture that cannot be read is one line and an entry in `failed`; the rest go on.  Raises, before any work,
    ImageError where there is no picture at all and OutputError where `out` has a picture's name and is no folder yet,
    where a result exists already (without `overwrite`), would lie outside `out`, or would replace a source, and for
    classes and outputs that there are not.
    """
    out = Path(out)
    require_folder_name(out)
    predictor = predictor_of(model, inference)
    kinds = OUTPUTS if save is None else tuple(save)
    indices = class_indices(only, predictor.classes)
    stored = coding_for(predictor.card, coding)
    what = WhatToWrite(kinds, indices, min_confidence, simplify, save is None, attention_at, stored)
    if batch < 1:
        raise OutputError(f"a batch of {batch} pictures: expected 1 or more")
    tiling = _tiling(predictor, what)
    failed: Failed = []
    plan = _plan(paths, out, recursive, failed, predictor, kinds)
    beside = [out / name for name in summary.planned(kinds, predictor.card)]
    if _is_used(out):
        _check(plan, out, what, beside, anew=not (overwrite or resume))
    else:
        Checked(out)
    with holding(out), Journal(out, _settings(predictor, what), resume, predictor.card.spec) as journal:
        if resume and not overwrite:
            _refuse_existing(path for one in plan if not journal.may_replace(one) for path in one.outputs(out, what))
        if journal.memory_format is not None:
            predictor.engine.keep(journal.memory_format)
        for source, message in failed:
            _say(source, message)
        plan.tell = _say
        done = plan.of(DONE, lambda one: (one.path, _label(one, out, what)))
        run = PredictionRun(done, plan.of(BEFORE, lambda one: one.path), failed)
        fitting = Fitting(predictor, tiling, journal, _WHOLE if "attention" in kinds else "")
        with memory_limit.limited(device=predictor.engine.device) as look:
            Work(predictor, out, what, journal, run, batch, fitting, frames, look, plan).all()
    return run


def require_folder_name(out: Path) -> None:
    """OutputError for a folder yet to be made whose name is a picture's: who writes that means a file."""
    if out.suffix.lower() in SUFFIXES | VIDEO_SUFFIXES and not out.is_dir():
        raise OutputError(
            f"out={str(out)!r}: results are written into a folder, each named after its picture, and this is a file's "
            f"name: write out={str(out.with_suffix(''))!r}"
        )


def _plan(
    paths: Sequence[str | Path] | str | Path,
    out: Path,
    recursive: bool,
    failed: Failed,
    predictor: Predictor,
    save: Sequence[str],
) -> Plan:
    """What `paths` name, the first of it found; ImageError where that is nothing but what is refused (`failed`)."""
    words = [paths] if isinstance(paths, str | Path) else paths
    check_words(words, out)
    raster = partial(is_raster, tell=console.note)
    plan = Plan(find(words, out, recursive, failed, raster, predictor.card.spec, _LeftOut()), save, failed)
    while plan.more() and not plan.count:
        pass
    if not plan.count:
        reasons = [f"{shown(source)}: {message}" for source, message in failed]
        raise ImageError(*(reasons or ["no pictures given: name files or folders"]))
    return plan


class _LeftOut:
    """Which files of a folder of pictures are labels of others of them; said, as they are left out."""

    def __init__(self) -> None:
        self._labels_among = LabelsAmong()
        self._told: set[Path] = set()

    def __call__(self, folder: Path, names: Sequence[str], all_of_them: bool) -> list[str]:
        found = self._labels_among(folder, names, all_of_them)
        if found and folder not in self._told:
            self._told.add(folder)
            few = some([shown(folder / name) for name in found])
            count = number(len(found), "label") if all_of_them else "labels"
            console.note(f"{count} of other pictures left out ({few}): name a file, or its folder")
        return found


def _is_used(out: Path) -> bool:
    """Whether there is anything in `out` that results could meet."""
    return os.path.lexists(out) and (not out.is_dir() or holds_files(out))


def _check(plan: Plan, out: Path, what: WhatToWrite, beside: Sequence[Path], anew: bool) -> None:
    """Look at every name before the first picture, where `out` is in use: results may meet what is there.

    OutputError where they would leave `out`, or replace a picture, or, `anew`, anything at all.
    """
    checked = Checked(out)
    for source in plan:
        checked.note(source)

    def planned() -> Iterator[Path]:
        yield from (path for source in plan for path in source.outputs(out, what))
        yield from beside

    for path in planned():
        checked.check(path)
    if anew:
        _refuse_existing(planned())


def _say(source: Path, message: str) -> None:
    console.note(f"{shown(source)}: {message}")


def _label(source: Source, out: Path, what: WhatToWrite) -> Path | None:
    return source.output(out, "label") if "label" in what.kinds(source.medium) else None


def _tiling(predictor: Predictor, what: WhatToWrite) -> Tiling | None:
    """The tiles that were asked for, if any; an error where these, or attention, cannot be had of this predictor."""
    tiling = None
    if predictor.tile or predictor.card.input.tile:
        predictor.check_tiles()
        tiling = Tiling.of(predictor.card.input, predictor.tile, predictor.overlap)
    if "attention" in what.save:
        if predictor.tile:
            raise OutputError("attention is drawn of whole pictures, not of tiles: leave out `attention` or `tile`")
        predictor.engine.check_attention(of_a_position=what.attention_at is not None)
    return tiling


def _refuse_existing(planned: Iterable[Path]) -> None:
    existing = (path for path in planned if os.path.lexists(path))
    first = next(existing, None)
    if first is not None:
        more = sum(1 for _ in existing)
        and_more = f" and {more:,} more" if more else ""
        raise OutputError(f"{shown(first)}{and_more} exists already: choose another `out` or add `overwrite=True`")


def _settings(predictor: Predictor, what: WhatToWrite) -> dict[str, Any]:
    """What must be the same for a run to go on."""
    model = hashlib.sha256(predictor.card.to_json().encode()).hexdigest()[:16]
    tta, crf = (None if one is None else str(one) for one in (predictor.tta, predictor.crf))
    precision = predictor.engine.describe().precision
    style, tiles = predictor.style and predictor.style.described, {"tile": predictor.tile, "overlap": predictor.overlap}
    computed = {"precision": None if precision == "float32" else precision}  # of float32 nothing was said before
    return {"model": model, "tta": tta, "crf": crf, "style": style, **computed, **tiles, **what.settings()}
