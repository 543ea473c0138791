"""`tarsia init`: from a folder as it lies there to one that trains, without a line written by hand."""

from __future__ import annotations

import json
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

import tarsia
from drawn_layouts import LAYOUTS, colored, newcomer, plain, put
from small_data import draw, tiny
from tarsia import cli, data
from tarsia.data.folder import Data
from tarsia.describing import init
from tarsia.errors import DatasetError, RecipeError

SMALLEST = {"name": "unet_original", "channels": [4, 4]}  # learns nothing, but goes all the way


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    monkeypatch.setattr(sys, "argv", ["tarsia", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_described_as_it_lies(layout: str, tmp_path: Path) -> None:
    draw, splits, classes = LAYOUTS[layout]
    draw(tmp_path / "my data")
    done = init(tmp_path / "my data")
    assert (done.exit_code, dict(done.pictures), len(done.classes)) == (0, splits, classes), done
    assert not done.left_out
    for split, count in splits.items():
        opened = data.open("folder", tmp_path / "my data", split)
        shown = [set(np.unique(sample.label).tolist()) for sample in opened]
        assert len(shown) == count and set.union(*shown) - {255} == set(range(classes))


def test_pictures_without_labels_get_none_of_another_split(tmp_path: Path) -> None:
    for k in range(8):
        split = "train" if k < 6 else "val"
        put(tmp_path / f"{split}/images/{k}.png", tmp_path / f"{split}/masks/{k}.png", k)
        put(tmp_path / f"test/images/{k}.png", tmp_path / "left.png", 50 + k)
    (tmp_path / "left.png").unlink()
    done = init(tmp_path)
    assert done.pictures == {"train": 6, "val": 2} and not done.notes and not done.left_out


def test_names_that_differ_by_accents_and_case(tmp_path: Path) -> None:
    for k in range(4):
        name = unicodedata.normalize("NFD", f"Café {k}")
        put(tmp_path / f"images/{name}.jpg", tmp_path / f"labels/{unicodedata.normalize('NFC', f'café {k}')}.png", k)
    assert sum(init(tmp_path).pictures.values()) == 4


def test_lossless_webp_and_words_with_dots(tmp_path: Path) -> None:
    for k in range(5):
        put(tmp_path / f"img [{k}].jpg", tmp_path / f"img [{k}].gt.webp", k, colored)
        with Image.open(tmp_path / f"img [{k}].gt.webp") as lossy:
            size = lossy.size
        pixels = colored(draw(k, (size[1], size[0]))[1])
        Image.fromarray(pixels).save(tmp_path / f"img [{k}].gt.webp", lossless=True)
    done = init(tmp_path)
    assert sum(done.pictures.values()) == 5 and len(done.classes) == 3 and "tolerance" not in done.added


def test_masks_of_one_class_each_are_not_merged(tmp_path: Path) -> None:
    for k in range(4):
        for value, name in ((1, "box"), (2, "disc")):
            put(tmp_path / f"images/{k}.png", tmp_path / f"masks/{k}/{name}.png", k, lambda label, v=value: label == v)
    with pytest.raises(DatasetError, match=r"each of one class as its name says \(box, disc\)"):
        init(tmp_path)


def trained(folder: Path, recipe: dict[str, Any]) -> Path:
    """The model file."""
    (folder / "r.yaml").write_text(yaml.safe_dump(recipe))
    return tarsia.train(folder / "r.yaml", out=folder / "run") / "model.safetensors"


TRAINED = ("plain", "deepglobe", "loveda", "dsb2018", "paddleseg", "openearthmap", "camvid-lists", "potsdam")


@pytest.mark.parametrize("layout", TRAINED)
def test_what_was_described_trains(layout: str, tmp_path: Path) -> None:
    LAYOUTS[layout][0](tmp_path / "d")
    tarsia.init(tmp_path / "d")
    section = {"name": "folder", "root": str(tmp_path / "d")} | ({} if layout == "plain" else {"val": None})
    assert trained(tmp_path, tiny(section, batch=2, steps_per_epoch=2) | {"model": SMALLEST}).is_file()


@pytest.mark.shared
@pytest.mark.parametrize("layout", ["camvid32_fullres", "loveda", "cityscapes_layout", "voc_layout"])
def test_the_samples_train_without_a_line_written_by_hand(layout: str, shared: Path, tmp_path: Path) -> None:
    for path in (shared / "data/samples" / layout).rglob("*"):
        if path.is_file():
            target = tmp_path / "d" / path.relative_to(shared / "data/samples" / layout)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
    done = init(tmp_path / "d")
    assert done.exit_code == 0 and done.pictures["train"] and done.pictures["val"], done
    assert trained(tmp_path, tiny(tmp_path / "d", steps_per_epoch=2) | {"input": {"size": [64, 64]}}).is_file()


def test_the_first_hour_of_a_newcomer_is_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    newcomer(tmp_path / "my photos")
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "init", "my photos") == 0
    said = capsys.readouterr().out
    assert "3 classes: Building, Car, Road" in said.replace("Road, Building, Car", "Building, Car, Road")
    opened = {split: data.open("folder", "my photos", split) for split in ("train", "val")}
    assert sum(map(len, opened.values())) == 57
    for dataset in opened.values():
        for sample in dataset:
            assert (sample.label[:2, :5] == 255).all() and set(np.unique(sample.label)) <= {0, 1, 2, 255}
    left_out = Data("my photos").layout.leave_out
    assert left_out.keys() == {f"IMG 20{k} (copy)" for k in ("07", "11", "30", "60")}
    assert left_out["IMG 2060 (copy)"] == "has no label"
    assert "48x64, its label 30x64" in left_out["IMG 2007 (copy)"] and "colours" in left_out["IMG 2011 (copy)"]


def test_check_of_a_folder_without_yaml_looks_first_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain(tmp_path / "my photos")
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "check", "my photos", "--out", "seen", "--json") in (0, 1)
    assert json.loads(capsys.readouterr().out)["splits"].keys() == {"train", "val"}
    before = (tmp_path / "my photos/dataset.yaml").read_text()
    assert run(monkeypatch, "check", "folder:my photos", "--out", "again") in (0, 1)
    assert (tmp_path / "my photos/dataset.yaml").read_text() == before


