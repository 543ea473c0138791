from __future__ import annotations

import itertools
import json
import re
import struct
import subprocess
import sys
import threading
import weakref
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from small_data import same_weights
from small_engine import SmallEngine
from tarsia import cli
from tarsia.card import IGNORED, Card, Classes, Input
from tarsia.data._dataset import Sample
from tarsia.data._part import Part
from tarsia.data._predictions import known_values, read_prediction
from tarsia.engines.model_file import read_card
from tarsia.errors import DatasetError, ImageError, MissingExtraError, RecipeError, ScoresError
from tarsia.evaluating import calibrate, counted, evaluate, evaluate_predictions
from tarsia.evaluation.confusion import count, metrics
from tarsia.evaluation.details import Details
from tarsia.evaluation.folder import table, tables
from tarsia.evaluation.report import Report, data_hash
from tarsia.prediction.crf import CrfSettings
from tarsia.prediction.predictor import Predictor, TestTimeAugmentation

CLASSES = Classes(names=("road", "sky", "car"), colors=((128, 64, 128), (70, 130, 180), (0, 0, 142)))


class Pictures:
    """Noise whose red channel is the class a `RedEngine` sees; a tenth of the labels say otherwise."""

    def __init__(self, sizes, classes=CLASSES, ignored=0.2):
        self.sizes, self.classes, self.ignored = sizes, classes, ignored

    def __len__(self):
        return len(self.sizes)

    def name(self, index):
        return f"picture{index}"

    def __getitem__(self, index):
        draw = np.random.default_rng(index)
        size = self.sizes[index]
        image = draw.integers(0, 256, (*size, 3), dtype=np.uint8)
        image[..., 0] = draw.integers(0, len(self.classes), size)
        label = image[..., 0].copy()
        wrong = draw.random(size) < 0.1
        label[wrong] = (label[wrong] + 1) % len(self.classes)
        label[draw.random(size) < self.ignored] = IGNORED
        return Sample(image, label, self.name(index), "night" if index % 2 else "day")


class RedEngine(SmallEngine):
    """A network of numpy: the score of class k is high where red is k."""

    def __init__(self, classes=CLASSES, settings=None):
        self.card = Card(architecture="red", model={}, classes=classes, input=settings or Input(stride=4))
        self.seen = []  # the shape of every batch

    def run(self, images_BHW3):
        self.seen.append(images_BHW3.shape)
        red = images_BHW3[..., 0][:, None]
        return (red == np.arange(len(self.card.classes))[:, None, None]).astype(np.float32)

    def probabilities(self, scores_BKHW, size):
        return np.stack([scores_BKHW], 0)[0] / scores_BKHW.sum(1, keepdims=True)


def expected_counts(dataset):
    samples = [dataset[index] for index in range(len(dataset))]
    return np.stack([count(sample.label, sample.image[..., 0], len(dataset.classes)) for sample in samples])


MIXED = [(8, 12), (8, 12), (8, 12), (9, 7), (8, 12), (8, 12)]


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_every_picture_is_counted_whatever_the_batch(batch):
    dataset, engine = Pictures(MIXED), RedEngine()
    report = evaluate(Predictor(engine), dataset, dataset_name="noise", split="val", batch=batch)
    assert np.array_equal(report.counts_NKK1, expected_counts(dataset))
    assert report.names == [f"picture{index}" for index in range(6)]
    assert report.domains == ["day", "night"] * 3
    assert report.metrics.miou == metrics(expected_counts(dataset).sum(0)).miou
    assert 0.7 < report.metrics.pixel_accuracy < 1
    assert len(engine.seen) == {1: 6, 2: 4, 8: 3}[batch]
    assert all(shape[1] % 4 == 0 and shape[2] % 4 == 0 for shape in engine.seen)


def test_protocol_says_what_was_done():
    dataset = Pictures(MIXED)
    report = evaluate(Predictor(RedEngine()), dataset, dataset_name="noise", split="val")
    protocol = report.protocol
    assert (protocol["dataset"], protocol["split"], protocol["images"]) == ("noise", "val", 6)
    assert protocol["data_hash"] == data_hash(dataset[index] for index in range(6))
    assert protocol["classes"] == ["road", "sky", "car"] and protocol["ignored_value"] == 255
    assert protocol["tta"] == "none" and protocol["post_process"] == "none" and "own size" in protocol["size"]
    assert protocol["network_input"] == "the picture's own size, padded to multiples of 4"
    assert {"created", "commit", "versions"} <= set(report.provenance) and report.provenance["versions"]["tarsia"]
    assert report.model["latency_seconds"] > 0 and report.model["architecture"] == "red"
    assert report.model["peak_memory_bytes"] is None or report.model["peak_memory_bytes"] > 2**20


