"""Sentinel-2's products before and since baseline 04.00 on one scale, by their own metadata."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import tarsia
from tarsia.card import Card, Classes, Input, Range, Spec
from tarsia.data._dataset import read_as
from tarsia.errors import DatasetError, ImageError, RecipeError
from tarsia.pictures.reader import open_picture, read
from tarsia.spec import BandFile

FILES = (BandFile(name="B02", file="R10m/*_B02_10m.tif"), BandFile(name="B05", file="R20m/*_B05_20m.tif"))
SPEC = Spec(2, "uint16", files=FILES, harmonise="sentinel2")
OLD, NEW = "T32UPU_20210510T101559", "T32UPU_20220510T101559"


def metadata(baseline: str, *offsets: int, name: str = "BOA_ADD_OFFSET") -> str:
    """As a product has it, of which little is read."""
    told = "".join(f'<{name} band_id="{k}">{one}</{name}>' for k, one in enumerate(offsets))
    return (
        '<?xml version="1.0" encoding="UTF-8"?><n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/">'
        f"<n1:General_Info><PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE><L>{told}</L></n1:General_Info>"
        "<!-- NAME --></n1:Level-2A_User_Product>"
    )


def product(root: Path, name: str, said: str) -> Path:
    """A product's folder with its two bands; the path of the first."""
    base = root / f"{name}.SAFE/GRANULE/L2A/IMG_DATA"
    for one, side in zip(FILES, (4, 2), strict=True):
        path = one.at(base, name)
        path.parent.mkdir(parents=True)
        values = np.arange(side * side, dtype=np.uint16).reshape(side, side)
        tifffile.imwrite(path, values * 100, photometric="minisblack")
    (root / f"{name}.SAFE/MTD_MSIL2A.xml").write_text(said.replace("NAME", name))
    return FILES[0].at(base, name)


def test_earlier_products_get_1000_more_where_they_have_data(tmp_path: Path) -> None:
    old, new = product(tmp_path, OLD, metadata("03.01")), product(tmp_path, NEW, metadata("05.09", -1000, -1000))
    plain = read(new, SPEC).values_HWC
    np.testing.assert_array_equal(plain, read(new, Spec(2, "uint16", files=FILES)).values_HWC)
    expected = np.where(plain > 0, plain + 1000, 0)
    np.testing.assert_array_equal(read(old, SPEC).values_HWC, expected)
    with open_picture(old, SPEC, limit=None) as opened:
        np.testing.assert_array_equal(opened.rows(1, 3)[0], expected[1:3])
    valid_HW = read(old, Spec(2, "uint16", files=FILES, nodata=0, harmonise="sentinel2")).valid_HW
    assert valid_HW is not None and np.argwhere(~valid_HW).tolist() == [[0, 0]]
    tifffile.imwrite(old, np.full((4, 4), 65_535, np.uint16), photometric="minisblack")  # saturated stays
    assert (read(old, SPEC).values_HWC[..., 0] == 65_535).all()
    tifffile.imwrite(old, np.full((4, 4), 65_000, np.uint16), photometric="minisblack")
    with pytest.raises(ImageError, match=r"B02_10m\.tif: holds values to which 1000 cannot be added"):
        read(old, SPEC)


