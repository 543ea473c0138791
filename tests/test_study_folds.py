"""A study in which every film is left out in turn: what it means, and one from end to end by the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import tarsia
from small_data import tiny, write_films
from tarsia import cli, console, data
from tarsia.engines.model_file import read_card
from tarsia.errors import OutputError, RecipeError
from tarsia.evaluation.confusion import metrics
from tarsia.evaluation.report import Report
from tarsia.own_data import OwnData
from tarsia.recipe import Recipe
from tarsia.studies.run_state import as_other_seeds, note_asked
from tarsia.studies.study import Study, validation
from tarsia.studying import run_study

pytestmark = pytest.mark.timeout(1200)  # four small trainings and more, on a machine that may be busy
FILMS = {"b": (3, 1), "a": (1, 2)}
STUDY = """\
recipe: tiny.yaml
variations:
  - name: one
  - name: two
    set: {model.convolutions: 2}
seeds: [0, 1]
folds: sequence
"""


def write(folder: Path, text: str = STUDY, films: dict[str, tuple[int, int]] | None = None, **section: Any) -> Path:
    """A study, its recipe and its films."""
    root = folder / "films"
    if not root.exists():
        write_films(root, films or FILMS)
    recipe = tiny({"name": "folder", "root": str(root), **section}, steps_per_epoch=1, batch=2)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    (folder / "study.yaml").write_text(text)
    return folder / "study.yaml"


def fault(folder: Path, text: str = STUDY, overrides: tuple[str, ...] = (), **more: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        Study.load(write(folder, text, **more), overrides)
    return str(caught.value).replace(f"{folder}/", "")


# ---- what it means


def test_each_training_once_for_each_fold(tmp_path):
    study = Study.load(write(tmp_path))
    assert [run.name for run in study.runs] == [
        f"{label}-seed{seed}-{fold}" for label in ("one", "two") for seed in (0, 1) for fold in "ab"
    ]
    first = study.runs[0]
    assert (first.label, first.seed_name, first.fold) == ("one", "one-seed0", "a")
    assert first.recipe.name == first.name and first.recipe.data.options == {"folds": "sequence", "fold": "a"}
    target = validation(first.recipe)
    assert target.is_fold and [sample.name for sample in target.open()] == ["a_000", "a_001", "a_002"]
    assert len(target.whole.open()) == 7 and validation(study.runs[1].recipe).whole == target.whole
    plain = Recipe.load(tmp_path / "tiny.yaml", ["name=two-seed1-b", "seed=1", "model.convolutions=2"])
    assert study.runs[-1].recipe == Recipe.model_validate(
        plain.model_dump() | {"data": plain.data.model_dump() | {"folds": "sequence", "fold": "b"}}
    )


def test_only_chooses_a_fold_or_a_seed(tmp_path):
    study = Study.load(write(tmp_path))
    assert [run.name for run in study.chosen(["one-seed0"])] == ["one-seed0-a", "one-seed0-b"]
    assert {run.fold for run in study.chosen(["b"])} == {"b"} and len(study.chosen(["b"])) == 4


def test_a_fold_of_any_name_is_one_folder(tmp_path):
    root = tmp_path / "films"
    for kind in ("images", "labels"):
        for split in ("train", "val"):
            (root / split / kind / "c").mkdir(parents=True)
    write_films(root, {"c/%2F": (1, 1), "c/e": (1, 0), "d, e": (1, 0)})
    study = Study.load(write(tmp_path, "recipe: tiny.yaml\nfolds: sequence\n"))
    assert [run.name for run in study.runs] == ["tiny-seed0-c%2F%252F", "tiny-seed0-c%2Fe", "tiny-seed0-d, e"]
    assert data.open_spec(validation(study.runs[2].recipe).spec, split="val").name(0) == "d, e_000"


def test_what_is_expected_is_expected_of_all_folds(tmp_path):
    study = Study.load(write(tmp_path, STUDY + "set: {expected: {miou: [0.9, 1.0], source: a test}}\n"))
    assert {run.recipe.expected for run in study.runs} == {None}
    assert study.runs[0].expected is not None and study.runs[0].expected.miou == (0.9, 1.0)


def test_a_fold_takes_what_another_fold_has_measured(tmp_path):
    path = write(tmp_path, "recipe: tiny.yaml\nfolds: sequence\nset: {train.memory_format: auto}\n")
    one, other = Study.load(path).runs
    out = tmp_path / "out"
    note_asked(out, one)
    settled = one.recipe.model_copy(
        update={"train": one.recipe.train.model_copy(update={"memory_format": "channels_last"})}
    )
    from tarsia import yaml_tree

    yaml_tree.dump(out / one.name / "recipe.yaml", settled)
    assert as_other_seeds(out, other).train.memory_format == "channels_last"
    assert as_other_seeds(out, other).data == other.recipe.data


def test_further_pictures_are_no_folds_of_their_own(tmp_path):
    study = Study.load(
        write(tmp_path, STUDY + "evaluate: [{name: more, split: extra}, {name: else, data: 'camvid:x'}]\n")
    )
    targets = {evaluation.target(run.recipe).key for run in study.runs for evaluation in study.evaluate}
    assert len(targets) == 2, "the same pictures for every fold"


# ---- what is wrong with it


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (STUDY.replace("sequence", "drive"), "study.yaml:7: folds: Input should be 'sequence', got 'drive'"),
        (STUDY + "set: {data.fold: a}\n", "study.yaml:8: set.data.fold: the study says it itself, by folds"),
        (STUDY + "evaluate: [{name: x, split: train}]\n", "study.yaml:8: evaluate.0.split: each fold is trained on"),
        (STUDY + "set: {data.root: nowhere}\n", "study.yaml:7: folds: nowhere: no such folder"),
        (STUDY + "set: {data.val: null}\n", "tiny.yaml: data.val is null, and a study compares scores on it"),
    ],
)  # fmt: skip
def test_a_bad_study_is_told(tmp_path, text, said):
    assert fault(tmp_path, text).startswith(said)


def test_data_that_cannot_be_divided_are_told(tmp_path):
    assert "study.yaml:7: folds: folder:films: all 3 pictures are of one" in fault(tmp_path, films={"a": (2, 1)})
    assert "one-seed0: its recipe holds out a already" in fault(tmp_path, folds="sequence", fold="a")
    said = fault(tmp_path, overrides=("data.fold=a",))
    assert said.startswith("overrides=['data.fold=a']: study.yaml varies data.fold from run to run")


def test_a_training_without_folds_is_not_written_over(tmp_path):
    study, out = Study.load(write(tmp_path)), tmp_path / "out"
    (out / "two-seed1").mkdir(parents=True)
    (out / "two-seed1" / "recipe.yaml").write_text("name: other\n")
    with pytest.raises(OutputError, match="two-seed1: holds a training without folds: choose another `out`"):
        run_study(study, out=out)


# ---- from end to end


ONE = "recipe: tiny.yaml\nvariations: [{name: one}]\nseeds: [0, 1]\nfolds: sequence\n"
FEW = ("--resamples", "100", "--permutations", "100", "--device", "cpu")
WHITE = """
from small_data import white_figures, quick_studies
from tarsia.cli import main
with white_figures(), quick_studies():
    main()
