"""What is written for annotation programs and read again: masks to the last pixel, polygons off the borders."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tarsia.annotations.tool import Listed, pieces
from tarsia.annotations.tools import all_tools
from tarsia.card import Classes
from tarsia.converting import convert
from tarsia.doctor.layout_lines import yaml_splits
from tarsia.errors import RecipeError
from test_converting import picture, read

NAMES = ("road", "sky & <sea>", 'a "car"', "straße")
CLASSES = Classes(names=NAMES, colors=((1, 2, 3), (200, 0, 0), (0, 200, 0), (0, 0, 200)))
TOOLS = sorted(all_tools())


def scene(seed: int, size: tuple[int, int] = (33, 47), ignored: bool = False) -> np.ndarray:
    """Blobs with holes, parts at the border, single pixels."""
    random = np.random.default_rng(seed)
    small = random.integers(0, len(NAMES), (size[0] // 4 + 1, size[1] // 4 + 1))
    label_HW = np.kron(small, np.ones((4, 4), int))[: size[0], : size[1]].astype(np.uint8)
    spots = random.random(size) < 0.03
    label_HW[spots] = random.integers(0, len(NAMES), spots.sum())
    if ignored:
        label_HW[5:9, 5:9] = 255
    return label_HW


def data_set(root: Path, ignored: bool = False, split: bool = False) -> dict[str, np.ndarray]:
    """A folder that Tarsia reads, and its labels."""
    found = {}
    for seed, name in enumerate(("a", "sub/b", "c")):
        part = ("train/" if seed else "val/") if split else ""
        label_HW = found[name] = scene(seed, ignored=ignored)
        picture(root / f"images/{part}{name}.png", label_HW.shape)
        target = root / f"labels/{part}{name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(label_HW).save(target)
    names = "".join(
        f"  - {{name: {json.dumps(name)}, color: {list(CLASSES.colors[i])}}}\n" for i, name in enumerate(NAMES)
    )
    splits = yaml_splits(["train", "val"]) + "\n" if split else ""
    (root / "dataset.yaml").write_text(f"classes:\n{names}format: index\nimages: images\nlabels: labels\n{splits}")
    return found


@pytest.mark.parametrize("tool", TOOLS)
def test_there_and_back_is_exact(tool: str, tmp_path: Path) -> None:
    wanted = data_set(tmp_path / "set")
    done = convert(tmp_path / "set", tmp_path / "handed", to_tool=tool)
    assert (done.kind, done.pictures, done.classes.names, done.exit_code) == ("folder", 3, NAMES, 0)
    back = convert(tmp_path / "handed", tmp_path / "back")
    assert back.kind == tool and back.classes.names == NAMES, "everything is covered, so no class is added"
    assert tool == "labelme" or back.classes.colors == CLASSES.colors
    found = {name.removeprefix("images/"): label_HW for name, label_HW in read(tmp_path / "back").items()}
    assert found.keys() == wanted.keys() and all(np.array_equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("tool", TOOLS)
def test_ignored_pixels_are_kept_or_counted(tool: str, tmp_path: Path) -> None:
    wanted = data_set(tmp_path / "set", ignored=True)
    done = convert(tmp_path / "set", tmp_path / "handed", to_tool=tool)
    lost = [note for note in done.notes if note.startswith("ignored pixels (255), which ")]
    assert (not lost) == (tool == "labelme") and done.pixels[-1] == 48
    assert not lost or lost[0].endswith("in no shape: 48")
    convert(tmp_path / "handed", tmp_path / "back", background=None)
    found = {name.removeprefix("images/"): label_HW for name, label_HW in read(tmp_path / "back").items()}
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("tool", TOOLS)
def test_polygons_are_right_off_the_borders(tool: str, tmp_path: Path) -> None:
    wanted = data_set(tmp_path / "set")
    convert(tmp_path / "set", tmp_path / "handed", to_tool=tool, simplify=1.5)
    convert(tmp_path / "handed", tmp_path / "back", background=None)
    found = {name.removeprefix("images/"): label_HW for name, label_HW in read(tmp_path / "back").items()}
    for name, label_HW in wanted.items():
        inside = np.ones(label_HW.shape, bool)
        padded = np.pad(label_HW, 1, mode="edge")
        height, width = label_HW.shape
        for row in range(3):
            for column in range(3):
                inside &= padded[row : row + height, column : column + width] == label_HW
        assert inside.sum() > 50 and np.array_equal(found[name][inside], label_HW[inside])


@pytest.mark.parametrize("tool", TOOLS)
def test_splits(tool: str, tmp_path: Path) -> None:
    data_set(tmp_path / "set", split=True)
    done = convert(tmp_path / "set", tmp_path / "handed", to_tool=tool)
    lost = [note for note in done.notes if note.startswith("splits, which ")]
    back = convert(tmp_path / "handed", tmp_path / "back")
    assert back.pictures == 3 and back.classes.names == NAMES
    if lost:
        assert tool in ("label-studio", "labelme")
    else:
        assert len(read(tmp_path / "back", "train")) == 2 and len(read(tmp_path / "back", "val")) == 1


def test_a_form_to_another(tmp_path: Path) -> None:
    """CVAT's to Label Studio's to COCO's to labelme's: nothing is lost on the way."""
    wanted = data_set(tmp_path / "0")
    for step, tool in enumerate(("cvat", "label-studio", "coco", "labelme")):
        convert(tmp_path / str(step), tmp_path / str(step + 1), to_tool=tool, copy=True)
    convert(tmp_path / "4", tmp_path / "back")
    found = list(read(tmp_path / "back").items())
    assert len(found) == 3
    for name, label_HW in wanted.items():
        (same,) = [array for there, array in found if there.endswith(name)]
        assert np.array_equal(same, label_HW)


def test_what_is_asked_for_must_go_together(tmp_path: Path) -> None:
    data_set(tmp_path / "set")
    with pytest.raises(RecipeError, match=r"to_tool='cavt', did you mean cvat"):
        convert(tmp_path / "set", tmp_path / "out", to_tool="cavt")
    with pytest.raises(RecipeError, match=r"simplify=1.0: expected 0 or more pixels, with `to_tool`"):
        convert(tmp_path / "set", tmp_path / "out", simplify=1.0)


@pytest.mark.parametrize("tolerance", [0.0, 1.0])
def test_pieces_cover_every_pixel_once(tolerance: float) -> None:
    label_HW = scene(4, ignored=True)
    found = pieces(label_HW, tolerance, ignored=True)
    covered = np.zeros(label_HW.shape, int)
    for piece in found:
        if piece.ring_N2 is None:
            (top, left), (height, width) = piece.top_left, piece.mask_HW.shape
            covered[top : top + height, left : left + width] += piece.mask_HW
            assert (label_HW[top : top + height, left : left + width][piece.mask_HW] == piece.label).all()
    assert covered.max() <= 1 and (tolerance or covered.min() == 1)


def test_predictions_are_called_so() -> None:
    label_HW = scene(1)
    for name in ("cvat", "label-studio", "coco"):
        tool, texts = all_tools()[name], []
        for predicted in (True, False):
            file = io.StringIO()
            one = Listed("a.png", label_HW.shape, lambda: tool.shapes(label_HW, CLASSES, 0.0))  # noqa: B023
            tool.write(file, CLASSES, lambda: [one], predicted)  # noqa: B023
            texts.append(file.getvalue())
        words = {"cvat": ('"auto"', '"manual"'), "label-studio": ('"predictions"', '"annotations"')}
        first, second = words.get(name, ("predicted", "written"))
        assert first in texts[0] and second in texts[1]
