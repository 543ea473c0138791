from __future__ import annotations

import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tarsia.data._layout import Layout
from tarsia.data._pairing import require_complete
from tarsia.data._split import RandomSplit, divide
from tarsia.data.folder import Data
from tarsia.errors import DatasetError, RecipeError, TarsiaError


def image(path: Path, size=(4, 6), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)


def label(path: Path, values, palette=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.asarray(values))
    if palette:
        picture.putpalette([0, 0, 0, 250, 0, 0, 0, 250, 0] + [0] * 759)
    picture.save(path)


def tree(root: Path, yaml: str, names=("a", "b", "c"), value=1) -> Path:
    """Images and labels of 4 x 6, and a dataset.yaml."""
    for seed, name in enumerate(names):
        image(root / "images" / f"{name}.jpg", seed=seed)
        values = np.zeros((4, 6), np.uint8)
        values[1:3] = value
        label(root / "labels" / f"{name}.png", values)
    write(root, yaml)
    return root


def write(root: Path, yaml: str) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.yaml").write_text(textwrap.dedent(yaml))


def test_the_smallest_dataset_yaml(tmp_path):
    data = Data(tree(tmp_path, "classes: [background, road]"))
    assert [data.name(index) for index in range(len(data))] == ["a", "b", "c"]
    assert data.classes.names == ("background", "road")
    assert len({*data.classes.colors, (0, 0, 0)}) == 3
    sample = data[1]
    assert (sample.name, sample.domain, sample.image.shape, sample.image.dtype) == ("b", "", (4, 6, 3), np.uint8)
    assert sample.label.tolist() == [[0] * 6, [1] * 6, [1] * 6, [0] * 6]
    assert [entry.name for entry in Data(tmp_path / "dataset.yaml")] == ["a", "b", "c"]


def test_the_documentation_is_a_dataset_yaml(tmp_path):
    from tarsia.data import folder

    blocks = re.findall(r"(?:^ {4}.*\n|^\n)+", folder.__doc__, re.MULTILINE)
    smallest, everything, splits = [textwrap.dedent(block) for block in blocks if block.strip()]
    for yaml in (smallest, everything, splits + "classes: [a, b]"):
        write(tmp_path, yaml)
        layout = Layout.load(tmp_path / "dataset.yaml")
        assert "background" in layout.palette().names or layout.splits


def test_merged_and_ignored_values(tmp_path):
    yaml = """
        classes:
          - {name: ground, values: [1, 2]}
          - {name: car, values: [26], color: [0, 0, 142]}
        ignore: 7
    """
    data = Data(tree(tmp_path, yaml, names=["a"]))
    label(tmp_path / "labels/a.png", np.array([[1, 2, 26, 7, 255, 1]] * 4, np.uint8))
    assert data[0].label[0].tolist() == [0, 0, 1, 255, 255, 0]
    assert data.classes.colors[1] == (0, 0, 142)


def test_255_may_be_a_class(tmp_path):
    data = Data(tree(tmp_path, "classes: [{name: out, values: [0]}, {name: in, values: [255]}]", value=255))
    assert data.classes.names == ("out", "in") and np.unique(data[0].label).tolist() == [0, 1]


def test_rgb_masks_through_the_table(tmp_path):
    yaml = """
        classes:
          - {name: red, color: [250, 0, 0], colors: [[250, 0, 0], [200, 0, 0]]}
          - {name: green, color: [0, 250, 0]}
        ignore: [[0, 0, 0]]
    """
    data = Data(tree(tmp_path, yaml, names=["a"]))
    colors = np.array([[[250, 0, 0], [200, 0, 0], [0, 250, 0], [0, 0, 0]]] * 4, np.uint8)
    image(tmp_path / "images/a.jpg", (4, 4))
    label(tmp_path / "labels/a.png", colors)
    assert data[0].label[0].tolist() == [0, 0, 1, 255]
    label(tmp_path / "labels/a.png", np.full((4, 4, 3), 9, np.uint8))
    with pytest.raises(DatasetError, match=r"a\.png: colour \[9, 9, 9\] in 16 pixels.*colors: \[\[9, 9, 9\]\]"):
        data[0]


