"""Data sets as they lie on disk: each layout, drawn small, and the short dataset.yaml that describes it."""

from __future__ import annotations

import io
import textwrap
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tarsia import data
from tarsia.data._layout import Layout
from tarsia.data._split import RandomSplit, divide
from tarsia.data.folder import Data
from tarsia.errors import DatasetError

SIZE = (8, 12)


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(path)


def mask(path: Path, value: int | tuple[int, ...] = 1, columns: int = 5, rest: int | tuple[int, ...] = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = SIZE if isinstance(value, int) else (*SIZE, 3)
    stored = np.full(shape, rest, np.uint8)
    stored[:, :columns] = value
    Image.fromarray(stored).save(path)


def described(root: Path, yaml: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.yaml").write_text(textwrap.dedent(yaml), encoding="utf-8")
    return root


def names(root: Path, split: str = "train") -> list[str]:
    """The names of a split, all of whose samples are read, with class 1 in the first five columns."""
    opened = data.open("folder", root, split)
    for sample in opened:
        assert (sample.label[:, :5] == 1).all() and (sample.label[:, 5:] == 0).all(), sample.name
    return [opened.name(index) for index in range(len(opened))]


CLASSES = "classes: [ground, thing]\n"
COLORS = "classes: {urban: '#00ffff', fields: '#ffff00'}\n"


def test_deepglobe_has_a_word_on_both_sides(tmp_path: Path) -> None:
    for name in ("10", "123"):
        picture(tmp_path / f"train/{name}_sat.jpg")
        mask(tmp_path / f"train/{name}_mask.png", (255, 255, 0), rest=(0, 255, 255))
    yaml = "images: train\nlabels: train\nimage_suffix: _sat\nlabel_suffix: _mask\n"
    assert names(described(tmp_path, COLORS + yaml)) == ["10", "123"]


def test_the_error_of_before_proposes_what_the_names_have(tmp_path: Path) -> None:
    for name in ("10", "123"):
        picture(tmp_path / f"train/{name}_sat.jpg")
        mask(tmp_path / f"train/{name}_mask.png")
    with pytest.raises(DatasetError, match=r"Remedy: add `image_suffix: _sat` to dataset\.yaml"):
        Data(described(tmp_path, CLASSES + "images: train\nlabels: train\nlabel_suffix: _mask\n"))


def test_potsdam(tmp_path: Path) -> None:
    for name in ("top_potsdam_2_10", "top_potsdam_2_11"):
        picture(tmp_path / f"2_Ortho_RGB/{name}_RGB.tif")
        mask(tmp_path / f"5_Labels_all/{name}_label.tif", (0, 0, 255), rest=(255, 255, 255))
    yaml = """\
        classes: {surface: [255, 255, 255], building: [0, 0, 255], car: [255, 255, 0]}
        images: 2_Ortho_RGB
        labels: 5_Labels_all
        image_suffix: _RGB
        label_suffix: _label
    """
    assert names(described(tmp_path, yaml)) == ["top_potsdam_2_10", "top_potsdam_2_11"]
    described(tmp_path, "classes: {a: [255, 255, 255], b: [0, 0, 255]}\nimages: 2_Ortho_RGB\nlabels: 5_Labels_all\n")
    with pytest.raises(DatasetError, match=r"add `image_suffix: _RGB` and `label_suffix: _label` to dataset\.yaml"):
        Data(tmp_path)


def test_prefixes(tmp_path: Path) -> None:
    for number in ("0001", "0002"):
        picture(tmp_path / f"images/image_{number}.png")
        mask(tmp_path / f"masks/gt_{number}.png")
    yaml = "labels: masks\nimage_prefix: image_\nlabel_prefix: gt_\n"
    assert names(described(tmp_path, CLASSES + yaml)) == ["0001", "0002"]


def test_one_name_with_two_suffixes_in_one_folder(tmp_path: Path) -> None:
    for name in ("a.b", "c"):
        picture(tmp_path / f"{name}.JPG")
        mask(tmp_path / f"{name}.png")
    for yaml in ("label_suffix: .png", "image_suffix: .jpg", "image_suffix: .jpg\nlabel_suffix: .png"):
        assert names(described(tmp_path, f"{CLASSES}images: .\nlabels: .\n{yaml}\n")) == ["a.b", "c"]


def test_a_word_for_pictures_and_one_for_labels(tmp_path: Path) -> None:
    for number in (12, 13):
        picture(tmp_path / f"all/{number}_photo.png")
        mask(tmp_path / f"all/{number}_truth.png")
    yaml = "images: all\nlabels: all\nimage_suffix: _photo\nlabel_suffix: _truth\n"
    assert names(described(tmp_path, CLASSES + yaml)) == ["12", "13"]


def scenes(root: Path) -> None:
    for place in ("Train/Urban", "Train/Rural", "Val/Urban"):
        for number in (0, 1):
            picture(root / place / "images_png" / f"{number}.png")
            mask(root / place / "masks_png" / f"{number}.png")


@pytest.mark.parametrize(
    "yaml",
    [
        "train: {images: Train/*/images_png, labels: Train/*/masks_png}",
        "train: {images: [Train/Urban/images_png, Train/Rural/images_png],"
        " labels: [Train/Urban/masks_png, Train/Rural/masks_png]}",
    ],
    ids=["pattern", "list"],
)
def test_loveda_has_a_folder_for_each_scene(yaml: str, tmp_path: Path) -> None:
    scenes(tmp_path)
    described(tmp_path, f"{CLASSES}splits:\n  {yaml}\n  val: {{images: Val/*/images_png, labels: Val/*/masks_png}}\n")
    assert names(tmp_path) == ["Rural/0", "Rural/1", "Urban/0", "Urban/1"]
    assert names(tmp_path, "val") == ["0", "1"]


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("images: Tran/*/images_png\nlabels: Tran/*/masks_png", "no folder fits Tran/"),
        ("images: Train/*/images_png\nlabels: '*/*/masks_png'", "1 wildcards and .* 2"),
        ("images: [a, b]\nlabels: [a, b, c]", "2 folders of images and 3 of labels"),
        ("images: Train/*/images_png\nlabels: Train/*/masks", "masks: no such folder"),
    ],
)
def test_folders_that_do_not_fit(yaml: str, message: str, tmp_path: Path) -> None:
    scenes(tmp_path)
    with pytest.raises(DatasetError, match=message):
        Data(described(tmp_path, f"{CLASSES}{yaml}\n"))


