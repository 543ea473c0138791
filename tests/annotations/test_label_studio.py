"""Label Studio's JSON: tasks as it exports them, each shape drawn by hand."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tarsia.annotations.brush import encode
from tarsia.converting import convert
from tarsia.errors import DatasetError
from test_converting import label, picture, read, write_json

UPLOADED = "/data/upload/3/0a1b2c3d-a.png"
WIDE, HIGH = 14, 10
HOLED = np.zeros((HIGH, WIDE), bool)
HOLED[1:6, 0:5] = True
HOLED[3, 2] = False


def region(kind: str, *names: str, number: str = "", **value: Any) -> dict[str, Any]:
    of = {kind: list(names)} if kind.endswith("labels") else {}
    return {
        **({"id": number} if number else {}),
        "type": kind,
        "from_name": "lab",
        "to_name": "img",
        "original_width": WIDE,
        "original_height": HIGH,
        "image_rotation": 0,
        "value": {**value, **of},
    }


def per_cent(*points: tuple[float, float]) -> list[list[float]]:
    return [[100 * x / WIDE, 100 * y / HIGH] for x, y in points]


def square(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return per_cent((left, top), (right, top), (right, bottom), (left, bottom))


def task(*results: dict[str, Any], image: str = UPLOADED, **more: Any) -> dict[str, Any]:
    return {
        "id": 5,
        "annotations": [{"id": 7, "was_cancelled": False, "result": list(results)}],
        "file_upload": "0a1b2c3d-a.png",
        "drafts": [],
        "predictions": [],
        "data": {"image": image},
        **more,
    }


def export(root: Path, *tasks: Any) -> Path:
    picture(root / "photos/a.png")
    return write_json(root / "project-3.json", list(tasks))


def of(root: Path, *results: dict[str, Any]) -> np.ndarray:
    convert(export(root, task(*results)), root / "out", images=root / "photos")
    return read(root / "out")["a"]


def png(array: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize("image", [UPLOADED, "/data/local-files/?d=photos%2Fa.png", "s3://bucket/photos/a.png"])
def test_polygons_in_the_order_of_the_list(image: str, tmp_path: Path) -> None:
    lower = region("polygonlabels", "road", points=square(0, 2, 8, 9), closed=True)
    upper = region("polygonlabels", "sky", points=square(4, 0, 14, 4), closed=True)
    file = export(tmp_path, task(lower, upper, image=image))
    done = convert(file, tmp_path / "out")
    assert (done.kind, done.classes.names) == ("label-studio", ("background", "road", "sky"))
    assert np.array_equal(read(tmp_path / "out")["photos/a"], label(((0, 2, 8, 9), 1), ((4, 0, 14, 4), 2)))


def test_rectangles_turned_about_their_corner(tmp_path: Path) -> None:
    """A quarter to the right: the width points down, the height to the left."""
    one = region("rectanglelabels", "car", x=600 / WIDE, y=100 / HIGH, width=500 / WIDE, height=300 / HIGH, rotation=90)
    assert np.array_equal(of(tmp_path, one), label(((3, 1, 6, 6), 1)))


def test_ellipses(tmp_path: Path) -> None:
    values = {"x": 50, "y": 50, "radiusX": 400 / WIDE, "radiusY": 200 / HIGH}
    rows, columns = np.mgrid[:HIGH, :WIDE] + 0.5
    flat = ((columns - 7) / 4) ** 2 + ((rows - 5) / 2) ** 2 < 1
    upright = ((columns - 7) / 2) ** 2 + ((rows - 5) / 4) ** 2 < 1
    assert np.array_equal(of(tmp_path / "1", region("ellipselabels", "car", **values)), flat)
    assert np.array_equal(of(tmp_path / "2", region("ellipselabels", "car", **values, rotation=90)), upright)


def test_brushes_and_bitmaps(tmp_path: Path) -> None:
    brush = region("brushlabels", "lake", format="rle", rle=encode(HOLED))
    assert np.array_equal(of(tmp_path / "1", brush), HOLED)
    clear = np.dstack([np.zeros((HIGH, WIDE, 3), np.uint8), HOLED * np.uint8(40)])
    assert np.array_equal(of(tmp_path / "2", region("bitmasklabels", "lake", imageDataURL=png(clear))), HOLED)
    grey = HOLED * np.uint8(255)
    assert np.array_equal(of(tmp_path / "3", region("bitmasklabels", "lake", imageDataURL=png(grey))), HOLED)


def test_labels_and_regions_apart_share_an_id(tmp_path: Path) -> None:
    shape = region("polygon", number="x1", points=square(0, 0, 3, 3))
    named = region("labels", "tree", "bush", number="x1", points=square(0, 0, 3, 3))
    file = export(tmp_path, task(shape, named, region("polygonlabels", points=square(5, 5, 9, 9))))
    done = convert(file, tmp_path / "out")
    assert done.objects == 1 and done.classes.names == ("background", "tree")
    assert {note.partition(":")[0] for note in done.notes} == {
        "regions of several labels, of which the first is taken",
        "regions without a label, left out",
    }


def test_which_annotation_is_taken(tmp_path: Path) -> None:
    def made(name: str, **more: Any) -> dict[str, Any]:
        return {"result": [region("polygonlabels", name, points=square(0, 0, 9, 9))], **more}

    cancelled = made("wrong", was_cancelled=True, created_at="2026")
    old, new = made("old", created_at="2024-01-02T"), made("new", created_at="2024-01-03T")
    truth = made("truth", ground_truth=True, created_at="2020")
    for index, (given, wanted) in enumerate((([cancelled, old, new], "new"), ([truth, new], "truth"))):
        file = export(tmp_path, task(annotations=given), task(annotations=[cancelled]))
        done = convert(file, tmp_path / str(index), images=tmp_path / "photos")
        assert done.classes.names == ("background", wanted) and done.pictures == 1
        assert any(note.startswith("tasks that nobody annotated, left out: 1") for note in done.notes)
    old_key = task(completions=[old])
    del old_key["annotations"]
    assert convert(export(tmp_path, old_key), tmp_path / "3").classes.names[1] == "old"
    predicted = task(annotations=[], predictions=[made("guess"), 17])
    done = convert(export(tmp_path, predicted), tmp_path / "4")
    assert done.classes.names[1] == "guess" and "predictions are taken" in done.notes[0]


def test_json_min(tmp_path: Path) -> None:
    """As its converter writes it: the value itself under the name of its control."""
    value = {"points": square(0, 2, 8, 9), "polygonlabels": ["straße"], "original_width": WIDE, "original_height": HIGH}
    one = {"image": UPLOADED, "id": 5, "lab": [value], "annotator": 1, "annotation_id": 7, "created_at": "2026"}
    done = convert(export(tmp_path, one), tmp_path / "out", images=tmp_path / "photos")
    assert done.kind == "label-studio" and done.classes.names[1] == "straße"
    assert np.array_equal(read(tmp_path / "out")["a"], label(((0, 2, 8, 9), 1)))


def test_the_labelling_configuration_says_classes_and_colors(tmp_path: Path) -> None:
    (tmp_path / "config.xml").write_text(
        '<View><Image name="img" value="$image"/><PolygonLabels name="lab" toName="img">'
        '<Label value="sky" background="#0102ff"/><Label value="road"/></PolygonLabels></View>'
    )
    file = export(tmp_path, task(region("polygonlabels", "road", points=square(0, 0, 9, 9))))
    done = convert(tmp_path, tmp_path / "out")
    assert done.classes.names == ("background", "sky", "road") and done.classes.colors[1] == (1, 2, 255)
    assert file.exists()


FAULTS: list[tuple[Any, str]] = [
    (task(region("brushlabels", "a", rle=[1, 2])), r"task 5: result 0 \(a\): its run lengths are damaged \(cut off\)"),
    (task(region("brushlabels", "a", rle=encode(HOLED[:5]))), "280 values, but a picture of 10x14 has 560"),
    (task(region("bitmasklabels", "a", imageDataURL=png(HOLED[:5]))), "its bitmap is 5x14, expected 10x14"),
    (task(region("bitmasklabels", "a", imageDataURL="data:image/png;base64,%")), "its bitmap is damaged"),
    (task(region("polygonlabels", "a", points=[[1, 2], [3]])), "x and y by turns"),
    (task(region("rectanglelabels", "a", x=1, y="2", width=3, height=4)), "x, y, width, height are .*expected numbers"),
    (task({**region("polygonlabels", "a", points=square(0, 0, 3, 3)), "image_rotation": 90}), "turned by 90 degrees"),
    (task({**region("polygonlabels", "a", points=square(0, 0, 3, 3)), "original_width": 9}), "a picture of 10x9, but"),
    (task({"type": "polygonlabels", "value": {"points": square(0, 0, 3, 3), "polygonlabels": ["a"]}}), "are missing"),
    (task(data={"text": "hello"}), "task 5: its data names no picture"),
    (task(data={"x": "a.png", "y": "b.png"}), r"several pictures \(x, y\): keep one, called image"),
    (task(image="/data/upload/3/0a1b2c3d-b.png"), "its picture .*b.png is missing: no file of that name lies below"),
    (task(annotations=[{"result": 3}]), "its result is 3, expected a list"),
]


@pytest.mark.parametrize(("wrong", "message"), FAULTS)
def test_faults(wrong: Any, message: str, tmp_path: Path) -> None:
    good = task(region("polygonlabels", "a", points=square(0, 0, 3, 3)), image="c.png", id=1)
    picture(tmp_path / "photos/c.png")
    with pytest.raises(DatasetError, match=message) as caught:
        convert(export(tmp_path, good, wrong), tmp_path / "out")
    assert "project-3.json" in str(caught.value) and not (tmp_path / "out").exists()
    assert convert(tmp_path / "project-3.json", tmp_path / "out", skip_bad=True).pictures == 1
