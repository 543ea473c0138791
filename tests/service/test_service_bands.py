"""A service of a model for four bands: TIFFs and arrays in, every answer out, and other pictures refused by name."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from small_onnx import BIAS_K, WEIGHT_K3, card, model
from small_service import client, decoded, encoded, segment
from tarsia.engines import onnx_file
from tarsia.engines.onnx_engine import OnnxEngine
from tarsia.engines.onnx_file import with_card
from tarsia.prediction.predictor import Predictor
from tarsia.service.limits import Limits
from tarsia.serving import create_app

rasterio = pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
WEIGHT_K4 = np.concatenate([WEIGHT_K3, [[0.5], [-0.5], [0.1]]], 1).astype(np.float32)


def predictor() -> Predictor:
    content = with_card(model(WEIGHT_K4).SerializeToString(), card(model={"bands": 4}))
    return Predictor(OnnxEngine(onnx_file.parse(content, "four"), "four", threads=1))


@pytest.fixture(scope="module")
def app() -> Any:
    with TestClient(create_app(predictor())) as running:
        yield running


def picture(bands: int = 4) -> np.ndarray:
    return np.random.default_rng(bands).integers(0, 256, (24, 32, bands), np.uint8)


def tiff(image_HWC: np.ndarray) -> bytes:
    with rasterio.MemoryFile() as file:
        height, width, count = image_HWC.shape
        with file.open(driver="GTiff", height=height, width=width, count=count, dtype="uint8") as raster:
            raster.write(image_HWC.transpose(2, 0, 1))
        return file.read()


def npy(image_HWC: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, image_HWC)
    return file.getvalue()


@pytest.mark.parametrize("write", [tiff, npy])
@pytest.mark.parametrize("format", ["png", "json", "geojson", "overlay"])
def test_every_answer(app: TestClient, write: Any, format: str) -> None:
    answer = segment(app, write(picture()), f"?format={format}", "application/octet-stream")
    assert answer.status_code == 200, answer.text
    if format == "png":
        expected = (picture().astype(np.float32) @ WEIGHT_K4.T + BIAS_K).argmax(2)
        np.testing.assert_array_equal(decoded(answer.content), expected)
    if format == "overlay":
        assert decoded(answer.content).shape == (24, 32, 3)


def test_pictures_of_other_bands_are_problems_that_name_both_numbers(app: TestClient) -> None:
    cases = [
        (encoded(picture(3)), "a picture of 3 bands, expected 4"),
        (tiff(picture(5)), "a TIFF of 5 bands, expected 4"),
        (npy(picture(1)), "a picture of 1 band, expected 4"),
    ]
    for body, says in cases:
        answer = segment(app, body, "", "application/octet-stream")
        assert answer.status_code == 422 and says in answer.json()["detail"], answer.text
    with client() as rgb:
        for body in (tiff(picture(5)), npy(picture(4))):
            answer = segment(rgb, body, "", "application/octet-stream")
            assert answer.status_code == 422 and "bands" in answer.json()["detail"], answer.text


def test_the_limit_of_pixels_is_checked_by_the_header() -> None:
    with TestClient(create_app(predictor(), Limits(pixels=500))) as small:
        for body in (tiff(picture()), npy(picture())):
            answer = segment(small, body, "", "application/octet-stream")
            assert answer.status_code == 413 and "more than the 500 allowed" in answer.json()["detail"], answer.text
