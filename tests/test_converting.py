"""Annotations of every kind -> what `folder` reads: each scene is written as a program would, and known beforehand."""

from __future__ import annotations

import base64
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image, ImageOps

from tarsia import cli, console, converting, data
from tarsia.annotations import source as annotation_source
from tarsia.converting import Conversion, convert
from tarsia.errors import DatasetError, ImageError, OutputError, RecipeError, TarsiaError

SIZE = (10, 14)  # of every picture; (height, width)


def picture(path: Path, size: tuple[int, int] = SIZE, orientation: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path, exif=exif)
    return path


def box(left: float, top: float, right: float, bottom: float) -> list[float]:
    """A rectangle as a polygon, x and y by turns."""
    return [left, top, right, top, right, bottom, left, bottom]


def label(*painted: tuple[tuple[int, int, int, int], int], fill: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Rectangles (left, top, right, bottom) painted one after the other."""
    label_HW = np.full(size, fill, np.uint8)
    for (left, top, right, bottom), value in painted:
        label_HW[top:bottom, left:right] = value
    return label_HW


def read(folder: Path, split: str = "all") -> dict[str, np.ndarray]:
    samples = data.open("folder", folder, split)
    return {sample.name: sample.label for sample in (samples[index] for index in range(len(samples)))}


def same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> bool:
    return found.keys() == wanted.keys() and all(np.array_equal(found[name], wanted[name]) for name in wanted)


def write_json(path: Path, tree: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tree if isinstance(tree, str) else json.dumps(tree))
    return path


# ---- COCO


def coco_tree() -> dict[str, Any]:
    """Two pictures; the car lies on the road although it comes first, and a crowd is ignored."""
    crowd = [0] * 140
    for column in (12, 13):
        for row in (0, 1):
            crowd[column * 10 + row] = 1
    entries = [
        {"id": 1, "image_id": 7, "category_id": 9, "segmentation": [box(4, 4, 6, 6)], "iscrowd": 0},
        {"id": 2, "image_id": 7, "category_id": 3, "segmentation": [box(0, 2, 8, 9), box(7, 3, 10, 5)], "iscrowd": 0},
        {"id": 3, "image_id": 7, "category_id": 9, "segmentation": {"size": [10, 14], "counts": runs(crowd)}},
    ]
    entries[2]["iscrowd"] = 1
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "height": 10, "width": 14},
            {"id": 8, "file_name": "sub/b.png", "height": 10, "width": 14},
        ],
        "annotations": entries,
        "categories": [{"id": 9, "name": "car"}, {"id": 3, "name": "road"}],
    }


def runs(bits: list[int]) -> list[int]:
    counts, value = [0], 0
    for bit in bits:
        if bit != value:
            counts.append(0)
            value = bit
        counts[-1] += 1
    return counts


ROAD_AND_CAR = label(((0, 2, 8, 9), 1), ((7, 3, 10, 5), 1), ((4, 4, 6, 6), 2), ((12, 0, 14, 2), 255))


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    picture(tmp_path / "photos/a.png")
    picture(tmp_path / "photos/sub/b.png")
    return write_json(tmp_path / "annotations.json", coco_tree())


def test_coco(coco: Path, tmp_path: Path) -> None:
    done = convert(coco, tmp_path / "out", images=tmp_path / "photos", crowd="ignore")
    assert same(read(tmp_path / "out"), {"a": ROAD_AND_CAR, "sub/b": label()})
    assert done.classes.names == ("background", "road", "car"), "in the order of the categories' ids"
    assert data.open("folder", tmp_path / "out", "all").classes == done.classes
    counts = np.bincount(ROAD_AND_CAR.ravel(), minlength=256)
    assert done.pixels == (counts[0] + 140, counts[1], counts[2], 4) and done.objects == 3 and done.kind == "coco"
    first = f"(first: {coco}: annotation 3)"
    assert done.notes == (
        f"regions of car marked iscrowd, ignored, 255: 1 {first}",
        "pictures without objects, all background: 1 (first: sub/b)",
    )
    assert len(data.open("folder", tmp_path / "out", "train")) == len(data.open("folder", tmp_path / "out", "val")) == 1
    file = tmp_path / "out/images/sub/b.png"
    assert file.is_symlink() and not Path(file.readlink()).is_absolute()
    assert file.resolve() == (tmp_path / "photos/sub/b.png").resolve()


def test_coco_compressed_run_lengths(coco: Path, tmp_path: Path) -> None:
    """The crowd above, as pycocotools 2.0.11 writes it."""
    tree = coco_tree()
    tree["annotations"][2]["segmentation"]["counts"] = "h32800"
    write_json(coco, tree)
    convert(coco, tmp_path / "out", images=tmp_path / "photos", crowd="ignore")
    assert np.array_equal(read(tmp_path / "out")["a"], ROAD_AND_CAR)


def test_pictures_may_be_copied_and_the_folder_moved(coco: Path, tmp_path: Path) -> None:
    convert(coco, tmp_path / "out", images=tmp_path / "photos", copy=True, crowd="ignore")
    (tmp_path / "out").rename(tmp_path / "moved")
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    assert not (tmp_path / "moved/images/a.png").is_symlink()
    assert np.array_equal(read(tmp_path / "moved")["a"], ROAD_AND_CAR)


@pytest.mark.parametrize("place", [".", "images", "annotations", "photos/.."])
def test_coco_pictures_are_found_near_their_file(place: str, tmp_path: Path) -> None:
    root = tmp_path / {"annotations": "val2017"}.get(place, place)
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "sub/b.png"):
        picture(root / name)
    folder = tmp_path / place if place == "annotations" else tmp_path
    convert(write_json(folder / "instances_val2017.json", coco_tree()), tmp_path / "out", crowd="ignore")
    assert np.array_equal(read(tmp_path / "out")["a"], ROAD_AND_CAR)


@pytest.mark.parametrize("names", [("instances_train2017", "instances_val2017"), ("train/_coco", "valid/_coco")])
def test_coco_files_together_are_splits(names: tuple[str, str], tmp_path: Path) -> None:
    splits = [name.partition("/")[0].removeprefix("instances_") for name in names]
    for name, split in zip(names, splits, strict=True):
        picture(tmp_path / split / "a.png")
        picture(tmp_path / split / "sub/b.png")
        place = name if "/" in name else f"annotations/{name}"
        write_json(tmp_path / f"{place}.json", coco_tree())
    write_json(tmp_path / "annotations/captions_val2017.json", {"images": [], "annotations": []}) if (
        splits[1] == "val2017"
    ) else None
    convert(tmp_path, tmp_path / "out", crowd="ignore")
    for split in splits:
        assert same(read(tmp_path / "out", split), {"a": ROAD_AND_CAR, "sub/b": label()})


def test_coco_files_of_other_categories_are_no_splits(coco: Path, tmp_path: Path) -> None:
    other = coco_tree() | {"categories": [{"id": 9, "name": "bus"}, {"id": 3, "name": "road"}]}
    write_json(tmp_path / "photos/other.json", other)
    with pytest.raises(DatasetError, match="categories are not those of"):
        convert(tmp_path, tmp_path / "out", images=tmp_path / "photos", crowd="ignore")


@pytest.mark.parametrize(("background", "fill"), [("car", 0), ("ground", 0), (None, 255)])
def test_what_no_polygon_covers(background: str | None, fill: int, coco: Path, tmp_path: Path) -> None:
    done = convert(coco, tmp_path / "out", images=tmp_path / "photos", background=background, crowd="ignore")
    names = {"car": ("car", "road"), "ground": ("ground", "road", "car"), None: ("road", "car")}[background]
    assert done.classes.names == names
    found = read(tmp_path / "out")["a"]
    of = {0: fill, 1: names.index("road"), 2: names.index("car"), 255: 255}
    assert np.array_equal(found, np.vectorize(of.get)(ROAD_AND_CAR))


COCO_FAULTS: list[tuple[tuple[str | int, ...], Any, str]] = [
    ((), "{", "no JSON"),
    ((), "[]", "holds a list"),
    ((), '{"images": [' * 3000, "no JSON"),
    (("images",), [], "lists no images"),
    (("images",), None, "its images are None"),
    (("annotations",), [3], r"one of its annotations is 3"),
    (("categories",), [], "1 classes|0 classes"),
    (("images", 0, "id"), 7.5, "has the id 7.5"),
    (("images", 1, "id"), 7, "id 7 stands twice among its images"),
    (("categories", 1, "id"), 9, "id 9 stands twice among its categories"),
    (("categories", 1, "name"), "car", "two classes are called car"),
    (("categories", 1, "name"), None, "a class is called None"),
    (("categories", 1, "name"), "a\nb", r"a class is called 'a\\nb'"),
    (("images", 1, "file_name"), "a.png", "two pictures .*of one name"),
    (("images", 1, "file_name"), "c.png", "image 8: its picture .*c.png is missing"),
    (("images", 1, "file_name"), "../../etc/passwd", "image 8: its picture ../../etc/passwd is missing: no file of"),
    (("images", 1, "file_name"), "/etc/passwd", "image 8: its picture /etc/passwd is missing: no file of that name"),
    (("images", 1, "file_name"), "C:\\c.png", "is missing: no file of that name lies below .*photos"),
    (("images", 1, "file_name"), "http://a/c.png", "is missing: no file of that name lies below .*photos"),
    (("images", 1, "file_name"), "b\0.png", "expected its name"),
    (("images", 1, "file_name"), "b" * 5000, "is missing"),
    (("images", 1, "file_name"), 5, "the picture's file is 5"),
    (("images", 0, "file_name"), "zebra.png", "image 7: its picture .*zebra.png is missing"),
    (("images", 0, "height"), 14, "is for a picture of 14x14, but .*a.png is 10x14"),
    (("images", 0, "height"), None, "height and width are None and 14"),
    (("images", 0, "height"), "10", "height and width are '10' and 14"),
    (("annotations", 0, "category_id"), 4, "annotation 1: its category is 4"),
    (("annotations", 0, "category_id"), [9], "annotation 1: its category is"),
    (("annotations", 0, "image_id"), 99, "annotation 1 is of image 99"),
    (("annotations", 0, "image_id"), {}, "annotation 1 is of image {}"),
    (("annotations", 0, "segmentation"), [], "only a box"),
    (("annotations", 0, "segmentation"), None, "only a box"),
    (("annotations", 0, "segmentation"), box(1, 1, 3, 3), "neither a list of polygons"),
    (("annotations", 0, "segmentation"), "x", "neither a list of polygons"),
    (("annotations", 0, "segmentation", 0), [1, 2, 3, 4, 5, 6, 7], "x and y by turns"),
    (("annotations", 0, "segmentation", 0), [1, 2, 3, "4", 5, 6], "x and y by turns"),
    (("annotations", 0, "segmentation", 0), [[1, 2], [3], [5, 6]], "x and y by turns"),
    (("annotations", 0, "segmentation", 0), [1, 2, 3, None, 5, 6], "x and y by turns"),
    (("annotations", 0, "segmentation", 0), [1, 2, 3, float("nan"), 5, 6], "a coordinate is nan"),
    (("annotations", 0, "segmentation", 0), [1, 2, 3, float("inf"), 5, 6], "a coordinate is inf"),
    (("annotations", 0, "segmentation", 0), [1, 2, 3, 1e300, 5, 6], r"a coordinate is 1e\+300"),
    (("annotations", 0, "segmentation", 0), [1, 2, 3, 10**400, 5, 6], "x and y by turns"),
    (("annotations", 2, "segmentation", "size"), [14, 10], r"for a picture of \[14, 10\], but it is \[10, 14\]"),
    (("annotations", 2, "segmentation"), {"size": [10**6, 10**6], "counts": [10**12]}, "for a picture of"),
    (("annotations", 2, "segmentation", "counts"), [100, 41], "add up to 141 pixels, the picture has 140"),
    (("annotations", 2, "segmentation", "counts"), [10**30], "add up to 1000"),
    (("annotations", 2, "segmentation", "counts"), [150, -10], "no list of counts"),
    (("annotations", 2, "segmentation", "counts"), None, "no list of counts"),
    (("annotations", 2, "segmentation", "counts"), "h3280", "add up to 132 pixels"),
    (("annotations", 2, "segmentation", "counts"), "h3280~", "annotation 3: its run lengths are damaged"),
    (("annotations", 2, "segmentation", "counts"), "h3280o", "cut off"),
]


@pytest.mark.parametrize(("place", "value", "message"), COCO_FAULTS)
def test_faults_of_coco_files(
    place: tuple[str | int, ...], value: Any, message: str, coco: Path, tmp_path: Path
) -> None:
    tree: Any = coco_tree()
    inner = tree
    for key in place[:-1]:
        inner = inner[key]
    if place:
        inner[place[-1]] = value
    write_json(coco, tree if place else value)
    with pytest.raises(DatasetError, match=message) as caught:
        background = None if place == ("categories",) else "background"
        convert(coco, tmp_path / "out", images=tmp_path / "photos", kind="coco", background=background, crowd="ignore")
    assert "annotations.json" in str(caught.value) or "photos" in str(caught.value)
    several = place[:1] == ("images",) and place[-1] == "id"  # of two pictures, or of annotations that are of none now
    assert ("\n" in str(caught.value)) == several and not (tmp_path / "out").exists()


def test_what_has_no_area_is_noted(coco: Path, tmp_path: Path) -> None:
    tree = coco_tree()
    tree["annotations"][0]["segmentation"] = [[1, 1, 5, 5], box(-3, 4, 1, 60)]
    tree["annotations"][1]["segmentation"] = [[1, 1, 5, 5]]
    tree["annotations"][2] = {"id": 5, "image_id": 8, "category_id": 3, "segmentation": [box(3.6, 1, 3.9, 8)]}
    done = convert(write_json(coco, tree), tmp_path / "out", images=tmp_path / "photos", crowd="ignore")
    assert same(read(tmp_path / "out"), {"a": label(((0, 4, 1, 10), 2)), "sub/b": label()})
    assert done.objects == 2
    assert done.notes == (
        f"polygons of fewer than 3 points, left out: 2 (first: {coco}: annotation 1)",
        f"shapes that reach beyond their picture, cut off at its edge: 1 (first: {coco}: annotation 1)",
        "objects too small or thin to cover the centre of a pixel: 1 (first: sub/b)",
    )


def test_an_outline_without_end_is_refused(coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its edges passes the ten rows of the picture."""
    tree = coco_tree()
    tree["annotations"][0]["segmentation"] = [[x for k in range(101) for x in (k % 14, k % 2 * 99)]]
    write_json(coco, tree)
    convert(coco, tmp_path / "out", images=tmp_path / "photos", crowd="ignore")
    monkeypatch.setattr(annotation_source, "_LONGEST", 999)
    with pytest.raises(DatasetError, match="annotation 1: its outline passes 1,000 rows"):
        convert(coco, tmp_path / "other", images=tmp_path / "photos", crowd="ignore")


def test_at_most_255_classes(coco: Path, tmp_path: Path) -> None:
    tree = coco_tree() | {"annotations": []}
    tree["categories"] = [{"id": number, "name": f"thing {number}"} for number in range(255)]
    write_json(coco, tree)
    with pytest.raises(DatasetError, match="256 classes, expected 1 to 255"):
        convert(coco, tmp_path / "out", images=tmp_path / "photos", crowd="ignore")
    done = convert(coco, tmp_path / "out", images=tmp_path / "photos", background=None, crowd="ignore")
    assert len(done.classes) == 255 and done.pixels[-1] == 280


@pytest.mark.parametrize("name", ["no", "1e5", "a: b, {c} [d] #e", "'\"\\", "straße 道"])
def test_names_that_yaml_would_read_otherwise(name: str, coco: Path, tmp_path: Path) -> None:
    tree = coco_tree() | {"categories": [{"id": 3, "name": name}, {"id": 9, "name": "car"}]}
    convert(write_json(coco, tree), tmp_path / "out", images=tmp_path / "photos", crowd="ignore")
    assert data.open("folder", tmp_path / "out", "all").classes.names == ("background", name, "car")


# ---- EXIF


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_annotations_of_turned_pictures(orientation: int, suffix: str, tmp_path: Path) -> None:
    """Those of the picture as shown stay, those of the picture as stored are turned with it."""
    path = picture(tmp_path / f"a{suffix}", SIZE, orientation)
    turned = orientation >= 5
    shown = SIZE[::-1] if turned else SIZE
    for size in {SIZE, shown}:
        tree = coco_tree()
        tree["images"] = [{"id": 7, "file_name": path.name, "height": size[0], "width": size[1]}]
        tree["annotations"] = [{"id": 1, "image_id": 7, "category_id": 3, "segmentation": [box(1, 0, 4, 9)]}]
        out = tmp_path / f"out{size[0]}"
        done = convert(write_json(tmp_path / "c.json", tree), out)
        drawn = Image.fromarray(label(((1, 0, 4, 9), 1), size=size))
        if turned and size == SIZE:
            drawn.getexif()[0x0112] = orientation
            drawn = ImageOps.exif_transpose(drawn)
        assert np.array_equal(read(out)["a"], np.array(drawn))
        assert len([note for note in done.notes if "EXIF" in note]) == (1 < orientation < 5)


# ---- labelme


def shape(name: str, points: list[list[float]], kind: str | None = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": name, "points": points, "shape_type": kind, "group_id": None, "flags": {}, **more}


def corners(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return np.reshape(box(left, top, right, bottom), (4, 2)).tolist()


def labelme_tree(*shapes: dict[str, Any], path: str = "a.png") -> dict[str, Any]:
    return {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": path, "imageHeight": 10, "imageWidth": 14}


def encoded(mask: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_labelme(tmp_path: Path) -> None:
    corner = np.array([[1, 1, 1], [1, 0, 0]])
    tree = labelme_tree(
        shape("road", corners(0, 4, 14, 10)),
        shape("car", [[5, 8], [2, 6]], "rectangle"),
        shape("_background_", corners(8, 5, 10, 7), None),
        shape("__ignore__", [[13, 0], [11, 2]], "rectangle"),
        shape("dot", [[1, 1], [1, 2]], "circle"),
        shape("dot", [[5, 0], [7, 1]], "mask", mask=encoded(corner)),
        shape("dot", [[9, 0], [10, 0], [10, 3], [9, 3]], "oriented_rectangle"),
        shape("pole", [[1, 1], [5, 5]], "line"),
        shape("pole", [[3, 3]], "point"),
        shape("road", [[3, 3], [5, 5]]),
    )
    for place in ("", "deep/"):
        picture(tmp_path / "set" / place / "a.png")
        write_json(tmp_path / "set" / place / "a.json", tree)
    picture(tmp_path / "set/new.png")
    done = convert(tmp_path / "set", tmp_path / "out")
    assert done.classes.names == ("background", "car", "dot", "pole", "road"), "sorted"
    wanted = label(((0, 4, 14, 10), 4), ((2, 6, 5, 8), 1), ((8, 5, 10, 7), 0), ((11, 0, 13, 2), 255))
    wanted[0:2, 0:2] = 2  # the circle's four centres; the next are 1.58 away
    wanted[0, 5:8] = wanted[1, 5] = 2
    wanted[0:3, 9] = 2
    assert same(read(tmp_path / "out"), {"a": wanted, "deep/a": wanted})
    first = tmp_path / "set/a.json"
    assert done.notes == (
        f"shapes of type line, which have no area, left out: 2 (first: {first}: shape 7 (pole))",
        f"shapes of type point, which have no area, left out: 2 (first: {first}: shape 8 (pole))",
        f"polygons of fewer than 3 points, left out: 2 (first: {first}: shape 9 (road))",
        "pictures without a labelme file, left out: 1 (first: new.png)",
    )


def test_labelme_files_apart_from_their_pictures(tmp_path: Path) -> None:
    """Found by the path in the file, or at the file's own place below --images; one file alone too."""
    picture(tmp_path / "set/photos/x/a.png")
    tree = labelme_tree(shape("road", corners(0, 4, 14, 10)), path="..\\photos\\x\\a.png")
    write_json(tmp_path / "set/ann/a.json", tree)
    wanted = label(((0, 4, 14, 10), 1))
    convert(tmp_path / "set", tmp_path / "one")
    assert same(read(tmp_path / "one"), {"photos/x/a": wanted})
    convert(tmp_path / "set/ann", tmp_path / "two", images=tmp_path / "set/photos")
    assert same(read(tmp_path / "two"), {"x/a": wanted})
    write_json(tmp_path / "set/ann/x/a.json", tree | {"imagePath": "a.png"})
    (tmp_path / "set/ann/a.json").unlink()
    convert(tmp_path / "set/ann", tmp_path / "three", images=tmp_path / "set/photos")
    assert same(read(tmp_path / "three"), {"x/a": wanted})
    convert(picture(tmp_path / "set/ann/x/a.png").with_suffix(".json"), tmp_path / "four")
    assert same(read(tmp_path / "four"), {"a": wanted})


def test_labelme_classes_in_a_given_order(tmp_path: Path) -> None:
    picture(tmp_path / "set/a.png")
    write_json(tmp_path / "set/a.json", labelme_tree(shape("road", corners(0, 4, 14, 10))))
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\nwater\nroad\n")
    done = convert(tmp_path / "set", tmp_path / "out", classes=tmp_path / "labels.txt")
    assert done.classes.names == ("background", "water", "road")
    assert np.array_equal(read(tmp_path / "out")["a"], label(((0, 4, 14, 10), 2)))
    (tmp_path / "labels.txt").write_text("raod\n")
    with pytest.raises(DatasetError, match=r"called road, which `classes` does not list, did you mean raod\?"):
        convert(tmp_path / "set", tmp_path / "other", classes=tmp_path / "labels.txt")


LABELME_FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"shapes": 3}, "its shapes are 3"),
    ({"shapes": [shape("a", "x")]}, r"shape 0 \(a\): its points are 'x'"),
    ({"shapes": [shape(5, corners(1, 1, 3, 3))]}, "shape 0 has the label 5"),
    ({"shapes": [shape("a", [[1, 2, 3], [1, 2, 3], [1, 2, 4], [1, 2, 5]])]}, "a point of 3 numbers"),
    ({"shapes": [shape("a", [[1, 2], [3]])]}, "x and y by turns"),
    ({"shapes": [shape("a", [[1, float("nan")], [1, 2], [5, 5]])]}, "a coordinate is nan"),
    ({"shapes": [shape("a", corners(1, 1, 3, 3), "spline")]}, "its type is 'spline', expected one of polygon"),
    ({"shapes": [shape("a", [[1, 1], [2, 2], [3, 1]], "rectangle")]}, "a rectangle of 3 points, expected 2"),
    ({"shapes": [shape("a", [[1, 1]], "circle")]}, "a circle of 1 points, expected 2"),
    ({"shapes": [shape("a", [[1, 1], [2, 2]], "mask")]}, "its mask is damaged"),
    ({"shapes": [shape("a", [[1, 1], [2, 2]], "mask", mask="???")]}, "its mask is damaged"),
    ({"shapes": [shape("a", [[1, 1], [2, 2]], "mask", mask=encoded(np.ones((2, 1))))]}, "2x1, but its corners say 2x2"),
    ({"shapes": [shape("a", [[0, 0], [9e5, 9e5]], "mask", mask="")]}, "its mask is damaged"),
    ({"imagePath": None}, "its imagePath is None"),
    ({"imagePath": "b.png"}, "all of its 1 pictures are missing: .*b.png"),
    ({"imagePath": "../../etc/passwd"}, "leads out of"),
    ({"imagePath": "/etc/passwd"}, "is an absolute path"),
    ({"imagePath": "a.json"}, "is no picture for Tarsia"),
    ({"imagePath": ".a.png"}, "is hidden"),
    ({"imageHeight": 14}, "a.json: is for a picture of 14x14, but .*a.png is 10x14"),
    ({"imageHeight": "10"}, "imageHeight and imageWidth are '10' and 14"),
    ({"imagePath": "broken.png"}, "broken.png: PNG data, but damaged"),
]


@pytest.mark.parametrize(("change", "message"), LABELME_FAULTS)
def test_faults_of_labelme_files(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    picture(tmp_path / "set/a.png")
    picture(tmp_path / "set/.a.png")
    (tmp_path / "set/broken.png").write_bytes(b"\x89PNG, but no more")
    write_json(tmp_path / "set/a.json", labelme_tree(shape("road", corners(0, 4, 14, 10))) | change)
    with pytest.raises((DatasetError, ImageError), match=message) as caught:
        convert(tmp_path / "set", tmp_path / "out", kind="labelme")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_a_labelme_file_that_is_cut_is_not_left_out(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / f"set/{name}.png")
        write_json(tmp_path / f"set/{name}.json", labelme_tree(path=f"{name}.png"))
    for content, message in (("", "b.json: damaged, or no JSON"), ("{}", "b.json: its shapes are None")):
        (tmp_path / "set/b.json").write_text(content)
        with pytest.raises(DatasetError, match=message):
            convert(tmp_path / "set", tmp_path / "out")


# ---- YOLO


def share(*points: float) -> str:
    """Pixels x, y, x, y ... as a YOLO line has them."""
    return " ".join(f"{value / SIZE[1 - index % 2]:.8f}" for index, value in enumerate(points))


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    """images/train, images/val and labels beside them; one picture has an empty file, one has none."""
    root = tmp_path / "yolo"
    for name in ("train/a", "train/b", "val/c", "val/d"):
        picture(root / f"images/{name}.jpg")
        (root / f"labels/{name}.txt").parent.mkdir(parents=True, exist_ok=True)
    lines = f"1 {share(*box(3, 3, 5, 5))}\n0 {share(*box(0, 2, 8, 9))}\n"
    (root / "labels/train/a.txt").write_text(lines)
    (root / "labels/train/b.txt").write_text("")
    (root / "labels/val/c.txt").write_text("\n1 0 0 0.5 0 0.5 1 0 1\n")
    (root / "data.yaml").write_text("train: images/train\nval: images/val\ntest:\nnc: 2\nnames: [road, car]\n")
    return root


ON_ROAD = label(((0, 2, 8, 9), 1), ((3, 3, 5, 5), 2))


@pytest.mark.parametrize("file", ["", "data.yaml"])
def test_yolo(file: str, yolo: Path, tmp_path: Path) -> None:
    done = convert(yolo / file, tmp_path / "out")
    assert same(read(tmp_path / "out", "train"), {"a": ON_ROAD, "b": label()})
    assert same(read(tmp_path / "out", "val"), {"c": label(((0, 0, 7, 10), 2)), "d": label()})
    assert done.classes.names == ("background", "road", "car") and done.objects == 3
    assert any("without a label file" in note and "d.jpg" in note for note in done.notes)


@pytest.mark.parametrize(
    "text",
    [
        "names: {0: road, 1: car}\ntrain: [images/train, images/val]\n",
        "names: {1: car, 0: road}\npath: ../datasets/yolo\ntrain: ../images/train\nval: ./images/val\n",
        "names: [road, car]\npath: yolo\ntrain: train\nval: val/\n",
    ],
)
def test_ways_to_write_data_yaml(text: str, yolo: Path, tmp_path: Path) -> None:
    (yolo / "data.yaml").write_text(text)
    done = convert(yolo, tmp_path / "out")
    assert done.pictures == 4
    assert np.array_equal(read(tmp_path / "out", "train" if "val:" in text else "all")["a"], ON_ROAD)


def test_yolo_with_folders_of_splits_and_names_in_a_list(yolo: Path, tmp_path: Path) -> None:
    """As Roboflow (train/images beside train/labels) and Label Studio (classes.txt, no data.yaml) write it."""
    other = tmp_path / "other"
    for split in ("train", "val"):
        (other / split).mkdir(parents=True)
        (yolo / "images" / split).rename(other / split / "images")
        (yolo / "labels" / split).rename(other / split / "labels")
    (other / "classes.txt").write_text("road\ncar\n")
    with pytest.raises(DatasetError, match="no names of classes"):
        convert(other, tmp_path / "out", kind="yolo")
    convert(other, tmp_path / "out", kind="yolo", classes=other / "classes.txt")
    assert np.array_equal(read(tmp_path / "out")["train/images/a"], ON_ROAD)
    (other / "data.yaml").write_text("names: [road, car]\ntrain: ../train/images\nval: ../val/images\n")
    convert(other, tmp_path / "two")
    assert np.array_equal(read(tmp_path / "two", "train")["a"], ON_ROAD)


YOLO_FAULTS = [
    ("labels/train/a.txt", "0 0.5 0.5 0.2 0.2", "a.txt:1: a box"),
    ("labels/train/a.txt", f"\n2 {share(*box(1, 1, 3, 3))}", r"a.txt:2: class 2, expected 0 to 1"),
    ("labels/train/a.txt", f"road {share(*box(1, 1, 3, 3))}", r"a.txt:1: class road, expected 0 to 1"),
    ("labels/train/a.txt", f"-1 {share(*box(1, 1, 3, 3))}", "class -1"),
    ("labels/train/a.txt", "0 0.1 0.1 0.2 0.1 0.2", "x and y by turns"),
    ("labels/train/a.txt", "0 0.1 0.1 0.2 nan 0.2 0.3", "a coordinate is nan"),
    ("labels/train/a.txt", "0 0.1 0.1 0.2 x 0.2 0.3", "could not convert"),
    ("labels/train/a.txt", "0 1 1 9 1 9 9", "a coordinate is 9, expected shares"),
    ("labels/train/z.txt", "", "z.txt: a label file without a picture"),
    ("data.yaml", "names: []", "no names of classes"),
    ("data.yaml", "names: {0: a, 2: b}", "names are numbered 0, 2"),
    ("data.yaml", "names: [a, b]\nnc: 3", "nc is 3 but there are 2 names"),
    ("data.yaml", "names: [a, a]", "two classes are called a"),
    ("data.yaml", "names: [a, no]", "a class is called False"),
    ("data.yaml", "names: [a, b]\ntrain: /data/x/images", "absolute path"),
    ("data.yaml", "names: [a, b]\ntrain: ../../images/train", "leads out of"),
    ("data.yaml", "names: [a, b]\ntrain: images/nothing", "expected a folder"),
    ("data.yaml", "names: [a, b]\ntrain: labels", "no pictures in"),
]


@pytest.mark.parametrize(("file", "content", "message"), YOLO_FAULTS)
def test_faults_of_yolo_files(file: str, content: str, message: str, yolo: Path, tmp_path: Path) -> None:
    (yolo / file).write_text(content)
    with pytest.raises(DatasetError, match=message) as caught:
        convert(yolo, tmp_path / "out", kind="yolo")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_yolo_without_any_label_file(yolo: Path, tmp_path: Path) -> None:
    (yolo / "labels").rename(yolo / "annotations")
    with pytest.raises(DatasetError, match=r"none of its 4 pictures has a label file; looked for .*labels/train/a.txt"):
        convert(yolo, tmp_path / "out")


# ---- masks

COLORS = np.array([[128, 64, 128], [0, 0, 0], [64, 0, 128], [64, 128, 192]], np.uint8)
SCENE = label(((0, 0, 14, 3), 1), ((2, 5, 5, 9), 2), ((8, 5, 9, 6), 3))


@pytest.fixture
def colored(tmp_path: Path) -> Path:
    """Masks of four colours with names that end in _L, and one more picture."""
    for name in ("a", "x/b"):
        picture(tmp_path / f"photos/{name}.jpg")
        path = tmp_path / f"masks/{name}_L.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(COLORS[SCENE]).save(path)
    picture(tmp_path / "photos/c.jpg")
    return tmp_path / "masks"


def test_colored_masks(colored: Path, tmp_path: Path) -> None:
    done = convert(colored, tmp_path / "out", images=tmp_path / "photos")
    assert done.classes.names == ("color_128_64_128", "color_0_0_0", "color_64_0_128", "color_64_128_192")
    assert np.array_equal(done.classes.colors, COLORS), "the commonest first"
    assert same(read(tmp_path / "out"), {"a": SCENE, "x/b": SCENE})
    assert done.notes == (
        "pictures without a mask, left out: 1 (first: c)",
        "classes named by their colour, to be renamed in dataset.yaml: 4 (first: color_128_64_128)",
    )


LISTS = {
    "a.csv": "name,r,g,b\nroad,128,64,128\ncar,64,0,128\nbus, 64, 128, 192\nvoid,0,0,0\n",
    "b.txt": "128 64 128\troad\n64 0 128\tcar\n64 128 192  bus\n0 0 0 void\n",
    "c.txt": "# label:color_rgb:parts:actions\nroad:128,64,128::\ncar:64,0,128::\nbus:64,128,192::\nvoid:0,0,0::\n",
    "d.txt": "road 128 64 128\n\ncar 64 0 128\nbus; 64; 128; 192\n'void' 0 0 0",
}


@pytest.mark.parametrize("file", LISTS)
@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_colored_masks_with_a_list_of_names(mode: str, file: str, colored: Path, tmp_path: Path) -> None:
    """Palette masks too are read by their colours; one that a program has saved as grey, for it is all black."""
    if mode == "P":
        for path in colored.rglob("*.png"):
            indexed = Image.fromarray(SCENE + np.uint8(3))
            indexed.putpalette(np.concatenate([np.zeros((3, 3), np.uint8), COLORS]).tobytes())
            indexed.save(path)
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(colored / "c_L.png")
    (tmp_path / file).write_text(LISTS[file])
    done = convert(colored, tmp_path / "out", images=tmp_path / "photos", classes=tmp_path / file)
    assert done.classes.names == ("road", "car", "bus", "void") and len(done.notes) == 1
    assert "learned and scored although" in done.notes[0] and done.notes[0].endswith("1 (first: void)")
    wanted = np.array([0, 3, 1, 2])[SCENE]
    assert same(read(tmp_path / "out"), {"a": wanted, "x/b": wanted, "c": np.full(SIZE, 3)})


def test_classes_as_in_dataset_yaml(colored: Path, tmp_path: Path) -> None:
    """With two colours of one class, and one that is ignored."""
    vehicle = {"name": "vehicle", "color": [64, 0, 128], "colors": [[64, 0, 128], [64, 128, 192]]}
    tree = {"classes": [{"name": "road", "color": [128, 64, 128]}, vehicle], "ignore": [[0, 0, 0]]}
    (tmp_path / "classes.yaml").write_text(yaml.safe_dump(tree))
    done = convert(colored, tmp_path / "out", images=tmp_path / "photos", classes=tmp_path / "classes.yaml")
    wanted = np.array([0, 255, 1, 1])[SCENE]
    assert done.pixels == ((wanted == 0).sum() * 2, (wanted == 1).sum() * 2, (wanted == 255).sum() * 2)
    assert np.array_equal(read(tmp_path / "out")["a"], wanted)


LIST_FAULTS = [
    ("a.txt", "road 1 2 3\ncar 1 2 3", "a.txt:2"),
    ("a.txt", "road 1 2 3\nroad 1 2 4", "a.txt:2"),
    ("a.txt", "road 1 2 300", "a.txt:1"),
    ("a.txt", "road 1 2 3\ncar", "some have none"),
    ("a.txt", "", "lists 0 classes"),
    ("a.txt", "\n".join(f"c{n}" for n in range(256)), "lists 256 classes"),
    (
        "a.txt",
        "road 128 64 128\nvoid 0 0 0\ncar 64 0 128",
        r"colour \[64, 128, 192\] in 1 pixels .*; add a line for it",
    ),
    ("a.txt", "road\nvoid\ncar\nbus", r"a_L.png: colour \[128, 64, 128\]"),
    ("a.yaml", "classes: [{name: road, color: [1, 2]}]", "a.yaml:1"),
    ("b.txt", "", "no list of classes"),
]


@pytest.mark.parametrize(("file", "content", "message"), LIST_FAULTS)
def test_faults_of_lists_of_classes(file: str, content: str, message: str, colored: Path, tmp_path: Path) -> None:
    if file != "b.txt":
        (tmp_path / file).write_text(content)
    with pytest.raises((DatasetError, RecipeError), match=message):
        convert(colored, tmp_path / "out", images=tmp_path / "photos", classes=tmp_path / file)
    assert not (tmp_path / "out").exists()


def test_palette_masks_keep_indices_and_colors(tmp_path: Path) -> None:
    palette = np.zeros((256, 3), np.uint8)
    palette[:5] = [[0, 0, 0], [128, 0, 0], [9, 9, 9], [0, 0, 0], [0, 128, 0]]
    stored = np.array([0, 1, 4, 255], np.uint8)[SCENE]
    for name in "ab":
        picture(tmp_path / f"photos/{name}.png")
        indexed = Image.fromarray(stored)
        indexed.putpalette(palette.tobytes())
        (tmp_path / "masks").mkdir(exist_ok=True)
        indexed.save(tmp_path / f"masks/{name}.png")
    done = convert(tmp_path / "masks", tmp_path / "out", images=tmp_path / "photos")
    assert done.classes.names == tuple(f"class_{n}" for n in range(5)) and done.pixels[-1] == 2
    colors = done.classes.colors
    assert colors[:3] == ((0, 0, 0), (128, 0, 0), (9, 9, 9)) and colors[4] == (0, 128, 0) and len(set(colors)) == 5
    assert same(read(tmp_path / "out"), {"a": stored, "b": stored})
    indexed.putpalette(palette[::-1].tobytes())
    indexed.save(tmp_path / "masks/b.png")
    with pytest.raises(DatasetError, match=r"b.png: index 1 is \[0, 0, 0\] in its palette, but \[128, 0, 0\]"):
        convert(tmp_path / "masks", tmp_path / "other", images=tmp_path / "photos")


@pytest.mark.parametrize(
    ("values", "mode", "wanted"),
    [
        ([0, 1, 2, 3], "L", [0, 1, 2, 3]),
        ([0, 1, 2, 3], "RGB", [0, 1, 2, 3]),
        ([0, 1, 2, 255], "L", [0, 1, 2, 255]),
        ([0, 0, 255, 255], "L", [0, 0, 1, 1]),  # black and white
        ([0, 0, 255, 255], "RGB", [0, 0, 1, 1]),
        ([0, 0, 1, 1], "1", [0, 0, 1, 1]),
    ],
)
def test_masks_of_numbers(values: list[int], mode: str, wanted: list[int], tmp_path: Path) -> None:
    picture(tmp_path / "photos/a.png")
    (tmp_path / "masks").mkdir()
    stored = np.array(values, np.uint8)[SCENE]
    mask = Image.fromarray(stored if mode != "1" else stored.astype(bool)).convert(mode)
    mask.save(tmp_path / "masks/a.png")
    convert(tmp_path / "masks", tmp_path / "out", images=tmp_path / "photos")
    assert np.array_equal(read(tmp_path / "out")["a"], np.array(wanted)[SCENE])


def test_masks_of_numbers_with_names(tmp_path: Path) -> None:
    picture(tmp_path / "photos/a.png")
    (tmp_path / "masks").mkdir()
    Image.fromarray(SCENE).save(tmp_path / "masks/a.png")
    for name, text in (("names.txt", "sky\nroad\ncar\nbus\n"), ("colors.txt", LISTS["b.txt"].replace("road", "sky"))):
        (tmp_path / name).write_text(text)
        done = convert(tmp_path / "masks", tmp_path / name[0], images=tmp_path / "photos", classes=tmp_path / name)
        assert done.classes.names[0] == "sky" and np.array_equal(read(tmp_path / name[0])["a"], SCENE)
    (tmp_path / "names.txt").write_text("sky\nroad\ncar\n")
    with pytest.raises(DatasetError, match=r"a.png: label value 3 in 1 pixels .*add a line for it to .*names.txt"):
        convert(tmp_path / "masks", tmp_path / "out", images=tmp_path / "photos", classes=tmp_path / "names.txt")


def test_masks_of_turned_pictures(tmp_path: Path) -> None:
    """A mask as large as the stored picture is turned with it, one as large as the upright picture is not."""
    stored = np.arange(140, dtype=np.uint8).reshape(SIZE) % 5
    upright = np.rot90(stored, -1)  # EXIF orientation 6
    for name, mask in (("a", stored), ("b", upright)):
        picture(tmp_path / f"photos/{name}.jpg", SIZE, orientation=6)
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(tmp_path / f"masks/{name}.png")
    convert(tmp_path / "masks", tmp_path / "out", images=tmp_path / "photos")
    assert same(read(tmp_path / "out"), {"a": upright, "b": upright})


def test_smoothed_masks_of_two_numbers(tmp_path: Path) -> None:
    """Antialiasing turns black and white into every grey, each of which could pass for a class."""
    picture(tmp_path / "photos/a.png", (200, 280))
    (tmp_path / "masks").mkdir()
    mask = Image.fromarray(label(((3, 2, 9, 8), 255))).resize((280, 200), Image.Resampling.BICUBIC)
    for mode in ("L", "RGB"):
        mask.convert(mode).save(tmp_path / "masks/a.png")
        with pytest.raises(DatasetError, match=r"a.png: \d+ different colours or numbers: smoothed"):
            convert(tmp_path / "masks", tmp_path / "out", images=tmp_path / "photos")


def test_faults_of_masks(colored: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    cases: list[tuple[str, Image.Image, str]] = [
        ("c_L.jpg", Image.fromarray(COLORS[SCENE]), "does not keep label values exactly"),
        ("c_L.png", Image.fromarray(SCENE), "c_L.png holds numbers, .*a_L.png holds colours"),
        ("c_L.png", Image.fromarray(COLORS[SCENE[:5]]), "c_L.png: is for a picture of 5x14, but .*c.jpg is 10x14"),
        ("d_L.png", Image.fromarray(COLORS[SCENE]), "d_L.png: this mask has no picture in .*photos"),
    ]
    for name, mask, message in cases:
        mask.save(colored / name)
        with pytest.raises(DatasetError, match=message):
            convert(colored, tmp_path / "out", images=photos)
        (colored / name).unlink()
    picture(photos / "e.png", (30, 30))
    many = np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8)
    Image.fromarray(many).save(colored / "e_L.png")
    with pytest.raises(DatasetError, match=r"e_L.png: 900 different colours or numbers: smoothed.*JPEG-compressed"):
        convert(colored, tmp_path / "out", images=photos)
    for index, rows in enumerate(np.split(many, 15)):  # 60 colours in each
        picture(photos / f"many/{index}.png", (2, 30))
        (colored / "many").mkdir(exist_ok=True)
        Image.fromarray(rows).save(colored / f"many/{index}_L.png")
    (colored / "e_L.png").unlink()
    with pytest.raises(DatasetError, match=r"masks: 904 different colours or numbers"):
        convert(colored, tmp_path / "out", images=photos)
    shutil.rmtree(colored / "many")
    Image.fromarray(np.full((30, 30), 700, np.uint16)).save(colored / "e_L.png")
    for path in (colored / "a_L.png", colored / "x/b_L.png"):
        path.unlink()
    with pytest.raises(DatasetError, match="a mask holds the value 700"):
        convert(colored, tmp_path / "out", images=photos)
    with pytest.raises(DatasetError, match="masks need their pictures: say with `images`"):
        convert(colored, tmp_path / "out")
    with pytest.raises(DatasetError, match="in one folder"):
        convert(colored, tmp_path / "out", images=colored)
    assert not (tmp_path / "out").exists()


# ---- what is written, and where


def test_overwriting(coco: Path, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    convert(coco, out, images=photos, copy=True, crowd="ignore")
    with pytest.raises(OutputError, match="out exists and is not empty: choose another `to` or add `overwrite=True`"):
        convert(coco, out, images=photos, crowd="ignore")
    tree = coco_tree()
    tree["annotations"] = tree["annotations"][:1]
    convert(write_json(coco, tree), out, images=photos, overwrite=True, crowd="ignore")
    assert (read(out)["a"] == 1).sum() == 0 and (read(out)["a"] == 2).sum() == 4
    assert (out / "images/a.png").is_symlink() and (photos / "a.png").is_file()
    write_json(coco, tree | {"images": tree["images"][:1]})
    with pytest.raises(OutputError, match=r"2 files of something else are there: .*b.png.*; remove them or choose"):
        convert(coco, out, images=photos, overwrite=True, crowd="ignore")
    assert len(read(out)) == 2


def test_a_source_is_never_replaced(colored: Path, tmp_path: Path) -> None:
    """Not the pictures, not the masks, not the file of annotations."""
    root = tmp_path / "root"
    picture(root / "images/a.png")
    write_json(root / "dataset.yaml.json", labelme_tree(shape("road", corners(0, 4, 14, 10)), path="images/a.png"))
    with pytest.raises(OutputError, match=r"images/a.png: would replace what is converted"):
        convert(root / "dataset.yaml.json", root, images=root / "images", overwrite=True)
    colored.rename(root / "labels")
    (tmp_path / "photos").rename(tmp_path / "pictures")
    for path in (root / "labels").rglob("*_L.png"):
        path.rename(path.with_name(path.name.replace("_L", "")))
    with pytest.raises(OutputError, match=r"labels/.*.png: would replace what is converted"):
        convert(root / "labels", root, images=tmp_path / "pictures", overwrite=True)
    assert np.array_equal(np.array(Image.open(root / "labels/a.png")), COLORS[SCENE])


def test_a_conversion_that_stops_leaves_no_data_set(
    coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(coco, tmp_path / "out", images=tmp_path / "photos", crowd="ignore")
    whole = converting.save_label

    def fails(path: Path, *rest: Any) -> None:
        if path.name == "b.png":
            raise OutputError("the disk is full")
        whole(path, *rest)

    monkeypatch.setattr(converting, "save_label", fails)
    with pytest.raises(OutputError, match="full"):
        convert(coco, tmp_path / "out", images=tmp_path / "photos", overwrite=True, crowd="ignore")
    with pytest.raises(DatasetError, match=r"no dataset.yaml"):
        data.open("folder", tmp_path / "out", "all")


def test_one_picture_is_not_divided(coco: Path, tmp_path: Path) -> None:
    tree = coco_tree()
    convert(
        write_json(coco, tree | {"images": tree["images"][:1]}),
        tmp_path / "out",
        images=tmp_path / "photos",
        crowd="ignore",
    )
    assert len(data.open("folder", tmp_path / "out", "train")) == 1


# ---- which kind it is


def test_kinds_are_told_apart(coco: Path, yolo: Path, colored: Path, tmp_path: Path) -> None:
    picture(tmp_path / "set/a.png")
    write_json(tmp_path / "set/a.json", labelme_tree(shape("road", corners(0, 4, 14, 10))))
    (tmp_path / "photos/a.png").rename(tmp_path / "a.png")
    (tmp_path / "photos/sub").rename(tmp_path / "sub")
    found: list[Conversion] = [
        convert(coco, tmp_path / "1", crowd="ignore"),
        convert(tmp_path / "set", tmp_path / "2"),
        convert(yolo, tmp_path / "3"),
        convert(colored, tmp_path / "4", images=tmp_path / "photos"),
    ]
    assert [done.kind for done in found] == ["coco", "labelme", "yolo", "masks"]
    with pytest.raises(DatasetError, match=r"holds coco \(a JSON .*\) and labelme \(.*\): say which with `kind`"):
        convert(tmp_path, tmp_path / "5", crowd="ignore")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DatasetError,
        match=r"empty: nothing to convert was found; looked for ade20k: .*; coco: a JSON .*; masks: a folder",
    ):
        convert(tmp_path / "empty", tmp_path / "5")
    (tmp_path / "empty/data.yaml").write_text("names: [a]")
    (tmp_path / "empty/b.yaml").write_text("names: [a]")
    (tmp_path / "empty/c.yaml").write_text("}")
    with pytest.raises(DatasetError, match=r"which of b.yaml, data.yaml is it"):
        convert(tmp_path / "empty", tmp_path / "5")


WRONG: list[tuple[str, dict[str, Any], type[TarsiaError], str]] = [
    ("annotations.jsn", {}, DatasetError, r"annotations.jsn: no such file"),
    ("yolo/images/val/c.jpg", {}, DatasetError, "expected a folder, a JSON file"),
    ("empty.json", {}, DatasetError, "empty.json: nothing to convert was found"),
    ("cut.json", {}, DatasetError, "cut.json: damaged, or no JSON"),
    ("yolo", {"kind": "coco"}, DatasetError, "yolo: holds no coco; expected a JSON"),
    ("yolo", {"kind": "labelme"}, DatasetError, "yolo: holds no labelme; expected JSON files"),
    ("annotations.json", {"kind": "masks"}, DatasetError, "holds no masks; expected a folder of PNG"),
    ("annotations.json", {"kind": "yolo"}, DatasetError, "holds no yolo; expected a data.yaml"),
    ("annotations.json", {"kind": "pascal"}, RecipeError, "cannot convert from 'pascal'; known: ade20k, coco"),
    ("annotations.json", {"images": "foto"}, DatasetError, "foto: no such folder"),
    ("annotations.json", {"classes": "names.txt"}, RecipeError, "`classes` is not for COCO"),
    ("yolo", {"images": "yolo"}, RecipeError, "`images` is not for YOLO"),
    ("masks", {"images": "yolo", "background": None}, RecipeError, "`background` is for polygons"),
]


@pytest.mark.parametrize(("source", "options", "error", "message"), WRONG)
def test_what_does_not_go_together(
    source: str,
    options: dict[str, Any],
    error: type[TarsiaError],
    message: str,
    coco: Path,
    yolo: Path,
    colored: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.json").write_text("{}")
    (tmp_path / "cut.json").write_text('{"ima')
    with pytest.raises(error, match=message):
        convert(source, "out", **options)
    assert not Path("out").exists()


# ---- the command

Tarsia = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tarsia(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tarsia:
    """`tarsia(arguments...)` -> exit code, standard output, standard error; run in `tmp_path`."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tarsia", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        console.quiet(False)
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def test_the_command_says_what_it_did(tarsia: Tarsia, coco: Path) -> None:
    crowd = ("--crowd", "ignore")
    code, out, err = tarsia("convert", "annotations.json", "--images", "photos", "--to", "out", *crowd)
    assert (code, err) == (0, "")
    assert "background       77.14 % of the pixels\n" in out and "(ignored, 255)" in out
    assert "Note: pictures without objects, all background: 1 (first: sub/b)\n" in out
    assert "2 pictures with 3 objects, 3 classes, from coco: out\nNext: tarsia check folder:out; " in out
    assert out.endswith("; tarsia train out --minutes 10\n")
    code, out, _ = tarsia(
        "convert", "annotations.json", "--images", "photos", "--to", "two", "--json", "-q", "--copy", *crowd
    )
    facts = json.loads(out)
    assert facts["pictures"] == 2 and facts["objects"] == 3 and list(facts["shares"]) == ["background", "road", "car"]
    assert sum(facts["shares"].values()) + facts["ignored"] == pytest.approx(1)


def test_options_of_the_command(tarsia: Tarsia, coco: Path) -> None:
    common = ("convert", "annotations.json", "--from", "coco", "--images", "photos", "--to", "out", "--overwrite")
    common = (*common, "--crowd", "ignore")
    assert tarsia(*common, "--no-background")[0] == 0
    assert (
        data.open("folder", "out", "all").classes.names == ("road", "car") and (read(Path("out"))["sub/b"] == 255).all()
    )
    assert tarsia(*common, "--background", "ground")[0] == 0
    assert data.open("folder", "out", "all").classes.names == ("ground", "road", "car")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing", "--to", "out"), "nothing: no such file or folder"),
        (("annotations.json", "--to", "photos"), "photos exists and is not empty"),
        (("annotations.json", "--to", "out"), "in none of"),
        (("annotations.json", "--to", "out", "--from", "voc"), "voc"),
        (("annotations.json",), "--to"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    arguments: tuple[str, ...], message: str, tarsia: Tarsia, coco: Path
) -> None:
    code, out, err = tarsia("convert", *arguments)
    assert code == 2 and not out and message in err and err.count("\n") == 1, err


# ---- real files


@pytest.mark.shared
def test_camvid_in_32_classes(shared: Path, tmp_path: Path) -> None:
    root = shared / "data/samples/camvid32_fullres"
    done = convert(root / "labels", tmp_path / "out", images=root / "images", classes=root / "codes.txt")
    assert done.pictures == 5 and len(done.classes) == 32 and done.classes.names[17] == "Road"
    assert [note.endswith("(first: 0 is Animal)") for note in done.notes] == [True, False]
    assert done.notes[1].endswith("1 (first: Void)")
    for name, found in read(tmp_path / "out").items():
        assert np.array_equal(found, np.array(Image.open(root / "labels" / f"{name}_P.png")))


@pytest.mark.shared
def test_voc_palette_masks(shared: Path, tmp_path: Path) -> None:
    root = shared / "data/samples/voc_layout"
    done = convert(root / "SegmentationClass", tmp_path / "out", images=root / "JPEGImages")
    assert done.pictures == 7 and done.classes.colors[15] == (192, 128, 128), "VOC's person"
    for name, found in read(tmp_path / "out").items():
        assert np.array_equal(found, np.array(Image.open(root / "SegmentationClass" / f"{name}.png")))
