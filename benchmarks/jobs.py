"""Jobs of very many pictures: what planning holds in memory, and what a chunk costs beside a plain loop.

`memory` plans tables of names and prints the peak of the process for each number of rows.  `speed` does the chunks of a
job in one process, for several numbers of pictures, and reads, segments and writes as many masks in a plain loop over
the same predictor: processor seconds a picture, of both in turn.

    python benchmarks/jobs.py memory --rows 100000 1000000
    python benchmarks/jobs.py speed runs/demo/model.safetensors --pictures 500 1000 2000 4000
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tarsia import environment

PLANNING = r"""
import json, re, sys, time
import tarsia
from tarsia import console

console.quiet(True)
started = time.process_time()
job = tarsia.plan(sys.argv[1], sys.argv[2], chunk=int(sys.argv[3]))
peak = re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())
print(json.dumps({"rows": job.pictures, "peak MiB": round(int(peak[1]) / 1024, 1),
                  "microseconds a row": round(1e6 * (time.process_time() - started) / job.pictures, 1)}))
"""
WORKING = r"""
import io, json, sys, time
from pathlib import Path
import tarsia
from tarsia import console
from tarsia.drawing.paint import label_png
from tarsia.inference import Inference
from tarsia.jobs.worker import Opening

console.quiet(True)
model, photos, out, chunk = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
job = tarsia.plan(photos, out / "job", chunk=chunk)
work, _ = Opening(job, model, "sum", {}, Inference(device="cpu")).open()
predictor = work.segmenting.predictor
predictor(job.names(0)[0], confidence=True)  # the first picture of a process takes seconds, whoever asks
seconds = {"chunks": 0.0, "loop": 0.0}
for index in range(job.chunks):
    started = time.process_time()
    work.do(index)
    seconds["chunks"] += time.process_time() - started
    started = time.process_time()
    for name in job.names(index):
        seen = predictor(name, confidence=True)
        (out / f"{Path(name).stem}.png").write_bytes(label_png(seen.label_HW, predictor.classes))
        seen.areas(), float(seen.confidence_HW.mean())
    seconds["loop"] += time.process_time() - started
print(json.dumps({"pictures": job.pictures, **{key: round(1e3 * one / job.pictures, 3) for key, one in seconds.items()},
                  "share of the loop's speed": round(seconds["loop"] / seconds["chunks"], 3)}))
"""


def planned(rows: int, chunk: int, folder: Path) -> Any:
    """What planning a table of so many names takes, in a process of its own."""
    import pyarrow
    from pyarrow import parquet

    table = folder / f"{rows}.parquet"
    schema = pyarrow.schema([("path", pyarrow.string())])
    with parquet.ParquetWriter(table, schema) as writer:
        for first in range(0, rows, 50_000):
            numbers = range(first, min(rows, first + 50_000))
            names = [f"/photos/{number // 1000:06d}/{number:09d}.jpg" for number in numbers]
            writer.write_table(pyarrow.table([names], schema=schema))
    return _printed(PLANNING, table, folder / f"job-{rows}", chunk)


def worked(model: Path, pictures: int, chunk: int, folder: Path) -> Any:
    """What so many pictures cost in chunks and in a loop, in a process of its own."""
    from PIL import Image

    from tarsia import data

    photos = folder / f"photos-{pictures}"
    photos.mkdir()
    scene = data.open("streets", split="test", count=1, size=(240, 320))[0]
    Image.fromarray(scene.image).save(photos / "00000.jpg", quality=90)
    for number in range(1, pictures):
        (photos / f"{number:05d}.jpg").hardlink_to(photos / "00000.jpg")
    out = folder / f"out-{pictures}"
    out.mkdir()
    return _printed(WORKING, model, photos, out, chunk)


def _printed(code: str, *arguments: object) -> Any:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    memory = commands.add_parser("memory")
    memory.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    speed = commands.add_parser("speed")
    speed.add_argument("model", type=Path)
    speed.add_argument("--pictures", type=int, nargs="+", default=[500, 1000, 2000, 4000])
    for one in (memory, speed):
        one.add_argument("--chunk", type=int, default=1000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if asked.what == "memory":
            found = [planned(rows, asked.chunk, Path(name)) for rows in asked.rows]
        else:
            found = [worked(asked.model.resolve(), count, asked.chunk, Path(name)) for count in asked.pictures]
    print(json.dumps({"environment": environment.describe(), asked.what: found}, indent=2))


if __name__ == "__main__":
    main()
