"""The rules of `tarsia train FOLDER --minutes N`, one changed at a time, over data sets and seeds: which are worth it?

    python benchmarks/auto_rules.py rows.csv --weights FOLDER
    python benchmarks/auto_rules.py rows.csv --weights FOLDER --sets photos=FOLDER,HELD_OUT cells --changes "CE alone"
    python benchmarks/auto_rules.py rows.csv --table
    python benchmarks/auto_rules.py rows.csv --costs photos --weights FOLDER

Each row is a training of `benchmarks/auto.py --small --only tarsia --steps N`: as many steps, on a quarter of the
pixels, as fit into five minutes of one core.  They are counted, not timed, so that a busy machine changes nothing;
where a change makes a step dearer or cheaper (COSTS, measured), N is divided by that.  The network and the batch are
those that the rules come to there, MobileNetV1 and 4, in every row that does not change them.  A row that is in the
file is not run again, so a killed run goes on, and several may write into one file (`--part K/N`).  The table has,
for each set, the mean difference to the rules as they are (same set, same seed) and the half of its 95 % interval
over seeds (Student's t).  A rule is changed where the mean over the sets gains 0.005 and no set loses 0.01.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch

from tarsia import deriving
from tarsia.adaptation.restyle import Restyling
from tarsia.comparison.significance import Figure, over_trainings
from tarsia.learning.state import TrainingState
from tarsia.learning.step import gradients, take

GAIN, LOSS = 0.005, -0.01  # mean over the sets, and of the worst one
SETS = ("cells", "fields", "streets", "membranes")
STEPS, MINUTES = 200, 5.0
_ROUNDS = 7
FIXED = ("model.encoder=mobilenetv1_100", "train.batch=4")
AS_IT_IS = "as it is"
CHANGES = {
    AS_IT_IS: [],
    "CE alone": ["train.loss=cross_entropy"],
    "MobileNetV2": ["model.encoder=mobilenetv2_100"],
    "rate 1e-3": ["train.learning_rate=0.001"],
    "scales 0.5 to 2": ["augment.scale={min: 0.5, max: 2.0}"],
    "no colour jitter": ["augment.color_jitter=null"],
    "batches of 8": ["train.batch=8"],
    "cosine": ["train.schedule=cosine"],
    "U-Net": ["model.name=unet"],
    "root weights": ["train.class_weights=root_median_frequency"],
    "no weights": ["train.class_weights=none"],
    "EfficientNet-Lite0": ["model.encoder=tf_efficientnet_lite0"],
    "rate 4e-3": ["train.learning_rate=0.004"],
    "encoder as fast as the head": ["train.encoder_multiplier=1.0"],
    "no flips": ["augment.horizontal_flip=0", "augment.vertical_flip=0"],
    "no mean of weights": ["train.ema=null"],
}
# Of a step, in steps as it is: `--costs` on the corner of cells, one busy AVX2 core of an AMD EPYC (Zen 3).
COSTS = {"MobileNetV2": 0.89, "EfficientNet-Lite0": 1.08, "batches of 8": 2.49, "U-Net": 2.27}
FIELDS = ("data", "changed", "seed", "miou", "steps", "batch", "processor seconds", "wall seconds", "commit")


class Asked(NamedTuple):
    """A training: a set, a change of CHANGES, a seed."""

    data: str
    changed: str
    seed: int


def main() -> None:
    """Run what is missing, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, help="the CSV file of all rows")
    parser.add_argument("--table", action="store_true", help="print the table of what is there, and end")
    parser.add_argument("--costs", type=Path, metavar="FOLDER", help="measure COSTS on these pictures, and end")
    parser.add_argument("--sets", nargs="+", default=SETS, help="drawn ones, or NAME=FOLDER,HELD_OUT")
    parser.add_argument("--changes", nargs="+", default=list(CHANGES), choices=CHANGES, metavar="CHANGE")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--weights", type=Path, help="a folder of ImageNet weights; none: from scratch")
    parser.add_argument("--part", default="1/1", metavar="K/N", help="every Nth row, from the Kth on")
    asked = parser.parse_args()
    if asked.table:
        print(table(read(asked.rows)))
        return
    if asked.costs:
        print(json.dumps(costs(asked.costs, asked.changes, asked.weights), indent=2))
        return
    first, apart = (int(word) for word in asked.part.split("/"))
    sets = dict(word.partition("=")[::2] for word in asked.sets)
    rows = [Asked(data, changed, seed) for changed in asked.changes for seed in asked.seeds for data in sets]
    for row in rows[first - 1 :: apart]:
        if row not in read(asked.rows):
            append(asked.rows, row, trained(row, sets[row.data], asked.weights))


