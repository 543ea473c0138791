from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tarsia.card import IGNORED
from tarsia.evaluation.confusion import count, metrics

NAN = float("nan")


def counted_slowly(truth, predicted, class_count):
    """The definition, pixel by pixel."""
    counts = np.zeros((class_count, class_count + 1), np.int64)
    for t, p in zip(truth.ravel().tolist(), predicted.ravel().tolist(), strict=True):
        if t != IGNORED:
            counts[t, class_count if p == IGNORED else p] += 1
    return counts


def random_map(draw, class_count, size, ignored=0.2):
    label = draw.integers(0, class_count, size, dtype=np.uint8)
    label[draw.random(size) < ignored] = IGNORED
    return label


def figures_slowly(counts):
    """methods.md's formulas as loops."""
    size = len(counts)
    truth = [sum(int(n) for n in counts[i]) for i in range(size)]
    predicted = [sum(int(counts[j][i]) for j in range(size)) for i in range(size)]
    iou, accuracy, dice = [], [], []
    for i in range(size):
        right = int(counts[i][i])
        union = truth[i] + predicted[i] - right
        iou.append(right / union if union else NAN)
        accuracy.append(right / truth[i] if truth[i] else NAN)
        dice.append(2 * right / (truth[i] + predicted[i]) if truth[i] + predicted[i] else NAN)

    def mean(values):
        defined = [value for value in values if not math.isnan(value)]
        return sum(defined) / len(defined) if defined else NAN

    pixels = sum(truth)
    return {
        "pixel_accuracy": sum(int(counts[i][i]) for i in range(size)) / pixels if pixels else NAN,
        "mpa": mean(accuracy),
        "miou": mean(iou),
        "fwiou": sum(truth[i] * iou[i] for i in range(size) if truth[i]) / pixels if pixels else NAN,
        "dice": mean(dice),
        "iou_K": iou,
        "accuracy_K": accuracy,
        "dice_K": dice,
    }


@pytest.mark.parametrize("class_count", [1, 2, 3, 11, 19, 21, 150, 254, 255])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (7, 5), (40, 33)])
def test_count_equals_the_loop(class_count, size):
    draw = np.random.default_rng(class_count)
    truth, predicted = random_map(draw, class_count, size), random_map(draw, class_count, size)
    counts = count(truth, predicted, class_count)
    assert counts.shape == (class_count, class_count + 1) and counts.dtype == np.int64
    assert np.array_equal(counts, counted_slowly(truth, predicted, class_count))


@pytest.mark.parametrize("class_count", [1, 2, 11, 19])
def test_pairs_and_chunks_lose_no_pixel(class_count):
    """Large enough for the pair table and for several chunks; an odd number of pixels."""
    draw = np.random.default_rng(0)
    size = (1021, 1031)
    truth, predicted = random_map(draw, class_count, size), random_map(draw, class_count, size)
    labelled = truth != IGNORED
    columns = np.where(predicted == IGNORED, class_count, predicted)[labelled].astype(np.int64)
    flat = np.bincount(truth[labelled].astype(np.int64) * (class_count + 1) + columns)
    expected = np.zeros(class_count * (class_count + 1), np.int64)
    expected[: flat.size] = flat
    assert np.array_equal(count(truth, predicted, class_count).ravel(), expected)


