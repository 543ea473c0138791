"""The doctor finds every kind of damage that is planted, and nothing in the healthy data set."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

import sick_data
from sick_data import OF_CLASSES, SICK, Sick, make_sick, scene, write_healthy
from tarsia import doctor
from tarsia.checking import check
from tarsia.doctor.finding import SEVERITIES, Finding
from tarsia.doctor.result import CheckResult


@pytest.fixture(scope="module")
def sick(tmp_path_factory: pytest.TempPathFactory) -> CheckResult:
    root = make_sick(write_healthy(tmp_path_factory.mktemp("sick") / "data"))
    return check(f"folder:{root}")


def yaml_blocks(remedy: str) -> list[str]:
    """The lines of a remedy that belong into dataset.yaml, those of each reading together."""
    typed = re.compile(r"(classes|ignore|split): ?|  - ")
    groups = itertools.groupby(remedy.splitlines(), lambda line: bool(typed.match(line)))
    return ["\n".join(lines) for told, lines in groups if told]


def found(result: CheckResult, one: Sick) -> list[Finding]:
    """The findings that this damage has to make."""
    return [
        finding
        for finding in result.findings
        if (finding.kind, finding.severity) == (one.kind, one.severity)
        and (
            any(place.name.endswith(one.name) and one.says in place.detail for place in finding.places)
            if one.name
            else one.says in finding.title
        )
    ]


def test_nothing_is_found_in_the_healthy_one(tmp_path: Path) -> None:
    result = check(f"folder:{write_healthy(tmp_path)}")
    assert result.findings == [] and result.exit_code == 0
    assert result.summary() == "Nothing is wrong in 50 pictures (train 36, val 14)"


@pytest.mark.parametrize("one", SICK, ids=lambda one: one.damage)
def test_planted_damage_is_found(sick: CheckResult, one: Sick) -> None:
    assert found(sick, one), [finding.kind for finding in sick.findings]


@pytest.mark.parametrize("one", OF_CLASSES, ids=lambda one: one.damage)
def test_damage_to_a_class_is_found_and_nothing_else(one: Sick, tmp_path: Path) -> None:
    one.do(write_healthy(tmp_path))
    result = check(f"folder:{tmp_path}")
    assert found(result, one) == result.findings


def test_there_are_more_than_fifteen_kinds_and_no_finding_that_was_not_planted(sick: CheckResult) -> None:
    planted = {one.kind for one in SICK} | {"several-kinds"}  # 16 bits among 8
    assert len(planted) > 15 and {finding.kind for finding in sick.findings} == planted
    severities = [finding.severity for finding in sick.findings]
    assert severities == sorted(severities, key=SEVERITIES.index)
    assert sick.exit_code == 2
    named = {place.name.rpartition("/")[2].partition(".")[0] for one in sick.findings for place in one.places}
    touched = {one.name.partition(".")[0] for one in SICK if one.name}
    # What comes with a planted one: the other of a pair, the 16-bit picture that is black, and a crop of sky alone.
    assert named - touched <= {"t19", "t26"}, named - touched


def test_every_finding_says_why_and_what_to_do(sick: CheckResult) -> None:
    for finding in sick.findings:
        assert finding.title and finding.why.endswith(".") and finding.remedy, finding.kind
        assert all(place.split in ("train", "val") and place.name for place in finding.places)


def test_the_docs_list_every_kind_with_its_severity() -> None:
    page = (Path(__file__).parents[2] / "docs/check.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]+) \| (error|warning|note) \|", page, re.MULTILINE)
    told = {kind: severity for kinds, severity in rows for kind in re.findall(r"`([\w-]+)`", kinds)}
    code = "".join(path.read_text(encoding="utf-8") for path in Path(doctor.__file__).parent.glob("*.py"))
    known = {}
    for kind, severity in re.findall(r'Finding\(\s*"([\w-]+)",\s*"?(\w+)', code):  # the worst of several
        known[kind] = min(known.get(kind, severity), severity, key=lambda one: (*SEVERITIES, one).index(one))
    known |= dict.fromkeys(("unreadable-image", "unreadable-label", "unreadable"), "error")
    known |= dict.fromkeys(("tiny-picture", "huge-picture"), "note")
    known |= dict.fromkeys(("unlabelled", "nearly-empty"), "warning")  # or a note, where it is usual
    assert told == known


# ---- what strange values may be


def folder(root: Path, classes: list[object], values: dict[int, int], **more: object) -> Path:
    """Scenes whose three kinds of ground, sky and the rest stand in the labels as `values` has it."""
    for split, count, offset in (("train", 8, 0), ("val", 6, 100)):
        for index in range(count):
            image, label = scene(offset + index)
            stored = np.vectorize(values.get, otypes=[np.uint8])(np.minimum(label, len(values) - 1))
            sick_data.put(root, split, f"{split}{index}", image, stored)
    splits = {split: {"images": f"{split}/images", "labels": f"{split}/labels"} for split in ("train", "val")}
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": classes, "splits": splits} | more))
    return root


@pytest.mark.parametrize(
    ("classes", "values", "kind", "words"),
    [
        (["a", "b"], {0: 0, 1: 255}, "black-and-white", "0 and 255 only"),
        (["a", "b"], {0: 1, 1: 255}, "black-and-white", "1 and 255 only"),
        (["a", "b", "c"], {0: 1, 1: 2, 2: 3}, "unknown-values", "count from 1"),
        (["a", "b", "c"], {0: 0, 1: 3, 2: 1}, "unknown-values", "one more than the last"),
        (["a", "b", "c"], {0: 0, 1: 127, 2: 254}, "unknown-values", "even distances"),
        (["a", "b", "c"], {0: 0, 1: 1, 2: 9}, "unknown-values", "only you can know"),
        (["a"], {0: 7}, "one-class", "a alone"),
        ([{"name": "a", "values": [4]}], {0: 0, 1: 4}, "one-class", "a alone"),
    ],
)
def test_each_reading_heals_as_it_is_written(
    classes: list[object], values: dict[int, int], kind: str, words: str, tmp_path: Path
) -> None:
    root = folder(tmp_path, classes, values)
    (finding,) = [one for one in check(f"folder:{root}").findings if one.kind == kind]
    assert words in finding.title + finding.why
    before = (root / "dataset.yaml").read_text()
    for lines in yaml_blocks(finding.remedy):
        (root / "dataset.yaml").write_text(yaml.safe_dump(yaml.safe_load(before) | yaml.safe_load(lines)))
        after = check(f"folder:{root}")
        assert after.exit_code < 2, lines
        assert finding.title not in [one.title for one in after.findings]


def test_some_black_and_white_labels_among_others(tmp_path: Path) -> None:
    """Train in 0 and 1, val in 0 and 255: all of val would be ignored."""
    root = folder(tmp_path, ["a", "b"], {0: 0, 1: 1})
    for path in root.glob("val/labels/*.png"):
        sick_data._save(path, sick_data.pixels(path) * 255)
    findings = check(f"folder:{root}").findings
    (finding,) = [one for one in findings if one.kind == "black-and-white"]
    assert finding.severity == "warning" and finding.decide and len(finding.places) == 6
    assert yaml_blocks(finding.remedy)[0].endswith("- {name: b, values: [1, 255]}")
    values = sick_data.pixels(root / "train/labels/train0.png")
    values[:2] = 255  # a label with both: 255 is void here
    sick_data._save(root / "train/labels/train0.png", values)
    assert "black-and-white" not in [one.kind for one in check(f"folder:{root}").findings]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_split_without_a_labelled_pixel(split: str, tmp_path: Path) -> None:
    root = folder(tmp_path, ["a", "b"], {0: 0, 1: 1})
    source = root / ("train" if split == "train" else "val")
    for path in source.glob("labels/*.png"):
        sick_data._save(path, np.full_like(sick_data.pixels(path), 255))
    if split == "test":
        tree = yaml.safe_load((root / "dataset.yaml").read_text())
        tree["splits"]["test"] = tree["splits"].pop("val")
        (root / "dataset.yaml").write_text(yaml.safe_dump(tree))
    result = check(f"folder:{root}")
    (finding,) = [one for one in result.findings if one.kind == "blank-split"]
    assert finding.severity == ("note" if split == "test" else "error")
    assert "hold 255 only" in finding.why and split in finding.title


def test_labels_out_of_place_all_of_them(tmp_path: Path) -> None:
    """Moved all alike, or mirrored all: no single label is named then."""
    for name, do, words in (
        ("moved", lambda label: np.roll(label, 9, axis=1), "of the width to the left"),
        ("mirrored", np.fliplr, "mirrored left to right"),
    ):
        root = write_healthy(tmp_path / name, 24, 8)
        for path in root.glob("*/labels/*.png"):
            sick_data._save(path, do(sick_data.pixels(path)))
        findings = check(f"folder:{root}").findings
        assert [one.kind for one in findings] == ["misplaced-labels"] * 2
        assert all(words in one.title for one in findings), [one.title for one in findings]
