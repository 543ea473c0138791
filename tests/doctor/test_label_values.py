"""What strange values and colours may have been meant as."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from tarsia.data._class_entries import ClassEntry
from tarsia.data._layout import Layout
from tarsia.doctor.label_values import (
    Guess,
    nearest_labels,
    of_colors,
    of_numbers,
    of_smeared_colors,
    of_smeared_numbers,
)
from tarsia.doctor.layout_lines import Coding
from tarsia.yaml_tree import in_braces

COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 200))
KNOWN = {color: index for index, color in enumerate(COLORS)}


def coding(count: int = 3, ignore: tuple[int, ...] = (), **more: object) -> Coding:
    return Coding(tuple(ClassEntry(name=name, **more) for name in "abcdefgh"[:count]), ignore)  # type: ignore[arg-type]


COLORED = Coding(tuple(ClassEntry(name=name, color=color) for name, color in zip("abc", COLORS, strict=True)))


def meanings(found: Guess) -> list[dict[int, int]]:
    """What each reading makes of the numbers, 255 aside where it is ignored."""
    return [{key: label for key, label in one.coding.table().values.items() if key != 255 or label != 255}
            for one in found.readings]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "values", "words", "meaning"),
    [
        (3, {1, 2, 3}, "count from 1", {1: 0, 2: 1, 3: 2}),
        (3, {1, 2, 3, 255}, "count from 1", {1: 0, 2: 1, 3: 2}),
        (2, {1, 2}, "count from 1", {1: 0, 2: 1}),
        (3, {0, 127, 254}, "even distances", {0: 0, 127: 1, 254: 2}),
        (3, {0, 127, 254, 255}, "even distances", {0: 0, 127: 1, 254: 2}),
        (2, {0, 200}, "even distances", {0: 0, 200: 1}),
        (2, {0, 65535}, "even distances", {0: 0, 65535: 1}),
    ],
)
def test_numbers_of_one_reading(count: int, values: set[int], words: str, meaning: dict[int, int]) -> None:
    found = of_numbers(values, coding(count))
    assert words in found.words and found.certain and meanings(found) == [meaning]


@pytest.mark.parametrize(
    ("count", "values", "among"),
    [
        (3, {0, 1, 2, 3}, {1: 0, 2: 1, 3: 2, 0: 255}),  # 0 is void, as in LoveDA
        (3, {2, 3}, {1: 0, 2: 1, 3: 2}),
        (3, {0, 2, 3}, {0: 0, 2: 1, 3: 2}),  # the class with 1 was taken out of the list
        (3, {1, 2, 3, 4}, {1: 0, 2: 1, 3: 2, 4: 255}),  # the border of Oxford's pets
        (2, {1, 2, 3}, {1: 0, 2: 1, 3: 255}),
        (3, {0, 1, 2, 3, 4}, {0: 255, 1: 0, 2: 1, 3: 2, 4: 255}),
        (3, {0, 1, 2, 254}, {0: 0, 1: 1, 2: 2, 254: 255}),  # 255, less the 1 that a loader subtracts
        (3, {0, 1, 7}, {0: 0, 1: 1, 7: 2}),
        (3, {0, 10, 20, 30}, {0: 255, 10: 0, 20: 1, 30: 2}),
        (3, {0, 128, 255}, {0: 0, 128: 1, 255: 2}),
        (2, {0, 3}, {0: 0, 3: 1}),
        (2, {0, 200, 255}, {0: 0, 1: 1, 200: 255}),
        (4, {0, 2, 4, 6}, {0: 0, 2: 1, 4: 2, 6: 3}),
    ],
)
def test_numbers_of_several_readings(count: int, values: set[int], among: dict[int, int]) -> None:
    """Whatever is known may be wrong too: nothing is certain, and the right one is among those that are offered."""
    found = of_numbers(values, coding(count))
    told = meanings(found)
    assert not found.certain and len(told) > 1
    assert any(among.items() <= one.items() for one in told), told
    assert all(values - {255} <= one.keys() for one in told), "each says what all of them are"
    assert len({str(one) for one in told}) == len(told)


def test_what_dataset_yaml_says_of_numbers_stays() -> None:
    told = Coding(tuple(ClassEntry(name=name, values=values) for name, values in (("a", (1, 2)), ("b", (7,)))), (9,))
    found = of_numbers({1, 2, 7, 8, 9, 255}, told)
    assert not found.certain
    assert meanings(found) == [{1: 0, 2: 0, 7: 1, 8: 255, 9: 255}, {1: 0, 2: 0, 7: 1, 8: 2, 9: 255}]
    assert found.readings[0].coding.lines(told) == "ignore: [9, 8]", "what was ignored is so still"


@pytest.mark.parametrize("values", [{0, 1, -1}, {0, 1, 70_000}])
def test_numbers_that_dataset_yaml_cannot_name(values: set[int]) -> None:
    found = of_numbers(values, coding(2))
    assert not found.readings and not found.certain and "save the labels again" in found.remedy


def test_smeared_numbers() -> None:
    """JPEG makes 1 of 0 and 254 of 255: what is known among so many means nothing either."""
    strange = [*range(3, 99)]
    found = of_smeared_numbers({0, 1, 2, *strange}, strange, False, coding())
    assert not found.certain and "saved as JPEG" in found.words
    assert meanings(found) == [{0: 0, 1: 1, 2: 2} | dict.fromkeys(strange, 255)]
    single = of_smeared_numbers({0, *range(1, 99)}, [*range(2, 99)], True, coding(2))
    assert not single.certain and "instances" in single.words
    assert meanings(single) == [{0: 0} | dict.fromkeys(range(1, 99), 1)]
    assert not of_smeared_numbers({0, *range(1, 256)}, [*range(2, 255)], True, coding(2)).readings, "255 too?"
    assert not of_smeared_numbers({0, *range(1, 99)}, [*range(3, 99)], True, coding(3)).readings, "of which class?"


@pytest.mark.parametrize(
    ("strange", "exchanged", "others", "words", "certain"),
    [
        ([(0, 255, 255), (200, 0, 0)], 0, 0, "2 colours that no class has", False),
        ([(200, 0, 0)], 3, 0, "red and blue exchanged", True),
        ([(200, 0, 0)], 3, 2, "2 labels of colours may not have been", False),
        ([(9, 9, 9)], 0, 0, "1 colour that no class has", False),
        ([(250, 4, 2)], 0, 0, "1 colour that no class has", False),
    ],
)
def test_colors(strange: list[tuple[int, int, int]], exchanged: int, others: int, words: str, certain: bool) -> None:
    found = of_colors(strange, COLORED, exchanged, others)
    assert words in found.words and found.certain == certain and not found.nearest
    for one in found.readings:
        table = one.coding.table().colors
        assert all(color in table for color in strange)
        if exchanged:
            assert table == {(0, 0, 255): 0, (0, 255, 0): 1, (200, 0, 0): 2}
        else:
            assert KNOWN.items() <= table.items()
    shades = [one for one in found.readings if "other shades" in one.words]
    assert bool(shades) == (strange == [(250, 4, 2)])
    assert not shades or shades[0].coding.table().colors[250, 4, 2] == 0


def test_a_rare_class_without_a_name_in_the_noise_of_jpeg() -> None:
    """No colour of it is common, but many lie together, far from all that is known."""
    cloud = {(255 - k % 9, 250 + k // 9 % 5, k // 45): 3 for k in range(90)}
    found = of_smeared_colors(cloud, 100_000, COLORED)
    assert not found.certain and found.readings
    assert of_smeared_colors(dict.fromkeys(cloud, 3), 1_000_000, COLORED).certain


def test_smeared_colours_are_the_nearest_unless_one_stands_out() -> None:
    noise = {(250 - k, k, 2): 1 for k in range(90)}
    found = of_smeared_colors(noise, 100_000, COLORED)
    assert found.certain and found.nearest and "saved as JPEG" in found.words
    flat = of_smeared_colors(noise | {(255, 255, 0): 3000}, 100_000, COLORED)
    assert not flat.certain and not flat.nearest and "[255, 255, 0]" in flat.words
    # Cityscapes' bus and train are 20 apart: a class without a name is no noise of its neighbour.
    near = of_smeared_colors(noise | {(255, 20, 0): 3000}, 100_000, COLORED)
    assert not near.certain


def test_the_nearest_colour_as_far_as_it_is_near() -> None:
    colors = np.array([[250, 10, 0], [0, 0, 150], [128, 128, 128], [20, 230, 30]], np.uint8)
    assert nearest_labels(colors, KNOWN).tolist() == [0, 2, 255, 1]


NAMES = (
    "road",
    "two words",
    "yes",
    "7",
    "1e3",
    "a: b",
    "#x",
    'quo"ted',
    "straße",
    "- x",
    "*a",
    "~",
    "a, b",
    "x[1]",
    "}",
    "{a",
    " a ",
)


@pytest.mark.parametrize("name", NAMES)
def test_names_survive_yaml(name: str, tmp_path: Path) -> None:
    assert yaml.safe_load(f"{{a: {in_braces(name)}, b: 1}}")["a"] == name and "\n" not in in_braces(name)
    written = Coding((ClassEntry(name=name, values=(4,)), ClassEntry(name="other", values=(5, 6))), (9, (1, 2, 3)))
    (tmp_path / "dataset.yaml").write_text(written.lines() + "\n", encoding="utf-8")
    layout = Layout.load(tmp_path / "dataset.yaml")
    assert Coding(layout.classes, layout.ignore) == written
    assert layout.table("").values == {4: 0, 5: 1, 6: 1, 9: 255, 255: 255}
