"""Kaggle's run lengths, GeoJSON over rasters and Hugging Face's parquet, written by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tarsia.converting import convert
from tarsia.errors import DatasetError, RecipeError
from test_converting import label, picture, read, write_json

HIGH, WIDE = 10, 14
MASK = np.random.default_rng(3).random((HIGH, WIDE)) < 0.4
MASK[-1, -1] = MASK[0, 0] = True


def lengths(mask: np.ndarray, order: str = "columns") -> str:
    """Starts from 1 and lengths; relative: from the end of the run before, from 0."""
    flat = np.concatenate([[0], (mask if order == "rows" else mask.T).ravel().astype(int), [0]])
    starts, stops = np.flatnonzero(np.diff(flat) == 1), np.flatnonzero(np.diff(flat) == -1)
    counted = starts - np.concatenate([[0], stops[:-1]]) if order == "relative" else starts + 1
    return " ".join(f"{start} {stop - begin}" for start, stop, begin in zip(counted, stops, starts, strict=True))


def table(root: Path, text: str, *names: str) -> Path:
    for name in names:
        picture(root / "images" / name)
    (root / "train.csv").write_text(text)
    return root / "train.csv"


@pytest.mark.parametrize("order", ["columns", "rows", "relative"])
def test_run_lengths(order: str, tmp_path: Path) -> None:
    other = label(((2, 2, 5, 5), 1))
    text = f"ImageId, EncodedPixels\na,{lengths(MASK, order)}\na,{lengths(other, order)}\nb,\nc,-1\n"
    file = table(tmp_path, text, "a.png", "b.jpg", "c.png")
    done = convert(file, tmp_path / "out", run_order=None if order == "columns" else order)
    assert (done.kind, done.classes.names, done.pictures) == ("run-lengths", ("background", "object"), 3)
    found = read(tmp_path / "out")
    assert np.array_equal(found["images/a"], MASK | (other > 0)) and not found["images/b"].any()


@pytest.mark.parametrize("form", ["both", "column", "named"])
def test_run_lengths_with_classes(form: str, tmp_path: Path) -> None:
    """Severstal's a.jpg_2 and its column ClassId; clouds' a.jpg_Fish."""
    one, two = lengths(label(((0, 0, 3, 3), 1))), lengths(label(((5, 5, 9, 9), 1)))
    text = {
        "both": f"ImageId_ClassId,EncodedPixels\na.png_10,{one}\na.png_2,{two}\na.png_3,\n",
        "column": f"ImageId,ClassId,EncodedPixels\na.png,10,{one}\na.png,2,{two}\n",
        "named": f"Image_Label,EncodedPixels\na.png_Fish,{two}\na.png_Sugar,{one}\n",
    }[form]
    done = convert(table(tmp_path, text, "a.png"), tmp_path / "out")
    names = ("Fish", "Sugar") if form == "named" else ("class_2", "class_10")
    assert done.classes.names == ("background", *names)
    assert np.array_equal(read(tmp_path / "out")["images/a"], label(((0, 0, 3, 3), 2), ((5, 5, 9, 9), 1)))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("b,1 2 3", r"train.csv:3: its run lengths are '1 2 3', expected starts and lengths by turns"),
        ("b,1 x", "expected whole numbers"),
        ("b,140 2", "a run goes from 140 to 141, the picture has 140 pixels: .*`run_order`"),
        ("b,0 2", "a run goes from 0 to 1"),
        ("b,5 4 3 2", "its runs overlap, or are not in order"),
        ("z,5 4", "its picture z is missing: no file of that name lies below"),
        ("b", "train.csv:3: 1 columns"),
    ],
)
def test_faults_of_run_lengths(row: str, message: str, tmp_path: Path) -> None:
    file = table(tmp_path, f"ImageId,EncodedPixels\na,1 2\n{row}\n", "a.png", "b.png")
    with pytest.raises(DatasetError, match=message):
        convert(file, tmp_path / "out")
    with pytest.raises(RecipeError, match=r"run_order='diagonal'; known: columns"):
        convert(file, tmp_path / "out", run_order="diagonal")


# ---- GeoJSON


def raster(path: Path, epsg: int | None = 32633) -> Path:
    """A picture of 10 x 14 pixels of 2 m, its corner at (500000, 5000000)."""
    rasterio = pytest.importorskip("rasterio")
    path.parent.mkdir(parents=True, exist_ok=True)
    place = {"crs": f"EPSG:{epsg}", "transform": rasterio.Affine(2, 0, 500_000, 0, -2, 5_000_000)} if epsg else {}
    with rasterio.open(path, "w", driver="GTiff", width=WIDE, height=HIGH, count=3, dtype="uint8", **place) as file:
        file.write(np.random.default_rng(0).integers(0, 255, (3, HIGH, WIDE), np.uint8))
    return path


def ring(left: float, top: float, right: float, bottom: float, more: tuple[float, ...] = ()) -> list[list[float]]:
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    return [[500_000 + 2 * x, 5_000_000 - 2 * y, *more] for x, y in corners]


def feature(of: str, coordinates: Any, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": properties, "geometry": {"type": of, "coordinates": coordinates}}


def collection(*features: dict[str, Any], crs: str | None = "urn:ogc:def:crs:EPSG::32633") -> dict[str, Any]:
    named = {"crs": {"type": "name", "properties": {"name": crs}}} if crs else {}
    return {"type": "FeatureCollection", **named, "features": list(features)}


def test_geojson_over_a_raster(tmp_path: Path) -> None:
    raster(tmp_path / "a.tif")
    holed = feature("Polygon", [ring(0, 0, 9, 9, (7.5,)), ring(2, 2, 5, 5, (7.5,))], **{"class": "field"})
    two = feature("MultiPolygon", [[ring(10, 1, 12, 3)], [ring(11, 5, 14, 10)]], **{"class": "barn"})
    nothing = {"type": "Feature", "properties": {}, "geometry": None}
    write_json(tmp_path / "a.geojson", collection(holed, two, nothing, feature("Point", [1, 2])))
    done = convert(tmp_path, tmp_path / "out")
    assert (done.kind, done.classes.names) == ("geojson", ("background", "barn", "field"))
    wanted = label(((0, 0, 9, 9), 2), ((2, 2, 5, 5), 0), ((10, 1, 12, 3), 1), ((11, 5, 14, 10), 1))
    assert np.array_equal(read(tmp_path / "out")["a"], wanted) and len(done.notes) == 2


def test_geojson_in_longitude_and_latitude(tmp_path: Path) -> None:
    """The same field in WGS 84, which is what a GeoJSON without `crs` is in; as rasterio's own painting has it."""
    warp = pytest.importorskip("rasterio.warp")
    rasterize = pytest.importorskip("rasterio.features").rasterize
    path = raster(tmp_path / "scene_12.tif")
    corners = [[500_001.3, 4_999_998.7], [500_021.9, 4_999_995.2], [500_013.4, 4_999_983.3], [500_001.3, 4_999_998.7]]
    geometry = {"type": "Polygon", "coordinates": [corners]}
    there = json.loads(json.dumps(warp.transform_geom("EPSG:32633", "OGC:CRS84", geometry, precision=12)))
    write_json(tmp_path / "fields.json", collection(feature("Polygon", there["coordinates"], kind="field"), crs=None))
    done = convert(tmp_path / "fields.json", tmp_path / "out", class_from="kind", images=tmp_path)
    assert done.classes.names == ("background", "field"), "one file and one raster belong together"
    import rasterio

    with rasterio.open(path) as file:
        wanted = rasterize([(geometry, 1)], (HIGH, WIDE), transform=file.transform, all_touched=False)
    assert wanted.any() and np.array_equal(read(tmp_path / "out")["scene_12"], wanted)


