"""`predict --coding data`: label maps in what the data set's own label files hold, and back through `evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from small_data import tiny
from small_engine import SmallEngine
from tarsia import cli, data
from tarsia.card import Card, Classes, Coding, Input
from tarsia.data._coding import coding_of
from tarsia.errors import ModelFileError, OutputError
from tarsia.evaluating import evaluate, evaluate_predictions
from tarsia.output.label_files import LabelFiles
from tarsia.pictures.labels import read_label
from tarsia.predicting import predict
from tarsia.prediction.predictor import Predictor

OWN = {
    "numbers": "classes: {dark: [7, 8], bright: 3}\nignore: [0]\n",
    "identity": "classes: [dark, bright]\n",
    "16 bits": "classes: {dark: 30000, bright: 12}\n",
    "colours": "classes: {dark: '#ff0000', bright: '#0000ff'}\nignore: ['#000000']\nformat: rgb\n",
}
STORED = {"numbers": [7, 3], "identity": [0, 1], "16 bits": [30000, 12], "colours": [[255, 0, 0], [0, 0, 255]]}


class Brightness(SmallEngine):
    """Class = brighter than 128 or not; of a model that learned from `dataset`."""

    def __init__(self, dataset: data.Dataset) -> None:
        told = {"classes": dataset.classes, "coding": coding_of(dataset), "input": Input(stride=4)}
        self.card = Card.from_json(Card(architecture="brightness", model={}, **told).to_json(), "a card")

    def run(self, images_BHW3):
        brightness_BHW = images_BHW3.astype(np.float32).mean(3)
        return np.stack([128 - brightness_BHW, brightness_BHW - 128], axis=1)


def write(root: Path, kind: str, suffix: str = "") -> str:
    """Two pictures, the right half bright, and labels of which the upper half says the contrary."""
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for name, value in (("a", 10), ("b", 60)):
        image = np.full((8, 12, 3), value, np.uint8)
        image[:, 6:] = 200
        Image.fromarray(image).save(root / f"images/{name}{suffix}.png")
        truth = np.zeros((8, 12), int)
        truth[:4, 6:] = 1
        kinds = {"16 bits": np.uint16}
        Image.fromarray(np.array(STORED[kind], kinds.get(kind, np.uint8))[truth]).save(root / f"labels/{name}.png")
    (root / "dataset.yaml").write_text(OWN[kind] + (f"image_suffix: {suffix}\n" if suffix else ""))
    return f"folder:{root},split=all"


@pytest.mark.parametrize("kind", OWN)
def test_what_is_written_in_own_values_scores_as_the_model_itself(kind, tmp_path):
    spec = write(tmp_path / "set", kind, "_sat" if kind == "numbers" else "")
    predictor = Predictor(Brightness(data.open_spec(spec)))
    predict(predictor, tmp_path / "set/images", tmp_path / "out", coding="data", save=["label"])
    stored = read_label(next((tmp_path / "out").glob("b*.png")))
    assert stored[0, 0].tolist() == STORED[kind][0] and stored[-1, -1].tolist() == STORED[kind][1]
    scored = evaluate_predictions(tmp_path / "out", spec, coding="data")
    assert scored.metrics.miou == evaluate(predictor, spec).metrics.miou < 1.0
    if kind == "numbers":
        picture = Image.open(tmp_path / "out/b_sat.png")
        assert picture.convert("RGB").getpixel((0, 0)) == predictor.classes.colors[0], "in the classes' colours"


def test_through_training_a_cache_and_the_commands(tmp_path):
    write(tmp_path / "set", "colours")
    recipe = tiny({"name": "folder", "root": str(tmp_path / "set"), "train": "all", "val": "all"}, batch=2)
    recipe["data"]["cache"] = str(tmp_path / "cache")
    recipe["model"] = {"name": "unet_original", "channels": [4, 4]}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    run, out = tmp_path / "run", tmp_path / "out"

    def told(*words: object) -> None:
        assert not cli.app([*map(str, words), "--quiet"], exit_on_error=False, print_error=False)

    told("train", tmp_path / "tiny.yaml", "--out", run, "--device", "cpu")
    told("predict", run, tmp_path / "set/images", "--coding", "data", "--out", out)
    assert Image.open(out / "a.png").mode == "RGB"
    of_data = ("--data", f"folder:{tmp_path / 'set'},split=all")
    told("evaluate", "--predictions", out, "--coding", "data", *of_data, "--out", tmp_path / "scores")
    scored, trained = (json.loads((folder / "report.json").read_text()) for folder in (tmp_path / "scores", run))
    assert scored["miou"] == trained["miou"]
    with pytest.raises(OutputError, match=r"begun with another coding \(data, now None\)"):
        predict(run, tmp_path / "set/images", out, resume=True)


def test_pixels_of_no_class(tmp_path):
    for kind, ignored in (("numbers", 255), ("colours", [0, 0, 0])):
        predictor = Predictor(Brightness(data.open_spec(write(tmp_path / kind, kind))))
        predict(predictor, tmp_path / kind / "images", tmp_path / f"{kind}-out", coding="data", only=["dark"])
        assert read_label(tmp_path / f"{kind}-out/a.png")[0, -1].tolist() == ignored
    yaml_file = tmp_path / "colours/dataset.yaml"
    yaml_file.write_text(yaml_file.read_text().replace("ignore", "domain_by: '^'\n# "))
    predictor = Predictor(Brightness(data.open_spec(f"folder:{tmp_path / 'colours'},split=all")))
    run = predict(predictor, tmp_path / "colours/images", tmp_path / "none", coding="data", only=["dark"])
    assert len(run.failed) == 2 and "no colour for pixels that are of no class (255): write class numbers" in str(run)


def test_a_model_that_cannot_say_is_refused_before_any_work(tmp_path):
    predictor = Predictor(Brightness(data.open("streets", split="train", count=1, size=(32, 32))))
    assert predictor.card.coding is None and '"coding"' not in predictor.card.to_json()
    with pytest.raises(OutputError, match=r"coding='data': the model does not say .* `evaluate` reads class numbers"):
        predict(predictor, tmp_path, tmp_path / "out", coding="data")
    with pytest.raises(OutputError, match="coding='own': expected classes or data"):
        predict(predictor, tmp_path, tmp_path / "out", coding="own")
    assert not (tmp_path / "out").exists()
    predictor = Predictor(Brightness(data.open_spec(write(tmp_path / "set", "numbers"))))
    with pytest.raises(OutputError, match="add `label`"):
        predict(predictor, tmp_path, tmp_path / "out", coding="data", save=["csv"])


@pytest.mark.parametrize(
    "coding",
    [
        {"classes": [1]},
        {"classes": [1, [1, 2, 3]]},
        {"classes": [1, 70_000]},
        {"classes": [1, 2], "ignored": [1, 2, 3]},
        {"classes": [[1, 2, 3], [0, 0, 0]], "ignored": 9},
    ],
)
def test_a_card_with_a_damaged_coding(coding):
    classes = Classes(names=("a", "b"), colors=((1, 1, 1), (2, 2, 2)))
    tree = json.loads(Card(architecture="none", model={}, classes=classes).to_json()) | {"format": 2, "coding": coding}
    with pytest.raises(ModelFileError, match="the card inside is damaged"):
        Card.from_json(json.dumps(tree), "a card")


def test_geotiffs_hold_own_values_too(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    place = rasterio.Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000)
    for kind, dtype in (("colours", "uint8"), ("16 bits", "uint16")):
        predictor = Predictor(Brightness(data.open_spec(write(tmp_path / kind, kind))))
        source = tmp_path / f"{kind[:2]}.tif"
        shape = {"height": 20, "width": 30, "count": 3, "dtype": "uint8", "crs": "EPSG:32633", "transform": place}
        with rasterio.open(source, "w", driver="GTiff", **shape) as file:
            file.write(np.tile(np.arange(30, dtype=np.uint8) * 8, (3, 20, 1)))
        predict(predictor, source, tmp_path / "out", coding="data", save=["label"])
        with rasterio.open(tmp_path / "out" / source.name) as file:
            found = file.read().transpose(1, 2, 0).squeeze()
            assert file.transform == place and file.dtypes[0] == dtype
        assert found[0, 0].tolist() == STORED[kind][0] and found[-1, -1].tolist() == STORED[kind][1]


def test_frames_of_a_video_too(tmp_path):
    files = LabelFiles(Classes(names=("a", "b"), colors=((1, 1, 1), (2, 2, 2))), Coding(classes=(9, 4)))
    files.save(tmp_path / "frame.png", np.array([[0, 1]], np.uint8))
    assert read_label(tmp_path / "frame.png").tolist() == [[9, 4]]