def test_colours_in_hexadecimal(tmp_path):
    classes = "[{name: red, color: '#FA0000', colors: ['#FA0000', [9, 9, 9]]}, {name: b, color: '#00fa00'}]"
    data = Data(tree(tmp_path, f"classes: {classes}\nignore: ['#000000']", names=["a"]))
    image(tmp_path / "images/a.jpg", (4, 4))
    label(tmp_path / "labels/a.png", np.array([[[250, 0, 0], [9, 9, 9], [0, 250, 0], [0, 0, 0]]] * 4, np.uint8))
    assert data[0].label[0].tolist() == [0, 0, 1, 255] and data.classes.colors[0] == (250, 0, 0)


def test_palette_masks_are_indices_unless_format_says_rgb(tmp_path):
    yaml = "classes: [{name: green, color: [0, 250, 0]}, {name: red, color: [250, 0, 0]}, {name: b, color: [0, 0, 0]}]"
    data = Data(tree(tmp_path, yaml, names=["a"]))
    label(tmp_path / "labels/a.png", np.array([[0, 1, 2, 0, 1, 2]] * 4, np.uint8), palette=True)
    assert data[0].label[0].tolist() == [0, 1, 2, 0, 1, 2]
    write(tmp_path, yaml + "\nformat: rgb")
    assert Data(tmp_path)[0].label[0].tolist() == [2, 1, 0, 2, 1, 0]
    for transparent in (0, 1, bytes([0, 0, 255])):
        with Image.open(tmp_path / "labels/a.png") as mask:
            mask.load()
        mask.save(tmp_path / "labels/a.png", transparency=transparent)
        assert Data(tmp_path)[0].label[0].tolist() == [2, 1, 0, 2, 1, 0]


@pytest.mark.parametrize("transparent", [None, 0])
def test_a_palette_whose_background_is_transparent_stays_background(transparent, tmp_path):
    """Laid on white, as a photo is, it would be the white class."""
    yaml = "classes: [{name: ground, color: [0, 0, 0]}, {name: roof, color: [255, 255, 255]}]\nformat: rgb"
    tree(tmp_path, yaml, names=["a"])
    mask = Image.fromarray(np.array([[0, 1, 0, 0, 1, 1]] * 4, np.uint8))
    mask.putpalette([0, 0, 0, 255, 255, 255])
    mask.save(tmp_path / "labels/a.png", **({} if transparent is None else {"transparency": transparent}))
    assert Data(tmp_path)[0].label[0].tolist() == [0, 1, 0, 0, 1, 1]
    Image.fromarray(np.array([[0, 1, 0, 0, 1, 1]] * 4, bool)).save(tmp_path / "labels/a.png")  # one bit a pixel
    assert Data(tmp_path)[0].label[0].tolist() == [0, 1, 0, 0, 1, 1]


def test_grey_rgb_masks_need_format_index(tmp_path):
    data = Data(tree(tmp_path, "classes: [a, b]", names=["a"]))
    label(tmp_path / "labels/a.png", np.repeat(np.array([[[0], [1]] * 3] * 4, np.uint8), 3, axis=2))
    with pytest.raises(DatasetError, match=r"gives no class a color; its channels are equal: .*add `format: index`"):
        data[0]
    write(tmp_path, "classes: [a, b]\nformat: index")
    assert Data(tmp_path)[0].label[0].tolist() == [0, 1] * 3


def test_16_bit_masks(tmp_path):
    data = Data(tree(tmp_path, "classes: [{name: a, values: [0, 1]}, {name: b, values: [40000]}]", names=["a"]))
    label(tmp_path / "labels/a.png", np.array([[0, 40_000, 1, 0, 0, 0]] * 4, np.uint16))
    assert data[0].label[0].tolist() == [0, 1, 0, 0, 0, 0]


def test_subfolders_and_suffixes(tmp_path):
    for name in ("x/a", "y/a"):
        image(tmp_path / "images" / f"{name}.JPG")
        label(tmp_path / "labels" / f"{name}_L.png", np.zeros((4, 6), np.uint8))
    label(tmp_path / "labels" / "x" / "a_color.png", np.zeros((4, 6, 3), np.uint8))
    write(tmp_path, 'classes: [one]\nlabel_suffix: _L\ndomain_by: "^[a-z]"')
    data = Data(tmp_path)
    assert [(sample.name, sample.domain) for sample in data] == [("x/a", "x"), ("y/a", "y")]


