"""Files of every depth, order and meaning of their samples: one reading, whichever way it is asked for."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import heic_files
import numpy as np
import pytest
import tifffile
from PIL import Image

import tarsia
from small_engine import SmallEngine
from tarsia.card import Card, Classes, Input, Range, Spec
from tarsia.doctor import sample as doctor
from tarsia.errors import DatasetError, ImageError
from tarsia.pictures.headers import stored_kind, stored_size
from tarsia.pictures.reader import open_picture, read
from tarsia.prediction.predictor import Predictor

imagecodecs = pytest.importorskip("imagecodecs")

HEIGHT, WIDTH = 40, 30
CLASSES = Classes(names=("a", "b"), colors=((0, 0, 0), (255, 0, 0)))


def values(bands: int, dtype: str = "uint16", seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    if dtype == "float32":
        return random.normal(0, 1000, (HEIGHT, WIDTH, bands)).astype(np.float32)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, (HEIGHT, WIDTH, bands), endpoint=True).astype(dtype)


def tiff(array_HWC: np.ndarray, **options: object) -> bytes:
    """By tifffile; `planarconfig: separate` stores band after band.  Unless said otherwise no sample is a colour."""
    file, bands = io.BytesIO(), array_HWC.shape[2]
    stored = array_HWC[..., 0] if bands == 1 else array_HWC
    options = {
        "photometric": "minisblack",
        "metadata": None,
        **({"planarconfig": "contig"} if bands > 1 else {}),
        **options,
    }
    if options.get("planarconfig") == "separate":
        stored = np.moveaxis(array_HWC, 2, 0)
    further = bands - (3 if options["photometric"] == "rgb" else 1)
    if further:
        options = {"extrasamples": ["unspecified"] * further, **options}
    tifffile.imwrite(file, stored, **options)
    return file.getvalue()


def png(values_HWC: np.ndarray) -> bytes:
    content: bytes = imagecodecs.png_encode(values_HWC[..., 0] if values_HWC.shape[2] == 1 else values_HWC)
    return content


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def ppm(values_HW3: np.ndarray) -> bytes:
    return b"P6\n%d %d\n65535\n" % (WIDTH, HEIGHT) + values_HW3.astype(">u2").tobytes()


def jpeg_2000(values_HWC: np.ndarray) -> bytes:
    rasterio = pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
    with rasterio.io.MemoryFile() as memory:
        height, width, bands = values_HWC.shape
        made = {"driver": "JP2OpenJPEG", "height": height, "width": width, "count": bands, "dtype": values_HWC.dtype}
        with memory.open(**made, QUALITY="100", REVERSIBLE="YES") as file:
            file.write(values_HWC.transpose(2, 0, 1))
        return bytes(memory.read())


def heic(name: str) -> bytes:
    pytest.importorskip("pi_heif", reason="pi-heif (extra heic) is not installed")
    return heic_files.FILES[name]


Made = Callable[[np.ndarray], bytes]
LZW, TILES = {"compression": "lzw", "predictor": True}, {"tile": (16, 16), "compression": "deflate"}
FILES: dict[str, tuple[Made, int, str]] = {  # name -> how it is written, bands, kind
    "rgb.tif": (lambda one: tiff(one, photometric="rgb"), 3, "uint16"),
    "three minisblack.tif": (tiff, 3, "uint8"),
    "planes.tif": (lambda one: tiff(one, planarconfig="separate"), 5, "uint16"),
    "planes, tiles.tif": (lambda one: tiff(one, planarconfig="separate", **TILES), 4, "int16"),
    "tiles.tif": (lambda one: tiff(one, **TILES), 2, "float32"),
    "strips, lzw.tif": (lambda one: tiff(one, rowsperstrip=7, **LZW), 4, "uint16"),
    "big-endian.tif": (lambda one: tiff(one, byteorder=">", rowsperstrip=7), 3, "int16"),
    "big.tif": (lambda one: tiff(one, bigtiff=True), 6, "uint8"),
    "called alpha.tif": (lambda one: tiff(one, photometric="rgb", extrasamples=["unassalpha"]), 4, "uint16"),
    "grey.tif": (tiff, 1, "uint16"),
    "rgb.png": (png, 3, "uint16"),
    "grey.png": (png, 1, "uint16"),
    "rgb.ppm": (ppm, 3, "uint16"),
    "array.npy": (npy, 7, "int16"),
    "floats.npy": (npy, 3, "float32"),
    "sentinel.jp2": (jpeg_2000, 1, "uint16"),
    "phone.heic": (lambda one: heic("rgb"), 3, "uint8"),
    "camera.hif": (lambda one: heic("deep"), 3, "uint16"),
}
DRAWN = {"phone.heic": heic_files.RGB, "camera.hif": heic_files.DEEP}  # what nothing here can write


class Seeing(SmallEngine):
    """Remembers the pictures it was given."""

    def __init__(self, bands: int, dtype: str, bits: int | None = None) -> None:
        rule = None if dtype == "uint8" else Range(rule="fixed", low=(-1e9,) * bands, high=(1e9,) * bands)
        settings = Input(stride=2, dtype=dtype, bits=bits, range=rule)
        self.card = Card(architecture="seeing", model={"bands": bands}, classes=CLASSES, input=settings)
        self.seen: list[np.ndarray] = []

    def run(self, images_BHWC: np.ndarray) -> np.ndarray:
        self.seen += list(images_BHWC)
        first = images_BHWC[..., 0].astype(np.float32)
        return np.stack([-first, first], axis=1)


@pytest.mark.parametrize("name", FILES)
def test_one_reading_whichever_way_it_is_asked_for(name: str, tmp_path: Path) -> None:
    made, bands, dtype = FILES[name]
    expected = DRAWN.get(name, values(bands, dtype))
    height, width = expected.shape[:2]
    spec = Spec(bands, dtype, bits=10 if name == "camera.hif" else None)
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    path = tmp_path / "images" / name
    path.write_bytes(made(expected))
    label = tmp_path / "labels" / f"{path.stem}.png"
    Image.fromarray((np.indices((height, width)).sum(0) % 2).astype(np.uint8)).save(label)
    arrays = f"dtype: {dtype}\n" if path.suffix == ".npy" and bands == 3 else ""  # else no .npy is looked for
    (tmp_path / "dataset.yaml").write_text(f"classes: [a, b]\nbands: {bands}\n{arrays}")

    assert stored_kind(path) == dtype and stored_size(path) == (height, width)
    np.testing.assert_array_equal(read(path, spec).values_HWC, expected)
    np.testing.assert_array_equal(read(path.read_bytes(), spec).values_HWC, expected)
    with open_picture(path, spec, limit=None) as opened:
        for top, bottom in ((0, height), (7, height - 1), (height - 1, height)):
            np.testing.assert_array_equal(opened.rows(top, bottom)[0], expected[top:bottom])

    dataset = tarsia.data.open("folder", tmp_path, "train")
    assert dataset.spec == spec
    np.testing.assert_array_equal(dataset[0].image, expected)  # training, and what is evaluated
    np.testing.assert_array_equal(
        tarsia.data.open("folder", tmp_path, "train", cache=tmp_path / "c")[0].image, expected
    )
    np.testing.assert_array_equal(doctor.read(dataset, 0).image, expected)  # check
    engine = Seeing(bands, dtype, spec.bits)
    predictor = Predictor(engine)
    of_bytes, of_path = predictor(path.read_bytes()), predictor(path)  # the service, Python
    run = tarsia.predict(predictor, [path], tmp_path / "out", save=("label",))
    scores = tarsia.evaluate(predictor, dataset)
    assert run.exit_code == 0 and len(engine.seen) == 4
    for seen in engine.seen:
        np.testing.assert_array_equal(seen[:height, :width], expected)
    np.testing.assert_array_equal(of_bytes.label_HW, of_path.label_HW)
    assert scores.metrics.miou > 0


@pytest.mark.parametrize("photometric", ["rgb", "minisblack"])
def test_a_fourth_sample_is_never_guessed_by_its_tag(photometric: str, tmp_path: Path) -> None:
    """Cases geotiff-rgbn-alpha: infrared that GDAL calls alpha."""
    infrared = tiff(
        values(4, "uint8"), photometric=photometric, extrasamples=["unassalpha"] * (1 if photometric == "rgb" else 3)
    )
    with pytest.raises(ImageError, match=r"last band of 4 is called alpha.*bands: 4.*alpha: last.*alpha: drop"):
        read(infrared)
    np.testing.assert_array_equal(read(infrared, Spec(4)).values_HWC, values(4, "uint8"))
    np.testing.assert_array_equal(read(infrared, Spec(3, alpha="drop")).values_HWC, values(4, "uint8")[..., :3])
    last = read(infrared, Spec(3, alpha="last"))
    assert last.valid_HW is not None
    np.testing.assert_array_equal(last.valid_HW, values(4, "uint8")[..., 3] != 0)
    with pytest.raises(ImageError, match="4 bands, expected"):
        read(infrared, Spec(3, alpha="none"))
    np.testing.assert_array_equal(read(infrared, Spec(2, take=(4, 1))).values_HWC, values(4, "uint8")[..., [3, 0]])


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_transparency_is_known_by_its_values(dtype: str) -> None:
    array = values(4, dtype)
    array[..., 3] = np.where(array[..., 3] > 9, np.iinfo(dtype).max, 0)
    content = tiff(array, photometric="rgb", extrasamples=["unassalpha"])
    found = read(content, Spec(3, dtype))
    np.testing.assert_array_equal(found.values_HWC, array[..., :3])
    assert found.valid_HW is None or (found.valid_HW == (array[..., 3] > 0)).all()


@pytest.mark.parametrize(
    ("nodata", "dtype", "value"),
    [
        ("0", "uint8", 0),
        ("-9999", "int16", -9999),
        ("nan", "float32", np.nan),
        ("-3.4028234663852886e+38", "float32", np.finfo(np.float32).min),
    ],
)
def test_no_data_by_its_value(nodata: str, dtype: str, value: float) -> None:
    array = values(3, dtype)
    array[array == 0] = 1
    array[3:9, 5:7] = value
    array[20, 20, 0] = value  # in one band alone it may be a dark pixel; what is no number is none in any
    content = tiff(array, photometric="rgb", extratags=[(42113, "s", 0, nodata, True)])
    invalid = np.zeros((HEIGHT, WIDTH), bool)
    invalid[3:9, 5:7] = True
    invalid[20, 20] = bool(np.isnan(value))
    found = read(content, Spec(3, dtype))
    assert found.valid_HW is not None
    np.testing.assert_array_equal(found.valid_HW, ~invalid)
    if dtype != "uint8":
        filled = read(content, Spec(3, dtype, low=(1.0, 2.0, 3.0)))
        assert (filled.values_HWC[4, 5] == (1, 2, 3)).all()
    if nodata != "nan":
        assert read(content, Spec(3, dtype, nodata="none")).valid_HW is None
    other = read(content, Spec(3, dtype, nodata=float(array[0, 0, 0]))).valid_HW
    assert other is None or nodata == "nan" or bool(other[4, 5])


def test_a_tag_for_no_data_that_no_sample_can_hold_is_said() -> None:
    found = read(tiff(values(3, "uint8"), photometric="rgb", extratags=[(42113, "s", 0, "-9999", True)]))
    assert found.valid_HW is None and "-9999, fits in no sample of uint8" in found.remarks[0]


def test_labels_are_255_where_there_is_no_data(tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    array = values(3, "uint16")
    array[:10] = 0
    path = tmp_path / "images" / "a.tif"
    path.write_bytes(tiff(array, photometric="rgb"))
    Image.fromarray(np.ones((HEIGHT, WIDTH), np.uint8)).save(tmp_path / "labels" / "a.png")
    (tmp_path / "dataset.yaml").write_text("classes: [a, b]\nnodata: 0\n")
    label_HW = tarsia.data.open("folder", tmp_path, "train")[0].label
    assert (label_HW[:10] == 255).all() and (label_HW[10:] == 1).all()
    engine = Seeing(3, "uint16")
    engine.card = engine.card.model_copy(update={"input": engine.card.input.model_copy(update={"nodata": 0.0})})
    prediction = Predictor(engine)(path, confidence=True)
    assert (prediction.label_HW[:10] == 255).all() and not (prediction.label_HW[10:] == 255).any()
    assert prediction.confidence_HW is not None and np.isnan(prediction.confidence_HW[:10]).all()
    assert sum(prediction.shares().values()) == pytest.approx(1)
    run = tarsia.predict(Predictor(engine), [path], tmp_path / "out", save=("label", "csv"))
    with Image.open(run.done[0][1]) as label:
        assert (np.asarray(label)[:10] == 255).all()


def test_an_8_bit_picture_is_no_16_bit_picture() -> None:
    for content in (tiff(values(3, "uint8"), photometric="rgb"), npy(values(3, "uint8")), b""):
        if content:
            with pytest.raises(ImageError, match="its values are uint8, expected uint16: save it as uint16"):
                read(content, Spec(3, "uint16"))
    file = io.BytesIO()
    Image.fromarray(values(3, "uint8")).save(file, "PNG")
    with pytest.raises(ImageError, match="uint8, expected uint16"):
        read(file.getvalue(), Spec(3, "uint16"))
    np.testing.assert_array_equal(read(file.getvalue(), Spec(3, "float32")).values_HWC, values(3, "uint8"))


def test_whole_numbers_beyond_float32_are_refused() -> None:
    large = np.full((HEIGHT, WIDTH, 1), 2**24 + 1, np.int32)
    with pytest.raises(ImageError, match="holds 16777217"):
        read(npy(large), Spec(1, "float32"))
    assert read(npy(large - 1), Spec(1, "float32")).values_HWC.max() == 2**24
    with pytest.raises(ImageError, match="beyond the largest of float32"):
        read(npy(np.full((HEIGHT, WIDTH, 1), 1e300)), Spec(1, "float32"))


def test_a_split_of_several_kinds_is_refused_with_counts(tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for name, dtype in (("a", "uint8"), ("b", "uint16"), ("c", "uint16")):
        (tmp_path / "images" / f"{name}.png").write_bytes(png(values(3, dtype)))
        Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(tmp_path / "labels" / f"{name}.png")
    (tmp_path / "dataset.yaml").write_text("classes: [a, b]\n")
    with pytest.raises(DatasetError, match=r"2 pictures of uint16, 1 picture of uint8.*dtype: uint8"):
        tarsia.data.open("folder", tmp_path, "train")
    (tmp_path / "dataset.yaml").write_text("classes: [a, b]\ndtype: uint8\n")
    dataset = tarsia.data.open("folder", tmp_path, "train")
    np.testing.assert_array_equal(dataset[1].image, values(3, "uint16") >> 8)


def test_a_mask_in_the_file_and_one_beside_it(tmp_path: Path) -> None:
    """Case geotiff-msk."""
    rasterio = pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
    array, valid = values(3, "uint8"), np.arange(WIDTH) < 12
    for inside in (True, False):
        path = tmp_path / f"{inside}.tif"
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside):
            made = {"driver": "GTiff", "height": HEIGHT, "width": WIDTH, "count": 3, "dtype": "uint8"}
            with rasterio.open(path, "w", **made) as file:
                file.write(array.transpose(2, 0, 1))
                file.write_mask(np.broadcast_to(valid, (HEIGHT, WIDTH)))
        assert (tmp_path / f"{inside}.tif.msk").exists() is not inside
        found = read(path)
        assert found.valid_HW is not None and (found.valid_HW == valid).all()


def test_only_the_file_itself_is_opened(tmp_path: Path) -> None:
    """An OME-TIFF names other files in its XML, a VRT is nothing but such names."""
    other = tmp_path / "other.tif"
    other.write_bytes(tiff(values(1, "uint8", seed=9)))
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="{WIDTH}" SizeY="{HEIGHT}" SizeZ="1" '
        'SizeC="1" SizeT="1"><TiffData><UUID FileName="other.tif">urn:uuid:1</UUID></TiffData></Pixels></Image></OME>'
    )
    path = tmp_path / "ome.tif"
    path.write_bytes(tiff(values(1, "uint8"), description=xml))
    np.testing.assert_array_equal(read(path, Spec(1)).values_HWC, values(1, "uint8"))
    vrt = tmp_path / "vrt.tif"
    vrt.write_text(f'<VRTDataset rasterXSize="{WIDTH}" rasterYSize="{HEIGHT}"></VRTDataset>')
    with pytest.raises(ImageError, match=r"vrt\.tif"):
        read(vrt)


@pytest.mark.parametrize("tag", [256, 257, 273, 279])  # width, length, place and bytes of a strip
@pytest.mark.parametrize("said", [0, 2**31 - 1, 2**32 - 1])
def test_headers_that_promise_too_much(tag: int, said: int) -> None:
    content = bytearray(tiff(values(3, "uint8"), photometric="rgb"))
    kinds = [kind for kind in (3, 4) if struct.pack("<HH", tag, kind) in content]
    place = content.index(struct.pack("<HH", tag, kinds[0]))
    content[place : place + 12] = struct.pack("<HHII", tag, 4, 1, said)
    if (tag, said) == (279, 0):  # a sparse file's strip: nothing is stored there
        assert not read(bytes(content)).values_HWC.any()
        return
    with pytest.raises(ImageError):
        read(bytes(content))


def test_a_palette_of_one_bit() -> None:
    stored = np.indices((HEIGHT, WIDTH)).sum(0) % 2
    colors = np.array([[10, 20, 30], [200, 100, 50]], np.uint8)
    extra = [(320, "H", 6, tuple((colors.T.astype(int) << 8).ravel()), True)]
    content = bytearray(tiff(stored[..., None].astype(bool), extratags=extra))
    place = content.index(struct.pack("<HHI", 262, 3, 1))
    content[place + 8 : place + 10] = struct.pack("<H", 3)  # no longer grey
    np.testing.assert_array_equal(read(bytes(content)).values_HWC, colors[stored])


@pytest.mark.parametrize("bits", range(1, 8))
def test_few_bits_end_in_white(bits: int) -> None:
    whitest = 2**bits - 1
    stored = np.arange(64, dtype=np.uint8).reshape(8, 8, 1) % (whitest + 1)
    content = tiff(stored.astype(bool) if bits == 1 else stored, **({} if bits == 1 else {"bitspersample": bits}))
    found = read(content).values_HWC
    np.testing.assert_array_equal(found[..., 0], np.rint(stored[..., 0] * (255 / whitest)))


@pytest.mark.parametrize("name", ["rgb.png", "rgb.ppm", "floats.npy", "rgb.tif"])
def test_no_data_of_the_data_set_is_that_of_every_format(name: str) -> None:
    made, bands, dtype = FILES[name]
    array = values(bands, dtype)
    array[5:9, 3:7] = 77
    found = read(made(array), Spec(bands, dtype, nodata=77)).valid_HW
    assert found is not None and not found[5:9, 3:7].any() and found.sum() == HEIGHT * WIDTH - 16
    file = io.BytesIO()
    Image.fromarray(np.where(array == 77, 77, 1)[..., :3].astype(np.uint8)).save(file, "PNG")
    plain = read(file.getvalue(), Spec(nodata="77")).valid_HW
    assert plain is not None and plain.sum() == HEIGHT * WIDTH - 16


@pytest.mark.parametrize(("dtype", "value"), [("int32", -(2**31)), ("int64", -(2**63)), ("float64", -1.797e308)])
def test_what_is_no_data_need_be_no_float32(dtype: str, value: float) -> None:
    array = np.full((HEIGHT, WIDTH, 1), 5, dtype)
    array[0, 0] = value
    content = tiff(array, extratags=[(42113, "s", 0, str(value), True)])
    found = read(content, Spec(1, "float32", low=(1.0,)))
    assert found.valid_HW is not None and found.valid_HW.sum() == HEIGHT * WIDTH - 1
    assert found.values_HWC[0, 0] == 1 and found.values_HWC[0, 1] == 5


def test_what_lies_beyond_the_kind_fills_with_its_end() -> None:
    array = values(1, "uint16") | 1
    array[0, 0] = 0
    content = tiff(array, extratags=[(42113, "s", 0, "0", True)])
    for low, expected in ((-100.0, 0), (70_000.0, 65_535), (300.6, 301)):
        assert read(content, Spec(1, "uint16", low=(low,))).values_HWC[0, 0, 0] == expected


def test_rows_that_overlap_count_their_alpha_once() -> None:
    array = values(4, "uint8")
    array[..., 3] = 255
    array[-1, :18, 3] = 128  # 1.5 %
    content = tiff(array, photometric="rgb", extrasamples=["unassalpha"])
    with open_picture(content, limit=None) as opened:
        for top in (0, 10, 20, 30, 20, 10, 0):
            np.testing.assert_array_equal(opened.rows(top, HEIGHT)[0], array[top:, :, :3])


def test_a_jpeg_of_12_bits_is_known_by_its_content(tmp_path: Path) -> None:
    stored = (values(3) >> 4).astype(np.uint16)
    content: bytes = imagecodecs.jpeg8_encode(stored, bitspersample=12, level=100)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0" + b" " * 6000
    turned = content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:]
    for name, data in (("a.jpg", content), ("b.jpe", turned)):
        (tmp_path / name).write_bytes(data)
        assert stored_kind(tmp_path / name) == "uint16" and stored_size(tmp_path / name) == (HEIGHT, WIDTH)
    plain = read(tmp_path / "a.jpg", Spec(dtype="uint16")).values_HWC
    np.testing.assert_array_equal(read(tmp_path / "b.jpe", Spec(dtype="uint16")).values_HWC, np.rot90(plain, -1))


@pytest.mark.parametrize(
    "shape", ["(10, 10, -1)", "(1, 1, -2)", "(10, 10, 10000000000)", "(10, 10, 10**18)", "(True, True)", "(0, 4)"]
)
def test_strange_shapes_of_arrays(shape: str, tmp_path: Path) -> None:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + b"\0" * 100
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    for source in (path, content):
        with pytest.raises(ImageError):
            read(source)


def test_a_piece_that_promises_more_than_the_picture_is_a_bomb() -> None:
    """469 bytes of JPEG in a TIFF held a decoder for minutes."""
    small = tiff(values(3, "uint8"), photometric="rgb", compression="jpeg")
    place = small.index(b"\xff\xc0")
    bomb = small[: place + 5] + struct.pack(">HH", 65_500, 65_500) + small[place + 9 :]
    with pytest.raises(ImageError, match="says it is 65500x65500"):
        read(bomb)
    assert read(small).values_HWC.shape == (HEIGHT, WIDTH, 3)


def test_a_damaged_palette_is_one_error(capfd: pytest.CaptureFixture[str]) -> None:
    black = np.zeros((3, 256), np.uint16)
    content = bytearray(tiff(np.zeros((8, 8, 1), np.uint8), photometric="palette", colormap=black))
    place = content.index(struct.pack("<HH", 320, 3))
    content[place + 4 : place + 8] = struct.pack("<I", 7)
    with pytest.raises(ImageError):
        read(bytes(content))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("nodata", ["nan", "-3.4e38", "1e400", "1_0", "x"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_strange_values_of_no_data_warn_of_nothing(nodata: str, dtype: str, recwarn: pytest.WarningsRecorder) -> None:
    read(tiff(values(3, dtype), photometric="rgb", extratags=[(42113, "s", 0, nodata, True)]), Spec(3, dtype))
    assert not [one.message for one in recwarn]
