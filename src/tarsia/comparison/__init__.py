"""Comparison: who is better on the same pictures, by how much, and how sure that is; `compared.py` finds it out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tarsia.card import Classes
from tarsia.comparison import significance
from tarsia.comparison.claims import Judged
from tarsia.comparison.significance import Blocks, Figure
from tarsia.plain_text import listed

FORMAT = 1
Curve = tuple[tuple[int, float], ...]  # of a training: step, mIoU on the validation pictures


@dataclass(frozen=True)
class Sampling:
    """How often what is drawn: bootstrap resamples for intervals of `level`, swappings for tests at 1 - `level`."""

    level: float = significance.LEVEL
    resamples: int = significance.RESAMPLES
    permutations: int = significance.PERMUTATIONS
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0.5 <= self.level < 1 and self.resamples >= 100 and self.permutations >= 100 and self.seed >= 0):
            raise ValueError(
                f"{self}: level lies in 0.5 .. 1, resamples and permutations are 100 or more, seed 0 or more"
            )

    @property
    def alpha(self) -> float:
        """The share of false alarms that the tests together may have."""
        return round(1 - self.level, 12)


@dataclass(frozen=True, eq=False)
class Pictures:
    """What all models of a comparison were scored on; `protocol` is what their reports' protocols share."""

    classes: Classes
    names: list[str]
    domains: list[str]
    sequences: list[str]
    protocol: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Model:
    """One model; several trainings that differ by their seed alone are one model, with the mean of their counts.

    `sums_N3K`: pixels right, of the truth and predicted, of each picture.  Of each of its trainings `mious`, `seeds`
    (and folds), `figures` of its details, and `curves`, how it learned.  `details`: arrays by picture, as
    evaluation/details.py `per_picture` gives them.  `settings`: how it was run, where that is the model's own affair.
    """

    name: str
    members: tuple[str, ...]
    sums_N3K: np.ndarray
    mious: tuple[float, ...]
    seeds: tuple[tuple[str, str], ...] = ()
    figures: tuple[dict[str, float], ...] = ()
    curves: tuple[Curve, ...] = ()
    details: dict[str, np.ndarray] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    measured_on: str = ""


@dataclass(frozen=True, eq=False)
class Standing:
    """Where a model stands.  Two share one of their `letters` exactly if they cannot be told apart."""

    model: Model
    letters: str
    miou: Figure
    iou: list[Figure]
    pixel_accuracy: float
    mpa: float
    details: dict[str, Figure]
    reliability: np.ndarray | None

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def mean(self) -> float:
        """The mean of the mIoU of each training."""
        return float(np.mean(self.model.mious))

    @property
    def deviation(self) -> float:
        """The standard deviation of the mIoU over the trainings, NaN for a single one."""
        return float(np.std(self.model.mious, ddof=1)) if len(self.model.mious) > 1 else math.nan


class Pair(NamedTuple):
    """Two standings by their places, the better first: difference in mIoU, p by itself and corrected for all pairs.

    `over_seeds`: the mean of the differences between trainings of the same seed, of which there are `seeds`.
    """

    first: int
    second: int
    difference: Figure
    p: float
    p_holm: float
    different: bool
    seeds: int
    over_seeds: Figure


class Domain(NamedTuple):
    """The pictures of one condition, scene or city, and the mIoU of each standing on them."""

    name: str
    images: int
    blocks: str
    classes: int  # with truth
    miou: list[Figure]


class Differing(NamedTuple):
    """A picture, its number among all, and the mIoU of each standing on it."""

    number: int
    name: str
    miou: list[float]


def worst(domains: Sequence[Domain], place: int) -> Domain:
    """The domain in which a standing has its lowest mIoU."""
    return min(domains, key=lambda domain: np.nan_to_num(domain.miou[place].value, nan=math.inf))


def spread(domains: Sequence[Domain], place: int) -> float:
    """The standard deviation of a standing's mIoU over domains, NaN for fewer than two."""
    values = [domain.miou[place].value for domain in domains if not math.isnan(domain.miou[place].value)]
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


