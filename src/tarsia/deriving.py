"""derive: a data set and the minutes there are -> a recipe with a reason on each line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tarsia import console, hardware, own_parts
from tarsia.adaptation.restyle import Restyling
from tarsia.auto import facts as counted
from tarsia.auto import rules, weights
from tarsia.auto.facts import Facts
from tarsia.auto.page import Page
from tarsia.auto.splits import opened
from tarsia.auto.told import told
from tarsia.data import Dataset
from tarsia.describing import describe_data
from tarsia.engines.memory_limit import free_bytes
from tarsia.engines.torch_engine import pick_device
from tarsia.errors import RecipeError
from tarsia.learning.limit import Limit
from tarsia.learning.pace import Pace, measured
from tarsia.learning.state import TrainingState
from tarsia.plain_text import number
from tarsia.recipe import Recipe

_LEAST_PROBE_SECONDS = 3.0
_QUICK_MINUTES = 2.0  # below which the memory format is not measured
_WRITING_SECONDS = 5.0  # of the report, its page and its pictures
_FOUR = 0.55  # what a step of four costs, of one of eight, until it is measured
_LESS = 0.8  # what a step of four must cost, of one of eight, to be worth its wavering
_COMPUTED = ("precision", "memory_format")


@dataclass(frozen=True)
class Derived:
    """A recipe that fits into the minutes there are.

    `reasons`: why each setting is as it is, by `key.key`.  `text`: the file.  `lines`: what was seen and decided, in
    ten lines.  `limit`: what is left of the minutes, for `train`.
    """

    recipe: Recipe
    reasons: Mapping[str, str]
    text: str
    lines: tuple[str, ...]
    limit: Limit


class _Tried(NamedTuple):
    """A network on a page, and its pace.  `kept`: the share of the pictures that memory holds once they are read.

    `passes`: over full pictures that the time was thought to do for when its scale was settled.
    """

    page: Page
    network: rules.Network
    pace: Pace
    scale: float
    crop: tuple[int, int]
    kept: float
    passes: float

    def steps(self, seconds: float, batch: int, pictures: int) -> float:
        """How many steps fit."""
        return self.pace.steps(seconds, batch, pictures, self.kept)


def derive(
    given: str,
    minutes: float | None = None,
    *,
    overrides: Sequence[str] = (),
    weights_at: str | Path | None = None,
    device: str = "auto",
    used: float = 0.0,
) -> Derived:
    """A recipe for the data set `given` (NAME[:ROOT][,key=value...]) that trains for `minutes` of wall time, all told.

    A folder without dataset.yaml gets one (`init`).  `overrides`: `key.key=value`, which win over every rule.
    `weights_at`: a file or folder with ImageNet weights of encoders; the hub's cache or the hub unless told.  `used`:
    seconds that were over when this was called.  What is measured here is measured anew each time: two calls may
    differ.  Raises DatasetError for what cannot be read, RecipeError for overrides that contradict the rest.
    """
    minutes = rules.MINUTES if minutes is None else minutes
    if isinstance(minutes, bool) or not isinstance(minutes, Real) or not minutes > 0:
        raise RecipeError(f"minutes={minutes!r}: expected a number above 0")
    limit = Limit(60 * minutes, used)
    device = pick_device(device)
    page = Page(overrides)
    section, train_data, val_data, fault = opened(describe_data(given), page)
    networks = _networks(page, device, weights_at)
    facts = counted.count(train_data, rules.SHARES["look"] * limit.seconds)
    common = _Common(section, facts, len(val_data or ()), fault, device, minutes)
    tried = _tried(page, networks, common, limit, val_data)
    return _planned(tried, common, limit)


def _networks(page: Page, device: str, weights_at: str | Path | None) -> list[rules.Network]:
    """What may be tried, best first: one encoder where the user has chosen it, or where there are no weights."""
    name = page.fixed.get("model.name", rules.NETWORK)
    if page.is_free("model.weights") and not rules.has_encoder(name):
        if weights_at is not None:
            raise RecipeError(f"weights={str(weights_at)!r}: {name} has no encoder to start from them: leave it out")
        return [rules.Network("")]
    encoders: tuple[str, ...] = rules.LIGHT if device == "cpu" else rules.HEAVY
    if not page.is_free("model.encoder"):
        encoders = (page.fixed["model.encoder"],)
    if not page.is_free("model.weights"):
        return [rules.Network(encoders[0], page.fixed["model.weights"])]
    networks, why_none = weights.at_hand(encoders, weights_at)
    if not networks:
        console.note(f"no ImageNet weights at hand ({why_none}): from scratch, which needs far more pictures and time")
    return networks or [rules.Network(rules.SCRATCH if encoders is rules.LIGHT else encoders[0])]


class _Common(NamedTuple):
    """What all networks have in common."""

    section: dict[str, Any]
    facts: Facts
    held_out: int
    fault: str
    device: str
    minutes: float


def _tried(
    page: Page, networks: Sequence[rules.Network], common: _Common, limit: Limit, val_data: Dataset | None
) -> _Tried:
    """The best network whose training is long enough; of those that time was left to measure the fastest, else."""
    found: list[_Tried] = []
    until = limit.spent + max(_LEAST_PROBE_SECONDS, rules.SHARES["probe"] * limit.seconds)
    for one in networks:
        tried = _measured(page.overrides, one, common, val_data)
        if (passes := _passes(tried, common, limit)) < rules.PASSES:
            tried = _smaller(tried, common, val_data, passes * tried.scale**2)
        found.append(tried)
        if _long_enough(tried, common, limit) or limit.spent > until:
            break
    enough = [one for one in found if _long_enough(one, common, limit)]
    return enough[0] if enough else min(found, key=lambda one: one.pace.step)


def _shaped(page: Page, one: rules.Network, common: _Common, passes: float) -> tuple[float, tuple[int, int], float]:
    """All rules but those that need the pace; `passes` over full pictures that the time would do for."""
    facts = common.facts
    where = common.section.get("root") or own_parts.stem(common.section["name"])
    rules.name(page, Path(where).resolve().name or "auto")
    rules.data(page, common.section, facts, common.held_out, common.fault)
    rules.network(page, one, facts)
    rules.detail(page, facts)
    scale = rules.scale(page, facts, passes)
    workers = _workers(common.device)
    kept = rules.keep(page, facts, scale, (free_bytes() or 0) // max(1, workers))
    crop = rules.crop(page, facts, scale)
    rules.flips(page, facts)
    rules.jitter(page, facts)
    rules.loss(page, facts)
    batch = rules.batch(page, rules.BATCH, "as in camvid-fast.yaml")
    rules.optimizer(page, batch, one.weights != "none", workers)
    if common.minutes < _QUICK_MINUTES:
        page.put("train.precision", "float32", "too little time to measure others")
        page.put("train.memory_format", "channels_last", "too little time to measure others")
    return scale, crop, kept


def _workers(device: str) -> int:
    cores = hardware.cores()
    return min(8, cores - 1) if device != "cpu" else int(cores > 3)


def _measured(
    overrides: Sequence[str],
    one: rules.Network,
    common: _Common,
    val_data: Dataset | None,
    passes: float = math.inf,
    settled: Mapping[str, Any] | None = None,
) -> _Tried:
    """A network by the rules, with steps timed as training takes them; `passes` as of `_shaped`.

    `settled`: of the section train what is known already: the way of computing, which takes the longest to measure.
    """
    page = Page(overrides)
    scale, crop, kept = _shaped(page, one, common, passes)
    recipe = page.recipe()
    train = recipe.train.model_copy(update={"epochs": 1000, "workers": 0, **(settled or {})})
    state = TrainingState.open(recipe.model_copy(update={"train": train}), Path("."), common.device, Restyling)
    for key in _COMPUTED:
        if f"train.{key}" not in page.reasons:
            page.put(f"train.{key}", getattr(state.recipe.train, key), "the faster, measured here")
    return _Tried(page, one, measured(state, recipe.train.workers, val_data), scale, crop, kept, passes)


def _computed(tried: _Tried) -> dict[str, Any]:
    return {key: tried.page.tree["train"][key] for key in _COMPUTED}


def _smaller(tried: _Tried, common: _Common, val_data: Dataset | None, passes: float) -> _Tried:
    """The same on smaller pictures, where a rule says so; measured anew where crops are not what they were."""
    page = Page(tried.page.overrides)
    scale, crop, kept = _shaped(page, tried.network, common, passes)
    if crop != tried.crop:
        return _measured(page.overrides, tried.network, common, val_data, passes, _computed(tried))
    for key, value in _computed(tried).items():
        if f"train.{key}" not in page.reasons:
            page.put(f"train.{key}", value, "the faster, measured here")
    return tried._replace(page=page, scale=scale, kept=kept, passes=passes)


def _room(tried: _Tried, common: _Common, limit: Limit) -> tuple[float, int]:
    """Seconds for steps, and how many validations."""
    pace = tried.pace
    once = common.held_out * pace.validation
    limit.scoring = 1.1 * once + _WRITING_SECONDS * pace.busy
    most = max(1, int(rules.SHARES["validation"] * limit.seconds / max(once, 1e-9)))
    validations = min(10, most) if common.held_out else 10
    limit.validation = once
    reserve = rules.SHARES["reserve"] * limit.seconds * pace.busy
    return max(0.0, limit.left - limit.scoring - reserve - validations * once), validations


def _passes(tried: _Tried, common: _Common, limit: Limit, batch: int = rules.BATCH) -> float:
    """How often every pixel would be seen in the time there is."""
    steps = tried.steps(_room(tried, common, limit)[0], batch, common.facts.pictures)
    return rules.passes(int(steps), batch, tried.crop, common.facts, tried.scale)


def _long_enough(tried: _Tried, common: _Common, limit: Limit) -> bool:
    four = tried._replace(pace=tried.pace._replace(step=tried.pace.step * _FOUR))
    steps = four.steps(_room(tried, common, limit)[0], rules.BATCH // 2, common.facts.pictures)
    return steps >= rules.STEPS and _passes(four, common, limit, rules.BATCH // 2) >= rules.PASSES


def _planned(tried: _Tried, common: _Common, limit: Limit) -> Derived:
    """The batch and the length, which follow from the pace."""
    page, facts = tried.page, common.facts
    tried = _fewer_at_once(tried, common, limit)
    seconds, validations = _room(tried, common, limit)
    batch, pace = page.tree["train"]["batch"], tried.pace.step
    if seconds < rules.LEAST_STEPS * pace:
        console.warn(
            f"too little time: {limit.spent:.0f} of {limit.seconds:.0f} s are over, a step takes {pace:.1f}, "
            "and it will have learned next to nothing, or end late: give more minutes"
        )
    limit.pace, steps = pace, max(1, int(tried.steps(seconds, batch, facts.pictures)))
    most = int(rules.MOST_PASSES * steps / max(1e-9, rules.passes(steps, batch, tried.crop, facts, tried.scale)))
    limit.most, limit.reading = max(1, most), min(steps // 4, int(tried.kept * facts.pictures / batch))
    rules.length(page, min(steps, limit.most), validations, seconds, pace, steps > limit.most)
    recipe = page.recipe()
    if not page.is_free("train.epochs") and not page.is_free("train.steps_per_epoch"):
        limit.most = recipe.train.epochs * (recipe.train.steps_per_epoch or 1)
    lines = told(
        facts,
        common.held_out,
        recipe,
        page.reasons,
        tried.network,
        step=tried.pace.step,
        validation=tried.pace.validation,
        passes=rules.passes(min(steps, limit.most), batch, tried.crop, facts, tried.scale),
        computed=f"{common.device}, {number(torch.get_num_threads(), 'thread')}",
        is_enough=steps > limit.most,
    )
    lines.append(f"time      {limit.spent:.0f} of {limit.seconds:.0f} s are over")
    header = f"Derived from {facts.looked} of {number(facts.pictures, 'picture')} for {common.minutes:g} minutes."
    return Derived(recipe, page.reasons, page.text(header), tuple(lines), limit)


def _fewer_at_once(tried: _Tried, common: _Common, limit: Limit) -> _Tried:
    """With steps of four pictures, where those of eight would be too few and a step of four, measured, is cheaper."""
    page, seconds = tried.page, _room(tried, common, limit)[0]
    eight = tried.steps(seconds, rules.BATCH, common.facts.pictures)
    if not page.is_free("train.batch") or eight >= rules.STEPS:
        return tried
    half = rules.BATCH // 2
    settled = _computed(tried) | {"batch": half}
    pace = _measured(page.overrides, tried.network, common, None, tried.passes, settled).pace
    if pace.step > _LESS * tried.pace.step:
        rules.batch(page, rules.BATCH, f"{eight:.0f} steps fit; steps of four would hardly be more")
        return tried
    tried = tried._replace(pace=pace._replace(validation=tried.pace.validation))
    four = tried.steps(_room(tried, common, limit)[0], half, common.facts.pictures)
    rules.batch(page, half, f"of eight, {eight:.0f} steps would fit; of four {four:.0f}")
    rules.optimizer(page, half, tried.network.weights != "none", _workers(common.device))
    return tried