def test_images_and_labels_in_one_folder(tmp_path):
    for name in ("a", "b"):
        image(tmp_path / f"{name}.png")
        label(tmp_path / f"{name}_mask.png", np.zeros((4, 6), np.uint8))
    write(tmp_path, "classes: [one]\nimages: .\nlabels: .\nlabel_suffix: _mask")
    assert [sample.name for sample in Data(tmp_path)] == ["a", "b"]


def test_labels_below_the_image_folder(tmp_path):
    image(tmp_path / "a.png")
    label(tmp_path / "labels" / "a.png", np.zeros((4, 6), np.uint8))
    write(tmp_path, "classes: [one]\nimages: .")
    assert [sample.name for sample in Data(tmp_path)] == ["a"]


def test_splits_by_folder_and_by_list(tmp_path):
    tree(tmp_path, "", names=["a", "b", "c"])
    image(tmp_path / "more/d.png")
    label(tmp_path / "moreannot/d.png", np.zeros((4, 6), np.uint8))
    (tmp_path / "val.txt").write_text("c\n\na.jpg\n")
    yaml = "classes: [x, y]\nsplits:\n  train: {images: more, labels: moreannot}\n  val: {list: val.txt}"
    write(tmp_path, yaml)
    assert [sample.name for sample in Data(tmp_path, "train")] == ["d"]
    assert [sample.name for sample in Data(tmp_path, "val")] == ["a", "c"]
    with pytest.raises(DatasetError, match="has no split vall, did you mean val"):
        Data(tmp_path, "vall")
    (tmp_path / "val.txt").write_text("c\nz\n")
    with pytest.raises(DatasetError, match=r"1 of 2 listed names are not in .*images: z"):
        require_complete(Data(tmp_path, "val").pairing)


def test_random_split_is_disjoint_complete_and_stays(tmp_path):
    names = [f"{index:02d}" for index in range(20)]
    tree(tmp_path, "classes: [x, y]\nsplit: {val: 0.2, test: 0.1, seed: 3}", names)
    parts = {split: [Data(tmp_path, split).name(i) for i in range(len(Data(tmp_path, split)))] for split in
             ("train", "val", "test", "all")}  # fmt: skip
    assert [len(parts[split]) for split in ("train", "val", "test")] == [14, 4, 2]
    assert sorted(parts["train"] + parts["val"] + parts["test"]) == parts["all"] == names
    write(tmp_path, "classes: [x, y]\nsplit: {val: 0.2, test: 0.1, seed: 4}")
    assert [Data(tmp_path, "val").name(i) for i in range(4)] != parts["val"]


def test_divide_does_not_depend_on_order():
    names = [f"n{index}" for index in range(30)]
    rule = RandomSplit(val=0.3)
    chosen = {names[index] for index in divide(names, rule)["val"]}
    shuffled = names[::-1]
    assert {shuffled[index] for index in divide(shuffled, rule)["val"]} == chosen
    assert len(chosen) == 9


@pytest.mark.parametrize("seed", range(20))
def test_group_by_never_divides_a_group(seed):
    draw = np.random.default_rng(seed)
    groups = [f"g{draw.integers(0, 7)}" for _ in range(40)]
    names = [f"{group}_{index}" for index, group in enumerate(groups)]
    parts = divide(names, RandomSplit(val=0.25, test=0.1, seed=seed), groups)
    assert sorted(index for indices in parts.values() for index in indices) == list(range(40))
    found = {part: {groups[index] for index in indices} for part, indices in parts.items()}
    assert not found["train"] & found["val"] and not found["train"] & found["test"] and not found["val"] & found["test"]
    assert all(parts.values())
    assert 2 <= len(parts["val"]) <= 20


