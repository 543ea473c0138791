"""Folds: train and val divided anew by sequence: nothing lost, nothing twice, no film on both sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from small_data import write_films
from tarsia import data
from tarsia.card import Classes
from tarsia.checking import check
from tarsia.data._dataset import Dataset, Sample
from tarsia.data._folds import Folds, divided
from tarsia.data._paired import PairedData
from tarsia.errors import DatasetError, RecipeError
from tarsia.recipe import DataRecipe, Recipe

FILMS = {"b": (3, 2), "a": (4, 0), "c/x": (1, 2)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "films").mkdir()
    for folder in ("train/images", "train/labels", "val/images", "val/labels"):
        (tmp_path / "films" / folder / "c").mkdir(parents=True)
    return write_films(tmp_path / "films", FILMS, (8, 8))


def names(dataset: Dataset) -> list[str]:
    return [dataset.name(index) for index in range(len(dataset))]


def opened(root: Path, split: str, fold: str | None = None, **more: Any) -> Dataset:
    return data.open("folder", root, split, folds="sequence", fold=fold, **more)


def test_every_picture_is_in_one_fold_and_no_film_on_both_sides(root):
    everything = [*names(data.open("folder", root, "train")), *names(data.open("folder", root, "val"))]
    assert data.folds("folder", root, {"folds": "sequence"}) == {"a": 4, "b": 5, "c/x": 3}
    scored = []
    for fold in ("a", "b", "c/x"):
        train, val = names(opened(root, "train", fold)), names(opened(root, "val", fold))
        assert sorted(train + val) == sorted(everything) and {name.rpartition("_")[0] for name in val} == {fold}
        assert fold not in {name.rpartition("_")[0] for name in train}
        assert train == [name for name in everything if not name.startswith(f"{fold}_")], "in their old order"
        scored += val
    assert scored == names(opened(root, "train+val")) and sorted(scored) == sorted(everything)


def test_pictures_stay_what_they_were(root, tmp_path):
    before = {sample.name: sample for split in ("train", "val") for sample in data.open("folder", root, split)}
    for cache in (None, tmp_path / "cache"):
        for split in ("train", "val", "train+val"):
            found = opened(root, split, "b", cache=cache)
            assert isinstance(found, Dataset) and found.bands == 3
            for index in range(len(found)):
                sample, old = found[index], before[found.name(index)]
                assert np.array_equal(sample.image, old.image) and np.array_equal(sample.label, old.label)
                assert sample[2:] == old[2:] and sample.sequence == sample.name.rpartition("_")[0]
            with pytest.raises(IndexError):
                found[len(found)]
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 2, "one for all folds"


def test_paired_files_stay_paired_files(root):
    for fold in ("a", "b"):
        parts = [opened(root, split, fold) for split in ("train", "val")]
        assert all(isinstance(part, PairedData) and len(part.pairing.pairs) == len(part) for part in parts)
        assert len({part.fingerprint() for part in parts}) == 2  # type: ignore[attr-defined]
    whole = [opened(root, "train", fold).fingerprint() for fold in ("a", "b")]  # type: ignore[attr-defined]
    assert whole[0] != whole[1], "a cache of one fold is none of another"


def test_the_text_of_a_fold_is_read_again_everywhere(root):
    text = data.spec("folder", root, {"folds": "sequence", "fold": "c/x", "split": "val"})
    assert text == f"folder:{root},split=val,folds=sequence,fold=c/x"
    assert names(data.open_spec(text)) == ["c/x_000", "c/x_001", "c/x_002"]
    assert len(data.open_spec(f"folder:{root},folds=sequence", default_split="train+val")) == 12


def test_another_split_is_what_it_was(tmp_path):
    root = write_films(
        tmp_path, {"a": (4, 0), "b": (4, 0), "c": (4, 0), "d": (4, 0)}, (8, 8), splits=None,
        split={"val": 0.25, "test": 0.25, "group_by": "^(.)"}, images="train/images", labels="train/labels",
    )  # fmt: skip
    test = names(data.open("folder", root, "test"))
    (left,) = {name[0] for name in test}
    found = data.folds("folder", root, {"folds": "sequence"})
    assert found == dict.fromkeys([film for film in "abcd" if film != left], 4)
    for fold in found:
        assert names(opened(root, "test", fold)) == test
        assert not {*test} & {*names(opened(root, "train", fold)), *names(opened(root, "val", fold))}


def test_without_a_val_split_train_alone_is_divided_and_that_is_said(tmp_path, capsys):
    root = write_films(
        tmp_path, {"a": (2, 0), "b": (3, 0)}, (8, 8), splits=None, images="train/images", labels="train/labels"
    )
    assert data.folds("folder", root, {"folds": "sequence"}) == {"a": 2, "b": 3} and not capsys.readouterr().err
    assert names(opened(root, "val", "a")) == ["a_000", "a_001"]
    assert names(opened(root, "train", "a")) == ["b_000", "b_001", "b_002"]
    assert "has no split val: its folds are of train alone" in " ".join(capsys.readouterr().err.split())


def test_splits_of_other_names(tmp_path):
    root = write_films(tmp_path, {"a": (2, 1), "b": (1, 1)}, (8, 8))
    text = (root / "dataset.yaml").read_text().replace("  train:", "  learn:").replace("  val:", "  held:")
    (root / "dataset.yaml").write_text(text)
    section = DataRecipe(name="folder", root=str(root), train="learn", val="held", folds="sequence", fold="a")
    assert section.options == {"folds": "sequence", "fold": "a", "joined": "learn+held"}
    assert names(data.open("folder", root, "learn", **section.options)) == ["b_000", "b_001"]
    assert names(data.open("folder", root, "held", **section.options)) == ["a_000", "a_001", "a_002"]
    with pytest.raises(DatasetError, match="has no split train"):
        opened(root, "train", "a")


@pytest.mark.parametrize(
    ("fold", "said"),
    [
        ("bb", r"folder:\S+: no fold bb, did you mean b\?; there are a \(4\), b \(5\), c/x \(3\)"),
        ("zzz", r"folder:\S+: no fold zzz; there are a \(4\), b \(5\), c/x \(3\)"),
        (None, r"folder:\S+: folds=sequence without fold: say which one is held out: a \(4\), b \(5\), c/x \(3\)"),
    ],
)
def test_a_fold_that_there_is_not(root, fold, said):
    for split in ("train", "val"):
        with pytest.raises(DatasetError, match=said):
            opened(root, split, fold)


@pytest.mark.parametrize(
    ("films", "more", "said"),
    [
        ({"a": (2, 1)}, {}, r"all 3 pictures are of one sequence \(a\): with it held out nothing is left to train on"),
        ({"a": (2, 1)}, {"sequence_by": None}, r"no picture says which sequence it is of \(a_000, a_001, a_002\)"),
        ({"a": (2, 1), "7": (1, 0)}, {"sequence_by": "^([a-z]*)"},
         r"1 of 4 pictures do not say which sequence it is of \(7_000\), and each has to be in one fold: .* sequence"),
    ],
)  # fmt: skip
def test_what_cannot_be_divided(tmp_path, films, more, said):
    root = write_films(tmp_path, films, (8, 8), **more)
    with pytest.raises(DatasetError, match=said):
        opened(root, "train", "a")


def test_one_name_in_both_splits_is_refused(tmp_path):
    root = write_films(tmp_path, {"a": (2, 1), "b": (2, 1)}, (8, 8))
    for kind in ("images", "labels"):
        (root / "val" / kind / "a_002.png").rename(root / "val" / kind / "a_001.png")
    with pytest.raises(DatasetError, match=r"1 name in more than one of the splits that are joined \(a_001\).*rename"):
        opened(root, "train", "a")


def test_what_is_incomplete_is_refused_as_without_folds(root):
    (root / "val" / "labels" / "b_004.png").unlink()
    with pytest.raises(DatasetError, match=r"1 of 4 images .* have no label"):
        opened(root, "train", "a")
    part = data.open_incomplete("folder", root, "train", {"folds": "sequence", "fold": "a"})
    assert isinstance(part, PairedData) and len(part.pairing.images_alone) == 1
    part = data.open_incomplete("folder", root, "val", {"folds": "sequence", "fold": "a"})
    assert isinstance(part, PairedData) and not part.pairing.images_alone, "it is told once"


@pytest.mark.parametrize(
    ("options", "place", "said"),
    [
        ({"fold": "a"}, "fold", "goes with folds, which is not given: add folds=sequence"),
        ({"folds": None, "joined": "a+b"}, "joined", "goes with folds, which is not given"),
        ({"folds": "sequences"}, "folds", "Input should be 'sequence', got 'sequences'"),
        ({"folds": "sequence", "fold": 3}, "fold", "Input should be a valid string, got 3"),
        ({"folds": "sequence", "joined": "train"}, "joined", "expected the names of two splits, as train+val, got"),
        ({"folds": "sequence", "joined": "val+val"}, "joined", "expected the names of two splits"),
        ({"fodls": "sequence"}, "fodls", "unknown key, did you mean folds?"),
    ],
)
def test_options_that_do_not_go_together(options, place, said):
    ((where, what),) = data.option_faults("camvid", options)
    assert where == (place,) and what.startswith(said)
    with pytest.raises(DatasetError, match=f"data set camvid: {place}: "):
        data.open("camvid", "nowhere", **options)


def test_a_recipe_is_told_by_line(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("data:\n  name: streets\n  fold: a\n  val_options: {fold: b}\nmodel: {name: unet}\n")
    with pytest.raises(RecipeError) as caught:
        Recipe.load(path)
    first, second = (line.removeprefix(f"{tmp_path}/") for line in caught.value.args)
    assert first.startswith(
        "r.yaml:1: data: folds are of train and val together: say folds and fold beside name, and no"
    )
    assert second == "r.yaml:3: data.fold: goes with folds, which is not given: add folds=sequence"
    for names in ({"train": "learn", "val": None}, {"joined": "learn+val"}, {"val": "test", "joined": "train+val"}):
        with pytest.raises(ValueError, match=r"the folds are of \w+ and val: train and val have to be these"):
            DataRecipe(name="folder", folds="sequence", fold="a", **names)


class Photos:
    """A data set of somebody's own, which knows the sequences of its samples, or does not."""

    classes = Classes(names=("a", "b"), colors=((1, 2, 3), (4, 5, 6)))

    def __init__(self, films: list[str], start: int = 0, knows: bool = True) -> None:
        self.films, self.start = films, start
        if knows:
            self.sequences = films

    def __len__(self) -> int:
        return len(self.films)

    def __getitem__(self, index: int) -> Sample:
        value = np.full((4, 6), (self.start + index) % 2, np.uint8)
        return Sample(np.stack([value] * 3, 2), value, self.name(index), "", self.films[index])

    def name(self, index: int) -> str:
        return f"p{self.start + range(len(self.films))[index]}"


