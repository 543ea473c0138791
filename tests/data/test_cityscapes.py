from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tarsia.data
from tarsia.data import camvid
from tarsia.data._pairing import require_complete
from tarsia.data.cityscapes import IDS, Data, meaning
from tarsia.errors import DatasetError

# The official train ids by id, and the last id of each category.
TRAIN_IDS = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14,
             28: 15, 31: 16, 32: 17, 33: 18}  # fmt: skip
CATEGORIES = {"void": 6, "flat": 10, "construction": 16, "object": 20, "nature": 22, "sky": 23, "human": 25,
              "vehicle": 33}  # fmt: skip
NAMES = ("aachen_000000_000019", "bad-honnef_000001_000020")
EVERY_ID = np.array([*range(34), 255], np.uint8).reshape(5, 7)


def tree(root: Path, split="train", kind="gtFine", files="labelIds", labels=EVERY_ID, names=NAMES) -> Path:
    for name in names:
        city = name.partition("_")[0]
        images, truths = root / "leftImg8bit" / split / city, root / kind / split / city
        for folder in (images, truths):
            folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", labels.shape[1::-1], (90, 80, 70)).save(images / f"{name}_leftImg8bit.png")
        Image.fromarray(labels).save(truths / f"{name}_{kind}_{files}.png")
        Image.new("RGBA", (2, 2)).save(truths / f"{name}_{kind}_color.png")
        Image.new("I;16", (2, 2)).save(truths / f"{name}_{kind}_instanceIds.png")
        (truths / f"{name}_{kind}_polygons.json").write_text("{}")
    return root


def category(value: int) -> int:
    return next(index for index, last in enumerate(CATEGORIES.values()) if value <= last)


SYSTEMS = [
    ({}, 19, lambda value: TRAIN_IDS.get(value, 255)),
    ({"void": "scored"}, 20, lambda value: TRAIN_IDS.get(value, 19)),
    ({"classes": 8}, 8, category),
    ({"classes": 8, "void": "ignored"}, 7, lambda value: category(value) - 1 if value > 6 else 255),
]


@pytest.mark.parametrize(("options", "count", "label"), SYSTEMS)
def test_every_id_gets_its_label(tmp_path, options, count, label):
    data = Data(tree(tmp_path), **options)
    assert len(data) == 2 and len(data.classes) == count
    sample = data[1]
    assert (sample.name, sample.domain) == (f"bad-honnef/{NAMES[1]}", "bad-honnef")
    assert sample.label.ravel().tolist() == [*(label(value) for value in range(34)), 255]
    assert sample.image.shape == (5, 7, 3)


def test_names_and_colours():
    assert len(IDS) == 34 and [index for index, found in enumerate(IDS) if found.trained] == list(TRAIN_IDS)
    classes = meaning(19, "ignored")[0]
    assert classes.names[:2] == ("road", "sidewalk") and classes.names[-1] == "bicycle"
    assert classes.colors[0] == (128, 64, 128) and classes.colors[13] == (0, 0, 142)
    assert meaning(19, "scored")[0].names == (*classes.names, "void")
    categories = meaning(8, "scored")[0]
    assert categories.names == tuple(CATEGORIES)
    assert categories.colors[:2] == ((0, 0, 0), (128, 64, 128)) and categories.colors[-1] == (0, 0, 142)
    assert meaning(8, "ignored")[0].names == tuple(CATEGORIES)[1:]
    assert len(set(classes.colors)) == 19 and len(set(categories.colors)) == 8


@pytest.mark.parametrize(("void", "rest"), [("ignored", 255), ("scored", 19)])
def test_train_ids(tmp_path, void, rest):
    data = Data(tree(tmp_path, files="labelTrainIds", labels=np.array([[*range(19), 255]], np.uint8)), ids="train",
                void=void)  # fmt: skip
    assert data[0].label.ravel().tolist() == [*range(19), rest]


def test_coarse_labels_and_their_extra_split(tmp_path):
    tree(tree(tmp_path), kind="gtCoarse", split="train_extra", names=("erlangen_000000_000000",))
    data = Data(tmp_path, "train_extra", labels="coarse")
    assert [(sample.name, sample.domain) for sample in data] == [("erlangen/erlangen_000000_000000", "erlangen")]


def test_from_the_command_line(tmp_path):
    tree(tmp_path, "val")
    data = tarsia.data.open_spec(f"cityscapes:{tmp_path},classes=8,void=ignored", split="val")
    assert len(data.classes) == 7 and data[0].label.max() == 255
    assert tarsia.data.option_faults("cityscapes", {"classes": "8", "void": "scored"}) == []
    for key, value in (("labels", "corse"), ("void", "yes"), ("ids", "instance"), ("classes", "all")):
        assert [where for where, _ in tarsia.data.option_faults("cityscapes", {key: value})] == [(key,)]


