"""check: what is wrong with a data set, and what a training will see of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tarsia.card import Input
from tarsia.data import meant
from tarsia.data._dataset import Dataset, evenly, spec_of
from tarsia.data._range import settled
from tarsia.describing import describe_data
from tarsia.doctor import balance, duplicates, files, labels, misalignment, sequences, two_values, value_range
from tarsia.doctor.dataset import Check, CheckedData
from tarsia.doctor.finding import Finding, worst_first
from tarsia.doctor.fix import write_copy
from tarsia.doctor.model_disagreement import doubted_labels
from tarsia.doctor.open import examine_data, examine_file
from tarsia.doctor.page import write_folder
from tarsia.doctor.result import CheckResult
from tarsia.drawing.sheet import Row, Tile, sheet
from tarsia.errors import DatasetError, RecipeError
from tarsia.files import writing
from tarsia.prediction.predictor import Predictor
from tarsia.recipe import Recipe
from tarsia.recipe_augment import AugmentRecipe

# Every kind of finding: a function each, from a data set to what is wrong with it.  A new kind is one more function.
CHECKS: tuple[Check, ...] = (
    *files.CHECKS,
    *value_range.CHECKS,
    *two_values.CHECKS,
    *labels.CHECKS,
    *misalignment.CHECKS,
    *duplicates.CHECKS,
    *sequences.CHECKS,
    *balance.CHECKS,
)
_COLUMNS = 5
_TOGETHER = "All together, as training sees its first samples"
_Shown = tuple[str, np.ndarray, np.ndarray]  # caption, picture, label


def check(
    data: str,
    *,
    split: str | None = None,
    model: Predictor | None = None,
    out: str | Path | None = None,
    fix: bool = False,
    threads: int | None = None,
) -> CheckResult:
    """Look at every sample of a data set (`NAME[:ROOT][,key=value...]`), all its splits or one -> what is wrong.

    A folder without dataset.yaml gets one first, as by `init`, and may be given by its path alone.

    `model`: its doubts about labels are a finding too.  `out`: a folder for check.json and, with the extra `report`,
    check.html.  `fix`: write a corrected copy there as well, never in place, and look at that too.  `threads` that
    read; one for each core unless told.  Damaged files are findings; raised are DatasetError where no split can be
    opened, where the model has other classes and where nothing can be corrected, and RecipeError for faults in
    dataset.yaml.  Memory grows by less than a kilobyte a picture.
    """
    if fix and out is None:
        raise RecipeError("`fix=True` writes a corrected copy: say with `out` where")
    checked = examine_data(describe_data(meant(data)), split, threads)
    findings = findings_of(checked)
    if model is not None:
        findings = worst_first([*findings, *doubted_labels(checked, model)])
    result = CheckResult(checked, findings)
    if fix and out is not None:
        try:
            corrected = write_copy(checked, findings, Path(out))
        except DatasetError:
            write_folder(Path(out), result)  # where every finding stands
            raise
        copy = examine_file(corrected.described, threads)
        result = CheckResult(checked, findings, corrected, CheckResult(copy, findings_of(copy)))
    if out is not None:
        write_folder(Path(out), result)
    return result


def findings_of(checked: CheckedData) -> list[Finding]:
    """All that is wrong, worst first; the same data set gives the same findings."""
    return worst_first(finding for check in CHECKS for finding in check(checked))


def augmentation_sheet(recipe: Recipe, dataset: Dataset, out: Path, *, seed: int | None = None) -> Path:
    """Draw what `recipe`'s augmentation makes of `dataset` -> `out`/augmentation.png, a contact sheet.

    Rows of a picture and, beside it, what each augmentation alone makes of it at probability 1, its label below where
    it moves; each row has another picture.  The last row is the first samples that a training of the recipe reads from
    `dataset`.  `recipe.data` is not looked at; `seed` replaces the recipe's.  Raises RecipeError where the recipe names
    no augmentation, DatasetError where there are no pictures, and whatever reading them raises.
    """
    from tarsia.learning.augment import Augment
    from tarsia.learning.loader import Key, Samples, TrainingOrder
    from tarsia.learning.parts import check_colors

    spec = spec_of(dataset)
    check_colors(recipe, spec, getattr(dataset, "range_rule", None))
    size: dict[str, Any] = {"size": recipe.input.size, "short_side": recipe.input.short_side}
    settings = Input(dtype=spec.dtype, range=settled(dataset), **size)
    seed = recipe.seed if seed is None else seed

    def shown(caption: str, augment: AugmentRecipe, key: Key) -> _Shown:
        image, label, name = Samples(dataset, Augment(augment), settings, seed).read(key)
        return caption or name, image if image.dtype == np.uint8 else np.rint(image).astype(np.uint8), label

    alone = list(_alone(recipe.augment))
    if not alone:
        raise RecipeError(
            f"{recipe.name or 'the recipe'} names no augmentation: add one, as augment.horizontal_flip: 0.5"
        )
    if not len(dataset):
        raise DatasetError("the split holds no samples: there is nothing to draw")
    parts = [alone[start : start + _COLUMNS - 1] for start in range(0, len(alone), _COLUMNS - 1)]
    rows = []
    for part, sample in zip(parts, itertools.cycle(evenly(len(parts), len(dataset))), strict=False):
        plain = shown("", AugmentRecipe(), Key(0, sample))
        changed = [shown(caption, augment, Key(0, sample, variant)) for caption, augment, variant in part]
        rows.append(_row(plain, changed))
    order = TrainingOrder(len(dataset), _COLUMNS, seed, epochs=1, threefold=recipe.augment.threefold)
    rows.append(Row(_TOGETHER, [Tile(*shown("", recipe.augment, key)) for key in next(iter(order))]))
    path = Path(out) / "augmentation.png"
    with writing(path) as written:
        sheet(rows, dataset.classes).save(written, format="PNG")
    return path


def _alone(augment: AugmentRecipe) -> Iterator[tuple[str, AugmentRecipe, int]]:
    """Of each augmentation that is named: caption, a recipe of it alone that always applies it, threefold variant."""
    for name in AugmentRecipe.model_fields:
        value: Any = getattr(augment, name)
        words = name.replace("_", " ")
        if name == "threefold" and value:
            for variant, way in ((1, "horizontal"), (2, "vertical")):
                yield f"{words}: {way} flip", AugmentRecipe(threefold=True), variant
        elif name == "crop" and value:
            yield f"crop {value[0]} x {value[1]}", AugmentRecipe(crop=value), 0
        elif name == "class_balanced" and value:
            yield f"class-balanced crop, p = {value:g}", AugmentRecipe(crop=augment.crop, class_balanced=1.0), 0
        elif name == "extra" and value:
            yield f"extra {value}", AugmentRecipe(extra=value), 0
        elif hasattr(value, "probability"):
            always = value.model_copy(update={"probability": 1.0})
            yield f"{words}, p = {value.probability:g}", AugmentRecipe(**{name: always}), 0
        elif value:
            yield f"{words}, p = {value:g}", AugmentRecipe(**{name: 1.0}), 0


def _row(plain: _Shown, changed: list[_Shown]) -> Row:
    """A picture and what became of it, with the labels that have moved, and the picture's own where any has."""
    moved = [not np.array_equal(label, plain[2]) for _, _, label in changed]
    pairs = zip((plain, *changed), (any(moved), *moved), strict=True)
    return Row("", [Tile(caption, image, label if labelled else None) for (caption, image, label), labelled in pairs])
