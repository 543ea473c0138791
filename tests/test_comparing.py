"""`tarsia compare`: what may be compared, seeds that are pooled, what is written, and the command line."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_reports import classes, counts, detailed, made, written
from small_data import write_folder
from tarsia import cli, console
from tarsia.card import Card, Classes, Input
from tarsia.comparing import compare
from tarsia.comparison import side_by_side
from tarsia.comparison.folder import escaped
from tarsia.errors import DatasetError
from tarsia.evaluation.confusion import count, metrics
from tarsia.evaluation.report import DataHash, Report

QUICK: dict[str, Any] = {"resamples": 100, "permutations": 200}
Tarsia = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tarsia(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tarsia:
    """`tarsia(arguments...)` -> exit code, standard output, standard error; run in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object, columns: int = 120) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["tarsia", *map(str, arguments)])
        monkeypatch.setattr(console.out, "_width", columns)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        console.quiet(False)
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


# What may be compared.

OTHER_NAMES = [f"frame-{index:03d}" for index in range(11)] + ["frame-999"]
REFUSED = [
    ({"protocol": {"split": "test"}}, r"split is val in A and test in B|split is val in A, test in B"),
    ({"protocol": {"data_hash": "ffff"}}, r"data_hash is a1b2 in A, ffff in B"),
    ({"protocol": {"ignored_value": 0}}, r"ignored_value is 255 in A, 0 in B"),
    ({"protocol": {"absent_class_rule": "zero"}}, r"absent_class_rule is a class with .*\.\.\. in A, zero in B"),
    ({"protocol": {"size": "scored at 224x224"}}, r"size is scored at each label's .* in A, scored at 224x224 in B"),
    ({"protocol": {"size": None}}, r"size is scored at each label's own size in A, not stated in B"),
    ({"classes": Classes(names=("road", "car", "bush"), colors=((0, 0, 0),) * 3)},
     r"classes is 3 \(tree\) in A, 3 \(bush\) in B"),
    ({"classes": Classes(names=("car", "road", "tree"), colors=((0, 0, 0),) * 3)},
     r"classes is 3 \(in another order\) in A"),
    ({"count": 4}, r"classes is 3 \(in another order\) in A, 4 \(pole\) in B"),
    ({"names": OTHER_NAMES}, r"picture names differ, first frame-011 in A and frame-999 in B"),
    ({"pictures": 11}, r"picture names differ, first frame-011 in A and \(none\) in B"),
    ({"counts_NKK1": counts(0.8, 12) + np.uint32(1)}, r"the true pixels of frame-000 differ in A and B"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"), REFUSED, ids=lambda value: next(iter(value)) if isinstance(value, dict) else ""
)
def test_other_protocols_are_refused_with_key_values_and_reports(changes, said):
    with pytest.raises(DatasetError, match=said) as refused:
        compare([made(), made(**changes)], names=["A", "B"], **QUICK)
    assert "Score them alike: tarsia evaluate" in str(refused.value)


def test_all_that_differs_is_said_at_once_and_who_agrees():
    others = made(0.7, protocol={"split": "test", "data_hash": "ffff"})
    with pytest.raises(DatasetError) as refused:
        compare([made(), others, made(0.6)], names=["A", "B", "C"], **QUICK)
    assert "split is val in A and C, test in B; data_hash is a1b2 in A and C, ffff in B." in str(refused.value)


def test_reports_without_details_cannot_be_compared():
    with pytest.raises(DatasetError, match="made without details"):
        compare([made(protocol={"data_hash": None}), made(0.7, protocol={"data_hash": None})], **QUICK)


def test_what_is_a_models_own_affair_is_shown_and_not_refused():
    found = compare(
        [made(0.8), made(0.7, protocol={"tta": "flip", "network_input": "resized", "dataset": "folder"})], **QUICK
    )
    assert sorted(found.settings) == ["dataset", "network_input", "tta"]
    assert found.standings[1].model.settings == {"tta": "flip", "network_input": "resized", "dataset": "folder"}
    assert found.pictures.protocol["split"] == "val" and "tta" not in found.pictures.protocol


def test_old_reports_without_post_processing_had_none():
    old = made(0.8)
    del old.protocol["post_process"]
    assert compare([old, made(0.7)], **QUICK).settings == []
    found = compare([old, made(0.7, protocol={"post_process": "dense CRF"})], **QUICK)
    assert [one.model.settings for one in found.standings] == [{"post_process": "none"}, {"post_process": "dense CRF"}]


def test_a_temperature_is_a_setting_and_no_hindrance_to_pooling(tmp_path):
    fitted = [{"temperature": 1.2 + seed, "calibrated_on": "camvid val"} for seed in range(2)]
    found = compare([made(0.8), made(0.7, model=fitted[0])], **QUICK)
    assert [one.model.settings for one in found.standings] == [
        {"temperature": "none"},
        {"temperature": "fitted on camvid val"},
    ]
    seeds = [written(tmp_path / f"unet-{k}", made(0.7 - k / 10, model=fitted[k]), recipe(k)) for k in range(2)]
    assert compare(seeds, **QUICK).names == ["unet"]


def test_faults_of_the_list_itself(tmp_path):
    first = written(tmp_path / "a", made())
    report = made()
    for given, said in (
        ([first], "one report given: a comparison needs two"),
        ([], "no reports given"),
        ([first, tmp_path / "." / "a"], "is given twice"),
        ([first, first / "report.json"], "is given twice"),
        ([report, report], "a report is given twice"),
        ([first, tmp_path / "b"], "b: not there; a report is report.json with counts.npz"),
        ([first, tmp_path / "model.safetensors"], "is a model, not a report of one: tarsia evaluate"),
    ):
        with pytest.raises(DatasetError, match=said):
            compare(given, **QUICK)
    with pytest.raises(DatasetError, match=r"1 names .* for 2 reports"):
        compare([first, report], names=["x"], **QUICK)


def test_copies_of_a_report_are_noted(tmp_path):
    first, second = (written(tmp_path / name, made()) for name in "ab")
    assert "a and b have the same counts for every picture." in compare([first, second], **QUICK).notes


def test_names_are_made_different(tmp_path):
    paths = [written(tmp_path / parent / "run", made(0.8 - 0.1 * k)) for k, parent in enumerate(("x", "y"))]
    paths.append(written(tmp_path / "other", made(0.5)))
    assert compare(paths, **QUICK).names == ["x/run", "y/run", "other"]
    assert compare([made(0.8), made(0.7), made(0.6)], **QUICK).names == ["unet", "unet-2", "unet-3"]
    assert compare([made(0.8), made(0.7, model={"architecture": "fcn"})], names=["A", "A"], **QUICK).names == [
        "A",
        "A-2",
    ]
    others = Report(**{**vars(made(0.6)), "model": None})
    assert compare([made(0.8), others], **QUICK).names == ["unet", "predictions"]


def test_sequences_come_from_whoever_knows_them(tmp_path):
    """Reports of the first versions know no sequences; beside newer ones that is made good, alone it is said."""
    new = written(tmp_path / "new", made(0.8, sequences=["drive"] * 12))
    old = [written(tmp_path / f"old{k}", made(0.7 - k / 10)) for k in range(2)]
    for folder in old:
        with np.load(folder / "counts.npz") as arrays:
            kept = {key: arrays[key] for key in arrays if key != "sequences"}
        np.savez_compressed(folder / "counts.npz", **kept)
    found = compare([old[0], new], **QUICK)
    assert found.blocks.description.startswith("runs of about 5") and not any("video" in note for note in found.notes)
    found = compare(old, **QUICK)
    assert found.blocks.description == "pictures (12)" and "which video a picture is from" in found.notes[0]


# Seeds.


def recipe(seed: int, **changes: Any) -> dict[str, Any]:
    return {
        "name": f"unet-seed{seed}",
        "seed": seed,
        "data": {"name": "camvid", "root": f"/somewhere/{seed}/camvid", "cache": f"/tmp/{seed}"},
        "model": {"name": "unet", "weights": f"/weights/{seed}/resnet.safetensors"},
        "train": {"epochs": 5, "start_from": None},
        "expected": {"miou": [0.1 * seed, 1]},
    } | changes


def test_seeds_of_one_recipe_are_pooled(tmp_path):
    skills = {0: 0.80, 1: 0.74, 2: 0.78}
    reports = {seed: made(skill, model={"latency_seconds": 0.01 * (seed + 1)}) for seed, skill in skills.items()}
    paths = [written(tmp_path / f"unet-seed{seed}", report, recipe(seed)) for seed, report in reports.items()]
    paths.append(written(tmp_path / "fcn", made(0.5), recipe(0, model={"name": "fcn"})))
    found = compare(paths, **QUICK)
    assert found.names == ["unet", "fcn"]
    pooled = found.standings[0]
    mious = [report.metrics.miou for report in reports.values()]
    assert pooled.model.members == ("unet-seed0", "unet-seed1", "unet-seed2") and pooled.model.mious == pytest.approx(
        mious
    )
    assert (pooled.mean, pooled.deviation) == pytest.approx((np.mean(mious), np.std(mious, ddof=1)))
    total = sum(report.counts_NKK1.astype(np.int64) for report in reports.values()).sum(0)
    assert pooled.miou.value == pytest.approx(metrics(total).miou)
    assert pooled.model.facts["latency_seconds"] == pytest.approx(0.02)
    assert np.isnan(found.standings[1].deviation) and len(found.pairs) == 1
    apart = compare(paths, pool=False, **QUICK)
    assert sorted(apart.names) == ["fcn", "unet-seed0", "unet-seed1", "unet-seed2"] and len(apart.pairs) == 6


@pytest.mark.parametrize(("worse", "overlaps"), [((0.62, 0.70), False), ((0.62, 0.82), True)])
def test_seeds_that_overlap_are_said_where_the_test_finds_a_difference(tmp_path, worse, overlaps):
    skills = {"unet": (0.78, 0.95), "fcn": worse}
    paths = [
        written(tmp_path / f"{name}-seed{seed}", made(skill), recipe(seed, model={"name": name}))
        for name, both in skills.items()
        for seed, skill in enumerate(both)
    ]
    found = compare(paths, **QUICK)
    assert found.names == ["unet", "fcn"] and found.pairs[0].different
    said = [note for note in found.notes if note.endswith("unet and fcn.") and "seeds that overlap" in note]
    assert bool(said) is overlaps


def test_seeds_alone_are_one_model(tmp_path):
    paths = [written(tmp_path / f"unet-seed{seed}", made(0.8 - seed / 50), recipe(seed)) for seed in range(2)]
    found = compare(paths, out=tmp_path / "out", **QUICK)
    assert found.names == ["unet"] and found.pairs == [] and "unet has an mIoU of" in found.verdict()
    assert (tmp_path / "out" / "comparison.html").is_file()
    assert (tmp_path / "out" / "pairs.csv").read_text() == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"train": {"epochs": 6, "start_from": None}},
        {"train": {"epochs": 5, "start_from": "runs/x/model.safetensors"}},
        {"data": {"name": "camvid", "root": "/somewhere/kitti", "cache": None}},
        {"model": {"name": "unet", "weights": "/weights/vgg.safetensors"}},
        {"model": {"name": "unet"}},
    ],
    ids=str,
)
def test_other_recipes_are_not_pooled(tmp_path, changes):
    paths = [written(tmp_path / "a", made(), recipe(0)), written(tmp_path / "b", made(0.7), recipe(1, **changes))]
    assert compare(paths, **QUICK).names == ["a", "b"]


