"""Exported networks against segmentation_models.pytorch's same U-Net in eager float32, stage by stage.

    python benchmarks/export.py --encoder resnet18
    python benchmarks/export.py --encoder mobilenetv2_100 --files float.onnx int8.onnx
    python benchmarks/export.py --command int8.onnx
    python benchmarks/export.py --install

All ways take turns in one process, batch 1, one 360x480 picture (384x480 with padding, which the other needs too); the
figures are medians and their ratio to the other's, of the clock, or with `--clock cpu` of the processor's time, which
is what means something on a busy machine (with one thread).  `network` is normalising and scores; `whole` is a JPEG
file read, segmented and written as an index PNG, and `after_share` what of that comes after the network.  All write
the scene's true labels: those of random weights are noise, which takes three times as long to compress.  Without
--files the weights are random and all layers in 8 bits; --files are what `tarsia export` made of such a network (its
recipe's model: name unet, this encoder, convolutions 2, upsampling nearest) and hold what passed its gate.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tarsia import data, environment, hardware
from tarsia.card import Card, Classes, Input
from tarsia.engines import onnx_file
from tarsia.engines.open import engine_class
from tarsia.errors import RecipeError
from tarsia.pictures.reader import read
from tarsia.prediction.prediction import Prediction
from tarsia.prediction.predictor import Predictor

CLASSES = Classes(
    names=tuple(f"class{k}" for k in range(11)), colors=tuple((23 * k, 255 - 20 * k, 9 * k) for k in range(11))
)
SIZE = (360, 480)
RUNNERS = {"onnxruntime": {}, "openvino": {}, "openvino bfloat16": {"precision": "bfloat16"}}  # that is where it can be
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
CLOCK = CLOCKS["wall"]
Stages = dict[str, float]


def exported_pair(encoder: str, network: Any, pictures: list[np.ndarray], threads: int) -> dict[str, bytes]:
    """The network as files of float32 and of 8 bits."""
    from tarsia.exporters.int8 import Quantizer
    from tarsia.exporters.writer import exported, with_interface

    card = Card(architecture="unet", model={"encoder": encoder}, classes=CLASSES, input=Input(stride=network.stride))
    graph = exported(network, card)
    eighth = Quantizer(graph, iter(pictures), threads).quantized()
    in_8_bits = card.model_copy(update={"provenance": {"export": {"precision": "int8"}}})
    return {"float32": with_interface(graph, card), "int8": with_interface(eighth, in_8_bits)}


def pair(encoder: str) -> tuple[Any, Any]:
    """The same U-Net of ours and of theirs, with the same random weights."""
    import segmentation_models_pytorch as smp
    import torch

    from tarsia import models
    from train_step import same_start

    torch.manual_seed(0)
    options = {"encoder": encoder, "convolutions": 2, "upsampling": "nearest"}
    mine = models.create("unet", len(CLASSES), options=options).eval()
    name = encoder if encoder.startswith("resnet") else f"tu-{encoder}"
    theirs = smp.Unet(name, encoder_weights=None, classes=len(CLASSES)).eval()
    same_start(mine, theirs)
    return mine, theirs


def the_others_way(model: Any, truth_HW: np.ndarray) -> Callable[[Path, Path], Stages]:
    """The usual script: Pillow, a tensor, normalised, padded, scores, argmax, Pillow."""
    import torch
    from torch.nn import functional

    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 255
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1) * 255

    @torch.inference_mode()
    def run(picture: Path, out: Path) -> Stages:
        times = [CLOCK()]
        image = np.asarray(Image.open(picture).convert("RGB"))
        times.append(CLOCK())
        tensor = (torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() - mean) / std
        height, width = image.shape[:2]
        scores = model(functional.pad(tensor, (0, -width % 32, 0, -height % 32)))
        times.append(CLOCK())
        label = scores[0, :, :height, :width].argmax(0).to(torch.uint8).numpy()
        assert label.shape == truth_HW.shape
        Image.fromarray(truth_HW).save(out)
        times.append(CLOCK())
        return stages(times)

    return run


def our_way(predictor: Predictor, truth_HW: np.ndarray) -> Callable[[Path, Path], Stages]:
    """What `tarsia predict` does with a picture, overlay and shares left out."""

    def run(picture: Path, out: Path) -> Stages:
        times = [CLOCK()]
        image = read(picture).values_HWC
        times.append(CLOCK())
        scores = predictor.scores(image[None])
        times.append(CLOCK())
        label_HW = predictor.engine.labels(scores, image.shape[:2])[0]
        assert label_HW.shape == truth_HW.shape
        Prediction(truth_HW, predictor.classes).save(out)
        times.append(CLOCK())
        return stages(times)

    return run


def stages(times: list[float]) -> Stages:
    decode, network, after = (after - before for before, after in zip(times, times[1:], strict=False))
    return {"decode": decode, "network": network, "after": after, "whole": decode + network + after}


def our_ways(
    files: dict[str, bytes], threads: int, truth_HW: np.ndarray
) -> Iterator[tuple[str, Callable[[Path, Path], Stages]]]:
    for stored, content in files.items():
        for name, options in RUNNERS.items():
            file = onnx_file.parse(content, stored)
            try:
                engine = engine_class(name.partition(" ")[0])(file, stored, "cpu", threads=threads, **options)
            except RecipeError as error:  # a precision that this processor does not compute in
                print(f"left out: {name} ({error})", file=sys.stderr)
                continue
            yield f"{stored} {name}", our_way(Predictor(engine), truth_HW)


def measure(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Every way in turns."""
    import torch

    torch.set_num_threads(asked.threads)
    street = data.open("streets", None, "val", count=4, size="360x480")
    images = [street[k].image for k in range(4)]
    truth_HW = street[0].label % len(CLASSES)  # the scenes have more classes
    picture = folder / "street.jpg"
    Image.fromarray(images[0]).save(picture, quality=95)
    mine, theirs = pair(asked.encoder)
    padded = [np.pad(image, ((0, -image.shape[0] % 32), (0, 0), (0, 0)))[None] for image in images]
    if asked.files:
        files = {}
        for path in asked.files:
            file = onnx_file.read(path)
            files[(file.card.provenance.get("export") or {}).get("precision", "float32")] = file.content
    else:
        files = exported_pair(asked.encoder, mine, padded, asked.threads)
    ways = {"theirs eager float32": the_others_way(theirs, truth_HW), **dict(our_ways(files, asked.threads, truth_HW))}
    seen: dict[str, list[Stages]] = {name: [] for name in ways}
    for _ in range(asked.rounds + 2):
        for name, way in ways.items():
            for _ in range(2):  # the first wakes its threads, and finds nothing of its own in the caches
                found = way(picture, folder / "label.png")
            seen[name].append(found)
    medians = {
        name: {stage: statistics.median(one[stage] for one in rounds[2:]) for stage in rounds[0]}
        for name, rounds in seen.items()
    }
    other = medians["theirs eager float32"]
    return {
        "encoder": asked.encoder,
        "torch": hardware.torch_described(),
        "threads": asked.threads,
        "clock": asked.clock,
        "rounds": asked.rounds,
        "bytes": {name: len(content) for name, content in files.items()},
        "ways": {
            name: {f"{stage}_ms": round(1000 * seconds, 2) for stage, seconds in found.items()}
            | {"network_ratio": round(other["network"] / found["network"], 2)}
            | {"whole_ratio": round(other["whole"] / found["whole"], 2)}
            | {"after_share": round(found["after"] / found["whole"], 3)}
            for name, found in medians.items()
        },
    }


