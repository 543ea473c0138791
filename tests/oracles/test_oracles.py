"""The forms of annotation programs, against those programs: what they read of ours, and what they write.

They stand in an environment of their own, whose Python TARSIA_ORACLES names: `make oracles` makes it.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from tarsia.converting import convert

PYTHON = os.environ.get("TARSIA_ORACLES", "")
pytestmark = pytest.mark.skipif(not PYTHON, reason="TARSIA_ORACLES names no Python: see `make oracles`")
CLASSES = ["background", "road", "car"]
OURS = ("coco", "cvat", "label-studio", "labelme")
READ = (
    *("pycocotools, coco", "supervision, coco", "datumaro, coco", "datumaro, cvat"),
    *("label-studio-converter, label-studio", "labelme, labelme"),
)
EXACT = (
    *("datumaro-datumaro", "datumaro-coco_panoptic", "datumaro-voc_segmentation", "datumaro-label_me"),
    *("datumaro-coco_instances", "label-studio-converter-label-studio", "labelme-labelme"),
)
OUTLINES = ("datumaro-cvat", "supervision-coco", "supervision-yolo")  # a polygon: off by a pixel along the outline


def drawn() -> dict[str, np.ndarray]:
    """Two label maps: regions with a hole, in two pieces, one pixel wide, at the border; and one without cars."""
    first = np.zeros((24, 40), np.int64)
    first[3:20, 4:25] = 1
    first[8:13, 9:16] = 0
    first[10, 12] = 2
    first[0:6, 30:40] = 2
    first[18:24, 33] = 2
    second = np.zeros((17, 31), np.int64)
    second[9:, :] = 1
    return {"one": first, "two": second}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder where both have written, and what the programs have read."""
    folder = tmp_path_factory.mktemp("oracles")
    for part in ("truth", "images", "labels"):
        (folder / part).mkdir()
    for name, label in drawn().items():
        picture = np.random.default_rng(0).integers(0, 256, (*label.shape, 3), np.uint8)
        for path in (folder / "truth" / f"{name}.png", folder / "images" / f"{name}.png"):
            Image.fromarray(picture).save(path)
        np.save(folder / "truth" / f"{name}.npy", label)
        Image.fromarray(label.astype(np.uint8)).save(folder / "labels" / f"{name}.png")
    (folder / "dataset.yaml").write_text(yaml.safe_dump({"classes": CLASSES}))
    (folder / "truth.json").write_text(json.dumps({"classes": CLASSES, "pictures": list(drawn())}))
    for tool in OURS:
        convert(folder / "dataset.yaml", folder / tool, to_tool=tool, copy=True)
    tools = Path(__file__).with_name("tools.py")
    done = subprocess.run([PYTHON, str(tools), str(folder)], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return folder, json.loads((folder / "read.json").read_text())


@pytest.mark.parametrize("program", READ)
def test_programs_read_what_was_drawn(played: tuple[Path, dict[str, Any]], program: str) -> None:
    found = played[1][program]
    assert isinstance(found, dict), found
    for name, label in drawn().items():
        seen = np.array(found[name])
        wrong = np.where(seen < 0, 0, seen) != label  # what nothing covers is the background
        if program == "supervision, coco":  # draws a polygon half a pixel larger than pycocotools does
            wrong &= ~_near_an_outline(label)
        assert not wrong.any(), name


@pytest.mark.parametrize("form", [*EXACT, *OUTLINES])
def test_what_programs_write_is_read_as_they_meant_it(played: tuple[Path, dict[str, Any]], form: str) -> None:
    folder, told = played
    assert form not in told, told[form]
    crowd = "objects" if form == "supervision-coco" else None  # which calls what has holes or pieces a crowd
    done = convert(folder / "written" / form, folder / "again" / form, crowd=crowd)
    numbers = np.array([done.classes.names.index(name) for name in CLASSES])
    for name, label in drawn().items():
        (path,) = (done.folder / "labels").glob(f"**/{name}.png")
        seen = np.asarray(Image.open(path))
        wrong = seen != numbers[label]
        assert not (wrong if form in EXACT else wrong & ~_near_an_outline(label)).any(), name


def _near_an_outline(label: np.ndarray) -> np.ndarray:
    """Pixels beside one of another class, or at the border."""
    around = np.pad(label, 1, constant_values=-1)
    shape = label.shape
    shifted = [around[y : y + shape[0], x : x + shape[1]] for y in range(3) for x in range(3)]
    return np.any([one != label for one in shifted], axis=0)