def test_seeds_are_pooled_however_each_machine_computed_them(tmp_path):
    ways = [{"memory_format": "contiguous", "threads": 1, "workers": 0}, {"memory_format": "channels_last"}]
    paths = [
        written(tmp_path / f"a-seed{seed}", made(0.7), recipe(seed, train={"epochs": 5, "precision": "float32"} | way))
        for seed, way in enumerate(ways)
    ]
    assert compare(paths, **QUICK).names == ["a"]
    quick = recipe(2, train={"epochs": 5, "precision": "bfloat16"})
    found = compare([*paths, written(tmp_path / "a-seed2", made(0.6), quick)], **QUICK)
    assert len(found.names) == 2
    (said,) = [note for note in found.notes if "bfloat16" in note]
    assert said == (
        "a-seed0, a-seed1, a-seed2 are of one recipe, but were trained in bfloat16 and float32: they are not pooled.  "
        "With train.precision=float32 all are trained alike."
    )


def test_other_settings_of_one_recipe_and_a_repeated_seed_are_not_pooled(tmp_path):
    first = written(tmp_path / "a", made(), recipe(0))
    flipped = written(tmp_path / "b", made(0.7, protocol={"tta": "flip"}), recipe(1))
    assert compare([first, flipped], **QUICK).names == ["a", "b"]
    again = written(tmp_path / "c", made(0.6), recipe(0))
    found = compare([first, again], **QUICK)
    assert found.names == ["a", "c"] and "a, c are of one recipe and repeat a seed: they are not pooled." in found.notes