def test_geojson_in_pixels_and_empty(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    box = [[1, 2], [6, 2], [6, 9], [1, 9], [1, 2]]
    write_json(tmp_path / "a.geojson", collection(feature("Polygon", [box]), crs=None))
    write_json(tmp_path / "b.geojson", collection(crs=None))
    pytest.importorskip("rasterio")
    done = convert(tmp_path, tmp_path / "out")
    found = read(tmp_path / "out")
    assert np.array_equal(found["a"], label(((1, 2, 6, 9), 1))) and not found["b"].any()
    assert any("which lie" in note or "lie nowhere" in note for note in done.notes)


@pytest.mark.parametrize(
    ("features", "crs", "message"),
    [
        ([feature("Polygon", [ring(0, 0, 3, 3)])], "EPSG:0", "crs 'EPSG:0': no system that GDAL knows"),
        ([feature("Polygon", [[["x", 1]]])], "EPSG:32633", r"feature 0: a ring is .*expected points of two numbers"),
        ([feature("Circle", [1])], "EPSG:32633", "its geometry is 'Circle', expected Polygon"),
        ([feature("Polygon", [ring(0, 0, 3, 3)])], None, "feature 0: its coordinates cannot be brought to"),
    ],
)
def test_faults_of_geojson(features: list[Any], crs: str | None, message: str, tmp_path: Path) -> None:
    raster(tmp_path / "a.tif")
    write_json(tmp_path / "a.geojson", collection(*features, crs=crs))
    with pytest.raises(DatasetError, match=message):
        convert(tmp_path, tmp_path / "out")


def test_geojson_without_its_raster_or_its_property(tmp_path: Path) -> None:
    raster(tmp_path / "a.tif")
    raster(tmp_path / "b.tif")
    write_json(tmp_path / "c.geojson", collection())
    with pytest.raises(DatasetError, match=r"c.geojson: no picture of its name lies below .*say with `images`"):
        convert(tmp_path / "c.geojson", tmp_path / "out")
    file = write_json(tmp_path / "a.geojson", collection(feature("Polygon", [ring(0, 0, 3, 3)], height=3)))
    with pytest.raises(DatasetError, match="feature 0: has no property kind, only height"):
        convert(file, tmp_path / "out", class_from="kind")


# ---- parquet


def encoded(array: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


def parquet(path: Path, masks: list[Any], names: list[str] | None = None, plain: bool = False) -> Path:
    arrow = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pixels = np.random.default_rng(0).integers(0, 255, (HIGH, WIDE, 3), np.uint8)
    files = [encoded(pixels, "JPEG") for _ in masks]
    images: list[Any] = files if plain else [{"bytes": file, "path": "x/straße.jpg"} for file in files]
    found = [mask if isinstance(mask, bytes) else encoded(mask, "PNG") for mask in masks]
    labels: list[Any] = found if plain else [{"path": None, "bytes": mask} for mask in found]
    columns = arrow.table({"image": images, "id": list(range(len(masks))), "annotation": labels})
    features: dict[str, Any] = {"image": {"_type": "Image"}, "annotation": {"_type": "Image"}}
    if names:
        features["objects"] = {"feature": {"kind": {"names": names, "_type": "ClassLabel"}}, "_type": "Sequence"}
    described = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(columns if plain else columns.replace_schema_metadata(described), path)
    return path


SCENE = label(((0, 2, 8, 9), 1), ((4, 0, 14, 4), 2), ((12, 8, 14, 10), 255))


@pytest.mark.parametrize("plain", [False, True])
def test_parquet(plain: bool, tmp_path: Path) -> None:
    names = None if plain else ["ground", "road", "car", "bus"]
    for split in ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"):
        parquet(tmp_path / f"{split}.parquet", [SCENE, SCENE * 0], names, plain)
    done = convert(tmp_path, tmp_path / "out", class_from="annotation" if plain else None)
    assert (done.kind, done.pictures) == ("parquet", 6)
    assert done.classes.names == (("class_0", "class_1", "class_2") if plain else tuple(names or ()))
    found = read(tmp_path / "out", "train")
    assert len(found) == 4 and len(read(tmp_path / "out", "validation")) == 2
    assert sum(np.array_equal(one, SCENE) for one in found.values()) == 2
    assert plain or all(name.endswith("-straße") for name in found)


def test_faults_of_parquet(tmp_path: Path) -> None:
    grey = np.zeros((HIGH, WIDE), np.uint8)
    cases: list[tuple[list[Any], str]] = [
        ([encoded(grey, "JPEG")], "row 0: its annotation: .*JPEG"),
        ([np.zeros((HIGH, WIDE, 3), np.uint8)], r"row 0: its annotation is in colours"),
        ([grey[:5]], "row 0: is for a picture of 5x14"),
        ([b""], "row 0: its annotation has no bytes"),
    ]
    for number, (masks, message) in enumerate(cases):
        file = parquet(tmp_path / f"{number}.parquet", masks, ["a", "b"])
        with pytest.raises(DatasetError, match=message):
            convert(file, tmp_path / "out")
    file = parquet(tmp_path / "a.parquet", [grey + 7], ["a", "b"])
    with pytest.raises(DatasetError, match="value 7"):
        convert(file, tmp_path / "out")
    file = tmp_path / "b.parquet"
    file.write_bytes(b"PAR1" + bytes(20))
    with pytest.raises(DatasetError, match=r"b.parquet: damaged, or no parquet"):
        convert(file, tmp_path / "out")
