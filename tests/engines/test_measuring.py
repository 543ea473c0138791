"""Which of several ways is taken, and how much time finding out may cost."""

from __future__ import annotations

import pytest
import torch

from tarsia.engines.measuring import Measured, measure


def tried(seconds: dict[str, float | list[float] | None]) -> tuple[Measured[str], list[str]]:
    """What is measured where each candidate takes so long (in turn), or does not fit (None); and what ran."""
    ran: list[str] = []

    def run(name: str) -> float:
        ran.append(name)
        taken = seconds[name]
        if taken is None:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return taken if isinstance(taken, float) else taken[min(ran.count(name), len(taken)) - 1]

    return measure(list(seconds), run, 3.0), ran


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({"default": 0.10, "other": 0.05}, "other"),
        ({"default": 0.10, "other": 0.092}, "default"),  # faster, but not by a tenth
        ({"default": 0.10, "other": 0.09}, "other"),
        ({"default": 0.10, "other": 0.20}, "default"),
        ({"default": 0.10, "other": 0.08, "third": 0.05}, "third"),
        ({"default": 0.10, "other": [0.15, 0.04]}, "other"),  # slow at first, as all that is new
        ({"default": [0.5, 0.10], "other": 0.095}, "default"),  # likewise the default
        ({"default": None, "other": 0.5}, "other"),
        ({"default": 0.5, "other": None}, "default"),
        ({"default": None, "other": None, "least": None}, "least"),
    ],
)
def test_another_than_the_default_must_be_worth_it(seconds, expected):
    assert tried(seconds)[0].chosen == expected


def test_the_default_comes_first_and_what_is_slower_is_left_out():
    found, ran = tried({"default": 0.10, "slow": 0.14, "far": 0.9, "good": 0.07})
    assert ran[:2] == ["default", "default"]
    assert ran.count("slow") == 2 and ran.count("far") == 1 and ran.count("good") == 3
    assert found.ratios() == "slow 0.71, far 0.11, good 1.43"


@pytest.mark.parametrize(
    "seconds",
    [
        {"default": 10.0, "a": 10.0, "b": 10.0, "c": 10.0},
        {"default": 10.0, "a": 5.0, "b": 4.0, "c": 2.0},
        {"default": 0.7, "a": 0.7, "b": 0.9, "c": 0.8},
        {"default": 0.01, "a": 0.01, "b": 0.01, "c": 0.01},
    ],
)
def test_it_takes_three_seconds_or_four_steps(seconds):
    _, ran = tried(seconds)
    assert sum(seconds[name] for name in ran) <= max(3.0, 4 * seconds["default"]) + 1e-9
    assert len(ran) <= 3 * len(seconds) + 1


def test_a_cold_start_leaves_time_for_the_others():
    found, _ = tried({"default": [9.0, 3.0], "other": 2.0, "third": 4.0})
    assert found.chosen == "other" and found.seconds.keys() == {"default", "other", "third"}


def test_what_was_not_measured_is_said():
    assert tried({"default": 10.0, "a": 10.0, "b": 10.0, "c": 10.0})[0].ratios() == "a 1.00, b 1.00, c not measured"
    assert tried({"default": None, "a": 1.0})[0].ratios() == "a not measured"


def test_other_errors_are_no_candidates_fault():
    def run(_: str) -> float:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        measure(["default", "other"], run, 1.0)
