"""Seeds: which reports are of one recipe trained with several seeds, and what a reader of their figures must know.

Trainings that have each left out another fold are of one recipe too, where they are scored on the same pictures.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tarsia import formerly
from tarsia.comparison import Comparison, Model, significance
from tarsia.comparison.reports import ComparedReport, shared_protocol
from tarsia.evaluation.details import FIGURES, KEYS
from tarsia.plain_text import listed, number, some

_NAMED = 3
_FACTS = ("architecture", "parameters", "multiply_adds", "latency_seconds", "peak_memory_bytes")
# Where a training ran, what it is called, and what it has left out; all else in a recipe makes another model.
_OF_THE_PLACE = (("seed",), ("name",), ("expected",), ("data", "cache"), ("data", "keep_megabytes"), ("data", "fold"))
# How it was computed, which each machine measures for itself: it makes no other model, but in its last bits.
_HOW = (("train", "memory_format"), ("train", "threads"), ("train", "workers"), ("train", "timeout_seconds"))
_PATHS = (("data", "root"), ("model", "weights"))  # of these the last part counts: two machines, one data set


def models(found: Sequence[ComparedReport], pool: bool = True) -> list[Model]:
    """Reports -> the models of a comparison; with `pool`, the seeds of one recipe and protocol are one."""
    shared = shared_protocol(found)
    groups: list[list[ComparedReport]] = []
    for group in _recipes(found):
        groups += [group] if pool and _seeds_differ(group) else [[one] for one in group]
    names = [_common_name([one.name for one in group]) for group in groups]
    names = [name if names.count(name) == 1 else group[0].name for name, group in zip(names, groups, strict=True)]
    kinds = _common_kinds(found)
    return [_model(name, group, shared, kinds) for name, group in zip(names, groups, strict=True)]


def _common_kinds(found: Sequence[ComparedReport]) -> list[str]:
    """The details that all reports have, in one form."""
    shapes = [{key: values.shape for key, values in one.details.items()} for one in found]
    return [key for key, shape in shapes[0].items() if all(other.get(key) == shape for other in shapes)]


def _recipes(found: Sequence[ComparedReport]) -> list[list[ComparedReport]]:
    """Reports of one recipe together; one whose recipe is not known is alone."""
    groups: dict[str, list[ComparedReport]] = {}
    for one in found:
        groups.setdefault(_identity(one) if one.recipe else f"\0{one.name}", []).append(one)
    return list(groups.values())


def _identity(one: ComparedReport, but: Sequence[tuple[str, str]] = ()) -> str:
    """What two trainings of one model have in common: the recipe, but for its place, and how the model was run."""
    recipe = json.loads(json.dumps(one.recipe, default=str))
    for *above, key in (*_OF_THE_PLACE, *_HOW, *but, *_PATHS):
        node = recipe
        for name in above:
            node = node.get(name) if isinstance(node.get(name), dict) else {}
        value = node.pop(key, None)
        if (*above, key) in _PATHS and value:
            node[key] = Path(str(value)).name
    return json.dumps([recipe, one.protocol], sort_keys=True, default=str)


def _seeds_differ(group: Sequence[ComparedReport]) -> bool:
    seeds = [_seed(one.recipe or {}) for one in group]
    return len(set(seeds)) == len(seeds)


def _seed(recipe: dict[str, Any]) -> tuple[str, str]:
    """The seed of a training, and the fold that it has left out."""
    section = recipe.get("data")
    return str(recipe.get("seed")), str(section.get("fold") if isinstance(section, dict) else None)


def _common_name(names: Sequence[str]) -> str:
    """unet-seed1, unet-seed2 -> unet; unet, unet-2 -> unet; the first name where nothing is left."""
    same = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    prefix = "".join(letters[0] for letters in same)
    return prefix if prefix in names else re.sub(r"[-_. ]+(seed|s)?[-_. ]*\d*$", "", prefix) or names[0]


def _model(name: str, group: Sequence[ComparedReport], shared: dict[str, Any], kinds: Sequence[str]) -> Model:
    first = group[0]
    settings = {key: str(value) for key, value in first.protocol.items() if key not in shared}
    latencies = [one.model["latency_seconds"] for one in group if one.model.get("latency_seconds") is not None]
    memories = [one.model["peak_memory_bytes"] for one in group if one.model.get("peak_memory_bytes") is not None]
    facts = {key: first.model.get(key) for key in _FACTS}
    facts["latency_seconds"] = float(np.median(latencies)) if latencies else None
    facts["peak_memory_bytes"] = max(memories, default=None)
    return Model(
        name=name,
        members=tuple(one.name for one in group),
        sums_N3K=np.mean([one.sums_N3K for one in group], 0),
        mious=tuple(float(significance.miou(one.sums_N3K.sum(0))) for one in group),
        seeds=tuple(_seed(one.recipe) for one in group if one.recipe),
        figures=tuple(_figures(one) for one in group),
        curves=tuple(one.curve for one in group if len(one.curve) > 1),
        details={key: np.mean([one.details[key] for one in group], 0) for key in kinds},
        facts=facts,
        settings=settings,
        measured_on="; ".join(dict.fromkeys(filter(None, map(_measured_on, group)))),
    )


def _figures(one: ComparedReport) -> dict[str, float]:
    """The figures of the report's details."""
    sums = {key: values_N.sum(0) for key, values_N in one.details.items()}
    return {key: float(figure.of(sums[figure.source])) for key, figure in FIGURES.items() if figure.source in sums}


