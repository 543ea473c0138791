"""The one inference path, on an engine small enough to check by hand."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from small_engine import SmallEngine
from tarsia.card import Calibration, Card, Classes, Input
from tarsia.engines.engine import AttentionMap
from tarsia.errors import ImageError, ModelFileError, OutputError
from tarsia.inference import load
from tarsia.pictures.rgb import resize
from tarsia.prediction.crf import CrfSettings, refine
from tarsia.prediction.predictor import Predictor, TestTimeAugmentation

CLASSES = Classes(names=("dark", "middle", "bright"), colors=((0, 0, 0), (200, 0, 0), (0, 200, 0)))
CENTRES = np.array([0.0, 128.0, 255.0], np.float32)


class BrightnessEngine(SmallEngine):
    """Class = the nearest brightness; keeps what it was shown."""

    def __init__(self, settings: Input | None = None, lean: float = 0.0) -> None:
        self.card = Card(architecture="brightness", model={}, classes=CLASSES, input=settings or Input(stride=8))
        self.lean = lean  # added to `dark` from left to right: not symmetric then
        self.seen: list[np.ndarray] = []

    def run(self, images_BHW3):
        assert images_BHW3.dtype == np.uint8 and images_BHW3.flags.c_contiguous
        assert not any(side % self.card.input.stride for side in images_BHW3.shape[1:3])
        self.seen.append(images_BHW3)
        brightness_BHW = images_BHW3.astype(np.float32).mean(3)
        scores_BKHW = -np.abs(brightness_BHW[:, None] - CENTRES[:, None, None])
        scores_BKHW[:, 0] += self.lean * np.linspace(0, 1, scores_BKHW.shape[3], dtype=np.float32)
        return scores_BKHW

    def labels(self, scores_BKHW, size):
        return self._resized(scores_BKHW, size).argmax(1).astype(np.uint8)

    def probabilities(self, scores_BKHW, size):
        raised = np.exp(self._resized(scores_BKHW, size) / 20)
        return raised / raised.sum(1, keepdims=True)

    @staticmethod
    def _resized(scores_BKHW, size):
        turn = (size[1], size[0])
        bilinear = Image.Resampling.BILINEAR
        return np.stack([[np.asarray(Image.fromarray(k).resize(turn, bilinear)) for k in b] for b in scores_BKHW])


def picture_HW3(height: int = 21, width: int = 37) -> np.ndarray:
    """Three upright bands, dark to bright, and a dark bottom row."""
    bands_W = np.repeat([10, 120, 250], -(-width // 3))[:width]
    image_HW3 = np.broadcast_to(bands_W[None, :, None], (height, width, 3)).astype(np.uint8).copy()
    image_HW3[-1] = 5
    return image_HW3


def nearest_brightness(image_HW3: np.ndarray) -> np.ndarray:
    return np.abs(image_HW3.astype(float).mean(2)[..., None] - CENTRES).argmin(2)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 8), (8, 16), (21, 37), (33, 9)])
def test_labels_have_the_pictures_own_size_and_padding_is_gone(size):
    engine = BrightnessEngine()
    image_HW3 = picture_HW3(*size)
    prediction = Predictor(engine)(image_HW3)
    assert prediction.label_HW.dtype == np.uint8 and prediction.confidence_HW is None
    np.testing.assert_array_equal(prediction.label_HW, nearest_brightness(image_HW3))
    assert engine.seen[0].shape[1:3] == tuple(-(-side // 8) * 8 for side in size)


def test_what_the_network_sees_is_the_projects_resize_then_edge_padding():
    engine = BrightnessEngine(Input(short_side=12, stride=8))
    image_HW3 = picture_HW3()
    label_HW = Predictor(engine)(image_HW3).label_HW
    assert label_HW.shape == (21, 37)
    seen_HW3 = engine.seen[0][0]
    np.testing.assert_array_equal(seen_HW3[:12, :21], resize(image_HW3, (12, 21)))
    np.testing.assert_array_equal(seen_HW3[12:, :], np.broadcast_to(seen_HW3[11], (4, 24, 3)))
    assert (label_HW == nearest_brightness(image_HW3)).mean() > 0.85


def test_strips_that_a_short_side_would_blow_up_are_refused():
    with pytest.raises(ImageError, match=r"1x5000 .* too narrow .* short side to 224: cut it"):
        Predictor(BrightnessEngine(Input(short_side=224)))(np.zeros((1, 5000, 3), np.uint8))
    assert Predictor(BrightnessEngine())(np.zeros((1, 5000, 3), np.uint8)).label_HW.shape == (1, 5000)


def test_flip_changes_nothing_for_a_symmetric_engine():
    image_HW3 = picture_HW3()
    plain = Predictor(BrightnessEngine())(image_HW3)
    flipped = Predictor(BrightnessEngine(), TestTimeAugmentation(flip=True))(image_HW3)
    np.testing.assert_array_equal(plain.label_HW, flipped.label_HW)


def test_test_time_augmentation_is_the_mean_over_views_worked_out_by_hand():
    engine = BrightnessEngine(lean=90.0)
    image_HW3 = picture_HW3(24, 40)
    found_KHW = Predictor(engine, TestTimeAugmentation(flip=True, scales=(1.0, 0.5))).probabilities(image_HW3[None])[0]
    views = []
    for size in ((24, 40), (12, 20)):
        for step in (1, -1):
            seen_HW3 = np.ascontiguousarray(resize(np.ascontiguousarray(image_HW3[:, ::step]), size))
            padded = np.pad(seen_HW3, ((0, -size[0] % 8), (0, -size[1] % 8), (0, 0)), mode="edge")
            scores_BKHW = engine.run(padded[None])[:, :, : size[0], : size[1]]
            views.append(engine.probabilities(scores_BKHW, (24, 40))[0][:, :, ::step])
    np.testing.assert_allclose(found_KHW, np.mean(views, axis=0), rtol=1e-5)
    one_view_KHW = Predictor(engine).probabilities(image_HW3[None])[0]
    assert np.abs(one_view_KHW - found_KHW).max() > 0.1  # the engine leans, so the mean differs from one view


@pytest.mark.parametrize("tta", [None, TestTimeAugmentation(flip=True, scales=(1.0, 0.5))])
def test_the_crf_refines_the_averaged_probabilities_at_the_pictures_own_size(tta):
    engine, settings = BrightnessEngine(Input(short_side=12, stride=8)), CrfSettings(iterations=3, color_deviation=9)
    image_HW3 = picture_HW3()
    plain = Predictor(engine, tta)
    refined = Predictor(engine, tta, settings)
    expected_KHW = refine(image_HW3, plain.probabilities(image_HW3[None])[0], settings)
    np.testing.assert_array_equal(refined.probabilities(image_HW3[None])[0], expected_KHW)
    prediction = refined(image_HW3, confidence=True)
    np.testing.assert_array_equal(prediction.label_HW, expected_KHW.argmax(0))
    np.testing.assert_array_equal(prediction.confidence_HW, expected_KHW.max(0))
    np.testing.assert_array_equal(refined(image_HW3).label_HW, prediction.label_HW)
    # The picture is drawn in three colours: the CRF finds their borders again, which the small input has blurred.
    right = [(p(image_HW3).label_HW == nearest_brightness(image_HW3)).mean() for p in (plain, refined)]
    assert right[0] < 1 and right[1] > right[0]


def test_a_batch_is_refined_picture_by_picture():
    predictor = Predictor(BrightnessEngine(), crf=CrfSettings(iterations=2))
    first, second = picture_HW3(), picture_HW3()[::-1]
    both = predictor.labels(np.stack([first, second]))
    np.testing.assert_array_equal(both[0], predictor(first).label_HW)
    np.testing.assert_array_equal(both[1], predictor(second).label_HW)


def test_confidence_is_the_chosen_class_s_probability():
    predictor = Predictor(BrightnessEngine())
    image_HW3 = picture_HW3()
    prediction = predictor(image_HW3, confidence=True)
    probabilities_KHW = predictor.probabilities(image_HW3[None])[0]
    np.testing.assert_allclose(probabilities_KHW.sum(0), 1, rtol=1e-5)
    chosen_HW = np.take_along_axis(probabilities_KHW, prediction.label_HW[None].astype(int), 0)[0]
    np.testing.assert_array_equal(prediction.confidence_HW, chosen_HW)
    np.testing.assert_array_equal(prediction.label_HW, predictor(image_HW3).label_HW)


def test_a_batch_is_its_pictures_one_by_one():
    predictor = Predictor(BrightnessEngine())
    first, second = picture_HW3(), picture_HW3()[::-1]
    both = predictor.labels(np.stack([first, second]))
    np.testing.assert_array_equal(both[0], predictor(first).label_HW)
    np.testing.assert_array_equal(both[1], predictor(second).label_HW)


def test_paths_bytes_pil_images_and_arrays_agree(tmp_path):
    predictor = Predictor(BrightnessEngine())
    image_HW3 = picture_HW3()
    path = tmp_path / "a b.png"
    Image.fromarray(image_HW3).save(path)
    expected_HW = predictor(image_HW3).label_HW
    for source in (path, str(path), path.read_bytes(), Image.open(path)):
        np.testing.assert_array_equal(predictor(source).label_HW, expected_HW)
    with pytest.raises(ImageError, match="no such file"):
        predictor(tmp_path / "missing.png")


def test_an_upright_photo_is_labelled_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(picture_HW3()).save(file, format="PNG", exif=exif)
    label_HW = Predictor(BrightnessEngine())(file.getvalue()).label_HW
    np.testing.assert_array_equal(label_HW, nearest_brightness(picture_HW3()).T[:, ::-1])


def test_shares_add_up_in_class_order():
    prediction = Predictor(BrightnessEngine())(np.full((4, 5, 3), 255, np.uint8))
    assert prediction.shares() == {"dark": 0.0, "middle": 0.0, "bright": 1.0}


def test_a_saved_prediction_is_an_index_png(tmp_path):
    prediction = Predictor(BrightnessEngine())(picture_HW3())
    prediction.save(tmp_path / "label.png")
    image = Image.open(tmp_path / "label.png")
    assert image.mode == "P"
    np.testing.assert_array_equal(np.asarray(image), prediction.label_HW)


class AttendingEngine(BrightnessEngine):
    """Attends to a picture's brightness, at half its size."""

    def attention(self, image_HW3, at=None):
        self.at = at
        assert not any(side % self.card.input.stride for side in image_HW3.shape[:2])
        map_HW = image_HW3.astype(np.float32).mean(2)[::2, ::2]
        return [AttentionMap("half", map_HW, None), AttentionMap("whole", map_HW[:1, :1], np.ones(3, np.float32))]


