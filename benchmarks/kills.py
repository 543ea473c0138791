"""kill -9 at random times, and damage between: what is resumed must end as what nothing stopped.

Three rounds, on small data of its own, until each has its share of `--kills`:

    train     2 workers, steps of 2 batches, a cache, a resume point after each step.  Between a kill and its resume
              sometimes the newest resume point or the cache is damaged (cut, a byte flipped, removed, garbage).  At
              the end the weights (best and last) and metrics.csv must be the unbroken run's.
    cache     a cache is built, killed, damaged, or a picture under it changed: every sample read through it must be
              the one read without.
    predict   pictures into a folder, killed, the journal sometimes damaged, `--resume`: every file must be the
              unbroken run's, byte for byte.

Nothing of a killed process may be left: no part files, no lock, no worker after a while.  Prints seed and counts; exit
code 1 where anything differed.

    python benchmarks/kills.py --kills 100 --seed 0
"""

from __future__ import annotations

import argparse
import collections
import csv
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image
from safetensors.numpy import load_file

from tarsia import data as data_sets
from tarsia import environment
from tarsia.errors import DatasetError
from tarsia.files import LOCK

# Imports all once; each line of standard input is the arguments of one `tarsia` in a process of its own.
SERVER = """
import json, os, sys
import tarsia.training, tarsia.predicting, tarsia.models._encoders
from tarsia.cli import main
from tarsia.engines import measuring
measuring.WORTH_IT = float("inf")  # one layout for all runs: they are compared byte for byte
print("ready", flush=True)
for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if not child:
        for number, path, flags in ((0, os.devnull, os.O_RDONLY), (1, job["log"], 1025), (2, job["log"], 1025)):
            os.dup2(os.open(path, flags), number)
        sys.argv = ["tarsia", *job["arguments"]]
        if job["cache"]:
            from tarsia import data
            data.open(*job["cache"][:3], cache=job["cache"][3])
            os._exit(0)
        main()
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
TIMING = ("images_per_second", "seconds", "waiting_share")
GONE_SECONDS = 30.0  # in which a killed training's workers must have ended


class Programs:
    """Runs `tarsia`, and kills it."""

    def __init__(self, folder: Path, draw: random.Random) -> None:
        self.log, self.draw, self.counts = folder / "output.txt", draw, collections.Counter[str]()
        self.children: set[int] = set()
        self.server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        self._line()

    def run(self, *arguments: object, cache: tuple[str, ...] = (), within: float | None = None) -> int:
        """The exit code of `tarsia`; with `within` it is killed at a random moment of so many seconds: then -9."""
        assert self.server.stdin is not None
        self.log.write_text("")
        job = {"log": str(self.log), "arguments": [str(one) for one in arguments], "cache": list(cache)}
        self.server.stdin.write(json.dumps(job).encode() + b"\n")
        self.server.stdin.flush()
        process = int(self._line())
        if within is not None and not self._ended(self.draw.uniform(0, within)):
            self.children |= _children(process)
            os.kill(process, signal.SIGKILL)
        code = int(self._line())
        self.counts["kills"] += code == -signal.SIGKILL
        return code

    def _ended(self, seconds: float) -> bool:
        return bool(select.select([self.server.stdout], [], [], seconds)[0])

    def _line(self) -> str:
        assert self.server.stdout is not None
        found = b""
        while not found.endswith(b"\n"):
            found += os.read(self.server.stdout.fileno(), 1)
        return found.decode().strip()

    def told(self) -> str:
        """The end of what it said."""
        return self.log.read_text()[-500:]

    def left_over(self) -> list[int]:
        """Workers of killed processes that are still there after a while."""
        until = time.monotonic() + GONE_SECONDS
        while (alive := [one for one in self.children if Path(f"/proc/{one}").exists()]) and time.monotonic() < until:
            time.sleep(0.2)
        return alive


def _children(process: int) -> set[int]:
    try:
        return {int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()}
    except OSError:
        return set()


class Check:
    """What was compared, and what differed."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def that(self, holds: bool, fault: str) -> None:
        """Note `fault` unless it holds."""
        if not holds:
            self.faults.append(fault)
            print(f"FAULT: {fault}", flush=True)


def write_folder(root: Path, counts: dict[str, int], draw: np.random.Generator) -> Path:
    """Pictures of 32 x 48 in three colours with noise, and their labels."""
    for split, count in counts.items():
        for place in ("images", "labels"):
            (root / split / place).mkdir(parents=True)
        for index in range(count):
            write_pair(root / split, f"{index:03}", draw)
    splits = {split: {"images": f"{split}/images", "labels": f"{split}/labels"} for split in counts}
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["a", "b", "c"], "splits": splits}))
    return root


