"""What is counted in a data set before a recipe is derived from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest

from small_data import draw
from tarsia.auto.facts import count
from tarsia.card import Classes
from tarsia.data import Sample


class Drawn(NamedTuple):
    """Pictures in memory as a data set."""

    pairs: Sequence[tuple[np.ndarray, np.ndarray]]
    names: tuple[str, ...]

    @property
    def classes(self) -> Classes:
        return Classes(names=self.names, colors=tuple((k, k, k) for k in range(len(self.names))))

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        return Sample(*self.pairs[index], name=str(index))

    def name(self, index: int) -> str:
        return str(index)


def facts(pairs: Sequence[tuple[np.ndarray, np.ndarray]], names: tuple[str, ...] = ("ground", "box", "disc")):  # type: ignore[no-untyped-def]
    return count(Drawn(pairs, names), 60)  # type: ignore[arg-type]


def test_sizes_shares_and_objects() -> None:
    found = facts([draw(seed, (64, 96)) for seed in range(12)])
    assert (found.pictures, found.looked, found.size, found.sizes) == (12, 12, (64, 96), 1)
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.rarest[0] in ("box", "disc")
    assert 10 < found.object_size < 80
    assert found.colour_tells > 0.5 and not found.grey  # each class has its colour
    assert found.ceiling[1.0, 2] > found.ceiling[1.0, 4] > found.ceiling[0.5, 4] > 0.5


def test_grey_pictures_and_ignored_pixels() -> None:
    pairs = [(np.repeat(draw(seed)[0][..., :1], 3, 2), draw(seed)[1]) for seed in range(8)]
    for _, label in pairs:
        label[:16] = 255
    found = facts(pairs)
    assert found.grey and found.ignored == pytest.approx(0.25)


def sky(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    label = np.zeros((64, 64), np.uint8)
    label[: random.integers(10, 25)] = 1
    return random.integers(0, 255, (64, 64, 3)).astype(np.uint8), label


def test_a_class_that_lies_above_shows_that_pictures_have_a_top() -> None:
    assert facts([sky(seed) for seed in range(12)], ("ground", "sky")).upright.startswith(("sky lies above", "ground"))
    turned = [tuple(np.rot90(part, seed) for part in sky(seed)) for seed in range(16)]
    assert facts(turned, ("ground", "sky")).upright == ""  # type: ignore[arg-type]


def test_few_pictures_cannot_tell() -> None:
    assert "fewer than 8" in facts([draw(seed) for seed in range(3)]).upright


def test_what_differs_by_its_side() -> None:
    pairs = [draw(seed) for seed in range(12)]
    assert facts(pairs).sided == ""
    assert facts(pairs, ("ground", "left lung", "right lung")).sided == "left lung names a side"
    for image, label in pairs:
        label[:] = 0
        label[10:30, 5:20], label[10:30, 44:59] = 1, 2
        image[:] = 90
        image[10:30, 5:20] = image[10:30, 44:59] = 200
    assert facts(pairs, ("ground", "one", "other")).sided == "one lies left where other lies right"


def test_two_classes_of_one_word_are_no_sides() -> None:
    assert facts([draw(seed) for seed in range(8)], ("ground", "leftover", "bright")).sided == ""


def test_a_thin_line_is_lost_at_a_quarter() -> None:
    image, label = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)
    label[:, 30] = 1
    found = facts([(image + 3, label)] * 8, ("ground", "wire"))
    assert found.ceiling[1.0, 4] < 0.6
