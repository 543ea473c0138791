"""A prediction is looked at, counted and kept; a predictor takes one picture or many, whatever holds them."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from small_engine import SmallEngine
from tarsia.card import Card, Classes, Input
from tarsia.errors import ImageError, OutputError
from tarsia.pictures.labels import read_label
from tarsia.prediction.prediction import Prediction
from tarsia.prediction.predictor import Predictor

CLASSES = Classes(names=("ground", "roof", "water"), colors=((90, 80, 70), (220, 40, 40), (40, 60, 220)))
LABEL_HW = np.array([[0, 0, 0, 1], [0, 0, 2, 255]], np.uint8).repeat(10, 0).repeat(10, 1)


class FirstBand(SmallEngine):
    """The class is the first band's number."""

    def __init__(self) -> None:
        self.card = Card(architecture="first", model={}, classes=CLASSES, input=Input(stride=1))

    def run(self, images_BHW3: np.ndarray) -> np.ndarray:
        return np.moveaxis(np.eye(3, dtype=np.float32)[images_BHW3[..., 0]], -1, 1)

    def labels(self, scores_BKHW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return scores_BKHW.argmax(1).astype(np.uint8)


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(FirstBand())


@pytest.fixture
def prediction() -> Prediction:
    return Prediction(LABEL_HW, CLASSES, image_HWC=np.full((20, 40, 3), 200, np.uint8))


def pictures(count: int, size: tuple[int, int] = (8, 10)) -> list[np.ndarray]:
    return [np.random.default_rng(seed).integers(0, 3, (*size, 3), np.uint8) for seed in range(count)]


def test_it_says_itself_in_one_line(prediction: Prediction) -> None:
    assert repr(prediction) == "Prediction(20x40: ground 71.4 %, roof 14.3 %, water 14.3 %)"
    assert repr(Prediction(np.full((2, 3), 255, np.uint8), CLASSES)) == "Prediction(2x3: no data)"
    assert prediction.areas() == {"ground": 500, "roof": 100, "water": 100}
    assert sum(prediction.shares().values()) == pytest.approx(1)


def test_what_a_notebook_shows_is_the_overlay_and_not_larger_than_the_screen(prediction: Prediction) -> None:
    shown = prediction._repr_png_()
    assert shown is not None
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(shown))), np.asarray(prediction.overlay()))
    assert prediction.overlay(legend=False).size == (40, 20)
    large = Prediction(np.zeros((30, 3000), np.uint8), CLASSES, image_HWC=np.zeros((30, 3000, 3), np.uint8))
    assert max(Image.open(io.BytesIO(large._repr_png_() or b"")).size) == 1024
    bare = Prediction(LABEL_HW, CLASSES)
    assert bare._repr_png_() is None
    with pytest.raises(ImageError, match="no picture"):
        bare.overlay()


@pytest.mark.parametrize("bands", [1, 4])
def test_pictures_of_other_bands_and_depths_are_seen_too(bands: int) -> None:
    values = np.random.default_rng(0).integers(0, 9000, (20, 40, bands)).astype(np.uint16)
    assert Prediction(LABEL_HW, CLASSES, image_HWC=values).overlay(legend=False).size == (40, 20)


def test_show_opens_the_overlay(prediction: Prediction, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Image.Image] = []
    monkeypatch.setattr(Image.Image, "show", lambda image: seen.append(image))
    prediction.show()
    assert seen == [prediction.overlay()]


def test_it_is_saved_as_the_suffix_says(prediction: Prediction, tmp_path: Path) -> None:
    for name in ("a.png", "b.npy", "c.jpg", "d.JPEG", "e.geojson"):
        prediction.save(tmp_path / name)
    assert np.array_equal(read_label(tmp_path / "a.png"), LABEL_HW)
    assert np.array_equal(np.load(tmp_path / "b.npy"), LABEL_HW)
    for name in ("c.jpg", "d.JPEG"):
        with Image.open(tmp_path / name) as image:
            assert image.format == "JPEG" and image.size == prediction.overlay().size
    found = json.loads((tmp_path / "e.geojson").read_text())
    assert found == prediction.polygons()
    assert [one["properties"]["class"] for one in found["features"]] == ["ground", "roof", "water"]
    for name in ("f.tif", "g", "h.webp"):
        with pytest.raises(OutputError, match=r"\.png \(label map\)"):
            prediction.save(tmp_path / name)
    assert len(list(tmp_path.iterdir())) == 5