def test_the_recipe_is_found_by_the_command_of_an_evaluation(tmp_path, monkeypatch):
    """`tarsia evaluate RUN` elsewhere: the card of RUN's model says the recipe, unless the model was written later."""
    from safetensors.numpy import save_file

    from tarsia.card import CARD_KEY, Card

    monkeypatch.chdir(tmp_path)
    evaluated = []
    for seed in range(2):
        Path(f"run{seed}").mkdir()
        card = Card(architecture="unet", model={}, classes=classes(), provenance={"recipe": recipe(seed)})
        save_file({}, f"run{seed}/model.safetensors", metadata={CARD_KEY: card.to_json()})
        os.utime(f"run{seed}/model.safetensors", (0, 0))
        command = {"command": f"tarsia evaluate run{seed} --data camvid"}
        evaluated.append(written(tmp_path / f"unet-{seed}", made(0.8 - seed / 10, provenance=command)))
    assert compare(evaluated, **QUICK).names == ["unet"]
    os.utime("run1/model.safetensors")  # trained again since
    assert compare(evaluated, **QUICK).names == ["unet-0", "unet-1"]


# Notes.


def test_what_makes_costs_incomparable_is_noted():
    slow = made(0.7, model={"threads": 2}, provenance={"command": "tarsia train recipe.yaml"})
    found = compare([made(0.8), slow], names=["A", "B"], **QUICK)
    assert any("Latency was measured in different ways" in note and "1 thread" in note for note in found.notes)
    assert "Peak memory of B is the training's; tarsia evaluate MODEL gives prediction's." in found.notes


