"""The service under load: right answers, refusals at once, health, memory, and what it costs against plain handlers.

    python benchmarks/serve.py load MODEL.onnx --clients 64 --seconds 300
    python benchmarks/serve.py overload MODEL.onnx --clients 640
    python benchmarks/serve.py hostile MODEL.onnx
    python benchmarks/serve.py sizes MODEL.onnx --count 3000
    python benchmarks/serve.py against MODEL.onnx --weights MODEL.safetensors --seconds 20

`--serve` hands options to `tarsia serve`, as --serve="--engine openvino --precision bfloat16".  Clients and server
share the machine.  `overload` sends ten times as many pictures a second as eight clients had answers before, whatever
is answered.  `hostile` also sends the thinnest and the heaviest pictures at each limit, and says what memory they take
and leave.  `sizes` sends `--count` pictures of different sizes to each engine.  Answers to the scenes are compared with
the mask that the predictor gives here for the same picture.  `against` adds two handlers as one would write them by
hand, one with ONNX Runtime and one with PyTorch, on the same weights.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import random
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

import serve_memory
from tarsia import data, environment, load
from tarsia.engines.engine import ENGINES

_TIMES = 10  # as many requests a second as the service can answer, in an overload
SIZE = (352, 480)  # height, width: multiples of every stride, so that the plain handlers need not pad
PROBE = """
import http.client, json, sys, time
took = []
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    began = time.monotonic()
    asked = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=30)
    asked.request("GET", "/healthz")
    assert asked.getresponse().status == 200
    asked.close()
    took.append(time.monotonic() - began)
    time.sleep(0.1)
print(json.dumps(took))
"""
PLAIN = """
import io, sys
import numpy as np, uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from PIL import Image
app = FastAPI()
kind, path, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
if kind == "onnxruntime":
    import onnxruntime
    session = onnxruntime.InferenceSession(path)
    def label(image):
        return session.run(["scores"], {"image": image.transpose(2, 0, 1)[None]})[0].argmax(1)[0]
else:
    import torch
    from pathlib import Path
    from tarsia.engines.weights import load_model
    network = load_model(Path(path))[0].eval()
    @torch.no_grad()
    def label(image):
        return network(torch.from_numpy(image.transpose(2, 0, 1).copy())[None]).argmax(1)[0].numpy()
def answer(body):
    file = io.BytesIO()
    Image.fromarray(label(np.asarray(Image.open(io.BytesIO(body)).convert("RGB"))).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
@app.get("/healthz")
async def health():
    return "ok"
@app.post("/v1/segment")
async def segment(request: Request):
    return Response(await run_in_threadpool(answer, await request.body()), media_type="image/png")
uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)
"""


class Pictures:
    """Street scenes as JPEG, and the mask that the predictor gives for each."""

    def __init__(self, model: Path, count: int, options: dict[str, str]) -> None:
        self.predictor = load(model, **options)  # type: ignore[arg-type]
        scenes = data.open("streets", split="test", count=count, size=SIZE)
        self.bodies, self.labels = [], []
        for number in range(count):
            file = io.BytesIO()
            Image.fromarray(scenes[number].image).save(file, "JPEG", quality=92)
            self.bodies.append(file.getvalue())
            self.labels.append(self.predictor(file.getvalue()).label_HW)

    def right(self, number: int, png: bytes) -> bool:
        """Whether `png` is the mask of picture `number`."""
        with Image.open(io.BytesIO(png)) as found:
            return bool(np.array_equal(np.array(found), self.labels[number]))

    def engine_milliseconds(self, rounds: int = 10) -> tuple[float, float]:
        """CPU of this process for a picture: the network and its labels alone; and with decoding and PNG."""
        from tarsia.drawing.paint import label_png

        decoded = np.array(Image.open(io.BytesIO(self.bodies[0])).convert("RGB"))
        alone, whole = [], []
        for _ in range(rounds):
            before = time.process_time()
            self.predictor.labels(decoded[None])
            middle = time.process_time()
            label_png(self.predictor(self.bodies[0]).label_HW, self.predictor.classes)
            alone.append(middle - before)
            whole.append(time.process_time() - middle)
        return statistics.mean(alone[2:]) * 1000, statistics.mean(whole[2:]) * 1000


async def post(port: int, body: bytes, head: str = "", query: str = "") -> tuple[int, dict[str, str], bytes]:
    """One request on a connection of its own -> status, headers, body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        text = f"POST /v1/segment{query} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
        writer.write(f"{text}Content-Length: {len(body)}\r\n{head}Connection: close\r\n\r\n".encode() + body)
        raw = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in raw[1:])}
        return int(raw[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))
    finally:
        writer.close()