def _measured_on(one: ComparedReport) -> str:
    """What latency and memory depend on besides the network, in words."""
    if one.model.get("latency_seconds") is None:
        return ""
    device, threads, batch = (one.model.get(key) for key in ("device", "threads", "batch"))
    parts = [str(fact) for fact in (device, one.model.get("precision")) if fact]
    if device == "cpu" and threads:
        parts.append(number(threads, "thread"))
    if batch:
        parts.append(f"batch {batch}")
    return ", ".join([*parts, *filter(None, [one.provenance.get("processor")])])


def notes(found: Sequence[ComparedReport], pooled: Sequence[Model]) -> list[str]:
    """What a reader of the figures must know."""
    said = [f"{one.name}: {one.expected}" for one in found if one.expected]
    for k, one in enumerate(found):
        twins = [other.name for other in found[k + 1 :] if np.array_equal(one.sums_N3K, other.sums_N3K)]
        if twins:
            said.append(f"{one.name} and {', '.join(twins)} have the same counts for every picture.")
    if not any(one.knows_sequences for one in found):
        said.append(
            "These reports do not say which video a picture is from, for they were written before that was kept: each "
            "counts as independent, and where they are frames of a video the intervals are too short and p values too "
            "small.  tarsia evaluate writes new ones."
        )
    for group in _recipes(found):
        if not _seeds_differ(group):
            said.append(
                f"{some([one.name for one in group], _NAMED)} are of one recipe and repeat a seed: they are not pooled."
            )
    said += _measured_apart(found)
    places = list(dict.fromkeys(one.measured_on for one in pooled if one.measured_on))
    if len(places) > 1:
        said.append(f"Latency was measured in different ways and is not to be compared: {' | '.join(places)}.")
    trained = [one.name for one in found if formerly.command(one.provenance).startswith("tarsia train")]
    if trained:
        said.append(
            f"Peak memory of {some(trained, _NAMED)} is the training's; tarsia evaluate MODEL gives prediction's."
        )
    return [*said, *_uncommon(found)]


def _measured_apart(found: Sequence[ComparedReport]) -> list[str]:
    """Which reports would be seeds of one recipe, had they been trained in one precision."""
    groups: dict[str, list[ComparedReport]] = {}
    for one in found:
        if one.recipe:
            groups.setdefault(_identity(one, but=[("train", "precision")]), []).append(one)
    said = []
    for group in groups.values():
        precisions = sorted({str((one.recipe or {}).get("train", {}).get("precision")) for one in group})
        if len(precisions) > 1 and _seeds_differ(group):
            names, both = some([one.name for one in group], _NAMED), listed(precisions)
            said.append(
                f"{names} are of one recipe, but were trained in {both}: "
                f"they are not pooled.  With train.precision={precisions[-1]} all are trained alike."
            )
    return said


def _uncommon(found: Sequence[ComparedReport]) -> list[str]:
    """Which details only some have, and which are not counted alike: they are shown for none."""
    kinds, missing = _common_kinds(found), dict[str, list[str]]()
    for key in KEYS:
        having = [one for one in found if key in one.details]
        if having and key not in kinds:
            without = [one.name for one in found if key not in one.details]
            bins = [str(count) for count in sorted({one.details[key].shape[1] for one in having})]
            reason = f"{some(without, _NAMED)} went without" if without else f"in {listed(bins)} bins"
            missing.setdefault(reason, []).append(key)
    return [
        f"Shown for none, for not all were evaluated alike ({why}): {', '.join(keys)}." for why, keys in missing.items()
    ]


def of_folds(comparison: Comparison) -> list[str]:
    """What reports of folds say of pictures from elsewhere."""
    sequences = len({*comparison.pictures.sequences})
    if not comparison.folds:
        return []
    said = f"Each picture was scored by a model that was trained on the other {sequences - 1} of {sequences} sequences."
    if comparison.blocks.count > sequences:
        said += (
            f"  Intervals and tests speak of other frames of these {sequences}; how much another sequence may differ, "
            "the spread over the folds shows."
        )
    return [said]


def unsettled(comparison: Comparison) -> list[str]:
    """That the test speaks of these trainings, where others of the same recipes have another order."""
    pairs = [[comparison.names[place] for place in (pair.first, pair.second)] for pair in comparison.unsettled()]
    if not pairs:
        return []
    named = some([f"{first} and {second}" for first, second in pairs], _NAMED)
    return [f"Different here, but with seeds that overlap, so that other trainings may turn the order: {named}."]
