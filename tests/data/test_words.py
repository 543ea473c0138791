"""What may stand for a data set, wherever one is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tarsia
from made_models import Made
from made_reports import made, written
from small_data import write_folder
from tarsia import data
from tarsia.data._unlabelled import open_unlabelled
from tarsia.errors import DatasetError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(Path("photos"), 2, 1)


@pytest.mark.parametrize(
    ("word", "spec"),
    [
        ("photos", "folder:photos"),
        ("./photos/", "folder:photos"),
        (Path("photos"), "folder:photos"),
        ("photos/dataset.yaml", "folder:photos"),
        ("photos,split=val", "folder:photos,split=val"),
        ("photos/dataset.yaml,split=val,cache=x", "folder:photos,split=val,cache=x"),
        ("folder:photos", "folder:photos"),
        ("streets,count=3", "streets,count=3"),
        ("catalogue:streets,count=3", "streets,count=3"),
        ("camvid:photos", "camvid:photos"),
        ("fotos", "fotos"),
        ("x.py:Data:photos", "x.py:Data:photos"),
    ],
)
def test_each_way_of_saying_it(word: str | Path, spec: str) -> None:
    assert data.meant(word) == spec


def test_a_comma_in_a_folder_s_name_is_no_option() -> None:
    Path("a, b").mkdir()
    assert data.parse(data.meant("a, b"))[:2] == ("folder", "a, b")
    assert data.parse(data.meant(Path("streets"))) == data.parse("streets")  # nothing of that name is here


@pytest.mark.parametrize(("word", "told"), [("run", "run: a run "), ("mine.yaml", "mine.yaml: a file like a recipe")])
def test_a_run_and_a_recipe_are_no_data(word: str, told: str) -> None:
    Path("run").mkdir()
    for name in ("run/recipe.yaml", "mine.yaml"):
        Path(name).write_text("model: {name: unet}\n")
    with pytest.raises(DatasetError, match=told):
        data.meant(word)
    Path("run/dataset.yaml").write_text("")
    with pytest.raises(DatasetError, match=r"write run/recipe\.yaml or folder:run"):
        data.meant("run")


def _compared(word: str, _: Path) -> None:
    tarsia.compare([written(Path(name), made(seed=seed)) for seed, name in enumerate("ab")], data=word)


ASKING: dict[str, Callable[[str, Path], Any]] = {
    "check": lambda word, model: tarsia.check(word),
    "shard": lambda word, model: tarsia.shard(word, "to"),
    "train": lambda word, model: tarsia.train(word, out="run"),
    "evaluate": lambda word, model: tarsia.evaluate(model, word),
    "compare": _compared,
    "export": lambda word, model: tarsia.export(model, check_on=word),
    "adapt --source": lambda word, model: tarsia.adapt(model, source=word, target="photos/train", out="out"),
    "adapt --target": lambda word, model: tarsia.adapt(model, source="folder:photos", target=word, out="out"),
    "adapt --score": lambda word, model: tarsia.adapt(model, source="photos", target="photos", score=word, out="out"),
}


@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING)
def test_two_meanings_are_refused_by_every_command(ask: Callable[[str, Path], Any], made_models: Made) -> None:
    Path("streets").mkdir()
    with pytest.raises(DatasetError, match=r"streets: the folder of that name and .*: write \./streets or catalogue:"):
        ask("streets", made_models.run)
    assert sorted(path.name for path in Path().iterdir() if path.is_dir()) in (
        ["photos", "streets"],
        ["a", "b", "photos", "streets"],
    )


def test_a_folder_s_path_is_enough() -> None:
    assert tarsia.shard("photos", "shards") == {"train": 2, "val": 1}
    assert len(open_unlabelled("photos,split=val")) == 1 and len(open_unlabelled("photos")) == 2
    assert len(open_unlabelled("catalogue:streets,count=3")) == 3
