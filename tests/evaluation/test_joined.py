"""Reports of parts of the pictures, joined, are the report of all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from made_reports import detailed, made
from tarsia.errors import DatasetError
from tarsia.evaluation.joined import joined
from tarsia.evaluation.report import Report


def part(report: Report, chosen: slice, **model: object) -> Report:
    """The report of some of the pictures."""
    where = range(len(report.names))[chosen]
    details = {key: values[chosen] for key, values in report.details.items() if key != "objects"}
    if "objects" in report.details:
        objects = report.details["objects"]
        own = objects[(objects[:, 0] >= where.start) & (objects[:, 0] < where.stop)]
        details["objects"] = own - [where.start, 0, 0, 0]
    texts = {key: getattr(report, key)[chosen] for key in ("names", "domains", "sequences")}
    protocol = report.protocol | {"images": len(where), "data_hash": f"of {where}"}
    counts = report.counts_NKK1[chosen]
    return replace(report, counts_NKK1=counts, details=details, protocol=protocol, model=report.model | model, **texts)


@pytest.fixture
def everything() -> Report:
    found = made(details=detailed())
    return replace(found, sequences=["a"] * 5 + ["b"] * 4 + ["c"] * 3)


def parts(everything: Report) -> dict[str, Report]:
    slices = {"a": slice(0, 5), "b": slice(5, 9), "c": slice(9, 12)}
    return {name: part(everything, one, latency_seconds=0.1 * k) for k, (name, one) in enumerate(slices.items(), 1)}


def test_the_parts_are_the_whole(everything, tmp_path):
    found = joined(parts(everything), everything.names, {"split": "train+val", "data_hash": "of all"})
    assert found.names == everything.names and found.sequences == everything.sequences
    assert np.array_equal(found.counts_NKK1, everything.counts_NKK1) and found.counts_NKK1.dtype.kind == "u"
    assert found.details.keys() == everything.details.keys()
    assert all(np.array_equal(found.details[key], everything.details[key]) for key in found.details)
    assert found.metrics.miou == everything.metrics.miou and found.detail_figures == everything.detail_figures
    assert found.protocol == everything.protocol | {"split": "train+val", "data_hash": "of all", "images": 12}
    costs = {key: value for key, value in everything.model.items() if key != "peak_memory_bytes"}
    assert found.model == costs | {"latency_seconds": 0.2}, "the median"
    found.write(tmp_path)
    assert Report.read(tmp_path).metrics.miou == everything.metrics.miou


def test_each_picture_is_scored_once(everything):
    three = parts(everything)
    for some, said in (
        ({key: three[key] for key in "ab"}, "not each of them is scored once"),
        (three | {"d": three["a"]}, "not each of them is scored once"),
        ({"b": three["b"], "a": three["a"], "c": three["c"]}, "not each of them is scored once, in their order"),
    ):
        with pytest.raises(DatasetError, match=said):
            joined(some, everything.names, {})
    with pytest.raises(DatasetError, match="frame-000 is no longer among them"):
        joined(three, everything.names[1:], {})


def test_parts_that_were_scored_otherwise_are_no_whole(everything):
    three = parts(everything)
    other = replace(three["b"], protocol=three["b"].protocol | {"tta": "flip"})
    with pytest.raises(DatasetError, match="b was scored otherwise than a: tta differ"):
        joined(three | {"b": other}, everything.names, {})


def test_what_only_some_have_is_left_out(everything):
    three = parts(everything)
    three["c"] = replace(three["c"], details={}, model=three["c"].model | {"threads": 7})
    found = joined(three, everything.names, {})
    assert found.details == {} and "threads" not in found.model and found.model["parameters"] == 1_000_000
    three["b"] = replace(three["b"], model=None)
    assert joined(three, everything.names, {}).model is None
