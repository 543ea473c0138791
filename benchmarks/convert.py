"""Large COCO files: the peak memory of `tarsia convert`, and its pictures a second beside pycocotools drawing the same.

    python benchmarks/convert.py --megabytes 100 1000 --folder /var/tmp/convert

Draws COCO files of 10 kB a picture, so that 1000 MB are 100,000 pictures: four discs of 83 corners in each, whose
annotations lie in a random order; pictures of 64 x 64 pixels are links to one file.  Each file is converted in a
process of its own, whose peak is that of its resident memory; what is written is removed after each.  Then pycocotools,
where it is installed, reads the file and draws the same label maps, without checking or writing anything.  Prints JSON.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tarsia import environment

_BYTES, _OBJECTS, _SIDE, _CORNERS = 10_000, 4, 64, 83
_A_FOLDER = 1000
_PEAK = """
import resource, runpy, sys, time
started = time.perf_counter()
try:
    {0}
finally:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    used = time.process_time()
    print("measured", peak, time.perf_counter() - started, used)
"""
OURS = _PEAK.format("sys.argv[0] = 'tarsia'; runpy.run_module('tarsia', run_name='__main__')")
THEIRS = _PEAK.format("""
    import contextlib, io
    import numpy as np
    from pycocotools.coco import COCO
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(sys.argv[1])
    for number in coco.getImgIds():
        image = coco.loadImgs(number)[0]
        label_HW = np.zeros((image['height'], image['width']), np.uint8)
        for entry in sorted(coco.loadAnns(coco.getAnnIds(imgIds=number)), key=lambda entry: -entry['area']):
            label_HW[coco.annToMask(entry) == 1] = entry['category_id']
""")


def drawn(root: Path, megabytes: int) -> tuple[Path, int]:
    """A COCO file of so many megabytes with its pictures -> the file, and how many pictures."""
    count, path = megabytes * 1_000_000 // _BYTES, root / "instances_all.json"
    if path.is_file():
        return path, count
    random = np.random.default_rng(0)
    root.mkdir(parents=True, exist_ok=True)
    Image.fromarray(random.integers(0, 256, (_SIDE, _SIDE, 3), np.uint8)).save(root / "one.jpg")
    turn = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    ring_N2 = np.stack([np.cos(turn), np.sin(turn)], 1)
    with (root / "part.json").open("w") as file:
        file.write('{"categories": [{"id": 1, "name": "disc"}, {"id": 2, "name": "coin"}], "annotations": [')
        for at, k in enumerate(random.permutation(count * _OBJECTS).tolist()):
            center, radius = random.uniform(10, 50, 2), random.uniform(3, 9)
            ring = ", ".join([f"{number:.10f}" for number in (center + radius * ring_N2).ravel().tolist()])
            file.write(
                f'{", " if at else ""}{{"id": {k}, "image_id": {k // _OBJECTS}, "category_id": {1 + k % 2}, '
                f'"iscrowd": 0, "area": {3.14 * radius**2:.6f}, "bbox": [0, 0, 1, 1], "segmentation": [[{ring}]]}}'
            )
        file.write('], "images": [')
        for k in range(count):
            name = f"{k // _A_FOLDER:04d}/{k:07d}.jpg"
            (root / name).parent.mkdir(exist_ok=True)
            _link(root, name, k)
            image = {"id": k, "file_name": name, "height": _SIDE, "width": _SIDE}
            file.write((", " if k else "") + json.dumps(image))
        file.write("]}")
    (root / "part.json").rename(path)
    return path, count


def _link(root: Path, name: str, number: int) -> None:
    """A picture: a name more of one file, a new one for each folder, since a file has so many names and no more."""
    first = root / f"{number // _A_FOLDER:04d}.jpg"
    if not first.is_file():
        shutil.copyfile(root / "one.jpg", first)
    (root / name).unlink(missing_ok=True)
    os.link(first, root / name)


def measured(program: str, words: list[Any], count: int) -> dict[str, float]:
    """A process of its own: its peak in MiB, and pictures a second of all of its time and of that on the processor."""
    done = subprocess.run([sys.executable, "-c", program, *map(str, words)], stdout=subprocess.PIPE, text=True)
    told = next((line for line in done.stdout.splitlines() if line.startswith("measured")), None)
    if done.returncode or told is None:
        raise SystemExit(f"{words}: ended with {done.returncode}: {done.stdout}")
    peak, seconds, used = map(float, told.split()[1:])
    return {"peak_MiB": round(peak, 1), "pictures_a_second": count / seconds, "by_processor_time": count / used}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--theirs-up-to", type=int, default=100, help="megabytes; pycocotools holds all of a file")
    arguments = parser.parse_args()
    there = importlib.util.find_spec("pycocotools") is not None
    if not there:
        print("pycocotools is not installed here: Tarsia alone is measured", file=sys.stderr)
    rows = []
    for megabytes in arguments.megabytes:
        path, count = drawn(arguments.folder / str(megabytes), megabytes)
        out = arguments.folder / f"out-{megabytes}"
        shutil.rmtree(out, ignore_errors=True)
        row: dict[str, Any] = {"bytes": path.stat().st_size, "pictures": count}
        row["tarsia"] = measured(OURS, ["convert", path, "--images", path.parent, "--to", out, "--quiet"], count)
        shutil.rmtree(out)
        if there and megabytes <= arguments.theirs_up_to:
            row["pycocotools"] = measured(THEIRS, [path], count)
        print(json.dumps(row), file=sys.stderr, flush=True)
        rows.append(row)
    told = {"files": rows, "time": time.strftime("%F"), "environment": environment.describe()}
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
