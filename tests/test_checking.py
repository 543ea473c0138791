"""`tarsia check` says what is wrong with a data set; with --augment it draws what training sees."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sick_data
from small_data import write_folder
from tarsia import checking, cli, console, data
from tarsia.card import Input
from tarsia.checking import augmentation_sheet
from tarsia.data._class_pixels import class_pixel_counts, class_weights
from tarsia.drawing.sheet import Row, Tile
from tarsia.errors import DatasetError, RecipeError
from tarsia.learning.augment import Augment, generator
from tarsia.learning.loader import TrainingOrder, loader
from tarsia.recipe import Recipe
from tarsia.recipe_augment import AugmentRecipe

EVERY: dict[str, Any] = {
    "threefold": True, "horizontal_flip": 0.5, "vertical_flip": 0.1, "scale": {}, "rotation": {}, "crop": [48, 64],
    "class_balanced": 0.5, "cutmix": {}, "shadow": {}, "darkening": {}, "fog": {}, "rain": {}, "snow": {},
    "motion_blur": {}, "color_jitter": {}, "blur": {}, "noise": {},
}  # fmt: skip
COUNT = 9


def recipe(augment: dict[str, Any], **more: Any) -> Recipe:
    return Recipe.model_validate(
        {"name": "r", "data": {"name": "camvid"}, "model": {"name": "unet"}, "augment": augment, **more}
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("check") / "data", COUNT, 3, (64, 80))


@pytest.fixture(scope="module")
def pictures(root: Path) -> data.Dataset:
    return data.open("folder", root)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Row]]:
    """`drawn(recipe, dataset, out)` -> the rows of the sheet."""
    kept: list[Row] = []
    real = checking.sheet
    monkeypatch.setattr(checking, "sheet", lambda rows, classes: kept.extend(rows) or real(rows, classes))

    def call(*arguments: Any, **more: Any) -> list[Row]:
        kept.clear()
        augmentation_sheet(*arguments, **more)
        return list(kept)

    return call


def test_every_augmentation_has_a_tile_and_the_last_row_is_what_training_reads(
    drawn: Callable[..., list[Row]], pictures: data.Dataset, tmp_path: Path
) -> None:
    assert {*EVERY, "extra"} == {*AugmentRecipe.model_fields}, "a new augmentation: has it a tile?"
    every = recipe(EVERY, seed=3)
    rows = drawn(every, pictures, tmp_path)
    with Image.open(tmp_path / "augmentation.png") as picture:
        assert picture.format == "PNG" and picture.width > 1000 and picture.height > 1000
    captions = [tile.caption for row in rows[:-1] for tile in row.tiles[1:]]
    assert captions[:3] == ["threefold: horizontal flip", "threefold: vertical flip", "horizontal flip, p = 0.5"]
    for name in EVERY.keys() - {"class_balanced"}:
        assert sum(caption.startswith(name.replace("_", " ")) for caption in captions) == 1 + (name == "threefold")
    assert "rain, p = 0.2" in captions and "class-balanced crop, p = 0.5" in captions and "crop 48 x 64" in captions
    order = TrainingOrder(COUNT, 5, 3, 1, threefold=True)
    batch = next(loader(pictures, Augment(every.augment), Input(stride=1), order, 3, 0))
    assert rows[-1].heading and [tile.caption for tile in rows[-1].tiles] == batch.names
    for tile, image, label in zip(rows[-1].tiles, batch.image_B3HW, batch.label_BHW, strict=True):
        assert np.array_equal(tile.image_HW3, image.permute(1, 2, 0)) and np.array_equal(tile.label_HW, label)


def test_each_tile_is_one_augmentation_alone_of_the_picture_at_the_row_s_start(
    drawn: Callable[..., list[Row]], pictures: data.Dataset, tmp_path: Path
) -> None:
    rows = drawn(recipe(EVERY), pictures, tmp_path)[:-1]
    starts = [row.tiles[0] for row in rows]
    assert [tile.caption for tile in starts] == [pictures.name(index) for index in (0, 2, 4, 6, 8)]
    tiles = {tile.caption.partition(",")[0]: (row.tiles[0], tile) for row in rows for tile in row.tiles[1:]}
    for caption, moved in (("horizontal flip", np.fliplr), ("threefold: vertical flip", np.flipud)):
        plain, tile = tiles[caption]
        assert np.array_equal(tile.image_HW3, moved(plain.image_HW3))
        assert np.array_equal(tile.label_HW, moved(plain.label_HW))
    plain, tile = tiles["rain"]
    index = starts.index(plain)
    expected, _ = Augment(AugmentRecipe.model_validate({"rain": {"probability": 1}}))(
        plain.image_HW3, np.zeros((64, 80), np.uint8), generator(0, 0, (0, 2, 4, 6, 8)[index])
    )
    assert np.array_equal(tile.image_HW3, expected) and tile.label_HW is None
    for caption, (plain, tile) in tiles.items():
        moves = not AugmentRecipe.model_fields.keys() - {"scale", "rotation", "cutmix"} >= {caption.replace(" ", "_")}
        moves |= "flip" in caption or "crop" in caption
        assert (tile.label_HW is not None) == moves, caption
        assert moves or not np.array_equal(tile.image_HW3, plain.image_HW3)


def test_seed_makes_other_draws_and_input_size_is_that_of_the_recipe(
    drawn: Callable[..., list[Row]], pictures: data.Dataset, tmp_path: Path
) -> None:
    small = recipe({"fog": {}}, input={"size": [40, 44]})
    sheets = [drawn(small, pictures, tmp_path, seed=seed) for seed in (None, 0, 1)]
    tiles = [rows[0].tiles[1].image_HW3 for rows in sheets]
    assert tiles[0].shape == (40, 44, 3)
    assert np.array_equal(tiles[0], tiles[1]) and not np.array_equal(tiles[0], tiles[2])


def test_one_sample_is_enough_for_a_sheet(drawn: Callable[..., list[Row]], tmp_path: Path) -> None:
    alone = data.open("folder", write_folder(tmp_path / "data", 1, 1, (32, 40)))
    rows = drawn(recipe(EVERY | {"threefold": False}), alone, tmp_path)
    assert len(rows[-1].tiles) == 1 and all(isinstance(tile, Tile) for row in rows for tile in row.tiles)


def test_nothing_to_draw_is_said_and_nothing_written(pictures: data.Dataset, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"r names no augmentation: add one, as augment\.horizontal_flip: 0\.5"):
        augmentation_sheet(recipe({}), pictures, tmp_path)

    class Empty:
        classes = pictures.classes

        def __len__(self) -> int:
            return 0

    with pytest.raises(DatasetError, match="holds no samples"):
        augmentation_sheet(recipe(EVERY), Empty(), tmp_path)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.fixture
def tarsia(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """`tarsia(arguments...)` -> exit code, standard output, standard error; run in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["tarsia", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        console.quiet(False)
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def test_the_command(tarsia: Callable[..., tuple[int, str, str]], root: Path) -> None:
    Path("r.yaml").write_text("data: {name: camvid}\nmodel: {name: unet}\naugment: {horizontal_flip: 0.5, rain: {}}\n")
    code, out, err = tarsia("check", f"folder:{root}", "--augment", "r.yaml")
    assert (code, err) == (0, "") and out.split()[-1] == "runs/check-folder/augmentation.png"
    again = ("check", f"folder:{root}", "--augment", "r.yaml", "--out", "seen")
    assert tarsia(*again, "--split", "val", "--seed", 4)[0] == 0
    assert Path("runs/check-folder/augmentation.png").read_bytes() != Path("seen/augmentation.png").read_bytes()
    code, _, err = tarsia(*again)
    assert code == 2 and "--overwrite" in err
    assert tarsia(*again, "--overwrite")[0] == 0
    code, out, _ = tarsia("check", "--help")
    assert code == 0 and "tarsia check" in out.partition("Try:")[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("DATA", "--seed", "3"), "--seed is for --augment"),
        (("DATA", "--fix"), "--fix writes a corrected copy: say where with --out FOLDER"),
        (("DATA", "--augment", "none.yaml", "--json"), "--augment only draws"),
        (("DATA", "--threads", "-1"), "expected 0 or more"),
        (("DATA", "--model", "absent"), "absent: no such model file"),
        (("DATA", "--split", "trian"), "has no split trian, did you mean train?"),
        (("DATA,split=val", "--split", "train"), "split is val there but train is asked for"),
        (("DATA,colour=1",), "unknown key"),
        (("street",), "did you mean streets?"),
        (("camvid:absent",), "absent: no such folder"),
        (("folder:.",), "no pictures in it"),
        (("DATA", "--augment", "absent.yaml"), "absent.yaml: no such file, and no recipe that comes with Tarsia"),
        (("DATA", "--augment", "none.yaml"), "none names no augmentation"),
        (("DATA", "--augment", "uncropped.yaml"), "uncropped.yaml:3: augment: class_balanced places crops: give crop"),
        (("street", "--augment", "none.yaml"), "did you mean streets?"),
        (("DATA", "--augment", "none.yaml", "--split", "trian"), "trian"),
    ],
)
def test_a_mistake_is_one_message_and_leaves_nothing(
    tarsia: Callable[..., tuple[int, str, str]], root: Path, arguments: tuple[str, ...], said: str
) -> None:
    head = "data: {name: streets}\nmodel: {name: unet}\n"
    Path("none.yaml").write_text(head)
    Path("uncropped.yaml").write_text(head + "augment: {class_balanced: 0.5}\n")
    code, out, err = tarsia("check", *(word.replace("DATA", f"folder:{root}") for word in arguments))
    assert code == 2 and not out and err.startswith("tarsia: ") and said in err
    assert {path.name for path in Path().iterdir()} == {"none.yaml", "uncropped.yaml"}


