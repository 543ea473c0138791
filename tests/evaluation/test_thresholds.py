"""What a recipe expects of its training: ranges, verdicts, and what they look like in a report."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import ValidationError

from tarsia.card import Classes
from tarsia.evaluation.report import Report
from tarsia.evaluation.thresholds import METRICS, Expected, judge, outcome, verdict

TWO = Classes(names=("ground", "box"), colors=((0, 0, 0), (255, 0, 0)))


def report(counts: list[list[int]]) -> Report:
    return Report(TWO, ["a"], [""], [""], np.array([counts]), {"images": 1}, None, {})


HALF = report([[50, 50, 0], [50, 50, 0]])  # both IoU 1/3, pixel accuracy 1/2


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ({"miou": [0.3, 0.4]}, "reached"),
        ({"miou": [1 / 3, 1 / 3 + 1e-9]}, "reached"),
        ({"miou": [0.34, 0.4]}, "not reached"),
        ({"miou": [0.1, 0.3]}, "exceeded"),
        ({"miou": [0.3, 0.4], "pixel_accuracy": [0.5, 0.5]}, "reached"),
        ({"miou": [0.3, 0.4], "pixel_accuracy": [0.2, 0.4]}, "exceeded"),
        ({"miou": [0.1, 0.2], "pixel_accuracy": [0.6, 0.7]}, "not reached"),
        ({"mpa": [0.5, 1.0], "dice": [0.5, 0.5], "fwiou": [0.3, 0.4]}, "reached"),
    ],
)
def test_a_figure_is_below_within_or_above_its_range(ranges, expected):
    wanted = Expected.model_validate({**ranges, "source": "a test"})
    assert outcome(wanted, HALF) == expected
    said = verdict(wanted, HALF)
    assert said.startswith(f"{expected}: ") and said.endswith("(a test)")
    assert all(name in said for name in ranges)


def test_a_figure_that_is_not_defined_is_not_reached():
    wanted = Expected(miou=(0.0, 1.0), source="a test")
    assert outcome(wanted, report([[0, 0, 0], [0, 0, 0]])) == "not reached"


def test_what_report_json_gets_is_all_of_it(tmp_path):
    wanted = Expected(miou=(0.3, 0.4), source="Guo et al. 2021, table 4")
    HALF.write(tmp_path)
    before = json.loads((tmp_path / "report.json").read_text())
    said = judge(wanted, HALF, tmp_path)
    after = json.loads((tmp_path / "report.json").read_text())
    assert after.pop("expected") == {
        "outcome": "reached",
        "verdict": "reached: miou 0.3333, expected 0.3 to 0.4 (Guo et al. 2021, table 4)",
        "miou": [0.3, 0.4],
        "source": "Guo et al. 2021, table 4",
    }
    assert after == before and said == "reached: miou 0.3333, expected 0.3 to 0.4 (Guo et al. 2021, table 4)"


def test_metrics_are_named_as_in_report_json():
    assert all(isinstance(HALF.to_json()[name], float) for name in METRICS)
    assert set(Expected.model_fields) == {*METRICS, "source"}


@pytest.mark.parametrize(
    "tree",
    [
        {"miou": [0.3, 0.4]},
        {"source": "nothing"},
        {"miou": [0.5, 0.4], "source": "x"},
        {"miou": [0.5, 1.1], "source": "x"},
        {"miou": 0.5, "source": "x"},
        {"miou": [0.5, 0.6], "source": ""},
    ],
)
def test_what_does_not_say_what_is_expected_is_refused(tree):
    with pytest.raises(ValidationError):
        Expected.model_validate(tree)