def trained(row: Asked, folders: str, weights: Path | None) -> dict[str, object]:
    """What `auto.py` measured."""
    words = [sys.executable, str(Path(__file__).with_name("auto.py")), "--only", "tarsia", "--small"]
    data, _, test = folders.partition(",")
    words += ["--data", data, "--test", test] if folders else ["--data", row.data]
    words += ["--minutes", str(MINUTES), "--steps", str(round(STEPS / COSTS.get(row.changed, 1.0)))]
    words += ["--seed", str(row.seed), *(["--weights", str(weights)] if weights else [])]
    words += [word for setting in (*FIXED, *CHANGES[row.changed]) for word in ("--set", setting)]
    print(*row, file=sys.stderr, flush=True)
    found = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
    return {**found["tarsia"], "commit": found["environment"]["commit"]}


def costs(pictures: Path, changes: list[str], weights: Path | None) -> dict[str, float]:
    """What a step takes of the processor, in steps as it is: medians of interleaved rounds, after one that warms up."""
    states, times = {}, {changed: list[float]() for changed in dict.fromkeys([AS_IT_IS, *changes])}
    torch.set_num_threads(1)
    for changed in times:
        settings = [*FIXED, "train.epochs=1", "train.steps_per_epoch=1000", *CHANGES[changed]]
        derived = deriving.derive(f"folder:{pictures}", MINUTES, overrides=settings, weights_at=weights)
        states[changed] = state = TrainingState.open(derived.recipe, Path(), "cpu", Restyling)
        state.model.train()
    batches = {changed: state.batches() for changed, state in states.items()}
    for _ in range(1 + _ROUNDS):
        for changed, state in states.items():
            started = time.process_time()
            gradients(state, [next(batches[changed])])
            take(state)
            times[changed].append(time.process_time() - started)
    base = statistics.median(times[AS_IT_IS][1:])
    return {changed: round(statistics.median(found[1:]) / base, 2) for changed, found in times.items()}


def append(path: Path, row: Asked, found: dict[str, object]) -> None:
    """One line more; the head of the table where the file is new."""
    seconds = found["processor_seconds"], found["wall_seconds"]
    values = [row.data, row.changed, row.seed, found["miou"], found["steps"], found["batch"], *seconds]
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([*([FIELDS] if is_new else []), [*values, found["commit"]]])


def read(path: Path) -> dict[Asked, float]:
    """The mIoU of each training that is in the file."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {
            Asked(row["data"], row["changed"], int(row["seed"])): float(row["miou"]) for row in csv.DictReader(file)
        }


def table(rows: dict[Asked, float]) -> str:
    """Markdown: a line for each change, a column for each set, and what the rule of change says."""
    sets = list(dict.fromkeys(row.data for row in rows))
    lines = ["| changed | " + " | ".join(sets) + " | mean | |", "|---" * (len(sets) + 3) + "|"]
    base = [over_trainings([miou for row, miou in rows.items() if row[:2] == (one, AS_IT_IS)]) for one in sets]
    figures = [f"{one.value:.3f} ± {one.high - one.value:.3f}" for one in base]
    lines.append(f"| {AS_IT_IS} (mIoU) | " + " | ".join(figures) + " | | |")
    for changed in [one for one in CHANGES if one != AS_IT_IS and any(row.changed == one for row in rows)]:
        gains = [over_trainings(differences(rows, one, changed)) for one in sets]
        shown = [_shown(one) for one in gains]
        values = [one.value for one in gains if not math.isnan(one.value)]
        mean = statistics.fmean(values) if values else math.nan
        verdict = "better" if values and mean >= GAIN and min(values) > LOSS else "kept as it is"
        verdict += "" if len(values) == len(sets) else ", not on all sets"
        verdict += "" if all(len(differences(rows, one, changed)) > 2 for one in sets) else ", of few seeds"
        lines.append(f"| {changed} | " + " | ".join(shown) + f" | {mean:+.3f} | {verdict} |")
    return "\n".join(lines)


def _shown(gain: Figure) -> str:
    if math.isnan(gain.value):
        return "-"
    return f"{gain.value:+.3f} " + ("(one seed)" if math.isnan(gain.high) else f"± {gain.high - gain.value:.3f}")


def differences(rows: dict[Asked, float], data: str, changed: str) -> list[float]:
    """mIoU changed minus mIoU as it is, for each seed that has both."""
    seeds = [row.seed for row in rows if (row.data, row.changed) == (data, changed)]
    pairs = [(rows[Asked(data, changed, seed)], rows.get(Asked(data, AS_IT_IS, seed))) for seed in seeds]
    return [one - other for one, other in pairs if other is not None]


if __name__ == "__main__":
    main()