def test_test_time_augmentation():
    dataset = Pictures([(8, 12), (8, 12)])
    report = evaluate(Predictor(RedEngine(), TestTimeAugmentation(flip=True)), dataset, batch=2)
    # The engine looks at single pixels, so that mirroring changes nothing.
    assert np.array_equal(report.counts_NKK1, expected_counts(dataset))
    assert "mirrored" in report.protocol["tta"] and "scales 1" in report.protocol["tta"]
    with pytest.raises(ValueError, match="observe"):
        evaluate(Predictor(RedEngine(), TestTimeAugmentation()), dataset, observe=lambda scores, truths: None)


def test_a_crf_is_part_of_the_protocol_and_of_the_labels():
    dataset, settings = Pictures(MIXED), CrfSettings(iterations=5, smoothness_weight=300)
    predictor = Predictor(RedEngine(), crf=settings)
    report = evaluate(predictor, dataset, batch=2)
    samples = [dataset[index] for index in range(len(dataset))]
    labels = [predictor(sample.image).label_HW for sample in samples]
    counts = [count(sample.label, label, 3) for sample, label in zip(samples, labels, strict=True)]
    assert np.array_equal(report.counts_NKK1, np.stack(counts))
    assert not np.array_equal(report.counts_NKK1, expected_counts(dataset))  # no single pixel withstands 300
    assert report.protocol["post_process"] == str(settings) and "smoothness weight 300" in str(settings)
    with pytest.raises(ValueError, match="observe"):
        evaluate(predictor, dataset, observe=lambda scores, truths: None)


def test_reports_from_before_the_crf_still_read(tmp_path):
    report = evaluate(Predictor(RedEngine()), Pictures(MIXED))
    assert report.protocol.pop("post_process") == "none"
    report.write(tmp_path)
    found = Report.read(tmp_path)
    assert "post_process" not in found.protocol and found.metrics.miou == report.metrics.miou
    assert rendered(table(found)) == rendered(table(report))


def test_the_crf_on_the_command_line(tmp_path, monkeypatch, capsys):
    from small_data import CLASSES as NAMES
    from small_data import write_folder

    data = f"folder:{write_folder(tmp_path / 'data', 1, 2, (16, 16))}"
    engine = RedEngine(Classes(names=NAMES, colors=((0, 0, 0), (9, 9, 9), (5, 5, 5))))
    engine.run = lambda images_BHW3: RedEngine.run(engine, images_BHW3 % 3)
    monkeypatch.setattr("tarsia.inference.load", lambda path, how: Predictor(engine, how.tta, how.crf))
    monkeypatch.setattr("tarsia.evaluating.write_folder", lambda folder, report, *_: report.write(folder))

    def run(*words):
        cli.app(["evaluate", *words, "--data", data, "--out", str(tmp_path / "out"), "--overwrite", "-q"])
        return Report.read(tmp_path / "out").protocol["post_process"], capsys.readouterr().out

    assert run("model")[0] == "none"
    found, printed = run("model", "--crf")
    assert found == str(CrfSettings()) and re.search(r"mIoU 0\.\d+ with the CRF; report", printed)
    assert run("model", "--crf", "iterations=3")[0] == str(CrfSettings(iterations=3))
    with pytest.raises(RecipeError, match="iteration: unknown key, did you mean iterations"):
        run("model", "--crf=iteration=3")
    with pytest.raises(RecipeError, match="--crf is for a MODEL"):
        run("--predictions", "theirs", "--crf")
    with pytest.raises(RecipeError, match=r"'photo.jpg' is not key=value"):
        cli.app(["predict", "model", "--crf", "photo.jpg"])


def test_observe_sees_scores_and_truths_and_may_stop():
    dataset, seen = Pictures(MIXED), []
    evaluate(Predictor(RedEngine()), dataset, batch=2, observe=lambda s, t: seen.append((s.shape, t)))
    assert [shape for shape, _ in seen] == [(2, 3, 8, 12), (1, 3, 8, 12), (1, 3, 9, 7), (2, 3, 8, 12)]
    truths = [truth for _, group in seen for truth in group]
    assert all(np.array_equal(truth, dataset[index].label) for index, truth in enumerate(truths))

    def stop(scores, truths):
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        evaluate(Predictor(RedEngine()), dataset, observe=stop)
    assert threading.active_count() == before


