"""Pictures whose bands are files of their own: the same array whichever way it is asked for, or one error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

import tarsia
from small_engine import SmallEngine
from tarsia.card import Card, Classes, Input, Range, Spec
from tarsia.doctor import sample as doctor
from tarsia.errors import ImageError
from tarsia.pictures.reader import open_picture, read
from tarsia.prediction.predictor import Predictor
from tarsia.spec import BandFile

CLASSES = Classes(names=("a", "b"), colors=((0, 0, 0), (255, 255, 255)))
SIDE = 12
FILES = (BandFile(name="B02", file="*_B02_10m.tif"), BandFile(name="B05", file="*_B05_20m.tif"))
SPEC = Spec(2, "uint16", files=FILES)


def stored(side: int = SIDE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 10_000, (side, side)).astype(np.uint16)


def scene(folder: Path, name: str, *bands: np.ndarray, files: tuple[BandFile, ...] = FILES, **tags: Any) -> Path:
    """The files of a picture; the path of the first."""
    for one, values in zip(files, bands, strict=True):
        path = one.at(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, values, photometric="minisblack", **tags)
    return files[0].at(folder, name)


class Seeing(SmallEngine):
    """Remembers the pictures it was given."""

    def __init__(self, spec: Spec) -> None:
        rule = Range(rule="fixed", low=(0,) * spec.bands, high=(1e4,) * spec.bands)
        settings = Input(stride=2, dtype=spec.dtype, range=rule, files=spec.files, nodata=spec.nodata)
        self.card = Card(architecture="seeing", model={"bands": spec.bands}, classes=CLASSES, input=settings)
        self.seen: list[np.ndarray] = []

    def run(self, images_BHWC: np.ndarray) -> np.ndarray:
        self.seen += list(images_BHWC)
        first = images_BHWC[..., 0].astype(np.float32)
        return np.stack([-first, first], axis=1)


def data_set(root: Path, names: tuple[str, ...], said: str = "") -> Path:
    """Labels and dataset.yaml for pictures that are there already."""
    (root / "labels").mkdir()
    for name in names:
        Image.fromarray((np.indices((SIDE, SIDE)).sum(0) % 2).astype(np.uint8)).save(root / f"labels/{name}.png")
    bands = "".join(f'  - {{name: {one.name}, file: "{one.file}"}}\n' for one in FILES)
    (root / "dataset.yaml").write_text(f"classes: [a, b]\nbands:\n{bands}{said}")
    return root


def test_one_reading_whichever_way_it_is_asked_for(tmp_path: Path) -> None:
    fine, coarse = stored(), stored(SIDE // 2, 1)
    expected = np.stack([fine, coarse.repeat(2, 0).repeat(2, 1)], axis=2)
    path = scene(tmp_path / "images", "x", fine, coarse)
    data_set(tmp_path, ("x",))

    np.testing.assert_array_equal(read(path, SPEC).values_HWC, expected)
    with open_picture(path, SPEC, limit=None) as opened:
        for top, bottom in ((0, SIDE), (7, SIDE - 1), (3, 4), (SIDE - 1, SIDE)):
            np.testing.assert_array_equal(opened.rows(top, bottom)[0], expected[top:bottom])
    dataset = tarsia.data.open("folder", tmp_path, "train")
    assert dataset.spec == SPEC and [dataset.name(0)] == ["x"]
    np.testing.assert_array_equal(dataset[0].image, expected)  # training, and what is evaluated
    np.testing.assert_array_equal(
        tarsia.data.open("folder", tmp_path, "train", cache=tmp_path / "c")[0].image, expected
    )
    np.testing.assert_array_equal(doctor.read(dataset, 0).image, expected)  # check
    engine = Seeing(SPEC)
    predictor = Predictor(engine)
    tifffile.imwrite(
        tmp_path / "all.tif", expected.transpose(2, 0, 1), photometric="minisblack", planarconfig="separate"
    )
    of_bytes, of_path = predictor((tmp_path / "all.tif").read_bytes()), predictor(path)  # the service, Python
    (of_folder,) = predictor(tmp_path / "images")
    for number, words in enumerate(([path], [tmp_path / "images"], [tmp_path / "images/*"])):
        run = tarsia.predict(predictor, words, tmp_path / f"out{number}", save=("label",))
        assert run.exit_code == 0 and run.done == [(path, tmp_path / f"out{number}/x.png")]
    tarsia.evaluate(predictor, dataset)
    assert len(engine.seen) == 7
    for seen in engine.seen:
        np.testing.assert_array_equal(seen[:SIDE, :SIDE], expected)
    for found in (of_path, of_folder):
        np.testing.assert_array_equal(of_bytes.label_HW, found.label_HW)


KEYS = (1, 1, 0, 2, 1025, 0, 1, 1, 3072, 0, 1)


def placed(pixel: float, x: float = 5e5, zone: int = 33) -> dict[str, Any]:
    """Tags that place a TIFF in a zone of UTM."""
    place = [(33550, 12, 3, (pixel, pixel, 0.0)), (33922, 12, 6, (0.0, 0.0, 0.0, x, 6e6, 0.0))]
    return {"extratags": [*place, (34735, 3, 12, (*KEYS, 32600 + zone))]}


REFUSED: dict[str, tuple[Any, str]] = {  # the second band, and its tags -> what is said
    "missing": (None, "B05_20m.tif: no such file, and the picture needs its band B05, as .*x_B02_10m.tif has"),
    "no factor": ((stored(5), {}), "B05_20m.tif: 5x5 .*x_B02_10m.tif is 12x12: expected that size, or one smaller"),
    "finer": ((stored(24), {}), "B05_20m.tif: 24x24 .*list the finest band first"),
    "one side": ((stored()[:6], {}), "B05_20m.tif: 6x12"),
    "another kind": ((stored().astype(np.float32), {}), "B05_20m.tif: its values are float32, expected uint16"),
    "of bands": ((np.stack([stored()] * 2, axis=2), {"planarconfig": "contig"}), "B05_20m.tif: a TIFF of 2 bands"),
    "elsewhere": (
        (stored(6), placed(20, 5e5 + 3)),
        r"B05_20m.tif: lies elsewhere \(EPSG:32633 at 500003, 6000000\) than",
    ),
    "another zone": ((stored(6), placed(20, zone=32)), r"B05_20m.tif: lies elsewhere \(EPSG:32632 .*gdalwarp"),
    "other pixels": ((stored(6), placed(10)), "B05_20m.tif: lies elsewhere"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bands_that_do_not_fit_together_are_refused_by_name(case: str, tmp_path: Path) -> None:
    second, says = REFUSED[case]
    path = FILES[0].at(tmp_path, "x")
    tifffile.imwrite(path, stored(), photometric="minisblack", **placed(10))
    if second is not None:
        tifffile.imwrite(FILES[1].at(tmp_path, "x"), second[0], photometric="minisblack", **second[1])
    with pytest.raises(ImageError, match=says):
        read(path, SPEC)


def test_one_place_in_two_resolutions(tmp_path: Path) -> None:
    path = FILES[0].at(tmp_path, "x")
    tifffile.imwrite(path, stored(), photometric="minisblack", **placed(10))
    tifffile.imwrite(FILES[1].at(tmp_path, "x"), stored(6), photometric="minisblack", **placed(20))
    assert read(path, SPEC).values_HWC.shape == (SIDE, SIDE, 2)


def test_what_cannot_have_files_beside_it_is_told_what_to_give(tmp_path: Path) -> None:
    path = scene(tmp_path, "x", stored(), stored())
    other = FILES[1].at(tmp_path, "x")
    grey = Image.fromarray(np.zeros((4, 4), np.uint8))
    grey.save(tmp_path / "x.png")
    for source in (path.read_bytes(), other, other.read_bytes(), grey, tmp_path / "x.png"):
        for spec in (SPEC, Spec(3, files=(*FILES, BandFile(name="B08", file="*_B08.tif")))):
            with pytest.raises(ImageError, match=r"bands are files of their own: give .*one TIFF or \.npy file of all"):
                read(source, spec)
    both = np.stack([stored(), stored()], axis=2)
    assert read(both, SPEC).values_HWC is both


@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_no_data_is_where_all_bands_have_none(kind: str, tmp_path: Path) -> None:
    bands = [np.arange(1, 10).reshape(3, 3).astype(kind) for _ in range(2)]
    bands[0][0, 0] = bands[1][0, 0] = bands[1][1, 1] = 0
    if kind == "float32":
        bands[0][2, 2] = np.nan
    path = scene(tmp_path, "x", *bands, extratags=[(42113, 2, 2, "0")])
    found = read(path, Spec(2, kind, files=FILES))
    expected = np.ones((3, 3), bool)
    expected[0, 0], expected[2, 2] = False, kind == "uint16"
    np.testing.assert_array_equal(found.valid_HW, expected)
    stack = np.stack(bands, axis=2)
    np.testing.assert_array_equal(found.values_HWC[expected], stack[expected])
    tifffile.imwrite(
        tmp_path / "all.tif", stack, photometric="minisblack", planarconfig="contig", extratags=[(42113, 2, 2, "0")]
    )
    whole = read(tmp_path / "all.tif", Spec(2, kind))
    np.testing.assert_array_equal(whole.values_HWC, found.values_HWC)  # as of one file of all bands


def test_a_folder_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = (BandFile(name="B02", file="R10m/*_B02.tif"), BandFile(name="B05", file="R20m/*_B05.tif"))
    path = scene(tmp_path / "a", "x", stored(), stored(6), files=files)
    spec = Spec(2, "uint16", files=files)
    expected = read(path, spec).values_HWC
    monkeypatch.chdir(path.parent)
    np.testing.assert_array_equal(read(path.name, spec).values_HWC, expected)
    run = tarsia.predict(Predictor(Seeing(spec)), [tmp_path], tmp_path / "out", save=("label",))
    assert run.done == [(path, tmp_path / "out/a/x.png")]


def test_jpeg_2000_that_lies_on_earth(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
    files = (BandFile(name="B02", file="*_B02.jp2"), BandFile(name="B05", file="*_B05.jp2"))
    for one, values, pixel in zip(files, (stored(64), stored(32)), (10, 20), strict=True):
        place = {"crs": "EPSG:32633", "transform": rasterio.transform.from_origin(5e5, 6e6, pixel, pixel)}
        lossless = {"QUALITY": "100", "REVERSIBLE": "YES", "dtype": "uint16"}
        shape = {"width": values.shape[1], "height": values.shape[0], "count": 1}
        with rasterio.open(one.at(tmp_path, "x"), "w", "JP2OpenJPEG", **shape, **lossless, **place) as raster:
            raster.write(values, 1)
    spec, path = Spec(2, "uint16", files=files), files[0].at(tmp_path, "x")
    expected = np.stack([stored(64), stored(32).repeat(2, 0).repeat(2, 1)], axis=2)
    np.testing.assert_array_equal(read(path, spec).values_HWC, expected)
    engine = Seeing(spec)
    run = tarsia.predict(Predictor(engine).in_tiles(32, 0.25), path, tmp_path / "out", save=("label",))
    assert [path.name for _, path in run.done] == ["x.tif"]
    with rasterio.open(tmp_path / "out/x.tif") as raster:
        assert raster.crs == "EPSG:32633" and raster.transform.a == 10 and raster.shape == (64, 64)
    assert len(engine.seen) > 4 and max(one.shape[0] for one in engine.seen) == 32
    for tile in engine.seen[:1]:
        np.testing.assert_array_equal(tile, expected[:32, :32])
    moved = files[1].at(tmp_path, "x")
    tifffile.imwrite(moved, stored(32), photometric="minisblack", **placed(20, 6e5))  # whatever its name ends in
    with pytest.raises(ImageError, match=r"B05.jp2: lies elsewhere \(EPSG:32633 at 600000, 6000000\)"):
        read(path, spec)