def test_many_pictures_are_each_one(predictor: Predictor, tmp_path: Path) -> None:
    images = pictures(3)
    wanted = [image[..., 0] for image in images]
    for index, image in enumerate(images):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / ("in" if index else ".") / f"{index}.png")
    (tmp_path / "notes.txt").write_text("none")
    files = [tmp_path / "0.png", str(tmp_path / "in/1.png"), (tmp_path / "in/2.png").read_bytes()]
    chw = [torch.from_numpy(image).permute(2, 0, 1) for image in images]
    for given in (images, tuple(images), np.stack(images), tmp_path, str(tmp_path), files, chw, torch.stack(chw)):
        found = predictor(given)
        assert isinstance(found, list) and len(found) == 3
        assert all(np.array_equal(*pair) for pair in zip([one.label_HW for one in found], wanted, strict=True))
    assert predictor([]) == []
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="no pictures in this folder"):
        predictor(tmp_path / "empty")


def test_each_is_made_when_it_is_asked_for(predictor: Predictor) -> None:
    taken: list[int] = []

    def source() -> Iterator[np.ndarray]:
        for index, image in enumerate(pictures(1000)):
            taken.append(index)
            yield image

    first = next(predictor.each(source(), confidence=False))
    assert taken == [0] and np.array_equal(first.label_HW, pictures(1)[0][..., 0])
    assert [one.label_HW.shape for one in predictor.each(pictures(1)[0])] == [(8, 10)]


def test_tensors_are_taken_as_they_are_or_refused(predictor: Predictor) -> None:
    image = pictures(1)[0]
    chw = torch.from_numpy(image).permute(2, 0, 1)
    for tensor in (chw, chw.contiguous(), torch.from_numpy(image)):
        assert np.array_equal(predictor(tensor).label_HW, image[..., 0])
    with pytest.raises(ImageError, match="scale it to 0"):
        predictor(chw.float() / 255)
    with pytest.raises(ImageError, match="numpy array, which is H x W x bands"):
        predictor(torch.zeros((3, 8, 3), dtype=torch.uint8))
    with pytest.raises(ImageError, match="dict given as picture"):
        predictor({})


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        where = {"/away": "ftp://elsewhere.example/picture.png", "/moved": "/picture.png"}.get(self.path)
        self.send_response(302 if where else 200 if self.path == "/picture.png" else 404)
        if where:
            self.send_header("Location", where)
        self.end_headers()
        if self.path == "/picture.png":
            Image.fromarray(pictures(1)[0]).save(self.wfile, "PNG")

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_addresses_are_fetched_where_somebody_asks_for_it(predictor: Predictor) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_address[1]}"
        with pytest.raises(ImageError, match="fetch=True"):
            predictor(f"{root}/picture.png")
        for path in ("/picture.png", "/moved"):
            assert np.array_equal(predictor(root + path, fetch=True).label_HW, pictures(1)[0][..., 0])
        assert len(predictor([f"{root}/picture.png", pictures(1)[0]], fetch=True)) == 2
        with pytest.raises(ImageError, match=r"nothing.png: cannot be fetched \(.*Not Found"):
            predictor(f"{root}/nothing.png", fetch=True)
        with pytest.raises(ImageError, match="leads to ftp:"):
            predictor(f"{root}/away", fetch=True)
        server.shutdown()
    with pytest.raises(ImageError, match="cannot be fetched"):
        predictor(f"{root}/picture.png", fetch=True)
