"""Mapillary Vistas: streets of the whole world, 66 classes in version 1.2 and 124 in 2.0, with void among them.

Neuhold et al., "The Mapillary Vistas dataset for semantic understanding of street scenes", ICCV 2017.  Folders as
published: `SPLIT/images/NAME.jpg`, SPLIT being training or validation (train and val mean these), and the label maps in
`SPLIT/v2.0/labels`, `SPLIT/v1.2/labels` or `SPLIT/labels`, whose values are places in the list of `config_v2.0.json`,
`config_v1.2.json` or `config.json`.  Where there is no folder `labels`, `instances` says the same: of its 16 bits the
upper 8 are that place.

The configuration names the classes, as `object--vehicle--car`, and colours them; what it does not evaluate is ignored.

- `version`: v1.2 or v2.0; the later that is there unless told.

Samples have no domain.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tarsia.card import IGNORED, MAX_CLASSES, Classes
from tarsia.data._folders import require_folders, require_root
from tarsia.data._labels import LabelTable
from tarsia.data._paired import PairedData
from tarsia.data._pairing import pair
from tarsia.errors import DatasetError, nearest

SPLITS = {"training": "training", "validation": "validation", "train": "training", "val": "validation"}
CONFIGS = {"v2.0": ("config_v2.0.json",), "v1.2": ("config_v1.2.json", "config.json")}  # the later first


class Data(PairedData):
    """One split of Vistas below `root`.  Raises DatasetError where files are missing or damaged."""

    def __init__(
        self, root: str | Path | None, split: str = "training", *, version: Literal["v1.2", "v2.0"] | None = None
    ) -> None:
        if split not in SPLITS:
            raise DatasetError(f"vistas has no split {split}{nearest(split, SPLITS)}")
        folder = require_root(root, "vistas", "config_v2.0.json (or another version's) and training/ in it")
        place = next((name for name in (SPLITS[split], split) if (folder / name).is_dir()), SPLITS[split])
        (images,) = require_folders(folder, (f"{place}/images",), f"vistas' {place} split")
        config, labels = _version(folder, place, version)
        classes, table = _meaning(config)
        super().__init__(pair(images, labels), classes, table)

    def read_label(self, path: str) -> np.ndarray:
        """The places in the list of classes, H x W; of a file of instances its upper 8 bits."""
        stored = super().read_label(path)
        return stored if stored.dtype == np.uint8 else stored // 256


def _version(root: Path, place: str, wanted: str | None) -> tuple[Path, Path]:
    """The configuration and the folder of label maps of a version: the one wanted, or the latest that is there."""
    for version, names in CONFIGS.items():
        homes = [root / place / version] + ([root / place] if version == "v1.2" else [])
        labels = [home / kind for kind in ("labels", "instances") for home in homes if (home / kind).is_dir()]
        configs = [root / name for name in names if (root / name).is_file()]
        if wanted in (None, version) and labels and configs:
            return configs[0], labels[0]
    versions = CONFIGS if wanted is None else {wanted: CONFIGS[wanted]}
    pairs = [f"{names[0]} and {place}/{version}/labels/" for version, names in versions.items()]
    raise DatasetError(f"{root}: expected {' or '.join(pairs)}, as Vistas is published")


def _meaning(config: Path) -> tuple[Classes, LabelTable]:
    """The classes that a configuration lists, and what each place in its list is."""
    try:
        entries: list[Any] = json.loads(config.read_text(encoding="utf-8"))["labels"]
        kept = [k for k, entry in enumerate(entries) if entry.get("evaluate", True)]
        names = tuple(entries[k]["name"] for k in kept)
        classes = Classes(names=names, colors=tuple(tuple(entries[k]["color"]) for k in kept))
        if len(entries) > MAX_CLASSES:
            raise ValueError(f"{len(entries)} labels")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else f"{error}".splitlines()[0]
        raise DatasetError(f"{config}: no list of Vistas' labels ({reason}): get the file again") from error
    # Void things before the last, unlabeled, are things: what is predicted to be none of the classes is that.
    void = {k: IGNORED for k in reversed(range(len(entries))) if k not in kept}
    remedy = f"labels hold places in the list of {config}: take the files of one version"
    return classes, LabelTable(void | {k: index for index, k in enumerate(kept)}, {}, remedy)