def test_a_second_run_keeps_what_a_person_wrote(tmp_path: Path) -> None:
    plain(tmp_path)
    first = init(tmp_path)
    text = (tmp_path / "dataset.yaml").read_text()
    assert init(tmp_path).added == () and (tmp_path / "dataset.yaml").read_text() == text
    edited = text.replace("name: class_0", "name: ground").replace("split: {val: 0.2}", "split: {val: 0.5}")
    edited = "".join(line + "\n" for line in edited.splitlines() if not line.startswith("labels:")) + "# mine\n"
    (tmp_path / "dataset.yaml").write_text(edited)
    (tmp_path / "masks/003.png").write_bytes(b"no picture")
    done = init(tmp_path)
    assert done.added == ("labels", "leave_out") and done.classes[0] == "ground" and "split" in first.added
    kept = (tmp_path / "dataset.yaml").read_text()
    assert kept.startswith(edited.rstrip("\n")) and list(done.left_out) == ["003"]
    assert len(data.open("folder", tmp_path, "val")) == 4


def test_two_readings_are_both_written_and_neither_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A trimap: 128 is a class, or where nobody decided."""
    values = np.array([0, 128, 255], np.uint8)
    for k in range(4):
        put(tmp_path / f"d/images/{k}.jpg", tmp_path / f"d/masks/{k}.png", k, lambda label: values[label])
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "init", "d") == 1
    said = capsys.readouterr().out
    assert "A: 128 is a class as 0 and 255 are" in said and "B: at 128 it was not decided" in said
    with pytest.raises(RecipeError, match=r"uncomment the classes that are right, which begin in line 7 or 13"):
        data.open("folder", "d")
    assert run(monkeypatch, "check", "d") == 2
    text = Path("d/dataset.yaml").read_text()
    assert run(monkeypatch, "init", "d") == 1 and Path("d/dataset.yaml").read_text() == text
    lines = text.splitlines()
    Path("d/dataset.yaml").write_text(
        "\n".join([*lines[:12], *(line.removeprefix("#") for line in lines[12:16]), *lines[16:]])
    )
    assert run(monkeypatch, "init", "d") == 0
    sample = data.open("folder", "d")[0]
    assert set(np.unique(sample.label).tolist()) == {0, 1, 255}


def test_two_people_s_labels_of_the_same_pictures_are_a_choice(tmp_path: Path) -> None:
    for k in range(4):
        for who in ("anna", "ben"):
            put(tmp_path / f"images/{k}.jpg", tmp_path / f"truth/{who}/{k}.png", k)
    done = init(tmp_path)
    assert done.exit_code == 1 and [words.partition("called ")[2] for words in done.undecided] == ["anna", "ben"]


def test_labels_of_an_annotation_program_are_to_be_converted(tmp_path: Path) -> None:
    root = tmp_path / "my data"
    root.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)).save(root / "a.jpg")
    shapes = [{"label": "cat", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": "polygon"}]
    (root / "a.json").write_text(json.dumps({"shapes": shapes, "imagePath": "a.jpg"}))
    with pytest.raises(
        DatasetError, match=r"labelme.*: tarsia convert '.*my data' --images '.*' --to '.*my data-masks'"
    ):
        init(root)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "no pictures in it"),
        (("a.jpg", "b.jpg"), "2 pictures and no labels"),
        (("x/a.png", "x/b.png"), "no pictures: put"),
        (("images/one.jpg", "masks/7.png"), "whose names have nothing in common"),
    ],
)
def test_a_folder_without_pairs(files: tuple[str, ...], message: str, tmp_path: Path) -> None:
    for name in files:
        if name.endswith("jpg"):
            put(tmp_path / name, tmp_path / "left.png", 0)
            (tmp_path / "left.png").unlink()
        else:
            put(tmp_path / "left.jpg", tmp_path / name, 0)
            (tmp_path / "left.jpg").unlink()
    with pytest.raises(DatasetError, match=message):
        init(tmp_path)
    assert not (tmp_path / "dataset.yaml").exists()


def test_pictures_that_are_nearly_the_same_stay_on_one_side(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for k in range(12):
        base = np.kron(random.integers(0, 256, (9, 12, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        for again in range(2 if k < 3 else 1):
            shown = (base.astype(int) + again * 3).clip(0, 255).astype(np.uint8)
            for folder, pixels in (("images", shown), ("labels", (base[..., 0] > 128).astype(np.uint8))):
                (tmp_path / folder).mkdir(exist_ok=True)
                Image.fromarray(pixels).save(tmp_path / folder / f"{'abcdefghijkl'[k]}{'xy'[again]}.png")
    done = init(tmp_path)
    assert Data(tmp_path, "all").layout.split.together == (("ax", "ay"), ("bx", "by"), ("cx", "cy"))
    assert sum(done.pictures.values()) == 15


@pytest.mark.parametrize(
    ("bands", "dtype", "alpha", "told"),
    [
        (4, "uint16", False, {"bands": 4, "dtype": "uint16"}),
        (6, "uint8", False, {"bands": 6}),
        (3, "int16", False, {"dtype": "int16"}),
        (4, "uint8", True, {}),  # the fourth is transparency
    ],
)
def test_bands_and_kinds_of_numbers(bands: int, dtype: str, alpha: bool, told: dict, tmp_path: Path) -> None:
    import tifffile

    random = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for index in range(6):
        label = random.integers(0, 2, (4, 5)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
        image = (random.integers(0, 90, (*label.shape, bands)) + 100 * label[..., None]).astype(dtype)
        image[..., -1] = 255 if alpha else image[..., -1]
        extra = ["unassalpha" if alpha else "unspecified"] * (bands - 3)
        options = {"photometric": "rgb", "planarconfig": "contig", **({"extrasamples": extra} if extra else {})}
        tifffile.imwrite(tmp_path / "images" / f"{index}.tif", image, **options)
        Image.fromarray(label).save(tmp_path / "labels" / f"{index}.png")
    assert init(tmp_path).exit_code == 0
    tree = yaml.safe_load((tmp_path / "dataset.yaml").read_text())
    assert {key: tree[key] for key in ("bands", "dtype") if key in tree} == told
    sample = data.open("folder", tmp_path, "train")[0]
    assert sample.image.dtype == dtype and sample.image.shape[2] == (3 if alpha else bands)


@pytest.mark.parametrize("folders", [("images/R10m", "images/R20m"), ("images", "images"), (".", ".")])
def test_files_that_differ_in_a_bands_name_alone_are_bands(folders: tuple[str, str], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("a1", "b2", "c3"):
        for band, folder, side in (("B11", folders[1], 16), ("B02", folders[0], 32), ("B8A", folders[1], 16)):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            values = random.integers(0, 3000, (side, side)).astype(np.uint16)
            tifffile.imwrite(tmp_path / folder / f"{name}_{band}.tif", values, photometric="minisblack")
        (tmp_path / "labels").mkdir(exist_ok=True)
        label = (np.indices((32, 32)).sum(0) > 32 + random.integers(8)).astype(np.uint8)
        Image.fromarray(label).save(tmp_path / f"labels/{name}.png")
    said = init(tmp_path)
    dataset = tarsia.data.open("folder", tmp_path, "all")
    assert [one.name for one in dataset.spec.files] == ["B02", "B8A", "B11"], said  # type: ignore[attr-defined]
    assert [dataset.name(index) for index in range(3)] == ["a1", "b2", "c3"]
    assert dataset[0].image.shape == (32, 32, 3)
