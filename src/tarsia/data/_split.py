"""A split drawn at random: the rule in dataset.yaml, and the draw, which is the same for the same names."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tarsia.data._names import nfc
from tarsia.errors import DatasetError


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression ({error})") from error
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]
Share = Annotated[float, Field(ge=0, lt=1)]


class RandomSplit(BaseModel):
    """Shares of the pictures drawn for validation and test; the rest is for training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    val: Share = 0.2
    test: Share = 0.0
    seed: int = 0
    group_by: Pattern | None = None
    together: tuple[tuple[str, ...], ...] = ()

    @model_validator(mode="after")
    def _leaves_some(self) -> RandomSplit:
        if self.val + self.test >= 1:
            raise ValueError("val and test together leave nothing to train on: keep them below 1")
        return self


def divide(names: Sequence[str], rule: RandomSplit, groups: Sequence[str] = ()) -> dict[str, list[int]]:
    """Indices of train, val and test, the same for the same names whatever their order.

    `groups`, one a name, are kept together.  Shares are met as closely as the groups allow, val and test (where asked
    for) getting at least one.  Raises DatasetError where nothing is left to train on.
    """
    members: dict[str, list[int]] = {}
    for index, group in enumerate(_joined(names, groups or names, rule)):
        members.setdefault(group, []).append(index)
    left = sorted(members, key=lambda group: (hashlib.sha256(os.fsencode(f"{rule.seed}:{group}")).digest(), group))
    parts: dict[str, list[int]] = {}
    for part, share in (("val", rule.val), ("test", rule.test)):
        chosen: list[str] = []
        missing = max(1, round(share * len(names))) if share else 0
        for group in left:
            if abs(missing - len(members[group])) < missing:
                chosen.append(group)
                missing -= len(members[group])
        if share and not chosen and left:
            chosen = [min(left, key=lambda group: len(members[group]))]
        left = [group for group in left if group not in set(chosen)]
        parts[part] = sorted(index for group in chosen for index in members[group])
    parts["train"] = sorted(index for group in left for index in members[group])
    if not parts["train"]:
        what = f"{len(names)} pictures in {len(members)} groups" if groups else f"{len(names)} pictures"
        raise DatasetError(f"{what} cannot be divided by split: nothing is left to train on; add pictures or lower val")
    return parts


def _joined(names: Sequence[str], groups: Sequence[str], rule: RandomSplit) -> list[str]:
    """The group of each name, groups that hold names of one list in `together` made one."""
    group_of = {nfc(name): group for name, group in zip(names, groups, strict=True)}
    home = {group: group for group in groups}

    def root(group: str) -> str:
        while home[group] != group:
            group = home[group]
        return group

    for kept in rule.together:
        roots = sorted({root(group_of[nfc(name)]) for name in kept if nfc(name) in group_of})
        home |= dict.fromkeys(roots, roots[0] if roots else "")
    return [root(group) for group in groups]
