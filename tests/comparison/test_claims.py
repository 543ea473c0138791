"""Claims: what holds, what does not and what is undecided, by seeds and by pictures, in figures of every kind."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from made_reports import detailed, made, written
from parsed_page import Parsed
from tarsia.comparing import compare
from tarsia.comparison import Comparison, Figure, significance
from tarsia.comparison.claims import Claim, Judged
from tarsia.comparison.table import tables
from tarsia.errors import DatasetError

QUICK: dict[str, Any] = {"resamples": 300, "permutations": 200}


def trained(folder: Path, name: str, skills: Sequence[float], seeds: Sequence[int] | None = None) -> list[Path]:
    """Reports of one network, a seed each."""
    recipe = {"model": {"name": name}, "data": {"name": "streets"}}
    return [
        written(
            folder / f"{name}-seed{seed}",
            made(skill, pictures=40, seed=seed, details=detailed(40, skill=skill)),
            recipe | {"seed": seed, "name": f"{name}-seed{seed}"},
        )
        for seed, skill in zip(seeds or range(len(skills)), skills, strict=True)
    ]


def judge(reports: Sequence[Path], *claims: Claim, out: Path | None = None) -> Comparison:
    return compare(reports, claims=claims, out=out, **QUICK)


def claim(**changes: Any) -> Claim:
    return Claim.model_validate({"says": "a beats b", "better": "a", "than": "b"} | changes)


def test_the_difference_is_paired_by_seed_and_has_both_intervals(tmp_path):
    reports = trained(tmp_path, "a", [0.8, 0.7, 0.9], seeds=[2, 1, 5])
    reports += trained(tmp_path, "b", [0.72, 0.84, 0.61], seeds=[1, 5, 2])
    found = judge(reports, claim())
    a, b = (next(one.model for one in found.standings if one.name == name) for name in "ab")
    (one,) = found.claims
    by_seed = {seed: miou for (seed, _), miou in zip(b.seeds, b.mious, strict=True)}
    expected = [miou - by_seed[seed] for (seed, _), miou in zip(a.seeds, a.mious, strict=True)]
    assert one.differences == pytest.approx(expected) and (one.better, one.than) == ("a", "b")
    assert one.over_seeds == significance.over_trainings(expected)
    pair = found.pairs[0].difference
    assert one.over_pictures == pytest.approx(pair if found.names[0] == "a" else (-pair[0], -pair[2], -pair[1]))


def test_every_pair_says_what_the_seeds_say(tmp_path):
    """In the table, the page, pairs.csv and comparison.json; of single trainings there is nothing to say."""
    reports = trained(tmp_path, "a", [0.9, 0.91, 0.9]) + trained(tmp_path, "b", [0.6, 0.61, 0.6])
    found = compare(reports + trained(tmp_path, "c", [0.5]), out=tmp_path / "out", **QUICK)
    a, b, _ = (one.model.mious for one in found.standings)
    expected = significance.over_trainings([x - y for x, y in zip(a, b, strict=True)])
    assert [(pair.seeds, math.isnan(pair.over_seeds.low)) for pair in found.pairs] == [(3, False), (1, True), (1, True)]
    assert found.pairs[0].over_seeds == expected
    said = json.loads((tmp_path / "out" / "comparison.json").read_text("utf-8"))["pairs"][0]
    assert (said["seeds"], said["over_seeds"]["low"]) == (3, pytest.approx(expected.low))
    rows = list(csv.DictReader((tmp_path / "out" / "pairs.csv").read_text("utf-8").splitlines()))
    assert [row["seeds"] for row in rows] == ["3", "1", "1"] and rows[1]["over_seeds_low"] == ""
    shown = f"[{expected.low:.3f}, {expected.high:.3f}]"
    assert shown in printed(found, 100) and "over 3 seeds [" in (tmp_path / "out" / "comparison.html").read_text(
        "utf-8"
    )
    assert "over seeds" not in printed(compare(reports[:1] + reports[3:4], **QUICK), 100).lower()


def printed(found: Comparison, width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    for table in tables(found, width):
        console.print(table)
    return console.export_text()


@pytest.mark.parametrize(
    ("over_seeds", "over_pictures", "by", "trainings", "verdict"),
    [
        ((0.02, 0.01, 0.03), (0.02, 0.01, 0.03), 0.0, 3, "holds"),
        ((0.02, 0.01, 0.03), (0.02, 0.01, 0.03), 0.0, 2, "undecided"),
        ((0.02, -0.01, 0.05), (0.02, 0.01, 0.03), 0.0, 3, "undecided"),
        ((0.02, 0.01, 0.03), (0.02, -0.01, 0.05), 0.0, 3, "undecided"),
        ((-0.02, -0.03, -0.01), (-0.02, -0.03, -0.01), 0.0, 3, "does not hold"),
        ((-0.02, -0.03, -0.01), (-0.02, -0.05, 0.01), 0.0, 3, "undecided"),
        ((0.02, 0.01, 0.03), (0.02, 0.01, 0.03), 0.05, 3, "does not hold"),
        ((0.02, 0.01, 0.03), (0.02, 0.01, 0.03), 0.01, 3, "undecided"),
        ((0.02, 0.0, 0.03), (0.02, 0.01, 0.03), 0.0, 3, "undecided"),
        ((0.02, math.nan, math.nan), (0.02, 0.01, 0.03), 0.0, 3, "undecided"),
    ],
)
def test_the_verdict(over_seeds, over_pictures, by, trainings, verdict):
    one = Judged(claim(by=by), "a", "b", (0.0,) * trainings, Figure(*over_seeds), Figure(*over_pictures))
    assert one.verdict == verdict


def test_clear_differences_are_decided_either_way(tmp_path):
    reports = trained(tmp_path, "a", [0.9, 0.91, 0.9]) + trained(tmp_path, "b", [0.6, 0.61, 0.6])
    found = judge(reports, claim(), claim(better="b", than="a"), claim(by=0.9))
    assert [one.verdict for one in found.claims] == ["holds", "does not hold", "does not hold"]
    alone = judge(reports[:1] + reports[3:], claim(better="a-seed0"))
    assert [one.verdict for one in alone.claims] == ["undecided"] and len(alone.claims[0].differences) == 1
    apart = judge(reports[:3] + trained(tmp_path, "c", [0.6] * 3, seeds=[7, 8, 9]), claim(than="c"))
    assert apart.claims[0].verdict == "undecided" and not apart.claims[0].differences, "no seed is in both"


def test_other_figures_of_the_reports_are_claimed_alike(tmp_path):
    reports = trained(tmp_path, "a", [0.9, 0.9, 0.9]) + trained(tmp_path, "b", [0.5, 0.5, 0.5])
    kinds = ("boundary_iou", "boundary_f1", "recall_small", "recall_large")
    found = judge(reports, *(claim(figure=kind) for kind in kinds))
    for kind, one in zip(kinds, found.claims, strict=True):
        a, b = (next(two for two in found.standings if two.name == name) for name in "ab")
        assert one.over_pictures.value == pytest.approx(a.details[kind].value - b.details[kind].value), kind
        assert one.over_seeds.value == pytest.approx(a.details[kind].value - b.details[kind].value), kind
    assert [one.figure for one in found.claims][2:] == ["recall, small", "recall, large"]


def test_what_cannot_be_judged_is_refused(tmp_path):
    reports = trained(tmp_path, "a", [0.9] * 3) + [written(tmp_path / "plain", made(0.5, pictures=40))]
    with pytest.raises(DatasetError, match=r"a claim is about pain: no such model, did you mean plain\?"):
        judge(reports, claim(than="pain"))
    with pytest.raises(DatasetError, match="a claim is about the recall, small of a, which not all"):
        judge(reports, claim(than="plain", figure="recall_small"))
    with pytest.raises(ValidationError, match=r"no figure recal_small, did you mean recall_small\?"):
        claim(figure="recal_small")


def test_json_page_and_table_say_what_came_of_them(tmp_path):
    reports = trained(tmp_path, "a", [0.9, 0.91, 0.9]) + trained(tmp_path, "b", [0.6, 0.61, 0.6])
    small = claim(says="b finds small things", better="b", than="a", figure="recall_small")
    asked = claim(source="Somebody <2022>", by=0.1), small
    found = judge(reports, *asked, out=tmp_path / "out")
    written_down = json.loads((tmp_path / "out" / "comparison.json").read_text("utf-8"))["claims"]
    assert (
        [one["verdict"] for one in written_down] == [one.verdict for one in found.claims] == ["holds", "does not hold"]
    )
    assert written_down[0]["source"] == "Somebody <2022>"
    assert written_down[0]["differences"] == pytest.approx(found.claims[0].differences)
    text = Parsed((tmp_path / "out" / "comparison.html").read_text("utf-8")).text
    for words in (
        "Claims",
        "a beats b",
        "Somebody <2022>",
        "a less b, mIoU",
        "more than 0.1",
        "recall, small",
        "holds",
    ):
        assert words in text, words
    for width in (60, 80, 120):
        lines = printed(found, width).splitlines()
        assert max(map(len, lines)) <= width and any("holds" in line and "a beats b" in line for line in lines)
