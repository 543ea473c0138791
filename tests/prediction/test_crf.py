"""The dense CRF against sums over all pairs of pixels, and what it is for: borders that follow colours."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest

from tarsia.errors import ImageError, RecipeError
from tarsia.prediction import crf
from tarsia.prediction.crf import FLOOR, CrfSettings, refine

SMALL = CrfSettings(position_deviation=8, color_deviation=20, smoothness_deviation=2)


def picture_HW3(height: int = 16, width: int = 20, seed: int = 0) -> np.ndarray:
    """Blocks of colour with a camera's noise."""
    draw = np.random.default_rng(seed)
    blocks = draw.integers(0, 256, (-(-height // 5), -(-width // 6), 3)).repeat(5, 0).repeat(6, 1)[:height, :width]
    return np.clip(blocks + draw.normal(0, 3, blocks.shape), 0, 255).astype(np.uint8)


def guess_KHW(classes: int, height: int = 16, width: int = 20, seed: int = 0) -> np.ndarray:
    """What a network might say: right about other blocks than the picture's, and unsure."""
    draw = np.random.default_rng(seed)
    label_HW = draw.integers(0, classes, (-(-height // 4), -(-width // 7))).repeat(4, 0).repeat(7, 1)[:height, :width]
    scores_KHW = draw.normal(0, 1, (classes, height, width)) + 2 * (label_HW == np.arange(classes)[:, None, None])
    raised_KHW = np.exp(scores_KHW)
    return (raised_KHW / raised_KHW.sum(0)).astype(np.float32)


def two_sides_KHW(wrong_HW: np.ndarray, confidence: float = 0.8) -> np.ndarray:
    """Two classes, the second where `wrong_HW`."""
    second_HW = np.where(wrong_HW, confidence, 1 - confidence)
    return np.stack([1 - second_HW, second_HW]).astype(np.float32)


def kernel_NN(points_ND: np.ndarray) -> np.ndarray:
    """Every pair's Gaussian, each row divided by its sum."""
    points = points_ND.astype(np.float64)
    kernel = np.exp(-0.5 * ((points[:, None] - points[None]) ** 2).sum(-1))
    return kernel / kernel.sum(1, keepdims=True)


def positions_N2(height: int, width: int) -> np.ndarray:
    return np.stack(np.mgrid[:height, :width], -1).reshape(-1, 2)


def appearance_NN(image_HW3: np.ndarray, settings: CrfSettings) -> np.ndarray:
    where = positions_N2(*image_HW3.shape[:2]) / settings.position_deviation
    return kernel_NN(np.concatenate([where, image_HW3.reshape(-1, 3) / settings.color_deviation], 1))


def slow_mean_field(image_HW3: np.ndarray, given_KHW: np.ndarray, settings: CrfSettings) -> np.ndarray:
    classes, height, width = given_KHW.shape
    appearance = appearance_NN(image_HW3, settings)
    smoothness = kernel_NN(positions_N2(height, width) / settings.smoothness_deviation)
    given = np.maximum(given_KHW.reshape(classes, -1).T.astype(np.float64), FLOOR)
    refined = given / given.sum(1, keepdims=True)
    for _ in range(settings.iterations):
        # The Potts model: a label costs what the other labels weigh in the neighbourhood.
        near = settings.appearance_weight * appearance @ refined + settings.smoothness_weight * smoothness @ refined
        cost = near.sum(1, keepdims=True) - near
        raised = given * np.exp(-cost)
        refined = raised / raised.sum(1, keepdims=True)
    return refined.T.reshape(classes, height, width)


def slow_lattice(points_ND: np.ndarray, values_N: np.ndarray) -> np.ndarray:
    """Adams, Baek & Davis as they describe it, point by point, with a dictionary for the lattice."""
    dimensions = points_ND.shape[1]
    side = dimensions + 1
    corners = [_simplex(point, dimensions) for point in points_ND.astype(np.float64)]

    def moved(key: tuple[int, ...], step: list[int], sign: int) -> tuple[int, ...]:
        return tuple(k + sign * s for k, s in zip(key, step, strict=True))

    sums = []
    for values in (values_N, np.ones(len(values_N))):
        lattice: dict[tuple[int, ...], float] = defaultdict(float)
        for simplex, value in zip(corners, values, strict=True):
            for key, weight in simplex:
                lattice[key] += weight * value
        for axis in range(side):
            step = [1 - side * (other == axis) for other in range(side)]
            lattice = {
                key: value + (lattice.get(moved(key, step, 1), 0) + lattice.get(moved(key, step, -1), 0)) / 2
                for key, value in lattice.items()
            }
        sums.append([sum(weight * lattice[key] for key, weight in simplex) for simplex in corners])
    return np.array(sums[0]) / np.array(sums[1])


def _simplex(point: np.ndarray, dimensions: int) -> list[tuple[tuple[int, ...], float]]:
    """The lattice points around a point, the nearest of each remainder, with the weights that give the point back."""
    side = dimensions + 1
    basis = np.zeros((side, dimensions))
    for i in range(dimensions):
        basis[: i + 1, i] = 1 / math.sqrt((i + 1) * (i + 2))
        basis[i + 1, i] = -(i + 1) / math.sqrt((i + 1) * (i + 2))
    place = basis @ point * math.sqrt(2 / 3) * side
    near = np.rint(place / side) + np.array(list(itertools.product((-1, 0, 1), repeat=side)))
    found = []
    for remainder in range(side):
        keys = near * side + remainder
        keys = keys[keys.sum(1) == 0]
        found.append(keys[((keys - place) ** 2).sum(1).argmin()])
    system = np.vstack([np.array(found).T, np.ones(side)])
    weights = np.linalg.lstsq(system, np.append(place, 1), rcond=None)[0]
    return [(tuple(int(k) for k in key), float(weight)) for key, weight in zip(found, weights, strict=True)]


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
def test_the_lattice_is_the_published_one(dimensions: int) -> None:
    draw = np.random.default_rng(dimensions)
    points_ND = draw.normal(0, 1, (40, dimensions)).astype(np.float32)
    values_N = draw.random(40).astype(np.float32)
    found_N = crf._Lattice(points_ND).average(values_N)
    np.testing.assert_allclose(found_N, slow_lattice(points_ND, values_N), rtol=1e-4)


def test_weights_of_the_corners_are_shares() -> None:
    weight_VN = crf._Lattice(crf._points(picture_HW3(), SMALL))._weight_VN
    assert weight_VN.shape == (6, 320) and weight_VN.min() >= 0
    np.testing.assert_allclose(weight_VN.sum(0), 1, rtol=1e-5)


@pytest.mark.parametrize("settings", [SMALL, CrfSettings(), CrfSettings(position_deviation=5, color_deviation=60)])
def test_the_lattice_is_near_the_sum_over_all_pairs(settings: CrfSettings) -> None:
    """As near as this approximation comes: it is exact for no picture."""
    image_HW3 = picture_HW3(24, 30)
    values_N = guess_KHW(2, 24, 30)[0].ravel()
    found_N = crf._Lattice(crf._points(image_HW3, settings)).average(values_N)
    exact_N = appearance_NN(image_HW3, settings) @ values_N
    assert np.corrcoef(found_N, exact_N)[0, 1] > 0.98
    assert np.abs(found_N - exact_N).mean() < 0.1 * exact_N.std()


@pytest.mark.parametrize("size", [(16, 20), (300, 5), (3, 260)])
def test_smoothness_is_the_sum_over_all_pairs(size: tuple[int, int]) -> None:
    settings = CrfSettings(iterations=1, appearance_weight=0, smoothness_weight=5, smoothness_deviation=2)
    given_KHW = guess_KHW(3, *size)
    energy_KN = (
        np.log(given_KHW.reshape(3, -1)) + 5 * (kernel_NN(positions_N2(*size) / 2) @ given_KHW.reshape(3, -1).T).T
    )
    expected_KHW = (np.exp(energy_KN) / np.exp(energy_KN).sum(0)).reshape(3, *size)
    np.testing.assert_allclose(refine(picture_HW3(*size), given_KHW, settings), expected_KHW, atol=1e-5)


def test_averages_of_a_constant_are_the_constant() -> None:
    constant_N = np.full(320, 0.3, np.float32)
    for settings in (SMALL, CrfSettings()):
        found_N = crf._Lattice(crf._points(picture_HW3(), settings)).average(constant_N)
        np.testing.assert_allclose(found_N, 0.3, rtol=1e-5)
    np.testing.assert_allclose(crf._gaussian(16, 3.0).sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("settings", [SMALL, CrfSettings()])
@pytest.mark.parametrize("classes", [2, 5])
def test_mean_field_is_near_the_one_over_all_pairs(settings: CrfSettings, classes: int) -> None:
    agree, apart, changed = [], [], []
    for seed in range(4):
        image_HW3, given_KHW = picture_HW3(seed=seed), guess_KHW(classes, seed=seed)
        found_KHW = refine(image_HW3, given_KHW, settings)
        exact_KHW = slow_mean_field(image_HW3, given_KHW, settings)
        agree.append((found_KHW.argmax(0) == exact_KHW.argmax(0)).mean())
        apart.append(np.abs(found_KHW - exact_KHW).mean())
        changed.append((given_KHW.argmax(0) != exact_KHW.argmax(0)).mean())
    assert np.mean(agree) >= 0.98 and np.mean(apart) < 0.01
    assert np.mean(changed) > 0.1  # far more than what is left between the two


class ExactLattice:
    """Every pair's kernel in place of the lattice."""

    def __init__(self, points_ND: np.ndarray) -> None:
        self.kernel_NN = kernel_NN(points_ND)

    def average(self, values_N: np.ndarray) -> np.ndarray:
        return self.kernel_NN @ values_N


@pytest.mark.parametrize("settings", [SMALL, CrfSettings(), CrfSettings(iterations=1, appearance_weight=0)])
def test_mean_field_is_exact_but_for_the_lattice(settings: CrfSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crf, "_Lattice", ExactLattice)
    image_HW3, given_KHW = picture_HW3(), guess_KHW(4)
    exact_KHW = slow_mean_field(image_HW3, given_KHW, settings)
    np.testing.assert_allclose(refine(image_HW3, given_KHW, settings), exact_KHW, atol=1e-4)


def test_without_weights_nothing_changes() -> None:
    given_KHW = guess_KHW(3)
    found_KHW = refine(picture_HW3(), given_KHW, CrfSettings(appearance_weight=0, smoothness_weight=0))
    np.testing.assert_allclose(found_KHW, given_KHW, atol=1e-5)


@pytest.mark.parametrize(
    "given_KHW",
    [
        np.eye(3, dtype=np.float32)[np.random.default_rng(1).integers(0, 3, (9, 7))].transpose(2, 0, 1),
        np.zeros((3, 9, 7), np.float32),
        np.full((3, 9, 7), 1e-40, np.float32),
        guess_KHW(3, 9, 7).astype(np.float64),
    ],
    ids=["zeros and ones", "zeros", "subnormal", "float64"],
)
def test_probabilities_stay_probabilities(given_KHW: np.ndarray) -> None:
    given = given_KHW.copy()
    for settings in (CrfSettings(), CrfSettings(appearance_weight=1000, smoothness_weight=1000)):
        found_KHW = refine(picture_HW3(9, 7), given_KHW, settings)
        assert found_KHW.dtype == np.float32 and found_KHW.shape == (3, 9, 7)
        assert np.isfinite(found_KHW).all() and found_KHW.min() >= 0
        np.testing.assert_allclose(found_KHW.sum(0), 1, rtol=1e-5)
    np.testing.assert_array_equal(given_KHW, given)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3)])
def test_small_pictures_of_one_colour(size: tuple[int, int]) -> None:
    image_HW3, given_KHW = np.full((*size, 3), 255, np.uint8), guess_KHW(3, *size)
    exact_KHW = slow_mean_field(image_HW3, given_KHW, CrfSettings())
    np.testing.assert_allclose(refine(image_HW3, given_KHW), exact_KHW, atol=0.1)


def test_one_class_is_certain() -> None:
    np.testing.assert_array_equal(refine(picture_HW3(), np.ones((1, 16, 20), np.float32)), 1)


def test_isolated_labels_vanish_in_one_colour() -> None:
    wrong_HW = np.random.default_rng(0).random((24, 32)) < 0.05
    grey_HW3 = np.full((24, 32, 3), 90, np.uint8)
    assert wrong_HW.sum() > 20
    assert not refine(grey_HW3, two_sides_KHW(wrong_HW)).argmax(0).any()


def test_a_border_moves_to_the_edge_of_the_colour_and_stops_there() -> None:
    edge_HW = np.broadcast_to(np.arange(40) >= 20, (30, 40))
    image_HW3 = np.where(edge_HW[..., None], 230, 20).astype(np.uint8).repeat(3, 2)
    for shift in (-4, 4):
        given_KHW = two_sides_KHW(np.roll(edge_HW, shift, 1) & (np.arange(40) > 8), 0.7)
        assert (given_KHW.argmax(0) != edge_HW).any()
        np.testing.assert_array_equal(refine(image_HW3, given_KHW).argmax(0), edge_HW)
        # Without the colours the border stays where the network saw it, or thereabouts.
        blind_HW = refine(image_HW3, given_KHW, CrfSettings(appearance_weight=0)).argmax(0)
        assert (blind_HW != edge_HW).mean() > 0.05


def test_the_order_of_classes_does_not_matter() -> None:
    image_HW3, given_KHW = picture_HW3(), guess_KHW(4)
    turned_KHW = refine(image_HW3, given_KHW[::-1])[::-1]
    np.testing.assert_allclose(refine(image_HW3, given_KHW), turned_KHW, atol=1e-4)


@pytest.mark.parametrize(
    ("image_HW3", "given_KHW"),
    [
        (picture_HW3(8, 8), guess_KHW(2, 8, 9)),
        (picture_HW3(8, 8).astype(np.float32), guess_KHW(2, 8, 8)),
        (picture_HW3(8, 8)[..., 0], guess_KHW(2, 8, 8)),
    ],
)
def test_arrays_that_do_not_belong_together(image_HW3: np.ndarray, given_KHW: np.ndarray) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        refine(image_HW3, given_KHW)


def test_a_lattice_too_fine_to_number_is_an_error() -> None:
    strip_HW3 = np.random.default_rng(0).integers(0, 256, (1, 65_000, 3), dtype=np.uint8)
    with pytest.raises(ImageError, match="65000 pixels is too large for a CRF of deviations this small"):
        refine(strip_HW3, guess_KHW(2, 1, 65_000), CrfSettings(position_deviation=1, color_deviation=1))


def test_settings_are_those_of_deeplab() -> None:
    settings = CrfSettings()
    assert (settings.iterations, settings.smoothness_weight, settings.smoothness_deviation) == (10, 3, 3)
    assert (settings.appearance_weight, settings.position_deviation, settings.color_deviation) == (4, 49, 5)
    for number in ("10 iterations", "weight 4,", "49 pixels", "5 grey levels", "weight 3, deviation 3"):
        assert number in str(settings)


def test_settings_from_words() -> None:
    assert CrfSettings.parse("iterations=3, color_deviation=7.5") == CrfSettings(iterations=3, color_deviation=7.5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'' is not key=value"),
        ("holiday.jpg", "'holiday.jpg' is not key=value: write crf='appearance_weight=5"),
        ("iterations=3,iterations=4", "iterations is given twice"),
        ("colour_deviation=3", "colour_deviation: unknown key, did you mean color_deviation"),
        ("iterations=0", "iterations: .*greater than or equal to 1"),
        ("iterations=1.5", "iterations: .*integer"),
        ("appearance_weight=nan", "appearance_weight: .*finite"),
        ("position_deviation=0.5", "position_deviation: .*greater than or equal to 1"),
        ("color_deviation=red,smoothness_weight=-1", "(?s)color_deviation: .*'red'.*smoothness_weight: .*'-1'"),
    ],
)
def test_settings_that_are_wrong(text: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        CrfSettings.parse(text)
