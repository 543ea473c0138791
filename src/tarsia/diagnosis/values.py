"""What label values that mean nothing may have been meant as, and the lines of dataset.yaml that say so.

`Guess.meaning` maps such values (or colours) to labels where that is certain enough for `tarsia check --fix`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import yaml

from tarsia.card import IGNORED, Classes
from tarsia.diagnosis.finding import number

Rgb = tuple[int, int, int]

_SMEARED = 64  # more strange values than this in one label: it was resized or compressed, not drawn
_NEAR_COLOR = 60.0  # RGB distance: JPEG moves colours this far, and classes are farther apart
_LISTED = 12  # strange colours written into a remedy


@dataclass(frozen=True)
class Guess:
    """What happened, in words; what to do, with lines for dataset.yaml; what strange values mean, where it is clear."""

    words: str
    remedy: str
    meaning: dict[Any, int] = field(default_factory=dict)
    nearest: bool = False  # other colours mean the class of the nearest known one


def guess(
    values: Mapping[Any, int],
    strange: Mapping[Any, int],
    most_kinds: int,
    classes: Classes,
    known: Mapping[Rgb, int],
    drawn: bool = False,
) -> Guess:
    """What the labels hold -> what happened to them.

    `values`: pixels of every value or colour in all labels; `strange`: those that mean nothing; `most_kinds`: how many
    of these one label has at most; `known`: the label of each known colour; `drawn`: borders are clear, not smoothed.
    """
    if any(isinstance(key, tuple) for key in strange):
        return _of_colors([key for key in strange if isinstance(key, tuple)], most_kinds, known)
    return _of_numbers(sorted(values), sorted(strange), most_kinds, classes, drawn)


def _of_numbers(found: list[int], strange: list[int], most_kinds: int, classes: Classes, drawn: bool) -> Guess:
    count = len(classes)
    seen = [value for value in found if isinstance(value, int) and value != IGNORED]
    if most_kinds > _SMEARED and drawn:
        words = "there are far more of them than classes, in clear borders: numbers of single objects (instances)"
        remedy = "make label files of classes of them, as np.where(numbers > 0, 1, 0) for background and one class"
        return Guess(words, remedy, dict.fromkeys(strange, 1 if count == 2 else IGNORED))
    if most_kinds > _SMEARED:
        return Guess(_SMOOTHED, _SMOOTHED_REMEDY, dict.fromkeys(strange, IGNORED))
    if strange == [count] and 0 not in seen:
        lines = yaml_classes(classes, [[value] for value in range(1, count + 1)])
        words = f"the values run from 1 to {count}: the labels count from 1, Tarsia from 0"
        return Guess(words, f"write this in dataset.yaml:\n{lines}", {value: value - 1 for value in seen})
    if strange == [count]:
        words = f"{count} is one more than the last class: void, a class that is not named, or all count from 1"
        lines = yaml_classes(classes, [[value] for value in range(1, count + 1)])
        remedy = (
            f"if it is void, write in dataset.yaml:\nignore: [{count}]\nif it is a class, add its name to classes\n"
            f"if 0 is void and {count} the last class, write:\n{lines}\nignore: [0]"
        )
        return Guess(words, remedy, {count: IGNORED})
    evenly = len(seen) == count > 1 and len({round(step / max(seen) * (count - 1), 1) for step in _steps(seen)}) == 1
    if seen and seen[0] == 0 and evenly:
        lines = yaml_classes(classes, [[value] for value in seen])
        words = f"{count} values at even distances for {count} classes: they were spread so that people can see them"
        return Guess(words, f"write this in dataset.yaml:\n{lines}", dict(zip(seen, range(count), strict=True)))
    shown = ", ".join(map(str, strange[:_LISTED]))
    words = f"the classes are 0 to {count - 1}; what {shown} stands for, only you can know"
    remedy = f"in dataset.yaml write what is void as\nignore: [{shown}]\nand give other classes their `values`"
    return Guess(words, remedy, dict.fromkeys(strange, IGNORED))


_SMOOTHED = "there are too many different ones to be drawn: these labels were saved as JPEG, or resized smoothly"
_SMOOTHED_REMEDY = (
    "get them as they were drawn, as PNG, and resize labels with nearest neighbour only; what cannot be got again: "
    "--fix takes the nearest known colour for colours, and ignores what is strange among numbers"
)


def _steps(values: Sequence[int]) -> list[int]:
    return [after - before for before, after in zip(values, values[1:], strict=False)]


def _of_colors(strange: list[Rgb], most_kinds: int, known: Mapping[Rgb, int]) -> Guess:
    swapped = [color[::-1] in known for color in strange]
    if known and all(swapped):
        words = "with red and blue exchanged they are known: the labels were saved with OpenCV from RGB arrays"
        meaning = {color: known[color[2], color[1], color[0]] for color in strange}
        return Guess(words, "save them again, after cv2.cvtColor(label, cv2.COLOR_RGB2BGR)", meaning)
    far = [color for color in strange if not known or _distance(color, known) > _NEAR_COLOR]
    if known and (most_kinds > _SMEARED or not far):
        return Guess(_SMOOTHED, _SMOOTHED_REMEDY, nearest=True)
    some = ", ".join(str(list(color)) for color in (far or strange)[:_LISTED])
    words = f"{number(len(far or strange), 'colour')} that no class has"
    remedy = f"in dataset.yaml write what is void as\nignore: [{some}]\nand give other classes their `colors`"
    return Guess(words, remedy, dict.fromkeys(strange, IGNORED))


def _distance(color: Rgb, known: Mapping[Rgb, int]) -> float:
    return (
        min(sum((one - other) ** 2 for one, other in zip(color, candidate, strict=True)) for candidate in known) ** 0.5
    )


def nearest_labels(colors_NC: np.ndarray, known: Mapping[Rgb, int]) -> np.ndarray:
    """N colours -> the label of the nearest known colour, 255 where none is near."""
    table = np.array(list(known), np.float32)
    labels = np.array(list(known.values()), np.uint8)
    away_NK = np.linalg.norm(colors_NC[:, None].astype(np.float32) - table[None], axis=2)
    best = away_NK.argmin(1)
    return np.where(away_NK[np.arange(len(best)), best] <= _NEAR_COLOR, labels[best], np.uint8(IGNORED))


def yaml_classes(classes: Classes, values: Sequence[Sequence[int]] | None = None) -> str:
    """The `classes` of a dataset.yaml, with the `values` of each in the labels where they are given."""
    lines = ["classes:"]
    for k, (name, color) in enumerate(zip(classes.names, classes.colors, strict=True)):
        own = f"values: {list(values[k])}, " if values is not None else ""
        lines.append(f"  - {{name: {quoted(name)}, {own}color: {list(color)}}}")
    return "\n".join(lines)


def quoted(name: str) -> str:
    """A name as YAML takes it, in quotes where it needs them."""
    found = (
        yaml.safe_dump(name, default_flow_style=True, allow_unicode=True, width=1 << 20).removesuffix("...\n").strip()
    )
    return found if "\n" not in found else yaml.safe_dump(name, default_style='"', width=1 << 20).strip()
