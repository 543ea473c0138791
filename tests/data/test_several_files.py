"""Data sets whose pictures have a file for each band: pairs, faults of dataset.yaml, the doctor, the whole way."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import tarsia
from small_data import tiny
from tarsia.card import Card, Spec
from tarsia.data._dataset import read_as
from tarsia.data._unlabelled import open_unlabelled
from tarsia.engines.torch_engine import TorchEngine
from tarsia.errors import DatasetError, RecipeError
from tarsia.examples import keep
from tarsia.learning.parts import create_model
from tarsia.pictures.reader import read
from tarsia.prediction.predictor import Predictor
from tarsia.recipe import Recipe

SIDE = 32
BANDS = '[{name: B02, file: "R10m/*_B02.tif"}, {name: B05, file: "R20m/*_B05.tif"}]'


def write(root: Path, count: int = 8, bands: str = BANDS) -> Path:
    """Noise, and at half the resolution a box; a label for each."""
    random = np.random.default_rng(0)
    for folder in ("images/R10m", "images/R20m", "labels"):
        (root / folder).mkdir(parents=True)
    for number in range(count):
        label = np.zeros((SIDE, SIDE), np.uint8)
        top, left = 2 * random.integers(0, SIDE // 4, 2)
        label[top : top + 16, left : left + 16] = 1
        noise = random.integers(0, 3000, (SIDE, SIDE)).astype(np.uint16)
        tifffile.imwrite(root / f"images/R10m/{number}_B02.tif", noise, photometric="minisblack")
        box = np.where(label[::2, ::2], 2500, 500).astype(np.uint16)
        tifffile.imwrite(root / f"images/R20m/{number}_B05.tif", box, photometric="minisblack")
        Image.fromarray(label).save(root / f"labels/{number}.png")
    (root / "dataset.yaml").write_text(f"classes: [ground, box]\nbands: {bands}\nsplit: {{val: 0.25}}\n")
    return root


def test_the_model_keeps_the_files_and_every_way_leads_to_them(tmp_path: Path) -> None:
    root = write(tmp_path / "fields", 4)
    tree = tiny(root)
    tree["model"]["bands"] = 2
    model, card = create_model(Recipe.model_validate(tree), tarsia.data.open("folder", root, "train"), weights="none")
    card = Card.from_json(card.to_json(), "model.safetensors")
    assert '"file":"R10m/*_B02.tif"' in card.to_json() and card.format == 2
    assert str(card.spec) == "2 bands of uint16, a file each: B02, B05" and card.spec.dtype == "uint16"
    predictor = Predictor(TorchEngine(model, card, "cpu"))
    scored = tarsia.evaluate(predictor, tarsia.data.open("folder", root, "all"))
    seen = tarsia.predict(predictor, root / "images", tmp_path / "seen", save=("label",))
    assert [path.name for _, path in seen.done] == [f"{number}.png" for number in range(4)]
    again = tarsia.evaluate_predictions(tmp_path / "seen", f"folder:{root}", split="all")
    assert again.metrics.miou == scored.metrics.miou
    keep(tmp_path / "run", tarsia.data.open("folder", root, "all"))
    assert not (tmp_path / "run").exists()  # examples: of several files a service takes none


def test_pairs_kinds_and_fingerprint_know_all_files(tmp_path: Path) -> None:
    root = write(tmp_path / "fields", 3)
    dataset = tarsia.data.open("folder", root, "all")
    assert [dataset.name(index) for index in range(len(dataset))] == ["0", "1", "2"]
    before = dataset.fingerprint()  # type: ignore[attr-defined]
    os.utime(root / "images/R20m/1_B05.tif", (1, 1))
    assert dataset.fingerprint() != before  # type: ignore[attr-defined]
    tifffile.imwrite(root / "images/R20m/1_B05.tif", np.zeros((16, 16), np.float32))
    with pytest.raises(DatasetError, match=r"several kinds of numbers .*3 pictures of uint16, 1 picture of float32"):
        tarsia.data.open("folder", root, "all")
    model = Spec(2, "uint16", files=dataset.spec.files[::-1])  # type: ignore[attr-defined]
    with pytest.raises(DatasetError, match=r"the model takes B05, B02, and dataset\.yaml lists B02, B05"):
        read_as(dataset, model)


FAULTS = {
    "no star": ('[{name: a, file: "B02.tif"}]', r"dataset\.yaml:2: bands\.0\.file: .*expected one \* for"),
    "two stars": ('[{name: a, file: "*/*_B02.tif"}]', r"bands\.0\.file: .*expected one \*"),
    "above": ('[{name: a, file: "../*_B02.tif"}]', r"bands\.0\.file: .*no \.\."),
    "no picture": ('[{name: a, file: "*.xml"}]', r"bands: .*\*\.xml: expected the name of picture files"),
    "a name twice": ('[{name: a, file: "*_1.tif"}, {name: a, file: "*_2.tif"}]', "band names repeat"),
    "one file twice": ('[{name: a, file: "*.tif"}, {name: b, file: "*_2.tif"}]', "fit the same file"),
    "no name": ('[{file: "*_1.tif"}]', r"bands\.0\.name"),
    "take": ('[{name: a, file: "*_1.tif"}]\ntake: [1]', "leave `take` out"),
    "suffix": ('[{name: a, file: "*_1.tif"}]\nimage_suffix: _1', r":3: image_suffix: is said by the files of `bands`"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults_of_dataset_yaml(case: str, tmp_path: Path) -> None:
    said, says = FAULTS[case]
    (tmp_path / "dataset.yaml").write_text(f"classes: [a, b]\nbands: {said}\n")
    with pytest.raises(RecipeError, match=says):
        tarsia.data.open("folder", tmp_path)


def test_the_doctor_names_a_missing_band_and_copies_all_files(tmp_path: Path) -> None:
    root = write(tmp_path / "fields", 4)
    (root / "images/R20m/2_B05.tif").unlink()
    checked = tarsia.check(f"folder:{root}", out=tmp_path / "report", fix=True, split="all")
    told = (tmp_path / "report/check.json").read_text()
    assert "2_B05.tif: no such file, and the picture needs its band B05" in told
    copy = next((tmp_path / "report").rglob("dataset.yaml")).parent
    dataset = tarsia.data.open("folder", copy, "all")
    assert [dataset.name(index) for index in range(len(dataset))] == ["0", "1", "3"]
    original = read(root / "images/R10m/3_B02.tif", dataset.spec).values_HWC  # type: ignore[attr-defined]
    np.testing.assert_array_equal(dataset[2].image, original)
    assert checked


def test_adapting_sees_all_files_of_a_target(tmp_path: Path) -> None:
    bands = ", ".join(f'{{name: {name}, file: "*_{name}.png"}}' for name in "RGB")
    (tmp_path / "dataset.yaml").write_text(f"classes: [a, b]\nbands: [{bands}]\n")
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    for band, name in enumerate("RGB"):
        Image.fromarray(image[..., band]).save(tmp_path / f"images/x_{name}.png")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "labels/x.png")
    np.testing.assert_array_equal(open_unlabelled(tmp_path)[0], image)
