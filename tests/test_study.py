"""Studies: what STUDY.yaml means, what is wrong with bad ones, and one run from end to end, killed on the way."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import yaml
from safetensors.torch import save_file

from small_data import quick_studies
from tarsia import cli, console, studying, yaml_tree
from tarsia.errors import OutputError, RecipeError, TarsiaError
from tarsia.learning.interrupt import Interrupt, Interrupted
from tarsia.recipe import Recipe
from tarsia.studies.process import Call, Work, carry_out
from tarsia.studies.run_state import alone, note_asked, run_folder, seconds_taken, state
from tarsia.studies.scores import is_scored
from tarsia.studies.study import Run, Study, Target, validation
from tarsia.studies.tiny import tiny_study
from tarsia.studying import StudyResult, run_study

STUDIES = sorted((Path(__file__).parents[1] / "studies").glob("*.yaml"))
RECIPE: dict[str, Any] = {
    "data": {"name": "streets", "count": 4, "size": [64, 64], "reach": 12.0, "val_options": {"count": 2}},
    "model": {"name": "unet", "encoder": "test_resnet", "channels": [8, 8, 8, 8, 8]},
    "train": {"epochs": 1, "steps_per_epoch": 2, "batch": 2, "workers": 0, "save_every_seconds": 1e-6},
}
TINY = "recipe: tiny.yaml\n"
STUDY = """\
recipe: tiny.yaml
variations:
  - name: one
  - name: two
    set: {model.convolutions: 2}