def test_openearthmap_lists_pictures_of_all_regions(tmp_path: Path) -> None:
    for region in ("aachen", "kyoto"):
        for number in (1, 2):
            picture(tmp_path / region / "images" / f"{region}_{number}.tif")
            mask(tmp_path / region / "labels" / f"{region}_{number}.tif")
    (tmp_path / "train.txt").write_text("aachen_1.tif\nkyoto_2.tif\n")
    yaml = 'images: "*/images"\nlabels: "*/labels"\nsplits: {train: {list: train.txt}}\n'
    assert names(described(tmp_path, CLASSES + yaml)) == ["aachen/aachen_1", "kyoto/kyoto_2"]


def test_several_folders_of_pictures_and_one_of_labels(tmp_path: Path) -> None:
    for folder, name in (("day", "a"), ("night", "b")):
        picture(tmp_path / folder / f"{name}.jpg")
        mask(tmp_path / f"labels/{name}.png")
    assert names(described(tmp_path, f"{CLASSES}images: [day, night]\n")) == ["a", "b"]


CAMVID = "/SegNet/CamVid/train/{0}.png /SegNet/CamVid/trainannot/{0}.png"


@pytest.mark.parametrize(
    ("form", "ending"),
    [(CAMVID, "png"), ("train/{0}.jpg trainannot/{0}.png", "jpg"), ("train\\{0}.jpg,\ttrainannot\\{0}.png", "jpg")],
    ids=["camvid", "paddleseg", "windows"],
)
def test_lists_of_images_with_their_labels(form: str, ending: str, tmp_path: Path) -> None:
    for name in ("x 1", "x 2", "x 3"):
        picture(tmp_path / f"train/{name}.{ending}")
        mask(tmp_path / f"trainannot/{name}.png")
    (tmp_path / "train.txt").write_text("".join(form.format(name) + "\n" for name in ("x 1", "x 3")))
    yaml = "splits: {train: {list: train.txt}}\nleave_out: {x 3: blurred}\n"
    assert names(described(tmp_path, CLASSES + yaml)) == ["x 1"]
    (tmp_path / "train.txt").write_text(f"{form.format('x 1')}\n{form.format('x 7')}\n{form.format('../x 2')}\n")
    with pytest.raises(DatasetError, match=r"2 of the files that it lists are not below .*x 7"):
        names(tmp_path)
    (tmp_path / "train.txt").write_text(f"{form.format('x 1')}\nx 2\n")
    with pytest.raises(DatasetError, match="'x 2' is no image with its label"):
        names(tmp_path)


