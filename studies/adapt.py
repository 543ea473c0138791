"""What adapting brings, in two tables: street scenes from dawn to nine conditions, and CamVid from day to dusk.

    python studies/adapt.py streets --weights mobilenetv2_100.safetensors --out runs/adapt-streets
    python studies/adapt.py camvid --root data/camvid --weights mobilenetv2_100.safetensors --out runs/adapt-camvid

Each draws or sorts its pictures, trains a model on the source condition alone, adapts it by every method, scores all on
the same pictures, and writes table.md, table.json and, for each network, a folder of `inlay compare`.  What is there
already is not done again, so that an interrupted run goes on where it was.  --weights: a timm state dict of
mobilenetv2_100 (none: from scratch, longer and worse).

streets (Song, Zhang & Park 2021, tables 3 and 4): two cities, PSPNet and SE-PSPNet, trained on labelled dawn; 50
unlabelled pictures of each of the nine conditions, all of which are the target; 200 labelled ones of each to score.
`+batch-norm, each` takes the statistics of each condition's own target pictures, for a user who knows which it is.

camvid: trained on the day drives of the train split (0006R0, 0016E5).  Of the dusk drive 0001TP, in order: the first 31
frames are the unlabelled target, five are skipped, the last 26 are scored.  `labels` is trained on the labels of the
31 too: what adapting could reach.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from inlay import console
from inlay.adapting import Tuning, adapt, train_style
from inlay.comparing import compare
from inlay.comparison import Comparison
from inlay.data import Sample, open_spec
from inlay.data import open as open_data
from inlay.data._pairs import PairedData
from inlay.data._streets.conditions import CONDITIONS
from inlay.data.camvid import CLASSES as CAMVID_CLASSES
from inlay.data.camvid import VOID
from inlay.evaluating import evaluate
from inlay.files import write_text
from inlay.recipe import Recipe
from inlay.runtime.paint import save_label
from inlay.runtime.predictor import load
from inlay.runtime.styled import styled
from inlay.scores import Report
from inlay.training import train

# The last stage is left out: at so small a size it sees little more than the one before it.
ENCODER = {"encoder": "mobilenetv2_100", "encoder_options": {"out_indices": [0, 1, 2, 3]}}
PSPNET = {"name": "pspnet", **ENCODER, "output_stride": 8, "fusion_channels": 128, "auxiliary": 0.0}
NETWORKS = {"pspnet": {}, "se-pspnet": {"bins": [1, 2, 3, 4], "squeeze_excitation": True}}
RATE = 1e-3  # of every fine-tuning; the source model has learned at twice that
JITTER = "colour jitter"  # the source model, trained on with strong colour jitter: no picture of the target at all
# Method -> what it starts from (the model of another method, or of the source), and what is done then.
METHODS = {
    "batch-norm": ("source", "batch-norm"),
    "histogram": ("source", "histogram"),
    "fourier": ("source", "fourier"),
    "style": ("source", "style"),
    "self-training": ("source", "self-training"),
    "style+batch-norm": ("style", "batch-norm"),
    "style+self-training": ("style", "self-training"),
}
FUSED = "style at test time"  # the source model, which sees each picture restyled too
DUSK, TARGET_FRAMES, SKIPPED_FRAMES = "0001TP", 31, 5


def main() -> None:
    """Parse, run, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("streets", "camvid"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--root", type=Path, default=Path("data/camvid"), help="of CamVid")
    parser.add_argument("--weights", default="none", help="of mobilenetv2_100")
    parser.add_argument("--cities", nargs="+", default=["highway", "town"])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--methods", nargs="+", default=[JITTER, *METHODS, FUSED])
    parser.add_argument("--train-steps", type=int, default=250)
    parser.add_argument("--steps", type=int, default=60, help="of each adaptation")
    parser.add_argument("--style-steps", type=int, default=300)
    parser.add_argument("--skips", choices=("none", "maps", "picture"), default="picture", help="of the style network")
    parser.add_argument("--pictures", type=int, default=200, help="to score, of each condition")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    asked.out = asked.out or Path("runs") / f"adapt-{asked.what}"
    began = time.monotonic()
    rows = streets(asked) if asked.what == "streets" else camvid(asked)
    table = "\n".join(rows)
    write_text(asked.out / "table.md", table + "\n")
    print(table)
    print(f"{(time.monotonic() - began) / 60:.1f} minutes; {asked.out / 'table.md'}")


# ---- street scenes


def streets(asked: argparse.Namespace) -> list[str]:
    """Every city and network -> the lines of a table: mIoU (%) of each condition, mean over them, worst."""
    conditions = list(CONDITIONS)
    columns = ["city", "network", "method", *conditions, "mean", "worst"]
    rows = ["| " + " | ".join(columns) + " |"]
    rows.append("|" + " --- |" * (len(conditions) + 5))
    for city in asked.cities:
        root = draw_city(asked.out / "pictures" / city, city, asked.pictures)
        for network in asked.networks:
            work = Work(asked, asked.out / city / network, f"folder:{root}", str(root / "target"), network)
            found = work.compared(asked.out / city / "style.safetensors", (96, 128))
            rates = by_domain(found, conditions)
            for start in [name for name in ("source", "style") if name in rates]:
                rates[f"{start}+batch-norm, each"] = [work.for_one(start, one) for one in conditions]
            for name, values in rates.items():
                figures = [*values, float(np.mean(values)), min(values)]
                rows.append("| " + " | ".join([city, network, name, *(f"{100 * one:.1f}" for one in figures)]) + " |")
    return rows


def draw_city(root: Path, city: str, count: int) -> Path:
    """Pictures of a city as a data set of `folder` below `root`: train (dawn), test (nine conditions); and target/."""
    if (root / "dataset.yaml").is_file():
        return root
    common = {"city": city, "size": (96, 128)}
    dawn = open_data("streets", None, "train", count=300, condition="dawn", **common)
    write_pictures(root / "train", dawn, labels=True)
    each = len(CONDITIONS)
    write_pictures(
        root / "test", open_data("streets", None, "test", count=count * each, condition="all", **common), True
    )
    other = open_data("streets", None, "train", count=50 * each, condition="all", seed=1, **common)
    write_pictures(root / "target", other, labels=False)
    classes = [{"name": n, "color": list(c)} for n, c in zip(dawn.classes.names, dawn.classes.colors, strict=True)]
    splits = {name: {"images": f"{name}/images", "labels": f"{name}/labels"} for name in ("train", "test")}
    tree = {"classes": classes, "format": "index", "splits": splits, "domain_by": "^([a-z_]+)-"}
    write_text(root / "dataset.yaml", yaml.safe_dump(tree))
    return root


def write_pictures(folder: Path, dataset: Any, labels: bool) -> None:
    """A data set's pictures as CONDITION-NUMBER.png with their labels beside them, or alone, by condition."""
    for index in console.track(range(len(dataset)), len(dataset), f"drawing {folder}"):
        sample = dataset[index]
        name = f"{sample.domain}-{index:05d}.png"
        path = folder / ("images" if labels else sample.domain) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sample.image).save(path)
        if labels:
            save_label(folder / "labels" / name, sample.label, dataset.classes)