def write_pair(folder: Path, name: str, draw: np.random.Generator) -> None:
    label_HW = draw.integers(0, 3, (4, 6), np.uint8).repeat(8, 0).repeat(8, 1)
    label_HW[draw.random(label_HW.shape) < draw.random()] = 255
    image_HW3 = (label_HW[..., None] % 3 * 80 + draw.integers(0, 60, (32, 48, 3))).astype(np.uint8)
    Image.fromarray(image_HW3).save(folder / "images" / f"{name}.png")
    Image.fromarray(label_HW).save(folder / "labels" / f"{name}.png")


def recipe(data: Path, cache: Path) -> dict[str, Any]:
    return {
        "data": {"name": "folder", "root": str(data), "cache": str(cache)},
        "model": {"name": "unet", "encoder": "test_resnet", "channels": [8] * 5},
        "augment": {"horizontal_flip": 0.5, "scale": {}, "crop": [32, 32], "noise": {}},
        "train": {
            "epochs": 4,
            "batch": 2,
            "accumulate": 2,
            "workers": 2,
            "ema": 0.9,
            "precision": "float32",
            "memory_format": "contiguous",  # measured, it would be now this and now that
            "loss": {"cross_entropy": 1, "dice": 1},
            "clip_norm": 5.0,
            "save_every_seconds": 1e-6,
        },
    }


def damage(path: Path, draw: random.Random) -> str:
    """Cut a file, flip one of its bytes, remove it or replace it by garbage -> which."""
    kind = draw.choice(["cut", "flipped", "removed", "garbage"])
    content = bytearray(path.read_bytes())
    if kind == "cut":
        path.write_bytes(content[: draw.randrange(len(content) + 1)])
    elif kind == "flipped" and content:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
    elif kind == "removed":
        path.unlink()
    else:
        path.write_bytes(draw.randbytes(200))
    return kind


def of_cache(cache: Path, draw: random.Random) -> Path | None:
    """One of the files of the caches in a folder."""
    files = sorted(cache.glob("*/samples.bin")) + sorted(cache.glob("*/index.json"))
    return draw.choice(files) if files else None


def rounds_of_train(programs: Programs, folder: Path, kills: int, check: Check) -> None:
    draw, counts, data = programs.draw, programs.counts, folder / "data"
    cache, path = folder / "cache", folder / "r.yaml"
    path.write_text(yaml.safe_dump(recipe(data, cache)))
    whole, started = folder / "whole", time.monotonic()
    assert programs.run("train", path, "--out", whole) == 0, programs.told()
    lasts, goal = time.monotonic() - started, counts["kills"] + kills
    while counts["kills"] < goal:
        run, counts["trainings"] = folder / "run", counts["trainings"] + 1
        shutil.rmtree(run, ignore_errors=True)
        code = programs.run("train", path, "--out", run, within=lasts)
        while code:
            counts["trainings resumed"] += code == -signal.SIGKILL
            begun = (run / "recipe.yaml").is_file()
            point = run / "resume" / "state.safetensors"
            if point.is_file() and point.with_name("state.previous.safetensors").is_file() and draw.random() < 0.2:
                counts[f"resume point {damage(point, draw)}"] += 1
            file = of_cache(cache, draw)
            if file is not None and draw.random() < 0.2:
                counts[f"cache {damage(file, draw)}"] += 1
            again = ("train", "--resume", run) if begun else ("train", path, "--out", run, "--overwrite")
            code = programs.run(*again, within=None if counts["kills"] >= goal else lasts)
            refused = code == 2 and "is rebuilt" in programs.told()
            counts["damaged caches refused while in use"] += refused
            if code not in (0, -signal.SIGKILL) and not refused:
                check.that(False, f"train: exit code {code}: {programs.told()}")
                break
        check.that(not (differ := _differing(run, whole)), f"train: {differ} of run {counts['trainings']}")
        left = [one for one in run.rglob("*") if one.name.endswith(".part") or one.name == LOCK]
        check.that(not left, f"train: left over: {left}")
        counts["trainings compared"] += 1
    check.that(not programs.left_over(), f"train: workers outlive their training: {programs.left_over()}")


def _differing(run: Path, whole: Path) -> list[str]:
    """What of two runs is not the same."""

    def rows(folder: Path) -> list[dict[str, str]]:
        with (folder / "metrics.csv").open(newline="") as file:
            return [{key: value for key, value in row.items() if key not in TIMING} for row in csv.DictReader(file)]

    found = [] if rows(run) == rows(whole) else ["metrics.csv"]
    for name in ("last.safetensors", "model.safetensors"):
        one, other = load_file(run / name), load_file(whole / name)
        if one.keys() != other.keys() or any(one[key].tobytes() != other[key].tobytes() for key in one):
            found.append(name)
    return found