def started(model: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """Seconds of the whole command on one small picture: nearly all of it is Python, libraries and the model's file."""
    picture = folder / "small.png"
    Image.new("RGB", (64, 64), (90, 120, 90)).save(picture)
    command = [sys.executable, "-m", "tarsia", "predict", str(model), str(picture), "--quiet", "--overwrite", "--out"]
    wall, processor = [], []
    for _ in range(rounds):
        begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*command, str(folder / "seen")], check=True, capture_output=True)
        wall.append(time.perf_counter() - begun)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    found = {"wall_seconds": wall, "processor_seconds": processor}
    rounded = {key: [round(one, 2) for one in seconds] for key, seconds in found.items()}
    return {"command": " ".join(["tarsia", *command[3:5]])} | rounded


def installed() -> dict[str, Any]:
    """Megabytes of Tarsia's own dependencies without extras, as they lie in this environment."""
    waiting, sizes = ["tarsia"], dict[str, int]()
    while waiting:
        name = waiting.pop()
        if name in sizes:
            continue
        found = importlib.metadata.distribution(name)
        places = [Path(str(found.locate_file(file))) for file in found.files or []]
        sizes[name] = sum(place.stat().st_size for place in places if place.is_file() and place.suffix != ".pyc")
        for needed in found.requires or []:
            requirement, _, condition = needed.partition(";")
            if "extra" not in condition and not re.search(r"(python_version|sys_platform|platform)", condition):
                waiting.append(re.split(r"[\s<>=!~\[(;]", requirement.strip())[0].lower())
    return {"megabytes": round(sum(sizes.values()) / 1e6, 1), "packages": {k: v // 1000 for k, v in sizes.items()}}


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", choices=("resnet18", "mobilenetv2_100"), default="resnet18")
    parser.add_argument("--files", type=Path, nargs="*", help="exported files of float32 and 8 bits")
    parser.add_argument("--command", type=Path, help="time `tarsia predict` with this file instead")
    parser.add_argument("--install", action="store_true", help="the size of the base install instead")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--out", type=Path, default=None)
    asked = parser.parse_args()
    global CLOCK
    CLOCK = CLOCKS[asked.clock]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if asked.install:
            result = installed()
        elif asked.command:
            result = started(asked.command, folder, asked.rounds)
        else:
            result = measure(asked, folder)
    text = json.dumps(result | {"environment": environment.describe()}, indent=1)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