def test_attention_covers_the_picture_without_its_padding():
    image_HW3 = np.zeros((20, 36, 3), np.uint8)  # padded to 24 x 40 with its last row and column
    image_HW3[-2:] = image_HW3[:, -2:] = 200
    half, whole = Predictor(AttendingEngine()).attention(image_HW3)
    assert half.map_HW.shape == (10, 18)
    np.testing.assert_array_equal(half.map_HW, image_HW3[::2, ::2].mean(2))
    assert whole.map_HW.shape == (1, 1) and whole.weights_C.tolist() == [1, 1, 1]


def test_attention_is_of_the_picture_as_the_network_sees_it():
    image_HW3 = picture_HW3()
    (found, _) = Predictor(AttendingEngine(Input(short_side=16, stride=8))).attention(image_HW3)
    assert found.map_HW.shape == (8, 14)
    np.testing.assert_array_equal(found.map_HW, resize(image_HW3, (16, 28)).astype(np.float32).mean(2)[::2, ::2])
    with pytest.raises(ImageError, match="too narrow"):
        Predictor(AttendingEngine(Input(short_side=16))).attention(np.zeros((1, 500, 3), np.uint8))


@pytest.mark.parametrize(
    ("at", "expected"),
    [((0, 0), (0.5 / 24, 0.5 / 40)), ((35, 19), (19.5 / 24, 35.5 / 40)), ((3, 7), (7.5 / 24, 3.5 / 40))],
)
def test_a_position_is_a_pixel_of_the_picture_whatever_the_network_sees(at, expected):
    engine = AttendingEngine()
    Predictor(engine).attention(np.zeros((20, 36, 3), np.uint8), at)  # padded to 24 x 40
    assert engine.at == pytest.approx(expected)
    halved = AttendingEngine(Input(short_side=10, stride=8))
    Predictor(halved).attention(np.zeros((20, 36, 3), np.uint8), at)  # 10 x 18, padded to 16 x 24
    assert halved.at == pytest.approx((expected[0] * 24 / 20 * 10 / 16, expected[1] * 40 / 36 * 18 / 24))


