from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tarsia.card import Classes
from tarsia.errors import MissingExtraError
from tarsia.evaluation import plots

ORANGE = np.asarray((0xD9, 0x48, 0x0F))
BLUE = np.asarray((0x1F, 0x6F, 0xEB))
pytestmark = pytest.mark.usefixtures("drawn")


def classes_of(count: int) -> Classes:
    colors = tuple((37 * k % 256, 91 * k % 256, 151 * k % 256) for k in range(count))
    return Classes(names=tuple(f"class number {k}" for k in range(count)), colors=colors)


def row(epoch: int, **values: float | None) -> dict:
    keys = ("loss", "miou", "mpa", "pixel_accuracy")
    return {"epoch": epoch} | {f"{part}_{key}": 0.1 * epoch for key in keys for part in ("train", "val")} | values


def count_near(path, color: np.ndarray) -> int:
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    return int((np.abs(pixels - color).max(2) < 12).sum())


@pytest.mark.parametrize("epochs", [1, 5])
def test_curves_are_a_png_fit_for_a_page_with_validation_and_its_best(tmp_path, epochs):
    path = tmp_path / "runs" / "curves.png"
    plots.save_curves(path, [row(epoch) for epoch in range(1, epochs + 1)])
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert 1000 <= picture.width <= 1600
    assert count_near(path, BLUE) > 300  # a lone epoch shows points
    assert count_near(path, ORANGE) > 100
    assert [file.name for file in path.parent.iterdir()] == ["curves.png"]


def test_values_not_measured_are_left_out_and_their_neighbours_kept():
    history = [
        row(1),
        row(2, val_miou=None),
        row(3, val_miou=math.nan),
        row(4, val_miou=math.inf),
        {"epoch": 5},
        row(6),
    ]
    assert plots._series(history, "val_miou") == ([1, 6], [0.1, pytest.approx(0.6)])


def test_the_best_epoch_is_the_first_of_equal_ones():
    assert plots._best([row(1), row(2, val_miou=0.9), row(3, val_miou=0.9)]) == (2, 0.9)
    assert plots._best([{"epoch": 1, "train_loss": 1.0}]) is None


def test_a_history_without_validation_is_drawn(tmp_path):
    plots.save_curves(tmp_path / "curves.png", [{"epoch": k, "train_loss": 1 / k} for k in (1, 2, 3)])
    assert count_near(tmp_path / "curves.png", BLUE) == 0
    with pytest.raises(ValueError, match="no epochs"):
        plots.save_curves(tmp_path / "none.png", [])
    assert not (tmp_path / "none.png").exists()


def test_scores_are_shown_from_tenth_to_tenth_within_zero_and_one():
    assert plots._limits([0.42, 0.78], True, False) == (pytest.approx(0.3), pytest.approx(0.9))
    assert plots._limits([0.01, 0.99], True, False) == (0.0, 1.0)
    assert plots._limits([0.6], True, True) == (0.0, 1.0)
    low, high = plots._limits([0.5, 2.0], False, False)
    assert low < 0.5 and high > 2.0


