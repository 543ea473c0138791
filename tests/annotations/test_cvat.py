"""CVAT's XML for images and for video, and its masks with a labelmap.txt: as it exports them, drawn by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tarsia.converting import convert
from tarsia.errors import DatasetError
from test_converting import label, picture, read

LABELS = (
    "<label><name>road</name><color>#ff0102</color></label><label><name>car</name><color>#00ff00</color></label>"
    "<label><name>eye</name><color>#0000ff</color><parent>face</parent></label>"
)
HIGH, WIDE = 10, 14


def export(root: Path, images: str, meta: str = f"<task><labels>{LABELS}</labels></task>") -> Path:
    file = root / "annotations.xml"
    file.write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta>{meta}</meta>{images}'
        "</annotations>",
        encoding="utf-8",
    )
    return file


def image(*shapes: str, name: str = "sub/a.png", more: str = "") -> str:
    return f'<image id="0" name="{name}" width="{WIDE}" height="{HIGH}" {more}>{"".join(shapes)}</image>'


def polygon(points: str, of: str = "road", z_order: int = 0) -> str:
    return f'<polygon label="{of}" source="manual" occluded="0" points="{points}" z_order="{z_order}"/>'


def square(left: int, top: int, right: int, bottom: int) -> str:
    return f"{left}.00,{top}.00;{right}.00,{top}.00;{right}.00,{bottom}.00;{left}.00,{bottom}.00"


def mask(array: np.ndarray, left: int, top: int, of: str = "car", z_order: int = 0) -> str:
    """Run lengths along the rows of the box, of what is outside first."""
    counts, value = [0], False
    for bit in array.ravel().tolist():
        if bit != value:
            counts.append(0)
            value = bit
        counts[-1] += 1
    high, wide = array.shape
    rle = ", ".join(map(str, counts))
    return (
        f'<mask label="{of}" source="semi-auto" occluded="0" rle="{rle}" left="{left}" top="{top}" width="{wide}" '
        f'height="{high}" z_order="{z_order}"/>'
    )


def test_shapes_by_their_layer(tmp_path: Path) -> None:
    picture(tmp_path / "images/sub/a.png")
    picture(tmp_path / "images/b.png")
    shapes = [polygon(square(4, 0, 14, 4), "car", 2), polygon(square(0, 2, 8, 9), "road", 1)]
    shapes += ['<points label="car" points="1,1" z_order="0"/>', '<tag label="car"/>']
    done = convert(export(tmp_path, image(*shapes) + image(name="b.png")), tmp_path / "out")
    assert (done.kind, done.classes.names) == ("cvat", ("background", "road", "car"))
    assert done.classes.colors == ((0, 0, 0), (255, 1, 2), (0, 255, 0))
    found = read(tmp_path / "out")
    assert np.array_equal(found["images/sub/a"], label(((0, 2, 8, 9), 1), ((4, 0, 14, 4), 2)))
    assert not found["images/b"].any(), "a picture without shapes is there, and empty"
    assert sum("which have no area, left out: 1" in note for note in done.notes) == 2


@pytest.mark.parametrize(("left", "top"), [(0, 0), (3, 2), (9, 7)])
def test_masks_along_the_rows_of_their_box(left: int, top: int, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    array = np.random.default_rng(left).random((3, 5)) < 0.5
    array[0, 0] = left > 0  # then the first count is 0
    convert(export(tmp_path, image(mask(array, left, top), name="a.png")), tmp_path / "out")
    wanted = np.zeros((HIGH, WIDE), np.uint8)
    wanted[top : top + 3, left : left + 5] = 2 * array
    assert np.array_equal(read(tmp_path / "out")["a"], wanted)


def test_boxes_and_ellipses_turned_about_their_centre(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    turned = '<box label="road" xtl="2" ytl="4" xbr="8" ybr="6" rotation="90.00" z_order="0"/>'
    plain = '<box label="road" xtl="11" ytl="0" xbr="14" ybr="2" z_order="0"/>'
    ellipse = '<ellipse label="car" cx="11" cy="6" rx="1.00" ry="3" rotation="90" z_order="1"/>'
    convert(export(tmp_path, image(turned, plain, ellipse, name="a.png")), tmp_path / "out")
    wanted = label(((4, 2, 6, 8), 1), ((11, 0, 14, 2), 1))
    rows, columns = np.mgrid[:HIGH, :WIDE] + 0.5
    wanted[((columns - 11) / 3) ** 2 + (rows - 6) ** 2 < 1] = 2
    assert np.array_equal(read(tmp_path / "out")["a"], wanted)


def test_subsets_of_a_project_are_splits(tmp_path: Path) -> None:
    for subset in ("Train", "Validation"):
        picture(tmp_path / f"images/{subset}/a.png")
    body = image(polygon(square(0, 0, 5, 5)), name="a.png", more='subset="Train" task_id="1"')
    body += image(polygon(square(5, 5, 9, 9)), name="a.png", more='subset="Validation" task_id="2"')
    convert(export(tmp_path, body, f"<project><labels>{LABELS}</labels></project>"), tmp_path / "out")
    assert np.array_equal(read(tmp_path / "out", "Train")["images/Train/a"], label(((0, 0, 5, 5), 1)))
    assert np.array_equal(read(tmp_path / "out", "Validation")["images/Validation/a"], label(((5, 5, 9, 9), 1)))


def test_tracks_of_a_video(tmp_path: Path) -> None:
    for number in (0, 1, 7):
        picture(tmp_path / f"frames/frame_{number:06d}.png")
    points = square(1, 1, 4, 4)
    body = "".join(
        f'<polygon frame="{frame}" outside="{outside}" occluded="0" keyframe="1" points="{points}" z_order="0"/>'
        for frame, outside in ((0, 0), (1, 0), (7, 1))
    )
    body = f'<track id="0" label="road" source="manual">{body}</track>'
    bits = mask(np.ones((2, 2), bool), 8, 8).replace("<mask", '<mask frame="1" outside="0" keyframe="1"')
    file = export(tmp_path, body + f'<track id="1" label="car" source="manual">{bits}</track>')
    done = convert(file, tmp_path / "out", images=tmp_path / "frames")
    found = read(tmp_path / "out")
    assert found.keys() == {"frame_000000", "frame_000001"} and done.objects == 3
    assert np.array_equal(found["frame_000001"], label(((1, 1, 4, 4), 1), ((8, 8, 10, 10), 2)))


FAULTS = [
    (mask(np.ones((2, 2), bool), 1, 1).replace('"0, 4"', '"0, 5"'), r"mask 1 \(car\): its counts add up to 5, its box"),
    (mask(np.ones((2, 2), bool), 1, 1).replace('"0, 4"', '"a"'), "its rle is 'a', expected counts"),
    (mask(np.ones((2, 2), bool), 1, 1).replace('width="2"', 'width="x"'), "its width is 'x', expected a number"),
    (mask(np.ones((2, 2), bool), 1, 1).replace('width="2"', 'width="0"'), "its box is 0x2"),
    (polygon("1,1;2"), "x and y by turns"),
    (polygon("1,1;2,x"), "its points are '1,1;2,x', expected x,y;x,y"),
    (polygon(square(1, 1, 3, 3), "bus"), "its class is 'bus', which is not among the classes"),
    ('<box label="car" xtl="1" ytl="1" xbr="2"/>', "its ybr is '', expected a number"),
]


@pytest.mark.parametrize(("shape", "message"), FAULTS)
def test_faults(shape: str, message: str, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    file = export(tmp_path, image(shape, name="a.png") + image(polygon(square(0, 0, 4, 4)), name="b.png"))
    with pytest.raises(DatasetError, match=message) as caught:
        convert(file, tmp_path / "out")
    assert "annotations.xml: image a.png: " in str(caught.value) and not (tmp_path / "out").exists()
    assert convert(file, tmp_path / "out", skip_bad=True).pictures == 1


def test_files_that_are_damaged_or_declare_entities(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    file = export(tmp_path, image(name="a.png"))
    file.write_text(file.read_text()[:-20])
    with pytest.raises(DatasetError, match=r"annotations.xml: damaged, or no XML"):
        convert(file, tmp_path / "out")
    file.write_text('<!DOCTYPE a [<!ENTITY b "c">]><annotations><meta/></annotations>')
    with pytest.raises(DatasetError, match="declares entities"):
        convert(file, tmp_path / "out", kind="cvat")


# ---- masks with labelmap.txt

COLORS = {0: (0, 0, 0), 1: (250, 50, 83), 2: (1, 2, 3), 255: (224, 224, 192)}
MAP = label(((0, 2, 8, 9), 1), ((4, 0, 14, 4), 2), ((13, 9, 14, 10), 255))


def voc(root: Path, numbers: bool = False) -> Path:
    root.mkdir()
    (root / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:250,50,83::\na: b:1,2,3:head,hand:run\n"
    )
    (root / "SegmentationClass").mkdir()
    for name in "ab":
        picture(root / f"JPEGImages/{name}.jpg")
        rgb = np.zeros((*MAP.shape, 3), np.uint8)
        for value, color in COLORS.items():
            rgb[value == MAP] = color
        Image.fromarray(MAP if numbers else rgb).save(root / f"SegmentationClass/{name}.png")
    return root


@pytest.mark.parametrize("numbers", [False, True])
def test_masks_with_a_labelmap(numbers: bool, tmp_path: Path) -> None:
    root = voc(tmp_path / "set", numbers)
    done = convert(root, tmp_path / "out")
    assert (done.kind, done.classes.names) == ("voc", ("background", "road", "a: b"))
    assert done.classes.colors[1] == (250, 50, 83) and np.array_equal(read(tmp_path / "out")["b"], MAP)
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    (root / "ImageSets/Segmentation/train.txt").write_text("a\n")
    (root / "ImageSets/Segmentation/val.txt").write_text("b\n")
    convert(root, tmp_path / "2")
    assert read(tmp_path / "2", "train").keys() == {"a"} and read(tmp_path / "2", "val").keys() == {"b"}


def test_a_labelmap_without_colours_means_those_of_voc(tmp_path: Path) -> None:
    """As datumaro writes classes that had none."""
    root = voc(tmp_path / "set")
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:::\nroad:::\ncar:::\n")
    painted = np.zeros((*MAP.shape, 3), np.uint8)
    painted[MAP == 1], painted[MAP == 2], painted[MAP == 255] = (128, 0, 0), (0, 128, 0), (224, 224, 192)
    for name in "ab":
        Image.fromarray(painted).save(root / f"SegmentationClass/{name}.png")
    done = convert(root, tmp_path / "out")
    assert done.kind == "voc" and np.array_equal(read(tmp_path / "out")["a"], MAP)
    (root / "labelmap.txt").write_text("background:::\nroad:128,0,0::\ncar:::\n")
    with pytest.raises(DatasetError, match=r"labelmap.txt: background has no colour and others have one"):
        convert(root, tmp_path / "2")


def test_faults_of_a_labelmap(tmp_path: Path) -> None:
    root = voc(tmp_path / "set")
    (root / "labelmap.txt").write_text("road:0,0,0::\nroad:1,1,1::\n")
    with pytest.raises(DatasetError, match=r"labelmap.txt:2: road or its colour .* stands twice"):
        convert(root, tmp_path / "out")
    (root / "labelmap.txt").write_text("road:0,0,0::\ncar:1,1,300::\n")
    with pytest.raises(DatasetError, match=r"labelmap.txt:2: 'car:1,1,300::', expected name:red,green,blue"):
        convert(root, tmp_path / "out")
    (root / "JPEGImages").rename(root / "photos")
    with pytest.raises(DatasetError, match=r"there is no .*JPEGImages: say with `images`"):
        convert(root, tmp_path / "out")