def test_counts_of_several_processes_add_up_to_those_of_one():
    """Three of them, by batches of two: of the six pictures of this split, and of one where the third has none."""
    for dataset in (Pictures(MIXED), Pictures(MIXED[:3])):
        parts = [Part.of(dataset, 2, rank, 3) for rank in range(3)]
        names = [[part.name(index) for index in range(len(part))] for part in parts]
        assert sorted(itertools.chain(*names)) == sorted(dataset.name(index) for index in range(len(dataset)))
        found = [counted(Predictor(RedEngine()), part, 2, lambda *_: None) for part in parts]
        assert np.array_equal(sum(found), expected_counts(dataset).sum(0)) and found[0].dtype == np.int64


class SoftEngine(RedEngine):
    """Three times as sure as it may be: of ten pixels it has one wrong."""

    def run(self, images_BHW3):
        return super().run(images_BHW3) * np.float32(3 * np.log(18))

    def probabilities(self, scores_BKHW, size):
        raised = np.exp(scores_BKHW)
        return raised / raised.sum(1, keepdims=True)


def expected_details(dataset, predictor):
    found = Details(len(dataset), len(dataset.classes))
    for index in range(len(dataset)):
        sample = dataset[index]
        prediction = predictor(sample.image, confidence=True)
        found.add(sample.label, prediction.label_HW, prediction.confidence_HW)
    return found.arrays()


def assert_same_details(found, expected):
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-6, err_msg=key)


@pytest.mark.parametrize("tta", [None, TestTimeAugmentation(flip=True)])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("batch", [1, 3])
def test_details_are_counted_picture_by_picture(batch, temperature, tta):
    dataset, predictor = Pictures(MIXED), Predictor(SoftEngine(), tta)
    predictor.temperature = temperature
    report = evaluate(predictor, dataset, batch=batch)
    assert_same_details(report.details, expected_details(dataset, predictor))
    labelled = report.counts_NKK1.sum((1, 2))
    assert np.array_equal(report.details["calibration"][..., 0].sum(1), labelled)
    assert np.bincount(report.details["objects"][:, 0], report.details["objects"][:, 2]).tolist() == labelled.tolist()
    right = np.diagonal(report.total_KK1).sum()
    assert report.details["calibration"][..., 2].sum() == report.details["objects"][:, 3].sum() == right


def test_a_network_without_finite_scores_is_refused():
    engine = SoftEngine()
    engine.probabilities = lambda scores, size: np.full_like(scores, np.nan)
    with pytest.raises(ScoresError, match="0: the model's probabilities of this picture are no numbers"):
        evaluate(Predictor(engine), Pictures(MIXED))


def a_model_file(folder, engine):
    """A small network's file with the classes of `engine`, whose scores stand in for the network's."""
    pytest.importorskip("torch")
    from tarsia import models
    from tarsia.engines.weights import save_model

    options = {"encoder": "test_resnet", "channels": [8]}
    engine.card = Card(architecture="unet", model=options, classes=engine.card.classes, input=Input(stride=32))
    network = models.create("unet", len(engine.card.classes), options=options)
    save_model(folder / "model.safetensors", network, engine.card)
    return folder / "model.safetensors"