def test_dsb2018_has_many_masks_a_picture(tmp_path: Path) -> None:
    for number in ("0a", "1b"):
        picture(tmp_path / f"stage1_train/{number}/images/{number}.png")
        for part, columns in ((1, 2), (2, 5)):
            mask(tmp_path / f"stage1_train/{number}/masks/{number}{part}.png", 255, columns)
    yaml = """\
        classes: {background: 0, nucleus: 255}
        images: stage1_train/*/images
        labels: stage1_train/*/masks
        join_labels: true
    """
    assert names(described(tmp_path, yaml)) == ["0a/0a", "1b/1b"]
    opened = Data(tmp_path)
    before = opened.fingerprint()
    mask(Path(opened.pairs[0].label) / "0a2.png", 255, 6)
    assert Data(tmp_path).fingerprint() != before
    (tmp_path / "stage1_train/0a/masks/wide.png").write_bytes((tmp_path / "stage1_train/0a/masks/0a1.png").read_bytes())
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "stage1_train/0a/masks/small.png")
    with pytest.raises(DatasetError, match="its label files are 3x3, 8x12, expected numbers of one height x width"):
        Data(tmp_path)[0]


def test_masks_in_a_folder_of_the_picture_s_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / f"images/{name}.png")
        for part in (1, 2):
            mask(tmp_path / f"labels/{name}/{part}.png", columns=part + 3)
    assert names(described(tmp_path, CLASSES + "join_labels: true\n")) == ["a", "b"]


def test_names_match_whatever_way_their_accents_are_written(tmp_path: Path) -> None:
    for number in (0, 1):
        picture(tmp_path / "images" / (unicodedata.normalize("NFD", f"Café{number}") + ".png"))
        mask(tmp_path / "labels" / (unicodedata.normalize("NFC", f"Café{number}") + ".png"))
    (tmp_path / "one.txt").write_text(unicodedata.normalize("NFC", "Café1"), encoding="utf-8")
    assert len(names(described(tmp_path, CLASSES))) == 2
    assert len(names(described(tmp_path, CLASSES + "splits: {train: {list: one.txt}}\n"))) == 1
    assert len(names(described(tmp_path, CLASSES + "leave_out: [Café1]\n"))) == 1


def test_names_match_by_case_where_one_alone_is_meant(tmp_path: Path) -> None:
    for image, label in (("IMG_1", "img_1"), ("IMG_2", "IMG_2")):
        picture(tmp_path / f"images/{image}.jpg")
        mask(tmp_path / f"labels/{label}.png")
    assert names(described(tmp_path, CLASSES)) == ["IMG_1", "IMG_2"]
    mask(tmp_path / "labels/Img_1.png")
    with pytest.raises(DatasetError, match=r"1 of 2 images .*IMG_1; 2 labels .*Img_1, img_1"):
        names(tmp_path)


def test_what_is_left_out_has_no_faults(tmp_path: Path) -> None:
    for name in ("a", "b", "lonely"):
        picture(tmp_path / f"images/{name}.jpg")
    for name in ("a", "b", "left"):
        mask(tmp_path / f"labels/{name}.png")
    (tmp_path / "labels/b.png").write_bytes(b"no mask")
    leave_out = "leave_out:\n  lonely: has no label\n  left:\n  b: cannot be read\n"
    assert names(described(tmp_path, CLASSES + leave_out)) == ["a"]
    assert Layout.load(tmp_path / "dataset.yaml").leave_out["left"] == ""


def test_pictures_that_belong_together_are_never_divided() -> None:
    names = [f"{number:02d}" for number in range(20)]
    kept = (("03", "11"), ("11", "19"), ("05", "06", "gone"))
    for seed in range(20):
        parts = divide(names, RandomSplit(val=0.3, seed=seed, together=kept))
        val = {names[index] for index in parts["val"]}
        assert len(val & {"03", "11", "19"}) in (0, 3) and len(val & {"05", "06"}) in (0, 2)
        assert sorted(index for part in parts.values() for index in part) == list(range(20))


# ---- what stands in label files


