from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tarsia.data
from tarsia.data._coding import coding_of
from tarsia.data.vistas import Data
from tarsia.errors import DatasetError

NAMES = ("construction--flat--road", "object--vehicle--car", "void--car-mount", "nature--sky", "void--unlabeled")
VALUES = np.array([[0, 1, 2, 3, 4, 1]] * 4, np.uint8)


def config(root: Path, name: str, names: tuple[str, ...] = NAMES) -> None:
    entries = [
        {"name": one, "readable": one.title(), "color": [k, 9, 9], "instances": True, "evaluate": one[:4] != "void"}
        for k, one in enumerate(names)
    ]
    (root / name).write_text(json.dumps({"labels": entries, "version": "1.1"}))


def tree(root: Path, labels: str, name: str, values: np.ndarray = VALUES) -> Path:
    """A split, its label maps in `labels`, and a configuration called `name`."""
    for split in ("training", "validation"):
        for folder in ("images", labels):
            (root / split / folder).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", values.shape[::-1]).save(root / split / "images/one.jpg")
        Image.fromarray(values).save(root / split / labels / "one.png")
    config(root, name)
    return root


LAYOUTS = [("labels", "config.json"), ("v1.2/labels", "config_v1.2.json"), ("v2.0/labels", "config_v2.0.json")]


@pytest.mark.parametrize(("labels", "name"), LAYOUTS)
def test_versions_as_published(tmp_path, labels, name):
    data = tarsia.data.open_spec(f"vistas:{tree(tmp_path, labels, name)}", split="val")
    assert data.classes.names == (NAMES[0], NAMES[1], NAMES[3]) and data.classes.colors[2] == (3, 9, 9)
    assert data[0].label[0].tolist() == [0, 1, 255, 2, 255, 1] and data.name(0) == "one"
    coding = coding_of(data)
    assert coding is not None and (coding.classes, coding.ignored) == ((0, 1, 3), 4), "predictions: unlabeled"


def test_instances_where_there_are_no_label_maps(tmp_path):
    data = Data(tree(tmp_path, "instances", "config.json", VALUES.astype(np.uint16) * 256 + 7), "train")
    assert data[0].label[0].tolist() == [0, 1, 255, 2, 255, 1]


def test_both_versions_beside_each_other(tmp_path):
    tree(tmp_path, "v1.2/labels", "config_v1.2.json")
    tree(tmp_path, "v2.0/labels", "config_v2.0.json")
    config(tmp_path, "config_v2.0.json", NAMES[::-1])
    assert Data(tmp_path).classes.names[0] == NAMES[3], "the later"
    assert Data(tmp_path, version="v1.2").classes.names[0] == NAMES[0]


def test_what_is_not_there(tmp_path):
    with pytest.raises(DatasetError, match="vistas has no split vall, did you mean val"):
        Data(tree(tmp_path, "labels", "config.json"), "vall")
    with pytest.raises(DatasetError, match=r"expected config_v2\.0\.json and training/v2\.0/labels/, as Vistas"):
        Data(tmp_path, version="v2.0")
    (tmp_path / "config.json").write_text('{"labels": [{}]}')
    with pytest.raises(DatasetError, match=r"config\.json: no list of Vistas' labels \(no 'name'\)"):
        Data(tmp_path)
    config(tmp_path, "config.json", NAMES[:2])
    with pytest.raises(DatasetError, match=r"label value [234] .*take the files of one version"):
        Data(tmp_path)[0]
    (tmp_path / "config.json").unlink()
    with pytest.raises(DatasetError, match=r"expected config_v2\.0\.json and .* or config_v1\.2\.json and"):
        Data(tmp_path)


@pytest.mark.shared
@pytest.mark.parametrize("version", ["v1.2", "v2.0"])
def test_the_layout_of_another_s_fixtures(shared, version):
    data = Data(shared / f"data/samples/datumaro_fixtures/mapillary_vistas_dataset/{version}", "val")
    assert len(data.classes) == 3 and len(data) and data[0].label.max() < 255
