"""Attention maps as pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tarsia.drawing import heat
from tarsia.drawing.heat import attention_sheet, heat_colors
from tarsia.engines.engine import AttentionMap


def some_image(height: int = 60, width: int = 90) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def corner(height: int = 6, width: int = 9) -> np.ndarray:
    """All attention at the top left."""
    map_HW = np.full((height, width), 0.5, np.float32)
    map_HW[: height // 2, : width // 3] = 4
    return map_HW


def lightness(colors: np.ndarray) -> np.ndarray:
    """CIELAB L* of RGB."""
    linear = np.where(colors <= 10, colors / 255 / 12.92, ((colors / 255 + 0.055) / 1.055) ** 2.4)
    return 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16


def test_colours_grow_lighter_in_even_steps():
    steps = np.diff(lightness(heat_colors(np.linspace(0, 1, 9))))
    assert (steps > 9).all() and (steps < 13).all()
    assert (np.diff(lightness(heat_colors(np.linspace(0, 1, 100)))) > 0).all()
    assert heat_colors(np.zeros((2, 5))).shape == (2, 5, 3) and heat_colors(np.zeros(1)).dtype == np.uint8


def tiles(sheet: Image.Image, count: int, size: tuple[int, int], foot: int) -> list[np.ndarray]:
    """The pictures in a sheet of one row: each below two lines of words, in a cell as high as the sheet allows."""
    width, height = size
    gap = (sheet.width - count * width) // (count + 1)
    top = sheet.height - gap - foot - height
    return [
        np.asarray(sheet.crop((gap + index * (width + gap), top, gap + index * (width + gap) + width, top + height)))
        for index in range(count)
    ]


def test_a_map_lies_over_its_picture_where_it_belongs():
    image_HW3 = some_image(300, 450)
    sheet = attention_sheet(image_HW3, [AttentionMap("attention_56", corner(), None)])
    picture, heated = tiles(sheet, 2, (450, 300), heat._LINE)
    np.testing.assert_array_equal(picture, image_HW3)
    grey_HW = np.asarray(Image.fromarray(image_HW3).convert("L")).astype(float)
    for rows, columns, value in ((slice(20, 100), slice(20, 100), 1.0), (slice(200, 280), slice(250, 430), 0.0)):
        expected = 0.65 * heat_colors(np.array(value)) + 0.35 * grey_HW[rows, columns, None]
        assert np.abs(heated[rows, columns] - expected).max() < 3


def test_channel_weights_stand_below_as_bars():
    weights = np.linspace(0.25, 0.75, 20, dtype=np.float32)
    map_of = {"plain": None, "weighted": weights}
    sheets = {name: attention_sheet(some_image(), [AttentionMap("se", corner(), w)]) for name, w in map_of.items()}
    taller = sheets["weighted"].height - sheets["plain"].height
    assert 0 <= taller - heat._STRIP - heat._LINE <= 4  # the gaps around grow with the cells
    filled = (np.asarray(sheets["weighted"]) == heat._HEAT[3]).all(-1).sum(0)
    columns = filled[filled > 0][-heat._SMALLEST :]
    assert columns[0] == 1 + round(0.75 * heat._STRIP) and columns[-1] == 1 + round(0.25 * heat._STRIP)
    assert (np.diff(columns) <= 0).all()


@pytest.mark.parametrize("count", [1, 3, 4, 8, 12, 30])
def test_many_modules_stand_in_rows(count):
    sheet = attention_sheet(some_image(), [AttentionMap(f"decoder.{k}", corner(), np.ones(4)) for k in range(count)])
    assert max(sheet.size) < 4000 and 0.2 < sheet.width / sheet.height < 5


def of_module(name: str, kinds: tuple[str, ...]) -> list[AttentionMap]:
    return [AttentionMap(name, corner(), None, kind) for kind in kinds]


def test_maps_of_a_module_stand_in_a_row_of_its_own():
    """Beside the picture; below it nothing stands."""
    maps = [one for name in ("a", "b", "c") for one in of_module(name, ("received", "paid", "active"))]
    sheet = attention_sheet(some_image(300, 400), maps)
    cell = (400, 300 + 3 * heat._LINE)
    gap = cell[1] // 40
    assert sheet.size == (4 * (cell[0] + gap) + gap, 3 * (cell[1] + gap) + gap)
    drawn = np.asarray(sheet)
    empty = [
        [
            (drawn[top : top + cell[1], left : left + cell[0]] == drawn[0, 0]).all()
            for left in range(gap, sheet.width, cell[0] + gap)
        ]
        for top in range(gap, sheet.height, cell[1] + gap)
    ]
    assert empty == [[False] * 4, [True, False, False, False], [True, False, False, False]]


def test_the_chosen_position_is_marked_on_the_picture_and_on_what_it_pays():
    image_HW3 = np.full((300, 450, 3), 128, np.uint8)
    maps = of_module("a", ("received", "paid", "active"))
    plain, marked = (attention_sheet(image_HW3, maps, at) for at in (None, (100, 200)))
    assert plain.size == marked.size
    size = (450, 300)
    seen = zip(tiles(plain, 4, size, heat._LINE), tiles(marked, 4, size, heat._LINE), strict=True)
    changed = [(before != after).any(-1) for before, after in seen]
    assert [one.any() for one in changed] == [True, False, True, False]
    rows, columns = changed[0].nonzero()
    assert (rows.mean(), columns.mean()) == pytest.approx((200.5, 100.5), abs=1)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.9996, 1.0004, ("0.9996", "1.0004")),
        (0.00123, 473.2, ("0.00123", "473")),
        (1.0, 1.0, ("1", "1")),
        (0.2, 0.5, ("0.2", "0.5")),
        (-1.00002, -1.00001, ("-1.00002", "-1.00001")),
        (0, 0, ("0", "0")),
        (12345.0, 12346.0, ("12345", "12346")),
    ],
)
def test_the_ends_of_a_scale_differ_where_its_values_do(low, high, said):
    assert heat._apart(low, high) == said


@pytest.mark.parametrize("size", [(1, 1), (2, 6600), (6600, 2), (900, 1600), (20, 30)])
def test_pictures_of_any_size(size):
    sheet = attention_sheet(some_image(*size), [AttentionMap("a" * 300, np.ones((1, 1), np.float32), None)])
    assert sheet.mode == "RGB" and max(sheet.size) < 2500


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0])
def test_a_map_of_one_value_is_drawn_as_the_lowest(value):
    image_HW3 = some_image(300, 450)
    sheet = attention_sheet(image_HW3, [AttentionMap("flat", np.full((3, 4), value, np.float32), None)])
    heated = tiles(sheet, 2, (450, 300), heat._LINE)[1]
    grey_HW = np.asarray(Image.fromarray(image_HW3).convert("L")).astype(float)
    assert np.abs(heated - (0.65 * np.array(heat._HEAT[0]) + 0.35 * grey_HW[..., None])).max() < 2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_map_that_is_not_finite_is_refused(value):
    map_HW = corner()
    map_HW[0, 0] = value
    with pytest.raises(ValueError, match="expected finite"):
        attention_sheet(some_image(), [AttentionMap("broken", map_HW, None)])
