from __future__ import annotations

import json
import math

import numpy as np
import pytest

from made_maps import random_map
from tarsia.card import Classes
from tarsia.data._dataset import Sample
from tarsia.errors import DatasetError
from tarsia.evaluation.confusion import metrics
from tarsia.evaluation.details import KEYS, Details, figures
from tarsia.evaluation.report import Report, data_hash


def test_data_hash_sees_order_names_sizes_and_labels_but_no_pictures():
    def samples(names="ab", value=0, shape=(2, 3), picture=0):
        return [Sample(np.full((*shape, 3), picture, np.uint8), np.full(shape, value, np.uint8), n) for n in names]

    same = data_hash(samples())
    assert len(same) == 64 and same == data_hash(samples(picture=9))
    changed = [samples("ba"), samples("ac"), samples(value=1), samples(shape=(3, 2)), samples("a"), samples("abc")]
    assert same not in {data_hash(list_) for list_ in changed}
    # Labels that are not contiguous in memory are the same labels.
    label = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image = np.zeros((4, 3, 3), np.uint8)
    assert data_hash([Sample(image, label.T, "x")]) == data_hash([Sample(image, label.T.copy(), "x")])


CLASSES = Classes(names=("road", "sky"), colors=((1, 2, 3), (4, 5, 6)))


def a_report():
    counts = np.zeros((4, 2, 3), np.uint32)
    counts[0] = [[8, 2, 0], [0, 10, 0]]
    counts[1] = [[1, 9, 0], [5, 5, 0]]
    counts[3] = [[5, 0, 0], [0, 0, 5]]  # picture 2 has no labelled pixel
    names = ["a", "b", "leer ☃", "d"]
    return Report(
        CLASSES,
        names,
        ["", "night", "", "rain"],
        ["", "", "a", "a"],
        counts,
        {"images": 4},
        {"parameters": 7},
        {"tarsia": "0"},
    )


def a_report_with_details():
    draw, report, counts = np.random.default_rng(0), a_report(), Details(4, 2)
    for _ in report.names:
        truth, predicted = random_map(draw, 2, (20, 20)), random_map(draw, 2, (20, 20), ignored=0)
        counts.add(truth, predicted, draw.random(truth.shape, dtype=np.float32))
    report.details = counts.arrays()
    return report


def test_report_round_trip(tmp_path):
    report = a_report()
    report.write(tmp_path / "new")
    for path in (tmp_path / "new", tmp_path / "new" / "report.json"):
        read = Report.read(path)
        assert np.array_equal(read.counts_NKK1, report.counts_NKK1) and read.counts_NKK1.dtype == np.uint32
        for key in ("classes", "names", "domains", "sequences", "protocol", "model", "provenance"):
            assert getattr(read, key) == getattr(report, key), key
        assert read.to_json() == report.to_json()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["counts.npz", "report.json"]


def test_report_json(tmp_path):
    report = a_report()
    report.write(tmp_path)
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert found["format"] == 1 and found["images"] == 4
    assert found["miou"] == report.metrics.miou == metrics(report.counts_NKK1.sum(0)).miou
    assert found["classes"][0] == {
        "name": "road",
        "color": [1, 2, 3],
        "iou": 14 / 30,
        "accuracy": 14 / 25,
        "dice": 28 / 44,
        "truth_pixels": 25,
        "predicted_pixels": 19,
    }
    worst = found["worst_images"]
    assert [line["name"] for line in worst] == ["b", "d", "a"]
    assert worst[0] == {"name": "b", "miou": (1 / 15 + 5 / 19) / 2, "pixel_accuracy": 0.3, "domain": "night"}


def test_conditions_each_have_a_line_of_their_own_pictures():
    report = a_report()
    night, rain = metrics(report.counts_NKK1[1]), metrics(report.counts_NKK1[3])
    first = metrics(report.counts_NKK1[0])  # and a picture without labelled pixels
    assert report.domain_lines == report.to_json()["domains"]
    expected = {"(no domain)": (2, first), "night": (1, night), "rain": (1, rain)}
    assert report.domain_lines == [
        {"name": name, "images": images, "classes": 2}
        | {"miou": one.miou, "mpa": one.mpa, "pixel_accuracy": one.pixel_accuracy}
        for name, (images, one) in expected.items()
    ]
    report.domains = ["night"] * 4
    assert report.domain_lines == []


