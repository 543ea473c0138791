"""kill -9 of the processes, the first process and the machines of a job on Ray, at random: no picture may be lost.

A job of noise pictures is done by Ray's actors on machines that are none (Ray's cluster utility: each is some processes
here).  Between kills two chunks or more are finished.  At the end there must be one row for each picture, and the files
must be those of a run without Ray that nothing has stopped.  Prints seed and counts; exit code 1 where any differed.

    python benchmarks/job_kills.py MODEL --kills 20 --seed 0
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image
from pyarrow import parquet

import tarsia
from tarsia import console, environment, hardware

CHUNK = 8  # pictures
RUN = """
import sys, tarsia
tarsia.predict_job(sys.argv[1], sys.argv[2], ray=sys.argv[3], processes=2)
"""
KINDS = ("process", "machine", "first process")


@contextmanager
def machines() -> Iterator[Any]:
    """Two machines of one CPU each, on loopback, closed to all without a token; Ray must not be imported before."""
    ours = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": os.urandom(16).hex(), "RAY_USAGE_STATS_ENABLED": "0"}
    ours |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        yield cluster
    finally:
        cluster.shutdown()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


class Killing:
    """A job that is begun again until it is done, and what is killed meanwhile."""

    def __init__(self, model: Path, job: Path, cluster: Any, draw: random.Random) -> None:
        self.command = [sys.executable, "-c", RUN, str(model), str(job), cluster.address]
        self.job, self.cluster, self.draw = job, cluster, draw
        self.driver = subprocess.Popen(self.command)
        self.counts = collections.Counter[str]()

    def until_done(self, kills: int) -> None:
        """Kill so often, each kind as often as any other but for one, in random order; then let it end."""
        kinds = [KINDS[k % len(KINDS)] for k in range(kills)]
        self.draw.shuffle(kinds)
        done = 0
        try:
            while self.driver.poll() != 0:
                if self.driver.poll() is not None:
                    self.driver = subprocess.Popen(self.command)
                there = len(list(self.job.glob("out/chunk-*")))
                if kinds and there > done + 1 and any(self.job.glob("tries/*.json")):
                    done = there
                    time.sleep(self.draw.uniform(0, 0.2))
                    if self.kill(kinds[-1]):
                        self.counts[kinds.pop()] += 1
                time.sleep(0.02)
        finally:
            self.driver.kill()
            self.driver.wait()
        assert not kinds, f"done before it was killed {len(kinds)} times more: give it more pictures"

    def kill(self, kind: str) -> bool:
        """Kill one of a kind; False where there is none just now."""
        if kind == "first process":
            if self.driver.poll() is not None:
                return False
            self.driver.kill()
            self.driver.wait()
        elif kind == "machine":
            self.cluster.remove_node(self.draw.choice(sorted(self.cluster.worker_nodes, key=id)), allow_graceful=False)
            self.cluster.add_node(num_cpus=1)
        else:
            workers = self.workers()
            if not workers:
                return False
            self.draw.choice(workers).kill()
        return True

    def workers(self) -> list[psutil.Process]:
        """The processes that do chunks, of this cluster alone."""
        found = []
        for node in self.cluster.list_all_nodes():
            for raylet in node.all_processes["raylet"]:
                for one in psutil.Process(raylet.process.pid).children():
                    if one.cmdline()[:1] and one.cmdline()[0].startswith("ray::Answers"):
                        found.append(one)
        return found


def compared(photos: Path, calm: Path, job: Path) -> list[str]:
    """What is wrong with a job's rows and files beside those of one that nothing has stopped."""
    faults, files = [], sorted(calm.glob("out/*"))
    paths = [path for one in sorted(job.glob("out/*")) for path in parquet.read_table(one)["path"].to_pylist()]
    if sorted(paths) != sorted(str(path) for path in photos.iterdir()):
        faults.append(f"{len(paths)} rows of {len(set(paths))} pictures, of {len(list(photos.iterdir()))}")
    unlike = [one.name for one in files if (job / "out" / one.name).read_bytes() != one.read_bytes()]
    if unlike:
        faults.append(f"not the same bytes: {', '.join(unlike)}")
    if list(job.glob("tries/*")):
        faults.append(f"left over: {[one.name for one in job.glob('tries/*')]}")
    return faults


def killed(model: Path, folder: Path, cluster: Any, kills: int, seed: int) -> tuple[dict[str, int], list[str]]:
    """What was killed and counted, and what is wrong."""
    photos, chunks, arrays = folder / "photos", 4 * kills + 8, np.random.default_rng(seed)
    photos.mkdir()
    for index in range(CHUNK * chunks):
        noise_HW3 = arrays.integers(0, 256, (15, 20, 3), np.uint8).repeat(16, 0).repeat(16, 1)
        Image.fromarray(noise_HW3).save(photos / f"{index:05}.png")
    for name in ("calm", "job"):
        tarsia.plan(photos, folder / name, chunk=CHUNK)
    tarsia.predict_job(model, folder / "calm", processes=hardware.cores())  # one thread each, as those of Ray have
    killing = Killing(model, folder / "job", cluster, random.Random(seed))
    killing.until_done(kills)
    return dict(killing.counts) | {"pictures": CHUNK * chunks}, compared(photos, folder / "calm", folder / "job")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("model", type=Path)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    facts = environment.describe()
    print(f"seed {given.seed}, {given.kills} kills, commit {facts['commit']}, {facts['processor']}", flush=True)
    console.quiet(True)
    with tempfile.TemporaryDirectory() as folder, machines() as cluster:
        counts, faults = killed(given.model, Path(folder), cluster, given.kills, given.seed)
    for name, count in counts.items():
        print(f"{name:20} {count}")
    for fault in faults:
        print(f"FAULT: {fault}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