def test_details_are_shown_where_all_have_them():
    reports = [made(skill, details=detailed(skill=skill)) for skill in (0.9, 0.6)]
    found = compare(reports, **QUICK)
    good, bad = found.standings
    assert set(good.details) == {"boundary_iou", "boundary_f1", "recall_small", "recall_medium", "recall_large", "ece"}
    for key, more in {"boundary_iou": 1, "boundary_f1": 1, "recall_large": 1, "ece": -1}.items():
        assert more * good.details[key].value > more * bad.details[key].value
        assert good.details[key].low <= good.details[key].value <= good.details[key].high
    assert good.reliability is not None and found.notes == []
    fewer = {key: values for key, values in detailed().items() if key != "objects"}
    found = compare([reports[0], made(0.5, details=fewer)], names=["A", "B"], **QUICK)
    assert set(found.standings[0].details) == {"boundary_iou", "boundary_f1", "ece"}
    assert found.notes == ["Shown for none, for not all were evaluated alike (B went without): objects."]
    found = compare([reports[0], made(0.5, details=detailed(bins=7))], names=["A", "B"], **QUICK)
    assert "ece" not in found.standings[0].details and "(in 5 and 7 bins): calibration." in found.notes[0]


# What is written.


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    domains = ["day"] * 6 + ["night"] * 6
    out = tmp_path_factory.mktemp("written")
    reports = [made(0.85, domains=domains, details=detailed()), made(0.6, domains=domains, details=detailed())]
    reports[1].protocol["tta"] = "flip"
    compare(reports, names=["good & fast_1", "50% #2"], out=out, **QUICK)
    return out