def test_group_by_of_the_yaml(tmp_path):
    tree(tmp_path, 'classes: [x, y]\nsplit: {val: 0.5, group_by: "^(.)"}', ["a1", "a2", "b1", "b2"])
    found = {split: {sample.name[0] for sample in Data(tmp_path, split)} for split in ("train", "val")}
    assert len(found["train"]) == len(found["val"]) == 1 and found["train"] != found["val"]
    write(tmp_path, 'classes: [x, y]\nsplit: {val: 0.5, group_by: "[ab12]*"}')
    write(tmp_path, 'classes: [x, y]\nsplit: {val: 0.5, group_by: "^."}')
    assert len(Data(tmp_path, "val")) == 2
    write(tmp_path, 'classes: [x, y]\nsplit: {val: 0.5, group_by: "(.*)"}')
    assert len(Data(tmp_path, "val")) == 2
    write(tmp_path, 'classes: [x, y]\nsplit: {val: 0.5, group_by: "[12]*()"}')
    with pytest.raises(DatasetError, match="4 pictures in 1 groups cannot be divided"):
        Data(tmp_path)
    write(tmp_path, 'classes: [x, y]\nsplit: {val: 0.5, group_by: "^(a)"}')
    with pytest.raises(DatasetError, match=r"split.group_by '\^\(a\)' does not match b1"):
        Data(tmp_path)


YAML_FAULTS = [
    ("images: images", "dataset.yaml: classes: is missing"),
    ("classes: [a, a]", "dataset.yaml:1: classes.1: name a is class 0 already"),
    ("classes: []", "dataset.yaml:1: classes: expected 1 to 255 entries, found 0"),
    ("classes: [yes, no]", "dataset.yaml:1: classes.0.name: expected a name; YAML reads yes, no.*in quotes, got True"),
    ("classes: [[a, b]]", "dataset.yaml:1: classes.0.name: expected a name, as road"),
    ("classes: road", "dataset.yaml:1: classes: expected a list, as .*got 'road'"),
    ("classes: {0: a, b: c}", "dataset.yaml:1: classes: 0 is a number and b is none: give every class its number"),
    ("classes: {a: [1, 2, 4]}", r"dataset.yaml:1: classes: a: \[1, 2, 4\] may be a colour or three values: write a: "),
    ("classes: {a: red}", "dataset.yaml:1: classes.0.color: expected a colour"),
    ("classes: {a: yes}", "dataset.yaml:1: classes: a: expected its number or colour; YAML reads yes"),
    ("classes: [a, b]\nleave_out: [1]", "dataset.yaml:2: leave_out: expected names of pictures"),
    (
        "classes: [a, b]\nimage_suffix: /x",
        "dataset.yaml:2: image_suffix: a part of file names, as _mask, holds no slash",
    ),
    ("# classes:\n#  - a\n# classes: [a, b]", "not decided: uncomment the classes that are right, .*line 1 or 3"),
    ("classes:\n- {name: a, color: red}", r"dataset.yaml:2: classes.0.color: expected a colour, as .*#804080"),
    ("clases: [a]", "dataset.yaml:1: clases: unknown key, did you mean classes?"),
    ("classes:\n  - {nam: a}", "dataset.yaml:2: classes.0.nam: unknown key, did you mean name?"),
    ("classes:\n- {name: a, color: [0, 0, 256]}", "dataset.yaml:2: classes.0.color.2: .* 255, got 256"),
    ("classes:\n- {name: a, values: [-1]}", "dataset.yaml:2: classes.0.values.0: .*greater than or equal to 0"),
    ("classes:\n- {name: a, values: [4]}\n- b", "dataset.yaml:3: classes.1: b has no values but a has"),
    ("classes:\n- {name: a, values: [4]}\n- {name: b, values: [4]}", "yaml:3: classes.1: value 4 is class 0 already"),
    ("classes:\n- {name: a, color: [1, 2, 3]}\n- {name: b, color: [1, 2, 3]}", r"colour \[1, 2, 3\] is class 0"),
    ("classes: [a, b]\nignore: [1]", "dataset.yaml:2: ignore.0: value 1 is ignored and is class b too"),
    ("classes: [a]\nignore: [[1, 2]]", r"dataset.yaml:2: ignore.0: expected a label value .* got \[1, 2\]"),
    ("classes: [a]\nformat: png", "dataset.yaml:2: format: .*'index' or 'rgb', got 'png'"),
    ("classes: [a]\nimages: ../other", r"dataset.yaml:2: images: paths are relative .*, got '../other'"),
    ("classes: [a]\nlabels: /etc", "dataset.yaml:2: labels: paths are relative"),
    ("classes: [a]\nlabels: images", "labels: images and labels are in one folder: add label_suffix"),
    ("classes: [a]\nsplit: {val: 0.6, test: 0.5}", "dataset.yaml:2: split: val and test together leave nothing"),
    ('classes: [a]\nsplit: {group_by: "("}', "dataset.yaml:2: split.group_by: not a regular expression"),
    ("classes: [a]\nsplit: {}\nsplits: {val: {list: v.txt}}", "exclude each other"),
    ("classes: [a]\nsplits:\n  train: {}", "dataset.yaml:3: splits.train: is empty"),
    ("classes: [a]\nsplits:\n  x: {list: v.txt}\n  y: {list: v.txt}", "yaml:4: splits.y: has the same pictures as x"),
    ("classes: [a", "not valid YAML"),
]


