"""The range rule: the same bits in numpy, torch and ONNX Runtime; percentiles of no order and no rounding."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from tarsia.card import Card, Classes, Input, Range
from tarsia.data._layout import Layout
from tarsia.errors import RecipeError
from tarsia.pictures.ranges import Histogram, levels_of, scaled

torch = pytest.importorskip("torch")

ENDS = [(0.0, 65_535.0), (300.0, 3_000.0), (211.5, 4_012.25), (-32_768.0, 32_767.0), (-7.0, 1_999.0)]


def every(dtype: str) -> np.ndarray:
    """All values of 16 bits as a picture."""
    limits = np.iinfo(dtype)
    return np.arange(limits.min, limits.max + 1).astype(dtype).reshape(256, 256, 1)


@pytest.mark.parametrize("dtype", ["uint16", "int16"])
@pytest.mark.parametrize("ends", ENDS)
def test_numpy_torch_and_onnx_runtime_agree_in_every_bit(dtype: str, ends: tuple[float, float]) -> None:
    import onnxruntime

    from tarsia.exporters.writer import exported
    from tarsia.models._ranged import Ranged

    rule = Range(rule="fixed", low=(ends[0],), high=(ends[1],))
    values_HW1 = every(dtype)
    expected = scaled(values_HW1, levels_of(rule, values_HW1))
    assert expected.dtype == np.float32 and expected.min() >= 0 and expected.max() <= 255
    image_BCHW = np.ascontiguousarray(values_HW1.transpose(2, 0, 1)[None])
    of_torch = Ranged(torch.nn.Identity(), rule, False).scaled(torch.from_numpy(image_BCHW)).numpy()
    np.testing.assert_array_equal(of_torch[0, 0], expected[..., 0])
    card = Card(
        architecture="shown",
        model={"bands": 1},
        classes=Classes(names=("a",), colors=((0, 0, 0),)),
        input=Input(stride=1, dtype=dtype, range=rule),
    )
    session = onnxruntime.InferenceSession(exported(Shown(), card).SerializeToString())
    assert session.get_inputs()[0].type == f"tensor({dtype})"
    (of_the_graph,) = session.run(None, {"image": image_BCHW})
    np.testing.assert_array_equal(of_the_graph[0, 0], expected[..., 0])


class Shown(torch.nn.Module):
    """A network that gives back what it is given."""

    stride, bands = 1, 1

    def forward(self, image_BCHW):
        return image_BCHW * 1


def test_8_bits_stored_in_16_are_themselves() -> None:
    values = np.arange(256, dtype=np.uint16).reshape(1, 256, 1)
    rule = Range(rule="limits", low=(0.0,), high=(65_535.0,))
    np.testing.assert_array_equal(scaled(values * np.uint16(257), levels_of(rule, values)), values.astype(np.float32))
    assert scaled(values, None) is values


def test_what_is_no_number_is_the_least() -> None:
    rule = Range(rule="fixed", low=(-1.0, 5.0), high=(1.0, 6.0))
    values = np.array([[[np.nan, np.nan], [0, 5.5], [np.inf, -np.inf]]], np.float32)
    np.testing.assert_allclose(scaled(values, levels_of(rule, values)), [[[0, 0], [127.5, 127.5], [255, 0]]], rtol=1e-6)


@pytest.mark.parametrize(
    ("low", "high"),
    [((0.0,), (0.0,)), ((2.0,), (1.0,)), ((0.0,), (math.inf,)), ((0.0, 1.0), (2.0,)), ((0.0,), (1e39,))],
)
def test_ends_that_make_no_range(low: tuple[float, ...], high: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        Range(rule="fixed", low=low, high=high)


def counted(values: np.ndarray, dtype: str) -> Histogram:
    found = Histogram(1, dtype)
    found.add(values.astype(dtype).reshape(1, -1, 1), None)
    return found


@pytest.mark.parametrize("count", [1, 7, 999, 1000, 1001, 65_537])
@pytest.mark.parametrize("dtype", ["uint16", "int16"])
@pytest.mark.parametrize("percentiles", [("0", "100"), ("0.1", "99.9"), ("33.3", "66.6")])
def test_percentiles_are_the_sorted_values(count: int, dtype: str, percentiles: tuple[str, str]) -> None:
    limits = np.iinfo(dtype)
    values = np.random.default_rng(count).integers(limits.min, limits.max, count).astype(dtype)
    histogram = counted(values, dtype)
    low, high = histogram.ends(histogram.counts[0], percentiles)
    ranks = [max(1, math.ceil(count * Fraction(one) / 100)) for one in percentiles]
    expected = [float(np.sort(values)[rank - 1]) for rank in ranks]
    assert (low, high) == (expected[0], expected[1] if expected[0] < expected[1] else expected[0] + 1)


def test_one_hot_pixel_moves_nothing() -> None:
    values = np.random.default_rng(0).integers(300, 3000, 1_000_000).astype(np.uint16)
    hot = values.copy()
    hot[17] = 65_535
    ends = [counted(one, "uint16").ends(counted(one, "uint16").counts[0], ("0.1", "99.9")) for one in (values, hot)]
    assert ends[0] == ends[1]


def test_of_floats_the_bins_are_narrow() -> None:
    values = (np.random.default_rng(1).normal(0, 50, 20_001)).astype(np.float32)
    histogram = counted(values, "float32")
    low, high = histogram.ends(histogram.counts[0], ("1", "99"))
    for found, percent in ((low, 1), (high, 99)):
        true = float(np.sort(values)[math.ceil(len(values) * percent / 100) - 1])
        assert abs(found - true) <= abs(true) * 2**-10
    assert low <= np.percentile(values, 1) and high >= np.percentile(values, 99)


def test_only_where_there_is_data() -> None:
    values = np.array([[[1], [2], [60_000]]], np.uint16)
    found = Histogram(1, "uint16")
    found.add(values, np.array([[True, True, False]]))
    assert found.ends(found.counts[0], ("0", "100")) == (1, 2) and found.beyond(0, 2, 2) == (1, 0)


def test_a_card_of_before_keeps_its_text_and_one_with_a_range_has_format_2(tmp_path: Path) -> None:
    classes = Classes(names=("a",), colors=((0, 0, 0),))
    plain = Card(architecture="unet", model={}, classes=classes)
    text = plain.to_json()
    assert '"format":1' in text and "range" not in text and "dtype" not in text and "nodata" not in text
    deep = Card(
        architecture="unet",
        model={"bands": 2},
        classes=classes,
        input=Input(
            dtype="int16", nodata=-9999, range=Range(rule="limits", low=(-32_768.0,) * 2, high=(32_767.0,) * 2)
        ),
    )
    assert '"format":2' in deep.to_json() and Card.from_json(deep.to_json(), "x").input == deep.input
    assert deep.spec.dtype == "int16" and deep.spec.nodata == -9999 and deep.spec.low == (-32_768.0,) * 2


def test_what_is_beyond_a_range_outside_of_the_kind() -> None:
    found = counted(np.full(64, 65_535), "uint16")
    assert found.ends(found.counts[0], ("0.1", "99.9")) == (65_535, 65_536)
    assert found.beyond(0, 65_535, 65_536) == (0, 0)
    assert found.beyond(0, -100, 70_000) == (0, 0) and found.beyond(0, 0.5, 65_534.5) == (0, 64)
    largest = counted(np.array([1.0, np.finfo(np.float32).max]), "float32")
    assert np.isfinite(largest.ends(largest.counts[0], ("0", "100"))).all()


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ("foo", "range: Input should be 'limits', got 'foo'"),
        ("{percentiles: [99, 1]}", "range.percentiles: 99 is not below 1, got [99, 1]"),
        ("{percentiles: [1]}", "range.percentiles.1: is missing"),
        ("{low: 0}", "range.high: is missing"),
        ("{low: 0, hihg: 1}", "range.high: is missing"),
        ("[0, 1]", "range: Input should be 'limits', got [0, 1]"),
    ],
)
def test_a_range_has_the_faults_of_the_form_that_was_meant(told: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "dataset.yaml"
    path.write_text(f"classes: [a, b]\nrange: {told}\n")
    with pytest.raises(RecipeError) as refused:
        Layout.load(path)
    assert f"{path}:2: {fault}" in str(refused.value)
    assert "hihg" in told or len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("told", ["{low: 3000, high: 0}", "{low: .nan, high: 1}", "{low: 16777216, high: 16777217}"])
def test_a_range_that_is_none_is_an_error_with_its_line(told: str, tmp_path: Path) -> None:
    path = tmp_path / "dataset.yaml"
    path.write_text(f"classes: [a, b]\nrange: {told}\n")
    with pytest.raises(RecipeError, match=r"dataset\.yaml"):
        Layout.load(path)
