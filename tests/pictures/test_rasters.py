"""Huge and georeferenced TIFFs, through the command: the same labels as of the picture, and where they lie."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from other_process import on_a_full_disk
from small_engine import SmallEngine
from tarsia.card import Card, Classes, Input
from tarsia.errors import ImageError
from tarsia.output import fitting, of_raster
from tarsia.pictures import rasters, tiff
from tarsia.pictures.reader import open_picture, read
from tarsia.predicting import predict
from tarsia.prediction.predictor import Predictor

rasterio = pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")

CLASSES = Classes(names=("dark", "bright"), colors=((40, 40, 40), (0, 200, 0)))
UTM = {"crs": "EPSG:32633", "transform": rasterio.Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000)}


class BrightnessEngine(SmallEngine):
    """Class = brighter than 128 or not."""

    def __init__(self, settings: Input | None = None) -> None:
        self.card = Card(architecture="brightness", model={}, classes=CLASSES, input=settings or Input(stride=8))

    def run(self, images_BHW3):
        brightness_BHW = images_BHW3.astype(np.float32).mean(3) / 20
        return np.stack([6.4 - brightness_BHW, brightness_BHW - 6.4], axis=1)


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(BrightnessEngine())


def picture(height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (height // 10 + 1, width // 10 + 1, 3), np.uint8)
    return coarse.repeat(10, 0).repeat(10, 1)[:height, :width]


def save(path: Path, image_HW3: np.ndarray, **profile: object) -> Path:
    height, width, count = image_HW3.shape
    made = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": image_HW3.dtype.name}
    alpha = profile.pop("alpha", False)
    mask = profile.pop("mask", None)
    with rasterio.open(path, "w", **made | UTM | profile) as file:
        file.write(image_HW3.transpose(2, 0, 1))
        if alpha:
            kinds = rasterio.enums.ColorInterp
            file.colorinterp = [kinds.red, kinds.green, kinds.blue, kinds.alpha]
        if mask is not None:
            file.write_mask(mask)
    return path


STORED = [
    {},
    {"compress": "deflate", "tiled": True, "blockxsize": 64, "blockysize": 64},
    {"compress": "lzw", "blockysize": 7},
    {"compress": "jpeg", "photometric": "ycbcr", "tiled": True, "blockxsize": 32, "blockysize": 32},
    {"interleave": "pixel", "BIGTIFF": "YES"},
]


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("tiles", [(None, None), (64, 0.25)])
def test_labels_are_the_pictures_and_lie_where_it_lies(stored, tiles, predictor, tmp_path):
    source = save(tmp_path / "map.tif", picture(330, 210), **stored)
    saved = ("label", "confidence", "overlay", "geojson")
    run = predict(predictor.in_tiles(*tiles), [source], tmp_path / "out", save=saved)
    assert run.exit_code == 0 and run.done == [(source, tmp_path / "out" / "map.tif")]
    with rasterio.open(tmp_path / "out" / "map.tif") as found, rasterio.open(source) as given:
        image_HW3 = read(source).values_HWC
        assert (found.crs, found.transform) == (given.crs, given.transform) and found.nodata == 255
        assert found.colormap(1)[1] == (0, 200, 0, 255) and found.block_shapes == [(512, 512)]
        label_HW = found.read(1)
    expected = predictor(image_HW3, confidence=True)
    np.testing.assert_array_equal(label_HW, expected.label_HW)
    with rasterio.open(tmp_path / "out" / "map_confidence.tif") as found:
        assert np.abs(found.read(1) - expected.confidence_HW * 255).max() <= 0.51 and found.crs
    with Image.open(tmp_path / "out" / "map_overlay.jpg") as overlay:
        assert overlay.width >= 210 and overlay.height >= 330
    polygons = json.loads((tmp_path / "out" / "map.geojson").read_text())
    assert polygons["crs"]["properties"]["name"] == "EPSG:32633"
    x, y = polygons["features"][0]["geometry"]["coordinates"][0][0]
    assert 400_000 <= x <= 400_105 and 5_799_835 <= y <= 5_800_000


KINDS = [
    ("16-bit", (picture(40, 30).astype(np.uint16) << 8) | 77, {}),
    ("grey", picture(40, 30)[..., :1], {}),
    ("grey, 16-bit", picture(40, 30)[..., :1].astype(np.uint16) << 8, {}),
    ("planes", picture(40, 30), {"interleave": "band"}),
]


@pytest.mark.parametrize(("values_HWC", "stored"), [case[1:] for case in KINDS], ids=[case[0] for case in KINDS])
def test_kinds_of_pixels_are_read_as_in_pictures(values_HWC, stored, tmp_path):
    path = save(tmp_path / "map.tif", values_HWC, **stored)
    with open_picture(path, limit=None) as found:
        rows = np.concatenate([found.rows(0, 17)[0], found.rows(17, 40)[0]])
    narrow = (values_HWC >> 8).astype(np.uint8) if values_HWC.dtype == np.uint16 else values_HWC
    np.testing.assert_array_equal(rows, np.broadcast_to(narrow, (40, 30, 3)))


def test_a_palette_gives_its_colours(tmp_path):
    path = tmp_path / "map.tif"
    Image.fromarray(picture(40, 30)).quantize(9).save(path)
    with Image.open(path) as given:
        np.testing.assert_array_equal(read(path).values_HWC, np.asarray(given.convert("RGB")))


def test_where_there_is_no_data_there_is_no_class(predictor, tmp_path):
    image_HW3 = picture(40, 30)
    image_HW3[:20, :10] = 7
    whole = predictor(image_HW3).label_HW
    nowhere_HW = np.zeros((40, 30), bool)
    nowhere_HW[:20, :10] = True
    alpha_HW4 = np.dstack([image_HW3, np.where(nowhere_HW, 0, 255).astype(np.uint8)])
    save(tmp_path / "alpha.tif", alpha_HW4, alpha=True)
    save(tmp_path / "mask.tif", image_HW3, mask=~nowhere_HW)
    save(tmp_path / "value.tif", image_HW3, nodata=7)
    run = predict(predictor, sorted(tmp_path.glob("*.tif")), tmp_path / "out", save=("label", "csv"))
    assert len(run.done) == 3
    for _, path in run.done:
        with rasterio.open(path) as found:
            np.testing.assert_array_equal(found.read(1), np.where(nowhere_HW, 255, whole))
    assert (tmp_path / "out" / "shares.csv").read_text().count("(ignored),200") == 3


def test_further_bands_are_left_out_and_that_is_said(predictor, tmp_path, capsys):
    bands_HW5 = np.dstack([picture(40, 30), picture(40, 30)[..., :2] // 2])
    run = predict(predictor, [save(tmp_path / "map.tif", bands_HW5, photometric="rgb")], tmp_path / "out")
    with rasterio.open(run.done[0][1]) as found:
        np.testing.assert_array_equal(found.read(1), predictor(picture(40, 30)).label_HW)
    assert "map.tif: a TIFF of 5 bands; those after red, green and blue are left out" in capsys.readouterr().err


def test_dark_and_several_pictures_are_announced(predictor, tmp_path, capsys):
    dark = save(tmp_path / "dark.tif", picture(40, 30).astype(np.uint16))
    several = tmp_path / "several.tif"
    Image.fromarray(picture(40, 30)).save(several, save_all=True, append_images=[Image.fromarray(picture(30, 40))])
    with open_picture(several, limit=None) as found:
        assert found.size == (40, 30) and "holds several pictures" in found.remarks()[0]
    run = predict(predictor, [dark], tmp_path / "out")
    assert run.exit_code == 0
    assert (
        f"dark.tif: 16-bit picture whose largest value is {picture(40, 30).max()} of 65535" in capsys.readouterr().err
    )


REFUSED = [
    ("six bands", np.zeros((9, 9, 6), np.uint8), {}, "a TIFF of 6 bands"),
    ("float", np.zeros((9, 9, 3), np.float32), {}, "are float32, expected uint8: nothing says which value is white"),
    ("signed", np.zeros((9, 9, 1), np.int16), {}, "are int16"),
    ("two bands", np.zeros((9, 9, 2), np.uint8), {}, "a TIFF of 2 bands"),
]


@pytest.mark.parametrize(
    ("values_HWC", "stored", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_is_no_picture_is_refused(values_HWC, stored, message, predictor, tmp_path):
    sources = [save(tmp_path / "map.tif", values_HWC, **stored), save(tmp_path / "fine.tif", picture(9, 9))]
    run = predict(predictor, sources, tmp_path / "out")
    assert [path.name for path, _ in run.done] == ["fine.tif"]
    assert run.failed[0][1].startswith(f"{sources[0]}: ") and message in run.failed[0][1]
    assert not (tmp_path / "out" / "map.tif").exists()


def test_one_strip_of_everything_is_refused(predictor, tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "_LARGEST_SEGMENT", 1000)
    source = save(tmp_path / "map.tif", picture(40, 30), blockysize=40, compress="deflate")
    run = predict(predictor, [source], tmp_path / "out")
    assert "is stored in pieces of 40x30" in run.failed[0][1]


def test_a_cut_file_leaves_nothing_behind(predictor, tmp_path):
    whole = save(tmp_path / "whole.tif", picture(330, 210), tiled=True, blockxsize=64, blockysize=64)
    cut = tmp_path / "cut.tif"
    cut.write_bytes(whole.read_bytes()[:-9000])
    run = predict(predictor.in_tiles(64), [cut, whole], tmp_path / "out")
    assert [path.name for path, _ in run.done] == ["whole.tif"] and "cut.tif: " in run.failed[0][1]
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.name[0] != ".") == [
        *("shares.json", "whole.tif", "whole_overlay.jpg"),
    ]


def test_beyond_the_cap_of_pictures(predictor, tmp_path, monkeypatch, capsys):
    """A plain TIFF larger than a picture may be is read by windows; polygons have their limit."""
    for module in (of_raster, rasters, fitting):
        monkeypatch.setattr(module, "MAX_PIXELS", 10_000)
    source = tmp_path / "huge.tif"
    Image.fromarray(picture(600, 700)).save(source, tiffinfo={278: 16})  # rows of a strip
    run = predict(predictor, [source], tmp_path / "out")
    assert "geotransform" not in capsys.readouterr().err  # rasterio warns of what is nobody's fault
    heard_by_others = pytest.warns(rasterio.errors.NotGeoreferencedWarning)
    with heard_by_others, rasterio.open(run.done[0][1]) as found:
        np.testing.assert_array_equal(found.read(1), predictor(source).label_HW)
        assert found.crs is None and found.transform.is_identity
    with Image.open(source) as given:
        assert given.tag_v2[278] < 600
    run = predict(predictor, [source], tmp_path / "no", save=("geojson",))
    assert "more than the 10,000 of which polygons are made" in run.failed[0][1]
    fixed = Predictor(BrightnessEngine(Input(short_side=64, stride=8)))
    run = predict(fixed, [source], tmp_path / "fixed")
    assert "420,000 pixels to the network, more than 10,000 at once; tiles are no way out: `tile`" in run.failed[0][1]


def test_a_plain_small_tiff_stays_a_picture(predictor, tmp_path):
    Image.fromarray(picture(40, 30)).save(tmp_path / "a.tif")
    run = predict(predictor, [tmp_path / "a.tif"], tmp_path / "out", save=("label",))
    assert run.done[0][1] == tmp_path / "out" / "a.png"


def test_a_preview_has_every_nth_pixel():
    image_HW3 = picture(331, 210)
    preview = of_raster.Preview((331, 210), longest=100)
    for top in range(0, 331, 37):
        preview.add(top, image_HW3[top : top + 37], image_HW3[top : top + 37, :, 0])
    np.testing.assert_array_equal(preview.arrays()[0], image_HW3[::4, ::4])


def test_rows_in_any_number_are_written_in_order(tmp_path):
    source = save(tmp_path / "map.tif", picture(1300, 40))
    rows_HW = np.random.default_rng(0).integers(0, 256, (1300, 40), np.uint8)
    with rasters.writing_raster(tmp_path / "out.tif", (1300, 40), rasters.place_of(source)) as writer:
        for top, bottom in ((0, 3), (3, 700), (700, 701), (701, 1300)):
            writer.write(rows_HW[top:bottom])
    with rasterio.open(tmp_path / "out.tif") as found:
        np.testing.assert_array_equal(found.read(1), rows_HW)


@pytest.mark.parametrize("how", ["inside", "world file", "nowhere"])
def test_a_jpeg_2000_keeps_its_place(how, predictor, tmp_path):
    image_HW3 = picture(40, 30)
    path = tmp_path / "tile.jp2"
    lossless = {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES", "YCBCR420": "NO"}
    save(path, image_HW3, **lossless, **({} if how == "inside" else {"crs": None, "transform": None}))
    if how == "world file":
        (tmp_path / "tile.j2w").write_text("0.5\n0\n0\n-0.5\n400000.25\n5799999.75\n")
    run = predict(predictor, [path], tmp_path / "out", save=("label", "confidence", "geojson"))
    label = run.done[0][1]
    assert label.name == ("tile.png" if how == "nowhere" else "tile.tif")
    np.testing.assert_array_equal(read(path).values_HWC, image_HW3)
    with Image.open(label) as found:
        np.testing.assert_array_equal(np.asarray(found), predictor(image_HW3).label_HW)
    assert (rasters.place_of(path) is None) is (how == "nowhere")
    if how == "nowhere":
        return
    for name in ("tile.tif", "tile_confidence.tif"):
        with rasterio.open(tmp_path / "out" / name) as found:
            assert found.transform == UTM["transform"] and (found.crs is not None) is (how == "inside")
    polygons = json.loads((tmp_path / "out" / "tile.geojson").read_text())
    x, y = polygons["features"][0]["geometry"]["coordinates"][0][0]
    assert 400_000 <= x <= 400_015 and 5_799_980 <= y <= 5_800_000


def test_without_rasterio(tmp_path):
    """A GeoTIFF is read as a picture, and a line says what is lost."""
    save(tmp_path / "map.tif", picture(40, 30))
    code = (
        "import sys; sys.modules['rasterio'] = None; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "import test_predicting as t\n"
        "run = t.predict(t.Predictor(t.BrightnessEngine()), [Path(sys.argv[2])], Path(sys.argv[3]), save=('label',))\n"
        "print([path.name for _, path in run.done])"
    )
    arguments = [str(Path(__file__).parents[1]), str(tmp_path / "map.tif"), str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.stdout == "['map.png']\n", done.stderr
    assert "its georeference is lost" in done.stderr and "extra `geo`" in done.stderr


def test_a_missing_file_and_one_of_another_kind(tmp_path):
    for name in ("none.tif", "/vsicurl/none.tif"):
        with pytest.raises(ImageError, match="no such file"):
            rasters.place_of(Path(name))
    (tmp_path / "text.tif").write_text("hello")
    with pytest.raises(ImageError, match="damaged, cut off or no TIFF"):
        rasters.place_of(tmp_path / "text.tif")


@pytest.mark.parametrize(("side", "limit"), [(300, 4_000), (300, 600), (1000, 20_000)])
def test_a_full_disk_leaves_no_cut_raster(side, limit, tmp_path):
    """GDAL says nothing where it fails only when the file is closed."""
    noise_HW3 = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    source = save(tmp_path / "map.tif", noise_HW3)
    code = "predict(Predictor(BrightnessEngine()).in_tiles(256), [sys.argv[1]], sys.argv[2], save=('label',))"
    done = on_a_full_disk(limit, "from test_rasters import *", code, source, tmp_path / "out")
    assert "cannot write" in done.stdout and "map.tif" in done.stdout, done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".predict.jsonl"]