@pytest.mark.parametrize(("yaml", "message"), YAML_FAULTS)
def test_faults_in_dataset_yaml_name_their_line(tmp_path, yaml, message):
    write(tmp_path, yaml)
    with pytest.raises(RecipeError, match=message):
        Data(tmp_path)


def test_all_faults_at_once(tmp_path):
    write(tmp_path, "classes: [a]\nformat: png\nimage: x")
    with pytest.raises(RecipeError) as found:
        Data(tmp_path)
    assert len(str(found.value).splitlines()) == 2


def remove(path):
    return lambda root: (root / path).unlink()


FILE_FAULTS = [
    (remove("labels/a.png"), "1 of 8 images in .*images have no label in .*labels: a.*Remedy: add the missing files"),
    (remove("images/a.jpg"), "1 labels in .*labels have no image in .*images: a"),
    (lambda root: image(root / "images/a.png"), "two files of one name: .*a.jpg and .*a.png"),
    (lambda root: (root / "labels").rename(root / "label"), "labels: no such folder, did you mean label?"),
    (lambda root: [path.unlink() for path in (root / "images").iterdir()], "no images found"),
    (lambda root: [p.rename(p.with_name(f"{p.stem}_gt.png")) for p in (root / "labels").iterdir()],
     "all 8 images .*: a, b, c, d, e and 3 more; 8 labels .*add `label_suffix: _gt` to dataset.yaml"),
    (lambda root: [write(root, "classes: [x, y]\nlabel_suffix: _m"),
                   *(p.rename(p.with_name(f"{p.stem}_gt.png")) for p in (root / "labels").iterdir())],
     "all 8 images .*as a_m.png.*add `label_suffix: _gt` to dataset.yaml"),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "message"), FILE_FAULTS)
def test_half_data_sets(tmp_path, harm, message):
    tree(tmp_path, "classes: [x, y]", names="abcdefgh")
    harm(tmp_path)
    with pytest.raises(DatasetError, match=message):
        require_complete(Data(tmp_path).pairing)


SAMPLE_FAULTS = [
    (lambda root: label(root / "labels/a.png", np.zeros((3, 6), np.uint8)),
     "a.jpg is 4x6 but its label .*a.png is 3x6"),
    (lambda root: label(root / "labels/a.png", np.full((4, 6), 5, np.uint8)),
     r"a.png: label value 5 in 24 pixels .*known: 0-1, 255.*dataset.yaml add it to `ignore: \[5\]`, .*`values: \[5\]`"),
    (lambda root: (root / "labels/a.png").write_bytes((root / "labels/a.png").read_bytes()[:-30]), "a.png"),
    (lambda root: (root / "images/a.jpg").write_bytes(b"no picture"), "a.jpg"),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "message"), SAMPLE_FAULTS)
def test_strange_files_are_one_clear_error(tmp_path, harm, message):
    tree(tmp_path, "classes: [x, y]", names=["a"])
    harm(tmp_path)
    with pytest.raises(TarsiaError, match=message):
        Data(tmp_path)[0]


