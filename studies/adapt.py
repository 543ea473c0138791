"""What adapting brings, in two tables: street scenes from dawn to nine conditions, and CamVid from day to dusk.

    python studies/adapt.py streets --weights mobilenetv2_100.safetensors --out runs/adapt-streets
    python studies/adapt.py camvid --root data/camvid --weights mobilenetv2_100.safetensors --out runs/adapt-camvid

Each draws or sorts its pictures, trains a model on the source condition alone, adapts it by every method, scores all on
the same pictures, and writes table.md and, for each network, a folder of `tarsia compare`.  What is there already is
not done again, so that an interrupted run goes on where it was.  --weights: a timm state dict of mobilenetv2_100 (none:
from scratch, longer and worse).  --seeds 0 1 2: all of it with each; the table then has means, and ± is half of their
95 % interval by t over the seeds.

streets (Song, Zhang & Park 2021, tables 3 and 4): two cities, PSPNet and SE-PSPNet, trained on labelled dawn; 50
unlabelled pictures of each of the nine conditions, all of which are the target; 200 labelled ones of each to score.
`small` is the recall of small objects, the mean over the classes.  `+batch-norm, each` takes the statistics of each
condition's own target pictures, for a user who knows which it is.

camvid: trained on the day drives of the train split (0006R0, 0016E5).  Of the dusk drive 0001TP, in order: the first 31
frames are the unlabelled target, five are skipped, the last 26 are scored.  `labels` is trained on the labels of the
31 too: what adapting could reach.

Controls: `more steps` is the source model trained on as long as an adaptation, on the source alone; `colour jitter` the
same with strong jitter.  `published style` is adapted by the style network as published (mirrored, the code alone,
eq. 2 alone).  `+ fused`: that model, which also sees each picture in the source's style; `+ refined`: after
KL_STEPS steps that bring the two closer, as the publication's whole pipeline has it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from adapt_data import OneDomain, draw_city, sort_camvid
from adapt_table import heads, line, mean_and_margin, percent

from tarsia.adapting import Tuning, adapt, train_style
from tarsia.comparing import compare
from tarsia.comparison import Comparison
from tarsia.data import Dataset, open_spec
from tarsia.data._streets.conditions import CONDITIONS
from tarsia.evaluating import evaluate
from tarsia.evaluation.report import Report
from tarsia.files import write_text
from tarsia.inference import load
from tarsia.prediction.predictor import Predictor
from tarsia.recipe import Recipe
from tarsia.training import train

# The last stage is left out: at so small a size it sees little more than the one before it.
ENCODER = {"encoder": "mobilenetv2_100", "encoder_options": {"out_indices": [0, 1, 2, 3]}}
PSPNET = {"name": "pspnet", **ENCODER, "output_stride": 8, "fusion_channels": 128, "auxiliary": 0.0}
NETWORKS = {"pspnet": {}, "se-pspnet": {"bins": [1, 2, 3, 4], "squeeze_excitation": True}}
RATE = 1e-3  # of every fine-tuning; the source model has learned at twice that
JITTER = "colour jitter"  # the source model, trained on with strong colour jitter: no picture of the target at all
MORE = "more steps"
STYLES: dict[str, dict[str, Any]] = {"style": {}, "published style": {"published": True}}
# Method -> what it starts from (the model of another method, or of the source), and what is done then.
METHODS = {
    MORE: ("source", "source"),
    "batch-norm": ("source", "batch-norm"),
    "histogram": ("source", "histogram"),
    "fourier": ("source", "fourier"),
    "style": ("source", "style"),
    "published style": ("source", "style"),
    "self-training": ("source", "self-training"),
    "style+batch-norm": ("style", "batch-norm"),
    "style+self-training": ("style", "self-training"),
}
KL_STEPS = 5
# Row -> the model, the style network that also shows it each picture in the source's style, and steps before.
AT_TEST_TIME = {
    "style at test time": ("source", "style", 0),
    "style + fused": ("style", "style", 0),
    "style + refined": ("style", "style", KL_STEPS),
    "published style + fused": ("published style", "published style", 0),
    "published style + refined": ("published style", "published style", KL_STEPS),
}
# Row -> whose batch-norm statistics are taken of each condition's own target pictures; of streets alone.
EACH = {"source+batch-norm, each": "source", "style+batch-norm, each": "style"}


def main() -> None:
    """Parse, run, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("streets", "camvid"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--root", type=Path, default=Path("data/camvid"), help="of CamVid")
    parser.add_argument("--weights", default="none", help="of mobilenetv2_100")
    parser.add_argument("--cities", nargs="+", default=["highway", "town"])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--methods", nargs="+", default=[JITTER, *METHODS, *AT_TEST_TIME, *EACH])
    parser.add_argument("--train-steps", type=int, default=250)
    parser.add_argument("--steps", type=int, default=60, help="of each adaptation")
    parser.add_argument("--style-steps", type=int, default=300)
    parser.add_argument("--skips", choices=("none", "maps", "picture"), default="picture", help="of the style network")
    counts = {"nargs": 3, "metavar": ("SOURCE", "TARGET", "SCORED"), "default": [300, 50, 200]}
    parser.add_argument("--pictures", type=int, **counts, help="of streets: of dawn, and two of each condition")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
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
    """Every city and network -> the lines of a table: mIoU (%) of each condition, mean over them, worst, small."""
    rows = heads("city", "network", "method", *CONDITIONS, "mean", "worst", "small")
    for city in asked.cities:
        root = draw_city(asked.out / "pictures" / city, city, *asked.pictures)
        for network in asked.networks:
            found = [figures(asked, network, asked.out / city, root, seed) for seed in asked.seeds]
            for name in found[0]:
                columns = zip(*(one[name] for one in found), strict=True)
                cells = [percent(column, k >= len(CONDITIONS)) for k, column in enumerate(columns)]
                rows.append(line(city, network, name, *cells))
    return rows


def figures(asked: argparse.Namespace, network: str, folder: Path, root: Path, seed: int) -> dict[str, list[float]]:
    """Every row of one network and seed -> mIoU of each condition, their mean, the worst, recall of small objects."""
    work, conditions = Work(asked, network, folder, root, str(root / "target"), seed), list(CONDITIONS)
    rates = by_domain(work.compared(), conditions)
    small = {name: Report.read(work.report(name)).detail_figures["recall_small"] for name in rates}
    for name in [name for name in EACH if name in asked.methods]:
        rates[name] = [work.for_one(EACH[name], one) for one in conditions]
    unknown = float("nan")
    return {
        name: [*rates[name], float(np.mean(rates[name])), min(rates[name]), small.get(name, unknown)]
        for name in ("source", *asked.methods)
    }


# ---- CamVid


def camvid(asked: argparse.Namespace) -> list[str]:
    """Every network -> the lines of a table: mIoU (%) of the scored dusk frames, and the share of the gap closed.

    The interval is over the pictures, with several seeds over those.
    """
    root = sort_camvid(asked.out / "pictures", asked.root.resolve())
    rows = heads("network", "method", "mIoU", "interval", "share of the gap")
    for network in asked.networks:
        settings = {"input": {"short_side": 120}}
        works = [Work(asked, network, asked.out, root, f"folder:{root},split=target", seed) for seed in asked.seeds]
        found = [{one.name: one.miou for one in work.compared(settings, "labelled").standings} for work in works]
        means = {name: mean_and_margin([one[name].value for one in found]) for name in found[0]}
        gap = means["labels"][0] - means["source"][0]
        for name, (mean, half) in sorted(means.items(), key=lambda pair: pair[1]):
            low, high = found[0][name][1:] if len(found) == 1 else (mean - half, mean + half)
            closed = (mean - means["source"][0]) / gap
            cells = (f"{100 * mean:.1f}", f"{100 * low:.1f} to {100 * high:.1f}", f"{100 * closed:.0f} %")
            rows.append(line(network, name, *cells))
    return rows


# ---- what both have in common


class Work:
    """One network's models of one seed, each made once: `folder`/seedN/NETWORK/METHOD, and reports/METHOD beside them.

    `root` is a data set of `folder` with the splits train and test.  The style networks, which all networks share, are
    `folder`/seedN/STYLE.safetensors.
    """

    def __init__(self, asked: argparse.Namespace, network: str, folder: Path, root: Path, target: str, seed: int):
        self.asked, self.network, self.root, self.target, self.seed = asked, network, root, target, seed
        self.shared = folder / f"seed{seed}"
        self.folder = self.shared / network
        self.source = f"folder:{root},split=train"
        self.scored = open_spec(f"folder:{root},split=test")

    def compared(self, settings: dict[str, Any] | None = None, labelled: str | None = None) -> Comparison:
        """Train, adapt by each method, score; the comparison of all reports.

        `settings`: of a recipe, for the trainings.  `labelled`: a split with the target's labels, for the upper bound.
        """
        settings = settings or {}
        self.trained("source", "train", settings)
        for name in self.asked.methods:
            if name == JITTER:
                self.trained(JITTER, "train", settings | self.jitter())
            elif name in METHODS:
                self.adapted(name)
        names = ["source", *(name for name in self.asked.methods if name not in EACH)]
        if labelled:
            self.trained("labels", labelled, settings)
            names.append("labels")
        return compare([self.report(name) for name in names], names=names, pool=False, out=self.folder / "comparison")

    def jitter(self) -> dict[str, Any]:
        """What differs from the training of the source model: it goes on from there, with colour jitter."""
        strong = {"brightness": 0.6, "contrast": 0.6, "saturation": 0.6, "hue": 0.1, "probability": 1.0}
        start = str(self.folder / "source" / "model.safetensors")
        train = {"steps_per_epoch": self.asked.steps, "learning_rate": RATE, "start_from": start}
        train |= {"batch": 16, "encoder_multiplier": 1.0}  # what passes the network in a step of an adaptation
        return {"augment": {"horizontal_flip": 0.5, "color_jitter": strong}, "train": train}

    def trained(self, name: str, split: str, settings: dict[str, Any]) -> None:
        """A model trained on labelled pictures of `split` alone."""
        if self.made(name):
            return
        tree = {
            "name": name,
            "seed": self.seed,
            "data": {"name": "folder", "root": str(self.root), "train": split, "val": None},
            "model": PSPNET | NETWORKS[self.network] | {"weights": self.asked.weights},
            "augment": {"horizontal_flip": 0.5},
            **settings,
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
        train(Recipe.model_validate(tree), out=self.folder / name, overwrite=True)

    def style(self, name: str) -> Path:
        """The style network of that name between the source's pictures and the target's."""
        path = self.shared / f"{name.replace(' ', '-')}.safetensors"
        if not path.is_file():
            encoder = str(self.folder / "source")
            training: dict[str, Any] = {"steps": self.asked.style_steps, "batch": 4, "seed": self.seed, **STYLES[name]}
            training |= {} if STYLES[name] else {"skips": self.asked.skips}
            train_style(self.source, self.target, path, encoder=encoder, **training)
        return path

    def adapted(self, name: str) -> None:
        """What the method of that name makes of the model it starts from, which is made first where it is missing."""
        if self.made(name):
            return
        start, method = METHODS[name]
        if start != "source":
            self.adapted(start)
        tuning = Tuning(steps=self.asked.steps, seed=self.seed, workers=0, learning_rate=RATE)
        adapt(
            self.folder / start,
            source=self.source,
            target=self.target,
            out=self.folder / name,
            method=method,
            style=self.style(name) if method == "style" else None,
            tuning=tuning,
            overwrite=True,
        )

    def made(self, name: str) -> bool:
        """Whether the model of that name is there."""
        return (self.folder / name / "model.safetensors").is_file()

    def for_one(self, start: str, condition: str) -> float:
        """The mIoU in a condition with batch normalisation's statistics of its own target pictures."""
        out = self.folder / f"{start}+batch-norm-each" / condition
        if not (out / "report.json").is_file():
            if start != "source":
                self.adapted(start)
            target = f"{self.target}/{condition}"
            found = adapt(
                self.folder / start, source=self.source, target=target, out=out, method="batch-norm", overwrite=True
            )
            score(load(found.model), OneDomain(self.scored, condition), out)
        return Report.read(out).metrics.miou

    def report(self, name: str) -> Path:
        """The folder with the report of a method on the scored pictures."""
        out = self.folder / "reports" / name.replace(" ", "-")
        if not (out / "report.json").is_file():
            if name in AT_TEST_TIME:
                model, style, steps = AT_TEST_TIME[name]
                if model != "source":
                    self.adapted(model)
                shown: dict[str, Any] = {"style": str(self.style(style)), "reference": self.source, "kl_steps": steps}
                score(load(self.folder / model, **shown), self.scored, out)
            else:
                score(load(self.folder / name), self.scored, out)
        return out


def score(predictor: Predictor, dataset: Dataset, out: Path) -> None:
    """Write the report on `dataset` into folder `out`."""
    evaluate(predictor, dataset, dataset_name="folder", split="test", batch=8).write(out)


def by_domain(found: Comparison, domains: Sequence[str]) -> dict[str, list[float]]:
    """The mIoU of each standing in each domain."""
    by_name = {one.name: one for one in found.domains}
    return {name: [by_name[one].miou[k].value for one in domains] for k, name in enumerate(found.names)}


if __name__ == "__main__":
    main()
