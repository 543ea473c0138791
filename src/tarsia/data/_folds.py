"""Folds: two splits joined, and divided anew so that no film, or other sequence, is on both sides.

Every data set takes these options without knowing of them:

    folds=sequence     divide by the sequence of each sample
    fold=NAME          split val is the sequence NAME, split train are all others
    joined=train+val   the two splits that are joined, where their names are others

The split that is named like both, train+val, is all of it, fold after fold.  Any other split, as test, is what it was.
A folder whose dataset.yaml has no split val is divided too: its train alone.
"""

from __future__ import annotations

import copy
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tarsia import console
from tarsia.card import Spec
from tarsia.data._dataset import Dataset, Sample, check_same_classes, picture_of, read_as, spec_of
from tarsia.errors import DatasetError, NoSplitError, nearest
from tarsia.plain_text import number, some
from tarsia.yaml_faults import Fault, short

if TYPE_CHECKING:
    from tarsia.data._pairing import Pairing
    from tarsia.pictures.reader import Picture

OPTIONS: dict[str, Any] = {"folds": Literal["sequence"] | None, "fold": str | None, "joined": str | None}
_JOINED = "train+val"
_SHOWN = 30  # folds named in an error
_NAMED = 3

Place = tuple[int, int]  # which of the joined splits, which of its samples


class Folds(NamedTuple):
    """What is divided, by what, and what is held out; `fold` None where that is not said."""

    by: str
    fold: str | None
    training: str
    held_out: str

    @property
    def whole(self) -> str:
        """The name of both splits as one."""
        return f"{self.training}+{self.held_out}"

    def part(self, split: str, opened: Callable[[str], Dataset], where: str) -> Dataset:
        """`split` of the data set `where`, of which `opened` gives each split undivided.

        Raises DatasetError where the pictures cannot be told apart by name or do not all have a sequence, where there
        is one sequence alone, and for a fold that there is not, with the names of those there are.
        """
        if split not in (self.training, self.held_out, self.whole):
            return opened(split)
        parts = self._parts(opened, where)
        folds = divided(parts, where)
        if split == self.whole:
            return _chosen(parts, [place for places in folds.values() for place in places])
        fold = self._known(folds, where)
        if split == self.held_out:
            return _chosen(parts, folds[fold], lone=False)
        if len(parts) == 1:
            console.note(f"{where} has no split {self.held_out}: its folds are of {self.training} alone")
        return _chosen(parts, sorted(place for name in folds if name != fold for place in folds[name]))

    def counts(self, opened: Callable[[str], Dataset], where: str) -> dict[str, int]:
        """Each fold by name, and how many samples it has; raises DatasetError as `part` does."""
        return {name: len(places) for name, places in divided(self._parts(opened, where), where).items()}

    def _parts(self, opened: Callable[[str], Dataset], where: str) -> list[Dataset]:
        training = opened(self.training)
        try:
            held_out = opened(self.held_out)
        except NoSplitError:
            return [training]
        whose = (f"{where} {self.training}", f"{where} {self.held_out}")
        check_same_classes(training.classes, held_out.classes, whose, "what is joined has the same classes")
        return [training, held_out]

    def _known(self, folds: Mapping[str, Sequence[Place]], where: str) -> str:
        there = some([f"{name} ({len(places)})" for name, places in folds.items()], _SHOWN)
        if self.fold is None:
            raise DatasetError(f"{where}: folds={self.by} without fold: say which one is held out: {there}")
        if self.fold not in folds:
            near = nearest(self.fold, folds).partition(";")[0]  # they are all named anyway
            raise DatasetError(f"{where}: no fold {self.fold}{near}; there are {there}")
        return self.fold


def faults(options: Mapping[str, Any]) -> Iterator[Fault]:
    """What is wrong with these options together."""
    for key in ("fold", "joined"):
        if options.get(key) is not None and options.get("folds") is None:
            yield (key,), "goes with folds, which is not given: add folds=sequence"
    joined = options.get("joined")
    if joined is not None and not _is_pair(joined):
        yield ("joined",), f"expected the names of two splits, as {_JOINED}, got {short(joined)}"


def taken(options: dict[str, Any]) -> Folds | None:
    """The folds of sound `options`, which lose those of this module; None where nothing is to be divided."""
    by, fold, joined = (options.pop(key, None) for key in OPTIONS)
    return None if by is None else Folds(by, fold, *(joined or _JOINED).split("+"))