seeds: [0, 1]
"""


def write(folder: Path, text: str = STUDY, **train: Any) -> Path:
    """A study and the recipes tiny.yaml and other.yaml beside it."""
    content = RECIPE | {"train": RECIPE["train"] | {"precision": "float32"} | train}
    for name in ("tiny", "other"):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    path = folder / "study.yaml"
    path.write_text(text)
    return path


def faults(folder: Path, text: str, overrides: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        Study.load(write(folder, text), overrides)
    return [line.replace(f"{folder}/", "") for line in str(caught.value).splitlines()]


# ---- what a study means


def test_a_study_is_the_product_of_variations_and_seeds(tmp_path):
    study = Study.load(write(tmp_path))
    assert study.name == "study" and study.evaluate == () and study.reference is None
    assert [run.name for run in study.runs] == ["one-seed0", "one-seed1", "two-seed0", "two-seed1"]
    assert [run.recipe.name for run in study.runs] == [run.name for run in study.runs]
    assert [run.recipe.seed for run in study.runs] == [0, 1, 0, 1]
    assert [run.recipe.model.options.get("convolutions") for run in study.runs] == [None, None, 2, 2]
    plain = Recipe.load(tmp_path / "tiny.yaml", ["name=two-seed1", "seed=1", "model.convolutions=2"])
    assert study.runs[3].recipe == plain, "a run is what tarsia train RECIPE --set makes"


def test_recipes_and_data_are_part_of_a_name_where_there_are_several(tmp_path):
    text = "recipes: [tiny.yaml, other.yaml]\nvariations: [{name: x}]\n"
    text += "data: [{name: few, set: {data.count: 2}}, {name: all}]\n"
    assert [run.name for run in Study.load(write(tmp_path, text)).runs] == [
        *("tiny-x-few-seed0", "tiny-x-all-seed0", "other-x-few-seed0", "other-x-all-seed0"),
    ]
    assert [run.name for run in Study.load(write(tmp_path, "recipe: tiny.yaml\n")).runs] == ["tiny-seed0"]


def test_later_settings_win(tmp_path):
    text = (
        "recipe: tiny.yaml\nset: {train.epochs: 2, train.batch: 3, train.momentum: 0.5, train.learning_rate: 1e-3}\n"
        "data: [{name: d, set: {train.batch: 4, train.momentum: 0.6}}]\n"
        "variations: [{name: v, set: {train.momentum: 0.7, model.channels: [8, 8]}}]\n"
    )
    (run,) = Study.load(write(tmp_path, text), ["train.learning_rate=2e-3"]).runs
    settings = run.recipe.train
    assert (settings.epochs, settings.batch, settings.momentum, settings.learning_rate) == (2, 4, 0.7, 2e-3)
    assert run.recipe.model.options["channels"] == [8, 8]
    text = TINY + "set: {train.batch: 3}\n"
    text += "data: [{name: d, set: {train.batch: 4}}]\nvariations: [{name: v, set: {train.batch: 3}}]\n"
    assert Study.load(write(tmp_path, text)).runs[0].recipe.train.batch == 3, "the same words again, but last"


def test_further_pictures_are_a_split_options_or_another_data_set(tmp_path):
    text = STUDY + (
        "evaluate:\n  - {name: test, split: test}\n  - {name: far, options: {reach: 50.0}}\n"
        "  - {name: camvid, data: 'camvid:data/camvid,split=test'}\n"
    )
    study = Study.load(write(tmp_path, text))
    recipe = study.runs[0].recipe
    own = {"size": [64, 64], "reach": 12.0, "count": 2}
    assert validation(recipe) == Target("streets", None, "val", own)
    assert [one.target(recipe) for one in study.evaluate] == [
        Target("streets", None, "test", own),
        Target("streets", None, "val", own | {"reach": 50.0}),
        Target("camvid", "data/camvid", "test", {}),
    ]
    assert validation(recipe).spec == "streets,count=2,reach=12.0,size=64x64"
    assert study.evaluate[2].target(recipe).spec == "camvid:data/camvid"
    assert len(study.evaluate[0].target(recipe).open()) == 2


def test_only_chooses_single_runs_or_all_of_a_variation(tmp_path):
    study = Study.load(write(tmp_path))
    assert [run.name for run in study.chosen(["two"])] == ["two-seed0", "two-seed1"]
    assert [run.name for run in study.chosen(["two-seed1", "one"])] == ["one-seed0", "one-seed1", "two-seed1"]
    assert study.chosen() == list(study.runs)
    with pytest.raises(RecipeError, match=r"only=\['tow'\]: .*study.yaml has no such run, did you mean two\?"):
        study.chosen(["one", "tow"])


# ---- what is wrong with it


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("variations: []\n", ["study.yaml: give either recipe: FILE or recipes: [FILE, FILE]"]),
        ("recipe: tinny.yaml\n", ["study.yaml:1: recipe: no file tinny.yaml, did you mean tiny.yaml?"]),
        ("recipes: [tiny.yaml, otter.yaml]\n", ["study.yaml:1: recipe: no file otter.yaml, did you mean other.yaml?"]),
        ("recipe: 5\n", ["study.yaml:1: recipe: Input should be a valid string, got 5"]),
        (TINY + "variation: []\n", ["study.yaml:2: variation: unknown key, did you mean variations?"]),
        (TINY + "name: a/b\n", ["study.yaml:2: name: it names a folder, without /, got 'a/b'"]),
        (TINY + "variations:\n  - {nme: a}\n", [
            "study.yaml:3: variations.0.name: is missing",
            "study.yaml:3: variations.0.nme: unknown key, did you mean name?",
        ]),
        (TINY + "variations: one\n", ["study.yaml:2: variations: Input should be a valid tuple, got 'one'"]),
        (TINY + "variations: [{name: 3}]\n", ["study.yaml:2: variations.0.name: Input should be a valid str"]),
        (TINY + "variations: [{name: a, set: x}]\n", ["study.yaml:2: variations.0.set: "]),
        (TINY + "variations:\n  - {name: a}\n  - {name: a}\n", ["study.yaml: two trainings are named a-seed0"]),
        (TINY + "seeds: [1, 1]\n", ["study.yaml: two trainings are named tiny-seed1"]),
        (TINY + "seeds: [-1]\n", ["study.yaml:2: seeds.0: Input should be greater than or equal to 0"]),
        (TINY + "seeds: []\n", ["study.yaml:2: seeds: expected at least 1, got []"]),
        (TINY + "set: {seed: 3}\n", ["study.yaml:2: set.seed: the study says it itself"]),
        (TINY + "set: {data.val: null}\n", ["tiny.yaml: data.val is null, and a study compares scores on it"]),
        (TINY + "set:\n  train.epocs: 3\n", ["study.yaml:3: train.epocs: unknown key, did you mean epochs?"]),
        (TINY + "set: {model.name.x: 3}\n", ["study.yaml:2: model.name is 'unet', it has no keys"]),
        (TINY + "set: {model: 3}\n", ["study.yaml:2: model: expected keys and values below it, got 3"]),
        (TINY + "variations:\n  - {name: a}\n  - name: b\n    set:\n      model.convolutons: 2\n", [
            "study.yaml:6: model.convolutons: unknown key, did you mean convolutions?",
        ]),
        (TINY + "variations:\n  - {name: a}\n  - {name: b, set: {model.name: msanet}}\n", [
            "study.yaml:4: tiny.yaml:11: model.channels: unknown key",
            "study.yaml:4: tiny.yaml:17: model.encoder: unknown key",
        ]),
        (TINY + "evaluate: [{name: a}]\n", ["study.yaml:2: evaluate.0: nothing but data.val, which is scored"]),
        (TINY + "evaluate: [{name: a, options: {cuont: 3}}]\n", [
            "study.yaml:2: evaluate.0.options.cuont: unknown key, did you mean count?",
        ]),
        (TINY + "evaluate: [{name: a, data: camvd}]\n", [
            "study.yaml:2: evaluate.0.data: unknown data set camvd, did you mean camvid?",
        ]),
        (TINY + "evaluate: [{name: a, data: 'a b'}]\n", ["study.yaml:2: evaluate.0.data: 'a b': no data set's"]),
        (TINY + "evaluate: [{name: a, data: 'streets,split=val', split: test}]\n", [
            "study.yaml:2: evaluate.0.data: split is val in streets,split=val and test beside it",
        ]),
        (TINY + "evaluate: [{name: a, split: x}, {name: a, split: y}]\n", ["study.yaml:2: evaluate: two are"]),
        (STUDY + "reference: three\n", ["study.yaml:7: reference: no variation three; known: one, two"]),
        (STUDY + "claims:\n  - {says: x, better: one, than: tow}\n  - {says: x, better: one, than: one, on: test}\n", [
            "study.yaml:8: claims.0.than: no variation tow, did you mean two?",
            "study.yaml:9: claims.1.than: one cannot be better than itself",
            "study.yaml:9: claims.1.on: nothing under evaluate is named test",
        ]),
        (STUDY + "claims: [{says: x, better: one, than: two, figure: mIoU}]\n", [
            "study.yaml:7: claims.0.figure: no figure mIoU; known: boundary_f1, boundary_iou, miou,",
        ]),
    ],
)  # fmt: skip
def test_a_bad_study_is_told_with_line_and_remedy(tmp_path, text, expected):
    found = faults(tmp_path, text)
    assert len(found) == len(expected), found
    assert all(one.startswith(start) for one, start in zip(found, expected, strict=True)), found


def test_all_faults_of_a_study_and_its_recipes_come_at_once(tmp_path):
    text = (
        "recipe: tiny.yaml\nnmae: x\nvariations:\n  - name: a\n    set: {train.epocs: 1}\n  - nam: b\n"
        "  - name: c\n    set:\n      train.batch: 0\nevaluate:\n  - {name: d, options: {cuont: 3}}\n"
    )
    assert sorted(line.partition(": ")[0] for line in faults(tmp_path, text)) == [
        *("study.yaml:2", "study.yaml:5", "study.yaml:6", "study.yaml:6", "study.yaml:9"),
    ]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed=3", "overrides=['seed=3']: study.yaml varies seed from run to run; `only` chooses runs"),
        ("model.convolutions=1", "overrides=['model.convolutions=1']: study.yaml varies model.convolutions"),
        ("train.epocs=1", "overrides=['train.epocs=1']: train.epocs: unknown key, did you mean epochs?"),
    ],
)
def test_a_setting_of_the_command_line_may_not_undo_the_study(tmp_path, override, expected):
    (found,) = faults(tmp_path, STUDY, (override,))
    assert found.startswith(expected)


# ---- what is there already


def pretend(folder: Path, run: Any, **settled: Any) -> None:
    """A finished run's folder, as far as a study looks at it."""
    train = run.recipe.train.model_copy(update=settled)
    yaml_tree.dump(folder / "recipe.yaml", run.recipe.model_copy(update={"train": train}))
    (folder / "counts.npz").touch()
    (folder / "report.html").touch()
    (folder / "environment.json").write_text('{"created": "2026-11-20T15:00:00+00:00"}')
    (folder / "report.json").write_text('{"miou": 0.5, "provenance": {"created": "2026-11-20T15:01:40+00:00"}}')
    (folder / "metrics.csv").write_text("epoch,seconds\n1,30.5\n")


