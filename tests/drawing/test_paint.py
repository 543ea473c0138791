from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tarsia.card import Classes
from tarsia.drawing import legend, lettering, paint
from tarsia.errors import OutputError

CLASSES = Classes(names=("sky", "road", "car"), colors=((70, 130, 180), (128, 64, 128), (220, 20, 60)))
RED = np.asarray((232, 30, 36))


def some_image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def many_classes(count: int) -> Classes:
    colors = np.random.default_rng(1).integers(0, 256, (count, 3))
    special = ["道路", "trottoir pavé", "сад", "a name " * 20, "two\nlines", " ", "x\x00y"]
    names = (special + [f"class {k}" for k in range(count)])[:count]
    return Classes(names=tuple(names), colors=tuple(tuple(int(v) for v in color) for color in colors))


def test_colorize_is_the_table_looked_up_pixel_by_pixel():
    label_HW = np.array([[0, 1, 255], [2, 2, 1]], np.uint8)
    painted_HW3 = paint.colorize(label_HW, CLASSES)
    assert painted_HW3.dtype == np.uint8
    for y, x in np.ndindex(label_HW.shape):
        value = label_HW[y, x]
        expected = paint.ignored_color(CLASSES) if value == 255 else CLASSES.colors[value]
        assert tuple(painted_HW3[y, x]) == expected


@pytest.mark.parametrize("function", [paint.colorize, lambda label, c: paint.save_label(Path("never.png"), label, c)])
@pytest.mark.parametrize("value", [3, 254, 256, -1])
def test_a_value_that_is_no_class_is_refused(function, value):
    with pytest.raises(ValueError, match=f"label value {value} is neither a class"):
        function(np.full((2, 2), value, np.int64), CLASSES)


def test_ignored_is_a_grey_no_class_can_be_mistaken_for():
    assert paint.ignored_color(CLASSES) == (0, 0, 0)
    black = Classes(names=("background", "cell"), colors=((0, 0, 0), (255, 0, 0)))
    assert paint.ignored_color(black) == (255, 255, 255)
    greys = Classes(names=tuple("abcde"), colors=tuple((g, g, g) for g in (0, 255, 128, 200, 60)))
    assert paint.ignored_color(greys) not in greys.colors


def test_overlay_blends_inside_and_brightens_edges():
    image_HW3 = some_image(64, 80)
    label_HW = np.zeros((64, 80), np.uint8)
    label_HW[:, 40:] = 1
    blended_HW3 = np.asarray(paint.overlay(image_HW3, label_HW, CLASSES, legend=False)).astype(int)
    expected_HW3 = image_HW3 * 0.45 + paint.colorize(label_HW, CLASSES) * 0.55
    inside = np.ones((64, 80), bool)
    inside[:, 39] = False
    assert np.abs(blended_HW3 - expected_HW3)[inside].max() <= 2
    assert blended_HW3[:, 39].mean() > expected_HW3[:, 39].mean() + 10


@pytest.mark.parametrize("size", [(120, 200), (200, 120)])
def test_the_legend_lists_the_classes_present_by_share(size):
    label_HW = np.zeros(size, np.uint8)
    label_HW[:10] = 255
    label_HW[40:] = 2  # the largest; class 1 is absent
    picture = paint.overlay(np.zeros((*size, 3), np.uint8), label_HW, CLASSES)
    legend = np.asarray(picture)[size[0] :] if size[1] > size[0] else np.asarray(picture)[:, size[1] :]
    first = {k: np.argwhere((legend == CLASSES.colors[k]).all(2)) for k in range(3)}
    assert len(first[1]) == 0
    assert len(first[0]) > 20 and len(first[2]) > 20
    assert tuple(first[2][0]) < tuple(first[0][0])
    entries = paint._entries(label_HW, CLASSES)
    assert [entry.name for entry in entries] == ["car", "sky", "ignored"]
    assert entries[0].share == f"{(size[0] - 40) / size[0] * 100:.1f} %"


@pytest.mark.parametrize("size", [(8, 8), (3, 300), (300, 3), (240, 320), (900, 700)])
@pytest.mark.parametrize("count", [1, 150])
def test_any_size_and_number_of_classes_has_a_legend_within_its_sheet(size, count):
    classes = many_classes(count)
    label_HW = (np.arange(size[0] * size[1]) % count).reshape(size).astype(np.uint8)
    image_HW3 = some_image(*size)
    sheet, plain = (paint.overlay(image_HW3, label_HW, classes, legend=legend) for legend in (True, False))
    height, width = size
    assert (np.asarray(sheet)[:height, :width] == np.asarray(plain)).all()
    assert sheet.height > height if width >= height else sheet.width > width
    # A white margin on the right and below: no entry runs off the sheet.
    below, beside = np.asarray(sheet)[-2:, :], np.asarray(sheet)[:, -2:]
    assert (below[:, width if width < height else 0 :] == 255).all()
    assert (beside[height if width >= height else 0 :] == 255).all()


def test_letters_grow_with_the_picture():
    entries = paint._entries(np.zeros((2, 2), np.uint8), CLASSES)
    assert legend._layout(entries, (4000, 3000), True).letters >= 4 * legend._layout(entries, (640, 480), True).letters