def test_calibrating_writes_the_temperature_into_the_card_and_nothing_else(tmp_path, capsys):
    from tarsia.engines.weights import load_model

    dataset, engine = Pictures([(40, 50)] * 4), SoftEngine()
    path = a_model_file(tmp_path, engine)
    before = tmp_path / "before.safetensors"
    before.write_bytes(path.read_bytes())
    predictor = Predictor(engine)
    report, fitted = calibrate(tmp_path, dataset, predictor=predictor, dataset_name="noise", split="val")
    card = read_card(path)
    assert card.calibration == fitted and card.model_copy(update={"calibration": None}) == read_card(before)
    assert same_weights(path, before) and load_model(path)[1] == card
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["before.safetensors", "model.safetensors"]
    assert fitted.temperature == pytest.approx(3, rel=0.1)
    assert fitted.data_hash == report.protocol["data_hash"] and (fitted.dataset, fitted.split) == ("noise", "val")
    assert fitted.ece_after < 0.01 < 0.09 < fitted.ece_before == pytest.approx(report.detail_figures["ece"], abs=1e-3)
    assert "temperature" not in report.model

    mine = Predictor(engine).at_temperature(1.7)
    calibrate(path, dataset, predictor=mine)
    assert mine.temperature == 1.7, "the caller's predictor is not touched"

    engine.card = card
    others = Pictures([(41, 50)] * 4)
    judged, plain = evaluate(Predictor(engine), others), evaluate(Predictor(SoftEngine()), others)
    assert np.array_equal(judged.counts_NKK1, plain.counts_NKK1), "labels are what they were"
    assert judged.detail_figures["ece"] < 0.02 < 0.09 < plain.detail_figures["ece"]
    assert judged.model["temperature"] == fitted.temperature and judged.model["calibrated_on"] == "noise val"
    assert "very pictures" not in capsys.readouterr().err
    evaluate(Predictor(engine), dataset)
    assert "fitted on these very pictures" in capsys.readouterr().err

    again = calibrate(path, others, predictor=Predictor(engine), split="train")[1]
    assert read_card(path).calibration == again and again.pixels != 0 and again.split == "train"
    assert again.temperature == pytest.approx(3, rel=0.1), "of the scores, not of what the first one left"
    assert "calibrate on another" in capsys.readouterr().err


def test_a_calibration_that_fails_leaves_the_file_as_it_was(tmp_path):
    engine = SoftEngine()
    path = a_model_file(tmp_path, engine)
    content = path.read_bytes()
    right = Pictures(MIXED, ignored=1.0)
    with pytest.raises(DatasetError, match="no labelled pixels"):
        calibrate(path, right, predictor=Predictor(engine))
    for predictor in (Predictor(engine, TestTimeAugmentation()), Predictor(engine, crf=CrfSettings())):
        with pytest.raises(RecipeError, match="leave out test-time augmentation and CRF"):
            calibrate(path, Pictures(MIXED), predictor=predictor)
    assert path.read_bytes() == content
    exported = path.rename(tmp_path / "model.onnx")
    with pytest.raises(RecipeError, match=r"model\.onnx: calibrate the \.safetensors model"):
        calibrate(exported, Pictures(MIXED), predictor=Predictor(engine))


def test_calibrate_on_the_command_line(tmp_path, monkeypatch, capsys):
    engine = SoftEngine()
    path = a_model_file(tmp_path, engine)
    monkeypatch.setattr("tarsia.inference.load", lambda path, how: Predictor(engine, how.tta, how.crf))
    monkeypatch.setattr("tarsia.data.open_spec", lambda spec, **_: Pictures(MIXED))

    def run(*words):
        cli.app(["evaluate", *words, "--data", "streets", "--out", str(tmp_path / "out"), "--overwrite"])
        return capsys.readouterr().out

    printed = run(str(path), "--calibrate")
    fitted = read_card(path).calibration
    assert fitted.dataset == "streets" and fitted.split == "val" and 300 < fitted.pixels < 600
    assert f"Temperature {fitted.temperature:g} is in {path}: ECE {fitted.ece_before:.4f} without it" in printed
    cli.app(["info", str(path)])
    assert f"temperature: {fitted.temperature}" in capsys.readouterr().out
    with pytest.raises(RecipeError, match="--calibrate is for a MODEL"):
        run("--predictions", "theirs", "--calibrate")
    with pytest.raises(RecipeError, match="leave out test-time augmentation and CRF"):
        run(str(path), "--calibrate", "--tta", "flip")


def test_a_split_without_labels_has_no_score():
    with pytest.raises(DatasetError, match="no labelled pixels: those of all 2 pictures are ignored"):
        evaluate(Predictor(RedEngine()), Pictures([(8, 8), (5, 5)], ignored=1.0))


def test_one_class_has_no_score(tmp_path):
    """Whatever is predicted, its IoU would be 1."""
    engine, pictures = RedEngine(), Pictures([(8, 8)])
    only = Classes(names=("defect",), colors=((1, 2, 3),))
    engine.card = engine.card.model_copy(update={"classes": only})
    pictures.classes = only
    for score in (
        lambda: evaluate(Predictor(engine), pictures),
        lambda: evaluate_predictions(written(tmp_path, pictures), pictures),
    ):
        with pytest.raises(DatasetError, match=r"one class .*classes: \[background, defect\]"):
            score()


