"""What the network sees of a picture, and that limits count this and not the header's pixels."""

from __future__ import annotations

import numpy as np
import pytest

from small_onnx import card
from small_service import engine
from tarsia.card import Input
from tarsia.errors import ImageError, TooLargeError
from tarsia.pictures.files import MAX_PIXELS
from tarsia.prediction.network_input import check_size, network_size, padded_size, pixels_seen, prepared
from tarsia.prediction.predictor import Predictor, TestTimeAugmentation


@pytest.mark.parametrize(
    ("settings", "scale", "expected"),
    [
        (Input(), 1.0, (300, 400)),
        (Input(), 0.5, (150, 200)),
        (Input(size=(64, 96)), 1.0, (64, 96)),
        (Input(size=(64, 96)), 1.5, (96, 144)),
        (Input(short_side=150), 1.0, (150, 200)),
        (Input(short_side=600), 0.25, (150, 200)),
        (Input(short_side=1), 0.1, (1, 1)),
    ],
)
def test_network_size(settings: Input, scale: float, expected: tuple[int, int]) -> None:
    assert network_size((300, 400), settings, scale) == expected


@pytest.mark.parametrize(
    ("size", "settings", "scales", "expected"),
    [
        ((1, 1000), Input(stride=32), (1.0,), 32 * 1024),
        ((1000, 1), Input(stride=32), (1.0,), 32 * 1024),
        ((1, 1000), Input(stride=1), (1.0,), 1000),
        ((64, 96), Input(stride=32), (1.0,), 64 * 96),
        ((64, 96), Input(stride=32), (0.5, 1.5, 1.0), 96 * 160),
        ((1, 64), Input(short_side=512, stride=32), (1.0,), 512 * 512 * 64),
        ((5000, 5000), Input(size=(64, 64), stride=32), (1.0,), 25_000_000),  # labels have the picture's own size
    ],
)
def test_pixels_seen(size: tuple[int, int], settings: Input, scales: tuple[float, ...], expected: int) -> None:
    assert pixels_seen(size, settings, scales) == expected


@pytest.mark.parametrize(
    "settings", [Input(stride=8), Input(short_side=40, stride=32), Input(size=(30, 50), stride=16)]
)
@pytest.mark.parametrize("size", [(1, 40), (40, 1), (24, 33), (64, 64)])
def test_the_size_that_is_foretold_is_the_one_that_the_network_sees(settings: Input, size: tuple[int, int]) -> None:
    for scale in (0.5, 1.0, 1.75):
        padded, _ = prepared(np.zeros((1, *size, 3), np.uint8), card(input=settings), scale)
        assert padded.shape == (1, *padded_size(size, settings, scale), 3)


def test_a_thin_picture_is_refused_for_what_it_is_to_the_network() -> None:
    seen = card(input=Input(stride=32))
    check_size((1, 31_232), seen, limit=1_000_000)
    said = r"1x31233 .* 1,000,448 pixels to this model \(at its own size, sides padded to multiples of 32\), more than"
    with pytest.raises(TooLargeError, match=said):
        check_size((1, 31_233), seen, limit=1_000_000)
    with pytest.raises(TooLargeError, match=r"short side brought to 512, times 1.5, sides padded"):
        check_size((1, 64), card(input=Input(short_side=512, stride=32)), (1.0, 1.5), limit=20_000_000)
    with pytest.raises(ImageError, match="too narrow"):
        check_size((1, 65), card(input=Input(short_side=512)))
    with pytest.raises(TooLargeError, match="more than the 500 allowed"):  # of six bands half as many
        check_size((20, 50), card(model={"bands": 6}), limit=1000)


@pytest.mark.parametrize("size", [(1, MAX_PIXELS // 8 + 1), (MAX_PIXELS // 8 + 1, 1)])
def test_prediction_refuses_it_before_it_is_padded(size: tuple[int, int]) -> None:
    image_HW3 = np.broadcast_to(np.zeros(3, np.uint8), (*size, 3))  # no memory
    for predictor in (Predictor(engine()), Predictor(engine(), TestTimeAugmentation())):
        for call in (predictor.labels, predictor.labels_and_confidence, predictor.scores, predictor.probabilities):
            with pytest.raises(TooLargeError, match="sides padded to multiples of 8"):
                call(image_HW3[None])


def test_views_count_by_the_largest() -> None:
    predictor = Predictor(engine(), TestTimeAugmentation(scales=(0.5, 2.0)))
    assert predictor.pixels_seen((20, 24)) == 40 * 48
    with pytest.raises(TooLargeError, match="times 2"):
        predictor.check_size((20, 24), 40 * 48 - 1)