@dataclass(frozen=True, eq=False)
class Comparison:
    """Models on the same pictures: `standings` best first, a test of every pair, domains, folds, what must be known.

    `claims`: what came of what was claimed of them.
    """

    pictures: Pictures
    sampling: Sampling
    blocks: Blocks
    standings: list[Standing]
    pairs: list[Pair]
    domains: list[Domain]
    reference_domain: str | None
    differing: list[Differing]
    notes: list[str]
    folds: list[Domain] = field(default_factory=list)  # where each was scored by models that have not seen it
    claims: list[Judged] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The models, best first."""
        return [one.name for one in self.standings]

    @property
    def settings(self) -> list[str]:
        """What of how the models were run is not the same for all."""
        return list(dict.fromkeys(key for one in self.standings for key in one.model.settings))

    @property
    def domains_are_folds(self) -> bool:
        """Whether its folds say all that its domains would, as where both are the drives of a car."""
        return bool(self.folds) and self.pictures.domains == self.pictures.sequences

    def gap(self, domain: Domain, place: int) -> float:
        """What a standing's mIoU in the reference domain is above that in `domain`."""
        reference = next(one for one in self.domains if one.name == self.reference_domain)
        return reference.miou[place].value - domain.miou[place].value

    def unsettled(self) -> list[Pair]:
        """Pairs that differ on these pictures, though a training of the worse one beats one of the better."""
        trainings = [one.model.mious for one in self.standings]
        several = [pair for pair in self.pairs if len(trainings[pair.first]) + len(trainings[pair.second]) > 2]
        return [pair for pair in several if pair.different and max(trainings[pair.second]) > min(trainings[pair.first])]

    def to_json(self) -> dict[str, Any]:
        """The comparison as comparison.json holds it; figures not defined are NaN."""
        sampling, places = self.sampling, range(len(self.standings))
        return {
            "format": FORMAT,
            "verdict": self.verdict(),
            "notes": self.notes,
            "claims": [one.to_json() for one in self.claims],
            "models": [_model(one, self.pictures.classes) for one in self.standings],
            "pairs": [
                pair._asdict()
                | {"first": self.names[pair.first], "second": self.names[pair.second]}
                | {"difference": pair.difference._asdict(), "over_seeds": pair.over_seeds._asdict()}
                for pair in self.pairs
            ],
            "reference_domain": self.reference_domain,
            "domains": [
                _domain(one, {self.names[k]: {**one.miou[k]._asdict(), "gap": self.gap(one, k)} for k in places})
                for one in self.domains
            ],
            "folds": [_domain(one, {self.names[k]: one.miou[k]._asdict() for k in places}) for one in self.folds],
            "over_domains": {
                self.names[k]: {"worst": worst(self.domains, k).name, "spread": spread(self.domains, k)}
                for k in (places if self.domains else [])
            },
            "differing_pictures": [
                {"name": one.name, "models": dict(zip(self.names, one.miou, strict=True))} for one in self.differing
            ],
            "protocol": self.pictures.protocol,
            "images": len(self.pictures.names),
            "blocks": self.blocks.description,
            "level": sampling.level,
            "resamples": sampling.resamples,
            "permutations": sampling.permutations,
            "seed": sampling.seed,
        }

    def verdict(self) -> str:
        """The outcome as a person would say it."""
        leader = self.standings[0]
        said = f"{leader.name} has the highest mIoU, {leader.miou.value:.4f}"
        if len(self.standings) == 1:
            return f"{leader.name} has an mIoU of {leader.miou.value:.4f}."
        same = [self.standings[pair.second].name for pair in self.pairs if pair.first == 0 and not pair.different]
        level = f"at the {100 * self.sampling.alpha:g} % level"
        if not same:
            others = _named(self.names[1:]) if len(self.names) < 6 else "all the others"
            return f"{said}, and is better than {others} {level}."
        rest = "  It is better than the rest." if len(same) < len(self.names) - 1 else ""
        return f"{said}, but cannot be told apart from {_named(same)} {level}.{rest}"


def _named(names: Sequence[str]) -> str:
    """Names as in a sentence; their number where they are many."""
    return f"{len(names)} others" if len(names) > 4 else listed(names)


def _domain(one: Domain, models: dict[str, Any]) -> dict[str, Any]:
    return {"name": one.name, "images": one.images, "blocks": one.blocks, "classes": one.classes, "models": models}


def _model(one: Standing, classes: Classes) -> dict[str, Any]:
    return {
        "name": one.name,
        "members": list(one.model.members),
        "letters": one.letters,
        "miou": one.miou._asdict(),
        "seeds": {"miou": list(one.model.mious), "mean": one.mean, "deviation": one.deviation},
        "curves": [list(map(list, curve)) for curve in one.model.curves],
        "pixel_accuracy": one.pixel_accuracy,
        "mpa": one.mpa,
        "iou": {name: figure._asdict() for name, figure in zip(classes.names, one.iou, strict=True)},
        **{key: figure._asdict() for key, figure in one.details.items()},
        **one.model.facts,
        "measured_on": one.model.measured_on,
        "settings": one.model.settings,
    }