@pytest.mark.parametrize("at", [(36, 0), (0, 20), (-1, 0), (0, -1)])
def test_a_position_outside_the_picture_is_refused(at):
    with pytest.raises(ImageError, match=r"`attention_at` is -?\d+,-?\d+, and the picture 36 wide and 20 high"):
        Predictor(AttendingEngine()).attention(np.zeros((20, 36, 3), np.uint8), at)


def test_an_engine_without_attention_says_which_files_have_it():
    with pytest.raises(OutputError, match=r"of a \.safetensors model only"):
        Predictor(BrightnessEngine()).attention(picture_HW3())


def test_no_model_file_is_one_error(tmp_path):
    with pytest.raises(ModelFileError, match="no such model file"):
        load(tmp_path / "model.safetensors")


def test_the_inference_path_does_not_import_torch():
    code = "import sys, tarsia.predicting, tarsia.prediction.predictor; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


class CalibratedEngine(BrightnessEngine):
    """Its card has a temperature."""

    def __init__(self, temperature, **others):
        super().__init__(**others)
        fitted = {"dataset": "streets", "split": "val", "data_hash": "0", "pixels": 1}
        fitted |= dict.fromkeys(("nll_before", "nll_after", "ece_before", "ece_after"), 0.1)
        self.card = self.card.model_copy(update={"calibration": Calibration(temperature=temperature, **fitted)})


