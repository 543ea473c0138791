"""Faults in what is converted: all told at once, left out only when asked, counted; and regions marked iscrowd."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tarsia import data
from tarsia.annotations.faults import Faults
from tarsia.converting import convert
from tarsia.errors import DatasetError, RecipeError
from test_converting import SCENE, box, corners, labelme_tree, picture, read, runs, shape, tarsia, write_json

assert tarsia  # a fixture
Tarsia = Callable[..., tuple[int, str, str]]
HOLED = np.zeros((10, 14), int)
HOLED[1:9, 1:9] = 1
HOLED[3:6, 3:6] = 0


def holed(crowd: Any = 1) -> dict[str, Any]:
    """A region with a hole, as supervision, datumaro and CVAT write it."""
    counts = runs(HOLED.T.ravel().tolist())
    return {"category_id": 1, "segmentation": {"size": [10, 14], "counts": counts}, "iscrowd": crowd}


def plain(category: int = 1, **more: Any) -> dict[str, Any]:
    return {"category_id": category, "segmentation": [box(10, 2, 12, 6)], "iscrowd": 0, **more}


def coco(root: Path, *of_pictures: list[dict[str, Any]], names: tuple[str, ...] = ("lake", "house")) -> Path:
    """A picture for each list of annotations: a.png, b.png ..."""
    images, annotations = [], []
    for index, entries in enumerate(of_pictures):
        name = f"{chr(97 + index)}.png"
        picture(root / name)
        images.append({"id": index, "file_name": name, "height": 10, "width": 14})
        annotations += [{"image_id": index, **entry} for entry in entries]
    tree = {
        "images": images,
        "annotations": [{"id": index, **entry} for index, entry in enumerate(annotations)],
        "categories": [{"id": index, "name": name} for index, name in enumerate(names, 1)],
    }
    return write_json(root / "instances.json", tree)


# ---- iscrowd


@pytest.mark.parametrize("mark", [1, True, "1", "true", 1.0])
def test_a_class_of_which_every_region_is_crowd_is_of_objects(mark: Any, tmp_path: Path) -> None:
    mark = int(mark) if mark == 1.0 and isinstance(mark, float) else mark
    file = coco(tmp_path / "set", [holed(mark), plain(2)], [holed(mark)])
    done = convert(file, tmp_path / "out")
    assert np.array_equal(read(tmp_path / "out")["b"], HOLED)
    first = f"(first: {file}: annotation 0)"
    what = "regions of lake marked iscrowd, as all of its regions are, taken as objects (crowd='ignore' makes them 255)"
    assert f"{what}: 2 {first}" in done.notes and done.pixels[-1] == 0
    done = convert(file, tmp_path / "ignored", crowd="ignore")
    assert (
        done.pixels[-1] == 2 * HOLED.sum()
        and f"regions of lake marked iscrowd, as all of its regions are, ignored, 255: 2 {first}" in done.notes
    )


@pytest.mark.parametrize("crowd", [holed(), {**plain(), "iscrowd": 1}], ids=["run lengths", "polygon"])
def test_a_class_of_both_kinds_is_for_a_person_to_decide(crowd: dict[str, Any], tmp_path: Path, tarsia: Tarsia) -> None:
    """Both commands are printed, for a shell, and both work."""
    coco(tmp_path / "my set", [crowd], [plain(), {**plain(), "iscrowd": "0"}, plain(2)])
    code, out, err = tarsia("convert", "my set", "--to", "o ut", "--copy")
    assert code == 2 and not out and "(lake 1 of 3; first: my set/instances.json: annotation 0)" in err
    commands = [shlex.split(part)[1:] for part in err.split("`")[1::2]]
    assert [command[-2:] for command in commands] == [["--crowd", "ignore"], ["--crowd", "objects"]]
    assert commands[0][:-2] == ["convert", "my set", "--to", "o ut", "--copy"]
    for command, label in zip(commands, (255, 1), strict=True):
        assert tarsia(*command, "--overwrite")[0] == 0
        found = read(tmp_path / "o ut")["a"]
        region = np.zeros((10, 14), int)
        region[2:6, 10:12] = 1
        assert np.array_equal(found, label * (HOLED if crowd == holed() else region))


def test_splits_are_counted_together(tmp_path: Path) -> None:
    """A class may be of crowds alone in one file and of objects alone in the other."""
    for split, regions in (("train", [holed()]), ("val", [plain()])):
        file = coco(tmp_path / "set" / split, regions)
        file.rename(file.with_name("_coco.json"))
    with pytest.raises(DatasetError, match=r"lake 1 of 2"):
        convert(tmp_path / "set", tmp_path / "out")
    convert(tmp_path / "set", tmp_path / "out", crowd="objects")
    assert np.array_equal(read(tmp_path / "out", "train")["a"], HOLED)


def test_marks_and_options_that_are_none(tmp_path: Path) -> None:
    file = coco(tmp_path / "set", [holed("maybe")])
    with pytest.raises(DatasetError, match="annotation 0: its iscrowd is 'maybe', expected 0 or 1"):
        convert(file, tmp_path / "out")
    with pytest.raises(RecipeError, match=r"crowd='object', did you mean objects\?"):
        convert(coco(tmp_path / "set", [holed()]), tmp_path / "out", crowd="object")
    picture(tmp_path / "l/a.png")
    write_json(tmp_path / "l/a.json", labelme_tree(shape("road", corners(0, 4, 14, 10))))
    with pytest.raises(RecipeError, match="`crowd` is for COCO"):
        convert(tmp_path / "l", tmp_path / "out", crowd="ignore")


# ---- all faults at once


def several(root: Path, kind: str) -> tuple[dict[str, Any], list[str], set[str], int]:
    """A source with faults: options, what must be told of each, the sound pictures, and the number of bad ones."""
    if kind == "coco":
        bad = [plain(segmentation=[]), plain(9), plain(), plain(segmentation=[[1, 2, 3]])]
        file = coco(root, [plain(), holed(0)], bad, [plain(2)], [plain()], [plain()], [plain()])
        tree = json.loads(file.read_text())
        tree["images"][2]["height"] = 11
        tree["images"][3]["file_name"] = "gone.png"
        tree["annotations"].append({"id": 99, "image_id": 77, "category_id": 1, "segmentation": [box(1, 1, 2, 2)]})
        write_json(file, tree)
        (root / "e.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        told = ["annotation 2: has no segmentation", "annotation 3: its category is 9", "annotation 5: its points are"]
        told += ["image 2: is for a picture of 11x14", "image 3: its picture .*gone.png is missing", "e.png: .*damaged"]
        return {}, [*told, "annotation 99 is of image 77"], {"a", "f"}, 4
    if kind == "labelme":
        for name in "abcdef":
            picture(root / f"{name}.png")
            good = shape("road", corners(0, 4, 14, 10))
            bad = [shape("road", [[1, 1]], "circle"), shape(5, corners(1, 1, 3, 3))] if name == "b" else []
            write_json(root / f"{name}.json", labelme_tree(good, *bad, path=f"{name}.png"))
        (root / "c.json").write_text('{"shapes": [')
        (root / "d.json").write_bytes(b'{"shapes": [], "imagePath": "\xff.png"}')
        write_json(root / "classes.json", {"road": 1})
        write_json(root / "list.json", [1, 2])
        write_json(root / "e.json", labelme_tree(path="nowhere.png"))
        told = ["b.json: shape 1 .*a circle of 1 points", "b.json: shape 2 has the label 5", "c.json: damaged"]
        return (
            {},
            [*told, "d.json: no UTF-8 .*iconv -f GBK", "e.json: its picture .*nowhere.png is missing"],
            {"a", "f"},
            4,
        )
    if kind == "yolo":
        for name in "abcd":
            picture(root / f"images/{name}.png")
        (root / "labels").mkdir()
        polygon = "0 0.1 0.1 0.6 0.1 0.6 0.7\n"
        texts = {
            "a": polygon,
            "b": polygon + "1 0.5 0.5 0.2 0.2\n7 0.1 0.1 0.6 0.1 0.6 0.7\n",
            "c": "0 0.1 x 0.2 0.3 0.3 0.3\n",
        }
        for name, text in (texts | {"d": polygon, "z": ""}).items():
            (root / f"labels/{name}.txt").write_text(text)
        (root / "labels/d.txt").write_bytes(b"\xff\xfe0")
        (root / "data.yaml").write_text("train: images\nnames: [road, car]\n")
        told = ["b.txt:2: a box", "b.txt:3: class 7", "c.txt:1: could not convert", "d.txt: cannot be read"]
        return {}, [*told, "z.txt: a label file without a picture"], {"a"}, 3
    for name in "abcdef":
        picture(root / f"photos/{name}.png")
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray(SCENE).save(root / f"masks/{name}.png")
    picture(root / "photos/e.jpg")
    Image.fromarray(SCENE[:5]).save(root / "masks/b.png")
    Image.fromarray(np.arange(140, dtype=np.uint8).reshape(10, 14)).save(root / "masks/c.png")
    (root / "masks/d.png").unlink()
    Image.fromarray(SCENE).save(root / "masks/d.jpg")
    Image.fromarray(SCENE).save(root / "masks/z.png")
    told = ["b.png: is for a picture of 5x14", "c.png: 140 different colours", "d.jpg: .*does not keep label values"]
    return (
        {"images": root / "photos"},
        [*told, "e.jpg and .*e.png: two files", "z.png: this mask has no picture"],
        {"a", "f"},
        5,
    )


@pytest.mark.parametrize("kind", ["coco", "labelme", "yolo", "masks"])
def test_all_faults_are_told_at_once_and_the_rest_is_converted(kind: str, tmp_path: Path) -> None:
    options, told, sound, bad = several(tmp_path / "set", kind)
    source = tmp_path / "set/masks" if kind == "masks" else tmp_path / "set"
    with pytest.raises(DatasetError) as caught:
        convert(source, tmp_path / "out", **options)
    lines = str(caught.value).split("\n")
    assert lines[0].endswith("nothing was written:")
    for what in told:
        assert any(re.search(what, line) for line in lines), (what, lines)
    assert not (tmp_path / "out").exists() and "`skip_bad=True`" in lines[-1]
    done = convert(source, tmp_path / "out", skip_bad=True, **options)
    found = read(tmp_path / "out")
    assert found.keys() == sound and done.pictures == len(sound) and done.skipped == bad and done.exit_code == 1
    written = (tmp_path / "out/skipped.txt").read_text().splitlines()
    assert written == list(dict.fromkeys(fault.what for fault in done.faults)) and len(written) == len(lines) - 2
    if kind == "labelme":
        assert any(note.startswith("JSON files that are not labelme's, left out: 2") for note in done.notes)
    assert convert(source, tmp_path / "out", skip_bad=True, overwrite=True, **options).faults == done.faults


def test_the_command_counts_what_it_left_out(tmp_path: Path, tarsia: Tarsia) -> None:
    several(tmp_path / "set", "coco")
    code, out, err = tarsia("convert", "set", "--to", "out")
    assert code == 2 and not out and err.startswith("tarsia: 7 faults of 4 pictures, nothing was written:\n- set/")
    code, out, err = tarsia("convert", "set", "--to", "out", "--skip-bad")
    assert (code, err) == (1, "")
    assert (
        "Left out: 4 of 6 pictures, for 7 faults (1 of no picture): out/skipped.txt\n2 pictures with 3 objects" in out
    )
    code, out, _ = tarsia("convert", "set", "--to", "two", "--skip-bad", "--json", "-q")
    facts = json.loads(out)
    assert code == 1 and facts["pictures"] == 2 and facts["skipped"] == 4 and len(facts["faults"]) == 7
    coco(tmp_path / "set", [plain()], [plain(2)])
    code, out, err = tarsia("convert", "set", "--to", "third", "--skip-bad")
    assert (code, err) == (0, "") and "Left out" not in out and not (tmp_path / "third/skipped.txt").exists()


def test_a_list_of_an_earlier_run_does_not_stay(tmp_path: Path) -> None:
    coco(tmp_path / "set", [plain()], [plain(segmentation=[])])
    convert(tmp_path / "set", tmp_path / "out", skip_bad=True)
    assert (tmp_path / "out/skipped.txt").is_file()
    coco(tmp_path / "set", [plain()])
    convert(tmp_path / "set", tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out/skipped.txt").exists()


def test_where_nothing_is_left_nothing_is_written(tmp_path: Path) -> None:
    coco(tmp_path / "set", [plain(segmentation=[])])
    with pytest.raises(DatasetError, match=r"(?s)2 faults of 1 picture.*nothing is left.*has no segmentation"):
        convert(tmp_path / "set", tmp_path / "out", skip_bad=True)
    assert not (tmp_path / "out").exists()


def test_a_damaged_split_is_one_fault_beside_the_others(tmp_path: Path) -> None:
    for split in ("train", "val"):
        coco(tmp_path / split, [plain(), plain(segmentation=[])]).rename(tmp_path / split / "_coco.json")
    (tmp_path / "val/_coco.json").write_text('{"images": [], "annotations": [')
    with pytest.raises(DatasetError, match=r"(?s)2 faults of 1 picture.*has no segmentation.*damaged, or no JSON"):
        convert(tmp_path, tmp_path / "out", kind="coco")


@pytest.mark.parametrize("damage", ["", "{", "none"])
def test_the_other_split_keeps_its_name_where_nothing_of_one_is_left(damage: str, tmp_path: Path) -> None:
    for split in ("train", "val"):
        bad = {} if split == "train" else {"segmentation": []}
        coco(tmp_path / split, [plain(**bad)], [plain(**bad)]).rename(tmp_path / split / "_coco.json")
    if damage != "none":
        (tmp_path / "val/_coco.json").write_text(damage)
        with pytest.raises(DatasetError, match=r"val/_coco.json: "):
            convert(tmp_path, tmp_path / "out")
    done = convert(tmp_path, tmp_path / "out", skip_bad=True)
    assert (done.pictures, done.exit_code) == (2, 1)
    assert "splits of which no picture is left: 1 (first: val)" in done.notes
    assert read(tmp_path / "out", "train").keys() == {"a", "b"}
    with pytest.raises(DatasetError, match="val"):
        data.open("folder", tmp_path / "out", "val")


def test_shares_where_pixels_are_expected_are_faults(tmp_path: Path) -> None:
    file = coco(tmp_path / "set", [plain()], [plain(segmentation=[[0.1, 0.1, 0.9, 0.1, 0.9, 0.8]])])
    with pytest.raises(DatasetError, match=r"all between 0 and 1, as shares .*: COCO's are pixels"):
        convert(file, tmp_path / "out")


def test_two_pictures_of_one_name_are_both_left_out(tmp_path: Path) -> None:
    file = coco(tmp_path / "set", [plain()], [plain()], [plain()])
    tree = json.loads(file.read_text())
    picture(tmp_path / "set/a.jpg")
    tree["images"][1]["file_name"] = "a.jpg"
    write_json(file, tree)
    with pytest.raises(DatasetError, match=r"a.png and .*a.jpg: two pictures \(or one twice\) of one name"):
        convert(file, tmp_path / "out")
    done = convert(file, tmp_path / "out", skip_bad=True)
    assert read(tmp_path / "out").keys() == {"c"} and done.skipped == 2


def test_a_picture_in_two_splits_is_left_out_of_both(tmp_path: Path, tarsia: Tarsia) -> None:
    """As `train` and `val` of coco8.yaml and its like, which name one folder; its fault is told once."""
    several(tmp_path / "set", "yolo")
    (tmp_path / "set/data.yaml").write_text("train: images\nval: images\nnames: [road, car]\n")
    code, out, _ = tarsia("convert", "set", "--to", "out", "--skip-bad")
    assert code == 1 and "Left out: 6 of 8 pictures, for 5 faults (1 of no picture): out/skipped.txt" in out
    assert read(tmp_path / "out", "train").keys() == read(tmp_path / "out", "val").keys() == {"a"}
    assert len((tmp_path / "out/skipped.txt").read_text().splitlines()) == 5
    for split in ("train", "val"):
        coco(tmp_path / "c", [plain()], [plain(segmentation=[])]).rename(tmp_path / f"c/instances_{split}.json")
    done = convert(tmp_path / "c", tmp_path / "two", skip_bad=True)
    assert (done.pictures, done.skipped, len(done.faults)) == (2, 2, 2)


def test_a_picture_listed_twice_counts_twice(tmp_path: Path) -> None:
    file = coco(tmp_path / "set", [plain()], [plain()], [plain()])
    tree = json.loads(file.read_text())
    tree["images"][1]["file_name"] = "a.png"
    done = convert(write_json(file, tree), tmp_path / "out", skip_bad=True)
    assert (done.pictures, done.skipped) == (1, 2)


@pytest.mark.parametrize("label", ["", "  ", "road\n", "\x1b[31mroad", 3, None])
def test_a_label_that_is_no_name_is_a_fault_of_its_file(label: Any, tmp_path: Path) -> None:
    for name, called in (("a", "road"), ("b", label)):
        picture(tmp_path / f"l/{name}.png")
        tree = labelme_tree(shape(called, corners(0, 4, 14, 10))) | {"imagePath": f"{name}.png"}
        write_json(tmp_path / f"l/{name}.json", tree)
    with pytest.raises(DatasetError, match=r"b.json: shape 0 has the label .*, expected a name"):
        convert(tmp_path / "l", tmp_path / "out")
    assert convert(tmp_path / "l", tmp_path / "out", skip_bad=True).classes.names == ("background", "road")


def test_key_points_of_yolo_are_no_outlines(tmp_path: Path) -> None:
    picture(tmp_path / "y/images/a.png")
    (tmp_path / "y/labels").mkdir()
    (tmp_path / "y/labels/a.txt").write_text("0 .5 .5 .2 .2 .1 .1 .3 .3\n")
    (tmp_path / "y/data.yaml").write_text("train: images\nnames: [cat]\nkpt_shape: [2, 2]\n")
    with pytest.raises(DatasetError, match=r"data.yaml: kpt_shape: .*boxes with key points, not polygons"):
        convert(tmp_path / "y", tmp_path / "out")


def test_a_message_holds_a_hundred_faults_and_counts_the_rest() -> None:
    faults = Faults()
    for index in range(250):
        faults.add(f"fault {index % 130}", f"picture {index % 130}")
    lines = str(faults.error()).split("\n")
    assert lines[0] == "130 faults of 130 pictures, nothing was written:" and len(lines) == 103
    assert lines[100:102] == ["- fault 99", "- and 30 more"]


# ---- one class


def test_one_class_alone_is_refused(tmp_path: Path) -> None:
    """Whatever is learned of it, mIoU is 1 by definition."""
    file = coco(tmp_path / "set", [plain()], names=("defect",))
    assert convert(file, tmp_path / "out").classes.names == ("background", "defect")
    for background in (None, "defect"):
        with pytest.raises(DatasetError, match=r"one class alone \(defect\).*leave out `background=None`"):
            convert(file, tmp_path / "two", background=background)
    Image.fromarray(np.zeros((10, 14), np.uint8)).save(_folder(tmp_path / "masks") / "a.png")
    with pytest.raises(DatasetError, match=r"one class alone \(class_0\)"):
        convert(tmp_path / "masks", tmp_path / "two", images=tmp_path / "set")
    Image.fromarray(np.full((10, 14), 255, np.uint8) * (SCENE > 0)).save(tmp_path / "masks/a.png")
    (tmp_path / "one.txt").write_text("0: (ignored)\n255: defect\n")
    with pytest.raises(DatasetError, match=r"one class alone \(defect\).*list it in `classes`"):
        convert(tmp_path / "masks", tmp_path / "two", images=tmp_path / "set", classes=tmp_path / "one.txt")
    assert not (tmp_path / "two").exists()
    (tmp_path / "one.txt").write_text("0: background\n255: defect\n")
    convert(tmp_path / "masks", tmp_path / "two", images=tmp_path / "set", classes=tmp_path / "one.txt")
    assert np.array_equal(read(tmp_path / "two")["a"], SCENE > 0)


def _folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


def test_a_background_that_no_pixel_has_is_said(tmp_path: Path) -> None:
    file = coco(tmp_path / "set", [plain(segmentation=[box(0, 0, 14, 10)])], names=("lake",))
    done = convert(file, tmp_path / "out")
    advice = "no pixel is background; `background=None` leaves that class out"
    assert any(note.startswith(advice) for note in done.notes), "one class would be left"


def test_a_class_for_the_rest_is_there_only_where_there_is_a_rest(tmp_path: Path) -> None:
    whole = [plain(segmentation=[box(0, 0, 14, 10)]), plain(2, segmentation=[box(2, 2, 4, 4)])]
    names = ("road", "car")
    done = convert(coco(tmp_path / "set", whole, whole, names=names), tmp_path / "out")
    assert done.classes.names == names and "everything is covered: no class for the rest: 1" in done.notes
    assert read(tmp_path / "out")["b"][3].tolist() == [0, 0, 1, 1] + [0] * 10
    for options in ({"background": "ground"}, {"background": "background"}):
        some = whole if options["background"] == "ground" else [whole[1]]
        done = convert(coco(tmp_path / "set", whole, some, names=names), tmp_path / "2", overwrite=True, **options)
        assert done.classes.names == (options["background"], *names), "asked for, or needed by the second picture"
        assert read(tmp_path / "2")["a"][3].tolist() == [1, 1, 2, 2] + [1] * 10


def test_names_that_look_the_same_are_said(tmp_path: Path) -> None:
    file = coco(tmp_path / "set", [plain(), plain(2)], names=("Red ", "red"))
    notes = convert(file, tmp_path / "out").notes
    assert "classes whose names differ by letter case or blanks alone: 1 (first: 'Red ' and 'red')" in notes


# ---- class lists


def masks_of(root: Path, values: list[int]) -> Path:
    picture(root / "photos/a.png")
    (root / "masks").mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(values, np.uint8)[SCENE]).save(root / "masks/a.png")
    return root / "masks"


@pytest.mark.parametrize(
    "text",
    [
        "Pixel Value, Class\n0, sky\n2, car\n5, bus\n9, road\n",
        "id,name\n9,road\n0,sky\n5,bus\n2,car\n",
        "5: bus\n9: road\n0: sky\n2: car\n",
    ],
)
def test_masks_by_the_numbers_of_a_list(text: str, tmp_path: Path) -> None:
    masks = masks_of(tmp_path, [5, 0, 9, 2])
    (tmp_path / "list.csv").write_text(text)
    done = convert(masks, tmp_path / "out", images=tmp_path / "photos", classes=tmp_path / "list.csv")
    assert done.classes.names == ("sky", "car", "bus", "road")
    assert np.array_equal(read(tmp_path / "out")["a"], np.array([2, 0, 3, 1])[SCENE])
    assert done.notes == (f"classes with the numbers that {tmp_path / 'list.csv'} gives them: 4 (first: 0 is sky)",)


def test_black_may_be_ignored(tmp_path: Path) -> None:
    colors = np.array([[9, 9, 9], [0, 0, 0], [8, 8, 9], [7, 7, 9]], np.uint8)
    masks = masks_of(tmp_path, [0, 0, 0, 0])
    Image.fromarray(colors[SCENE]).save(masks / "a.png")
    (tmp_path / "list.txt").write_text("road, 9, 9, 9\nvoid (ignored), 0, 0, 0\ncar, 8, 8, 9\nbus, 7, 7, 9\n")
    done = convert(masks, tmp_path / "out", images=tmp_path / "photos", classes=tmp_path / "list.txt")
    assert done.classes.names == ("road", "car", "bus") and done.notes == ()
    assert np.array_equal(read(tmp_path / "out")["a"], np.array([0, 255, 1, 2])[SCENE])


def test_names_alone_that_may_count_from_one(tmp_path: Path) -> None:
    """The masks hold 1 and 2, or 1 to 3: nothing tells whether the first line is 0."""
    (tmp_path / "list.txt").write_text("red\ngreen\nblue\n")
    options = {"images": tmp_path / "photos", "classes": tmp_path / "list.txt"}
    masks = masks_of(tmp_path, [1, 1, 2, 2])
    with pytest.raises(DatasetError, match=r"hold 1 to 2 and never 0, .*is red 0 and in no mask, or is it 1 and blue"):
        convert(masks, tmp_path / "out", **options)
    masks = masks_of(tmp_path, [1, 2, 3, 3])
    with pytest.raises(
        DatasetError, match=r"label value 3 .*if red is 1 in the masks, write the numbers too, as `1: red`"
    ):
        convert(masks, tmp_path / "out", **options)
    (tmp_path / "list.txt").write_text("1: red\n2: green\n3: blue\n")
    convert(masks, tmp_path / "out", **options)
    assert np.array_equal(read(tmp_path / "out")["a"], np.array([0, 1, 2, 2])[SCENE])


def test_lists_with_numbers_for_yolo_and_labelme(tmp_path: Path) -> None:
    picture(tmp_path / "y/a.png")
    (tmp_path / "y/a.txt").write_text("5 0 0 0.5 0 0.5 1 0 1\n2 0.5 0 1 0 1 1 0.5 1\n")
    (tmp_path / "list.txt").write_text("2: void (ignored)\n5: car\n3: road\n")
    done = convert(tmp_path / "y", tmp_path / "out", kind="yolo", classes=tmp_path / "list.txt")
    assert done.classes.names == ("road", "car"), "everything is covered"
    assert read(tmp_path / "out")["a"][0].tolist() == [1] * 7 + [255] * 7
    picture(tmp_path / "l/a.png")
    shapes = [shape("car", corners(0, 0, 7, 10)), shape("void", corners(7, 0, 14, 10))]
    write_json(tmp_path / "l/a.json", labelme_tree(*shapes))
    done = convert(tmp_path / "l", tmp_path / "two", classes=tmp_path / "list.txt")
    assert done.classes.names == ("road", "car"), "everything is covered"
    assert read(tmp_path / "two")["a"][0].tolist() == [1] * 7 + [255] * 7


def test_one_odd_mask_does_not_hide_the_suffix_of_the_others(tmp_path: Path) -> None:
    masks = masks_of(tmp_path, [0, 1, 2, 3])
    for name in ("b", "c"):
        picture(tmp_path / f"photos/{name}.png")
        Image.fromarray(SCENE).save(masks / f"{name}_mask.png")
    (masks / "a.png").rename(masks / "a_mask.png")
    Image.fromarray(SCENE).save(masks / "x.png")
    Image.fromarray(SCENE).save(masks / "b.png")
    done = convert(masks, tmp_path / "out", images=tmp_path / "photos", skip_bad=True)
    assert read(tmp_path / "out").keys() == {"a", "b", "c"} and len(done.faults) == 2 and done.skipped == 0
    assert len(data.open("folder", tmp_path / "out", "all")) == 3