def test_values_spread_for_the_eye(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    mask(tmp_path / "labels/a.png", 85)
    assert names(described(tmp_path, "classes: {ground: 0, thing: 85, other: 170, last: 255}\n")) == ["a"]


def test_masks_saved_as_jpeg_with_a_stated_tolerance(tmp_path: Path) -> None:
    for name, colors in (("grey", (255, 0)), ("color", ((255, 255, 0), (0, 255, 255)))):
        root = tmp_path / name
        stored = np.zeros((64, 64) if name == "grey" else (64, 64, 3), np.uint8)
        stored[:, :32], stored[:, 32:] = colors
        picture(root / "images/a.png")
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(root / "images/a.png")
        (root / "labels").mkdir()
        Image.fromarray(stored).save(root / "labels/a.jpg", quality=80)
        yaml = "classes: {ground: 0, thing: 255}\n" if name == "grey" else COLORS
        with pytest.raises(DatasetError, match=r"a\.jpg: .*JPEG"):
            Data(described(root, yaml))[0]
        label = Data(described(root, yaml + "tolerance: 60\n"))[0].label
        assert (label[:, :30] == 1).all() and (label[:, 34:] == 0).all()
        third = stored.copy()
        third[:20] = 128
        Image.fromarray(third).save(root / "labels/a.jpg", quality=95)
        with pytest.raises(DatasetError, match="neither a class nor ignored"):  # no noise at borders
            Data(root)[0]


def test_webp_without_loss_is_a_label_and_with_loss_is_none(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    stored = np.zeros((*SIZE, 3), np.uint8)
    stored[:, :5] = 1
    (tmp_path / "labels").mkdir()
    Image.fromarray(stored).save(tmp_path / "labels/a.webp", lossless=True, exact=True)
    described(tmp_path, CLASSES + "format: index\n")
    assert names(tmp_path) == ["a"]
    Image.fromarray(stored).save(tmp_path / "labels/a.webp", quality=80)
    with pytest.raises(DatasetError, match=r"a\.webp: a WebP file with loss"):
        Data(tmp_path)[0]


@pytest.mark.parametrize("ending", [".tif", ".npy"])
def test_floats_that_are_whole_numbers_are_labels(ending: str, tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    (tmp_path / "labels").mkdir()
    stored = np.zeros(SIZE, np.float32)
    stored[:, :5] = 1

    def save() -> None:
        if ending == ".npy":
            np.save(tmp_path / "labels/a.npy", stored)
        else:
            Image.fromarray(stored).save(tmp_path / "labels/a.tif")

    save()
    assert names(described(tmp_path, CLASSES)) == ["a"]
    for wrong in (0.5, np.nan, 1e20):
        stored[0, 0] = wrong
        save()
        with pytest.raises(DatasetError, match="in 1 pixels, expected whole numbers of classes"):
            Data(tmp_path)[0]


@pytest.mark.parametrize("kind", ["bool", "uint8", "uint16", "int64"])
def test_arrays_of_numbers_are_labels(kind: str, tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    (tmp_path / "labels").mkdir()
    stored = np.zeros((*SIZE, 1), kind)
    stored[:, :5] = 1
    np.save(tmp_path / "labels/a.npy", stored)
    assert names(described(tmp_path, CLASSES)) == ["a"]


def test_arrays_that_are_no_labels(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    (tmp_path / "labels").mkdir()
    described(tmp_path, CLASSES)
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(SIZE, np.uint8))
    objects = np.empty(SIZE, object)
    for content, message in ((buffer.getvalue()[:-1], "cut off"), (b"\x93NUMPY\x01\x00", "damaged .npy")):
        (tmp_path / "labels/a.npy").write_bytes(content)
        with pytest.raises(DatasetError, match=message):
            Data(tmp_path)[0]
    for wrong in (np.zeros((2, 2, 2, 2), np.uint8), objects, np.zeros((*SIZE, 4), np.uint8)):
        np.save(tmp_path / "labels/a.npy", wrong, allow_pickle=True)
        with pytest.raises(DatasetError, match="expected whole numbers"):
            Data(tmp_path)[0]


# ---- classes as people write them


@pytest.mark.parametrize(
    ("yaml", "values", "colors"),
    [
        ("{0: ground, 7: car}", {0: 0, 7: 1}, {}),
        ("{7: car, 0: ground}", {0: 0, 7: 1}, {}),
        ("{ground: 0, car: 7}", {0: 0, 7: 1}, {}),
        ("{ground: [0, 3], car: [7]}", {0: 0, 3: 0, 7: 1}, {}),
        ("{ground: '#000000', car: '#40ff80'}", {0: 0, 1: 1}, {(0, 0, 0): 0, (64, 255, 128): 1}),
        ("{'#000000': ground, '#40ff80': car}", {0: 0, 1: 1}, {(0, 0, 0): 0, (64, 255, 128): 1}),
        ("{ground: [0, 0, 0], car: [64, 255, 128]}", {0: 0, 1: 1}, {(0, 0, 0): 0, (64, 255, 128): 1}),
        ("[ground: [0, 0, 0], car: '#40ff80']", {0: 0, 1: 1}, {(0, 0, 0): 0, (64, 255, 128): 1}),
        ("[{id: 0, name: ground}, {id: 7, name: car}]", {0: 0, 7: 1}, {}),
        ("{0: {name: ground}, 7: {name: car, color: '#40ff80'}}", {0: 0, 7: 1}, {(64, 255, 128): 1}),
        ("{ground: {values: [0]}, car: {values: [7]}}", {0: 0, 7: 1}, {}),
        ("{ground: , car: }", {0: 0, 1: 1}, {}),
        ("{ground: '0', car: '7'}", {0: 0, 7: 1}, {}),
    ],
)
def test_classes_as_people_write_them(yaml: str, values: dict, colors: dict, tmp_path: Path) -> None:
    layout = Layout.load(described(tmp_path, f"classes: {yaml}\n") / "dataset.yaml")
    table = layout.table("")
    assert layout.palette().names == ("ground", "car")
    assert table.values == values | {255: 255} and table.colors == colors
