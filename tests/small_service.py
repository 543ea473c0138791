"""A service of a tiny model, for tests: in this process, or as a program of its own."""

from __future__ import annotations

import contextlib
import io
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from PIL import Image

from small_onnx import content
from tarsia.engines import onnx_file
from tarsia.engines.onnx_engine import OnnxEngine
from tarsia.prediction.predictor import Predictor
from tarsia.service.limits import Limits
from tarsia.serving import create_app


def engine(**changes: object) -> OnnxEngine:
    return OnnxEngine(onnx_file.parse(content(**changes), "small"), "small", threads=1)


class Gated(OnnxEngine):
    """Waits at a gate before each batch, once it has warmed up, and remembers each batch's shape."""

    def __init__(self, streams: int = 1) -> None:
        super().__init__(onnx_file.parse(content(), "small"), "small", threads=streams, streams=streams)
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Semaphore(0)
        self.batches: list[tuple[int, ...]] = []

    def run(self, images_BHW3: np.ndarray) -> np.ndarray:
        self.batches.append(images_BHW3.shape)
        self.began.release()
        assert self.gate.wait(30)
        return super().run(images_BHW3)

    def shut(self) -> None:
        """From here on a batch waits until `gate` is set."""
        self.batches.clear()
        while self.began.acquire(blocking=False):
            pass
        self.gate.clear()


def pixels(height: int = 24, width: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def encoded(image_HW3: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image_HW3).save(file, kind, **options)
    return file.getvalue()


def decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image)


def client(limits: Limits | None = None, **options: Any) -> TestClient:
    return TestClient(create_app(Predictor(engine()), limits, **options))


def segment(to: TestClient, body: bytes, query: str = "", kind: str = "image/png", **headers: str) -> Any:
    return to.post(f"/v1/segment{query}", content=body, headers={"Content-Type": kind} | headers)


def until(true: Callable[[], Any], seconds: float = 20) -> Any:
    """What `true()` gives, as soon as that is something."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "has not happened in time"
        time.sleep(0.01)
    return found


class Program:
    """`tarsia serve` in a process of its own; `log` is what it has written to standard error."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.lines = process, list[str]()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = int(until(self._address, 120)[1])  # torch alone takes seconds, and a busy machine many

    def _address(self) -> re.Match[str] | None:
        assert self.process.poll() is None, self.log
        return re.search(r"http://[\d.]+:(\d+)", self.log)

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(iter(self.process.stderr.readline, ""))

    def connect(self, send: bytes = b"", seconds: float = 20) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), seconds)
        made.sendall(send)
        return made

    def ask(self, path: str, body: bytes | None = None, head: str = "") -> tuple[int, bytes]:
        """Status and body of one request on a connection of its own."""
        method, length = ("GET", "") if body is None else ("POST", f"Content-Length: {len(body)}\r\n")
        kind = "" if body is None else "Content-Type: image/png\r\n"
        text = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{length}{kind}{head}Connection: close\r\n\r\n"
        with self.connect(text.encode() + (body or b"")) as made:
            return answer(made)


def answer(made: socket.socket) -> tuple[int, bytes]:
    """Status and body of what comes until the other side closes."""
    got = b"".join(iter(lambda: made.recv(65536), b""))
    head, _, body = got.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@contextlib.contextmanager
def program(*arguments: object, **environment: str) -> Iterator[Program]:
    code = "import sys; sys.argv[0] = 'tarsia'; from tarsia.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "serve", *map(str, arguments), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    try:
        yield Program(process)
    finally:
        process.kill()
        process.wait(10)


def model_file(folder: Path, name: str = "small.onnx", **changes: object) -> Path:
    path = folder / name
    path.write_bytes(content(**changes))
    return path
