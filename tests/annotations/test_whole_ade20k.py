"""The whole ADE20K through `convert`: numbers of classes in red and green, names in a JSON beside each picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tarsia import cli, data
from tarsia.converting import convert
from tarsia.errors import DatasetError
from test_converting import read

CAR, BANK, SHORE = 401, 130, 3000
NAMES = {CAR: "car, auto", BANK: "bank, building", SHORE: "bank, shore", 2: "wing"}
NUMBERS = np.array([[0, CAR, CAR, BANK, SHORE, SHORE]] * 4)


def scene(root: Path, split: str, name: str, numbers: np.ndarray = NUMBERS, objects: tuple[int, ...] = ()) -> Path:
    folder = root / f"images/ADE/{split}/urban/street"
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", numbers.shape[::-1], (90, 80, 70)).save(folder / f"{name}.jpg")
    colors = np.stack([numbers // 256 * 10, numbers % 256, numbers * 0 + 9], axis=2)
    Image.fromarray(colors.astype(np.uint8)).save(folder / f"{name}_seg.png")
    listed = [{"name": NAMES[k], "name_ndx": k, "parts": {"part_level": int(k == 2)}} for k in objects or (*NAMES,)]
    tree = {"filename": f"{name}.jpg", "scene": ["stra\u00dfe"], "imsize": [4, 6, 3], "object": listed}
    (folder / f"{name}.json").write_bytes(json.dumps({"annotation": tree}, ensure_ascii=False).encode("latin-1"))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    scene(tmp_path / "ADE20K", "training", "ADE_train_1")
    scene(tmp_path / "ADE20K", "validation", "ADE_val_1")
    return tmp_path / "ADE20K"


def test_all_classes_that_there_are(root: Path, tmp_path: Path) -> None:
    convert(root, tmp_path / "out")
    names = data.open("folder", tmp_path / "out").classes.names
    assert names == ("background", "bank, building", "car", "bank, shore"), "by number; parts are none"
    (label,) = read(tmp_path / "out", "val").values()
    assert label[0].tolist() == [0, 2, 2, 1, 3, 3]
    assert len(read(tmp_path / "out", "train")) == 1


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("car\nbank, shore\n", [0, 1, 1, 0, 2, 2]),
        ("3000: shore\n401: car\n", [0, 1, 1, 0, 2, 2]),
        ("401: car\n130: bank (ignored)\n3000: shore\n", [0, 1, 1, 255, 2, 2]),
    ],
)
def test_those_that_a_list_keeps(root: Path, tmp_path: Path, text: str, row: list[int]) -> None:
    (tmp_path / "keep.txt").write_text(text.replace("bank, shore", '"bank, shore"'))
    assert not cli.app(
        ["convert", str(root), "--classes", str(tmp_path / "keep.txt"), "--to", str(tmp_path / "out")],
        exit_on_error=False,
        print_error=False,
    )
    (label,) = read(tmp_path / "out", "train").values()
    assert label[0].tolist() == row


def test_more_classes_than_a_model_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "NAMES", {k: f"thing {k}" for k in range(1, 300)})
    scene(tmp_path / "ADE20K", "training", "a", np.ones((4, 6), int))
    with pytest.raises(DatasetError, match=r"298 classes, and 254 .*say with `classes`"):
        convert(tmp_path / "ADE20K", tmp_path / "out")


def test_what_is_wrong_with_a_scene(root: Path, tmp_path: Path) -> None:
    folder = root / "images/ADE/training/urban/street"
    (folder / "ADE_train_1_seg.png").unlink()
    with pytest.raises(DatasetError, match=r"ADE_train_1_seg\.png: no such mask"):
        convert(root, tmp_path / "out")
    scene(root, "training", "ADE_train_1", NUMBERS * 0 + 77)
    with pytest.raises(DatasetError, match="they are of two releases"):
        convert(root, tmp_path / "out")
    Image.fromarray(NUMBERS.astype(np.uint8)).save(folder / "ADE_train_1_seg.png")
    with pytest.raises(DatasetError, match="expected red and green"):
        convert(root, tmp_path / "out")
    (folder / "ADE_train_1.json").write_text('{"annotation": {"filename": "a.jpg", "scene": []}}')
    with pytest.raises(DatasetError, match=r"ADE_train_1\.json: its object are None"):
        convert(root, tmp_path / "out")
    for name in ("street/a.jpg", ""):
        tree = {"filename": name, "scene": [], "object": []}
        (folder / "ADE_train_1.json").write_text(json.dumps({"annotation": tree}))
        with pytest.raises(DatasetError, match=r"ADE_train_1\.json: its picture .* is missing"):
            convert(root, tmp_path / "out")


OLDER = """\
001 # 0 # 0 # car, auto # car # ""
002 # 0 # 1 # bank, building # bank # "old, grey"
003 # 0 # 0 # bank, shore # shore # ""
001 # 1 # 0 # wing # wing # ""
"""


def older(root: Path) -> None:
    """As of 2016 and 2017: no JSON, but lines, and instances in blue."""
    for path in root.rglob("*.json"):
        path.unlink()
        path.with_name(f"{path.stem}_atr.txt").write_text(OLDER)
        mask = path.with_name(f"{path.stem}_seg.png")
        colors = np.array(Image.open(mask))
        colors[..., 2] = np.select([NUMBERS == CAR, NUMBERS == BANK, NUMBERS == SHORE], [64, 127, 255])
        Image.fromarray(colors).save(mask)


def test_the_release_of_2016(root: Path, tmp_path: Path) -> None:
    older(root)
    (root / "index.txt").write_text("of another kind\n")
    convert(root, tmp_path / "out")
    assert data.open("folder", tmp_path / "out").classes.names == ("background", "bank, building", "car", "bank, shore")
    (label,) = read(tmp_path / "out", "val").values()
    assert label[0].tolist() == [0, 2, 2, 1, 3, 3]
    lines = next(root.rglob("*_atr.txt"))
    lines.write_text(OLDER + "a car\n")
    with pytest.raises(DatasetError, match=r"_atr\.txt:5: no object of ADE20K"):
        convert(root, tmp_path / "again")


@pytest.mark.shared
@pytest.mark.parametrize(("release", "names"), [("2020", {"car", "person"}), ("2017", {"sky", "person"})])
def test_another_s_fixture(shared: Path, tmp_path: Path, release: str, names: set[str]) -> None:
    convert(shared / f"data/samples/datumaro_fixtures/ade20k{release}_dataset/dataset", tmp_path / "out")
    assert names <= set(data.open("folder", tmp_path / "out").classes.names)
    assert len(read(tmp_path / "out", "train")) == 1
