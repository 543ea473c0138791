"""COCO panoptic: numbers of segments in colours, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tarsia.converting import convert
from tarsia.errors import DatasetError
from test_converting import label, picture, read, write_json

ROAD, CAR, CROWD = 7, 70_000, 260
SCENE = label(((0, 2, 8, 9), 1), ((4, 0, 14, 4), 2), ((12, 8, 14, 10), 2), fill=255)
NUMBERS = np.zeros((10, 14), int)
NUMBERS[2:9, 0:8], NUMBERS[0:4, 4:14], NUMBERS[8:10, 12:14] = ROAD, CAR, CROWD


def colors(numbers: np.ndarray) -> np.ndarray:
    return np.stack([numbers % 256, numbers // 256 % 256, numbers // 65536], axis=-1).astype(np.uint8)


def segment(number: int, category: int, crowd: int = 0) -> dict[str, Any]:
    return {"id": number, "category_id": category, "area": 1, "bbox": [0, 0, 1, 1], "iscrowd": crowd}


def export(root: Path, name: str = "panoptic_val2017", numbers: np.ndarray = NUMBERS, **more: Any) -> Path:
    picture(root / f"{name.removeprefix('panoptic_')}/a.jpg")
    (root / name).mkdir(parents=True, exist_ok=True)
    Image.fromarray(colors(numbers)).save(root / f"{name}/a.png")
    infos = [segment(ROAD, 30), segment(CAR, 3), segment(CROWD, 3, 1)]
    tree = {
        "images": [{"id": 4, "file_name": "a.jpg", "height": 10, "width": 14}],
        "annotations": [{"image_id": 4, "file_name": "a.png", "segments_info": infos}],
        "categories": [
            {"id": 30, "name": "road", "isthing": 0, "color": [1, 2, 3]},
            {"id": 3, "name": "car", "isthing": 1, "color": [4, 5, 6]},
        ],
    }
    return write_json(root / f"{name}.json", tree | more)


def test_segments_by_their_numbers(tmp_path: Path) -> None:
    done = convert(export(tmp_path), tmp_path / "out")
    assert (done.kind, done.classes.names) == ("coco-panoptic", ("car", "road"))
    assert done.classes.colors == ((4, 5, 6), (1, 2, 3)) and done.objects == 3
    of = np.array([255, 1, 0] + [255] * 253, np.uint8)
    found = read(tmp_path / "out")
    assert np.array_equal(next(iter(found.values())), of[np.minimum(SCENE, 3)])


def test_two_files_are_splits_and_photos_may_lie_elsewhere(tmp_path: Path) -> None:
    for split in ("train2017", "val2017"):
        export(tmp_path, f"panoptic_{split}")
    convert(tmp_path, tmp_path / "out")
    assert len(read(tmp_path / "out", "train2017")) == len(read(tmp_path / "out", "val2017")) == 1
    (tmp_path / "val2017").rename(tmp_path / "photos")
    (tmp_path / "panoptic_train2017.json").unlink()
    convert(tmp_path / "panoptic_val2017.json", tmp_path / "2", images=tmp_path / "photos")
    assert read(tmp_path / "2").keys() == {"a"}


def test_numbers_and_segments_without_each_other(tmp_path: Path) -> None:
    numbers = NUMBERS.copy()
    numbers[numbers == CROWD] = 9
    done = convert(export(tmp_path, numbers=numbers), tmp_path / "out")
    assert (next(iter(read(tmp_path / "out").values())) == 255).sum() == (SCENE == 255).sum() + 4
    assert {note.partition(":")[0] for note in done.notes} == {
        "numbers in masks that no segment has, 255",
        "segments that no pixel has",
    }


def test_blue_before_red(tmp_path: Path) -> None:
    file = export(tmp_path)
    png = tmp_path / "panoptic_val2017/a.png"
    Image.fromarray(np.asarray(Image.open(png))[..., ::-1].copy()).save(png)
    done = convert(file, tmp_path / "out")
    assert done.notes[0].startswith("masks whose numbers stand in blue, green, red")
    assert (next(iter(read(tmp_path / "out").values())) == 255).sum() == (SCENE == 255).sum()


def test_faults(tmp_path: Path) -> None:
    def refused(message: str, **more: Any) -> None:
        file = export(tmp_path, **more)
        with pytest.raises(DatasetError, match=message):
            convert(file, tmp_path / "out")

    annotation = {"image_id": 4, "file_name": "a.png"}
    refused(
        "image 4: segment 7 of category 5: expected", annotations=[{**annotation, "segments_info": [segment(7, 5)]}]
    )
    refused("no pixel of .*a.png has the number of one of its segments", numbers=NUMBERS * 3)
    refused("a.png is 5x14, but its picture 10x14", numbers=NUMBERS[:5])
    named = {**annotation, "file_name": "b.png", "segments_info": []}
    refused("image 4: its picture panoptic_val2017/b.png is missing", annotations=[named])
    refused("image 4: no annotation is of it", annotations=[{**annotation, "image_id": 5, "segments_info": []}])
    file = export(tmp_path)
    Image.fromarray(NUMBERS.astype(np.uint8)).save(tmp_path / "panoptic_val2017/a.png")
    with pytest.raises(DatasetError, match=r"a.png is of mode L, expected RGB"):
        convert(file, tmp_path / "out")
