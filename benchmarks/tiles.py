"""Tiles: the memory of a huge TIFF, what tiling costs beside the network, equality with the whole picture, and MONAI.

    python benchmarks/tiles.py huge [--side 30000] [--height H]  a TIFF through `predict`: time, memory, a crop compared
    python benchmarks/tiles.py throughput MODEL [--side 2048]    pixels a second against the network's own on one tile
    python benchmarks/tiles.py bookkeeping [--side 8192]         a network that does nothing: ours, naive, MONAI's

Each part runs in a process of its own; memory is the peak of resident memory over that before.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tarsia.card import Card, Classes, Input
from tarsia.inference import load
from tarsia.prediction import tiles
from tarsia.prediction.predictor import Predictor

COUNT = 11
CLASSES = Classes(
    names=tuple(f"class {k}" for k in range(COUNT)), colors=tuple((20 * k, 9 * k, 255 - k) for k in range(COUNT))
)
CROP = 2048


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class SmallEngine:
    """Two convolutions in ONNX Runtime: 3 -> 8 -> 11 channels of 3 x 3, random weights; one thread."""

    device = "cpu"

    def __init__(self) -> None:
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper

        self.card = Card(architecture="small", model={}, classes=CLASSES, input=Input(stride=8))
        draw = np.random.default_rng(0)
        weights = [draw.normal(0, 0.1, (8, 3, 3, 3)) / 25, draw.normal(0, 0.3, (11, 8, 3, 3))]
        named = [numpy_helper.from_array(w.astype(np.float32), f"w{n}") for n, w in enumerate(weights)]
        pads = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
        nodes = [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Conv", ["float", "w0"], ["a"], **pads),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Conv", ["b", "w1"], ["scores"], **pads),
        ]
        image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["B", 3, "H", "W"])
        scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["B", 11, "H", "W"])
        graph = helper.make_graph(nodes, "small", [image], [scores], named)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options)

    def run(self, images_BHW3: np.ndarray) -> np.ndarray:
        return self.session.run(None, {"image": np.ascontiguousarray(images_BHW3.transpose(0, 3, 1, 2))})[0]

    def labels(self, scores_BKHW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        from tarsia.engines import resample

        return resample.labels(scores_BKHW, size)

    def probabilities(self, scores_BKHW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        from tarsia.engines import resample

        return resample.probabilities(scores_BKHW, size)


class NoEngine(SmallEngine):
    """The picture's first channel, eleven times in other strengths: what is left is bookkeeping."""

    _lift_K11 = (np.arange(COUNT, dtype=np.float32) ** 1.5 * 9)[:, None, None]

    def __init__(self) -> None:
        self.card = Card(architecture="none", model={}, classes=CLASSES, input=Input(stride=8))

    def run(self, images_BHW3: np.ndarray) -> np.ndarray:
        channel_B1HW = images_BHW3[:, None, :, :, 0].astype(np.float32)
        return channel_B1HW * np.linspace(1, 0, COUNT, dtype=np.float32)[:, None, None] + self._lift_K11


