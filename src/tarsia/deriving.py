"""derive: a data set and the minutes there are -> a recipe with a reason on each line."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tarsia import console, data, hardware, own_parts
from tarsia.adaptation.restyle import Restyling
from tarsia.auto import facts as counted
from tarsia.auto import rules, weights
from tarsia.auto.facts import Facts
from tarsia.auto.page import Page
from tarsia.data import Dataset
from tarsia.describing import describe_data
from tarsia.engines.torch_engine import pick_device
from tarsia.errors import DatasetError, RecipeError
from tarsia.learning.limit import Limit
from tarsia.learning.state import TrainingState
from tarsia.learning.step import gradients, take
from tarsia.plain_text import first_line, number
from tarsia.prediction.predictor import Predictor
from tarsia.recipe import Recipe

_TIMED = 3  # steps, after one that warms up
_LEAST_PROBE_SECONDS = 3.0
_QUICK_MINUTES = 2.0  # below which the memory format is not measured
_WRITING_SECONDS = 5.0  # of the report, its page and its pictures
_FOUR = 0.55  # what a step of four costs, of one of eight


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
    """A network on a page, and the seconds of its step and of one validation picture.

    `busy`: how many times as long as on an idle machine things take, as others work on it too; 1 or more.
    """

    page: Page
    network: rules.Network
    pace: float
    picture: float
    busy: float
    scale: float
    crop: tuple[int, int]


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
    section, train_data, val_data, fault = _opened(describe_data(given), page)
    networks = _networks(page, device, weights_at)
    facts = counted.count(train_data, rules.SHARES["look"] * limit.seconds)
    common = _Common(section, facts, len(val_data or ()), fault, device, minutes)
    tried = _tried(page, networks, common, limit, val_data)
    return _planned(tried, common, limit)


def _networks(page: Page, device: str, weights_at: str | Path | None) -> list[rules.Network]:
    """What may be tried, best first: one encoder where the user has chosen it, or where there are no weights."""
    encoders: tuple[str, ...] = rules.LIGHT if device == "cpu" else rules.HEAVY
    if not page.is_free("model.encoder"):
        encoders = (page.fixed["model.encoder"],)
    if not page.is_free("model.weights"):
        return [rules.Network(encoders[0], page.fixed["model.weights"])]
    networks, why_none = weights.at_hand(encoders, weights_at)
    if not networks:
        console.note(f"no ImageNet weights at hand ({why_none}): from scratch, which needs far more pictures and time")
    return networks or [rules.Network(encoders[0])]


class _Common(NamedTuple):
    """What all networks have in common."""

    section: dict[str, Any]
    facts: Facts
    held_out: int
    fault: str
    device: str
    minutes: float


def _opened(given: str, page: Page) -> tuple[dict[str, Any], Dataset, Dataset | None, str]:
    """The section `data` of the recipe, both splits, and why there is none to validate on."""
    name, root, options = data.parse(given)
    options.pop("split", None)
    own = {key.removeprefix("data."): value for key, value in page.fixed.items() if key.startswith("data.")}
    section = {"name": name, **({"root": root} if root else {}), **options} | own
    special = ("name", "root", "train", "val", "cache")
    more = {key: value for key, value in section.items() if key not in special and not key.startswith("val_options")}
    where = section["name"], section.get("root")
    train_data = data.open(*where, section.get("train", "train"), **more)
    val = section.get("val", "val")
    try:
        val_data = data.open(*where, val, **more) if val else None
        fault = "" if val_data else "data.val is null"
    except DatasetError as error:
        val_data, fault = None, first_line(error)
    return section, train_data, val_data, fault


def _tried(
    page: Page, networks: Sequence[rules.Network], common: _Common, limit: Limit, val_data: Dataset | None
) -> _Tried:
    """The best network whose training is long enough; of those that time was left to measure the fastest, else."""
    found: list[_Tried] = []
    until = limit.spent + max(_LEAST_PROBE_SECONDS, rules.SHARES["probe"] * limit.seconds)
    for one in networks:
        own = Page(page.overrides)
        scale, crop = _shaped(own, one, common)
        found.append(_Tried(own, one, *_measured(own, common, val_data), scale, crop))
        if _long_enough(found[-1], common, limit) or limit.spent > until:
            break
    enough = [one for one in found if _long_enough(one, common, limit)]
    return enough[0] if enough else min(found, key=lambda one: one.pace)


def _shaped(page: Page, one: rules.Network, common: _Common) -> tuple[float, tuple[int, int]]:
    """All rules but those that need the pace."""
    facts = common.facts
    where = common.section.get("root") or own_parts.stem(common.section["name"])
    rules.name(page, Path(where).resolve().name or "auto")
    rules.data(page, common.section, facts, common.held_out, common.fault)
    rules.network(page, one, facts)
    rules.detail(page, facts)
    scale = rules.scale(page, facts)
    crop = rules.crop(page, facts, scale)
    rules.flips(page, facts)
    rules.jitter(page, facts)
    rules.loss(page, facts)
    batch = rules.batch(page, rules.BATCH, "as in camvid-fast.yaml")
    rules.optimizer(page, batch, one.weights != "none", _workers(common.device))
    if common.minutes < _QUICK_MINUTES:
        page.put("train.precision", "float32", "too little time to measure others")
        page.put("train.memory_format", "channels_last", "too little time to measure others")
    return scale, crop


def _workers(device: str) -> int:
    cores = hardware.cores()
    return min(8, cores - 1) if device != "cpu" else int(cores > 3)


def _measured(page: Page, common: _Common, val_data: Dataset | None) -> tuple[float, float, float]:
    """Seconds of a step, with reading and augmentation, and of a validation picture, of the network on the page.

    And how busy the machine is: the steps' wall time over what they had of the processor.
    """
    recipe = page.recipe()
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": 1000, "workers": 0})})
    state = TrainingState.open(recipe, Path("."), common.device, Restyling)
    for key in ("precision", "memory_format"):
        if f"train.{key}" not in page.reasons:
            page.put(f"train.{key}", getattr(state.recipe.train, key), "the faster, measured here")
    state.model.train()
    batches, times = state.batches(), []
    began, worked = time.perf_counter(), time.process_time()
    for _ in range(1 + _TIMED):
        started = time.perf_counter()
        gradients(state, [next(batches) for _ in range(recipe.train.accumulate)])
        take(state)
        times.append(time.perf_counter() - started)
    worked = time.process_time() - worked
    busy = max(1.0, (time.perf_counter() - began) / max(worked, 1e-9)) if common.device == "cpu" else 1.0
    if val_data is None:
        return statistics.median(times[1:]), 0.0, busy
    predictor, pictures = Predictor(state.engine()), []
    for index in (0, 0, len(val_data) - 1):
        started = time.perf_counter()
        predictor.labels(val_data[index].image[None])
        pictures.append(time.perf_counter() - started)
    return statistics.median(times[1:]), statistics.median(pictures[1:]), busy


def _room(tried: _Tried, common: _Common, limit: Limit) -> tuple[float, int]:
    """Seconds for steps, and how many validations."""
    once = common.held_out * tried.picture
    limit.scoring = 1.1 * once + _WRITING_SECONDS * tried.busy
    most = max(1, int(rules.SHARES["validation"] * limit.seconds / max(once, 1e-9)))
    validations = min(10, most) if common.held_out else 10
    limit.validation = once
    reserve = rules.SHARES["reserve"] * limit.seconds * tried.busy
    return max(1.0, limit.left - limit.scoring - reserve - validations * once), validations


def _long_enough(tried: _Tried, common: _Common, limit: Limit) -> bool:
    seconds, _ = _room(tried, common, limit)
    steps = int(seconds / (tried.pace * _FOUR))
    seen = rules.passes(steps, rules.BATCH // 2, tried.crop, common.facts, tried.scale)
    return steps >= rules.STEPS and seen >= rules.PASSES


def _planned(tried: _Tried, common: _Common, limit: Limit) -> Derived:
    """The batch and the length, which follow from the pace."""
    page, facts = tried.page, common.facts
    seconds, validations = _room(tried, common, limit)
    pace, batch = tried.pace, page.tree["train"]["batch"]
    if page.is_free("train.batch") and seconds / pace < rules.STEPS:
        pace *= _FOUR
        batch = rules.batch(
            page, rules.BATCH // 2, f"of eight, {seconds / tried.pace:.0f} steps would fit; of four more"
        )
        rules.optimizer(page, batch, tried.network.weights != "none", _workers(common.device))
    limit.pace, steps = pace, max(1, int(seconds / pace))
    most = int(rules.MOST_PASSES * steps / max(1e-9, rules.passes(steps, batch, tried.crop, facts, tried.scale)))
    limit.most = max(1, most)
    rules.length(page, min(steps, limit.most), validations, seconds, pace)
    recipe = page.recipe()
    if not page.is_free("train.epochs") and not page.is_free("train.steps_per_epoch"):
        limit.most = recipe.train.epochs * (recipe.train.steps_per_epoch or 1)
    lines = _lines(tried, common, recipe, limit)
    header = f"Derived from {facts.looked} of {number(facts.pictures, 'picture')} for {common.minutes:g} minutes."
    return Derived(recipe, page.reasons, page.text(header), tuple(lines), limit)


def _lines(tried: _Tried, common: _Common, recipe: Recipe, limit: Limit) -> list[str]:
    facts, train, reasons = common.facts, recipe.train, tried.page.reasons
    steps = (train.steps_per_epoch or 1) * train.epochs
    seen = rules.passes(steps, train.batch, tried.crop, facts, tried.scale)
    rarest, share = facts.rarest
    cores = torch.get_num_threads()
    known = f"{tried.network.weights}" if tried.network.weights != "none" else "none at hand, from scratch"
    return [
        f"data      {facts.pictures} + {number(common.held_out, 'picture')} of {facts.size[0]}x{facts.size[1]}, "
        f"{number(len(facts.shares), 'class', 'classes')}, the rarest ({rarest}) {100 * share:.2g} %",
        f"machine   {common.device}, {number(cores, 'thread')}, {train.precision}, {train.memory_format}",
        f"weights   {known}",
        f"network   {recipe.model.name}/{recipe.model.options.get('encoder', '')}: {tried.pace:.2f} s a step, "
        f"{tried.picture:.2f} s a validation picture",
        f"detail    {reasons.get('model.finest', 'as you say')}",
        f"plan      {steps} steps of {train.batch} x {tried.crop[0]}x{tried.crop[1]}, {seen:.3g} passes; "
        f"{limit.spent:.0f} of {limit.seconds:.0f} s are over",
        f"flips     {reasons.get('augment.horizontal_flip', '')}; {reasons.get('augment.vertical_flip', '')}",
        f"augment   {reasons.get('augment.scale', '')}; {reasons.get('augment.color_jitter', 'no change of colours')}",
        f"loss      cross-entropy + dice; {reasons.get('train.class_weights', '')}",
    ]
