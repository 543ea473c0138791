"""A model by each picture's own range: trained, scored, and exported with two more inputs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import tarsia
from small_data import tiny
from tarsia.engines.model_file import read_card
from tarsia.errors import ModelFileError, RecipeError
from tarsia.pictures.ranges import Levels
from tarsia.recipe import Recipe
from tarsia.serving import create_app

onnxruntime = pytest.importorskip("onnxruntime")


def write(root: Path, count: int = 12) -> Path:
    """A bright box on grey ground, each picture under another light."""
    random = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for index in range(count):
        label = np.zeros((32, 40), np.uint8)
        top, left = random.integers(0, 12), random.integers(0, 20)
        label[top : top + 16, left : left + 16] = 1
        values = (np.where(label, 3000, 1000) + random.normal(0, 100, label.shape)) * random.uniform(0.1, 10)
        tifffile.imwrite(root / f"images/{index:02d}.tif", values.astype(np.uint16))
        Image.fromarray(label).save(root / f"labels/{index:02d}.png")
    told = "range: {picture: [1, 99.8]}\nsplit: {val: 0.25}\n"
    (root / "dataset.yaml").write_text(f"classes: [ground, box]\nbands: 1\n{told}")
    return root


def test_from_training_to_the_exported_file(tmp_path: Path) -> None:
    root = write(tmp_path / "boxes")
    tree = tiny(root, epochs=6, learning_rate=1e-2) | {"augment": {"crop": [32, 32]}}
    tree["model"] = {"name": "unet_original", "channels": [8, 16], "bands": 1}  # few layers: tracing takes long
    run = tarsia.train(Recipe.model_validate(tree), out=tmp_path / "run", device="cpu")
    assert json.loads((run / "report.json").read_text())["miou"] > 0.7
    assert read_card(run / "model.safetensors").input.range.percentiles == ("1", "99.8")
    val = tarsia.data.open("folder", root, "val")
    gate = tarsia.export(run, check_on=f"folder:{root}", triton=tmp_path / "triton", images=2)
    assert all(verdict.passed for verdict in gate.verdicts if verdict.runner.precision == "float32")
    file = next((tmp_path / "triton").rglob("model.onnx"))
    text = file.parents[1].joinpath("config.pbtxt").read_text()
    assert 'input { name: "low" data_type: TYPE_FP32 dims: [1] }\ninput { name: "step"' in text
    trained, exported = tarsia.load(run, device="cpu"), tarsia.load(file, device="cpu")
    session = onnxruntime.InferenceSession(file)
    told = json.loads(session.get_modelmeta().custom_metadata_map["tarsia_interface"])
    assert "percentile 1 " in told["low"] and "percentile 99.8," in told["step"]
    assert [(one.name, one.type) for one in session.get_inputs()][1:] == [
        ("low", "tensor(float)"),
        ("step", "tensor(float)"),
    ]
    for index in range(len(val)):
        path, sample = val.pairs[index].image, val[index]
        np.testing.assert_array_equal(trained(path).label_HW, exported(path).label_HW)
        values = np.sort(sample.image.ravel())  # as a program without Tarsia does it
        low, high = (float(values[-(-len(values) * permille // 1000) - 1]) for permille in (10, 998))
        fed = {"image": sample.image.transpose(2, 0, 1)[None], "low": np.float32([[low]])}
        fed["step"] = np.float32([[(high - low) / 255]])
        (label_BHW,) = session.run(["label"], fed)
        np.testing.assert_array_equal(label_BHW[0], exported(path).label_HW)
    assert create_app(exported) is not None  # which has seen a picture by then
    engine = exported.engine
    with pytest.raises(RecipeError, match="each picture's own"):
        engine.run(np.zeros((1, 32, 32, 1), np.uint16))
    with pytest.raises(ModelFileError, match="fails on pictures"):
        engine.run(np.zeros((1, 32, 32, 1), np.uint16), Levels.as_stored(2))