"""


def run(monkeypatch: Any, capsys: Any, *words: object) -> tuple[int, str, str]:
    """Exit code, standard output and error of the command line, on a terminal of 80 columns."""
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["tarsia", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    console.quiet(False)
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which the study was done, and what the command printed."""
    folder = tmp_path_factory.mktemp("folds")
    write_films(folder / "other", {"x": (0, 3)})
    write(folder, ONE + "evaluate: [{name: other, data: 'folder:other'}]\n", folds="sequence")
    command = [sys.executable, "-c", WHITE, "compare", "--study", "study.yaml", *FEW]
    environment = os.environ | {"COLUMNS": "80", "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return folder, ended.stdout


@pytest.fixture
def out(done: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The study's folder, seen from where the study is."""
    monkeypatch.chdir(done[0])
    monkeypatch.setenv("COLUMNS", "80")
    return Path("runs") / "study"


def times(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.glob("*-seed*/**/*") if path.is_file()}


def test_the_study_is_trained_compared_and_left_alone(done, out, monkeypatch, capsys):
    said = done[1]
    assert max(map(len, said.splitlines())) <= 80
    assert sorted(path.name for path in out.iterdir() if "seed" in path.name) == sorted(
        f"one-seed{seed}{fold}" for seed in (0, 1) for fold in ("", "-a", "-b")
    )
    assert "mIoU by fold" in said and "a (3)" in said and "b (4)" in said and "7 images" in said
    found = json.loads((out / "comparison" / "comparison.json").read_text())
    assert [(one["name"], one["members"]) for one in found["models"]] == [("one", ["one-seed0", "one-seed1"])]
    assert [(fold["name"], fold["images"]) for fold in found["folds"]] == [("a", 3), ("b", 4)]
    assert found["protocol"]["split"] == "train+val" and found["protocol"]["folds"] == "sequence"
    assert any(note.startswith("Each picture was scored by a model that was trained on") for note in found["notes"])
    assert len(list((out / "comparison" / "pictures").iterdir())) == 6
    before = times(out)
    assert run(monkeypatch, capsys, "compare", "--study", "study.yaml", *FEW)[0] == 0 and times(out) == before


def test_every_picture_is_scored_once_by_a_model_that_has_not_seen_its_film(out):
    for seed_name in ("one-seed0", "one-seed1"):
        total, names = 0, []
        for fold in "ab":
            model = out / f"{seed_name}-{fold}"
            section = read_card(model / "model.safetensors").provenance["recipe"]["data"]
            assert section["fold"] == fold
            own = OwnData.of(model)
            learned, scored = data.open_spec(own.training), data.open_spec(own.held_out())
            assert {sample.sequence for sample in scored} == {fold} and fold not in {one.sequence for one in learned}
            report = tarsia.evaluate(tarsia.load(model), scored)
            total, names = total + report.total_KK1, [*names, *report.names]
        joined = Report.read(out / seed_name)
        assert joined.names == names and sorted(names) == sorted({*names}) and len(names) == 7
        assert np.array_equal(joined.total_KK1, total) and joined.metrics.miou == metrics(total).miou
        assert (out / seed_name / "report.html").is_file()
        recipe = Recipe.load(out / seed_name / "recipe.yaml")
        assert recipe.data.options == {"folds": "sequence"} and recipe.name == seed_name


def test_the_joined_hash_is_that_of_all_pictures(out):
    from tarsia.evaluation.report import data_hash

    whole = data.open_spec("folder:films,folds=sequence,split=train+val")
    assert Report.read(out / "one-seed0").protocol["data_hash"] == data_hash(whole[k] for k in range(len(whole)))


def test_pictures_of_another_data_set_are_scored_by_every_fold(out):
    found = json.loads((out / "comparison-other" / "comparison.json").read_text())
    assert [one["name"] for one in found["models"]] == ["one"] and found["images"] == 3
    assert len(found["models"][0]["members"]) == 4 and found["folds"] == []


def test_joined_reports_are_compared_by_hand(out, monkeypatch, capsys):
    reports = ("runs/study/one-seed0", "runs/study/one-seed1")
    words = ("compare", *reports, "--data", "folder:films", "--no-pool", "--out", "seen", *FEW)
    code, said, _ = run(monkeypatch, capsys, *words)
    assert code == 0 and "mIoU by fold" in said
    assert len(list((Path("seen") / "pictures").iterdir())) in (6, 7)
    found = json.loads((Path("seen") / "comparison.json").read_text())
    assert not [note for note in found["notes"] if "answers otherwise" in note], "each fold is drawn by its own model"
    code, said, error = run(monkeypatch, capsys, "compare", "runs/study/one-seed0-a", "runs/study/one-seed0-b")
    assert code == 2 and "cannot be compared" in error, "two folds are other pictures"


def test_a_run_knows_its_fold(out, monkeypatch, capsys):
    code, _, said = run(monkeypatch, capsys, "evaluate", "runs/study/one-seed0-b", "--out", "again", "--overwrite")
    assert code == 0 and "folds=sequence,fold=b" in said
    assert Report.read("again").metrics.miou == Report.read("runs/study/one-seed0-b").metrics.miou


def test_a_fold_that_is_missing_is_said_and_trained_again(out, monkeypatch, capsys):
    old = Report.read(out / "one-seed1").metrics.miou
    shutil.rmtree(out / "one-seed1-a")
    code, said, _ = run(monkeypatch, capsys, "compare", "--study", "study.yaml", "--only", "b", *FEW)
    words = " ".join(said.split())
    assert code == 0 and "one-seed1: compared once all its 2 folds are finished; missing: a" in words
    code, said, _ = run(monkeypatch, capsys, "compare", "--study", "study.yaml", "--dry-run")
    assert code == 0 and "1 of 4 to do" in said
    assert max(len(line) for line in said.splitlines() if "│" in line) <= 80
    before = times(out)
    assert run(monkeypatch, capsys, "compare", "--study", "study.yaml", *FEW)[0] == 0
    assert {Path(name).relative_to(out).parts[0] for name, when in times(out).items() if before.get(name) != when} == {
        "one-seed1-a"
    }, "the same figures: what was joined of them stays"
    assert Report.read(out / "one-seed1").metrics.miou == old
