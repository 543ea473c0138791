"""The doctor opens every data set with the pairs it has, and knows what has no partner; nobody else does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sick_data import image, label, write_healthy
from tarsia import data
from tarsia.data._pairing import Pairing
from tarsia.doctor.open import open_split, splits_of
from tarsia.errors import DatasetError, RecipeError

# Data set, and where its pictures and labels are in a split, {} for the name.
FORMS = {
    "ade20k": ("train", "images/training/{}.jpg", "annotations/training/{}.png"),
    "camvid": ("train", "train/{}.png", "trainannot/{}.png"),
    "cityscapes": (
        "val",
        "leftImg8bit/val/ulm/ulm_{}_leftImg8bit.png",
        "gtFine/val/ulm/ulm_{}_gtFine_labelIds.png",
    ),
    "synthia": (
        "all",
        "SEQS-01-DAWN/RGB/Stereo_Left/Omni_F/{}.png",
        "SEQS-01-DAWN/GT/LABELS/Stereo_Left/Omni_F/{}.png",
    ),
    "vistas": ("train", "training/images/{}.jpg", "training/labels/{}.png"),
    "voc": ("train", "JPEGImages/{}.jpg", "SegmentationClass/{}.png"),
}


def write(root: Path, name: str) -> tuple[Path, Path]:
    """Pictures 0 to 5 of a data set, 1 without label, and label 7 without picture -> the two files left alone."""
    _, images, labels = FORMS[name]
    for pattern, kind, numbers in ((images, "RGB", range(6)), (labels, "L", (0, 2, 3, 4, 5, 7))):
        for number in numbers:
            path = root / pattern.format(f"{number:03d}")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((40, 48, 3) if kind == "RGB" else (40, 48), 7, np.uint8)).save(path)
    if name == "vistas":
        one = {"color": [1, 2, 3], "evaluate": True}
        listed = [one | {"name": f"object--{k}", "readable": f"{k}"} for k in range(8)]
        (root / "config.json").write_text(json.dumps({"labels": listed}))
    if name == "voc":
        (root / "ImageSets/Segmentation").mkdir(parents=True)
        (root / "ImageSets/Segmentation/train.txt").write_text("".join(f"{k:03d}\n" for k in (0, 1, 2, 3, 4, 5, 9)))
    return root / images.format("001"), root / labels.format("007")


@pytest.mark.parametrize("name", FORMS)
def test_every_data_set_opens_with_the_pairs_it_has(name: str, tmp_path: Path) -> None:
    alone, orphan = write(tmp_path, name)
    split = FORMS[name][0]
    with pytest.raises(DatasetError):
        data.open(name, tmp_path, split)
    opened = open_split(name, str(tmp_path), split, {})
    assert opened.dataset is not None and len(opened.dataset) == 5 and opened.error == ""
    assert opened.dataset[0].label.shape == (40, 48)
    assert opened.pairing.images_alone == [str(alone)]
    # A list says which pictures matter: VOC's label 7 is on none, and its picture 9 is nowhere.
    assert opened.pairing.labels_alone == ([] if name == "voc" else [str(orphan)])
    assert opened.pairing.listed_alone == (["009"] if name == "voc" else [])
    with pytest.raises(DatasetError):
        data.open(name, tmp_path, split)  # as before: the doctor has changed nothing for others


def test_every_data_set_of_files_is_in_this_test() -> None:
    assert {*FORMS, "folder", "streets", "shards"} == set(data.names())


def test_a_whole_split_is_opened_as_everybody_does(tmp_path: Path) -> None:
    write_healthy(tmp_path, 3, 2)
    opened = open_split("folder", str(tmp_path), "train", {})
    whole = data.open("folder", tmp_path)
    assert type(opened.dataset) is type(whole) and opened.pairing == Pairing(whole.pairs)


def test_two_files_of_a_name_and_labels_beside_their_pictures(tmp_path: Path) -> None:
    write_healthy(tmp_path, 3, 2)
    for path in (tmp_path / "train/labels").iterdir():
        path.rename(tmp_path / "train/images" / f"{path.stem}_mask.png")
    Image.new("RGB", (128, 96)).save(image(tmp_path, "t00").with_suffix(".jpg"))
    label(tmp_path, "t02").with_name("t02_mask.png")
    layout = "classes: [a, b, c, d, e, f]\nimages: train/images\nlabels: train/images\nlabel_suffix: _mask\n"
    (tmp_path / "dataset.yaml").write_text(layout)
    opened = open_split("folder", str(tmp_path), "train", {})
    assert opened.dataset is not None and len(opened.dataset) == 3
    assert [tuple(Path(path).name for path in pair) for pair in opened.pairing.twice] == [("t00.jpg", "t00.png")]


def test_what_cannot_be_opened_at_all_says_why(tmp_path: Path) -> None:
    write_healthy(tmp_path, 3, 2)
    for path in (tmp_path / "val/labels").iterdir():
        path.unlink()
    opened = open_split("folder", str(tmp_path), "val", {})
    assert opened.dataset is None and "all 2 images" in opened.error and "v00" in opened.error
    with pytest.raises(DatasetError, match="unknown key"):
        open_split("camvid", str(tmp_path), "train", {"colour": "1"})


def test_the_splits_to_look_for(tmp_path: Path) -> None:
    write_healthy(tmp_path, 3, 2)
    assert splits_of("folder", str(tmp_path)) == ["train", "val"]
    assert splits_of("camvid", None) == ["train", "val", "test"]
    for text, expected in (
        ("split: {val: 0.2}", ["train", "val"]),
        ("split: {val: 0.2, test: 0.1}", ["train", "val", "test"]),
        ("", ["train"]),
        ("splits: {good: {list: a.txt}, bad: {list: b.txt}}", ["good", "bad"]),
    ):
        (tmp_path / "dataset.yaml").write_text(f"classes: [a, b]\n{text}\n")
        assert splits_of("folder", str(tmp_path)) == expected
    (tmp_path / "dataset.yaml").write_text("classes: [a, b]\nsplti: {val: 0.2}\n")
    with pytest.raises(RecipeError, match="splti"):
        splits_of("folder", str(tmp_path))


def test_a_data_set_in_python_is_whole_or_refused(tmp_path: Path) -> None:
    """Whoever opens one by its name; a class of data set by itself tells what is alone."""
    write(tmp_path, "voc")
    for opening in (lambda: data.open("voc", tmp_path), lambda: data.open_spec(f"voc:{tmp_path},split=train")):
        with pytest.raises(DatasetError, match=r"train\.txt: 1 of 7 listed names are not in .*: 009"):
            opening()