def test_the_json_says_everything(folder):
    found = json.loads((folder / "comparison.json").read_text())
    assert found["format"] == 1 and [one["name"] for one in found["models"]] == ["good & fast_1", "50% #2"]
    best = found["models"][0]
    assert (
        best["miou"]["value"] == pytest.approx(made(0.85).metrics.miou) and best["miou"]["low"] < best["miou"]["value"]
    )
    assert set(best["iou"]) == set(classes().names) and best["letters"] == "a" and best["parameters"] == 1_000_000
    assert best["seeds"]["deviation"] is None and best["boundary_iou"]["value"] > 0
    (pair,) = found["pairs"]
    assert pair["different"] is True and pair["p_holm"] == pair["p"] and pair["difference"]["value"] > 0
    assert [one["name"] for one in found["domains"]] == ["day", "night"] and found["reference_domain"] == "day"
    assert found["domains"][1]["models"]["50% #2"]["value"] > 0
    assert found["models"][1]["settings"] == {"tta": "flip"} and found["protocol"]["split"] == "val"
    assert (found["resamples"], found["permutations"], found["level"], found["blocks"]) == (
        100,
        200,
        0.95,
        "pictures (12)",
    )


def test_the_csv_has_a_row_for_each_model_and_pair(folder):
    with (folder / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == ["good & fast_1", "50% #2"]
    assert float(rows[0]["miou"]) == pytest.approx(made(0.85).metrics.miou)
    assert float(rows[1]["iou car"]) == pytest.approx(made(0.6).metrics.iou_K[1])
    assert rows[0]["deviation"] == "" and rows[1]["tta"] == "flip" and float(rows[0]["miou in night"]) > 0
    assert float(rows[0]["boundary_f1"]) > 0 and rows[0]["latency_seconds"] == "0.05"
    with (folder / "pairs.csv").open(newline="") as file:
        (pair,) = csv.DictReader(file)
    assert pair["first"] == "good & fast_1" and pair["different"] == "True"


def test_the_latex_is_escaped_and_whole(folder):
    lines = (folder / "comparison.tex").read_text().splitlines()
    rows = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    assert rows[0].startswith(r"good \& fast\_1 & \textbf{0.") and r"$^{\mathrm{a}}$" in rows[0]
    assert rows[1].startswith(r"50\% \#2 & 0.")
    assert len({len(re.findall(r"(?<!\\)&", line)) for line in [lines[lines.index(r"\toprule") + 1], *rows]}) == 1
    assert all(row.endswith(r" \\") for row in rows)
    assert escaped("a~b^c\\d{e}$<>|\n± x") == (
        r"a\textasciitilde{}b\textasciicircum{}c\textbackslash{}d\{e\}\$\textless{}\textgreater{}\textbar{} $\pm$ x"
    )


def test_without_jinja_the_page_is_left_out_and_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    compare([made(0.8), made(0.7)], out=tmp_path / "out", **QUICK)
    assert "extra `report`" in capsys.readouterr().err.replace("\n", "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("comparison.csv", "comparison.json", "comparison.tex", "pairs.csv"),
    ]


# Pictures.


class Fake:
    """A predictor that answers with the label it was told, shifted by `wrong` columns."""

    needs_probabilities = False

    def __init__(self, truths: dict[bytes, np.ndarray], names: Classes, wrong: int) -> None:
        self.truths, self.classes, self.wrong = truths, names, wrong
        self.card = Card(architecture="unet_original", model={}, classes=names, input=Input(stride=4))

    def at_levels(self, levels: None) -> Fake:
        return self

    def labels(self, images_BHW3: np.ndarray) -> np.ndarray:
        return np.stack([np.roll(self.truths[image.tobytes()], self.wrong, 1) for image in images_BHW3])


def evaluated(dataset: Any, wrong: int) -> Report:
    hashed, found = DataHash(), []
    samples = [dataset[k] for k in range(len(dataset))]
    for sample in samples:
        hashed.add(sample.name, sample.label)
        found.append(count(sample.label, np.roll(sample.label, wrong, 1), len(dataset.classes)))
    names = [sample.name for sample in samples]
    protocol = {"data_hash": hashed.text(), "classes": list(dataset.classes.names), "dataset": "folder"}
    nothing = [""] * len(names)
    changes = {"classes": dataset.classes, "names": names, "domains": nothing, "sequences": nothing}
    return made(counts_NKK1=np.stack(found), protocol=protocol, **changes)


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[Path]]:
    """A data set, and run folders of two models with a report each."""
    from tarsia import data

    root = write_folder(tmp_path / "data", 1, 8, (32, 40))
    dataset = data.open("folder", root, "val")
    runs = []
    truths = {dataset[k].image.tobytes(): dataset[k].label for k in range(len(dataset))}
    for name, wrong in (("good", 1), ("bad", 9)):
        runs.append(written(tmp_path / name, evaluated(dataset, wrong)))
        (tmp_path / name / "model.safetensors").write_bytes(b"")
    monkeypatch.setattr(
        side_by_side, "load", lambda path, device: Fake(truths, dataset.classes, 1 if "good" in str(path) else 9)
    )
    return root, runs