class Only:
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


# ---- CamVid


def camvid(asked: argparse.Namespace) -> list[str]:
    """Every network -> the lines of a table: mIoU (%) of the scored dusk frames, and the share of the gap closed."""
    root = sort_camvid(asked.out / "pictures", asked.root.resolve())
    rows = ["| network | method | mIoU | interval | share of the gap |", "| --- | --- | --- | --- | --- |"]
    for network in asked.networks:
        work = Work(asked, asked.out / network, f"folder:{root}", f"folder:{root},split=target", network)
        work.labelled = "labelled"
        found = work.compared(asked.out / "style.safetensors", None, {"input": {"short_side": 120}})
        miou = {one.name: one.miou for one in found.standings}
        gap = miou["labels"].value - miou["source"].value
        for name, one in sorted(miou.items(), key=lambda pair: pair[1].value):
            closed = (one.value - miou["source"].value) / gap
            interval = f"{100 * one.low:.1f} to {100 * one.high:.1f}"
            rows.append(f"| {network} | {name} | {100 * one.value:.1f} | {interval} | {100 * closed:.0f} % |")
    return rows


def sort_camvid(root: Path, camvid_root: Path) -> Path:
    """Lists of CamVid's train split as a data set of `folder`: train (day), target, test (dusk), labelled (both)."""
    names = sorted(path.stem for path in (camvid_root / "train").iterdir())
    day, dusk = ([n for n in names if n.startswith(DUSK) == of_dusk] for of_dusk in (False, True))
    target, test = dusk[:TARGET_FRAMES], dusk[TARGET_FRAMES + SKIPPED_FRAMES :]
    for split, listed in (("train", day), ("target", target), ("test", test), ("labelled", day + target)):
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
        "splits": {split: {"list": f"{split}.txt"} for split in ("train", "target", "test", "labelled")},
        "domain_by": "^([^_]+)_",
    }
    write_text(root / "dataset.yaml", yaml.safe_dump(tree))
    return root


# ---- what both have in common