def written(folder, pictures):
    """Their labels as the predictions of another system."""
    for index in range(len(pictures)):
        Image.fromarray(pictures[index].label).save(folder / f"{pictures.name(index)}.png")
    return folder


def test_a_report_of_nothing_has_no_figures(tmp_path):
    """As of earlier versions, which scored pictures without labels too."""
    report = evaluate(Predictor(RedEngine()), Pictures([(8, 8), (5, 5)]))
    report = replace(report, counts_NKK1=np.zeros_like(report.counts_NKK1))
    assert not report.counts_NKK1.any() and np.isnan(report.metrics.miou) and report.worst(5) == []
    report.write(tmp_path)
    assert Report.read(tmp_path).protocol == report.protocol
    assert "-" in rendered(table(report))


def test_memory_holds_few_pictures():
    pictures, alive = [], []

    class Watched(Pictures):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            pictures.append(weakref.ref(sample.image))
            return sample

    def look(scores, truths):
        alive.append(sum(picture() is not None for picture in pictures))

    evaluate(Predictor(RedEngine()), Watched([(8, 8)] * 60), batch=2, observe=look)
    assert len(pictures) == 60 and len(alive) == 30
    assert max(alive) <= 10, "pictures of a batch, and those read ahead, no more"


def test_other_classes_are_an_error_that_says_which():
    def differing(*names):
        other = Classes(names=names, colors=tuple((k, k, k) for k in range(len(names))))
        with pytest.raises(DatasetError) as caught:
            evaluate(Predictor(RedEngine()), Pictures(MIXED, other))
        return str(caught.value)

    assert "only the data set has tree" in differing("road", "sky", "car", "tree")
    assert "the model has 3 classes, the data set 2; only the model has car" in differing("road", "sky")
    assert "class 0 is road in the model and sky in the data set" in differing("sky", "road", "car")


def test_broken_samples_and_empty_splits_are_errors():
    class Broken(Pictures):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            if index == 3:
                sample.label[0, 0] = 77
            return sample

    with pytest.raises(DatasetError, match="picture3: label value 77"):
        evaluate(Predictor(RedEngine()), Broken(MIXED))
    with pytest.raises(DatasetError, match="no samples"):
        evaluate(Predictor(RedEngine()), Pictures([]))


def test_report_folder(tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    out, dataset = tmp_path / "report", Pictures([(24, 32)] * 9)
    (out / "pictures").mkdir(parents=True)
    (out / "pictures" / "worst-01-old.png").write_bytes(b"of an earlier run")
    report = evaluate(Predictor(RedEngine()), dataset, dataset_name="noise", split="val", out=out, pictures=5)
    assert {path.name for path in out.iterdir()} == {
        "report.json",
        "counts.npz",
        "confusion.png",
        "details.png",
        "pictures",
        "report.html",
    }
    assert np.array_equal(Report.read(out).counts_NKK1, report.counts_NKK1)
    drawn = sorted(path.name for path in (out / "pictures").iterdir())
    worst = [f"worst-{place:02d}-picture{index}.png" for place, index in enumerate(report.worst(3), 1)]
    assert [name for name in drawn if name.startswith("worst")] == worst
    assert 1 <= len(drawn) - 3 <= 2 and all(Image.open(out / "pictures" / name).size[0] > 64 for name in drawn)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "data:image/png;base64" in page and "picture" in page
    assert json.loads((out / "report.json").read_text(encoding="utf-8"))["miou"] == report.metrics.miou


def test_names_become_safe_file_names(tmp_path, monkeypatch):
    without_extras(monkeypatch)

    class City(Pictures):
        def name(self, index):
            return f"../aachen/straße {index}"

    evaluate(Predictor(RedEngine()), City([(8, 8)]), out=tmp_path / "out", pictures=1)
    assert [path.name for path in (tmp_path / "out" / "pictures").iterdir()] == ["worst-01-.._aachen_straße_0.png"]


def without_extras(monkeypatch):
    def missing(*args, **kwargs):
        raise MissingExtraError("drawing", "report")

    monkeypatch.setitem(
        sys.modules, "tarsia.evaluation.plots", SimpleNamespace(save_confusion=missing, save_details=missing)
    )
    monkeypatch.setitem(sys.modules, "tarsia.evaluation.page", SimpleNamespace(write_page=missing))


def test_without_the_report_extra_the_json_is_there_and_what_is_missing_is_said(tmp_path, monkeypatch, capsys):
    without_extras(monkeypatch)
    evaluate(Predictor(RedEngine()), Pictures(MIXED), out=tmp_path, pictures=0)
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "counts.npz"}
    said = capsys.readouterr().err
    assert "confusion.png is left out" in said and "report.html is left out" in said and "extra `report`" in said


