"""Claims: does a difference that somebody expects, or has published, hold over several trainings of both models?

Two kinds of chance are in a difference: which seed a training had, and which pictures were scored.  The first shows
over trainings, paired by their seed, as Student's t interval of their differences; the second over blocks of pictures,
by the bootstrap (significance.py).  A claim holds where both intervals lie above `by`, and does not where both lie
below it; all else is undecided, and so is what has fewer than three pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field, field_validator

from tarsia.comparison.significance import Figure
from tarsia.errors import nearest
from tarsia.evaluation.details import FIGURES
from tarsia.yaml_tree import Node

LEAST = 3  # trainings of each
MIOU = "miou"
KINDS = {MIOU: "mIoU"} | {key: one.words for key, one in FIGURES.items() if key != "ece"}  # of which more is better


class Claim(Node):
    """That one model of a comparison scores more than another."""

    says: str = Field(min_length=1, description="the claim, in a few words")
    better: str
    than: str
    source: str = Field("", description="who says so, and where")
    figure: str = Field(MIOU, description=f"one of {', '.join(KINDS)}")
    by: float = Field(0.0, description="more than this much")
    on: str | None = Field(None, description="the pictures, a name of `evaluate`; default: data.val")

    @field_validator("figure")
    @classmethod
    def _known(cls, figure: str) -> str:
        if figure not in KINDS:
            raise ValueError(f"no figure {figure}{nearest(figure, KINDS)}")
        return figure


@dataclass(frozen=True)
class Judged:
    """What came of a claim about the models `better` and `than`, as they are called in a comparison.

    `over_seeds`: the mean of the differences by seed; `over_pictures`: the difference of all seeds' counts together.
    """

    claim: Claim
    better: str
    than: str
    differences: tuple[float, ...]
    over_seeds: Figure
    over_pictures: Figure

    @property
    def verdict(self) -> str:
        """holds, does not hold, or undecided."""
        by, both = self.claim.by, (self.over_seeds, self.over_pictures)
        if len(self.differences) < LEAST:
            return "undecided"
        if all(one.low > by for one in both):
            return "holds"
        return "does not hold" if all(one.high < by for one in both) else "undecided"

    @property
    def figure(self) -> str:
        """What the difference is of, in words."""
        return KINDS[self.claim.figure]

    def to_json(self) -> dict[str, Any]:
        return {
            **self.claim.model_dump(mode="json"),
            "better": self.better,
            "than": self.than,
            "verdict": self.verdict,
            "differences": list(self.differences),
            "over_seeds": self.over_seeds._asdict(),
            "over_pictures": self.over_pictures._asdict(),
        }