def test_pictures_are_drawn_by_every_model(drawn, tmp_path):
    root, runs = drawn
    found = compare(runs, data=f"folder:{root}", out=tmp_path / "out", **QUICK)
    assert not any("drawn" in note or "otherwise" in note for note in found.notes)
    pictures = sorted(path.name for path in (tmp_path / "out" / "pictures").iterdir())
    assert len(pictures) == 8 and sum(name.startswith("sample-") for name in pictures) == 6
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert page.count("data:image/") == 8 and "(good) to 0." in page
    compare(runs, out=tmp_path / "again", **QUICK)
    assert "--data folder:FOLDER" in (tmp_path / "again" / "comparison.html").read_text()


def test_a_model_that_answers_otherwise_than_its_report_is_said(drawn, tmp_path, monkeypatch):
    root, runs = drawn
    honest = side_by_side.load
    monkeypatch.setattr(side_by_side, "load", lambda path, device: honest(runs[1], device))
    found = compare(runs, data=f"folder:{root}", out=tmp_path / "out", **QUICK)
    assert any("good's model file answers otherwise than its report says" in note for note in found.notes)
    assert "answers otherwise" in (tmp_path / "out" / "comparison.html").read_text()


def test_models_without_files_are_left_out_of_the_pictures_and_said(drawn, tmp_path):
    root, runs = drawn
    (runs[1] / "model.safetensors").unlink()
    found = compare(runs, data=f"folder:{root}", out=tmp_path / "out", **QUICK)
    assert any(note.startswith("bad has no model file") for note in found.notes)
    (runs[0] / "model.safetensors").unlink()
    compare(runs, data=f"folder:{root}", out=tmp_path / "none", **QUICK)
    assert "data:image/" not in (tmp_path / "none" / "comparison.html").read_text()