def rendered(shown, width=100):
    console = Console(width=width, file=None)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


def test_table_shows_classes_and_means():
    report = evaluate(Predictor(RedEngine()), Pictures(MIXED))
    text, figures = rendered(table(report)), report.metrics
    for name, iou in zip(CLASSES.names, figures.iou_K, strict=True):
        line = next(line for line in text.splitlines() if name in line)
        assert f"{iou:.4f}" in line
    means = (figures.miou, figures.mpa, figures.dice, figures.pixel_accuracy, figures.fwiou)
    for value in (*means, *report.detail_figures.values()):
        assert ("-" if np.isnan(value) else f"{value:.4f}") in text
    assert "boundary IoU 0." in text and "objects found: small" in text
    assert "6 images" in text


def test_conditions_stand_below_the_classes_within_a_narrow_terminal():
    report = evaluate(Predictor(RedEngine()), Pictures(MIXED))
    report.domains = ["night"] * 6
    assert rendered(tables(report)) == rendered(table(report))
    report.domains = ["dawn", "winter-night", "dawn", "", "winter-night", "dawn"]
    text = rendered(tables(report), 80)
    assert all(len(line) <= 80 for line in text.splitlines()) and "By condition" in text
    for one in report.domain_lines:
        (line,) = [line for line in text.splitlines() if one["name"] in line]
        figures = [f"{one[key]:.4f}" for key in ("miou", "mpa", "pixel_accuracy")]
        assert line.replace("│", " ").split()[-5:] == [str(one["images"]), str(one["classes"]), *figures]
    assert [one["images"] for one in report.domain_lines] == [3, 2, 1]
    report.domains, report.counts_NKK1 = [str(k) for k in range(40)], np.ones((40, *report.total_KK1.shape), np.uint32)
    assert "10 more: report.json" in rendered(tables(report), 80)


def save_predictions(folder, dataset, change=lambda index, label: label):
    folder.mkdir(exist_ok=True)
    for index in range(len(dataset)):
        label = change(index, dataset[index].image[..., 0].copy())
        Image.fromarray(label).save(folder / f"{dataset.name(index)}.png")
    return folder


def test_predictions_of_others(tmp_path):
    dataset = Pictures(MIXED)
    report = evaluate_predictions(save_predictions(tmp_path, dataset), dataset, dataset_name="noise", split="val")
    assert np.array_equal(report.counts_NKK1, expected_counts(dataset)) and report.model is None
    assert report.protocol["predicted_as_ignored"] == [255] and "files" in report.protocol["network_input"]
    details = expected_details(dataset, Predictor(RedEngine()))
    del details["calibration"]
    assert_same_details(report.details, details)
    assert "ECE" not in rendered(table(report)) and "ece" not in report.to_json()["details"]


def test_palette_predictions_are_read_by_index(tmp_path):
    dataset = Pictures([(8, 8)])
    picture = Image.fromarray(dataset[0].image[..., 0].copy())
    picture.putpalette([250, 1, 2, 3, 4, 5, 6, 7, 8])
    assert picture.mode == "P"
    picture.save(tmp_path / "picture0.png")
    assert np.array_equal(evaluate_predictions(tmp_path, dataset).counts_NKK1, expected_counts(dataset))


def test_void_predictions_count_as_wrong(tmp_path):
    dataset = Pictures([(8, 8)], ignored=0.0)

    def voided(index, label):
        label[0, :4], label[1, :4] = 3, 255
        return label

    folder = save_predictions(tmp_path, dataset, voided)
    with pytest.raises(DatasetError, match=r"picture0\.png: value 3 .*`ignored_values=\[3\]`"):
        evaluate_predictions(folder, dataset)
    report = evaluate_predictions(folder, dataset, ignored_values=(3,))
    assert report.total_KK1[:, -1].sum() == 8 and report.total_KK1.sum() == 64
    assert "12.50 % of the labelled pixels were predicted as ignored" in " ".join(rendered(table(report)).split())
    for value in (1, -1, 256):
        with pytest.raises(DatasetError, match=rf"`ignored_values=\[{value}\]`"):
            evaluate_predictions(folder, dataset, ignored_values=(value,))


