"""A recipe that is being derived: settings and why they are so.  What a person has set stays, whatever a rule says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tarsia.recipe import Recipe, option_faults
from tarsia.recipe_changes import flat
from tarsia.yaml_tree import Document, written

AS_YOU_SAY = "as you say"


class Page:
    """`put` settles a setting and gives what it is settled to: the value of the rule, or of the user's `overrides`."""

    def __init__(self, overrides: Sequence[str] = ()) -> None:
        self.overrides = list(overrides)
        self.fixed: dict[str, Any] = dict(flat(Document("", "", overrides).tree))
        self.tree: dict[str, Any] = {}
        self.reasons: dict[str, str] = {}

    def put(self, key: str, value: Any, why: str) -> Any:
        """Settle `key.key`."""
        if key in self.fixed:
            value, why = self.fixed[key], AS_YOU_SAY
        place = self.tree
        *above, last = key.split(".")
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value
        self.reasons[key] = why
        return value

    def is_free(self, key: str) -> bool:
        """Whether it is a rule's to settle."""
        return key not in self.fixed

    def recipe(self) -> Recipe:
        """What is settled so far; RecipeError where the user's settings are faulty or contradict the rest."""
        document = Document("the derived recipe", written(self.tree), self.overrides)
        for key in self.fixed:
            self.reasons[key] = AS_YOU_SAY
        return document.validate(Recipe, option_faults(document.tree))

    def text(self, header: str) -> str:
        """The recipe as a file: what is settled, a reason on each line."""
        tree = Document("", written(self.tree), self.overrides).tree
        return written(tree, header, self.reasons)


def told(reasons: Mapping[str, str], keys: Sequence[str]) -> str:
    """The reasons of some settings, joined."""
    return "; ".join(reasons[key] for key in keys if key in reasons)
