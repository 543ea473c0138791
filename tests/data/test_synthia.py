from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tarsia.data
from tarsia.data._pairing import require_complete
from tarsia.data.synthia import CLASSES, Data
from tarsia.errors import DatasetError
from tarsia.pictures.labels import read_label

FRONT = "Stereo_Left/Omni_F"
EVERY_VALUE = np.arange(16, dtype=np.uint16).reshape(2, 8)


def png_16(values_HW3: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel by hand: Pillow cannot write it."""
    height, width, _ = values_HW3.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values_HW3)
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)),
              (b"IEND", b""))  # fmt: skip
    parts = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
             for kind, data in chunks)  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def instances(values_HW: np.ndarray) -> np.ndarray:
    """The class in the first channel, instance numbers beyond 8 bits in the second."""
    return np.stack([values_HW, np.full_like(values_HW, 976), np.zeros_like(values_HW)], axis=2)


def tree(root: Path, *sequences: str, frames=10, cameras=(FRONT,), values=EVERY_VALUE) -> Path:
    for sequence in sequences or ("SYNTHIA-SEQS-02-DAWN",):
        for camera in cameras:
            images, labels = (root / sequence / folder / camera for folder in ("RGB", "GT/LABELS"))
            for folder in (images, labels):
                folder.mkdir(parents=True, exist_ok=True)
            for number in range(frames):
                Image.new("RGB", values.shape[1::-1], (90, 80, 70)).save(images / f"{number:06d}.png")
                (labels / f"{number:06d}.png").write_bytes(png_16(instances(values)))
    return root


def names(data: Data) -> list[str]:
    return [data.name(index) for index in range(len(data))]


def test_the_class_is_in_the_first_channel(tmp_path):
    data = Data(tree(tmp_path), "all")
    sample = data[0]
    assert (sample.name, sample.domain) == (f"SYNTHIA-SEQS-02-DAWN/{FRONT}/000000", "dawn")
    assert sample.label.ravel().tolist() == [255, *range(12), 255, 255, 12]
    assert len(CLASSES) == 13 and CLASSES.names[-1] == "traffic_light"


@pytest.mark.parametrize("seed", range(3))
def test_16_bit_colours_are_read_whole(tmp_path, seed):
    values = np.random.default_rng(seed).integers(0, 65_536, (7, 5, 3), dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(png_16(values))
    found = read_label(tmp_path / "a.png", wide=True)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, values)
    with pytest.raises(DatasetError, match="16 bits per colour channel"):
        read_label(tmp_path / "a.png")


def test_16_bit_colours_as_opencv_writes_and_reads_them(tmp_path):
    cv2 = pytest.importorskip("cv2")
    rows, columns = np.mgrid[:31, :47]
    values = np.stack([rows // 3, rows * columns * 40, columns], axis=2).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), values[..., ::-1])  # OpenCV's order is blue, green, red
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)[..., ::-1], values)
    np.testing.assert_array_equal(read_label(tmp_path / "a.png", wide=True), values)


def test_other_labels_are_read_as_ever(tmp_path):
    for stored in (EVERY_VALUE.astype(np.uint8), EVERY_VALUE, instances(EVERY_VALUE).astype(np.uint8)):
        Image.fromarray(stored).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_label(tmp_path / "a.png", wide=True), stored)
    (tmp_path / "b.png").write_bytes(png_16(instances(EVERY_VALUE))[:-40])
    with pytest.raises(DatasetError, match=r"b.png: damaged or cut off"):
        read_label(tmp_path / "b.png", wide=True)


@pytest.mark.parametrize("frames", [10, 13, 47])
def test_each_film_is_cut_into_runs(tmp_path, frames):
    tree(tmp_path, frames=frames)
    parts = {
        split: [int(name[-6:]) for name in names(Data(tmp_path, split))] for split in ("train", "val", "test", "all")
    }
    expected = {split: [] for split in ("train", "val", "test")}
    for number in range(frames):
        run = int(number * 10 / frames)
        expected["val" if run == 4 else "test" if run == 9 else "train"].append(number)
    assert parts == expected | {"all": list(range(frames))}
    assert parts["val"] == list(range(parts["val"][0], parts["val"][-1] + 1))


def test_sequences_cameras_and_domains(tmp_path):
    sequences = ("SYNTHIA-SEQS-01-DAWN", "SYNTHIA-SEQS-01-NIGHT", "SYNTHIA-SEQS-02-DAWN", "SYNTHIA-SEQS-02-WINTERNIGHT")
    cameras = ("Stereo_Left/Omni_B", FRONT, "Stereo_Right/Omni_F")
    tree(tmp_path, *sequences, frames=2, cameras=cameras)
    (tmp_path / "notes").mkdir()
    cases = {
        "dawn": [0, 2], "02-dawn": [2], "01-*": [0, 1], "*night": [1, 3], "night": [1], "*": [0, 1, 2, 3],
        "SYNTHIA-SEQS-01-DAWN+02-winternight": [0, 3],
    }  # fmt: skip
    for wanted, numbers in cases.items():
        data = tarsia.data.open_spec(f"synthia:{tmp_path},sequences={wanted}", split="all")
        assert [name.partition("/")[0] for name in names(data)[::2]] == [sequences[number] for number in numbers]
        assert data.domains[::2] == [sequences[number].lower().rpartition("-")[2] for number in numbers]
    for wanted, numbers in {"omni_f": [1, 2], "*": [0, 1, 2], "Stereo_Left/*": [0, 1], "Omni_B": [0]}.items():
        data = Data(tmp_path, "all", sequences="02-dawn", cameras=wanted)
        assert [name.split("/", 1)[1][:-7] for name in names(data)[::2]] == [cameras[number] for number in numbers]
    assert set(Data(tmp_path, "all", domain_by="sequence").domains) == set(sequences)


def test_one_sequence_is_a_root_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tree(tmp_path) / "SYNTHIA-SEQS-02-DAWN")
    for root in (".", tmp_path / "SYNTHIA-SEQS-02-DAWN"):
        data = Data(root, "val")
        assert names(data) == [f"SYNTHIA-SEQS-02-DAWN/{FRONT}/000004"] and data.domains == ["dawn"]


WRONG_OPTIONS = [
    ("trian", {}, "synthia has no split trian, did you mean train"),
    ("train", {"sequences": "dawn+fog"}, "no sequence 'fog': there are SYNTHIA-SEQS-02-DAWN"),
    ("train", {"sequences": ""}, "no sequence ''"),
    ("train", {"cameras": "Omni_L"}, "RGB: no camera 'Omni_L': there are Stereo_Left/Omni_F"),
]


@pytest.mark.parametrize(("split", "options", "message"), WRONG_OPTIONS)
def test_options_that_do_not_fit(tmp_path, split, options, message):
    with pytest.raises(DatasetError, match=message):
        Data(tree(tmp_path), split, **options)


@pytest.mark.parametrize("place", ["..", "SYNTHIA-SEQS-02-DAWN/RGB", "SYNTHIA-SEQS-02-DAWN/GT/LABELS"])
def test_the_wrong_level_names_the_right_one(tmp_path, place):
    tree(tmp_path / "x" / "synthia")
    (tmp_path / "x" / "y").mkdir()
    with pytest.raises(DatasetError, match=r"no sequences in it.*did you mean .*(synthia|SYNTHIA-SEQS-02-DAWN)[?]$"):
        Data(tmp_path / "x" / "synthia" / place)


def test_halves(tmp_path):
    tree(tmp_path, frames=3)
    sequence = tmp_path / "SYNTHIA-SEQS-02-DAWN"
    with pytest.raises(DatasetError, match=r"too few frames for a val split.*use split=all"):
        Data(tmp_path, "val")
    (sequence / "GT/LABELS" / FRONT / "000001.png").unlink()
    with pytest.raises(DatasetError, match=r"1 of 3 images .* have no label in .*: 000001"):
        require_complete(Data(tmp_path).pairing)
    (sequence / "RGB" / FRONT / "000001.png").unlink()
    (sequence / "RGB" / FRONT / "000002.png").unlink()
    with pytest.raises(DatasetError, match=r"1 labels .* have no image in .*: 000002"):
        require_complete(Data(tmp_path).pairing)
    (sequence / "GT/LABELS").rename(sequence / "GT/COLOR")
    with pytest.raises(DatasetError, match=r"02-DAWN: no GT/LABELS/, .*leave the sequence out by `sequences`"):
        Data(tmp_path)
    with pytest.raises(DatasetError, match="synthia needs a folder with sequences"):
        Data(None)


@pytest.mark.parametrize("value", [16, 22, 256 + 3])
def test_values_of_no_class(tmp_path, value):
    data = Data(tree(tmp_path, values=np.full((2, 3), value, np.uint16)))
    with pytest.raises(DatasetError, match=rf"000000.png: label value {value} in 6 pixels .*known: 0-15\)"):
        data[0]


@pytest.mark.shared
def test_fixtures(shared):
    fixtures = shared / "data/samples/datumaro_fixtures/synthia_dataset"
    data = Data(fixtures / "labels_segm_dataset", "all", cameras="*")
    stored = [pair.label.split("LABELS/")[1] for pair in data.pairs]
    assert stored == [f"Stereo_Left/{camera}/00000{number}.png" for camera in ("Omni_B", "Omni_F") for number in (0, 1)]
    # The first channels are 1 1 10 10 10, 8 11 11 3 3, 1 1 2 2 3 and 1 2 15 15 3.
    labels = [sample.label.ravel().tolist() for sample in data]
    assert labels == [[0, 0, 9, 9, 9], [7, 10, 10, 2, 2], [0, 0, 1, 1, 2], [0, 1, 12, 12, 2]]
    assert len(Data(fixtures / "labels_segm_dataset", "all")) == 2
    for other in ("color_segm_dataset", "dataset_with_custom_labelmap"):
        with pytest.raises(DatasetError, match=f"{other}: no GT/LABELS/"):
            Data(fixtures / other)


def test_single_pictures_have_22_classes(tmp_path):
    place = tmp_path / "RAND_CITYSCAPES"
    values = np.arange(24, dtype=np.uint16).reshape(2, 12) % 23
    for number in range(20):
        for folder in ("RGB", "GT/LABELS"):
            (place / folder).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 2), (90, 80, 70)).save(place / f"RGB/{number:07d}.png")
        (place / f"GT/LABELS/{number:07d}.png").write_bytes(png_16(instances(values)))
    for root in (tmp_path, place):
        data = Data(root, "all")
        assert data[0].label.ravel().tolist() == [255, *range(22), 255]
        assert data.classes.names[14] == "traffic_light" and data.classes.names[-1] == "lane_marking"
    parts = [set(names(Data(place, split))) for split in ("train", "val", "test")]
    assert [*map(len, parts)] == [16, 2, 2] and set.union(*parts) == set(names(Data(place, "all")))
    with pytest.raises(DatasetError, match="without sequences and cameras"):
        Data(place, sequences="dawn")