FAULTS = {
    "none": ("", r"neither MTD_MSIL1C.xml nor MTD_MSIL2A.xml in its folder or one above it: keep pictures below"),
    "no baseline": ("<a/>", "says no PROCESSING_BASELINE"),
    "no XML": ("<a>", "says no PROCESSING_BASELINE"),
    "entities": ('<!DOCTYPE a [<!ENTITY b "c">]>' + metadata("03.01"), "declares entities"),
    "applied by a mirror": (metadata("05.09"), r"baseline 05.09 with no offsets, expected -1000"),
    "another offset": (metadata("03.01", -500), r"baseline 03.01 with offsets \[-500.0\], expected none"),
    "another product": (metadata("03.01").replace("NAME", NEW), "is of another product, T32UPU_20210510T101559 is not"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_metadata_that_do_not_say_it_are_one_error(case: str, tmp_path: Path) -> None:
    said, says = FAULTS[case]
    path = product(tmp_path, OLD, said)
    if not said:
        next(tmp_path.glob("*/MTD_MSIL2A.xml")).unlink()
    with pytest.raises(ImageError, match=says):
        read(path, SPEC)


def test_what_has_no_product_is_told_what_to_give(tmp_path: Path) -> None:
    path = product(tmp_path, OLD, metadata("03.01"))
    both = np.stack([tifffile.imread(path)] * 2, axis=2)
    whole = path.with_name("whole.tif")
    tifffile.imwrite(whole, both, photometric="minisblack", planarconfig="contig")
    np.testing.assert_array_equal(read(whole, SPEC).values_HWC, np.where(both > 0, both + 1000, 0))  # in a product
    with pytest.raises(ImageError, match="give the path of a file in its product"):
        read(whole.read_bytes(), SPEC)
    with pytest.raises(ImageError, match="is for values of uint16, as products hold them, not float32"):
        read(path, Spec(2, "float32", files=FILES, harmonise="sentinel2"))


def test_a_split_of_both_kinds_needs_it(tmp_path: Path) -> None:
    product(tmp_path / "images", OLD, metadata("03.01"))
    product(tmp_path / "images", NEW, metadata("05.09", -1000, name="RADIO_ADD_OFFSET"))
    for name in (OLD, NEW):
        label = tmp_path / f"labels/{name}.SAFE/GRANULE/L2A/IMG_DATA/{name}.png"
        label.parent.mkdir(parents=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(label)
    files = ", ".join(f'{{name: {one.name}, file: "{one.file}"}}' for one in FILES)
    yaml, told = tmp_path / "dataset.yaml", f"classes: [a, b]\nbands: [{files}]\n"
    yaml.write_text(told)
    with pytest.raises(DatasetError, match=r"two scales \(1 picture of baselines before 04.00, 1 picture of b"):
        tarsia.data.open("folder", tmp_path)
    yaml.write_text(f"{told}harmonise: sentinel2\n")
    dataset = tarsia.data.open("folder", tmp_path)
    assert dataset.spec == SPEC and dataset[0].image.max() == 1500 + 1000 and dataset[1].image.max() == 1500  # type: ignore[attr-defined]
    rule = Range(rule="fixed", low=(0, 0), high=(1e4, 1e4))
    settings = Input(dtype="uint16", range=rule, files=FILES, harmonise="sentinel2")
    classes = Classes(names=("a",), colors=((0, 0, 0),))
    card = Card(architecture="x", model={"bands": 2}, classes=classes, input=settings)
    kept = Card.from_json(card.to_json(), "x").spec
    assert kept == Spec(2, "uint16", low=(0, 0), files=FILES, harmonise="sentinel2")
    with pytest.raises(DatasetError, match="says `harmonise: sentinel2`, and the model learned from pictures without"):
        read_as(dataset, Spec(2, "uint16", files=FILES))
    tarsia.shard(f"folder:{tmp_path}", tmp_path / "tars", splits=["all"])
    sharded = read_as(tarsia.data.open("shards", tmp_path / "tars", "all"), kept)
    assert sharded.spec == kept  # type: ignore[attr-defined]
    for index in range(2):
        np.testing.assert_array_equal(sharded[index].image, dataset[index].image)
    before = dataset.fingerprint()  # type: ignore[attr-defined]
    next(tmp_path.glob(f"images/{OLD}.SAFE/*.xml")).write_text(metadata("05.09", -1000).replace("NAME", OLD))
    assert dataset.fingerprint() != before and dataset[0].image.max() == 1500  # type: ignore[attr-defined]
    yaml.write_text(f"{told}harmonise: sentinel2\ndtype: float32\n")
    with pytest.raises(RecipeError, match="harmonise: of float32, expected uint16"):
        tarsia.data.open("folder", tmp_path)
