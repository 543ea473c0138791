"""Pictures without labels: folders, data sets whose labels are never opened, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from small_data import write_folder
from tarsia.data import open_spec
from tarsia.data._unlabelled import open_unlabelled
from tarsia.errors import DatasetError, ImageError


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for index, name in enumerate(("b.png", "deep/a.jpg", "deep/c.png", ".hidden.png", "notes.txt")):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("txt"):
            path.write_text("no picture")
        else:
            Image.fromarray(np.full((8 + index, 9, 3), 20 * index, np.uint8)).save(path)
    return tmp_path / "photos"


def test_a_folder_of_pictures(pictures: Path) -> None:
    found = open_unlabelled(pictures)
    assert found.names == ["b.png", "deep/a.jpg", "deep/c.png"] and len(found) == 3
    assert found[0].shape == (8, 9, 3) and (found[2] == 40).all()
    assert len(list(found.spread(2))) == 2 and len(list(found.spread(99))) == 3


def test_labels_on_disk_are_not_opened(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "data", 3, 2, (16, 16))
    labelled = open_spec(f"folder:{root},split=val")
    images = [labelled[index].image for index in range(2)]
    for path in (root / "val/labels").iterdir():
        path.write_bytes(b"not a picture")
    with pytest.raises(DatasetError):
        labelled[0]
    found = open_unlabelled(f"folder:{root},split=val")
    assert all((found[index] == images[index]).all() for index in range(2))
    assert len(open_unlabelled(root)) == 3  # with a dataset.yaml: the data set, not every picture below it


def test_drawn_pictures() -> None:
    spec = "streets,condition=night,size=32x32,count=2"
    found = open_unlabelled(spec)
    assert (found[1] == open_spec(spec, split="train")[1].image).all()


def test_grey_pictures_are_rgb(tmp_path: Path) -> None:
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "grey.png")
    (image,) = open_unlabelled(tmp_path).spread(5)
    assert image.shape == (8, 8, 3) and (image == image[..., :1]).all()


def test_hash_follows_names_and_pixels(pictures: Path) -> None:
    first = open_unlabelled(pictures).hash()
    assert open_unlabelled(pictures).hash() == first
    (pictures / "b.png").rename(pictures / "a.png")
    renamed = open_unlabelled(pictures).hash()
    Image.fromarray(np.full((8, 9, 3), 1, np.uint8)).save(pictures / "a.png")
    assert len({first, renamed, open_unlabelled(pictures).hash()}) == 3


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("empty", "no pictures in it"),
        ("./missing", "no such folder"),
        ("/missing/folder", "no such folder"),
        ("street", "unknown data set street, did you mean streets"),
        ("streets,condition=nigt", "no condition 'nigt', did you mean night"),
    ],
)
def test_bad_sources(source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=message):
        open_unlabelled(source)


def test_a_damaged_picture_is_named(pictures: Path) -> None:
    (pictures / "b.png").write_bytes(b"\x89PNG cut")
    with pytest.raises(ImageError, match=r"b\.png"):
        open_unlabelled(pictures)[0]
