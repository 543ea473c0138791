from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tarsia.data._pairing import require_complete
from tarsia.data.camvid import CLASSES, ORIGINAL_COLORS, ORIGINAL_VOID, Data
from tarsia.errors import DatasetError

# Shares of val in percent of all pixels, void last, from the README beside the data.
VAL_SHARES = [9.177, 25.962, 0.564, 28.953, 8.719, 16.336, 0.892, 3.078, 1.746, 0.651, 2.217, 1.703]


def tree(root, split="train", names=("0001TP_1", "0006R0_2"), labels=None, suffix="", kind="png"):
    for folder in (split, f"{split}annot"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    if labels is None:
        labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for name in names:
        Image.fromarray(np.full((*labels.shape[:2], 3), 90, np.uint8)).save(root / split / f"{name}.{kind}")
        Image.fromarray(labels).save(root / f"{split}annot" / f"{name}{suffix}.png")
    return root


@pytest.mark.parametrize("kind", ["png", "webp", "jpg"])
def test_index_masks_with_void_ignored(tmp_path, kind):
    data = Data(tree(tmp_path, kind=kind), "train")
    assert len(data) == 2 and data.classes == CLASSES and len(CLASSES) == 11
    sample = data[0]
    assert (sample.name, sample.domain) == ("0001TP_1", "0001TP")
    assert sample.label.ravel().tolist() == [*range(11), 255]


@pytest.mark.parametrize("suffix", ["", "_L"])
def test_original_masks_in_32_colours(tmp_path, suffix):
    merged = [(color, CLASSES.names.index(name)) for name, group in ORIGINAL_COLORS.items() for color in group.values()]
    merged.append((ORIGINAL_VOID, 255))
    colors = np.array([color for color, _ in merged], np.uint8).reshape(4, 8, 3)
    assert len({color for color, _ in merged}) == 32
    data = Data(tree(tmp_path, labels=colors, suffix=suffix), "train")
    assert data[1].name == "0006R0_2"
    assert data[1].label.ravel().tolist() == [label for _, label in merged]


def test_eight_categories(tmp_path):
    data = Data(tree(tmp_path), "train", classes=8)
    names = ("void", "flat", "construction", "object", "nature", "sky", "human", "vehicle")
    assert data.classes.names == names
    found = [names[value] for value in data[0].label.ravel()]
    assert found == [
        *("sky", "construction", "object", "flat", "flat", "nature", "object", "construction", "vehicle", "human"),
        *("human", "void"),
    ]
    ignoring = Data(tmp_path, "train", classes=8, void="ignored")
    assert ignoring.classes.names == names[1:]
    assert [names[1:][value] for value in ignoring[0].label.ravel()[:-1]] == found[:-1]
    assert ignoring[0].label.ravel()[-1] == 255
    assert Data(tmp_path, "train", void="scored").classes.names == (*CLASSES.names, "void")
    with pytest.raises(DatasetError, match="classes is 7, expected 11 or 8"):
        Data(tmp_path, "train", classes=7)


def test_eight_categories_of_the_original_masks(tmp_path):
    colors = np.array(
        [ORIGINAL_VOID, ORIGINAL_COLORS["road"]["LaneMkgsDriv"], ORIGINAL_COLORS["car"]["Train"]], np.uint8
    )
    data = Data(tree(tmp_path, labels=colors.reshape(1, 3, 3)), "train", classes=8)
    assert [data.classes.names[value] for value in data[0].label.ravel()] == ["void", "flat", "vehicle"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full((3, 4), 12, np.uint8), r"0001TP_1.png: label value 12 in 12 pixels .*known: 0-11\); .*11 for void"),
        (np.full((3, 4), 255, np.uint8), "label value 255"),
        (np.full((3, 4, 3), 7, np.uint8), r"colour \[7, 7, 7\] in 12 pixels .*known: 32 colours"),
    ],
)
def test_strange_labels(tmp_path, labels, message):
    with pytest.raises(DatasetError, match=message):
        Data(tree(tmp_path, labels=labels))[0]


def test_half_data_sets(tmp_path):
    tree(tmp_path / "camvid")
    tree(tmp_path / "camvid", "val")
    cases = [
        (tmp_path, "train", "no train/ and no trainannot/.*no split of CamVid.*did you mean .*camvid"),
        (tmp_path / "camvid" / "train", "val", "did you mean .*camvid"),
        (
            tmp_path / "camvid",
            "test",
            "no test/ and no testannot/.*found: train/ with trainannot/, val/ with valannot/",
        ),
        (tmp_path / "camvid", "vel", "camvid has no split vel, did you mean val"),
        (tmp_path / "camvit", "val", "no such folder, did you mean camvid"),
        (None, "val", "camvid needs a folder .*write camvid:FOLDER"),
    ]
    for root, split, message in cases:
        with pytest.raises(DatasetError, match=message):
            Data(root, split)
    (tmp_path / "camvid/valannot/0006R0_2.png").rename(tmp_path / "camvid/valannot/0006R0_3.png")
    with pytest.raises(DatasetError, match=r"1 of 2 images .*: 0006R0_2; 1 labels .*: 0006R0_3\.  Remedy"):
        require_complete(Data(tmp_path / "camvid", "val").pairing)


@pytest.mark.shared
def test_the_real_one(shared):
    train, val = Data(shared / "data/camvid", "train"), Data(shared / "data/camvid", "val")
    assert (len(train), len(val)) == (367, 101)
    assert {name: train.domains.count(name) for name in set(train.domains)} == {
        "0016E5": 204, "0006R0": 101, "0001TP": 62}  # fmt: skip
    assert set(val.domains) == {"0016E5"}
    sample = train[0]
    assert (sample.name, sample.image.shape) == ("0001TP_006690", (360, 480, 3))
    counts = np.zeros(256, np.int64)
    for index in range(0, 101, 2):  # every other frame: neighbours look alike
        counts += np.bincount(val.table(val.read_label(val.pairs[index].label), "").ravel(), minlength=256)
    shares = 100 * counts / counts.sum()
    assert np.allclose([*shares[:11], shares[255]], VAL_SHARES, atol=0.2)
