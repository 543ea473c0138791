from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tarsia.card import IGNORED
from tarsia.data._labels import LabelTable, distinct_colors
from tarsia.errors import DatasetError

REMEDY = "write {key}: [{found}]"
labels = st.integers(0, 254) | st.just(IGNORED)
colors = st.tuples(*[st.integers(0, 255)] * 3)


def test_values_and_colours_become_labels():
    table = LabelTable({0: 0, 7: 1, 8: 1, 255: IGNORED}, {(0, 0, 0): 0, (255, 255, 255): 1}, REMEDY)
    stored = np.array([[0, 7], [8, 255]], np.uint8)
    assert table(stored, "a.png").tolist() == [[0, 1], [1, 255]]
    assert table(stored, "a.png").dtype == np.uint8
    assert table(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8), "a.png").tolist() == [[0, 1]]


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.integers(0, 65_535), labels, min_size=1, max_size=40),
    st.sampled_from([np.uint8, np.uint16, np.int32]),
    st.randoms(use_true_random=False),
)
def test_values_equal_the_slow_way(mapping, dtype, random):
    top = np.iinfo(dtype).max
    known = [value for value in mapping if value <= top]
    if not known:
        return
    stored = np.array([[random.choice(known) for _ in range(5)] for _ in range(4)], dtype)
    slow = [[mapping[int(value)] for value in row] for row in stored]
    assert LabelTable(mapping, {}, REMEDY)(stored, "a.png").tolist() == slow


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(colors, labels, min_size=1, max_size=60), colors, st.randoms(use_true_random=False))
def test_colours_equal_the_slow_way(mapping, other, random):
    stored = np.array([[random.choice(list(mapping)) for _ in range(5)] for _ in range(4)], np.uint8)
    table = LabelTable({}, mapping, REMEDY)
    assert table(stored, "a.png").tolist() == [[mapping[tuple(pixel)] for pixel in row] for row in stored.tolist()]
    if other not in mapping:
        stored[2, 3] = other
        with pytest.raises(DatasetError, match="in 1 pixels"):
            table(stored, "a.png")


def test_most_colours_a_table_can_have():
    draw = np.random.default_rng(0)
    many = {tuple(draw.integers(0, 256, 3).tolist()): index % 256 for index in range(2000)}
    stored = np.array(list(many), np.uint8)[None]
    assert LabelTable({}, many, REMEDY)(stored, "a").tolist() == [list(many.values())]


def test_the_memory_of_a_table_is_bounded():
    """A dataset.yaml may list sixty thousand colours: their number squared would be two gigabytes."""
    many = {(code >> 16, code >> 8 & 255, code & 255): code % 255 for code in range(0, 2**24, 2**24 // 20_000)}
    table = LabelTable({}, many, REMEDY)
    assert len(table._codes) <= 2**24
    assert table(np.array(list(many), np.uint8)[None], "a").tolist() == [list(many.values())]


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (np.array([[0, 3], [3, 9]], np.uint8), r"a.png: label value 3 in 2 pixels \(and 1 more that are unknown\)"),
        (np.array([[0, 1], [2, 5]], np.uint8), r"known: 0-2, 255\); write values: \[5\]"),
        (np.array([[0, 65_535]], np.uint16), "label value 65535 in 1 pixels is neither a class nor ignored"),
        (np.array([[0, -1]], np.int32), "label value -1 in 1 pixels"),
        (np.array([[0, 70_000]], np.int32), "label value 70000 in 1 pixels"),
        (np.array([[[9, 9, 9]]], np.uint8), r"colour \[9, 9, 9\] in 1 pixels .*write colors: \[\[9, 9, 9\]\]"),
        (np.arange(256, dtype=np.uint8).reshape(16, 16), "smoothed, resized or JPEG-compressed"),
    ],
)
def test_strange_values_name_file_value_and_remedy(stored, message):
    table = LabelTable({0: 0, 1: 1, 2: 2, 255: IGNORED}, {(0, 0, 0): 0}, REMEDY)
    with pytest.raises(DatasetError, match=message):
        table(stored, "a.png")


def test_a_table_without_colours_refuses_any():
    with pytest.raises(DatasetError, match=r"colour \[0, 0, 0\]"):
        LabelTable({0: 0}, {}, REMEDY)(np.zeros((2, 2, 3), np.uint8), "a.png")


def test_generated_colours_are_distinct_and_stay():
    taken = [(255, 0, 0), (128, 64, 128)]
    found = distinct_colors(253, taken)
    assert found == distinct_colors(253, taken)
    assert len({*found, *taken, (0, 0, 0)}) == 256
    few = np.array([*distinct_colors(12, taken), *taken], int)
    distances = np.abs(few[:, None] - few[None]).sum(-1) + 1000 * np.eye(len(few), dtype=int)
    assert distances.min() > 90
