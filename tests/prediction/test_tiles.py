"""Tiles: the same labels as the whole picture where the network sees only so far, and no seams."""

from __future__ import annotations

import math
import resource

import numpy as np
import pytest

from small_engine import SmallEngine
from tarsia.card import Calibration, Card, Classes, Input
from tarsia.errors import RecipeError
from tarsia.pictures.rgb import pad_to_multiple
from tarsia.prediction.crf import CrfSettings
from tarsia.prediction.predictor import Predictor, TestTimeAugmentation
from tarsia.prediction.style import Style
from tarsia.prediction.tiles import segment, spread, strips
from tarsia.prediction.tiling import Tiling

CLASSES = Classes(names=("dark", "middle", "bright"), colors=((0, 0, 0), (200, 0, 0), (0, 200, 0)))
CENTRES_K11 = np.array([60.0, 128.0, 200.0], np.float32)[:, None, None]


class BlurEngine(SmallEngine):
    """Class = the nearest brightness after a box blur of `radius`, on a grid that lies at multiples of the stride."""

    def __init__(self, radius: int = 2, stride: int = 4, **settings: object) -> None:
        calibration = settings.pop("calibration", None)
        made = Input(stride=stride, **settings)
        self.card = Card(architecture="blur", model={}, classes=CLASSES, input=made, calibration=calibration)
        self.radius = radius
        self.shapes: list[tuple[int, ...]] = []

    def run(self, images_BHW3):
        assert not any(side % self.card.input.stride for side in images_BHW3.shape[1:3])
        self.shapes.append(images_BHW3.shape)
        grey_BHW = images_BHW3.astype(np.float64).mean(3)
        for axis in (1, 2):
            grey_BHW = self._blurred(grey_BHW, axis)
        phase_W = np.arange(images_BHW3.shape[2]) % self.card.input.stride  # tells whether tiles keep to the grid
        grey_BHW = (grey_BHW + phase_W).astype(np.float32)
        return -np.abs(grey_BHW[:, None] - CENTRES_K11) / 10

    def _blurred(self, values, axis):
        padding = [(self.radius, self.radius) if at == axis else (0, 0) for at in range(3)]
        wide = np.moveaxis(np.pad(values, padding), axis, 0)
        return np.moveaxis(
            sum(wide[k : len(wide) - 2 * self.radius + k] for k in range(2 * self.radius + 1)), 0, axis
        ) / (2 * self.radius + 1)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 256, (math.ceil(height / 5), math.ceil(width / 5), 3), np.uint8)
    return coarse.repeat(5, 0).repeat(5, 1)[:height, :width]


SIZES = [(1, 1), (3, 70), (32, 32), (33, 47), (61, 64), (90, 131), (200, 35)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("overlap", [0.25, 0.5])
def test_where_the_network_sees_no_further_than_the_rim_the_answers_are_equal(size, overlap):
    engine = BlurEngine(radius=3)
    predictor, image_HW3 = Predictor(engine), picture(*size)
    tiling = Tiling.of(engine.card.input, 32, overlap)
    assert 3 * tiling.overlap / 8 >= engine.radius
    label_HW, confidence_HW = segment(predictor, image_HW3, tiling, confidence=True)
    whole = predictor(image_HW3, confidence=True)
    np.testing.assert_array_equal(label_HW, whole.label_HW)
    np.testing.assert_allclose(confidence_HW, whole.confidence_HW, rtol=1e-5)


def blended(predictor: Predictor, image_HW3: np.ndarray, tiling: Tiling) -> np.ndarray:
    """The slow obvious version: every tile times its weights, added up on the whole canvas."""
    height, width = image_HW3.shape[:2]
    down, across = spread(height, tiling), spread(width, tiling)
    padded_HW3 = pad_to_multiple(image_HW3, tiling.stride)
    total_KHW = np.zeros((len(CLASSES), *padded_HW3.shape[:2]))
    weights_HW = np.zeros(padded_HW3.shape[:2])

    def ramp(side, index, length):
        weight = np.zeros(length)
        first, last = side.extent(index)
        weight[first:last] = 1
        for number, sign in ((index - 1, 1), (index, -1)):
            if 0 <= number < len(side.zones):
                zone = np.arange(*side.zones[number])
                part = (zone - side.zones[number][0] + 0.5) / max(1, len(zone))
                weight[zone] = 0.5 - sign * 0.5 * np.cos(np.pi * part)
        return weight

    for row, top in enumerate(down.starts):
        for column, left in enumerate(across.starts):
            tile = padded_HW3[top : top + tiling.side, left : left + tiling.side]
            rows, columns = ramp(down, row, len(total_KHW[0])), ramp(across, column, total_KHW.shape[2])
            weight_HW = np.outer(rows, columns)[top : top + tiling.side, left : left + tiling.side]
            place = np.s_[top : top + tiling.side, left : left + tiling.side]
            total_KHW[:, *place] += predictor.evidence(tile[None])[0] * weight_HW
            weights_HW[place] += weight_HW
    np.testing.assert_allclose(weights_HW[:height, :width], 1, rtol=1e-6)
    return total_KHW[:, :height, :width]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("side", "overlap", "batch"), [(32, 0.25, 1), (32, 0.5, 3), (24, 0.4, 2), (16, 0.0, 5)])