def without(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options but for those of this module."""
    return {key: value for key, value in options.items() if key not in OPTIONS}


def whole(options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The split that is all folds of sound `options`, and the options with which it is opened."""
    folds = taken(dict(options))
    assert folds is not None
    return folds.whole, {key: value for key, value in options.items() if key != "fold"}


def names(options: Mapping[str, Any]) -> list[str]:
    """The names of the two splits that sound `options` divide anew, none where they divide nothing."""
    folds = taken(dict(options))
    return [] if folds is None else [folds.training, folds.held_out]


def concerns(options: Mapping[str, Any], split: str) -> bool:
    """Whether `split` is another one with these options than without them."""
    folds = taken(dict(options))
    return folds is not None and split in (folds.training, folds.held_out, folds.whole)


def _is_pair(joined: str) -> bool:
    names = joined.split("+")
    return len(names) == 2 and all(names) and names[0] != names[1]


def divided(parts: Sequence[Dataset], where: str) -> dict[str, list[Place]]:
    """The samples of each sequence, by its name in order; DatasetError where that is not a division into folds."""
    places = [(part, index) for part, dataset in enumerate(parts) for index in range(len(dataset))]
    names = [parts[part].name(index) for part, index in places]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DatasetError(
            f"{where}: {number(len(twice), 'name')} in more than one of the splits that are joined "
            f"({some(twice, _NAMED)}): joined, names have to tell pictures apart: rename the files of one split"
        )
    sequences = [sequence for dataset in parts for sequence in sequences_of(dataset)]
    without = [name for name, sequence in zip(names, sequences, strict=True) if not sequence]
    if without:
        which = (
            "no picture says" if len(without) == len(names) else f"{len(without)} of {len(names)} pictures do not say"
        )
        raise DatasetError(
            f"{where}: {which} which sequence it is of ({some(without, _NAMED)}), and each has to be in one fold: a "
            "dataset.yaml says it by sequence_by, a data set of your own by its attribute `sequences`"
        )
    folds: dict[str, list[Place]] = {name: [] for name in sorted(set(sequences))}
    for place, sequence in zip(places, sequences, strict=True):
        folds[sequence].append(place)
    if len(folds) == 1:
        raise DatasetError(
            f"{where}: all {len(names)} pictures are of one sequence ({sequences[0]}): with it held out nothing is "
            "left to train on"
        )
    return folds


def sequences_of(dataset: Dataset) -> list[str]:
    """The sequence of each sample, as far as the data set says it without reading them."""
    known = getattr(dataset, "sequences", None)
    if isinstance(known, list | tuple) and len(known) == len(dataset):
        return list(known)
    return [""] * len(dataset)


def _chosen(parts: Sequence[Dataset], places: Sequence[Place], lone: bool = True) -> Dataset:
    """The samples at `places` as a data set; of paired files one of their own kind, with what is `lone` or not."""
    from tarsia.data._paired import PairedData
    from tarsia.data._pairing import Pairing

    if not all(isinstance(part, PairedData) and type(part) is type(parts[0]) for part in parts):
        return Chosen(parts, places)
    paired: list[Any] = list(parts)
    found: PairedData = copy.copy(paired[0])
    found.pairs = [paired[part].pairs[index] for part, index in places]
    found.domains = [paired[part].domains[index] for part, index in places]
    found.sequences = [paired[part].sequences[index] for part, index in places]
    found.pairing = replace(_together([one.pairing for one in paired]) if lone else Pairing(), pairs=found.pairs)
    return found


def _together(pairings: Sequence[Pairing]) -> Pairing:
    """Both, with each file once: of splits that are drawn both know all that has no partner."""
    both = sum(pairings[1:], pairings[0])
    return replace(
        both,
        images_alone=list(dict.fromkeys(both.images_alone)),
        labels_alone=list(dict.fromkeys(both.labels_alone)),
        listed_alone=list(dict.fromkeys(both.listed_alone)),
        twice=list(dict.fromkeys(both.twice)),
    )


class Chosen:
    """Some samples of several data sets: their part and number in `places`, in this order."""

    def __init__(self, parts: Sequence[Dataset], places: Sequence[Place]) -> None:
        self.classes, self.spec = parts[0].classes, spec_of(parts[0])
        self.bands = self.spec.bands
        self.range_rule = getattr(parts[0], "range_rule", None)
        self.parts, self.places = parts, list(places)
        known = [sequences_of(part) for part in parts]
        self.sequences = [known[part][index] for part, index in self.places]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Sample:
        part, place = self.places[index]
        return self.parts[part][place]

    def read_as(self, spec: Spec) -> Chosen:
        """The same with pictures read by `spec`."""
        return Chosen([read_as(part, spec) for part in self.parts], self.places)

    def picture(self, index: int) -> Picture:
        """The picture of sample `index`."""
        part, place = self.places[index]
        return picture_of(self.parts[part], place)

    def name(self, index: int) -> str:
        """The name of sample `index` without reading it."""
        part, place = self.places[index]
        return self.parts[part].name(place)

    def fingerprint(self) -> str:
        """Hex digest that changes with the data sets and with what is chosen of them."""
        from tarsia.data._cache import key_of

        return hashlib.sha256(repr([self.places, *map(key_of, self.parts)]).encode()).hexdigest()