def test_other_data_is_refused(drawn, tmp_path):
    runs = drawn[1]
    other = write_folder(tmp_path / "other", 1, 5, (32, 40))
    with pytest.raises(
        DatasetError, match=r"holds other pictures \(5\) than the reports \(8\): val05 is not among them"
    ):
        compare(runs, data=f"folder:{other}", **QUICK)
    renamed = write_folder(tmp_path / "renamed", 1, 8, (32, 40), ("ground", "box", "ball"))
    with pytest.raises(DatasetError, match=r"only `data` has ball; only the report good has disc"):
        compare(runs, data=f"folder:{renamed}", **QUICK)
    larger = write_folder(tmp_path / "larger", 1, 8, (48, 40))
    with pytest.raises(DatasetError, match=r"val00: its labels in `data` are not those that the reports were made on"):
        compare(runs, data=f"folder:{larger}", out=tmp_path / "out", **QUICK)


# The command line.


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [written(tmp_path / f"network-{k}", made(0.9 - k / 20)) for k in range(9)]


@pytest.mark.parametrize("columns", [80, 120])
def test_tables_fit_the_terminal_and_say_what_is_left_out(tarsia, runs, columns):
    code, out, err = tarsia("compare", *runs, "--permutations", 2000, columns=columns)
    assert code == 0 and not err
    assert max(map(len, out.splitlines())) <= columns
    assert "1 network-0" in out and "95 % interval" in out and "over pictures (12)" in out.replace("\n", " ")
    assert ("Not shown in 80 characters: " in out) == (columns == 80)
    assert out.rstrip().endswith("Comparison: runs/compare/comparison.html")
    assert len(list(Path("runs/compare").iterdir())) == 5
    assert tarsia("compare", *runs[:2], "-q")[1].rstrip().endswith("runs/compare-2/comparison.html")


def test_json_and_options(tarsia, runs):
    options = (
        "--out",
        "out",
        "--level",
        "0.9",
        "--resamples",
        150,
        "--permutations",
        150,
        "--seed",
        3,
        "--names",
        "A, B",
    )
    code, out, err = tarsia("compare", *runs[:2], *options, "--json")
    found = json.loads(out)
    assert code == 0 and not err and found == json.loads(Path("out/comparison.json").read_text())
    assert [one["name"] for one in found["models"]] == ["A", "B"]
    assert (found["level"], found["resamples"], found["permutations"], found["seed"]) == (0.9, 150, 150, 3)
    same = compare(runs[:2], level=0.9, resamples=150, permutations=150, seed=3)
    assert found["models"][0]["miou"]["low"] == same.standings[0].miou.low
    assert tarsia("compare", *runs[:2], "--out", "out")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("network-0",), "one report given: a comparison needs two or more"),
        (("network-0", "network-9"), "network-9: not there"),
        (("network-0", "network-1", "--level", "2"), "expected 0.5 or more, and less than 1"),
        (("network-0", "network-1", "--resamples", "5"), "expected 100 or more"),
        (("network-0", "network-1", "--reference-domain", "day"), "reference domain day"),
        (("network-0", "network-1", "--data", "nothing:x"), "unknown data set nothing"),
    ],
)
def test_faults_are_one_line_and_leave_nothing(tarsia, runs, arguments, said):
    code, out, err = tarsia("compare", *arguments)
    assert code == 2 and not out and said in err and err.startswith("tarsia: ") and "Traceback" not in err
    assert not Path("runs").exists()


def test_strange_names_stay_text(tarsia, tmp_path):
    """Markup of the terminal in names of runs and classes is neither obeyed nor an error."""
    strange = Classes(names=("[red]road", "[/]", "tree"), colors=((0, 0, 0),) * 3)
    paths = [written(tmp_path / f"[bold]{k}", made(0.8 - k / 10, classes=strange)) for k in range(2)]
    code, out, _ = tarsia("compare", *paths)
    assert code == 0 and "[bold]0" in out and "[red]road" in out and "[/]" in out