def test_details_round_trip_and_reports_without_them_read(tmp_path):
    report = a_report_with_details()
    report.write(tmp_path / "new")
    read = Report.read(tmp_path / "new")
    assert read.details.keys() == report.details.keys() == set(KEYS)
    for key, values in report.details.items():
        assert np.array_equal(read.details[key], values) and read.details[key].dtype == values.dtype
    assert read.detail_figures == report.detail_figures == figures(report.details, 2)
    assert 0 < read.detail_figures["boundary_f1"] < 1
    found = json.loads((tmp_path / "new" / "report.json").read_text(encoding="utf-8"))["details"]
    assert {key: found[key] for key in report.detail_figures} == pytest.approx(report.detail_figures)
    assert sum(found["objects"].values()) == len(report.details["objects"]) and len(found["reliability"]) == 15
    a_report().write(tmp_path / "old")
    content = json.loads((tmp_path / "old" / "report.json").read_text(encoding="utf-8"))
    assert content.pop("details") == {}
    (tmp_path / "old" / "report.json").write_text(json.dumps(content), encoding="utf-8")
    assert Report.read(tmp_path / "old").details == Report.read(tmp_path / "old").detail_figures == {}


def test_details_of_other_pictures_are_refused(tmp_path):
    report = a_report_with_details()
    report.details["boundary_f1"] = report.details["boundary_f1"][:3]
    report.write(tmp_path)
    with pytest.raises(DatasetError, match=r"counts\.npz: boundary_f1 is int64 \(3, 4, 2\), expected 4 x 4 x 2"):
        Report.read(tmp_path)


def test_figures_that_are_not_defined_are_null(tmp_path):
    report = a_report()
    report.counts_NKK1[:] = 0
    report.write(tmp_path)
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert found["miou"] is None and found["classes"][0]["iou"] is None and found["worst_images"] == []
    assert math.isnan(Report.read(tmp_path).metrics.miou)


def test_worst_ranks_only_pictures_with_labels():
    report = a_report()
    assert report.worst(2) == [1, 3] and report.worst(9) == [1, 3, 0] and report.worst(0) == []


def test_report_of_no_pictures_round_trips(tmp_path):
    report = Report(CLASSES, [], [], [], np.zeros((0, 2, 3), np.uint32), {}, None, {})
    report.write(tmp_path)
    assert Report.read(tmp_path).names == [] and Report.read(tmp_path).model is None


def test_reports_that_are_not_sound_are_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"report\.json: not there"):
        Report.read(tmp_path)
    report = a_report()
    report.write(tmp_path)
    counts, text = (tmp_path / "counts.npz").read_bytes(), (tmp_path / "report.json").read_text(encoding="utf-8")
    for damage in (b"", counts[:50], counts[: len(counts) // 2], b"no archive at all"):
        (tmp_path / "counts.npz").write_bytes(damage)
        with pytest.raises(DatasetError, match="not a sound report"):
            Report.read(tmp_path)
    (tmp_path / "counts.npz").unlink()
    with pytest.raises(DatasetError, match=r"counts\.npz: not there"):
        Report.read(tmp_path)
    other = a_report()
    other.counts_NKK1[0] = 1
    other.write(tmp_path)
    (tmp_path / "report.json").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match="of another evaluation"):
        Report.read(tmp_path)
    (tmp_path / "counts.npz").write_bytes(counts)
    assert Report.read(tmp_path).names == report.names
    for wrong in (text.replace('"format": 1', '"format": 2'), "[]", "{}", "{", text.replace('"sky"', '"road"')):
        (tmp_path / "report.json").write_text(wrong, encoding="utf-8")
        with pytest.raises(DatasetError, match=r"report\.json"):
            Report.read(tmp_path)
    np.savez(tmp_path / "counts.npz", counts=np.zeros((4, 3, 4), np.uint32), names=report.names, domains=[""] * 4)
    (tmp_path / "report.json").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=r"\(4, 3, 4\), expected \(4, 2, 3\)"):
        Report.read(tmp_path)


def test_counts_hold_no_pickle(tmp_path):
    report = a_report()
    report.write(tmp_path)
    np.savez(tmp_path / "counts.npz", counts=np.array([{}], object), names=report.names, domains=report.domains)
    with pytest.raises(DatasetError, match="not a sound report"):
        Report.read(tmp_path)


def test_reports_of_before_the_sequences_are_read(tmp_path):
    report = a_report()
    report.write(tmp_path)
    np.savez(tmp_path / "counts.npz", counts=report.counts_NKK1, names=report.names, domains=report.domains)
    assert Report.read(tmp_path).sequences == [""] * 4
