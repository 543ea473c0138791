"""Contact sheets hold every tile at its place, whatever its size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tarsia.card import IGNORED, Classes
from tarsia.drawing.sheet import Row, Tile, sheet

CLASSES = Classes(names=("ground", "box"), colors=((90, 140, 90), (220, 60, 40)))
COLORS = np.array([[250, 10, 10], [10, 250, 10], [10, 10, 250], [240, 240, 20], [20, 230, 230]])


def flat(color: np.ndarray, size: tuple[int, int] = (30, 40)) -> np.ndarray:
    return np.broadcast_to(color.astype(np.uint8), (*size, 3)).copy()


def boxes(drawn: Image.Image, color: np.ndarray) -> tuple[int, int, int, int]:
    """top, left, height, width of the area of one colour."""
    rows, columns = np.nonzero((np.asarray(drawn.convert("RGB")) == color).all(-1))
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    assert len(rows) == height * width, "not one rectangle"
    return int(rows.min()), int(columns.min()), height, width


def test_tiles_stand_in_rows_and_fill_their_cells() -> None:
    rows = [
        Row("", [Tile("a", flat(COLORS[0])), Tile("b", flat(COLORS[1])), Tile("c", flat(COLORS[2]))]),
        Row("a heading", [Tile("d", flat(COLORS[3])), Tile("e", flat(COLORS[4]))]),
    ]
    drawn = sheet(rows, CLASSES, (60, 80))
    places = [boxes(drawn, color) for color in COLORS]
    assert all(place[2:] == (60, 80) for place in places)
    assert places[0][0] == places[1][0] == places[2][0] < places[3][0] == places[4][0]
    assert places[0][1] == places[3][1] < places[1][1] == places[4][1] < places[2][1]
    without = sheet([rows[0], rows[1]._replace(heading="")], CLASSES, (60, 80))
    assert without.width == drawn.width and without.height < drawn.height


def test_a_label_is_laid_over_a_second_copy_below_its_own_picture() -> None:
    label = np.zeros((30, 40), np.uint8)
    label[:, 20:] = 1
    label[:5] = IGNORED
    tiles = [Tile("plain", flat(COLORS[0])), Tile("labelled", flat(COLORS[1]), label)]
    drawn = sheet([Row("", tiles)], CLASSES, (60, 80))
    top, left, height, width = boxes(drawn, COLORS[1])
    assert drawn.mode == "RGBA" and drawn.getpixel((0, 0)) == (255, 255, 255, 0)
    below = np.asarray(drawn.convert("RGB"))[top + height : top + 2 * height + 20]
    assert (below[:, :left] == 255).all()  # none below the picture without a label
    over = below[:, left : left + width].reshape(-1, 3).astype(int)
    for k in (0, 1):
        expected = 0.45 * COLORS[1] + 0.55 * np.array(CLASSES.colors[k])
        assert (np.abs(over - expected).max(1) <= 2).sum() > 1000
    assert sheet([Row("", [tiles[0]])], CLASSES, (60, 80)).height < drawn.height - 50


@pytest.mark.parametrize(("size", "shown"), [((1, 1), (60, 60)), ((1, 900), (1, 80)), ((900, 2), (60, 1)),
                                             ((600, 400), (60, 40)), ((7, 7), (60, 60))])  # fmt: skip
def test_pictures_of_any_size_fit_into_their_cell(size: tuple[int, int], shown: tuple[int, int]) -> None:
    drawn = sheet([Row("", [Tile("x", flat(COLORS[0], size), np.zeros(size, np.uint8))])], CLASSES, (60, 80))
    assert boxes(drawn, COLORS[0])[2:] == shown


@pytest.mark.parametrize("text", ["", "w" * 500, "many words " * 60, "línea \n\t straße", "车道", "\0"])
def test_captions_and_headings_of_any_kind(text: str) -> None:
    drawn, plain = (
        sheet([Row(words, [Tile(words, flat(color)) for color in COLORS[:2]])], CLASSES, (60, 80))
        for words in (text, "")
    )
    assert drawn.width == plain.width
    first, second = (boxes(drawn, color) for color in COLORS[:2])
    assert first[2:] == second[2:] == (60, 80) and first[0] == second[0]
    above = np.asarray(drawn.convert("L"))[first[0] - 20 : first[0]]
    assert (above[:, first[1] + 82 : second[1]] == 255).all()  # no caption runs into its neighbour


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "nothing to draw"),
        ([Row("heading", [])], "nothing to draw"),
        ([Row("", [Tile("x", flat(COLORS[0]), np.zeros((5, 5), np.uint8))])], "to fit its label"),
        ([Row("", [Tile("x", flat(COLORS[0]), np.full((30, 40), 7, np.uint8))])], "label value 7"),
    ],
)
def test_what_cannot_be_drawn_is_said(rows: list[Row], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        sheet(rows, CLASSES)