WRONG_OPTIONS = [
    ("vall", {}, "no split vall with fine labels, did you mean val"),
    ("train_extra", {}, "no split train_extra with fine labels: add labels=coarse"),
    ("test", {"labels": "coarse"}, "no split test with coarse labels: add labels=fine"),
    ("train", {"classes": 34}, r"classes is 34, expected 19 \(train ids\) or 8"),
    ("train", {"classes": 8, "ids": "train"}, "8 categories need the labelIds files"),
    ("train", {"ids": "train"}, r"no labels named \*_gtFine_labelTrainIds.png but .*: leave out ids=train"),
    (
        "train",
        {"labels": "coarse"},
        r"no gtCoarse/train/, which cityscapes' train split needs \(folders there: gtFine, left",
    ),
    ("val", {}, r"no leftImg8bit/val/ and no gtFine/val/, .*\(folders in leftImg8bit/: train; folders in gtFine/: tr"),
]


@pytest.mark.parametrize(("split", "options", "message"), WRONG_OPTIONS)
def test_options_that_do_not_fit(tmp_path, split, options, message):
    with pytest.raises(DatasetError, match=message):
        Data(tree(tmp_path), split, **options)


def test_only_train_ids_are_there(tmp_path):
    tree(tmp_path, files="labelTrainIds")
    with pytest.raises(DatasetError, match=r"no labels named \*_gtFine_labelIds.png but .*TrainIds.png: add ids=train"):
        Data(tmp_path)


@pytest.mark.parametrize("place", ["..", "leftImg8bit", "gtFine", "leftImg8bit/train", "gtFine/train/aachen", "../x"])
def test_the_wrong_level_names_the_right_one(tmp_path, place):
    tree(tmp_path / "streets" / "city")
    (tmp_path / "streets" / "x").mkdir()
    with pytest.raises(DatasetError, match=r"did you mean .*city[?]$"):
        Data(tmp_path / "streets" / "city" / place)


def test_archives_unpacked_apart(tmp_path):
    tree(tmp_path)
    for name in ("leftImg8bit", "gtFine"):
        (tmp_path / f"{name}_trainvaltest").mkdir()
        (tmp_path / name).rename(tmp_path / f"{name}_trainvaltest" / name)
    with pytest.raises(
        DatasetError, match=r"; move or link leftImg8bit_.* and gtFine_trainvaltest/gtFine/train to gtFine/train$"
    ):
        Data(tmp_path)
    with pytest.raises(DatasetError, match="gtFin: no such folder"):
        Data(tmp_path / "gtFin")
    with pytest.raises(DatasetError, match="cityscapes needs a folder with leftImg8bit/ and gtFine/ in it"):
        Data(None)


def test_halves(tmp_path):
    tree(tmp_path)
    label = tmp_path / "gtFine/train/aachen" / f"{NAMES[0]}_gtFine_labelIds.png"
    label.rename(label.with_name("aachen_9_9_gtFine_labelIds.png"))
    missing = rf"1 of 2 images .*\(as aachen/{NAMES[0]}_gtFine_labelIds.png\).*; 1 labels .*: aachen/aachen_9_9\."
    with pytest.raises(DatasetError, match=missing):
        require_complete(Data(tmp_path).pairing)
    for path in (tmp_path / "leftImg8bit").rglob("*.png"):
        path.rename(path.with_name(path.name.replace("_leftImg8bit", "")))
    with pytest.raises(DatasetError, match=r"no images found .looked for names ending in _leftImg8bit"):
        Data(tmp_path)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full((2, 3), 34, np.uint8), r"_labelIds.png: label value 34 in 6 pixels .*known: 0-33, 255\)"),
        (np.full((2, 3, 3), 34, np.uint8), r"_labelIds.png: colour \[34, 34, 34\] in 6 .*_color files are for looking"),
    ],
)
def test_strange_values(tmp_path, labels, message):
    with pytest.raises(DatasetError, match=message):
        Data(tree(tmp_path, labels=labels))[0]


@pytest.mark.shared
def test_the_layout_of_the_samples(shared):
    root = shared / "data/samples/cityscapes_layout"
    # CamVid's frames: what each of its classes, and void, is called here.
    called = ("sky", "building", "pole", "road", "sidewalk", "vegetation", "traffic_sign", "fence", "car", "person",
              "rider")  # fmt: skip
    frames = [(data, index) for data in (camvid.Data(shared / "data/camvid", split) for split in ("train", "val"))
              for index in range(len(data))]  # fmt: skip
    for split, count in (("train", 4), ("val", 2)):
        by_id, by_train_id = Data(root, split), Data(root, split, ids="train")
        categories = Data(root, split, classes=8)
        assert len(by_id) == count and set(by_id.domains) == {"cambridge"}
        for index in range(count):
            sample = by_id[index]
            np.testing.assert_array_equal(sample.label, by_train_id[index].label)
            number = sample.name[-5:]
            candidates = [data[position] for data, position in frames if data.name(position).endswith(number)]
            original = next(found for found in candidates if np.array_equal(found.image, sample.image))
            table = np.full(256, 255, np.uint8)
            table[:11] = [by_id.classes.names.index(name) for name in called]
            np.testing.assert_array_equal(sample.label, table[original.label])
            assert ((categories[index].label == 0) == (sample.label == 255)).all()


