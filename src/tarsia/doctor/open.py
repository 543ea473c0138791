"""Takes a data set in: opens its splits and looks at every sample of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tarsia import data
from tarsia.data import _folds, folder
from tarsia.data._dataset import Dataset
from tarsia.data._layout import Layout
from tarsia.data._paired import PairedData
from tarsia.data._pairing import Pairing
from tarsia.doctor.dataset import CheckedData
from tarsia.doctor.split_statistics import examine_split
from tarsia.errors import DatasetError

USUAL = ("train", "val", "test")


@dataclass
class Opened:
    """A split: its data set with the pairs there are, and what has no partner; or why it cannot be opened at all."""

    dataset: Dataset | None
    pairing: Pairing = field(default_factory=Pairing)
    error: str = ""


def examine_data(spec: str, split: str | None = None, threads: int | None = None) -> CheckedData:
    """`NAME[:ROOT][,key=value...]` -> all that is known of its splits, or of `split` alone.

    Raises DatasetError where nothing can be opened, for unknown names and options, RecipeError for a dataset.yaml that
    does not say what it must.  Nothing that stands in a picture or a label raises.
    """
    name, root, options = data.parse(spec)
    return _taken(spec, name, root, options, split, threads)


def examine_file(described: Path, threads: int | None = None) -> CheckedData:
    """A folder's dataset.yaml, or another file that says the same -> all that is known of its splits."""
    return _taken(f"folder:{described}", "folder", str(described), {}, None, threads)


def _taken(
    spec: str, name: str, root: str | None, options: dict[str, str], split: str | None, threads: int | None
) -> CheckedData:
    given = options.pop("split", None)
    if given and split and given != split:
        raise DatasetError(f"{spec}: split is {given} there but {split} is asked for: give it once")
    asked = given or split
    if not data.is_known(name):
        data.open(name, root)  # says which names are near
    opened: dict[str, Opened] = {}
    divided = [] if data.option_faults(name, options) else _folds.names(options)
    for one in [asked] if asked else dict.fromkeys([*splits_of(name, root), *divided]):
        opened[one] = open_split(name, root, one, options)
    there = {one: found for one, found in opened.items() if found.dataset is not None}
    if not there:
        raise DatasetError(next(iter(opened.values())).error)
    # Many data sets have no test split; one that dataset.yaml names has to be there.
    closed = {one: found.error for one, found in opened.items() if found.dataset is None}
    absent = {"test": closed.pop("test")} if "test" in closed and name != "folder" else {}
    splits = {
        one: examine_split(one, found.dataset, threads) for one, found in there.items() if found.dataset is not None
    }
    unpaired = {one: found.pairing for one, found in there.items()}
    spec = ",".join(part for part in spec.split(",") if not part.startswith("split="))
    return CheckedData(spec, splits, unpaired, closed, absent)


def splits_of(name: str, root: str | None) -> list[str]:
    """The splits to look for: those that dataset.yaml names, elsewhere the usual three.

    Raises RecipeError for faults in dataset.yaml, DatasetError where there is none.
    """
    if name != "folder":
        return list(USUAL)
    layout = Layout.load(folder.find(root))
    if layout.splits:
        return list(layout.splits)
    shares = {"train": 1.0, "val": layout.split.val, "test": layout.split.test} if layout.split else {"train": 1.0}
    return [split for split, share in shares.items() if share]


def open_split(name: str, root: str | None, split: str, options: dict[str, Any]) -> Opened:
    """A split with every pair it has.  Raises DatasetError for unknown names and options, RecipeError likewise."""
    if data.option_faults(name, options):
        data.open(name, root, split, **options)  # says it all
    try:
        dataset = data.open_incomplete(name, root, split, options)
    except DatasetError as error:
        return Opened(None, error=str(error))
    return Opened(dataset, dataset.pairing) if isinstance(dataset, PairedData) else Opened(dataset)
