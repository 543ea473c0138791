"""What strange values and colours may have been meant as."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from tarsia.card import Classes
from tarsia.data._layout import Layout
from tarsia.diagnosis.values import guess, nearest_labels, quoted, yaml_classes

THREE = Classes(names=("a", "b", "c"), colors=((255, 0, 0), (0, 255, 0), (0, 0, 200)))
KNOWN = {color: index for index, color in enumerate(THREE.colors)}


@pytest.mark.parametrize(
    ("values", "strange", "kinds", "words", "meaning"),
    [
        ([1, 2, 3], [3], 1, "count from 1", {1: 0, 2: 1, 3: 2}),
        ([1, 2, 3, 255], [3], 1, "count from 1", {1: 0, 2: 1, 3: 2}),
        ([0, 1, 2, 3], [3], 1, "one more than the last class", {3: 255}),
        ([2, 3], [3], 1, "count from 1", {2: 1, 3: 2}),
        ([0, 127, 254], [127, 254], 2, "even distances", {0: 0, 127: 1, 254: 2}),
        ([0, 127, 254, 255], [127, 254], 2, "even distances", {0: 0, 127: 1, 254: 2}),
        ([0, 1, 7], [7], 1, "only you can know", {7: 255}),
        ([0, 1, 2, *range(3, 99)], list(range(3, 99)), 90, "saved as JPEG", dict.fromkeys(range(3, 99), 255)),
    ],
)
def test_numbers(values: list[int], strange: list[int], kinds: int, words: str, meaning: dict[int, int]) -> None:
    found = guess(dict.fromkeys(values, 9), dict.fromkeys(strange, 9), kinds, THREE, {})
    assert words in found.words and found.meaning == meaning and not found.nearest
    drawn = guess(dict.fromkeys(values, 9), dict.fromkeys(strange, 9), kinds, THREE, {}, drawn=True)
    assert drawn == found if kinds < 65 else "instances" in drawn.words


@pytest.mark.parametrize(
    ("strange", "kinds", "words", "meaning", "nearest"),
    [
        ([(0, 0, 255), (200, 0, 0)], 2, "colours that no class has", None, False),
        ([(200, 0, 0)], 1, "red and blue exchanged", {(200, 0, 0): 2}, False),
        ([(250, 4, 2), (3, 251, 0)], 2, "saved as JPEG", {}, True),
        ([(10, 20, 30), (250, 4, 2)], 90, "saved as JPEG", {}, True),
        ([(9, 9, 9)], 1, "1 colour that no class has", {(9, 9, 9): 255}, False),
    ],
)
def test_colors(strange: list[tuple[int, int, int]], kinds: int, words: str, meaning: object, nearest: bool) -> None:
    known = KNOWN if (0, 0, 255) not in strange else {}
    found = guess({}, dict.fromkeys(strange, 9), kinds, THREE, known)
    assert words in found.words and found.nearest == nearest
    assert meaning is None or found.meaning == meaning


def test_the_nearest_colour_as_far_as_it_is_near() -> None:
    colors = np.array([[250, 10, 0], [0, 0, 150], [128, 128, 128], [20, 230, 30]], np.uint8)
    assert nearest_labels(colors, KNOWN).tolist() == [0, 2, 255, 1]


@pytest.mark.parametrize("name", ["road", "two words", "yes", "7", "a: b", "#x", 'quo"ted', "straße", "- x", "*a", "~"])
def test_names_survive_yaml(name: str, tmp_path: Path) -> None:
    assert yaml.safe_load(quoted(name)) == name and "\n" not in quoted(name)
    classes = Classes(names=(name, "other"), colors=((1, 2, 3), (4, 5, 6)))
    (tmp_path / "dataset.yaml").write_text(yaml_classes(classes, [[4], [5, 6]]) + "\n", encoding="utf-8")
    layout = Layout.load(tmp_path / "dataset.yaml")
    assert layout.palette() == classes and layout.table("").values == {4: 0, 5: 1, 6: 1, 255: 255}
