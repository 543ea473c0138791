"""A corrected copy holds what can be corrected, and says what was done to what."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import sick_data
from sick_data import SICK, make_sick, pixels, scene, write_healthy
from tarsia import data
from tarsia.checking import check
from tarsia.errors import DatasetError, OutputError


def state(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, dict[str, str]]]:
    """The sick data set, its corrected copy, and what was done: changed and left out, name -> words."""
    root, out = (tmp_path_factory.mktemp("mend") / name for name in ("sick", "out"))
    make_sick(write_healthy(root), but="unknown-values")  # that takes a person
    before = state(root)
    result = check(f"folder:{root}", out=out, fix=True)
    assert state(root) == before, "the data set itself is never touched"
    assert result.copy is not None and result.left is not None and result.exit_code == 1
    facts = result.copy.facts()
    assert facts["written"] == sum(len(data.open("folder", out, split)) for split in ("train", "val"))
    told = {kind: {row["name"]: row["what"] for row in facts[kind]} for kind in ("changed", "left_out")}
    return root, out, told


def test_the_copy_can_be_read_from_end_to_end_and_has_no_errors(copy: tuple[Path, Path, object]) -> None:
    _, out, _ = copy
    for split in ("train", "val"):
        assert all(sample.label.shape == sample.image.shape[:2] for sample in data.open("folder", out, split))
    again = check(f"folder:{out}")
    assert {one.kind for one in again.findings if one.severity != "note"} == {
        *("smoothed-label", "nearly-empty", "class-absent", "contradiction")  # what takes a person
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("t00", "cannot be read"),
        ("t03", "cannot be read"),
        ("t10", "nothing in it is labelled"),
        ("t12", "of one colour"),
        ("t17", "moved about"),
        ("t21", "the same picture as v90 of val"),
        ("t22", "nearly the same picture as v91 of val"),
        ("t09", "two files have its name"),
        ("t90", "the same picture as t24 of train"),
    ],
)
def test_what_cannot_be_corrected_is_left_out(copy: tuple[Path, Path, dict], name: str, words: str) -> None:  # type: ignore[type-arg]
    _, out, told = copy
    assert words in told["left_out"][name]
    assert not list(out.glob(f"*/train/{name}.*"))


def test_labels_are_put_right(copy: tuple[Path, Path, dict]) -> None:  # type: ignore[type-arg]
    _, out, told = copy
    train = data.open("folder", out, "train")
    labels = {train.name(index): train[index].label for index in range(len(train))}
    for name, seed in (("t19", 19), ("t20", 20), ("t30", 30)):  # exchanged, and mirrored
        assert np.array_equal(labels[name], scene(seed)[1]) and name in told["changed"]
    assert np.array_equal(labels["t16"], np.rot90(scene(16)[1], 2)), "the picture is shown upside down"
    assert np.array_equal(labels["t15"], np.rot90(np.rot90(scene(77, (128, 96))[1]), -1))
    assert labels["t06"].shape == (96, 128) and "resized" in told["changed"]["t06"]
    assert (labels["t06"] == scene(6)[1]).mean() > 0.95
    assert {"T28", "t28-2"} <= labels.keys() or {"t28", "T28-2"} <= labels.keys()


@pytest.mark.parametrize("values", [(1, 2), (0, 200), (0, 1)])
def test_values_that_mean_one_thing_become_that(values: tuple[int, int], tmp_path: Path) -> None:
    root = write_healthy(tmp_path / "data", 6, 3)
    for path in root.glob("*/labels/*.png"):
        sick_data._save(path, np.where(pixels(path) == 1, values[1], values[0]).astype(np.uint8))
    sick_data._edit(root, lambda tree: tree.update(classes=["a", "b"]))
    result = check(f"folder:{root}", out=tmp_path / "out", fix=True)
    assert result.exit_code == 0 and result.copy is not None and not result.copy.keeps
    changed = 0 if values == (0, 1) else 9
    assert (result.copy.written, len(result.copy.changed), result.copy.left_out) == (9, changed, [])
    copied = data.open("folder", tmp_path / "out", "train")
    for index in range(len(copied)):
        assert np.array_equal(copied[index].label, scene(index)[1] == 1)


@pytest.mark.parametrize(
    ("classes", "values"),
    [
        (["a", "b"], [0, 255, 0, 0, 0, 0]),
        (["a", "b"], [1, 255, 1, 1, 1, 1]),
        (["a"], [0, 1, 0, 0, 0, 0]),
        (["a"], [0, 255, 0, 0, 0, 0]),
        (["a", "b", "c"], [0, 1, 2, 3, 3, 3]),
        (["a", "b", "c"], [0, 2, 3, 3, 3, 3]),
        (["a", "b", "c", "d", "e", "f"], [0, 1, 2, 3, 4, 77]),
        (["a", "b", "c", "d", "e"], [1, 2, 3, 4, 5, 6]),
        (["a", "b", "c"], [0, 128, 255, 0, 0, 0]),
        ([{"name": "a", "values": [3]}, {"name": "b", "values": [1, 2]}], [3, 2, 1, 9, 9, 9]),
    ],
)
def test_values_with_several_readings_are_left_alone_in_every_label(
    classes: list[object], values: list[int], tmp_path: Path
) -> None:
    """Byte for byte, in labels without strange values too, and nothing names them before a person has decided."""
    root, out = write_healthy(tmp_path / "data", 6, 3), tmp_path / "out"
    for path in root.glob("*/labels/*.png"):
        sick_data._save(path, np.array(values, np.uint8)[pixels(path)])
    sick_data._edit(root, lambda tree: tree.update(classes=classes))
    sick_data.image(root, "t01").write_bytes(b"")  # something to mend
    result = check(f"folder:{root}", out=out, fix=True)
    assert result.exit_code == 1 and result.copy is not None and result.left is not None
    assert (result.copy.written, len(result.copy.left_out)) == (8, 1)
    for path in (out / "labels").rglob("*.png"):
        assert path.read_bytes() == sick_data.label(root, path.stem, path.parent.name).read_bytes()
    assert not (out / "dataset.yaml").exists()
    with pytest.raises(DatasetError, match=r"undecided\.yaml"):
        data.open("folder", out)
    left = [one for one in result.left.findings if one.decide]
    assert [one.severity for one in left] == ["error"] and "--fix --out" not in left[0].what_to_do()
    again = check(f"folder:{out / 'undecided.yaml'}")
    assert [one.title for one in again.findings] == [one.title for one in result.left.findings]


def test_a_label_that_is_left_alone_is_turned_all_the_same(tmp_path: Path) -> None:
    root, out = write_healthy(tmp_path / "data", 36, 3), tmp_path / "out"
    for one in SICK:
        if one.damage in ("unknown value", "exchanged labels", "label of another size"):
            one.do(root)
    check(f"folder:{root}", out=out, fix=True)
    assert np.array_equal(pixels(out / "labels/train/t19.png"), scene(19)[1])
    assert np.array_equal(pixels(out / "labels/train/t07.png"), pixels(sick_data.label(root, "t07")))
    assert pixels(out / "labels/train/t06.png").shape == (96, 128)


def test_near_copies_are_all_found_at_once(tmp_path: Path) -> None:
    """Several in train of one in val, chains over three splits, and copies of what is left out."""
    root = write_healthy(tmp_path / "data", 20, 8)
    random = np.random.default_rng(0)

    def again(name: str, split: str, like: tuple[str, str], label: str = "") -> None:
        image = pixels(sick_data.image(root, *like)).astype(int) + random.integers(-3, 4, (96, 128, 3))
        sick_data.put(root, split, name, image.clip(0, 255).astype(np.uint8), pixels(sick_data.label(root, *like)))

    for k in range(25):  # more than are looked into for one picture
        again(f"t8{k}", "train", ("v00", "val"))
    again("x0", "test", ("v01", "val"))
    again("t91", "train", ("v01", "val"))
    for split, name in (("train", "t92"), ("val", "v92")):  # equal to each other, and nearly so to a third
        sick_data.put(root, split, name, pixels(sick_data.image(root, "t03")), pixels(sick_data.label(root, "t03")))
    again("t93", "train", ("t03", "train"))
    sick_data.put(root, "val", "v93", pixels(sick_data.image(root, "t05")), pixels(sick_data.label(root, "t05")))
    sick_data.label(root, "v93", "val").write_bytes(b"")  # cannot be read, so t05 has to stay
    splits = {split: {"images": f"{split}/images", "labels": f"{split}/labels"} for split in ("train", "val", "test")}
    sick_data._edit(root, lambda tree: tree.update(splits=splits))
    result = check(f"folder:{root}", out=tmp_path / "out", fix=True)
    assert result.left is not None and result.copy is not None
    kinds = {one.kind for one in result.left.findings}
    assert not kinds & {"leak", "near-leak", "duplicate"} and result.copy.lost == []
    left_out = {place.name for place in result.copy.left_out}
    assert {*(f"t8{k}" for k in range(25)), "v01", "t91", "t92", "t93", "t03", "v93"} == left_out
    once_more = check(f"folder:{tmp_path / 'out'}", out=tmp_path / "again", fix=True)
    assert once_more.copy is not None and once_more.copy.left_out == []


def test_two_labels_of_one_picture_stay_both(tmp_path: Path) -> None:
    """Which of them is right takes a person."""
    root = write_healthy(tmp_path / "data", 8, 4)
    sick_data.put(
        root, "train", "t91", pixels(sick_data.image(root, "t05")), pixels(sick_data.label(root, "t05")).clip(0, 4)
    )
    result = check(f"folder:{root}", out=tmp_path / "out", fix=True)
    assert result.left is not None and result.copy is not None and result.copy.left_out == []
    assert {"contradiction"} <= {one.kind for one in result.left.findings} and result.exit_code == 1


def test_a_split_that_is_lost_is_said(tmp_path: Path) -> None:
    root = write_healthy(tmp_path / "data", 6, 2)
    for path in (root / "val/images").iterdir():
        path.write_bytes(b"")
    result = check(f"folder:{root}", out=tmp_path / "out", fix=True)
    assert result.copy is not None and result.copy.lost == ["val"] and result.exit_code == 2
    assert "nothing is left of val" in result.copy.summary()


def test_jpeg_colours_become_the_nearest_class(tmp_path: Path) -> None:
    root = write_healthy(tmp_path / "data", 6, 3)
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [0, 255, 255], [255, 255, 255]], np.uint8)
    for path in root.glob("*/labels/*.png"):
        lossy = path.with_suffix(".jpg")
        Image.fromarray(colors[pixels(path)]).save(lossy, quality=90, subsampling=0)
        sick_data._save(path, pixels(lossy))
        lossy.unlink()
    named = [{"name": f"c{k}", "color": color} for k, color in enumerate(colors.tolist())]
    (root / "dataset.yaml").write_text(
        yaml.safe_dump(yaml.safe_load((root / "dataset.yaml").read_text()) | {"classes": named, "format": "rgb"})
    )
    result = check(f"folder:{root}", out=tmp_path / "out", fix=True)
    (finding,) = [one for one in result.findings if one.severity == "error"]
    assert finding.kind == "unknown-values" and "saved as JPEG" in finding.why and not finding.decide
    assert result.exit_code < 2
    copied = data.open("folder", tmp_path / "out", "train")
    for index in range(len(copied)):
        assert (copied[index].label == scene(index)[1]).mean() > 0.99


def test_an_other_data_set_than_a_folder(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for index in range(6):
            pictured, drawn = scene(index + 50 * (split == "val"))
            for folder, array in ((split, pictured), (f"{split}annot", np.where(drawn == 5, 11, drawn))):
                (tmp_path / "camvid" / folder).mkdir(parents=True, exist_ok=True)
                Image.fromarray(array.astype(np.uint8)).save(tmp_path / f"camvid/{folder}/a_{index}.png")
    (tmp_path / "camvid/train/a_1.png").write_bytes(b"")
    result = check(f"camvid:{tmp_path / 'camvid'}", out=tmp_path / "out", fix=True)
    assert result.copy is not None and result.copy.written == 11
    copied = data.open("folder", tmp_path / "out", "train")
    assert copied.classes == data.open("camvid", tmp_path / "camvid").classes
    assert np.array_equal(copied[0].label, np.where(scene(0)[1] == 5, 255, scene(0)[1]))


def test_mistakes_are_said_before_anything_is_written(tmp_path: Path) -> None:
    root = write_healthy(tmp_path / "data", 4, 2)
    before = state(root)
    with pytest.raises(DatasetError, match="no files that could be corrected"):
        check("streets,count=2,size=48x64", out=tmp_path / "a", fix=True)
    # A data set that lies as the copy would: images/SPLIT and labels/SPLIT.
    same = tmp_path / "same"
    for split in ("train", "val"):
        for folder in ("images", "labels"):
            (same / folder).mkdir(parents=True, exist_ok=True)
            (root / split / folder).rename(same / folder / split)
    splits = {split: {"images": f"images/{split}", "labels": f"labels/{split}"} for split in ("train", "val")}
    (same / "dataset.yaml").write_text(yaml.safe_dump({"classes": list(sick_data.CLASSES), "splits": splits}))
    before = state(same)
    with pytest.raises(OutputError, match="would replace a file of the data set"):
        check(f"folder:{same}", out=same, fix=True)
    assert state(same) == before
    for path in (same / "images").rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DatasetError, match="nothing is left"):
        check(f"folder:{same}", out=tmp_path / "c", fix=True)
    assert not (tmp_path / "c" / "dataset.yaml").exists()
