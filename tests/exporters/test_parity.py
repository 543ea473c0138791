"""What two engines' answers differ in, on engines whose answers are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from small_engine import SmallEngine
from tarsia.card import Card, Classes, Input
from tarsia.data._dataset import Sample
from tarsia.engines import resample
from tarsia.errors import DatasetError
from tarsia.evaluation.confusion import count, metrics
from tarsia.exporters.parity import ParityReport, Trial
from tarsia.exporters.parity import parity as every_parity
from tarsia.files import write_json
from tarsia.prediction.predictor import Predictor

CLASSES = Classes(names=("dark", "bright"), colors=((0, 0, 0), (0, 200, 0)))


def parity(before: Trial, after: Trial, dataset, images: int) -> ParityReport:
    (report,) = every_parity(before, [after], dataset, images)
    return report


class ThresholdEngine(SmallEngine):
    """Class 1 where a picture's red is above `threshold`; keeps the shapes it was shown."""

    def __init__(self, threshold: float, settings: Input | None = None) -> None:
        self.card = Card(architecture="threshold", model={}, classes=CLASSES, input=settings or Input(stride=8))
        self.threshold = threshold
        self.seen: list[tuple[int, ...]] = []

    def run(self, images_BHW3):
        self.seen.append(images_BHW3.shape)
        red_BHW = images_BHW3[..., 0].astype(np.float32)
        return np.stack([np.full_like(red_BHW, self.threshold), red_BHW], 1)

    def labels(self, scores_BKHW, size):
        return resample.labels(scores_BKHW, size)


class Ramps:
    """Pictures whose red is 0, 1, 2 ... along each row; the truth is bright from 100 on, the top row ignored."""

    classes = CLASSES

    def __init__(self, widths: tuple[int, ...] = (200, 90, 150, 180)) -> None:
        self.widths = widths
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.widths)

    def __getitem__(self, index: int) -> Sample:
        self.read.append(index)
        ramp_HW = np.tile(np.arange(self.widths[index], dtype=np.uint8), (5, 1))
        label_HW = (ramp_HW >= 100).astype(np.uint8)
        label_HW[0] = 255
        return Sample(np.repeat(ramp_HW[..., None], 3, 2), label_HW, f"ramp{index}")

    def name(self, index: int) -> str:
        return f"ramp{index}"


def side(threshold: float, settings: Input | None = None, **more: int) -> Trial:
    return Trial(f"at{threshold:g}", Predictor(ThresholdEngine(threshold, settings)), more.get("file_bytes", 1000))


def test_figures_by_hand():
    data, before, after = Ramps(), side(99.5), side(109.5, file_bytes=500)
    report = parity(before, after, data, images=10)
    whole = report.on_pictures
    assert data.read == [0, 1, 2, 3] and report.pictures == 4
    assert whole.pixels == 5 * sum(data.widths)
    assert whole.changed_pixels == 5 * 10 * 3  # red 100 .. 109, which the second picture does not have
    assert whole.largest_score_difference == 10 and report.largest_score == 199
    samples = [data[index] for index in range(4)]
    truth = [one.label for one in samples]
    labels = [(one.image[..., 0] > 109).astype(np.uint8) for one in samples]
    expected = metrics(sum(count(a, b, 2) for a, b in zip(truth, labels, strict=True)))
    found = report.to_json()
    assert found["miou"] == {"before": 1.0, "after": expected.miou, "difference": expected.miou - 1}
    assert [one["after"] for one in found["classes"]] == expected.iou_K.tolist()
    assert [one["file_bytes"] for one in found["engines"]] == [1000, 500]
    assert all(one["latency_seconds"] > 0 for one in found["engines"])
    assert report.changed_share == max(whole.share, report.at_sizes.share) == found["changed_share"]


def test_batches_and_sizes_besides_the_pictures():
    before, after = (side(99.5, Input(stride=4, size=(8, 12))) for _ in range(2))
    report = parity(before, after, Ramps(), images=2)
    seen = before.predictor.engine.seen
    assert seen == after.predictor.engine.seen
    assert seen[:2] == [(1, 8, 12, 3)] * 2  # as the card says; then whatever the network takes
    besides = [shape for shape in seen if shape != (1, 8, 12, 3)]
    assert {shape[0] for shape in besides} == {1, 3} and len({shape[1:3] for shape in besides}) >= 4
    assert (1, 4, 4, 3) in besides and not any(length % 4 for shape in besides for length in shape[1:3])
    assert report.at_sizes.pixels == sum(shape[0] * shape[1] * shape[2] for shape in besides)
    assert report.changed_share == 0


def test_chosen_pictures_are_evenly_spaced():
    data = Ramps(tuple(range(20, 31)))
    assert parity(side(1), side(1), data, images=3).pictures == 3
    assert data.read == [0, 5, 10]
    data = Ramps((40, 40, 40))
    parity(side(1), side(1), data, images=1)
    assert data.read == [0]


def test_scores_that_are_no_numbers_change_everything():
    assert parity(side(99.5), side(float("nan")), Ramps(), images=4).changed_share == 1.0
    assert parity(side(99.5), side(float("inf")), Ramps(), images=4).changed_share == 1.0


def test_the_picture_shows_those_with_the_most_changed_pixels(tmp_path):
    report = parity(side(99.5), side(109.5), Ramps((200, 90, 105, 180, 103)), images=9)
    assert [(one[0], one[1].name) for one in report.worst] == [(50, "ramp0"), (50, "ramp3"), (25, "ramp2")]
    drawn = report.picture()
    assert isinstance(drawn, Image.Image) and drawn.width > 4 * 180
    assert parity(side(99.5), side(99.6), Ramps(), images=9).picture() is None


def test_a_class_without_pixels_has_no_figure(tmp_path):
    report = parity(side(99.5), side(99.5), Ramps((50, 60)), images=9)
    write_json(tmp_path / "p.json", report.to_json())
    found = json.loads((tmp_path / "p.json").read_text())
    assert found["classes"][1]["before"] is None and found["miou"]["before"] == 1.0
    assert report.miou_loss == 0 and report.worst_class == ("dark", 0.0)


def test_other_classes_and_no_samples_are_refused():
    data = Ramps()
    data.classes = Classes(names=("dark", "light"), colors=CLASSES.colors)
    with pytest.raises(DatasetError, match="only the model has bright; only the data set has light"):
        parity(side(1), side(1), data, images=3)
    with pytest.raises(DatasetError, match="no samples"):
        parity(side(1), side(1), Ramps(()), images=3)