def test_names_beyond_the_fonts_at_hand_are_still_told_apart(monkeypatch):
    monkeypatch.setattr(lettering, "_SYSTEM_FONTS", ())
    fonts = lettering.fit_fonts(20, ["道路"])
    assert lettering.lettering("道路", "class 2", fonts)[0] == "class 2"
    assert lettering.lettering("trottoir  pavé\n", "class 3", fonts)[0] == "trottoir pave"


def test_panel_shows_right_wrong_and_ignored():
    image_HW3 = some_image(60, 200)
    truth_HW = np.zeros((60, 200), np.uint8)
    truth_HW[:, 150:] = 255
    prediction_HW = truth_HW.copy()
    prediction_HW[10:20, 30:90] = 1
    prediction_HW[:, 150:] = 2
    drawn = paint.panel(image_HW3, truth_HW, prediction_HW, CLASSES, "a caption")
    sheet = np.asarray(drawn.convert("RGB"))
    bare = paint.panel(image_HW3, truth_HW, prediction_HW, CLASSES)
    assert sheet.shape[0] > bare.height and sheet.shape[1] == bare.width
    red = np.argwhere((sheet == RED).all(2))
    assert len(red) == 600
    (top, left), (bottom, right) = red.min(0), red.max(0)
    assert (bottom - top + 1, right - left + 1) == (10, 60)
    tile = sheet[top - 10 : top + 50, left - 30 : left + 170].astype(int)
    assert (tile[..., 0] == tile[..., 1])[truth_HW == prediction_HW].all()  # right pixels are grey
    assert set(map(tuple, tile[:, 150:].reshape(-1, 3))) == set(paint._HATCH)
    gap = (sheet.shape[1] - 800) // 5
    step = 200 + gap
    truth = sheet[top - 10 : top + 50, left - 30 - 2 * step : left + 170 - 2 * step]
    assert (truth == paint.colorize(truth_HW, CLASSES)).all()
    predicted = sheet[top - 10 : top + 50, left - 30 - step : left + 170 - step]
    assert (predicted == paint.colorize(prediction_HW, CLASSES)).all()
    first = sheet[top - 10 : top + 50, left - 30 - 3 * step : left + 170 - 3 * step]
    assert (first == image_HW3).all()
    clear = np.asarray(drawn)[..., 3] == 0
    assert not clear[top - 10 : top + 50, left - 30 : left + 170].any() and clear[:, :3].all(), "paper, not pictures"
    assert (sheet[clear] == 255).all(), "white to what knows no alpha"


@pytest.mark.parametrize("size", [(8, 8), (2, 500), (1500, 900)])
def test_panel_of_any_size_is_fit_to_look_at(size):
    label_HW = np.full(size, 255, np.uint8)
    sheet = paint.panel(some_image(*size), label_HW, label_HW * 0, CLASSES, "道路 " * 90)
    assert 4 * 180 <= sheet.width <= 4 * 960 + 200
    assert sheet.height <= 1300


def test_sizes_that_differ_are_refused():
    with pytest.raises(ValueError, match="fit its label"):
        paint.overlay(some_image(4, 5), np.zeros((5, 4), np.uint8), CLASSES)
    with pytest.raises(ValueError, match="fit its label"):
        paint.panel(some_image(4, 5), np.zeros((4, 5), np.uint8), np.zeros((4, 4), np.uint8), CLASSES)


@pytest.mark.parametrize("count", [1, 3, 150, 255])
def test_a_saved_label_reads_back_with_its_palette(tmp_path, count):
    classes = many_classes(count)
    label_HW = np.random.default_rng(2).integers(0, count, (20, 30)).astype(np.uint8)
    label_HW[0] = 255
    paint.save_label(tmp_path / "new" / "label.png", label_HW, classes)
    with Image.open(tmp_path / "new" / "label.png") as picture:
        assert (picture.mode, picture.format) == ("P", "PNG")
        assert (np.asarray(picture) == label_HW).all()
        assert (np.asarray(picture.convert("RGB")) == paint.colorize(label_HW, classes)).all()
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["label.png"]


def test_a_label_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        paint.save_label(tmp_path / "file" / "label.png", np.zeros((2, 2), np.uint8), CLASSES)


def test_grid_places_every_picture_in_its_cell():
    images = [Image.new("RGB", (40 + 10 * k, 30), (k, 0, 0)) for k in range(5)]
    sheet = np.asarray(paint.grid(images, 3))
    centers = [(17 + 4, 40 + 4), (17 + 4, 40 + 4 + 84), (17 + 4, 40 + 4 + 168), (17 + 38, 44), (17 + 38, 44 + 84)]
    assert sheet.shape == (4 + 2 * 34, 4 + 3 * 84, 3)
    assert [int(sheet[center][0]) for center in centers] == [0, 1, 2, 3, 4]
    assert paint.grid(images[:1], 4).width == 48
    with pytest.raises(ValueError, match="at least 1"):
        paint.grid([], 2)


def test_painting_needs_neither_torch_nor_matplotlib():
    code = "import sys, tarsia.drawing.paint; sys.exit(any(name in sys.modules for name in ('torch', 'matplotlib')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