class Work:
    """One network's models, each made once: `folder`/METHOD, and its report in `folder`/reports/METHOD."""

    labelled: str | None = None  # a split with the target's labels, for the upper bound

    def __init__(self, asked: argparse.Namespace, folder: Path, data: str, target: str, network: str) -> None:
        self.asked, self.folder, self.data, self.target, self.network = asked, folder, data, target, network
        self.scored = open_spec(f"{data},split=test")

    def compared(self, style: Path, size: Any, settings: dict[str, Any] | None = None) -> Comparison:
        """Train, adapt by each method, score; the comparison of all reports."""
        settings = settings or {}
        self.trained("source", "train", settings)
        names = ["source"]
        if any("style" in method for method in self.asked.methods):
            self.styled(style)
        for name in self.asked.methods:
            if name == JITTER:
                self.trained(JITTER, "train", settings | self.jitter())
            elif name != FUSED:
                self.adapted(name, *METHODS[name], style)
            names.append(name)
        if self.labelled:
            self.trained("labels", self.labelled, settings)
            names.append("labels")
        reports = [self.report(name, style) for name in names]
        return compare(reports, names=names, pool=False, out=self.folder / "comparison")

    def jitter(self) -> dict[str, Any]:
        """What differs from the training of the source model: it goes on from there, with colour jitter."""
        strong = {"brightness": 0.6, "contrast": 0.6, "saturation": 0.6, "hue": 0.1, "probability": 1.0}
        start = str(self.folder / "source" / "model.safetensors")
        train = {"steps_per_epoch": self.asked.steps, "learning_rate": RATE, "start_from": start}
        train |= {"batch": 16, "encoder_multiplier": 1.0}  # what passes the network in a step of an adaptation
        return {"augment": {"horizontal_flip": 0.5, "color_jitter": strong}, "train": train}

    def trained(self, name: str, split: str, settings: dict[str, Any]) -> None:
        """A model trained on labelled pictures of `split` alone."""
        out = self.folder / name
        if (out / "model.safetensors").is_file():
            return
        tree = {
            "name": name,
            "seed": self.asked.seed,
            "data": {"name": "folder", "root": self.data.partition(":")[2], "train": split, "val": None},
            "model": PSPNET | NETWORKS[self.network] | {"weights": self.asked.weights},
            "augment": {"horizontal_flip": 0.5},
            **{key: value for key, value in settings.items() if key != "train"},
            "train": {
                "epochs": 1,
                "steps_per_epoch": self.asked.train_steps,
                "batch": 8,
                "learning_rate": 2e-3,
                "encoder_multiplier": 0.5,
                "class_weights": "root_median_frequency",
                "precision": "float32",
                "workers": 0,
                **settings.get("train", {}),
            },
        }
        train(Recipe.model_validate(tree), out=out, overwrite=True)

    def styled(self, style: Path) -> None:
        """The style network between the source's pictures and the target's."""
        if not style.is_file():
            source = self.folder / "source"
            training: dict[str, Any] = {"steps": self.asked.style_steps, "batch": 4, "seed": self.asked.seed}
            training["skips"] = self.asked.skips
            train_style(f"{self.data},split=train", self.target, style, encoder=str(source), **training)

    def adapted(self, name: str, start: str, method: str, style: Path) -> None:
        """The model of `start` adapted by `method`."""
        out = self.folder / name
        if (out / "model.safetensors").is_file():
            return
        if start != "source":
            self.adapted(start, *METHODS[start], style)
        tuning = Tuning(steps=self.asked.steps, seed=self.asked.seed, workers=0, learning_rate=RATE)
        given = {"style": style if method == "style" else None, "tuning": tuning, "overwrite": True}
        source = f"{self.data},split=train"
        adapt(self.folder / start, source=source, target=self.target, out=out, method=method, **given)

    def for_one(self, start: str, condition: str) -> float:
        """The mIoU in a condition with batch normalisation's statistics of its own target pictures."""
        out = self.folder / f"{start}+batch-norm-each" / condition
        if not (out / "report.json").is_file():
            given = {"source": f"{self.data},split=train", "target": f"{self.target}/{condition}", "overwrite": True}
            found = adapt(self.folder / start, out=out, method="batch-norm", **given)
            scored = Only(self.scored, condition)
            evaluate(load(found.model), scored, dataset_name="folder", split="test", batch=8).write(out)
        return Report.read(out).metrics.miou

    def report(self, name: str, style: Path) -> Path:
        """The folder with the report of a method on the scored pictures."""
        out = self.folder / "reports" / name.replace(" ", "-")
        if (out / "report.json").is_file():
            return out
        predictor = load(self.folder / ("source" if name == FUSED else name))
        if name == FUSED:
            predictor = styled(predictor, str(style), f"{self.data},split=train")
        evaluate(predictor, self.scored, dataset_name="folder", split="test", batch=8).write(out)
        return out


def by_domain(found: Comparison, domains: Sequence[str]) -> dict[str, list[float]]:
    """The mIoU of each standing in each domain."""
    by_name = {one.name: one for one in found.domains}
    return {name: [by_name[one].miou[k].value for one in domains] for k, name in enumerate(found.names)}


if __name__ == "__main__":
    main()
