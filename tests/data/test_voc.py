from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tarsia.data
from tarsia.data._pairing import require_complete
from tarsia.data.voc import CLASSES, Data, palette_color
from tarsia.errors import DatasetError

EVERY_VALUE = np.array([*range(21), 255], np.uint8).reshape(2, 11)
NAMES = ("2007_000027", "2007_000032", "2007_000033")
# Entries of the palette that every VOC mask carries.
PALETTE = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128), 7: (128, 128, 128),
           8: (64, 0, 0), 15: (192, 128, 128), 16: (0, 64, 0), 20: (0, 64, 128), 255: (224, 224, 192)}  # fmt: skip


def tree(root: Path, names=NAMES, values=EVERY_VALUE, folder="SegmentationClass", lists=("train",)) -> Path:
    for place in ("JPEGImages", folder, "ImageSets/Segmentation"):
        (root / place).mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", values.shape[1::-1], (90, 80, 70)).save(root / "JPEGImages" / f"{name}.jpg")
        mask = Image.fromarray(values)
        if values.ndim == 2 and folder == "SegmentationClass":
            mask.putpalette([part for index in range(256) for part in palette_color(index)])
        mask.save(root / folder / f"{name}.png")
    for name in lists:
        (root / "ImageSets/Segmentation" / f"{name}.txt").write_text("\n".join(names) + "\n")
    return root


def test_the_palette():
    assert {index: palette_color(index) for index in PALETTE} == PALETTE
    assert len({palette_color(index) for index in range(256)}) == 256
    assert len(CLASSES) == 21 and CLASSES.names[0] == "background" and CLASSES.names[15] == "person"


def test_index_masks_with_their_border_ignored(tmp_path):
    tree(tmp_path)
    Image.new("RGB", (9, 9)).save(tmp_path / "JPEGImages" / "2007_000001.jpg")  # most photos have no mask
    data = Data(tmp_path)
    assert [data.name(index) for index in range(len(data))] == list(NAMES)
    sample = data[0]
    assert (sample.name, sample.domain) == ("2007_000027", "")
    assert sample.label.ravel().tolist() == [*range(21), 255]


def test_masks_in_colours(tmp_path):
    colors = np.array([*CLASSES.colors, (224, 224, 192)], np.uint8).reshape(2, 11, 3)
    assert Data(tree(tmp_path, values=colors))[0].label.ravel().tolist() == [*range(21), 255]


def test_another_folder_of_labels_and_its_list(tmp_path):
    tree(tree(tmp_path), ("2008_000001",), EVERY_VALUE, "SegmentationClassAug", ("train_aug",))
    data = tarsia.data.open_spec(f"voc:{tmp_path},labels=SegmentationClassAug", split="train_aug")
    assert [sample.name for sample in data] == ["2008_000001"]


def test_the_drawn_split(tmp_path):
    names = [f"2007_{index:06d}" for index in range(40)]
    tree(tmp_path, names, lists=("trainval",))
    train, val = (Data(tmp_path, split) for split in ("train90", "val10"))
    parts = [{data.name(index) for index in range(len(data))} for data in (train, val)]
    assert [len(part) for part in parts] == [36, 4] and parts[0] | parts[1] == set(names) and not parts[0] & parts[1]
    again, other = (Data(tmp_path, "val10", seed=seed) for seed in (0, 1))
    assert [pair.name for pair in again.pairs] == [pair.name for pair in val.pairs]
    assert [pair.name for pair in other.pairs] != [pair.name for pair in val.pairs]
    (tmp_path / "ImageSets/Segmentation/trainval.txt").write_text("\n".join(reversed(names)))
    assert [pair.name for pair in Data(tmp_path, "val10").pairs] == [pair.name for pair in val.pairs]
    (tmp_path / "ImageSets/Segmentation/trainval.txt").write_text(names[0])
    with pytest.raises(DatasetError, match=r"trainval.txt: 1 pictures cannot be divided"):
        Data(tmp_path, "val10")


def empty(root: Path) -> None:
    (root / "ImageSets/Segmentation/train.txt").write_text("\n\n")