@pytest.mark.parametrize("temperature", [0.2, 1.0, 4.0])
def test_a_temperature_divides_scores_before_they_become_probabilities(temperature):
    image_HW3 = picture_HW3()
    engine = CalibratedEngine(temperature)
    predictor = Predictor(engine)
    scores = predictor.scores(image_HW3[None])
    expected = engine.probabilities(scores / temperature, image_HW3.shape[:2])
    np.testing.assert_array_equal(predictor.probabilities(image_HW3[None]), expected)
    prediction = predictor(image_HW3, confidence=True)
    np.testing.assert_array_equal(prediction.confidence_HW, expected[0].max(0))
    np.testing.assert_array_equal(predictor.confidence(scores, prediction.label_HW[None])[0], prediction.confidence_HW)


def test_views_are_calibrated_before_they_are_averaged():
    engine, image_HW3 = CalibratedEngine(3.0, lean=90.0), picture_HW3(24, 40)
    found_KHW = Predictor(engine, TestTimeAugmentation(flip=True)).probabilities(image_HW3[None])[0]
    views = []
    for step in (1, -1):
        scores_BKHW = engine.run(np.ascontiguousarray(image_HW3[None, :, ::step]))
        views.append(engine.probabilities(scores_BKHW / 3.0, (24, 40))[0][:, :, ::step])
    np.testing.assert_allclose(found_KHW, np.mean(views, axis=0), rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 7.0, 49.0])
@pytest.mark.parametrize("tta", [None, TestTimeAugmentation(flip=True, scales=(1.0, 0.5))])
@pytest.mark.parametrize("crf", [None, CrfSettings(iterations=3)])
def test_a_temperature_changes_no_label(temperature, tta, crf):
    image_HW3 = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    plain = Predictor(BrightnessEngine(lean=90.0), tta, crf)
    calibrated = Predictor(CalibratedEngine(temperature, lean=90.0), tta, crf)
    expected = plain(image_HW3, confidence=True)
    for confidence in (False, True):
        found = calibrated(image_HW3, confidence)
        np.testing.assert_array_equal(found.label_HW, expected.label_HW)
    chosen = np.take_along_axis(calibrated.probabilities(image_HW3[None])[0], found.label_HW[None].astype(int), 0)[0]
    np.testing.assert_array_equal(found.confidence_HW, chosen)
    changed = np.abs(found.confidence_HW - expected.confidence_HW).max() > 0.01
    assert changed == (crf is None), "a CRF's probabilities are its own"


def test_calibrated_views_are_run_once():
    engine = CalibratedEngine(3.0)
    Predictor(engine, TestTimeAugmentation(flip=True))(picture_HW3(), confidence=True)
    assert len(engine.seen) == 2