def test_strips_are_what_blending_on_the_whole_canvas_gives(size, side, overlap, batch):
    engine = BlurEngine(radius=9)  # sees far beyond the rims: tiles disagree
    predictor, image_HW3 = Predictor(engine), picture(*size, seed=3)
    tiling = Tiling.of(engine.card.input, side, overlap)
    scores_KHW = blended(predictor, image_HW3, tiling)
    label_HW, confidence_HW = segment(predictor, image_HW3, tiling, confidence=True, batch=batch)
    best_HW = np.take_along_axis(scores_KHW, label_HW[None].astype(int), 0)[0]
    assert (scores_KHW.max(0) - best_HW).max() < 1e-4
    shares_KHW = np.exp(scores_KHW) / np.exp(scores_KHW).sum(0)
    np.testing.assert_allclose(
        confidence_HW, np.take_along_axis(shares_KHW, label_HW[None].astype(int), 0)[0], rtol=1e-4
    )


@pytest.mark.parametrize("length", [1, 31, 32, 33, 36, 56, 57, 64, 100, 1000, 4097])
@pytest.mark.parametrize(
    ("side", "overlap", "stride"), [(32, 8, 4), (32, 16, 4), (32, 0, 32), (64, 32, 32), (96, 32, 16)]
)
def test_tiles_cover_a_side_evenly_and_keep_to_the_grid(length, side, overlap, stride):
    found = spread(length, Tiling(side, overlap, stride))
    starts, stops = found.starts, [start + side for start in found.starts]
    assert starts[0] == 0 and all(start % stride == 0 for start in starts)
    assert length <= stops[-1] and (len(starts) == 1 or stops[-1] < length + stride)
    assert all(stop - start >= overlap for stop, start in zip(stops, starts[1:], strict=False))
    edges = [0, *(edge for zone in found.zones for edge in zone), length]
    assert edges == sorted(edges) and len(found.zones) == len(starts) - 1
    for index, (first, last) in enumerate(found.zones):
        assert starts[index + 1] <= first and last <= stops[index]
        assert min(first - starts[index + 1], stops[index] - last) >= 3 * overlap // 8


def test_no_seams():
    """Errors against the whole picture's answer are no more frequent within 2 pixels of tile borders than elsewhere."""
    engine = BlurEngine(radius=9)
    predictor, image_HW3 = Predictor(engine), picture(400, 400, seed=8)
    tiling = Tiling.of(engine.card.input, 64, 0.5)
    label_HW, _ = segment(predictor, image_HW3, tiling)
    wrong_HW = label_HW != predictor(image_HW3).label_HW
    near_W = np.zeros(400, bool)
    for start in spread(400, tiling).starts:
        for border in (start, start + tiling.side):
            near_W[max(0, border - 2) : border + 2] = 0 < border < 400
    near_HW = near_W[:, None] | near_W
    assert 0.2 < near_HW.mean() < 0.8
    assert wrong_HW[near_HW].mean() <= wrong_HW[~near_HW].mean() + 1e-4 and wrong_HW.mean() < 0.01


def test_a_unet_says_of_tiles_what_it_says_of_the_whole():
    torch = pytest.importorskip("torch", reason="torch (extra train) is not installed")
    from tarsia import models
    from tarsia.engines.torch_engine import TorchEngine

    torch.manual_seed(0)
    network = models.create("unet", len(CLASSES), options={"encoder": "test_resnet"}).eval()
    card = Card(architecture="unet", model={}, classes=CLASSES, input=Input(stride=network.stride))
    predictor = Predictor(TorchEngine(network, card, "cpu"))
    image_HW3 = picture(64, 100).repeat(5, 0).repeat(4, 1)
    whole_HW = predictor(image_HW3).label_HW
    label_HW, _ = segment(predictor, image_HW3, Tiling.of(card.input, 256, 0.25))
    assert (label_HW == whole_HW).mean() >= 0.999
    assert np.bincount(whole_HW.ravel(), minlength=3).max() < 0.9 * whole_HW.size