@pytest.mark.parametrize(
    ("override", "kind", "detail"),
    [
        (None, "finished", "mIoU 0.5000"),
        ("train.workers=3", "finished", ""),
        ("data.cache=elsewhere", "finished", ""),
        ("expected={miou: [0, 1], source: x}", "finished", ""),
        ("train.epochs=3", "changed", "train.epochs is 1 there and 3 in the study"),
        ("data.reach=13.0", "changed", "data.reach is 12.0 there and 13.0 in the study"),
        ("data.seed=7", "changed", "data.seed is not set there and 7 in the study"),
        ("augment.blur={}", "changed", "augment.blur.probability is not set there and 0.2 in the study"),
        ("input.size=[1, 2]", "changed", "input.size is not set there and [1, 2] in the study"),
    ],
)
def test_a_finished_run_is_one_of_the_same_recipe(tmp_path, override, kind, detail):
    path = write(tmp_path)
    pretend(run_folder(tmp_path, Study.load(path).runs[0]), Study.load(path).runs[0])
    run = Study.load(path, [override] if override else []).runs[0]
    now = state(tmp_path, run)
    assert now.kind == kind and now.detail.startswith(detail)


def test_a_run_of_before_began_with_other_scores(tmp_path):
    run = Study.load(write(tmp_path)).runs[0]
    pretend(run_folder(tmp_path, run), run)
    stored = run_folder(tmp_path, run) / "recipe.yaml"
    stored.write_text(stored.read_text().replace(f"  head_start: {run.recipe.model.head_start}\n", ""))
    assert state(tmp_path, run).kind == "changed"
    assert state(tmp_path, run).detail.startswith('model.head_start is "he" there and ')
    assert state(tmp_path, Study.load(write(tmp_path), ["model.head_start=he"]).runs[0]).kind == "finished"