OWN = "classes: {field: 1, town: 2, water: 3, rare: 4}\nignore: [0]\n"


def coded(root: Path, yaml: str, values: np.ndarray, predicted: np.ndarray | None = None) -> Path:
    """A data set of one picture with these label values, and predictions (the same) in `pred`."""
    for folder in ("images", "labels", "pred"):
        (root / folder).mkdir(exist_ok=True)
    Image.fromarray(np.zeros((*values.shape[:2], 3), np.uint8)).save(root / "images/a.png")
    Image.fromarray(values).save(root / "labels/a.png")
    Image.fromarray(values if predicted is None else predicted).save(root / "pred/a.png")
    (root / "dataset.yaml").write_text(yaml)
    return root / "pred"


def test_predictions_in_the_data_set_s_own_values_are_refused_or_scored_right(tmp_path):
    values = np.array([[1, 1, 2, 2, 3, 3, 0, 0]] * 8, np.uint8)
    folder, spec = coded(tmp_path, OWN, values), f"folder:{tmp_path},split=all"
    refused = r"as class numbers 0 pixels are right, .*own labels 48\..*1 is field, 2 is town, .*`coding='data'`; `cod"
    with pytest.raises(DatasetError, match=refused):
        evaluate_predictions(folder, spec)
    assert evaluate_predictions(folder, spec, coding="data").metrics.miou == 1.0
    assert evaluate_predictions(folder, spec, coding="classes").metrics.miou == 0.0
    coded(tmp_path, OWN, values + np.uint8(1))
    with pytest.raises(DatasetError, match=r"value 4 is neither a class .*`coding='data'`"):
        evaluate_predictions(folder, spec)
    coded(tmp_path, OWN, values, np.maximum(values, 1) - np.uint8(1))  # class numbers need no word
    assert evaluate_predictions(folder, spec).metrics.miou == 1.0


def test_predictions_in_the_data_set_s_own_colours(tmp_path):
    colors = np.array([[[255, 0, 0]] * 4 + [[0, 0, 255]] * 4] * 8, np.uint8)
    folder = coded(tmp_path, "classes: {red: '#ff0000', blue: '#0000ff'}\n", colors)
    with pytest.raises(ImageError, match=r"mode RGB.*\[255, 0, 0\] is red, .*`coding='data'`"):
        evaluate_predictions(folder, f"folder:{tmp_path},split=all")
    assert evaluate_predictions(folder, f"folder:{tmp_path},split=all", coding="data").metrics.miou == 1.0
    with pytest.raises(DatasetError, match="this data set draws them"):
        evaluate_predictions(save_predictions(tmp_path, Pictures([(8, 8)])), Pictures([(8, 8)]), coding="data")


def test_missing_and_surplus_predictions(tmp_path, capsys):
    dataset = Pictures([(4, 4)] * 9)
    with pytest.raises(DatasetError, match="no such folder"):
        evaluate_predictions(tmp_path / "nowhere", dataset)
    folder = save_predictions(tmp_path, dataset)
    for index in (1, 4):
        (folder / f"picture{index}.png").unlink()
    with pytest.raises(DatasetError, match=r"2 of 9 predictions are missing: picture1\.png, picture4\.png;"):
        evaluate_predictions(folder, dataset)
    for index in (2, 3, 5, 6):
        (folder / f"picture{index}.png").unlink()
    with pytest.raises(DatasetError, match=r"6 of 9 .*picture5\.png and 1 more"):
        evaluate_predictions(folder, dataset)
    save_predictions(folder, Pictures([(4, 4)] * 10))
    assert len(evaluate_predictions(folder, dataset).names) == 9
    assert "1 more PNGs" in capsys.readouterr().err


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_predictions_of_few_bits_are_read_as_stored(bits, tmp_path):
    """Pillow shows a grey file of 4 bits with 17 for 1, which is a class too where there are many."""
    dataset = Pictures([(4, 6)])
    values_HW = np.array([[0, 1, 2, 3, 0, 1]] * 4, np.uint8)
    rows = np.packbits((values_HW[..., None] >> np.arange(bits - 1, -1, -1)).reshape(4, -1) & 1, axis=1)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 6, 4, bits, 0, 0, 0, 0))
    content = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    path = tmp_path / "picture0.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", content) + chunk(b"IEND", b""))
    numbers = range(60)
    classes = Classes(names=tuple(f"c{number}" for number in numbers), colors=tuple((n, 0, 0) for n in numbers))
    sample = dataset[0]._replace(label=values_HW)
    found = read_prediction(path, sample, known_values(classes, ()), classes)
    np.testing.assert_array_equal(found, values_HW)


