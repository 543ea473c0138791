"""Splits drawn at random: the rule as dataset.yaml has it, and another draw that puts every class on both sides."""

from __future__ import annotations

import re

import numpy as np

from tarsia.data._split import RandomSplit, divide
from tarsia.doctor.dataset import CheckedData
from tarsia.errors import DatasetError
from tarsia.yaml_tree import in_braces

_TRIED = 200  # seeds


def rule_line(rule: RandomSplit) -> str:
    """The key `split` of a dataset.yaml."""
    parts = [f"val: {rule.val:g}", *([f"test: {rule.test:g}"] if rule.test else [])]
    parts += [f"seed: {rule.seed}"] if rule.seed else []
    parts += [f"group_by: {in_braces(rule.group_by)}"] if rule.group_by else []
    return f"split: {{{', '.join(parts)}}}"


def another_draw(checked: CheckedData) -> str:
    """The `split` of the first other seed by which every split shows every class that any shows; "" for none."""
    rule = checked.layout.split if checked.layout else None
    parts = [part for part, share in (("train", 1.0), ("val", rule.val), ("test", rule.test)) if share] if rule else []
    whole = all(not (found.images_alone or found.labels_alone or found.twice) for found in checked.unpaired.values())
    if rule is None or set(parts) != set(checked.splits) or not whole:
        return ""
    splits = list(checked.splits.values())
    names = [split.dataset.name(index) for split in splits for index in range(len(split))]
    shown_NB = np.concatenate([split.shown_NB for split in splits])
    everything_B = np.bitwise_or.reduce(shown_NB, axis=0)
    groups = _groups(names, rule.group_by)
    for seed in range(_TRIED):
        drawn = rule.model_copy(update={"seed": seed})
        try:
            found = divide(names, drawn, groups)
        except DatasetError:
            return ""  # too few groups, whatever the seed
        if all((np.bitwise_or.reduce(shown_NB[found[part]], axis=0) == everything_B).all() for part in parts):
            return rule_line(drawn)
    return ""


def _groups(names: list[str], pattern: str | None) -> list[str]:
    """What the rule's pattern finds in each name, as the data set reads it."""
    if pattern is None:
        return []
    matches = [re.search(pattern, name) for name in names]
    return [found[1 if found.re.groups else 0] or "" if found else "" for found in matches]