def rounds_of_cache(programs: Programs, folder: Path, kills: int, check: Check) -> None:
    draw, counts, arrays = programs.draw, programs.counts, np.random.default_rng(programs.draw.randrange(2**32))
    data, cache = write_folder(folder / "changing", {"train": 150}, arrays), folder / "changing-cache"
    job, started = ("folder", str(data), "train", str(cache)), time.monotonic()
    assert programs.run(cache=job) == 0, programs.told()
    lasts, goal = time.monotonic() - started, counts["kills"] + kills
    while counts["kills"] < goal:
        what = draw.choice(["changed", "damaged", "removed"])
        file = of_cache(cache, draw)
        if what == "changed":
            write_pair(data / "train", f"{draw.randrange(150):03}", arrays)
            counts["pictures changed under a cache"] += 1
        elif what == "damaged" and file is not None:
            counts[f"cache {damage(file, draw)}"] += 1
        else:
            shutil.rmtree(cache, ignore_errors=True)
        programs.run(cache=job, within=lasts)
        counts["caches compared"] += 1
        for attempt in (1, 2):
            try:
                _compare_samples(data, cache, check)
                break
            except DatasetError as error:  # found damaged only as it is read
                check.that("is rebuilt" in str(error) and attempt == 1, f"cache: {error}")
                counts["damaged caches refused while in use"] += 1
    left = list(cache.glob(".building-*"))
    check.that(len(left) <= 1, f"cache: left over: {left}")


def _compare_samples(data: Path, cache: Path, check: Check) -> None:
    plain, cached = (data_sets.open("folder", data, "train", cache=one) for one in (None, str(cache)))
    check.that(len(plain) == len(cached), "cache: another number of samples")
    for index in range(len(plain)):
        one, other = plain[index], cached[index]
        same = np.array_equal(one.image, other.image) and np.array_equal(one.label, other.label)
        check.that(same and one[2:] == other[2:], f"cache: sample {index} is another")


def rounds_of_predict(programs: Programs, folder: Path, kills: int, check: Check) -> None:
    draw, counts, pictures = programs.draw, programs.counts, folder / "pictures"
    pictures.mkdir()
    arrays = np.random.default_rng(programs.draw.randrange(2**32))
    for index in range(60):
        patches_HW3 = arrays.integers(0, 256, (4, 4, 3), np.uint8).repeat(16, 0).repeat(16, 1)
        Image.fromarray(patches_HW3).save(pictures / f"{index:03}.png")
    asked = ("predict", folder / "whole", pictures, "--save", "label,overlay,geojson,shares,coco")
    whole, started = folder / "whole-predictions", time.monotonic()
    assert programs.run(*asked, "--out", whole) == 0, programs.told()
    lasts, goal = time.monotonic() - started, counts["kills"] + kills
    wanted = _contents(whole)
    while counts["kills"] < goal:
        out, counts["predictions"] = folder / "predictions", counts["predictions"] + 1
        shutil.rmtree(out, ignore_errors=True)
        code = programs.run(*asked, "--out", out, within=lasts)
        while code:
            journal = out / ".predict.jsonl"
            if journal.is_file() and journal.stat().st_size and draw.random() < 0.3:
                counts[f"journal {damage(journal, draw)}"] += 1
            code = programs.run(*asked, "--out", out, "--resume", within=None if counts["kills"] >= goal else lasts)
            if code == 2:  # said by name; what there is may be replaced
                said = programs.told()
                known = any(words in said for words in ("exists already", "was begun", "no run to resume"))
                check.that(known, f"predict: {said}")
                counts["damaged journals refused"] += 1
                code = programs.run(*asked, "--out", out, "--overwrite", within=lasts)
        found = _contents(out)
        unlike = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        check.that(not unlike, f"predict: {out} is not as {whole}: {', '.join(unlike[:9])}")
        if unlike:
            shutil.copytree(out, folder / f"unlike-{counts['predictions']}")
        left = [one for one in out.rglob("*") if one.name.endswith(".part") or one.name == LOCK]
        check.that(not left, f"predict: left over: {left}")
        counts["predictions compared"] += 1


def _contents(folder: Path) -> dict[str, bytes]:
    """Every result; what is summed up stands in the order of the pictures."""
    return {one.name: one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file() and one.name[0] != "."}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=100)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--folder", type=Path, help="kept; default: a temporary one, removed")
    given = options.parse_args()
    facts = environment.describe()
    print(f"seed {given.seed}, {given.kills} kills, commit {facts['commit']}, {facts['processor']}", flush=True)
    check, shares = Check(), (given.kills // 2, given.kills // 4)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        programs = Programs(folder, random.Random(given.seed))
        write_folder(folder / "data", {"train": 16, "val": 6}, np.random.default_rng(given.seed))
        rounds_of_train(programs, folder, shares[0], check)
        rounds_of_cache(programs, folder, shares[1], check)
        rounds_of_predict(programs, folder, given.kills - sum(shares), check)
        assert programs.server.stdin is not None
        programs.server.stdin.close()
        programs.server.wait()
    for name, count in sorted(programs.counts.items()):
        print(f"{name:40} {count}")
    print(f"{'faults':40} {len(check.faults)}")
    sys.exit(bool(check.faults))


if __name__ == "__main__":
    main()