class Tally:
    """What became of the requests of honest clients."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.wrong = self.without_retry_after = self.broken = 0
        self.seconds: list[float] = []
        self.refused_seconds: list[float] = []

    def to_json(self, seconds: float) -> dict[str, Any]:
        """Counts, answers a second and latencies."""
        done = sorted(self.seconds) or [float("nan")]
        refused = sorted(self.refused_seconds)
        return {
            "answers": dict(self.statuses),
            "wrong_masks": self.wrong,
            "503_without_retry_after": self.without_retry_after,
            "broken_connections": self.broken,
            "answers_a_second": round(len(self.seconds) / seconds, 2),
            "p50_ms": round(done[len(done) // 2] * 1000, 1),
            "p95_ms": round(done[int(len(done) * 0.95)] * 1000, 1),
            "refused_p50_ms": round(refused[len(refused) // 2] * 1000, 1) if refused else None,
            "refused_p95_ms": round(refused[int(len(refused) * 0.95)] * 1000, 1) if refused else None,
        }


async def honest(port: int, pictures: Pictures, until: float, tally: Tally, first: int, every: float = 0) -> None:
    """One client: sends pictures one after the other, and comes later where told to; or one `every` so many seconds."""
    number = first
    await asyncio.sleep(random.uniform(0, every))
    while time.monotonic() < until:
        number = (number + 1) % len(pictures.bodies)
        began = time.monotonic()
        try:
            status, headers, body = await post(port, pictures.bodies[number])
        except (OSError, asyncio.IncompleteReadError):
            tally.broken += 1
            continue
        tally.statuses[status] += 1
        took = time.monotonic() - began
        if status == 200:
            tally.seconds.append(took)
            tally.wrong += not pictures.right(number, body)
        elif status == 503:
            tally.refused_seconds.append(took)
            tally.without_retry_after += "retry-after" not in headers
            await asyncio.sleep(0 if every else float(headers.get("retry-after", 1)))
        await asyncio.sleep(max(0, every - (time.monotonic() - began)))


async def crowd(port: int, pictures: Pictures, clients: int, seconds: float, every: float = 0) -> Tally:
    """`clients` at once for `seconds`."""
    tally, until = Tally(), time.monotonic() + seconds
    await asyncio.gather(*(honest(port, pictures, until, tally, number, every) for number in range(clients)))
    return tally


async def trouble(port: int, pictures: Pictures, until: float, seed: int) -> Counter[str]:
    """Clients that do what they should not, in turn; what they were answered."""
    body, seen = pictures.bodies[0], Counter[str]()
    head = "POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
    parts = b"".join(b'--b\r\nContent-Disposition: form-data; name="p%d"\r\n\r\nx\r\n' % n for n in range(1000))
    form = head.replace("image/jpeg", "multipart/form-data; boundary=b")
    kinds = {
        "cancelled": (f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body, 0.02),
        "half-open": (head.encode(), 15.0),
        "silent": (b"", 15.0),
        "too short": (f"{head}Content-Length: {len(body) * 2}\r\n\r\n".encode() + body, 15.0),
        "declared oversize": (f"{head}Content-Length: 9999999999\r\n\r\n".encode() + body, 15.0),
        "chunked oversize": (
            f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + (b"100000\r\n" + b"x" * 2**20 + b"\r\n") * 24,
            15.0,
        ),
        "1,000 parts": (f"{form}Content-Length: {len(parts)}\r\n\r\n".encode() + parts, 15.0),
        "no HTTP": (bytes(range(256)), 15.0),
        "a byte a second": (f"{head}Content-Length: {len(body)}\r\n\r\n".encode(), -1.0),
    }
    names = list(kinds)
    number = seed
    while time.monotonic() < until:
        name = names[number % len(names)]
        seen[f"{name}: {await _misbehave(port, *kinds[name], body)}"] += 1
        number += 1
    return seen


async def _misbehave(port: int, send: bytes, wait: float, body: bytes) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(send)
        if wait == 0.02:
            await asyncio.sleep(wait)
            return "gone"
        for position in range(30 if wait < 0 else 0):
            writer.write(body[position : position + 1])
            with contextlib.suppress(TimeoutError):
                return (await asyncio.wait_for(reader.read(12), 1))[-3:].decode() or "closed"
        return (await asyncio.wait_for(reader.read(12), wait))[-3:].decode() or "closed"
    except TimeoutError:
        return "no answer in 15 seconds"
    except OSError:
        return "closed"
    finally:
        writer.close()


@contextlib.contextmanager
def serving(command: list[str]) -> Iterator[tuple[int, psutil.Process, float]]:
    """A server of its own process -> its port, its process, and the seconds until it was ready."""
    port = int(command[command.index("--port") + 1]) if "--port" in command else int(command[-1])
    with tempfile.TemporaryFile("w+") as log:
        began = time.monotonic()
        process = subprocess.Popen(command, stderr=log, stdout=log)
        try:
            while True:
                assert process.poll() is None, (log.seek(0), log.read()[-2000:])[1]
                with contextlib.suppress(OSError):
                    asyncio.run(_reachable(port))
                    break
                time.sleep(0.02)
            yield port, psutil.Process(process.pid), time.monotonic() - began
        finally:
            process.terminate()
            process.wait(60)
            log.seek(0)
            traces = len(re.findall("Traceback", log.read()))
            if traces:
                print(f"{traces} tracebacks in the server's log", file=sys.stderr)


async def _reachable(port: int) -> None:
    (await asyncio.open_connection("127.0.0.1", port))[1].close()


def ours(asked: argparse.Namespace) -> list[str]:
    """The command of the service."""
    program = [sys.executable, "-m", "tarsia", "serve", str(asked.model), "--port", str(asked.port), "--drain", "0"]
    return [*program, *shlex.split(asked.serve)]


def measured(command: list[str], pictures: Pictures, asked: argparse.Namespace) -> dict[str, Any]:
    """One server under the load that was asked for."""
    with serving(command) as (port, process, ready):
        warming = min(5.0, asked.seconds)
        able = len(asyncio.run(crowd(port, pictures, min(8, asked.clients), warming)).seconds) / warming
        memory, cpu = process.memory_info().rss, sum(process.cpu_times()[:2])
        probe = subprocess.Popen([sys.executable, "-c", PROBE, str(port), str(asked.seconds)], stdout=subprocess.PIPE)
        began = time.monotonic()
        spent: Counter[str] = Counter()
        if asked.mode == "hostile":
            tally, spent = asyncio.run(_hostile(port, pictures, asked))
        else:
            every = asked.clients / (_TIMES * able) if asked.mode == "overload" else 0
            tally = asyncio.run(crowd(port, pictures, asked.clients, asked.seconds, every))
        seconds = time.monotonic() - began
        cpu = sum(process.cpu_times()[:2]) - cpu
        health = sorted(json.loads(probe.communicate()[0]))
        time.sleep(1)
        return {
            "ready_seconds": round(ready, 2),
            **tally.to_json(seconds),
            "server_cpu_ms_an_answer": round(cpu * 1000 / max(1, len(tally.seconds)), 1),
            "health_ms": {
                "p50": round(health[len(health) // 2] * 1000, 1),
                "p99": round(health[int(len(health) * 0.99)] * 1000, 1),
                "worst": round(health[-1] * 1000, 1),
            },
            "memory_mb": round(memory / 2**20, 1),
            "memory_growth_mb": round((process.memory_info().rss - memory) / 2**20, 1),
            **({"trouble": dict(sorted(spent.items()))} if spent else {}),
        }


async def _hostile(port: int, pictures: Pictures, asked: argparse.Namespace) -> tuple[Tally, Counter[str]]:
    until = time.monotonic() + asked.seconds
    bad = [asyncio.ensure_future(trouble(port, pictures, until, seed)) for seed in range(asked.clients)]
    tally = await crowd(port, pictures, 4, asked.seconds)
    return tally, sum(await asyncio.gather(*bad), Counter[str]())


def at_limits(pictures: Pictures, asked: argparse.Namespace) -> dict[str, Any]:
    """What pictures at each limit of the service leave in its memory."""
    words = shlex.split(asked.serve)
    most = {"--max-megapixels": 25, "--max-mebibytes": 20}
    most |= {name: int(words[words.index(name) + 1]) for name in most if name in words}
    bounds = {"pixels": most["--max-megapixels"] * 1_000_000, "body_bytes": most["--max-mebibytes"] * 2**20}
    bounds["stride"] = pictures.predictor.card.input.stride
    with serving(ours(asked)) as (port, process, _):
        return bounds | asyncio.run(serve_memory.limits(port, process, post, pictures.bodies, bounds))


def of_sizes(asked: argparse.Namespace) -> dict[str, Any]:
    """What thousands of sizes leave in the memory of each engine."""
    found = {}
    for engine in ENGINES:
        with serving([*ours(asked), "--engine", engine]) as (port, process, _):
            found[engine] = asyncio.run(serve_memory.sizes(port, process, post, asked.count))
    return found


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("load", "overload", "hostile", "sizes", "against"))
    parser.add_argument("model", type=Path)
    parser.add_argument("--weights", type=Path, help="the .safetensors file that MODEL was exported from")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pictures", type=int, default=12)
    parser.add_argument("--count", type=int, default=3000, help="of sizes")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--serve", default="", help="options for tarsia serve")
    asked = parser.parse_args()
    if asked.mode == "sizes":
        print(json.dumps({"environment": environment.describe(), **of_sizes(asked)}, indent=2))
        return
    words = shlex.split(asked.serve)
    known = {name: words[words.index(f"--{name}") + 1] for name in ("engine", "precision") if f"--{name}" in words}
    pictures = Pictures(asked.model, asked.pictures, known)
    alone, whole = pictures.engine_milliseconds()
    result: dict[str, Any] = {
        "environment": environment.describe(),
        "engine_cpu_ms": {"network_and_labels": round(alone, 1), "with_decoding_and_png": round(whole, 1)},
        "tarsia": measured(ours(asked), pictures, asked),
    }
    if asked.mode == "hostile":
        result["limits"] = at_limits(pictures, asked)
    if asked.mode == "against":
        for kind, path in (("onnxruntime", asked.model), ("torch", asked.weights)):
            command = [sys.executable, "-c", PLAIN, kind, str(path), str(asked.port)]
            result[f"plain_{kind}"] = measured(command, pictures, asked)
        for kind in ("onnxruntime", "torch"):
            ratio = result["tarsia"]["answers_a_second"] / result[f"plain_{kind}"]["answers_a_second"]
            result[f"times_plain_{kind}"] = round(ratio, 2)
    result["times_engine_cpu"] = round(result["tarsia"]["server_cpu_ms_an_answer"] / alone, 2)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