def test_wrong_roots(tmp_path):
    tree(tmp_path / "photos", "classes: [x, y]")
    cases = {
        tmp_path: "no dataset.yaml in it; did you mean .*photos",
        tmp_path / "photos" / "images": "no dataset.yaml in it; did you mean .*photos",
        tmp_path / "photo": "no such folder, did you mean photos",
        tmp_path / "photos" / "images" / "a.jpg": "a file, expected a folder with a dataset.yaml",
        None: "folder needs a folder with a dataset.yaml in it: write folder:FOLDER",
    }
    for root, message in cases.items():
        with pytest.raises(DatasetError, match=message):
            Data(root)
    (tmp_path / "empty").mkdir()
    (tmp_path / "photos" / "dataset.yaml").unlink()
    with pytest.raises(DatasetError, match="write one that fits, such as\nclasses:"):
        Data(tmp_path / "empty")


def test_splits_that_are_not_there(tmp_path):
    tree(tmp_path, "classes: [x, y]")
    with pytest.raises(DatasetError, match=r"has no val split: add `split: \{val: 0.2\}`"):
        Data(tmp_path, "val")
    write(tmp_path, "classes: [x, y]\nsplit: {val: 0.2}")
    with pytest.raises(DatasetError, match=r"has no test split: add `split: \{test: 0.1\}`"):
        Data(tmp_path, "test")
    with pytest.raises(DatasetError, match="has no split tset, did you mean test"):
        Data(tmp_path, "tset")


@pytest.mark.shared
def test_camvid_in_32_classes_merged_by_values(shared, tmp_path):
    source = shared / "data/samples/camvid32_fullres"
    codes = (source / "codes.txt").read_text().split()
    from tarsia.data import camvid

    for name in ("images", "labels"):
        (tmp_path / name).symlink_to(source / name)
    lines = ["label_suffix: _P", f"ignore: [{codes.index('Void')}]", "classes:"]
    for name, color in zip(camvid.CLASSES.names, camvid.CLASSES.colors, strict=True):
        values = [codes.index(original) for original in camvid.ORIGINAL_COLORS[name]]
        lines.append(f"- {{name: {name}, color: {list(color)}, values: {values}}}")
    write(tmp_path, "\n".join(lines))
    data = Data(tmp_path)
    assert len(data) == 5 and data.classes == camvid.CLASSES
    # The reduced version has these frames too: what most pixels of each original class are there, they are here.
    reduced = camvid.Data(shared / "data/camvid", "train")
    by_name = {reduced.name(index): index for index in range(len(reduced))}
    for index in range(5):
        label_HW, reduced_HW = data[index].label[::2, ::2], reduced[by_name[data.name(index)]].label
        stored_HW = np.asarray(Image.open(data.pairs[index].label))[::2, ::2]
        for value in set(np.unique(stored_HW).tolist()) - {codes.index("OtherMoving")}:
            there = np.bincount(reduced_HW[stored_HW == value]).argmax()
            assert {there} == set(np.unique(label_HW[stored_HW == value]).tolist()), codes[value]


@pytest.mark.shared
def test_other_layouts_of_the_samples(shared, tmp_path):
    samples = shared / "data/samples"
    cases = {
        "loveda": ("images: img_dir\nlabels: ann_dir\nignore: 0\n"
                   "classes: [{name: background, values: [1]}, {name: building, values: [2]}, "
                   "{name: road, values: [3]}, {name: water, values: [4]}, {name: barren, values: [5]}, "
                   "{name: forest, values: [6]}, {name: agriculture, values: [7]}]", "train", 3),
        "voc_layout": ("images: JPEGImages\nlabels: SegmentationClass\nclasses: ["
                       + ", ".join(f"c{index}" for index in range(21)) + "]\nsplits: {val: {list: val.txt}}", "val", 2),
    }  # fmt: skip
    for name, (yaml, split, count) in cases.items():
        root = tmp_path / name
        write(root, yaml)
        for folder in (samples / name).iterdir():
            (root / folder.name).symlink_to(folder)
        if name == "voc_layout":
            (root / "val.txt").symlink_to(samples / name / "ImageSets/Segmentation/val.txt")
        data = Data(root, split)
        assert len(data) == count
        assert all(sample.label.shape == sample.image.shape[:2] for sample in data)