def test_predictions_that_are_no_label_maps(tmp_path):
    dataset = Pictures([(4, 6)])
    Image.new("L", (6, 5)).save(tmp_path / "picture0.png")
    with pytest.raises(DatasetError, match=r"picture0\.png: the prediction is 5x6 but the label 4x6"):
        evaluate_predictions(tmp_path, dataset)
    Image.new("RGB", (6, 4)).save(tmp_path / "picture0.png")
    with pytest.raises(ImageError, match="mode RGB, expected an index PNG"):
        evaluate_predictions(tmp_path, dataset)
    (tmp_path / "picture0.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    with pytest.raises(ImageError, match=r"picture0\.png: cannot be read"):
        evaluate_predictions(tmp_path, dataset)
    Image.new("L", (6, 4)).save(tmp_path / "picture0.png")
    whole = (tmp_path / "picture0.png").read_bytes()
    (tmp_path / "picture0.png").write_bytes(whole[:-20])
    with pytest.raises(ImageError, match=r"picture0\.png: cannot be read"):
        evaluate_predictions(tmp_path, dataset)


CAMVID = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign_symbol",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)


class CamVidVal:
    """The label folders of CamVid's val split, read here in the plainest way."""

    classes = Classes(names=CAMVID, colors=tuple((k, k, k) for k in range(11)))

    def __init__(self, root):
        self.paths = sorted((root / "valannot").glob("*.png"))

    def __len__(self):
        return len(self.paths)

    def name(self, index):
        return self.paths[index].stem

    def __getitem__(self, index):
        label = np.array(Image.open(self.paths[index]))
        label[label == 11] = IGNORED
        return Sample(np.zeros((*label.shape, 3), np.uint8), label, self.name(index))


@pytest.mark.shared
def test_predictions_of_a_real_network_give_its_published_scores(shared):
    folder, camvid = shared / "data/samples/camvid_val_predictions", shared / "data/camvid"
    if not folder.is_dir() or not camvid.is_dir():
        pytest.skip("no CamVid predictions in the shared folder")
    truth = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    report = evaluate_predictions(folder / "pred", CamVidVal(camvid), ignored_values=(11,))
    matrix = np.array(truth["confusion_rows_gt_cols_pred_12x12"])
    assert np.array_equal(report.total_KK1, matrix[:11])
    figures = report.metrics
    assert figures.miou == pytest.approx(truth["mIoU_11"], abs=1e-12) and round(figures.miou, 4) == 0.7002
    assert figures.pixel_accuracy == pytest.approx(truth["pixel_accuracy"], abs=1e-12)
    assert figures.mpa == pytest.approx(truth["mean_class_accuracy"], abs=1e-12)
    assert figures.fwiou == pytest.approx(truth["freq_weighted_iou"], abs=1e-12)
    assert dict(zip(CAMVID, figures.iou_K, strict=True)) == pytest.approx(truth["iou"], abs=1e-12)
    assert dict(zip(CAMVID, figures.dice_K, strict=True)) == pytest.approx(truth["dice"], abs=1e-12)
    with pytest.raises(DatasetError, match=r"`ignored_values=\[11\]`"):
        evaluate_predictions(folder / "pred", CamVidVal(camvid))


def test_nothing_here_needs_torch():
    code = "import sys, tarsia.evaluating; print(sorted({'torch', 'matplotlib', 'jinja2'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_tiles_are_refused_where_whole_pictures_are_taken():
    warm = pytest.importorskip("tarsia.service.service").warm
    tiled = Predictor(RedEngine()).in_tiles(16)
    with pytest.raises(RecipeError, match="evaluate takes whole pictures"):
        evaluate(tiled, Pictures(MIXED))
    with pytest.raises(RecipeError, match="serve takes whole pictures"):
        warm("red", tiled)


def test_a_choice_has_a_name(tmp_path):
    from tarsia.inference import load

    with pytest.raises(RecipeError, match="'cpu' in the place of an Inference: give what is chosen by name"):
        load(tmp_path / "model.safetensors", "cpu")