def huge(height: int, side: int, stored: str, work: Path) -> dict[str, Any]:
    """Write a TIFF of `height` x `side`, predict it in a process of its own, and compare a crop."""
    import rasterio

    source, out = work / "huge.tif", work / "out"
    profile: dict[str, Any] = {"driver": "GTiff", "height": height, "width": side, "count": 3, "dtype": "uint8"}
    profile |= {"crs": "EPSG:32633", "transform": rasterio.Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000)}
    profile |= {"photometric": "rgb", "compress": "deflate", "zlevel": 1}
    profile |= {"tiled": True, "blockxsize": 512, "blockysize": 512} if stored == "tiled" else {"blockysize": 16}
    pattern_HW3 = np.random.default_rng(0).integers(0, 256, (64, side // 64 + 1, 3), np.uint8).repeat(64, 1)
    with rasterio.Env(GDAL_CACHEMAX=64), rasterio.open(source, "w", **profile) as file:
        for top in range(0, height, 512):
            rows_hW3 = np.roll(pattern_HW3, top // 7, 1)[:, :side].repeat(8, 0)[: min(512, height - top)]
            file.write(rows_hW3.transpose(2, 0, 1), window=((top, top + len(rows_hW3)), (0, side)))
    code = (
        "import sys, json, time; sys.path.insert(0, sys.argv[1])\n"
        "import tiles as t; from tarsia.predicting import predict\n"
        "engine = t.SmallEngine(); before = t.peak_bytes(); started = time.monotonic()\n"
        "run = predict(t.Predictor(engine).in_tiles(512), [sys.argv[2]], sys.argv[3])\n"
        "print(json.dumps([run.exit_code, before, t.peak_bytes(), time.monotonic() - started]))"
    )
    arguments = [sys.executable, "-c", code, str(Path(__file__).parent), str(source), str(out)]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)
    exit_code, before, peak, seconds = json.loads(done.stdout.splitlines()[-1])
    assert exit_code == 0
    # A crop with a margin wider than the network sees (2 pixels), at a place that is no tile's.
    crop, margin = min(CROP, min(side, height) // 2), 16
    at = (min(side, height) // 3) // 8 * 8
    window = ((at - margin, at + crop + margin),) * 2
    with rasterio.open(source) as given, rasterio.open(out / "huge.tif") as found:
        image_HW3 = given.read(window=window).transpose(1, 2, 0)
        label_HW = found.read(1, window=((at, at + crop),) * 2)
        blocks, size = found.block_shapes[0], (out / "huge.tif").stat().st_size
    whole_HW = Predictor(SmallEngine()).labels(image_HW3[None])[0][margin:-margin, margin:-margin]
    return {
        "picture": f"{height} x {side}, {stored}, {source.stat().st_size / 2**20:.0f} MiB as stored",
        "peak resident MiB": round(peak / 2**20),
        "of which before the run": round(before / 2**20),
        "seconds": round(seconds, 1),
        "megapixels a second": round(height * side / 1e6 / seconds, 2),
        "equal to the whole crop": float((label_HW == whole_HW).mean()),
        "result": f"tiles of {blocks}, {size / 2**20:.0f} MiB",
    }


def throughput(model: Path, side: int) -> dict[str, Any]:
    """Finished pixels and pixels through the network, a second, against the network's own on tiles alone."""
    predictor = load(model, device="cpu")
    tiling = tiles.Tiling.of(predictor.card.input, 512, 0.25)
    image_HW3 = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    tile_1HW3 = image_HW3[None, : tiling.side, : tiling.side]
    predictor.scores(tile_1HW3)
    count = len(tiles.spread(side, tiling).starts) ** 2
    own = tiled = float("inf")
    for _ in range(3):  # by turns, the best of three; the processor's time, as others may use the machine
        started = time.process_time()
        for _ in range(count):
            predictor.scores(tile_1HW3)
        own = min(own, time.process_time() - started)
        started = time.process_time()
        tiles.segment(predictor, image_HW3, tiling)
        tiled = min(tiled, time.process_time() - started)
    return {
        "model": f"{predictor.card.architecture}, {side} x {side}, {count} tiles of {tiling.side}",
        "network alone, seconds of the processor": round(own, 2),
        "tiled to labels, seconds of the processor": round(tiled, 2),
        "share of the network's own pixels a second": round(own / tiled, 3),
    }


def bookkeeping(side: int, how: str) -> dict[str, Any]:
    """One way to tile a network that does nothing: seconds beside the network's own, and memory over the picture."""
    image_HW3 = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    predictor = Predictor(NoEngine())
    tiling = tiles.Tiling.of(predictor.card.input, 512, 0.25)
    before, started = peak_bytes(), time.monotonic()
    label_HW = {"ours": _ours, "naive": _naive, "monai": _monai}[how](predictor, image_HW3, tiling)
    seconds, peak = time.monotonic() - started, peak_bytes()
    tile_1HW3, count = image_HW3[None, : tiling.side, : tiling.side], len(tiles.spread(side, tiling).starts) ** 2
    started = time.monotonic()
    for _ in range(count):
        predictor.engine.run(tile_1HW3)
    own = time.monotonic() - started
    naive = _naive_strip(predictor, image_HW3, tiling)
    return {
        "way": how,
        "seconds": round(seconds, 2),
        "of which the network, about": round(own, 2),
        "MiB over the picture": round((peak - before) / 2**20),
        "equal to naive in a strip": float((label_HW[: len(naive)] == naive).mean()),
    }


def _ours(predictor: Predictor, image_HW3: np.ndarray, tiling: tiles.Tiling) -> np.ndarray:
    return tiles.segment(predictor, image_HW3, tiling)[0]


def _naive(predictor: Predictor, image_HW3: np.ndarray, tiling: tiles.Tiling) -> np.ndarray:
    """Every tile times its weights on a canvas of all scores, as most programs do it; the same weights as ours."""
    height, width = image_HW3.shape[:2]
    down, across = tiles.spread(height, tiling), tiles.spread(width, tiling)
    total_KHW, weight_HW = np.zeros((11, height, width), np.float32), np.zeros((height, width), np.float32)
    for row, top in enumerate(down.starts):
        for column, left in enumerate(across.starts):
            place = np.s_[top : top + tiling.side, left : left + tiling.side]
            scores_KHW = predictor.evidence(image_HW3[place][None])[0]
            part_HW = np.outer(_weights(down, row, tiling.side), _weights(across, column, tiling.side))
            part_HW = part_HW[: scores_KHW.shape[1], : scores_KHW.shape[2]]
            total_KHW[:, *place] += scores_KHW * part_HW
            weight_HW[place] += part_HW
    total_KHW /= weight_HW
    return total_KHW.argmax(0).astype(np.uint8)


def _naive_strip(predictor: Predictor, image_HW3: np.ndarray, tiling: tiles.Tiling) -> np.ndarray:
    """The naive labels of the uppermost rows that only the first two rows of tiles have a part in."""
    down = tiles.spread(len(image_HW3), tiling)
    if len(down.starts) < 3:
        return _naive(predictor, image_HW3, tiling)
    rows = down.zones[0][1]
    bottom = down.starts[1] + tiling.side
    total_KHW = np.zeros((11, bottom, image_HW3.shape[1]), np.float32)
    across = tiles.spread(image_HW3.shape[1], tiling)
    for row, top in enumerate(down.starts[:2]):
        for column, left in enumerate(across.starts):
            place = np.s_[top : top + tiling.side, left : left + tiling.side]
            scores_KHW = predictor.evidence(image_HW3[place][None])[0]
            total_KHW[:, *place] += scores_KHW * np.outer(
                _weights(down, row, tiling.side), _weights(across, column, tiling.side)
            )
    return total_KHW[:, :rows].argmax(0).astype(np.uint8)


def _weights(along: tiles.Side, index: int, side: int) -> np.ndarray:
    """The weights of one tile along a side."""
    first, last = along.extent(index)
    start = along.starts[index]
    weight = np.zeros(side, np.float32)
    weight[first - start : last - start] = 1
    for number, falling in ((index - 1, False), (index, True)):
        if 0 <= number < len(along.zones):
            zone = np.arange(*along.zones[number]) - start
            rise = (1 - np.cos(np.pi * (np.arange(len(zone)) + 0.5) / len(zone))) / 2
            weight[zone] = 1 - rise if falling else rise
    return weight


def _monai(predictor: Predictor, image_HW3: np.ndarray, tiling: tiles.Tiling) -> np.ndarray:
    import torch
    from monai.inferers import sliding_window_inference

    def network(images_B3HW: Any) -> Any:
        return torch.from_numpy(predictor.engine.run(images_B3HW.numpy().transpose(0, 2, 3, 1)))

    image = torch.from_numpy(image_HW3).permute(2, 0, 1)[None].float()  # it adds up in the picture's own type
    with torch.inference_mode():
        side = (tiling.side, tiling.side)
        scores = sliding_window_inference(image, side, 1, network, overlap=0.25, mode="gaussian")
        return scores[0].argmax(0).to(torch.uint8).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("huge", "throughput", "bookkeeping"))
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--side", type=int)
    parser.add_argument("--height", type=int, help="of the huge picture, where it is not square")
    parser.add_argument("--stored", choices=("tiled", "striped"), default="tiled")
    parser.add_argument("--way", choices=("ours", "naive", "monai"))
    given = parser.parse_args()
    if given.part == "huge":
        with tempfile.TemporaryDirectory() as work:
            width = given.side or 30_000
            print(json.dumps(huge(given.height or width, width, given.stored, Path(work)), indent=1))
    elif given.part == "throughput":
        print(json.dumps(throughput(given.model, given.side or 2048), indent=1))
    elif given.way:
        print(json.dumps(bookkeeping(given.side or 8192, given.way)))
    else:
        for way in ("ours", "naive", "monai"):
            command = [sys.executable, __file__, "bookkeeping", "--side", str(given.side or 8192), "--way", way]
            subprocess.run(command, check=False)


if __name__ == "__main__":
    main()