def test_calibration_and_augmentation():
    fitted = Calibration(
        temperature=2.0, dataset="d", split="val", data_hash="", pixels=1, nll_before=1, nll_after=1, ece_before=1,
        ece_after=1,
    )  # fmt: skip
    engine = BlurEngine(radius=1, calibration=fitted)
    image_HW3 = picture(40, 70)
    tiling = Tiling.of(engine.card.input, 32, 0.5)
    for tta in (None, TestTimeAugmentation(flip=False)):
        predictor = Predictor(engine, tta)
        label_HW, confidence_HW = segment(predictor, image_HW3, tiling, confidence=True)
        whole = predictor(image_HW3, confidence=True)
        np.testing.assert_array_equal(label_HW, whole.label_HW)
        np.testing.assert_allclose(confidence_HW, whole.confidence_HW, rtol=1e-4)


@pytest.mark.parametrize("crf", [None, CrfSettings(iterations=2)], ids=["", "crf"])
@pytest.mark.parametrize("tta", [None, TestTimeAugmentation(flip=True, scales=(1.0,))], ids=["", "tta"])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_tile_of_the_whole_picture_says_what_the_predictor_says(temperature, tta, crf):
    """No stage, and no combination of them, is lost on the way through tiles."""
    engine, image_HW3 = BlurEngine(radius=1), picture(32, 40)
    predictor = Predictor(engine, tta, crf).at_temperature(temperature)
    tiling = Tiling.of(engine.card.input, 44, 0.25)
    label_HW, confidence_HW = segment(predictor, image_HW3, tiling, confidence=True)
    whole = predictor(image_HW3, confidence=True)
    np.testing.assert_array_equal(segment(predictor, image_HW3, tiling)[0], label_HW)
    np.testing.assert_array_equal(label_HW, whole.label_HW)
    np.testing.assert_allclose(confidence_HW, whole.confidence_HW, rtol=1e-4)


def test_a_predictor_that_needs_whole_pictures_is_refused_in_tiles():
    engine = BlurEngine(radius=1)
    predictor = Predictor(engine, style=Style(lambda images_BHW3: 255 - images_BHW3))
    with pytest.raises(RecipeError, match="`style` takes whole pictures"):
        segment(predictor, picture(40, 70), Tiling.of(engine.card.input, 32, 0.25))


def test_tiles_of_a_row_go_through_the_network_together():
    engine = BlurEngine()
    segment(Predictor(engine), picture(60, 100), Tiling.of(engine.card.input, 32, 0.25), batch=3)
    assert {shape[1:3] for shape in engine.shapes} == {(32, 32)}
    assert [shape[0] for shape in engine.shapes] == [3, 1] * 3


@pytest.mark.parametrize(
    ("settings", "side", "overlap", "message"),
    [
        ({"short_side": 360}, 512, 0.25, "brings every picture to a short side of 360"),
        ({"size": (64, 64)}, 512, 0.25, r"brings every picture to \(64, 64\)"),
        ({}, 4, 0.25, "expected tiles of 8 pixels or more"),
        ({}, 512, 0.6, "an overlap of 0 to 0.5"),
    ],
)
def test_tilings_that_make_no_sense(settings, side, overlap, message):
    with pytest.raises(RecipeError, match=message):
        Tiling.of(Input(stride=4, **settings), side, overlap)


def test_sides_are_brought_to_the_stride_and_the_card_has_a_say():
    assert Tiling.of(Input(stride=32), 500, 0.25) == Tiling(512, 128, 32)
    assert Tiling.of(Input(stride=32, tile=(256, 256), overlap=0.1)) == Tiling(256, 32, 32)
    assert Tiling.of(Input(stride=32)) == Tiling(512, 128, 32)


class Endless:
    """A picture of any height that is nowhere held."""

    def __init__(self, height: int, width: int) -> None:
        self.size = (height, width)

    def read(self, top: int, bottom: int) -> np.ndarray:
        rows_H = (np.arange(top, bottom) // 7 * 37 % 256).astype(np.uint8)
        return np.broadcast_to(rows_H[:, None, None], (bottom - top, self.size[1], 3))


def test_memory_does_not_grow_with_the_height():
    engine = BlurEngine(radius=1)
    predictor, tiling = Predictor(engine), Tiling.of(engine.card.input, 64, 0.25)
    for strip in strips(predictor, Endless(500, 300), tiling):
        assert strip.label_HW.shape[1] == 300
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = 0
    for strip in strips(predictor, Endless(20_000, 300), tiling):
        assert strip.top == rows
        rows += len(strip.label_HW)
    assert rows == 20_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4_000  # kilobytes; the labels alone are 6,000
