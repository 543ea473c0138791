"""The data sets of studies/adapt.py: cities drawn at dawn and in nine conditions, CamVid sorted into day and dusk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from tarsia import console
from tarsia.data import Dataset, Sample
from tarsia.data import open as open_data
from tarsia.data._paired import PairedData
from tarsia.data._streets.conditions import CONDITIONS
from tarsia.data.camvid import CLASSES as CAMVID_CLASSES
from tarsia.data.camvid import VOID
from tarsia.drawing.paint import save_label
from tarsia.files import write_text

SIZE = (96, 128)  # of the street scenes
DUSK, TARGET_FRAMES, SKIPPED_FRAMES = "0001TP", 31, 5


def draw_city(root: Path, city: str, source: int, target: int, scored: int) -> Path:
    """Pictures of a city as a data set of `folder` below `root`: train (dawn), test (nine conditions); and target/.

    `source` of dawn, `target` and `scored` of each condition.
    """
    if (root / "dataset.yaml").is_file():
        return root

    def drawn(split: str, count: int, condition: str, **more: Any) -> Dataset:
        return open_data("streets", None, split, count=count, condition=condition, city=city, size=SIZE, **more)

    dawn, each = drawn("train", source, "dawn"), len(CONDITIONS)
    write_pictures(root / "train", dawn, labels=True)
    write_pictures(root / "test", drawn("test", scored * each, "all"), labels=True)
    write_pictures(root / "target", drawn("train", target * each, "all", seed=1), labels=False)
    classes = [{"name": n, "color": list(c)} for n, c in zip(dawn.classes.names, dawn.classes.colors, strict=True)]
    splits = {name: {"images": f"{name}/images", "labels": f"{name}/labels"} for name in ("train", "test")}
    tree = {"classes": classes, "format": "index", "splits": splits, "domain_by": "^([a-z_]+)-"}
    write_text(root / "dataset.yaml", yaml.safe_dump(tree))
    return root


def write_pictures(folder: Path, dataset: Dataset, labels: bool) -> None:
    """A data set's pictures as CONDITION-NUMBER.png with their labels beside them, or alone, by condition."""
    for index in console.track(range(len(dataset)), len(dataset), f"drawing {folder}"):
        sample = dataset[index]
        name = f"{sample.domain}-{index:05d}.png"
        path = folder / ("images" if labels else sample.domain) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sample.image).save(path)
        if labels:
            save_label(folder / "labels" / name, sample.label, dataset.classes)


def sort_camvid(root: Path, camvid_root: Path) -> Path:
    """Lists of CamVid's train split as a data set of `folder`: train (day), target, test (dusk), labelled (both)."""
    names = sorted(path.stem for path in (camvid_root / "train").iterdir())
    day, dusk = ([n for n in names if n.startswith(DUSK) == of_dusk] for of_dusk in (False, True))
    target, test = dusk[:TARGET_FRAMES], dusk[TARGET_FRAMES + SKIPPED_FRAMES :]
    lists = {"train": day, "target": target, "test": test, "labelled": day + target}
    for split, listed in lists.items():
        write_text(root / f"{split}.txt", "\n".join(listed) + "\n")
    for folder in ("train", "trainannot"):
        if not (root / folder).is_symlink():
            (root / folder).symlink_to(camvid_root / folder)
    pairs = zip(CAMVID_CLASSES.names, CAMVID_CLASSES.colors, strict=True)
    tree = {
        "classes": [{"name": name, "values": [k], "color": list(color)} for k, (name, color) in enumerate(pairs)],
        "ignore": [VOID],
        "format": "index",
        "images": "train",
        "labels": "trainannot",
        "splits": {split: {"list": f"{split}.txt"} for split in lists},
        "domain_by": "^([^_]+)_",
    }
    write_text(root / "dataset.yaml", yaml.safe_dump(tree))
    return root


class OneDomain:
    """The pictures of one domain of a data set."""

    def __init__(self, dataset: PairedData, domain: str) -> None:
        self.dataset, self.classes = dataset, dataset.classes
        self.indices = [index for index, one in enumerate(dataset.domains) if one == domain]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[self.indices[index]]

    def name(self, index: int) -> str:
        """The name of picture `index`."""
        return self.dataset.name(self.indices[index])
