"""COCO, labelme and YOLO as they lie on the disks of people: moved, from Windows, from servers, with parts missing."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tarsia.annotations.finding import Pictures, elsewhere, path_of
from tarsia.annotations.forms import all_forms
from tarsia.annotations.look import Look
from tarsia.converting import convert
from tarsia.errors import DatasetError, RecipeError
from test_converting import box, corners, encoded, label, labelme_tree, picture, read, shape, share, write_json

ON_GRASS = label(((1, 2, 6, 9), 1))


def coco(root: Path, *names: str, **more: Any) -> Path:
    """A box in each of the pictures that are named so."""
    images = [{"id": index, "file_name": name, "height": 10.0, "width": 14} for index, name in enumerate(names)]
    found = [{"id": i, "image_id": i, "category_id": 1, "segmentation": [box(1, 2, 6, 9)]} for i in range(len(names))]
    tree = {"images": images, "annotations": found, "categories": [{"id": 1, "name": "cow"}]}
    return write_json(root / "instances.json", tree | more)


@pytest.mark.parametrize(
    "name",
    [
        "..\\..\\label-studio\\media\\upload\\4\\cb0618f6-a.png",
        "http://localhost:8080/data/upload/4/cb0618f6-a.png",
        "/data/local-files/?d=photos/cb0618f6-a.png",
        "s3://bucket/x/a.png",
        "C:\\Users\\me\\pics\\a.png",
        "/home/me/pics/A.PNG",
        "file:///home/me/a.png",
    ],
)
def test_pictures_named_as_elsewhere(name: str, tmp_path: Path) -> None:
    picture(tmp_path / "photos/sub/a.png")
    assert elsewhere(name)
    convert(coco(tmp_path, name), tmp_path / "out", images=tmp_path / "photos")
    assert np.array_equal(read(tmp_path / "out")["sub/a"], ON_GRASS)


def test_the_picture_with_most_folders_in_common(tmp_path: Path) -> None:
    for place in ("train/s1/a.png", "val/s1/a.png", "val/s2/straße.png"):
        picture(tmp_path / place)
    found = Pictures([tmp_path])
    assert found.find("D:\\set\\val\\s1\\a.png", "x").relative == "val/s1/a.png"
    assert found.find("http://x/val/s1/a.png?token=1", "x").relative == "val/s1/a.png"
    assert found.find("http://x/stra%C3%9Fe.png", "x").relative == "val/s2/straße.png"
    assert found.find("stra\u00dfe", "x", stem=True).relative == "val/s2/straße.png"
    with pytest.raises(DatasetError, match=r"x: its picture /a\.png may be .*a\.png and .*a\.png: say with `images`"):
        found.find("/a.png", "x")
    assert path_of("C:\\a\\b.png") == "C:/a/b.png"


def test_a_relative_picture_that_is_missing_is_not_looked_for_elsewhere(tmp_path: Path) -> None:
    """val/a.png is another picture than train/a.png."""
    for name in ("train/b.png", "val/a.png"):
        picture(tmp_path / name)
    with pytest.raises(DatasetError, match=r"image 1: its picture .*train/a.png is missing"):
        convert(coco(tmp_path, "train/b.png", "train/a.png"), tmp_path / "out")


def test_ids_that_are_text_and_colors_of_categories(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    category = {"id": "kuh", "name": "Kuh", "color": [1, 200, 3]}
    entry = {"id": "x", "image_id": "0", "category_id": "kuh", "segmentation": [box(1, 2, 6, 9)], "iscrowd": 0}
    file = coco(tmp_path, "a.png", annotations=[entry], categories=[{"id": 7, "name": "hen"}, category])
    done = convert(file, tmp_path / "out")
    assert done.classes.names == ("background", "hen", "Kuh") and done.classes.colors[2] == (1, 200, 3)
    assert np.array_equal(read(tmp_path / "out")["a"], 2 * ON_GRASS)


# ---- labelme


def test_labelme_paints_in_the_order_of_its_list(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    shapes = [shape("cow", corners(2, 2, 4, 4)), shape("grass", corners(0, 0, 9, 9))]
    write_json(tmp_path / "a.json", labelme_tree(*shapes))
    convert(tmp_path, tmp_path / "out")
    assert np.array_equal(read(tmp_path / "out")["a"], label(((0, 0, 9, 9), 2)))


@pytest.mark.parametrize("corner", [(2.5, 3.5, 6.2, 7.9), (-2, 8, 1, 12), (12.5, 0, 15.0, 2)])
def test_labelme_masks_with_fractions_and_over_the_edge(corner: tuple[float, ...], tmp_path: Path) -> None:
    """Origin: the nearest pixel, of two the even one; with whole corners the extent is theirs."""
    picture(tmp_path / "a.png")
    mask = np.random.default_rng(1).random((5, 4)) < 0.6
    one = shape("x", [list(corner[:2]), list(corner[2:])], "mask", mask=encoded(mask))
    write_json(tmp_path / "a.json", labelme_tree(one))
    convert(tmp_path, tmp_path / "out")
    left, top = round(corner[0]), round(corner[1])
    canvas = np.zeros((40, 40), np.uint8)
    canvas[top + 9 : top + 14, left + 9 : left + 13] = mask
    assert np.array_equal(read(tmp_path / "out")["a"], canvas[9:19, 9:23])


def test_a_labelme_file_holds_its_picture_and_is_in_gbk(tmp_path: Path) -> None:
    content = picture(tmp_path / "elsewhere/b.jpg").read_bytes()
    tree = labelme_tree(shape("道", corners(1, 2, 6, 9)), path="图.bmp") | {
        "imageData": base64.b64encode(content).decode()
    }
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.json").write_bytes(json.dumps(tree, ensure_ascii=False).encode("gbk"))
    done = convert(tmp_path / "set", tmp_path / "out")
    assert done.classes.names == ("background", "道") and (tmp_path / "out/images/图.jpg").read_bytes() == content
    assert [note.partition(":")[0] for note in done.notes] == [
        "JSON files in GBK, read as such",
        "pictures taken from within their JSON (imageData), for their files are missing",
    ]
    tree["imageData"] = "%%%"
    write_json(tmp_path / "set/a.json", tree)
    with pytest.raises(DatasetError, match=r"a.json: its imageData is damaged .*add the picture's file"):
        convert(tmp_path / "set", tmp_path / "2")


def test_the_order_of_classes_from_a_list_beside(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    write_json(tmp_path / "a.json", labelme_tree(shape("cow", corners(1, 2, 6, 9))))
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\nhen\ncow\n")
    assert convert(tmp_path, tmp_path / "out").classes.names == ("background", "hen", "cow")
    (tmp_path / "labels.txt").write_text("hen\n")
    assert convert(tmp_path, tmp_path / "2").classes.names == ("background", "cow"), "of something else"


# ---- YOLO


def yolo(root: Path, line: str = f"0 {share(*box(1, 2, 6, 9))}", **files: str) -> Path:
    for name in ("train/a", "valid/b"):
        picture(root / f"images/{name}.png")
        text = root / f"labels/{name}.txt"
        text.parent.mkdir(parents=True)
        text.write_text(line)
    for name, content in files.items():
        (root / name.replace("_", ".")).write_text(content)
    return root


@pytest.mark.parametrize(
    "lines",
    [("images/train/a.png", "images/valid/b.png"), ("data/images/train/a.png", "./images/valid/b.png")]
    + [("C:\\x\\images\\train\\a.png", "/home/me/set/images/valid/b.png\n")],
)
def test_yolo_lists_of_pictures(lines: tuple[str, str], tmp_path: Path) -> None:
    root = yolo(tmp_path / "set", data_yaml="path: ./\ntrain: train.txt\nval: val.txt\nnames: {0: cow}\n")
    for name, line in zip(("train", "val"), lines, strict=True):
        (root / f"{name}.txt").write_text(line)
    convert(root, tmp_path / "out")
    assert np.array_equal(read(tmp_path / "out", "train")["a"], ON_GRASS) and "b" in read(tmp_path / "out", "val")
    (root / "val.txt").write_text("images/valid/c.png")
    with pytest.raises(DatasetError, match=r"val.txt:1: there is no images/valid/c.png below .*set: add it"):
        convert(root, tmp_path / "2")


def test_yolo_without_its_test_folder_and_with_tracks(tmp_path: Path) -> None:
    yaml = "train: ../images/train\nval: ../images/valid\ntest: ../test/images\nnc: 1\nnames: ['cow']\n"
    root = yolo(tmp_path / "set", f"0 {share(*box(1, 2, 6, 9))} 17", data_yaml=yaml)
    done = convert(root, tmp_path / "out")
    assert done.notes == (
        "splits that data.yaml names and that are not there, left out: 1 (first: test: ../test/images)",
    )
    assert np.array_equal(read(tmp_path / "out", "val")["b"], ON_GRASS)


def test_yolo_of_label_studio(tmp_path: Path) -> None:
    """classes.txt is not in the order of the numbers; notes.json has them."""
    root = yolo(tmp_path / "set", f"1 {share(*box(1, 2, 6, 9))}", classes_txt="cow\nhen\n")
    notes = {"categories": [{"id": 1, "name": "cow"}, {"id": 0, "name": "hen"}]}
    write_json(root / "notes.json", notes | {"info": {"version": "1.0", "contributor": "Label Studio"}})
    done = convert(root, tmp_path / "out")
    assert (done.kind, done.classes.names) == ("yolo", ("background", "hen", "cow"))
    assert np.array_equal(read(tmp_path / "out")["images/train/a"], 2 * ON_GRASS)


# ---- what there is


def test_a_look_into_a_file(tmp_path: Path) -> None:
    file = write_json(tmp_path / "a.json", '\n {"a": {"size": 1, "b": [{"c": "}{"}]}, "d": [1, {"e": 2}]')
    keys = {"a", "a.size", "*.size", "a.b", "a.b[]", "*.b", "a.b[].c", "d", "d[]", "d[].e"}
    assert Look(file).keys == Look(file).more == keys
    whole = write_json(tmp_path / "b.json", json.dumps({"imageData": "x" * 70_000, "shapes": [{"label": "a"}]}))
    assert "shapes[]" not in Look(whole).keys and "shapes[].label" in Look(whole).more
    assert Look(whole).contains(b'"shapes"') and not Look(whole).contains(b"segments")


def test_every_form_has_a_name_of_its_own_and_says_what_it_holds() -> None:
    forms = all_forms()
    assert {"coco", "labelme", "masks", "yolo"} <= forms.keys()
    assert all(form.holds and form.title for form in forms.values())


def test_settings_that_a_form_has_no_use_for(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    file = coco(tmp_path, "a.png")
    with pytest.raises(
        RecipeError, match=r"`class_from` is for objects with several attributes or columns: .* is coco"
    ):
        convert(file, tmp_path / "out", class_from="kind")
    with pytest.raises(RecipeError, match="`run_order` is for run lengths in tables"):
        convert(file, tmp_path / "out", run_order="rows")


def test_pictures_alone_are_no_masks(tmp_path: Path) -> None:
    picture(tmp_path / "set/a.jpg")
    with pytest.raises(DatasetError, match=r"set: holds 1 picture \(a.jpg\) and no annotations"):
        convert(tmp_path / "set", tmp_path / "out")
