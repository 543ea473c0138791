"""VIA, Supervisely, datumaro and LabelMe of the web: files as each writes them, drawn by hand."""

from __future__ import annotations

import base64
import csv
import io
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tarsia.converting import convert
from tarsia.errors import DatasetError
from test_converting import label, picture, read, runs, write_json

HIGH, WIDE = 10, 14
ROWS, COLUMNS = np.mgrid[:HIGH, :WIDE] + 0.5
HOLED = np.zeros((4, 5), bool)
HOLED[:, :] = True
HOLED[1:3, 2] = False


def outline(left: int, top: int, right: int, bottom: int) -> list[list[int]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def png(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


# ---- VIA


def via_shape(name: str, of: Any, **values: Any) -> dict[str, Any]:
    return {"shape_attributes": {"name": name, **values}, "region_attributes": {} if of is None else {"class": of}}


def via_polygon(of: Any, left: int, top: int, right: int, bottom: int) -> dict[str, Any]:
    x, y = zip(*outline(left, top, right, bottom), strict=True)
    return via_shape("polygon", of, all_points_x=list(x), all_points_y=list(y))


def via(root: Path, *regions: Any, project: bool = False, as_object: bool = False, **more: Any) -> Path:
    picture(root / "straße.png")
    listed: Any = {str(i): region for i, region in enumerate(regions)} if as_object else list(regions)
    entry = {"filename": "straße.png", "size": 123, "regions": listed, "file_attributes": {}}
    tree: dict[str, Any] = {"straße.png123": entry}
    return write_json(root / "via.json", {"_via_settings": {}, "_via_img_metadata": tree, **more} if project else tree)


@pytest.mark.parametrize("as_object", [False, True], ids=["VIA 2", "VIA 1"])
def test_via_small_above_large(as_object: bool, tmp_path: Path) -> None:
    regions = [via_polygon("car", 3, 3, 5, 5), via_shape("rect", "road", x=0, y=2, width=8, height=7)]
    regions += [via_shape("point", "road", cx=1, cy=1)]
    done = convert(via(tmp_path, *regions, as_object=as_object), tmp_path / "out")
    assert (done.kind, done.classes.names) == ("via", ("background", "car", "road"))
    assert np.array_equal(read(tmp_path / "out")["straße"], label(((0, 2, 8, 9), 2), ((3, 3, 5, 5), 1)))
    assert done.notes[0].startswith("regions of type point, which have no area, left out: 1")


def test_via_round_shapes_of_a_project_whose_classes_are_ticked(tmp_path: Path) -> None:
    round_ = via_shape("circle", {"b": True, "a": False}, cx=3, cy=4, r=2.5)
    oval = via_shape("ellipse", {"a": True}, cx=10, cy=5, rx=1, ry=4, theta=math.pi / 2)
    options = {"region": {"class": {"type": "checkbox", "options": {"b": "", "a": "", "c": ""}}}, "file": {}}
    done = convert(via(tmp_path, round_, oval, project=True, _via_attributes=options), tmp_path / "out")
    assert done.classes.names == ("background", "b", "a", "c")
    wanted = ((COLUMNS - 3) ** 2 + (ROWS - 4) ** 2 < 2.5**2).astype(np.uint8)
    wanted[((COLUMNS - 10) / 4) ** 2 + (ROWS - 5) ** 2 < 1] = 2
    assert np.array_equal(read(tmp_path / "out")["straße"], wanted)


def test_via_without_and_with_several_attributes(tmp_path: Path) -> None:
    done = convert(via(tmp_path, via_polygon(None, 0, 0, 4, 4)), tmp_path / "out")
    assert done.classes.names == ("background", "object") and "no region has an attribute" in done.notes[0]
    one = via_polygon("car", 0, 0, 4, 4)
    one["region_attributes"]["color"] = "red"
    file = via(tmp_path, one)
    with pytest.raises(DatasetError, match=r"several attributes \(class, color\): say with `class_from` which"):
        convert(file, tmp_path / "2")
    assert convert(file, tmp_path / "2", class_from="color").classes.names == ("background", "red")
    with pytest.raises(DatasetError, match="no region has the attribute colour, did you mean color"):
        convert(file, tmp_path / "3", class_from="colour")


def test_via_as_a_table(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    columns = "#filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"
    with (tmp_path / "via.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns.split(","))
        shape = '{"name":"rect","x":1,"y":2,"width":3,"height":4}'
        table.writerow(["a.png", 9, "{}", 1, 0, shape, '{"class":"car"}'])
    convert(tmp_path / "via.csv", tmp_path / "out")
    assert np.array_equal(read(tmp_path / "out")["a"], label(((1, 2, 4, 6), 1)))
    (tmp_path / "via.csv").write_text((tmp_path / "via.csv").read_text().replace(":4}", ":4"))
    with pytest.raises(DatasetError, match=r"via.csv:2: no table of VIA"):
        convert(tmp_path / "via.csv", tmp_path / "2")


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (via_shape("polygon", "a", all_points_x=[1, 2], all_points_y=[1]), r"region 0 \(a\): its all_points_x and"),
        (via_shape("blob", "a"), "its type is 'blob', expected one of polygon, rect"),
        (via_shape("rect", "a", x=1, y=None, width=3, height=4), "expected numbers"),
        (7, "region 0 is 7, expected an object"),
    ],
)
def test_faults_of_via(region: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=message):
        convert(via(tmp_path, region, via_polygon("a", 0, 0, 3, 3)), tmp_path / "out", kind="via")


# ---- Supervisely


def sly(kind: str, title: str = "car", **more: Any) -> dict[str, Any]:
    return {"id": 1, "classTitle": title, "geometryType": kind, "tags": [], **more}


def sly_bitmap(image: Image.Image, origin: list[int], packed: bool = True, **options: Any) -> dict[str, Any]:
    content = png(image, **options)
    data = base64.b64encode(zlib.compress(content) if packed else content).decode()
    return sly("bitmap", bitmap={"data": data, "origin": origin})


def project(root: Path, *objects: dict[str, Any]) -> Path:
    picture(root / "ds1/img/a.b.jpg")
    classes = [{"title": "road", "shape": "any", "color": "#0A0B0C"}, {"title": "car", "shape": "bitmap", "color": "x"}]
    write_json(root / "meta.json", {"classes": classes, "tags": [], "projectType": "images"})
    tree = {"description": "", "tags": [], "size": {"height": HIGH, "width": WIDE}, "objects": list(objects)}
    write_json(root / "ds1/ann/a.b.jpg.json", tree)
    return root


def test_supervisely_in_the_order_of_the_list(tmp_path: Path) -> None:
    ring = sly("polygon", "road", points={"exterior": outline(0, 0, 9, 9), "interior": [outline(2, 2, 5, 5)]})
    line = sly("line", "road", points={"exterior": [[0, 0], [9, 9]], "interior": []})
    flat = sly("rectangle", "car", points={"exterior": [[8, 1], [13, 4]], "interior": []})
    done = convert(project(tmp_path / "set", ring, line, flat), tmp_path / "out")
    assert (done.kind, done.classes.names) == ("supervisely", ("background", "road", "car"))
    assert done.classes.colors[1] == (10, 11, 12)
    wanted = label(((0, 0, 9, 9), 1), ((2, 2, 5, 5), 0), ((8, 1, 13, 4), 2))
    assert np.array_equal(read(tmp_path / "out")["ds1/img/a.b"], wanted)
    assert done.notes == (
        f"objects of type line, which have no area, left out: 1 (first: {_ann(tmp_path)}: object 1 (road))",
    )


def _ann(root: Path) -> Path:
    return root / "set/ds1/ann/a.b.jpg.json"


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "1", "plain"])
def test_supervisely_bitmaps(mode: str, tmp_path: Path) -> None:
    """Four bands: what is opaque; a palette: every entry but the first, which the SDK makes transparent."""
    options: dict[str, Any] = {}
    if mode == "RGBA":
        image = Image.fromarray(np.dstack([np.full((4, 5, 3), 7, np.uint8), HOLED * np.uint8(255)]))
    elif mode == "P":
        image = Image.fromarray(HOLED.astype(np.uint8), "L").convert("P")
        image.putpalette([255, 255, 255, 0, 0, 0])
        options = {"transparency": 0}
    else:
        image = Image.fromarray(HOLED if mode == "1" else HOLED * np.uint8(255))
    one = sly_bitmap(image, [9, 6], mode != "plain", **options)
    convert(project(tmp_path / "set", one), tmp_path / "out")
    wanted = np.zeros((HIGH, WIDE), np.uint8)
    wanted[6:10, 9:14] = 2 * HOLED
    assert np.array_equal(read(tmp_path / "out")["ds1/img/a.b"], wanted)


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (sly("bitmap", bitmap={"data": "???", "origin": [1, 1]}), r"object 0 \(car\): its bitmap is damaged"),
        (sly("bitmap", bitmap={"data": "", "origin": [1]}), r"the origin \[1\], expected \[x, y\]"),
        (sly("rectangle", points={"exterior": [[1, 1]]}), "a rectangle of 1 points, expected 2"),
        (sly("spline"), "its geometryType is 'spline', expected bitmap"),
        (sly("polygon", points=[1]), r"its points are \[1\], expected an object with exterior"),
        (sly("polygon", "bus", points={"exterior": outline(0, 0, 3, 3)}), "its class is 'bus', which is not among"),
        (sly("polygon", None, points={}), "its classTitle is None"),  # type: ignore[arg-type]
    ],
)
def test_faults_of_supervisely(one: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        convert(project(tmp_path / "set", one), tmp_path / "out")
    assert "a.b.jpg.json: object 0" in str(caught.value)


# ---- datumaro


def dm(root: Path, *annotations: dict[str, Any], subset: str = "default", **item: Any) -> Path:
    picture(root / f"images/{subset}/sub/a.png")
    labels = [{"name": name, "parent": "", "attributes": []} for name in ("road", "car")]
    colormap = [{"label_id": 0, "r": 1, "g": 2, "b": 3}]
    categories = {"label": {"labels": labels, "attributes": []}, "mask": {"colormap": colormap}}
    found = {"id": "sub/a", "image": {"path": "sub/a.png", "size": [HIGH, WIDE]}, "annotations": list(annotations)}
    return write_json(
        root / f"annotations/{subset}.json", {"info": {}, "categories": categories, "items": [found | item]}
    )


def dm_polygon(number: int | None, layer: int, left: int, top: int, right: int, bottom: int) -> dict[str, Any]:
    points = [n for point in outline(left, top, right, bottom) for n in point]
    return {"id": 1, "type": "polygon", "label_id": number, "z_order": layer, "points": points}


def dm_mask(mask: np.ndarray, number: int = 1) -> dict[str, Any]:
    rle = {"counts": runs(mask.T.astype(int).ravel().tolist()), "size": list(mask.shape)}
    return {"id": 2, "type": "mask", "label_id": number, "group": 0, "attributes": {"is_crowd": True}, "rle": rle}


def test_datumaro_by_its_layers(tmp_path: Path) -> None:
    mask = np.zeros((HIGH, WIDE), bool)
    mask[6:10, 9:14] = HOLED
    box = {"id": 3, "type": "bbox", "label_id": 0, "bbox": [11, 0, 2, 2]}
    upper, lower = dm_polygon(1, 2, 4, 0, 14, 4), dm_polygon(0, 1, 0, 2, 8, 9)
    caption = {"id": 4, "type": "caption", "caption": "hello"}
    for item in ({}, {"image": {}}):
        root = tmp_path / f"{len(item)}"
        done = convert(
            dm(root, upper, lower, box, dm_mask(mask), caption, dm_polygon(None, 3, 0, 0, 9, 9), **item), root / "out"
        )
        assert (done.kind, done.classes.names) == ("datumaro", ("background", "road", "car"))
        assert done.classes.colors[1] == (1, 2, 3)
        wanted = label(((11, 0, 13, 2), 1), ((0, 2, 8, 9), 1), ((4, 0, 14, 4), 2))
        wanted[mask] = 2
        assert np.array_equal(read(root / "out")["images/default/sub/a"], wanted)
        assert len(done.notes) == 2


def test_subsets_of_datumaro_are_splits(tmp_path: Path) -> None:
    for subset in ("train", "val"):
        dm(tmp_path, dm_polygon(0, 0, 0, 0, 3, 3), subset=subset)
    convert(tmp_path, tmp_path / "out")
    assert len(read(tmp_path / "out", "train")) == len(read(tmp_path / "out", "val")) == 1


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (dm_polygon(2, 0, 0, 0, 3, 3), "annotation 1: its label_id is 2, expected 0 to 1"),
        (dm_mask(np.ones((3, 3), bool)), r"its run lengths are for a picture of \(3, 3\), but it is \(10, 14\)"),
        ({**dm_mask(np.ones((3, 3), bool)), "rle": {"counts": "~", "size": [3, 3]}}, "its run lengths are damaged"),
        ({**dm_mask(np.ones((3, 3), bool)), "rle": {"counts": [4], "size": [3, 3]}}, "they are not 9 pixels"),
        ({"id": 3, "type": "bbox", "label_id": 0, "bbox": [1]}, r"its bbox is \[1\], expected"),
    ],
)
def test_faults_of_datumaro(one: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        convert(dm(tmp_path, one), tmp_path / "out")
    assert "default.json: item sub/a: annotation" in str(caught.value)


# ---- LabelMe of the web


def web(root: Path, *objects: str, size: str = "<nrows>10</nrows><ncols>14</ncols>", folder: str = "set1") -> Path:
    picture(root / "Images/set1/a.jpg")
    file = root / "Annotations/set1/a.xml"
    file.parent.mkdir(parents=True, exist_ok=True)
    head = f"<filename>\n a.jpg\n</filename><folder>{folder}</folder><source/>"
    file.write_text(f"<annotation>{head}{''.join(objects)}<imagesize>{size}</imagesize></annotation>")
    return root


def web_polygon(name: str, *corners: int, deleted: int = 0) -> str:
    points = "".join(f"<pt><x>\n{x}\n</x><y>{y}</y></pt>" for x, y in outline(*corners))
    return f"<object><name>\n{name}\n</name><deleted>{deleted}</deleted><polygon><username/>{points}</polygon></object>"


def test_labelme_of_the_web(tmp_path: Path) -> None:
    rgb = np.zeros((HIGH, WIDE, 4), np.uint8)
    rgb[..., 3] = 255
    rgb[6:10, 9:14, 1] = 9 * HOLED
    (tmp_path / "Masks").mkdir()
    Image.fromarray(rgb).save(tmp_path / "Masks/a.png")
    mask = "<object><name>car</name><deleted>0</deleted><segm><username/><box/><mask>a.png</mask></segm></object>"
    objects = [web_polygon("road", 0, 2, 8, 9), web_polygon("gone", 0, 0, 14, 9, deleted=1), mask]
    done = convert(web(tmp_path, *objects), tmp_path / "out")
    assert (done.kind, done.classes.names) == ("labelme-web", ("background", "car", "road"))
    wanted = label(((0, 2, 8, 9), 2))
    wanted[6:10, 9:14][HOLED] = 1
    assert np.array_equal(read(tmp_path / "out")["Images/set1/a"], wanted)
    for one, message in (
        ("<object><name>a</name></object>", r"a.xml: object 1 \(a\): has neither a polygon nor a mask"),
        (mask.replace("a.png", "b.png"), r"its mask b.png is in none of .*Masks"),
        (web_polygon("a", 0, 0, 3, 3).replace("<y>0</y>", "<y>x</y>"), "its y is 'x', expected a number"),
    ):
        with pytest.raises(DatasetError, match=message):
            convert(web(tmp_path, web_polygon("road", 0, 2, 8, 9), one), tmp_path / "2")


# ---- what is known and not read


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xml", "<annotation><object><bndbox/></object></annotation>", "a.xml: boxes of Pascal VOC"),
        ("a.json", '{"project": {}, "config": {}, "attribute": {}, "file": {}, "metadata": {}}', "a project of VIA 3"),
        ("a.json", '{"imgHeight": 1, "imgWidth": 1, "objects": [{"polygon": []}]}', "the data set `cityscapes` reads"),
        ("a.json", '{"dataset": {"samples": []}}', "Segments.ai: export COCO panoptic"),
        ("a.csv", "MaskPath,ImageID,LabelName\n", "masks of Open Images"),
        ("a.csv", "ImageId,BuildingId,PolygonWKT_Pix\n", "take its GeoJSON files"),
        ("a.csv", "image,id,label,annotator,annotation_id\n", "a table of Label Studio: export JSON"),
        ("a.zip", "PK\3\4", "an archive: unpack it"),
    ],
)
def test_what_it_seems_to_be_and_what_to_do(name: str, content: str, message: str, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / name).write_text(content)
    for source in (tmp_path, tmp_path / name):
        with pytest.raises(DatasetError, match=message) as caught:
            convert(source, tmp_path / "out")
        assert f"{tmp_path / name}: " in str(caught.value)