def of_photos(train: list[str], val: list[str], split: str, fold: str | None = None, knows: bool = True) -> Dataset:
    parts = {"train": Photos(train, knows=knows), "val": Photos(val, len(train), knows)}
    return Folds("sequence", fold, "train", "val").part(split, lambda name: parts[name], "photos")


@pytest.mark.parametrize("seed", range(20))
def test_any_division_is_exact(seed):
    random = np.random.default_rng(seed)
    train, val = (random.choice([*"abcd"], random.integers(1, 12)).tolist() for _ in range(2))
    films = ["a", *train, *val, "b"]
    train, val = films[: len(train) + 1], films[len(train) + 1 :]
    scored = []
    for fold in sorted(set(films)):
        held_out, others = (of_photos(train, val, split, fold) for split in ("val", "train"))
        assert names(others) == [f"p{k}" for k, film in enumerate(films) if film != fold]
        assert {sample.sequence for sample in held_out} == {fold}
        scored += names(held_out)
    assert sorted(scored) == sorted(f"p{k}" for k in range(len(films)))
    assert scored == names(of_photos(train, val, "train+val"))


def test_a_data_set_of_ones_own_says_its_sequences(tmp_path):
    found = of_photos(["a", "b"], ["b", "a"], "val", "b")
    assert [sample.name for sample in found] == ["p1", "p2"] and found.sequences == ["b", "b"]
    with pytest.raises(DatasetError, match=r"photos: no picture says .* its attribute `sequences`"):
        of_photos(["a", "b"], ["b", "a"], "val", "b", knows=False)
    with pytest.raises(DatasetError, match="streets: no picture says which sequence"):
        data.open("streets", None, "train", count=3, folds="sequence", fold="a")
    from tarsia.data._cache import Cached

    keys = {Cached(of_photos(["a", "b"], ["b", "c"], split, "b"), tmp_path).folder for split in ("train", "val")}
    assert len(keys) == 2
    assert divided([Cached(Photos(["a", "b"], knows=False), tmp_path)], "") == {"a": [(0, 0)], "b": [(0, 1)]}


def test_a_check_looks_at_the_fold(root):
    found = check(f"folder:{root},folds=sequence,fold=b")
    assert {name: len(split) for name, split in found.checked.splits.items()} == {"train": 7, "val": 5}
    assert found.checked.layout is not None and not [one for one in found.findings if one.kind == "divided-sequence"]


@pytest.mark.shared
def test_the_drives_of_camvid(shared: Path) -> None:
    root = shared / "data" / "camvid"
    assert data.folds("camvid", root, {"folds": "sequence"}) == {"0001TP": 62, "0006R0": 101, "0016E5": 305}
    assert len(data.open_spec(f"camvid:{root},folds=sequence,fold=0016E5,split=train")) == 163