@pytest.mark.parametrize("ignored", [0.0, 1.0])
def test_count_equals_torchmetrics(ignored):
    torch = pytest.importorskip("torch")
    oracle = pytest.importorskip("torchmetrics.functional.classification").multiclass_confusion_matrix
    draw = np.random.default_rng(5)
    truth, predicted = random_map(draw, 19, (120, 90), 0.3), random_map(draw, 19, (120, 90), 0.0)
    truth[draw.random(truth.shape) < ignored] = IGNORED
    expected = oracle(
        torch.from_numpy(predicted).long(), torch.from_numpy(truth).long(), num_classes=19, ignore_index=IGNORED
    )
    counts = count(truth, predicted, 19)
    assert np.array_equal(counts[:, :-1], expected.numpy())
    assert not counts[:, -1].any()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_labelled_pixel_is_counted_once(data):
    class_count = data.draw(st.integers(1, 255))
    height, width = data.draw(st.integers(0, 9)), data.draw(st.integers(1, 9))
    value = st.one_of(st.integers(0, class_count - 1), st.just(IGNORED))
    pixels = st.lists(value, min_size=height * width, max_size=height * width)
    truth, predicted = (np.array(data.draw(pixels), np.uint8).reshape(height, width) for _ in range(2))
    counts = count(truth, predicted, class_count)
    assert counts.sum() == (truth != IGNORED).sum()
    assert np.array_equal(counts, counted_slowly(truth, predicted, class_count))
    # Splitting a picture changes nothing: the matrix is summed over a whole split.
    parts = count(truth[: height // 2], predicted[: height // 2], class_count)
    parts += count(truth[height // 2 :], predicted[height // 2 :], class_count)
    assert np.array_equal(parts, counts)


def test_count_takes_views_and_leaves_its_inputs_alone():
    draw = np.random.default_rng(1)
    truth, predicted = random_map(draw, 5, (20, 30)), random_map(draw, 5, (20, 30))
    before = truth.copy(), predicted.copy()
    counts = count(truth[::2, ::-3], predicted[::2, ::-3], 5)
    assert np.array_equal(counts, counted_slowly(truth[::2, ::-3], predicted[::2, ::-3], 5))
    assert np.array_equal(truth, before[0]) and np.array_equal(predicted, before[1])
    truth.setflags(write=False)
    count(truth, predicted, 5)


@pytest.mark.parametrize(("which", "value"), [("truth", 11), ("prediction", 254), ("prediction", 12)])
def test_a_strange_value_is_named(which, value):
    maps = {"truth": np.zeros((9, 9), np.uint8), "prediction": np.zeros((9, 9), np.uint8)}
    maps[which][4, 4] = value
    maps["truth"][0, 0] = IGNORED
    with pytest.raises(ValueError, match=rf"{which} value {value} .*0 to 10.*255"):
        count(maps["truth"], maps["prediction"], 11)


def test_maps_that_do_not_fit_are_refused():
    label = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match=r"\(4, 4\) but prediction \(4, 3\)"):
        count(label, label[:, :3], 2)
    with pytest.raises(ValueError, match=r"int64.*expected uint8"):
        count(label, label.astype(np.int64), 2)
    for class_count in (0, 256):
        with pytest.raises(ValueError, match="1 to 255"):
            count(label, label, class_count)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6).flatmap(lambda k: st.lists(st.integers(0, 3), min_size=k * (k + 1), max_size=k * (k + 1))))
def test_metrics_equal_the_loop(cells):
    size = math.isqrt(len(cells))
    counts = np.array(cells, np.int64).reshape(size, size + 1)
    found = metrics(counts)
    for key, expected in figures_slowly(counts).items():
        assert np.allclose(getattr(found, key), expected, rtol=1e-12, atol=0, equal_nan=True), key


def test_metrics_equal_torchmetrics_where_every_class_is_there():
    torch = pytest.importorskip("torch")
    oracle = pytest.importorskip("torchmetrics.functional.classification")
    draw = np.random.default_rng(5)
    truth, predicted = random_map(draw, 7, (60, 90), 0.3), random_map(draw, 7, (60, 90), 0.0)
    found = metrics(count(truth, predicted, 7))
    pair = torch.from_numpy(predicted).long(), torch.from_numpy(truth).long()
    common = {"num_classes": 7, "ignore_index": IGNORED}
    assert found.miou == pytest.approx(float(oracle.multiclass_jaccard_index(*pair, **common)), abs=1e-6)
    assert found.mpa == pytest.approx(float(oracle.multiclass_accuracy(*pair, **common)), abs=1e-6)
    assert found.dice == pytest.approx(float(oracle.multiclass_f1_score(*pair, **common)), abs=1e-6)
    accuracy = float(oracle.multiclass_accuracy(*pair, average="micro", **common))
    assert found.pixel_accuracy == pytest.approx(accuracy, abs=1e-6)


def test_absent_classes():
    #        predicted  a  b  c  d  ignored
    counts = np.array([[6, 0, 2, 0, 2], [0, 10, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    found = metrics(counts)
    # c: predicted but never true: IoU and Dice 0 count, accuracy is not defined.  d: nowhere, left out everywhere.
    assert np.array_equal(found.iou_K, [0.6, 1.0, 0.0, NAN], equal_nan=True)
    assert np.array_equal(found.accuracy_K, [0.6, 1.0, NAN, NAN], equal_nan=True)
    assert np.array_equal(found.dice_K, [0.75, 1.0, 0.0, NAN], equal_nan=True)
    assert found.miou == pytest.approx(1.6 / 3) and found.mpa == pytest.approx(0.8)
    assert found.dice == pytest.approx(1.75 / 3)
    assert found.pixel_accuracy == pytest.approx(16 / 20) and found.fwiou == pytest.approx(0.8)


def test_predicted_as_ignored_is_missing_from_the_truth_and_nobodys_false_positive():
    wrong, ignored = np.array([[5, 5, 0], [0, 10, 0]]), np.array([[5, 0, 5], [0, 10, 0]])
    assert metrics(wrong).iou_K.tolist() == [0.5, 10 / 15]
    assert metrics(ignored).iou_K.tolist() == [0.5, 1.0]
    assert metrics(wrong).pixel_accuracy == metrics(ignored).pixel_accuracy == 0.75


def test_nothing_labelled_is_nan_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = metrics(np.zeros((3, 4), np.int64))
    assert all(math.isnan(getattr(found, key)) for key in ("pixel_accuracy", "mpa", "miou", "fwiou", "dice"))
    assert np.isnan([found.iou_K, found.accuracy_K, found.dice_K]).all()


def test_sums_do_not_overflow_small_integers():
    counts = np.full((2, 3), 2**31, np.uint32)
    assert metrics(counts).pixel_accuracy == pytest.approx(1 / 3)