# ---- the doctor


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sick_data.write_healthy(tmp_path_factory.mktemp("healthy"))


def test_a_healthy_data_set(tarsia: Callable[..., tuple[int, str, str]], healthy: Path) -> None:
    code, out, err = tarsia("check", f"folder:{healthy}")
    assert (code, err) == (0, "")
    assert out == "Nothing is wrong in 50 pictures (train 36, val 14)\nReport: runs/check-folder/check.html\n"
    assert {path.name for path in Path("runs/check-folder").iterdir()} == {"check.json", "check.html"}


def test_exit_codes_and_the_words_of_a_finding(tarsia: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    root = sick_data.write_healthy(tmp_path / "data", 15, 6)
    damages = {one.damage: one.do for one in sick_data.SICK}
    damages["grey picture"](root)
    assert tarsia("check", f"folder:{root}")[0] == 0, "a note"
    damages["empty mask"](root)
    code, out, _ = tarsia("check", f"folder:{root}")
    assert code == 1 and out.startswith("WARNING  1 label nearly empty: one class and nothing else (1 of 21)\n")
    damages["truncated picture"](root)
    code, out, _ = tarsia("check", f"folder:{root}", "--out", "report")
    assert code == 2
    head = (
        f"ERROR    1 picture cannot be read (1 of 21 samples)\n         - {root}/train/images/t00.png: damaged or cut"
    )
    assert out.startswith(head) and "\n         Why: " in out and "\n         Do:  what to do stands with" in out
    assert f"\n              tarsia check folder:{root} --fix --out FOLDER\n" in out
    assert out.endswith("1 error, 1 warning and 1 note in 21 pictures (train 15, val 6)\nReport: report/check.html\n")
    assert tarsia("check", f"folder:{root}", "--split", "val", "-q")[0] == 0
    assert tarsia("check", f"folder:{root},split=val")[0] == 0
    code, out, err = tarsia("check", f"folder:{root}", "--out", "report")
    assert code == 2 and not out and "--overwrite" in err


def test_json_is_the_file_and_nothing_else(tarsia: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    root = sick_data.write_healthy(tmp_path / "data")
    for one in sick_data.SICK:
        one.do(root)
    code, out, _ = tarsia("check", f"folder:{root}", "--json", "--out", "report")
    facts = json.loads(out)
    assert code == 2 and out == Path("report/check.json").read_text(encoding="utf-8")
    assert (facts["format"], facts["verdict"], facts["data"]) == (1, "error", f"folder:{root}")
    assert facts["counts"]["error"] == sum(one["severity"] == "error" for one in facts["findings"]) > 5
    for one in facts["findings"]:
        assert one.keys() == {"kind", "severity", "title", "why", "remedy", "count", "places"}
        assert one["count"] == len(one["places"])
    train = facts["splits"]["train"]
    assert train["readable"] < train["pictures"] and sum(train["brightness"]["histogram"]) == train["pictures"] - 2
    assert sum(row["share"] for row in train["classes"]) == pytest.approx(1)
    assert facts["class_weights"].keys() == {"median_frequency", "root_median_frequency"}


def test_weights_are_those_that_training_takes(healthy: Path) -> None:
    facts = checking.check(f"folder:{healthy}").facts()
    train = data.open("folder", healthy)
    for kind, told in facts["class_weights"].items():
        assert list(told.values()) == pytest.approx(class_weights(kind, *class_pixel_counts(train)), rel=1e-5)


def test_fix_writes_beside_its_report(tarsia: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    root = sick_data.write_healthy(tmp_path / "data", 8, 5)
    sick_data.image(root, "t01").write_bytes(b"")
    code, out, _ = tarsia("check", f"folder:{root}", "--fix", "--out", "fixed")
    assert code == 0 and "12 pictures written to fixed, 0 of them changed; 1 picture left out\n" in out
    assert "--fix" not in out and "Left in the copy: Nothing is wrong in 12 pictures (train 7, val 5)\n" in out
    assert {path.name for path in Path("fixed").iterdir()} == {
        *("images", "labels", "dataset.yaml", "check.json", "check.html")
    }
    facts = json.loads(Path("fixed/check.json").read_text(encoding="utf-8"))
    fixed = facts["fixed"]
    (left_out,) = fixed["left_out"]
    assert (left_out["split"], left_out["name"]) == ("train", "t01") and "empty file" in left_out["what"]
    assert fixed["left"] == [] and "--fix" not in json.dumps(facts)
    page = Path("fixed/check.html").read_text(encoding="utf-8")
    assert "Left in the corrected copy" in page and "Nothing is left to do." in page and "--fix" not in page
    assert tarsia("check", "folder:fixed")[0] == 0


def test_drawn_scenes_are_healthy(tarsia: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = tarsia("check", "streets,count=10,size=64x96", "--out", "seen")
    assert code == 0 and not err, out
    assert "in 30 pictures (train 10, val 10, test 10)" in out


def test_a_split_that_must_be_there(tarsia: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    root = sick_data.write_healthy(tmp_path / "data", 8, 5)
    (root / "val").rename(root / "vla")
    code, out, _ = tarsia("check", f"folder:{root}")
    assert code == 2 and out.startswith("ERROR    the split val cannot be opened\n")
    assert f"Do:  {root}/val/images: no such folder\n" in out
    assert "in 8 pictures (train 8)" in out