@pytest.mark.shared
def test_fixtures_without_label_ids(shared):
    fixtures = shared / "data/samples/datumaro_fixtures/cityscapes_dataset"
    with pytest.raises(DatasetError, match="; move or link imgsFine/leftImg8bit/val to leftImg8bit/val"):
        Data(fixtures / "dataset", "val")


@pytest.mark.shared
def test_fixtures_side_by_side(shared, tmp_path):
    fixtures = shared / "data/samples/datumaro_fixtures/cityscapes_dataset"
    (tmp_path / "leftImg8bit").symlink_to(fixtures / "train_dataset/imgsFine/leftImg8bit")
    (tmp_path / "gtFine").symlink_to(fixtures / "train_dataset/gtFine")
    with pytest.raises(DatasetError, match="add ids=train"):
        Data(tmp_path, "train")
    assert [len(Data(tmp_path, split, ids="train")) for split in ("train", "val", "test")] == [1, 1, 2]
    with pytest.raises(DatasetError, match=r"_labelTrainIds.png: label value 19 .*0 to 18"):
        Data(tmp_path, "val", ids="train")[0]


POLYGONS = {
    "imgHeight": 6,
    "imgWidth": 9,
    "objects": [
        {"label": "road", "polygon": [[0, 3], [8, 3], [8, 5], [0, 5]]},
        {"label": "cargroup", "polygon": [[2, 1], [5, 1], [5, 4], [2, 4]]},
        {"label": "traffic sign", "polygon": [[5, 0], [30, -9], [30, 1], [5, 1]]},
        {"label": "license plate", "polygon": [[0, 0], [8, 0], [8, 5]]},
        {"label": "sky", "polygon": [[0, 0], [8, 0], [8, 5]], "deleted": 1},
    ],
}


def polygons(root: Path, content: dict | str) -> Path:
    tree(root, files="labelIds", names=NAMES[:1])
    folder = root / "gtFine/train/aachen"
    for path in folder.glob("*.png"):
        path.unlink()
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / f"{NAMES[0]}_gtFine_polygons.json").write_text(text)
    Image.new("RGB", (9, 6)).save(root / f"leftImg8bit/train/aachen/{NAMES[0]}_leftImg8bit.png")
    return root


def test_polygons_are_drawn_where_there_are_no_ids(tmp_path):
    polygons(tmp_path, POLYGONS)
    with pytest.raises(DatasetError, match=r"labelIds\.png but \*_gtFine_polygons\.json: add ids=polygons"):
        Data(tmp_path)
    data = tarsia.data.open_spec(f"cityscapes:{tmp_path},ids=polygons", split="train")
    assert data.name(0) == "aachen/aachen_000000_000019"
    assert data[0].label[:, 5].tolist() == [7, 7, 13, 13, 13, 0] and data[0].label[0, 0] == 255
    assert tarsia.data.open_spec(f"cityscapes:{tmp_path},ids=polygons,classes=8", split="train")[0].label[5, 8] == 1


def test_drawn_labels_are_those_of_the_tool_that_made_the_published_ones(tmp_path):
    """These rows are what json2labelImg of cityscapesscripts 2.3.0 draws of the same file, with its labels' ids."""
    data = Data(polygons(tmp_path, POLYGONS), ids="polygons")
    rows = data.read_label(data.pairs[0].label)
    assert rows.tolist() == [
        [0, 0, 0, 0, 0, 20, 20, 20, 20],
        [0, 0, 26, 26, 26, 20, 20, 20, 20],
        [0, 0, 26, 26, 26, 26, 0, 0, 0],
        [7, 7, 26, 26, 26, 26, 7, 7, 7],
        [7, 7, 26, 26, 26, 26, 7, 7, 7],
        [7, 7, 7, 7, 7, 7, 7, 7, 7],
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"aachen.*polygons\.json: no polygons of a picture \(Expecting"),
        ({"imgHeight": 6}, "no 'imgWidth'"),
        ({"imgHeight": 6, "imgWidth": 10**9, "objects": []}, "expected imgHeight and imgWidth in pixels"),
        (
            POLYGONS | {"objects": [{"label": "rood", "polygon": []}]},
            r"object 0: its label is 'rood', did you mean road",
        ),
        (POLYGONS | {"objects": [{"label": "road", "polygon": [[1]]}]}, r"object 0 \(road\): its polygon is \[\[1\]\]"),
        (POLYGONS | {"objects": [{"label": "road", "polygon": [[1, float("nan")]]}]}, "expected points"),
        (POLYGONS | {"imgHeight": 7}, "is 6x9 but its label .* is 7x9"),
    ],
)
def test_damaged_polygons_name_their_file(tmp_path, content, message):
    with pytest.raises(DatasetError, match=message):
        Data(polygons(tmp_path, content), ids="polygons")[0]
