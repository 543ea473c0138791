"""Drawn streets: the same scene everywhere, every class, labels that follow the picture."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from tarsia.data import streets
from tarsia.data._dataset import Dataset, check_sample
from tarsia.data.streets import Data
from tarsia.errors import DatasetError

SMALL = (120, 160)


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    data = Data(size=SMALL, count=40, seed=3)
    return np.stack([data[index].label for index in range(40)])


@pytest.fixture(autouse=True)
def drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that are compared are not one that was kept."""
    monkeypatch.setattr(streets, "_KEPT_PIXELS", 0)


def _digest(sample) -> str:
    return hashlib.sha256(sample.image.tobytes() + sample.label.tobytes()).hexdigest()


def _components(mask: np.ndarray) -> list[int]:
    """Sizes of the 4-connected parts of a mask, by flood fill."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    sizes = []
    while left:
        stack, size = [left.pop()], 0
        while stack:
            y, x = stack.pop()
            size += 1
            for place in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if place in left:
                    left.remove(place)
                    stack.append(place)
        sizes.append(size)
    return sizes


def test_it_is_a_dataset() -> None:
    data = Data(size=SMALL, count=3)
    assert isinstance(data, Dataset)
    sample = data[1]
    assert check_sample(sample, data.classes) is sample
    assert sample.image.shape == (*SMALL, 3)
    assert sample.label.shape == SMALL
    assert sample.label.max() < len(data.classes) == 13
    assert sample.name == data.name(1) != data.name(2)
    assert sample.domain == "clear"
    assert [len(Data(split=split)) for split in ("train", "val", "test")] == [400, 100, 100]


def test_iteration_ends() -> None:
    data = Data(size=(32, 40), count=3)
    assert [sample.name for sample in data] == [data.name(index) for index in range(3)]
    assert _digest(data[-1]) == _digest(data[2])
    for index in (3, -4):
        with pytest.raises(IndexError):
            data[index]
        with pytest.raises(IndexError):
            data.name(index)


def test_a_scene_depends_on_nothing_else() -> None:
    forwards = [_digest(Data(size=SMALL, seed=5)[index]) for index in range(3)]
    data = Data(size=SMALL, seed=5, count=7)
    backwards = [_digest(data[index]) for index in (2, 1, 0)]
    assert forwards == backwards[::-1]
    program = (
        "import hashlib; from tarsia.data.streets import Data; s = Data(size=(120, 160), seed=5)[1]; "
        "print(hashlib.sha256(s.image.tobytes() + s.label.tobytes()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == forwards[1]


def test_a_scene_that_is_kept_is_as_one_that_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = _digest(Data(size=(32, 40), seed=9)[2])
    monkeypatch.setattr(streets, "_KEPT_PIXELS", 32 * 40)
    written_on = Data(size=(32, 40), seed=9)[2]
    assert _digest(written_on) == drawn
    written_on.image[:], written_on.label[:] = 0, 0
    found = streets._kept.cache_info().hits
    assert _digest(Data(size=(32, 40), seed=9)[2]) == drawn and streets._kept.cache_info().hits == found + 1
    others = {"seed": 8}, {"seed": 9, "split": "val"}, {"seed": 9, "reach": 20.0}, {"seed": 9, "condition": "night"}
    assert drawn not in {_digest(Data(size=(32, 40), **other)[2]) for other in others}
    assert Data(size=(33, 40))[2].label.shape == (33, 40) and streets._kept.cache_info().hits == found + 1


def test_seeds_splits_and_indices_differ() -> None:
    def first(**options) -> str:
        return _digest(Data(size=(48, 64), **options)[0])

    scenes = [first(), first(seed=1), first(split="val"), first(split="test"), _digest(Data(size=(48, 64))[1])]
    assert len(set(scenes)) == len(scenes)


@pytest.mark.parametrize("other", [(240, 320), (90, 120)])
def test_the_same_scene_at_another_size(other: tuple[int, int]) -> None:
    for index in range(4):
        one, two = Data(size=SMALL)[index].label, Data(size=other)[index].label
        rows = ((np.arange(SMALL[0]) + 0.5) * other[0] / SMALL[0]).astype(int)
        columns = ((np.arange(SMALL[1]) + 0.5) * other[1] / SMALL[1]).astype(int)
        assert (two[rows[:, None], columns] == one).mean() > 0.9


@pytest.mark.parametrize("size", [(32, 32), (32, 200), (200, 32), (65, 97)])
def test_any_shape_is_drawn(size: tuple[int, int]) -> None:
    data = Data(size=size, count=2)
    assert data[1].label.shape == size
    assert np.unique(data[1].label).size > 2


def test_every_class_in_its_share_of_scenes(labels: np.ndarray) -> None:
    names = Data.classes.names
    share = {name: float((labels == value).any(axis=(1, 2)).mean()) for value, name in enumerate(names)}
    for name in ("road", "sky", "building", "car", "tree", "pavement"):
        assert share[name] >= 0.9, share
    for name in ("pedestrian", "pole", "sign_symbol", "traffic_light", "lane_marking"):
        assert share[name] >= 0.55, share
    for name in ("bicyclist", "fence"):
        assert share[name] >= 0.35, share


def test_small_objects_are_there(labels: np.ndarray) -> None:
    for name in ("pedestrian", "sign_symbol"):
        value = Data.classes.names.index(name)
        sizes = [size for label in labels[:20] for size in _components(label == value)]
        assert sum(size < 0.001 * labels[0].size for size in sizes) >= 5
        assert max(sizes) > 0.002 * labels[0].size


def test_colours_are_those_of_the_classes() -> None:
    data = Data(size=SMALL, count=12, seed=1)
    means = {name: [] for name in ("sky", "road", "tree", "lane_marking")}
    for sample in data:
        for name, found in means.items():
            pixels = sample.image[sample.label == data.classes.names.index(name)]
            if len(pixels) > 20:
                found.append(pixels.mean(axis=0))
    for red, green, blue in means["sky"]:
        assert blue > red and blue > 150 and green > 120
    for color in means["road"]:
        assert np.ptp(color) < 40 and 40 < color.mean() < 170
    for red, green, blue in means["tree"]:
        assert green > red and green > blue
    for index, color in enumerate(means["lane_marking"]):
        assert color.mean() > means["road"][index].mean() + 20


def test_edges_of_label_and_picture_coincide() -> None:
    """Moving the label by two pixels any way must fit the sky's edge worse than leaving it where it is."""
    data = Data(size=(240, 320), count=4)
    for sample in data:
        blueness = sample.image[..., 2].astype(np.float64) - sample.image[..., 0]
        sky, grey = sample.label == 0, blueness + sample.image.mean(axis=2)

        def contrast(down: int, right: int, sky: np.ndarray = sky, grey: np.ndarray = grey) -> float:
            moved = np.roll(sky, (down, right), (0, 1))[4:-4, 4:-4]
            inner = grey[4:-4, 4:-4]
            edge_y, edge_x = moved[1:] != moved[:-1], moved[:, 1:] != moved[:, :-1]
            jump_y, jump_x = np.abs(np.diff(inner, axis=0)), np.abs(np.diff(inner, axis=1))
            return float((jump_y[edge_y].sum() + jump_x[edge_x].sum()) / (edge_y.sum() + edge_x.sum()))

        here = contrast(0, 0)
        for move in ((2, 0), (-2, 0), (0, 2), (0, -2)):
            assert contrast(*move) < here


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Data("photos"), "no folder"),
        (lambda: Data(split="vall"), "did you mean val"),
        (lambda: Data(count=0), "1 or more"),
        (lambda: Data(count=2.5), "whole number"),  # type: ignore[arg-type]
        (lambda: Data(seed=-1), "0 or more"),
        (lambda: Data(size=(31, 64)), "32 to 4096"),
        (lambda: Data(size=(64, 4097)), "32 to 4096"),
        (lambda: Data(size=64), "(height, width)"),  # type: ignore[arg-type]
    ],
)
def test_bad_arguments_name_the_remedy(make: Callable[[], Data], said: str) -> None:
    with pytest.raises(DatasetError, match=said.replace("(", r"\(").replace(")", r"\)")):
        make()