def test_what_a_training_measures_itself_is_no_change_but_what_was_asked_is(tmp_path):
    path = write(tmp_path, precision="auto", class_weights="median_frequency")
    run = Study.load(path).runs[0]
    pretend(run_folder(tmp_path, run), run, precision="bfloat16", class_weights=(1.0,) * 13)
    assert state(tmp_path, run).kind == "finished"
    note_asked(tmp_path, run)
    assert state(tmp_path, run).kind == "finished"
    assert state(tmp_path, Study.load(path, ["train.precision=float32"]).runs[0]).kind == "changed"
    other = state(tmp_path, Study.load(path, ["train.class_weights=root_median_frequency"]).runs[0])
    assert other.detail.startswith('train.class_weights is "median_frequency" there and "root_median_frequency" in')


def test_what_the_file_of_the_weights_states_is_no_change(tmp_path):
    """Licence, mean, deviation and padding stand in a run's recipe as the training has read them."""
    file = tmp_path / "encoder.safetensors"
    told = {"license": "Apache-2.0", "mean": "0.5,0.5,0.5", "std": "0.5,0.5,0.5", "pad": "SAME"}
    save_file(timm.create_model("test_efficientnet").state_dict(), file, metadata=told)
    path = write(tmp_path, STUDY.replace("[0, 1]", "[0]"))
    out, weights = tmp_path / "out", ["model.encoder=test_efficientnet", f"model.weights={file}"]
    with quick_studies():
        study = Study.load(path, weights)
        assert run_study(study, out=out, only=["one"], device="cpu").exit_code == 0
    model = Recipe.load(out / "one-seed0" / "recipe.yaml").model
    assert (model.licence, model.options["std"]) == ("Apache-2.0", [0.5, 0.5, 0.5])
    assert model.options["encoder_options"] == {"pad_type": "same"}
    assert state(out, study.runs[0]).kind == "finished"
    for other in ("model.licence=MIT", "model.std=[0.2, 0.2, 0.2]", "model.encoder_options.pad_type=''"):
        assert state(out, Study.load(path, [*weights, other]).runs[0]).kind == "changed"


def test_a_run_is_missing_started_finished_or_a_stranger(tmp_path):
    run = Study.load(write(tmp_path)).runs[0]
    folder = run_folder(tmp_path, run)
    assert state(tmp_path, run).kind == "missing"
    folder.mkdir()
    (folder / ".recipe.yaml.123.part").touch()  # killed while it wrote its first file
    assert state(tmp_path, run).kind == "missing"
    pretend(folder, run)
    assert state(tmp_path, run).kind == "finished"
    for name in ("report.html", "report.json", "counts.npz"):
        (folder / name).unlink()
        assert state(tmp_path, run) == ("started", "after epoch 1 of 1")
    (folder / "recipe.yaml").write_text("nonsense: 1\n")
    assert state(tmp_path, run).kind == "changed" and "not sound" in state(tmp_path, run).detail
    (folder / "recipe.yaml").unlink()
    assert state(tmp_path, run).kind == "changed" and state(tmp_path, run).detail.endswith("but no recipe.yaml")


def test_how_long_a_run_took_is_by_the_clock_or_by_its_epochs_if_it_was_stopped(tmp_path):
    run = Study.load(write(tmp_path)).runs[0]
    folder = run_folder(tmp_path, run)
    assert seconds_taken(folder) == 0
    pretend(folder, run)
    assert seconds_taken(folder) == 100
    (folder / "environment.json").write_text('{"created": "2026-11-20T12:00:00+00:00", "resumed": [{}]}')
    assert seconds_taken(folder) == 30.5


def test_a_study_of_too_many_trainings_is_refused_at_once(tmp_path):
    names = [{"name": f"n{k}", "set": {"train.epochs": 1}} for k in range(1100)]
    path = write(tmp_path, json.dumps({"recipe": "tiny.yaml", "variations": names, "data": names}))
    with pytest.raises(RecipeError, match=r"study\.yaml: 1,210,000 trainings of .* too many"):
        Study.load(path)


def got(folder: Path, run: Run) -> bool:
    with alone(folder, run) as mine:
        return mine


def test_of_two_processes_one_is_at_work_on_a_run(tmp_path):
    run = Study.load(write(tmp_path)).runs[0]
    with alone(tmp_path, run) as mine, ThreadPoolExecutor(1) as elsewhere:
        assert mine and not elsewhere.submit(got, tmp_path, run).result()
        assert state(tmp_path, run).kind == "missing", "the lock is nothing of a training"
    with alone(tmp_path, run) as again:
        assert again


# ---- processes of their own


def answer(text: str) -> str:
    return f"{text} of {os.getpid()}"


