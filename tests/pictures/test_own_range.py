"""The range that each picture has of its own: counted alike whichever way it comes, and never of a part of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from fastapi.testclient import TestClient
from PIL import Image
from pydantic import ValidationError

import tarsia
from small_engine import SmallEngine
from small_service import segment
from tarsia.card import Card, Classes, Input, Range
from tarsia.data._range import settled
from tarsia.errors import RecipeError
from tarsia.jobs.pictures import Segmenting
from tarsia.learning.augment import Augment
from tarsia.learning.loader import Key, Samples
from tarsia.output.what_to_write import WhatToWrite
from tarsia.pictures.ranges import Levels, scaled
from tarsia.pictures.reader import read
from tarsia.prediction.predictor import Predictor
from tarsia.prediction.tiles import InMemory, strips
from tarsia.prediction.tiling import Tiling
from tarsia.recipe_augment import AugmentRecipe
from tarsia.serving import create_app
from tarsia.spec import Spec

CLASSES = Classes(names=("dark", "light"), colors=((0, 0, 0), (255, 255, 255)))
RULE = Range(rule="picture", percentiles=("1", "99.8"), per="band")
CARD = Card(
    architecture="seeing",
    model={"bands": 2},
    classes=CLASSES,
    input=Input(stride=8, dtype="uint16", nodata=0, range=RULE),
)


class Seeing(SmallEngine):
    """A network of one pixel, light where both bands are; it remembers the values 0 .. 255 that it was given."""

    card = CARD

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def run(self, images_BHWC: np.ndarray, levels: Levels | None = None) -> np.ndarray:
        assert levels is not None and len(levels.low_BC) == len(images_BHWC)
        shown = [scaled(one, Levels(*(part[k : k + 1] for part in levels))) for k, one in enumerate(images_BHWC)]
        self.seen += shown
        light_BHW = np.stack(shown).mean(3) - 100
        return np.stack([-light_BHW, light_BHW], axis=1)


def ground(seed: int, height: int = 40, width: int = 56) -> np.ndarray:
    """Values of two bands as of a scene in one light or another, and a corner without data, which is 0."""
    random = np.random.default_rng(seed)
    light = random.uniform(0.2, 5)
    values = random.gamma(4, (200 * light, 900 * light), (height, width, 2)).clip(1, 65_535).astype(np.uint16)
    values[:10, :9] = 0
    return values


def expected(values_HWC: np.ndarray) -> np.ndarray:
    """The rule by sorting, in words as the specification has it."""
    shown = []
    for band in values_HWC.transpose(2, 0, 1):
        found = np.sort(band[values_HWC.any(2)])
        low, high = (int(found[math.ceil(len(found) * permille / 1000) - 1]) for permille in (10, 998))
        step = np.float32((high - low) / 255)
        shown.append(np.clip((band.astype(np.float32) - np.float32(low)) / step, 0, 255))
    return np.stack(shown, axis=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for seed in range(2):
        tifffile.imwrite(tmp_path / f"images/{seed}.tif", ground(seed), photometric="minisblack", planarconfig="contig")
        Image.fromarray(np.ones((40, 56), np.uint8)).save(tmp_path / f"labels/{seed}.png")
    told = "bands: 2\ndtype: uint16\nnodata: 0\nrange: {picture: [1, '99.80']}\n"
    (tmp_path / "dataset.yaml").write_text(f"classes: [dark, light]\n{told}")
    return tmp_path


def test_every_way_shows_the_network_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    paths = sorted((folder / "images").glob("*.tif"))
    dataset = tarsia.data.open("folder", folder, "train")
    assert settled(dataset) == RULE and dataset.spec == CARD.spec
    engine = Seeing()
    predictor = Predictor(engine)
    tarsia.shard(f"folder:{folder}", tmp_path / "shards")

    def in_service() -> None:
        with TestClient(create_app(predictor)) as client:
            for path in paths:
                assert segment(client, path.read_bytes(), kind="image/tiff").status_code == 200

    ways: dict[str, Any] = {
        "a path": lambda: [predictor(path) for path in paths],
        "a file's content": lambda: [predictor(path.read_bytes(), confidence=True) for path in paths],
        "a folder": lambda: tarsia.predict(predictor, [folder / "images"], tmp_path / "out", save=("label",)),
        "two at once": lambda: tarsia.predict(predictor, [folder / "images"], tmp_path / "two", batch=2),
        "a job": lambda: Segmenting(predictor, WhatToWrite(("label",)), 2).rows([str(path) for path in paths]),
        "the service": in_service,
        "evaluation": lambda: tarsia.evaluate(predictor, dataset, batch=2),
        "a cache": lambda: tarsia.evaluate(
            predictor, tarsia.data.open("folder", folder, "train", cache=tmp_path / "cache")
        ),
        "shards": lambda: tarsia.evaluate(predictor, tarsia.data.open("shards", tmp_path / "shards", "train")),
    }
    truth = [expected(ground(seed)) for seed in range(2)]
    there = ground(0).any(2)
    for name, way in ways.items():
        engine.seen.clear()
        way()
        seen = [one for one in engine.seen if one.shape == truth[0].shape][-2:]
        for one, found in zip(truth, seen, strict=True):
            np.testing.assert_array_equal(found[there], one[there], err_msg=name)
            assert (found[~there] == 0).all(), name
    samples = Samples(dataset, Augment(AugmentRecipe(crop=(16, 16))), CARD.input, 0)
    crop = samples.read(Key(0, 0))[0]
    windows = np.lib.stride_tricks.sliding_window_view(np.where(there[..., None], truth[0], 0), (16, 16), (0, 1))
    assert (windows == crop.transpose(2, 0, 1)).all((2, 3, 4)).any()  # of the whole picture's range


def test_tiles_are_as_the_whole_picture(folder: Path, tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
    values, predictor = ground(7, 600, 72), Predictor(Seeing())
    values[:300] //= 3  # a tile's own range would be another one
    values[:10, :9] = 0
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(1, 0, 0, 0, -1, 0), "nodata": 0}
    path = tmp_path / "large.tif"
    with rasterio.open(path, "w", "GTiff", 72, 600, 2, dtype="uint16", **place) as file:
        file.write(values.transpose(2, 0, 1))
    whole = predictor(path).label_HW
    np.testing.assert_array_equal(whole, np.where(values.any(2), expected(values).mean(2) > 100, 255))
    for name, seeing in (("whole", predictor), ("tiles", predictor.in_tiles(32, 0.25))):
        assert not tarsia.predict(seeing, [path], tmp_path / name, save=("label",)).failed
        with rasterio.open(tmp_path / name / "large.tif") as file:
            np.testing.assert_array_equal(file.read(1), whole)
    with pytest.raises(RecipeError, match="at_levels"):
        next(strips(predictor, InMemory(values), Tiling(32, 8, 8)))


def test_pictures_of_one_value_or_none_at_all_and_numbers_that_are_none() -> None:
    def levels(values: np.ndarray, **more: Any) -> Levels:
        found = read(values, Spec(values.shape[2], str(values.dtype), percentiles=("1", "99"), **more)).levels
        assert found is not None
        return found

    flat = np.full((4, 4, 1), 7, np.uint8)
    assert levels(flat, per="all") == Levels(np.float32([[7]]), np.float32([[1]]) / np.float32(255))
    assert (scaled(flat, levels(flat, per="all")) == 0).all()
    floats = np.zeros((4, 4, 2), np.float32)
    assert np.isfinite(scaled(floats, levels(floats, per="band"))).all()
    assert (levels(floats, per="band").step_BC >= np.finfo(np.float32).tiny).all()
    floats[0, 0, 0], floats[0, 1, 1], floats[1] = np.nan, np.inf, 5
    assert levels(floats, per="band").low_BC.tolist() == [[0, 0]]
    nothing = np.full((4, 4, 2), np.nan, np.float32)
    assert levels(nothing, per="all").low_BC.tolist() == [[0, 0]] and levels(nothing, per="all").step_BC.max() == 1
    assert (scaled(nothing, levels(nothing, per="all")) == 0).all()
    bands = np.arange(32, dtype=np.int16).reshape(4, 4, 2)
    assert levels(bands, per="band").low_BC.tolist() == [[0, 1]]
    assert levels(bands, per="all").low_BC.tolist() == [[0, 0]]


def test_a_card_says_the_rule_alone_in_a_format_of_its_own() -> None:
    text = CARD.to_json()
    assert '"format":4' in text and '"range":{"per":"band","percentiles":["1","99.8"],"rule":"picture"}' in text
    assert Card.from_json(text, "x").input == CARD.input
    for wrong in ({"percentiles": ("99", "1")}, {"percentiles": ("1", "1e9")}, {"per": None}, {"low": (0.0,)}):
        with pytest.raises(ValidationError):
            Range.model_validate(RULE.model_dump() | wrong)
    with pytest.raises(RecipeError, match="each picture's own"):
        Predictor(Plain(), style=object())  # type: ignore[arg-type]


class Plain(SmallEngine):
    card = Card(architecture="plain", model={}, classes=CLASSES, input=Input(range=RULE))