def twice(root: Path) -> None:
    (root / "ImageSets/Segmentation/train.txt").write_text("2007_000027\n2007_000032\n2007_000027\n")


def absent(root: Path) -> None:
    (root / "ImageSets/Segmentation/train.txt").write_text("2007_000027\n2007_000099\n")


def unmasked(root: Path) -> None:
    (root / "SegmentationClass/2007_000027.png").unlink()


FAULTS = [
    (empty, "train.txt: lists no names"),
    (twice, "train.txt: lists names twice: 2007_000027"),
    (absent, r"train.txt: 1 of 2 listed names are not in .*JPEGImages: 2007_000099"),
    (unmasked, "train.txt: 1 of 3 images in .*JPEGImages have no label in .*SegmentationClass: 2007_000027"),
    (lambda root: (root / "ImageSets/Segmentation/train.txt").rename(root / "ImageSets/Segmentation/trainn.txt"),
     "no list train.txt, so voc has no split train, did you mean trainn"),
    (lambda root: (root / "SegmentationClass").rename(root / "Segmentation"),
     r"no SegmentationClass/, which voc needs \(folders there: ImageSets, JPEGImages, Segmentation\)"),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "message"), FAULTS)
def test_faults_among_the_files(tmp_path, harm, message):
    harm(tree(tmp_path))
    with pytest.raises(DatasetError, match=message):
        require_complete(Data(tmp_path).pairing)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((2, 3), 21, np.uint8), r"2007_000027.png: label value 21 in 6 pixels .*known: 0-20, 255\)"),
        (np.full((2, 3, 3), 21, np.uint8), r"colour \[21, 21, 21\] in 6 pixels"),
        (np.zeros((9, 3), np.uint8), "is 2x3 but its label .* is 9x3"),
    ],
)
def test_strange_masks(tmp_path, values, message):
    tree(tmp_path, values=np.zeros((2, 3), np.uint8))
    Image.fromarray(values).save(tmp_path / "SegmentationClass/2007_000027.png")
    with pytest.raises(DatasetError, match=message):
        Data(tmp_path)[0]


@pytest.mark.parametrize("place", ["", "VOCdevkit", "VOCdevkit/VOC2012/JPEGImages",
                                   "VOCdevkit/VOC2012/ImageSets/Segmentation"])  # fmt: skip
def test_the_wrong_level_names_the_right_one(tmp_path, place):
    tree(tmp_path / "VOCdevkit" / "VOC2012")
    with pytest.raises(DatasetError, match=r"did you mean .*VOC2012[?]$"):
        Data(tmp_path / place)


def test_no_folder_at_all(tmp_path):
    with pytest.raises(DatasetError, match="voc needs a folder with JPEGImages/"):
        Data(None)
    with pytest.raises(DatasetError, match="no such folder"):
        Data(tmp_path / "VOC2012")


@pytest.mark.shared
def test_the_layout_of_the_samples(shared):
    root = shared / "data/samples/voc_layout"
    assert [len(Data(root, split)) for split in ("train", "val", "trainval", "train90", "val10")] == [5, 2, 7, 6, 1]
    shown = {"2026_000001": "bird", "2026_000002": "dog", "2026_000003": "cat", "2026_000006": "person"}
    for sample in Data(root, "trainval"):
        most = np.bincount(sample.label[(sample.label > 0) & (sample.label < 255)]).argmax()
        assert CLASSES.names[most] == shown.get(sample.name, CLASSES.names[most])
        assert sample.label.shape == sample.image.shape[:2] and (sample.label == 0).any()


@pytest.mark.shared
def test_fixtures_in_colours(shared):
    fixtures = shared / "data/samples/datumaro_fixtures/voc_dataset"
    data = Data(fixtures / "voc_dataset1", "train")
    assert [sample.name for sample in data] == ["2007_000001"]
    assert set(np.unique(data[0].label).tolist()) <= {*range(21), 255}
    with pytest.raises(DatasetError, match=r"test.txt: all 1 images .* have no label"):
        Data(fixtures / "voc_dataset1", "test")
    with pytest.raises(DatasetError, match="no SegmentationClass/ and no ImageSets/Segmentation/"):
        Data(fixtures / "voc_dataset3")