def complain(error: Exception) -> str:
    raise error


def stop() -> str:
    raise Interrupted(15, "saved")


def die() -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


def meet(folder: Path, own: str, other: str) -> str:
    """Waits for the other one to be there too."""
    (folder / own).touch()
    until((folder / other).exists)
    return f"{own} met {other}"


def stay(folder: Path, own: str) -> str:
    """Waits to be stopped."""
    with Interrupt() as interrupt:
        (folder / own).touch()
        until(lambda: interrupt.number is not None)
        (folder / f"{own}-saved").touch()
        raise Interrupted(interrupt.number or 0, f"{own} saved")


def until(true: Callable[[], bool]) -> None:
    for _ in range(20_000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it never was")


def noting(function: Callable[..., str], *arguments: Any, into: list[Any]) -> Work:
    try:
        into.append((yield Call(function, arguments)))
    except TarsiaError as error:
        into.append(error)


def apart(function: Callable[..., str], *arguments: Any) -> str:
    into: list[Any] = []
    carry_out([noting(function, *arguments, into=into)])
    if isinstance(into[0], TarsiaError):
        raise into[0]
    return str(into[0])


def test_calls_at_once_are_under_way_together_and_are_stopped_together(tmp_path):
    into: list[Any] = []
    pairs = [(tmp_path, "a", "b"), (tmp_path, "b", "a")]
    carry_out((noting(meet, *pair, into=into) for pair in pairs), at_once=2)
    assert sorted(into) == ["a met b", "b met a"]
    waiting = [noting(stay, tmp_path, name, into=into) for name in ("c", "d", "e")]
    watching(
        lambda: all((tmp_path / name).exists() for name in ("c", "d")), lambda: os.kill(os.getpid(), signal.SIGINT)
    )
    with pytest.raises(Interrupted, match=r"[cd] saved") as stopped:
        carry_out(iter(waiting), at_once=2)
    assert stopped.value.number == signal.SIGINT and len(into) == 2
    assert all((tmp_path / f"{name}-saved").exists() for name in ("c", "d")) and not (tmp_path / "e").exists()


def test_a_call_apart_answers_or_says_why_not(capfd):
    assert apart(answer, "word").startswith("word of ") and not apart(answer, "word").endswith(str(os.getpid()))
    for call, message in (
        ((complain, OutputError("the disk is full")), "^the disk is full$"),
        ((complain, ValueError("odd")), "^ValueError: odd$"),
        ((die,), "^killed by SIGKILL, and said nothing: was memory used up"),
    ):
        with pytest.raises(TarsiaError, match=message):
            apart(*call)
    with pytest.raises(Interrupted, match="saved") as stopped:
        apart(stop)
    assert stopped.value.exit_code == 143


# ---- from end to end


def watching(when: Callable[[], bool], act: Callable[[], None]) -> None:
    """Calls `act` once, as soon as `when` holds."""

    def watch() -> None:
        end = time.monotonic() + 250
        while not when() and time.monotonic() < end:
            time.sleep(0.003)
        if when():
            act()

    threading.Thread(target=watch, daemon=True).start()


def kill_children() -> None:
    for child in multiprocessing.active_children():
        child.kill()


FEW = {"device": "cpu", "resamples": 100, "permutations": 100}
EXPECTED = STUDY + "set:\n  expected: {miou: [0.9, 1.0], source: a test}\nreference: one\n"
CLAIMS = """\
claims:
  - {says: two are better, better: two, than: one, source: a | test}
  - {says: at night too, better: two, than: one, on: night}
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyResult]:
    """A study that was stopped in its first run, killed in its second, and then finished."""
    folder = tmp_path_factory.mktemp("study")
    path, out = write(folder, EXPECTED, steps_per_epoch=3), folder / "out"
    first, second = out / "one-seed0", out / "one-seed1"
    watching((first / "resume" / "state.safetensors").is_file, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted, match=r"^SIGTERM: saved after step \d; go on with the same command$") as stopped:
        run_study(path, out=out, **FEW)
    assert stopped.value.exit_code == 130 and not second.exists()
    watching((second / "resume" / "state.safetensors").is_file, kill_children)
    killed = run_study(path, out=out, only=["one"], **FEW)
    assert killed.exit_code == 2 and list(killed.failed) == ["one-seed1"] and "SIGKILL" in killed.failed["one-seed1"]
    assert [now.kind for now in killed.states.values()] == ["finished", "started"]
    assert killed.said[-1] == "comparison: there is nothing to compare one-seed0 with"
    shared = run_study(path, out=out, part=(2, 2), processes=2, **FEW)
    assert {name: now.kind for name, now in shared.states.items()} == {
        "one-seed0": "finished",
        "one-seed1": "started",
        "two-seed0": "finished",
        "two-seed1": "finished",
    }
    assert not shared.comparisons and shared.said == [
        "part 2/2: 2 of its 2 runs finished; the same command without a part compares all, "
        "and trains what then is missing"
    ]
    return path, run_study(path, out=out, **FEW)


def snapshot(folder: Path) -> dict[str, int]:
    """When each file of the runs was last written."""
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.glob("*-seed*/**/*")) if path.is_file()}


def test_what_nothing_takes_is_refused(tmp_path):
    with pytest.raises(TypeError, match="neither run_study nor compare takes overrides"):
        run_study(write(tmp_path), overrides=["train.epochs=2"])


def test_what_was_stopped_and_killed_is_resumed(done):
    _, result = done
    assert result.exit_code == 0 and {now.kind for now in result.states.values()} == {"finished"}
    for name, resumed in (("one-seed0", True), ("one-seed1", True), ("two-seed0", False), ("two-seed1", False)):
        facts = json.loads((result.folder / name / "environment.json").read_text())
        assert ("resumed" in facts) == resumed, name
        assert facts["command"] == f"tarsia train {result.folder}/recipes/{name}.yaml --out {result.folder}/{name}"
        wanted, there = Recipe.load(asked(result.folder, name)), Recipe.load(result.folder / name / "recipe.yaml")
        assert (wanted.train.memory_format, wanted.train.threads) == ("auto", None)
        assert there.train.memory_format != "auto" and there.train.threads is not None and there.train.processes == 1
        settled = ("memory_format", "threads", "processes")
        measured = {key: getattr(there.train, key) for key in settled}
        assert there == wanted.model_copy(update={"train": wanted.train.model_copy(update=measured)})
    layouts = [Recipe.load(path).train.memory_format for path in sorted(result.folder.glob("one-seed*/recipe.yaml"))]
    assert layouts[0] == layouts[1], "a seed takes what the first has measured"


def asked(folder: Path, name: str) -> Path:
    return folder / "recipes" / f"{name}.yaml"


def test_seeds_are_pooled_and_compared(done):
    _, result = done
    ((folder, comparison),) = result.comparisons.items()
    assert folder == result.folder / "comparison" and sorted(comparison.names) == ["one", "two"]
    assert [len(one.model.mious) for one in comparison.standings] == [2, 2]
    assert {"comparison.json", "comparison.csv", "comparison.html"} <= {path.name for path in folder.iterdir()}


def test_reference_and_expectations_are_said(done):
    _, result = done
    assert [line.partition(":")[0] for line in result.said] == ["comparison"]
    (comparison,) = result.comparisons.values()
    judged = [line for line in comparison.notes if line.endswith("(a test)")]
    assert [line.partition(":")[0] for line in judged] == ["one-seed0", "one-seed1", "two-seed0", "two-seed1"]
    assert all(": not reached: miou 0." in line for line in judged)
    pair = comparison.pairs[0]
    sign = 1 if comparison.names[0] == "two" else -1
    assert f"two against one: mIoU {sign * pair.difference.value:+.4f} [" in result.said[0]
    report = json.loads((result.folder / "two-seed0" / "report.json").read_text())
    assert report["expected"]["outcome"] == "not reached" and report["expected"]["miou"] == [0.9, 1.0]
    assert report["expected"]["verdict"] == judged[2].removeprefix("two-seed0: ")
    assert f"expected: {report['expected']['verdict']}" in (result.folder / "two-seed0" / "log.txt").read_text()


def test_claims_are_judged_where_both_are_there(done, tmp_path):
    """Of the fixture's two seeds, so that none is decided; `night` is scored here."""
    _, result = done
    night = "evaluate: [{name: night, split: test, options: {count: 4, condition: night}}]\n"
    study = Study.load(write(tmp_path, EXPECTED + night + CLAIMS, steps_per_epoch=3))
    found = run_study(study, out=result.folder, only=["two"], **FEW)
    assert found.claims == [] and found.said[-1] == f"Claims: {result.folder / 'claims.md'}"
    rows = [line for line in (result.folder / "claims.md").read_text().splitlines() if line.startswith("| ")]
    assert len(rows) == 4 and all("| not judged: one not trained | two less one |" in row for row in rows[2:])
    found = run_study(study, out=result.folder, **FEW)
    assert found.exit_code == 0 and [one.place for one in found.claims] == [0, 1]
    own, dark = (one.judged for one in found.claims)
    assert (own.better, own.than, own.verdict) == ("two", "one", "undecided")
    mious = {one.name: one.model.mious for one in found.claims[1].comparison.standings}
    expected = [first - second for first, second in zip(mious["two"], mious["one"], strict=True)]
    assert dark.differences == pytest.approx(expected)
    card = (result.folder / "claims.md").read_text()
    assert "| two are better (a \\| test) | undecided | mIoU of two less one, 2 seeds, streets val |" in card
    assert "| at night too | undecided | mIoU of two less one, 2 seeds, streets test |" in card
    assert "| 4 trainings, 0 min |" in card and "are fewer than 3 seeds" in " ".join(card.split())
    page = (result.folder / "comparison-night" / "comparison.html").read_text()
    assert "at night too" in page and "two are better" not in page


def test_what_others_have_finished_meanwhile_is_compared(done, tmp_path, monkeypatch):
    """Of two commands on one study the last to end has it all, though it trained none of it."""
    path, result = done
    out = tmp_path / "out"

    def by_others(works: Any, processes: int) -> None:
        shutil.copytree(result.folder, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns("comparison*"))

    monkeypatch.setattr(studying, "carry_out", by_others)
    found = run_study(path, out=out, **FEW)
    assert {now.kind for now in found.states.values()} == {"finished"} and list(found.comparisons) == [
        out / "comparison"
    ]


def test_further_pictures_are_scored_once_and_compared_by_themselves(done, tmp_path):
    _, result = done
    text = EXPECTED + (
        "evaluate:\n  - name: test\n    split: test\n    options: {count: 4, condition: clear+night}\n"
        "    reference_domain: night\n"
    )
    study = Study.load(write(tmp_path, text, steps_per_epoch=3))
    before = snapshot(result.folder)
    found = run_study(study, out=result.folder, only=["two"], **FEW)
    assert [folder.name for folder in found.comparisons] == ["comparison", "comparison-test"]
    assert [one.names for one in found.comparisons.values()] == [["two"], ["two"]]
    own, test = found.comparisons.values()
    assert len(own.pictures.names) == 2 and len(test.pictures.names) == 4
    assert (own.reference_domain, test.reference_domain) == (None, "night")
    assert (own.pictures.protocol["split"], test.pictures.protocol["split"]) == ("val", "test")
    after = snapshot(result.folder)
    assert {name: after[name] for name in before} == before, "the trainings are left alone"
    assert {Path(name).parent.name for name in after.keys() - before.keys()} == {"test", "pictures"}
    provenance = json.loads((result.folder / "two-seed0/evaluations/test/report.json").read_text())["provenance"]
    spec = "streets,count=4,reach=12.0,size=64x64,condition=clear+night"
    assert provenance["command"] == f"tarsia evaluate {result.folder}/two-seed0 --data {spec} --split test"
    runs = {run.name: run for run in study.runs}
    assert is_scored(result.folder, runs["two-seed0"], study.evaluate[0])
    assert not is_scored(result.folder, runs["one-seed0"], study.evaluate[0])
    scored = result.folder / "two-seed1/evaluations/test/scored.json"
    scored.write_text(scored.read_text().replace('"model_sha256": "', '"model_sha256": "0'))
    assert not is_scored(result.folder, runs["two-seed1"], study.evaluate[0]), "that was another model"


def tarsia(capsys: Any, monkeypatch: Any, *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and error of the command line."""
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["tarsia", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    console.quiet(False)
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_the_command_prints_plan_result_or_one_error(done, tmp_path, capsys, monkeypatch):
    path, result = done
    code, out, err = tarsia(capsys, monkeypatch, "compare", "--study", path, "--dry-run", "--out", tmp_path / "new")
    assert code == 0 and "two-seed1" in out and "4 of 4 to do; then compare in" in out and not err
    assert not (tmp_path / "new").exists()
    _, out, _ = tarsia(capsys, monkeypatch, "compare", "--study", path, "--dry-run", "--out", tmp_path, "--part", "2/2")
    assert "two-seed1" in out and "one-seed0" not in out and "2 of 2 to do\n" in out
    before = snapshot(result.folder)
    ask = ("compare", "--study", path, "--out", result.folder, "--only", "two")
    code, out, err = tarsia(capsys, monkeypatch, *ask, "--resamples", 100, "--permutations", 100, "--json")
    assert code == 0 and "run 2 of 2, two-seed1: finished, mIoU 0." in err
    facts = json.loads(out)
    assert list(facts["comparisons"]) == ["comparison"] and facts["failed"] == {}
    assert [now["kind"] for now in facts["runs"].values()] == ["finished", "finished"]
    assert snapshot(result.folder) == before
    code, out, err = tarsia(capsys, monkeypatch, *ask, "--set", "train.epocs=3")
    assert (code, out) == (2, "") and err.startswith("tarsia: --set train.epocs=3: train.epocs: unknown key, did you")
    for arguments, message in (
        (("--only", "x"), "are for --study"),
        (("--dry-run",), "are for --study"),
        (("--part", "1/2"), "are for --study"),
        (("--study", path, "--part", "3/2"), "--part is 3/2: expected K/N"),
        (("--study", path, "--part", "a"), "--part a: expected K/N"),
        (("--study", path, "--processes", "0"), "expected 1 or more"),
        (("some", "report", "--study", path), "leave out reports"),
        (("--study", path, "--data", "camvid:x"), "leave out reports"),
    ):
        code, out, err = tarsia(capsys, monkeypatch, "compare", *arguments)
        assert code == 2 and message in err


def test_another_recipe_is_refused_before_anything_and_trained_anew_only_with_overwrite(done):
    path, result = done
    before = snapshot(result.folder)
    changed = Study.load(path, ["train.learning_rate=0.02"])
    with pytest.raises(OutputError) as caught:
        run_study(changed, out=result.folder, device="cpu")
    names = "one-seed0, one-seed1, two-seed0, two-seed1"
    assert str(caught.value).splitlines() == [
        f"{result.folder}: {names}: not as this study asks: train.learning_rate is 0.001 there and 0.02 in the study",
        "choose another `out`, or train these anew with `overwrite=True`",
    ]
    assert snapshot(result.folder) == before
    plan = run_study(changed, out=result.folder, dry_run=True)
    assert plan.plan is not None and {now.kind for now in plan.states.values()} == {"changed"}
    anew = run_study(changed, out=result.folder, only=["one-seed0"], overwrite=True, device="cpu")
    assert anew.exit_code == 0 and anew.states["one-seed0"].kind == "finished"
    after = snapshot(result.folder)
    written = {name for name in before if after.get(name) != before[name]}
    assert written and all("/one-seed0/" in name for name in written)
    assert Recipe.load(result.folder / "one-seed0" / "recipe.yaml").train.learning_rate == 0.02


def test_one_that_fails_does_not_keep_the_others(tmp_path):
    text = (
        "recipe: tiny.yaml\nset: {data.reach: 500}\nvariations: [{name: bad}, {name: worse, set: {data.count: -1}}]\n"
    )
    result = run_study(write(tmp_path, text), out=tmp_path / "out", device="cpu")
    assert result.exit_code == 2 and not result.comparisons
    assert "reach is 500" in result.failed["bad-seed0"] and "count is -1" in result.failed["worse-seed0"]
    assert {now.kind for now in result.states.values()} == {"missing"}
    assert result.failures() == [f"failed: {name}: {why}" for name, why in result.failed.items()]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["recipes"]


# ---- studies that ship


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_studies_that_ship_are_sound(path, tmp_path):
    study = Study.load(path, tiny=True)  # with folds it would look at the data
    assert study.name == path.stem and study.reference is not None
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ") and f"tarsia compare --study studies/{path.name}" in text
    result = run_study(study, out=tmp_path / "out", dry_run=True)
    assert {now.kind for now in result.states.values()} == {"missing"} and not (tmp_path / "out").exists()
    assert result.plan is not None and result.plan.row_count == len(study.runs) > 3


def test_every_publication_s_table_has_a_study():
    named = {"attention-fcn", "sis-cnn", "squeeze-excitation", "synthia", "msanet", "augmentation"}
    assert {path.stem for path in STUDIES} >= named


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_studies_that_ship_work_from_end_to_end(path, tmp_path):
    """Its first and its last variation; that the recipes of all are sound, loading it says."""
    study = Study.load(path, tiny=True)
    runs = [run for run in study.runs if run.recipe.seed == study.runs[0].recipe.seed]
    study = replace(study, runs=(runs[0], runs[-1]), reference=None)
    with quick_studies():
        result = run_study(study, tiny=True, out=tmp_path / "out", resamples=100, permutations=100, device="cpu")
    assert result.failures() == []
    assert {now.kind for now in result.states.values()} == {"finished"}
    assert list(result.states) == [runs[0].name, runs[-1].name]
    places = ["comparison", *(f"comparison-{one.name}" for one in study.evaluate)]
    assert sorted(folder.name for folder in result.comparisons) == sorted(places)
    for one in study.evaluate:
        domains = result.comparisons[tmp_path / "out" / f"comparison-{one.name}"].domains
        assert {domain.name for domain in domains} >= {"dawn", "fog", "winter_night"}


def test_a_tiny_study_keeps_what_its_variations_switch(tmp_path):
    text = STUDY + "evaluate: [{name: far, options: {reach: 50.0}, reference_domain: north}]\n"
    study = Study.load(write(tmp_path, text, learning_rate=0.5, epochs=9, batch=4096))
    tiny = tiny_study(study)
    assert tiny.name == "study-tiny" and [run.name for run in tiny.runs] == ["one-seed0", "two-seed0"]
    one, two = (run.recipe for run in tiny.runs)
    assert "convolutions" not in one.model.options and two.model.options["convolutions"] == 2
    assert (one.train.learning_rate, one.train.epochs, one.train.batch, one.data.name) == (0.5, 1, 2, "streets")
    assert one.name == "one-seed0" and tiny.evaluate[0].reference_domain is None
    assert tiny.evaluate[0].target(one).options["condition"] == "all"
    named = run_study(study, tiny=True, dry_run=True)
    assert named.folder == Path("runs/study-tiny")
