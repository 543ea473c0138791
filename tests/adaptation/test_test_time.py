"""Test-time adaptation: both pictures are segmented, and fused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from small_engine import SmallEngine
from tarsia.adaptation.test_time import open_style
from tarsia.card import Calibration, Card, Classes, Input
from tarsia.errors import DatasetError, ModelFileError, RecipeError
from tarsia.evaluating import evaluate
from tarsia.prediction.crf import CrfSettings
from tarsia.prediction.predictor import Predictor, TestTimeAugmentation
from tarsia.prediction.style import Style, fuse

CLASSES = Classes(names=("red", "green", "blue"), colors=((255, 0, 0), (0, 255, 0), (0, 0, 255)))
FITTED = Calibration(
    temperature=2, dataset="d", split="s", data_hash="h", pixels=1, nll_before=1, nll_after=1, ece_before=1, ece_after=1
)


class Colors(SmallEngine):
    """An engine whose scores are the picture's colours."""

    def __init__(self, calibration: Calibration | None = None) -> None:
        kept = {"classes": CLASSES, "input": Input(stride=4), "calibration": calibration}
        self.card = Card(architecture="colors", model={}, **kept)
        self.runs = 0

    def run(self, images_BHWC: np.ndarray) -> np.ndarray:
        self.runs += 1
        return images_BHWC.transpose(0, 3, 1, 2).astype(np.float32) / 64

    def labels(self, scores_BKHW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return scores_BKHW.argmax(1).astype(np.uint8)

    def probabilities(self, scores_BKHW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return super().probabilities(scores_BKHW, scores_BKHW.shape[2:])


def brighter(images_BHW3: np.ndarray) -> np.ndarray:
    """Another style: channels swapped and lighter."""
    return (images_BHW3[..., ::-1] // 2 + 100).astype(np.uint8)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 9, 14, 3), np.uint8)


@pytest.mark.parametrize("tta", [None, TestTimeAugmentation(flip=True, scales=(1.0,))])
def test_fuses_what_the_predictor_says_of_both(tta: TestTimeAugmentation | None, images: np.ndarray) -> None:
    plain = Predictor(Colors(), tta)
    styled = Predictor(plain.engine, tta, style=Style(brighter))
    wanted = fuse(plain.probabilities(images), plain.probabilities(brighter(images)))
    assert np.allclose(styled.probabilities(images), wanted)
    assert (styled.labels(images) == wanted.argmax(1)).all()
    label_BHW, confidence_BHW = styled.labels_and_confidence(images)
    assert (label_BHW == wanted.argmax(1)).all() and np.allclose(confidence_BHW, wanted.max(1))
    assert (styled(images[0]).label_HW == label_BHW[0]).all()


def test_without_fusion_the_restyled_picture_alone_counts(images: np.ndarray) -> None:
    engine = Colors()
    styled = Predictor(engine, style=Style(brighter, fuse=False))
    assert (styled.labels(images) == Predictor(Colors()).labels(brighter(images))).all()
    assert engine.runs == 1


def test_a_style_that_changes_nothing_changes_nothing(images: np.ndarray) -> None:
    plain = Predictor(Colors())
    styled = Predictor(plain.engine, style=Style(lambda images: images))
    assert (styled.labels(images) == plain.labels(images)).all()
    assert np.allclose(styled.probabilities(images), plain.probabilities(images), atol=1e-6)


def test_temperature_changes_confidence_and_no_label(images: np.ndarray) -> None:
    cold, warm = (Predictor(Colors(given), style=Style(brighter)) for given in (None, FITTED))
    (label, sure), (same, calmer) = (one.labels_and_confidence(images) for one in (cold, warm))
    assert (label == same).all() and calmer.mean() < sure.mean()


def test_crf_refines_the_fused_map(images: np.ndarray) -> None:
    styled = Predictor(Colors(), crf=CrfSettings(iterations=1), style=Style(brighter))
    assert styled.labels(images).shape == (2, 9, 14) and styled.card.classes == CLASSES


def test_is_evaluated_like_any_other(images: np.ndarray) -> None:
    from tarsia.data import Sample

    styled = Predictor(Colors(), style=Style(brighter))

    class Own:
        classes = CLASSES

        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Sample:
            return Sample(images[index], styled.labels(images[index : index + 1])[0], self.name(index))

        def name(self, index: int) -> str:
            return f"{index}"

    assert evaluate(styled, Own(), batch=2).metrics.miou == 1


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    for index in range(2):
        Image.fromarray(np.full((9, 7, 3), 100 + 50 * index, np.uint8)).save(tmp_path / f"{index}.png")
    return tmp_path


def test_histogram_needs_no_file(reference: Path, images: np.ndarray) -> None:
    style = open_style(Colors(), "histogram", str(reference))
    assert "histogram" in style.described and set(np.unique(style.restyle(images))) == {100, 150}
    assert Predictor(Colors(), style=style).labels(images).shape == (2, 9, 14)


def test_style_and_reference_go_together(reference: Path, tmp_path: Path) -> None:
    engine = Colors()
    for given in (("histogram", None), (None, str(reference))):
        with pytest.raises(RecipeError, match="go together"):
            open_style(engine, *given)
    with pytest.raises(ModelFileError, match="no such style file"):
        open_style(engine, str(tmp_path / "style.safetensors"), str(reference))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no pictures"):
        open_style(engine, "histogram", str(tmp_path / "empty"))


def test_load_says_whether_the_picture_as_it_is_counts_too(reference: Path, images: np.ndarray, tmp_path: Path) -> None:
    from small_onnx import content
    from tarsia.inference import load

    (tmp_path / "m.onnx").write_bytes(content())
    alone, both = (
        load(tmp_path / "m.onnx", style="histogram", reference=str(reference), fuse=fuse) for fuse in (False, True)
    )
    assert alone.style is not None and both.style is not None
    assert "in place of" in alone.style.described and "fused with" in both.style.described
    assert not np.allclose(alone.probabilities(images), both.probabilities(images))
