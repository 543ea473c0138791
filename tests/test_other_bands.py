"""The whole path on pictures of four bands, of which only the last says what is where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from small_data import tiny, write_folder
from tarsia import data
from tarsia.adapting import adapt, train_style
from tarsia.card import Card, Classes
from tarsia.checking import augmentation_sheet, check
from tarsia.engines import onnx_file
from tarsia.engines.model_file import read_card
from tarsia.errors import DatasetError, ImageError, ModelFileError, RecipeError
from tarsia.evaluating import evaluate
from tarsia.exporting import export
from tarsia.inference import load
from tarsia.predicting import predict
from tarsia.prediction.crf import CrfSettings
from tarsia.prediction.predictor import Predictor, TestTimeAugmentation
from tarsia.recipe import Recipe
from tarsia.training import train

rasterio = pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

BANDS, SIDE = 4, 32


def write(root: Path, count: int = 16) -> Path:
    """Noise in three bands, and a box in the fourth; half of the TIFFs planar, one picture a .npy file."""
    random = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for number in range(count):
        image, label = random.integers(0, 256, (SIDE, SIDE, BANDS), np.uint8), np.zeros((SIDE, SIDE), np.uint8)
        top, left = random.integers(0, SIDE - 16, 2)
        label[top : top + 16, left : left + 16] = 1
        image[..., 3] = np.where(label, 200, 50) + random.integers(-20, 20, label.shape)
        name = root / f"images/{number:02d}"
        if number == count - 1:
            np.save(name.with_suffix(".npy"), image)
        else:
            write_tiff(name.with_suffix(".tif"), image, interleave="band" if number % 2 else "pixel")
        Image.fromarray(label).save(root / f"labels/{number:02d}.png")
    (root / "dataset.yaml").write_text(f"classes: [ground, box]\nbands: {BANDS}\nsplit: {{val: 0.25}}\n")
    return root


def write_tiff(path: Path, image_HWC: np.ndarray, **options: Any) -> None:
    height, width, count = image_HWC.shape
    with rasterio.open(path, "w", "GTiff", width, height, count, dtype="uint8", **options) as file:
        file.write(image_HWC.transpose(2, 0, 1))


def recipe_of(root: Path, bands: int | None = BANDS, **sections: Any) -> Recipe:
    tree = tiny(root, epochs=9, learning_rate=1e-2)
    tree["augment"] = {"horizontal_flip": 0.5, "scale": {"min": 0.9, "max": 1.1}, "rotation": {"degrees": 5}}
    tree["model"] |= {} if bands is None else {"bands": bands}
    return Recipe.model_validate(tree | sections)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("bands") / "fields")


@pytest.fixture(scope="module")
def run(root: Path) -> Path:
    return train(recipe_of(root), out=root.parent / "run", device="cpu")


@pytest.fixture(scope="module")
def onnx(root: Path, run: Path) -> Path:
    file = root.parent / "model.onnx"
    export(run, file, check_on=data.open("folder", root, "val"))
    return file


def miou(predictor: Predictor, dataset: Any) -> float:
    return evaluate(predictor, dataset).metrics.miou


def test_the_fourth_band_is_learned_from(root: Path, run: Path) -> None:
    assert json.loads((run / "report.json").read_text())["miou"] > 0.8
    assert read_card(run / "model.safetensors").bands == BANDS
    predictor, dataset = load(run, device="cpu"), data.open("folder", root, "val")
    right = wrong = 0
    for index in range(len(dataset)):
        sample = dataset[index]
        blinded = sample.image.copy()
        blinded[..., 3] = np.random.default_rng(index).permutation(blinded[..., 3].ravel()).reshape(SIDE, SIDE)
        right += int((predictor(sample.image).label_HW == sample.label).sum())
        wrong += int((predictor(blinded).label_HW == sample.label).sum())
    assert right > 0.9 * len(dataset) * SIDE**2 and wrong < right - 0.1 * len(dataset) * SIDE**2


def test_the_exported_model_answers_alike(root: Path, run: Path, onnx: Path) -> None:
    exported, trained = load(onnx, device="cpu"), load(run, device="cpu")
    dataset = data.open("folder", root, "all")
    assert exported.card.bands == BANDS and "4 bands, B x 4 x H x W" in _interface(onnx)
    assert miou(exported, dataset) == pytest.approx(miou(trained, dataset), abs=1e-3)


def _interface(path: Path) -> str:
    import onnx as onnx_package

    properties = {one.key: one.value for one in onnx_package.load(str(path)).metadata_props}
    return properties["tarsia_interface"]


def test_pictures_and_arrays_are_predicted_and_drawn(root: Path, onnx: Path, tmp_path: Path) -> None:
    predictor, dataset = load(onnx, device="cpu"), data.open("folder", root, "all")
    done = predict(predictor, [root / "images"], tmp_path / "out", save=["label", "overlay", "confidence", "geojson"])
    assert len(done.done) == len(dataset) == 16 and not done.failed
    for index in range(len(dataset)):
        sample = dataset[index]
        with Image.open(tmp_path / f"out/{sample.name}.png") as label:
            np.testing.assert_array_equal(np.asarray(label), predictor(sample.image).label_HW)
    with Image.open(tmp_path / "out/00_overlay.jpg") as overlay:
        assert overlay.mode == "RGB" and overlay.width >= SIDE


def test_rasters_are_read_by_windows_in_all_bands(onnx: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(3).integers(0, 256, (96, 160, BANDS), np.uint8)
    image[20:60, 40:90, 3] = 200
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000)}
    write_tiff(tmp_path / "map.tif", image, photometric="rgb", alpha="yes", **place)  # the fourth is no mask here
    predictor = load(onnx, device="cpu")
    for tile in (None, 64):
        out = tmp_path / f"out{tile}"
        done = predict(predictor.in_tiles(tile), [tmp_path / "map.tif"], out, save=["label", "overlay", "confidence"])
        assert not done.failed
        with rasterio.open(out / "map.tif") as file:
            found = file.read(1)
            assert file.crs.to_string() == "EPSG:32633"
        if tile is None:
            np.testing.assert_array_equal(found, predictor(image).label_HW)
        assert (found != 255).all()


def test_views_of_test_time_augmentation(root: Path, run: Path) -> None:
    views = TestTimeAugmentation(flip=True, scales=(1.0, 1.5))
    assert miou(load(run, device="cpu", tta=views), data.open("folder", root, "val")) > 0.6


def test_the_doctor_and_the_sheet_of_augmentation(root: Path, tmp_path: Path) -> None:
    checkup = check(f"folder:{root}", out=tmp_path / "health")
    assert not [one for one in checkup.findings if one.severity == "error"]
    assert (tmp_path / "health/check.html").stat().st_size
    dataset = data.open("folder", root, "train")
    assert augmentation_sheet(recipe_of(root), dataset, tmp_path).is_file()
    with pytest.raises(RecipeError, match=r"augment\.fog: for red"):
        augmentation_sheet(recipe_of(root, augment={"fog": {}}), dataset, tmp_path)


def test_the_doctor_mends_it_as_it_is(root: Path, tmp_path: Path) -> None:
    check(f"folder:{root}", out=tmp_path / "mended", fix=True)
    described = yaml.safe_load((tmp_path / "mended/dataset.yaml").read_text())
    assert described["bands"] == BANDS
    assert data.open("folder", tmp_path / "mended", "train")[0].image.shape[2] == BANDS


def test_recipes_that_do_not_agree_with_the_pictures_are_refused(root: Path, tmp_path: Path) -> None:
    rgb = write_folder(tmp_path / "rgb", 2, 2)
    cases = [
        (recipe_of(root, None), r"model\.bands: 3 .*have 4 bands: write model\.bands: 4"),
        (recipe_of(root, 5), r"model\.bands: 5 \(given\).*have 4 bands"),
        (recipe_of(rgb), r"model\.bands: 4 \(given\).*have 3 bands"),
        (recipe_of(root, augment={"color_jitter": {}, "rain": {}}), r"augment\.rain, augment\.color_jitter: for red"),
        (recipe_of(root, adapt={"target": "x", "method": "fourier"}), "^adapt: for red"),
    ]
    for recipe, says in cases:
        with pytest.raises(RecipeError, match=says):
            train(recipe, out=tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_what_is_for_three_bands_is_refused_by_name(root: Path, run: Path, tmp_path: Path) -> None:
    predictor = load(run, device="cpu")
    rgb = write_folder(tmp_path / "rgb", 2, 2, classes=("ground", "box"))
    picture = rgb / "val/images/val00.png"
    with pytest.raises(ImageError, match=r"val00\.png: a picture of 3 bands, expected 4"):
        predictor(picture)
    done = predict(predictor, [picture], tmp_path / "of a picture")
    assert "a picture of 3 bands, expected 4" in done.failed[0][1]
    (tmp_path / "drive.mp4").write_bytes(b"a film")
    done = predict(predictor, [tmp_path / "drive.mp4"], tmp_path / "of a video")
    assert "a video's frames are red, green and blue, and this model takes pictures of 4 bands" in done.failed[0][1]
    with pytest.raises(ImageError, match="a picture of 3 bands, the model takes 4"):
        predictor.labels(np.zeros((1, 32, 32, 3), np.uint8))
    with pytest.raises(DatasetError, match="the pictures of the data set have 3, the model takes 4"):
        evaluate(predictor, data.open("folder", rgb, "val"))
    with pytest.raises(DatasetError, match="the pictures of the data set have 3, the model takes 4"):
        export(run, tmp_path / "a.onnx", check_on=data.open("folder", rgb, "val"))
    with pytest.raises(RecipeError, match="`crf` takes red, green and blue"):
        load(run, device="cpu", crf=CrfSettings())
    with pytest.raises(RecipeError, match="`style` restyles red, green and blue"):
        load(run, style="histogram", reference=str(root / "images"))
    with pytest.raises(RecipeError, match="takes pictures of 4 bands, and adapting is for red, green and blue"):
        adapt(run, source=f"folder:{root}", target=root / "images", out=tmp_path / "adapted", method="histogram")
    with pytest.raises(DatasetError, match="have 4, the model takes 3"):
        train_style(
            f"folder:{root}", f"folder:{root}", tmp_path / "style.safetensors", encoder="test_resnet", weights="none"
        )


def test_a_card_and_a_network_of_other_bands_are_no_model(onnx: Path) -> None:
    content = onnx.read_bytes()
    file = onnx_file.parse(content, "a")
    for bands in (3, 5):
        model = {**file.card.model, "bands": bands}
        changed = onnx_file.with_card(content, file.card.model_copy(update={"model": model}))
        onnx.with_name("changed.onnx").write_bytes(changed)
        with pytest.raises(ModelFileError, match=rf"expected image, uint8, B x {bands} x H x W"):
            load(onnx.with_name("changed.onnx"), device="cpu")


def test_cards_from_before_there_were_bands_mean_three_and_strange_ones_are_refused() -> None:
    classes = Classes(names=("a",), colors=((0, 0, 0),))
    assert Card(architecture="unet", model={"encoder": "resnet18"}, classes=classes).bands == 3
    for bands in (0, 65, "4", True, 4.0, None):
        text = Card(architecture="unet", model={"encoder": "x"}, classes=classes).to_json()
        text = text.replace('"encoder":"x"', f'"bands":{json.dumps(bands)}')
        with pytest.raises(ModelFileError, match=r"bands: .*expected 1 to 64"):
            Card.from_json(text, "model.onnx")
