"""shard: a data set of many small files -> a few large ones, read by the data set `shards`."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tarsia import console, data
from tarsia.card import Spec
from tarsia.data import Dataset, _shards
from tarsia.data._dataset import check_sample, picture_of, spec_of
from tarsia.data._paired import PairedData
from tarsia.errors import DatasetError, ImageError, NoSplitError, OutputError, RecipeError
from tarsia.files import holds_files, require_new, write_json, writing_folder
from tarsia.pictures.reader import Picture, read

USUAL = ("train", "val", "test")
PART_MEGABYTES = 256


def shard(
    dataset: str,
    to: str | Path,
    *,
    splits: Sequence[str] | None = None,
    part_megabytes: int = PART_MEGABYTES,
    overwrite: bool = False,
) -> dict[str, int]:
    """Write the splits of a data set, NAME[:ROOT][,key=value...], into tars in `to` -> how many samples each has.

    `splits`: all of train, val and test that there are, unless told.  A picture's file is taken as it is, where its
    content says all of it, else its values as .npy; labels become index PNGs of the classes' numbers.  A tar has about
    `part_megabytes` (10**6 bytes).  The folder is there when all of it is.  Raises DatasetError for what the data set
    has wrong, OutputError where the folder is there already (without `overwrite`) or cannot be written.
    """
    if part_megabytes < 1:
        raise RecipeError(f"part_megabytes: {part_megabytes}, expected at least 1")
    name, root, options = data.parse(data.meant(dataset))
    asked = [str(options.pop("split"))] if "split" in options and splits is None else splits
    opened: dict[str, Dataset] = {}
    for split in asked or USUAL:
        try:
            opened[split] = data.open(name, root, split, **options)
        except NoSplitError:
            if asked:
                raise
    if not opened:
        raise DatasetError(f"{dataset}: none of the splits {', '.join(USUAL)} is there: name those to write (`splits`)")
    out = require_new(Path(to), overwrite)
    if holds_files(out) and not (out / _shards.FACTS).is_file():
        raise OutputError(f"{out}: holds something else than shards, and all would be replaced: choose another folder")
    first = next(iter(opened.values()))
    spec = spec_of(first)
    with writing_folder(out) as folder:
        counts = {split: _written(folder, split, one, part_megabytes * 10**6) for split, one in opened.items()}
        facts = {
            "format": _shards.WITH_OWN_RANGES if spec.percentiles else _shards.FORMAT,
            "source": dataset,
            "classes": first.classes.model_dump(mode="json"),
            "spec": _said(spec),
            "range": getattr(first, "range_rule", None),
            "splits": {split: {"samples": samples, "tars": tars} for split, (samples, tars) in counts.items()},
        }
        write_json(folder / _shards.FACTS, facts)
    return {split: samples for split, (samples, _) in counts.items()}


def _said(spec: Spec) -> dict[str, Any]:
    """A spec as shards.json has it; without what shards of before have no word for, where that says nothing."""
    found = dataclasses.asdict(spec) | {"files": [one.model_dump() for one in spec.files]}
    return {name: value for name, value in found.items() if spec.percentiles or name not in ("percentiles", "per")}


def _written(folder: Path, split: str, dataset: Dataset, part_bytes: int) -> tuple[int, int]:
    members = (_member(dataset, index) for index in range(len(dataset)))
    return _shards.write_split(folder, split, console.track(members, len(dataset), f"writing {split}"), part_bytes)


def _member(dataset: Dataset, index: int) -> _shards.Member:
    sample = check_sample(dataset[index], dataset.classes, spec_of(dataset))
    label = io.BytesIO()
    Image.fromarray(sample.label).save(label, format="PNG")
    said = {"name": sample.name, "domain": sample.domain, "sequence": sample.sequence}
    image, suffix = _picture(dataset, index)
    return _shards.Member(json.dumps(said).encode(), image, label.getvalue(), suffix)


def _picture(dataset: Dataset, index: int) -> tuple[bytes, str]:
    """The picture's file, where its content alone is read to the same values; else these, as a PNG or .npy."""
    picture, spec = picture_of(dataset, index), spec_of(dataset).together
    if isinstance(dataset, PairedData):
        path = Path(dataset.pairs[index].image)
        content = path.read_bytes()
        if _holds(content, picture, spec):
            return content, path.suffix.lower()
    if spec.percentiles and picture.valid_HW is not None:
        raise DatasetError(
            f"{dataset.name(index)}: where it has data does not stand in its file alone, and `range: {{picture: ..}}` "
            "counts there: leave the range out, or keep the data set as it is"
        )
    kept = io.BytesIO()
    if spec.plain:
        Image.fromarray(picture.values_HWC).save(kept, format="PNG")
        return kept.getvalue(), ".png"
    np.save(kept, picture.values_HWC)
    return kept.getvalue(), ".npy"


def _holds(content: bytes, picture: Picture, spec: Spec) -> bool:
    """Whether a file's content alone is read to the same picture; what lies beside it may say more of it."""
    try:
        again = read(content, spec)
    except ImageError:
        return False
    there = np.ones(picture.values_HWC.shape[:2], bool)
    one_HW, other_HW = (there if one.valid_HW is None else one.valid_HW for one in (again, picture))
    same = np.array_equal(again.values_HWC, picture.values_HWC, equal_nan=spec.dtype == "float32")
    return same and np.array_equal(one_HW, other_HW)