@pytest.mark.parametrize("count", [1, 2, 12, 30])
@pytest.mark.parametrize("ignored", [0, 7])
def test_a_confusion_matrix_of_any_size_is_drawn(tmp_path, count, ignored):
    counts = np.eye(count, count + 1, dtype=np.int64) * 90 + 3
    counts[:, -1] = ignored
    plots.save_confusion(tmp_path / "confusion.png", counts, classes_of(count))
    with Image.open(tmp_path / "confusion.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 700


def test_the_ignored_column_and_the_numbers_are_drawn_only_where_there_is_something(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(plots, "_label_axes", lambda axes, classes, ignored, empty, letters: drawn.update(i=ignored))
    monkeypatch.setattr(plots, "_number_cells", lambda axes, shares, letters: drawn.update(shares=shares))
    counts = np.array([[3, 1, 0], [0, 0, 0]])
    plots.save_confusion(tmp_path / "a.png", counts, classes_of(2))
    assert not drawn["i"]
    assert drawn["shares"].tolist() == [[0.75, 0.25], [0.0, 0.0]]
    counts[0, 2] = 4
    plots.save_confusion(tmp_path / "b.png", counts, classes_of(2))
    assert drawn["i"]
    assert drawn["shares"].tolist() == [[0.375, 0.125, 0.5], [0.0, 0.0, 0.0]]
    drawn.clear()
    plots.save_confusion(tmp_path / "c.png", np.ones((26, 27)), classes_of(26))
    assert "shares" not in drawn


def test_right_is_blue_wrong_is_red_and_no_truth_grey():
    shares = np.array([[0.81, 0.19], [0.0, 0.0]])
    cells = plots._cell_colors(shares, np.array([False, True])).astype(int)
    assert cells[0, 0, 2] > cells[0, 0, 0] + 50
    assert cells[0, 1, 0] > cells[0, 1, 2] + 50
    assert (cells[1] == plots._EMPTY).all()


def test_strange_names_are_drawn_as_text_or_by_number(tmp_path):
    names = ("cost $x_{$", "道路", "two\nlines", "pavé", "long " * 20)
    classes = Classes(names=names, colors=((1, 2, 3),) * 5)
    drawn = plots._drawable_names(classes)
    assert drawn[:4] == ["cost $x_{$", "class 1", "two lines", "pavé"]
    assert len(drawn[4]) <= 24
    plots.save_confusion(tmp_path / "confusion.png", np.ones((5, 6), int), classes)


def test_counts_of_another_shape_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected \(3, 4\)"):
        plots.save_confusion(tmp_path / "confusion.png", np.ones((3, 3)), classes_of(3))


def details_of(shares, confidences, accuracies, **recalls):
    rows = zip(shares, confidences, accuracies, strict=True)
    names = ("share", "confidence", "accuracy")
    found = {"ece": 0.1, "reliability": [dict(zip(names, row, strict=True)) for row in rows]}
    found["objects"] = {"small": 7, "medium": 6, "large": 1_234_567}
    return found | {f"recall_{name}": recalls.get(name, 0.5) for name in found["objects"]}


def test_details_are_drawn_with_the_gap_between_confidence_and_truth(tmp_path):
    sure = details_of([0, 0.5, 0.5], [None, 0.5, 0.9], [None, 0.5, 0.3])
    honest = details_of([0, 0.5, 0.5], [None, 0.5, 0.9], [None, 0.5, 0.9])
    pale = np.round(0.35 * ORANGE + 0.65 * 255)  # the gap
    found = []
    for name, details in (("sure", sure), ("honest", honest)):
        plots.save_details(tmp_path / f"{name}.png", details)
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.format == "PNG" and 1000 <= picture.width <= 1600
        assert count_near(tmp_path / f"{name}.png", BLUE) > 10_000
        found.append(count_near(tmp_path / f"{name}.png", pale))
    assert found[0] > 10_000 > 1000 > found[1]


def test_details_that_are_missing_or_not_defined_leave_their_place_empty(tmp_path):
    bins = [0] * 15, [None] * 15, [None] * 15
    empty = details_of(*bins, small=None, medium=None, large=float("nan")) | {"ece": None}
    plots.save_details(tmp_path / "empty.png", empty)
    assert count_near(tmp_path / "empty.png", BLUE) == 0
    predictions = details_of(*bins)
    del predictions["reliability"], predictions["ece"]
    plots.save_details(tmp_path / "predictions.png", predictions)
    assert count_near(tmp_path / "predictions.png", BLUE) > 10_000
    with pytest.raises(ValueError, match="no details"):
        plots.save_details(tmp_path / "none.png", {})


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(MissingExtraError, match="the extra `report`"):
        plots.save_curves(tmp_path / "curves.png", [row(1)])


def test_drawing_needs_neither_pyplot_nor_torch_and_importing_not_even_matplotlib(tmp_path):
    code = (
        "import sys, pathlib, tarsia.evaluation.plots as f; assert 'matplotlib' not in sys.modules\n"
        "f.save_curves(pathlib.Path(sys.argv[1]), [{'epoch': 1, 'val_miou': 0.5}])\n"
        "assert not {'matplotlib.pyplot', 'torch'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "c.png")], check=False).returncode == 0
