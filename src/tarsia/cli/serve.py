"""`tarsia serve`: models behind an address."""

from __future__ import annotations

import json as json_text
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tarsia import console, formerly
from tarsia.cli._options import Code, Device, Engine, Precision, at_least
from tarsia.errors import RecipeError, needs

_MIB = 2**20


@Parameter(name="*")
@dataclass(frozen=True)
class Bounds:
    """What a request may ask for, in a user's units."""

    max_mebibytes: Annotated[int, Parameter(help="of one request", validator=at_least(1))] = 20
    max_megapixels: Annotated[int, Parameter(help="of one picture", validator=at_least(1))] = 25
    queue: Annotated[int, Parameter(help="pictures that may wait for a model", validator=at_least(1))] = 32
    batch: Annotated[
        int | None, Parameter(help="equal-sized pictures at once; default: CPU 1, GPU 8", validator=at_least(1))
    ] = None
    timeout: Annotated[int, Parameter(help="seconds for a request", validator=at_least(1))] = 30

    def limits(self) -> Any:
        from tarsia.service.limits import Limits

        return Limits(
            body_bytes=self.max_mebibytes * _MIB,
            held_bytes=max(Limits.held_bytes, 4 * self.max_mebibytes * _MIB),
            pixels=self.max_megapixels * 1_000_000,
            queue=self.queue,
            batch=self.batch,
            request_seconds=self.timeout,
        )


BOUNDS = Bounds()
ToldAsJson = Annotated[bool, Parameter(help="print address and models as a line of JSON, once it answers", negative="")]
NoLines = Annotated[
    bool, Parameter(name=("--quiet", "-q"), help="no lines when it starts, and none of requests", negative="")
]


def serve(
    *models: Annotated[
        str, Parameter(help="model files (.safetensors or .onnx), run folders or folders of several, or NAME=MODEL")
    ],
    host: Annotated[str, Parameter(help="0.0.0.0: every address of this machine")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="0: any that is free", validator=at_least(0))] = 8000,
    device: Device = "auto",
    engine: Engine = "auto",
    precision: Precision = "float32",
    code: Code = None,
    streams: Annotated[
        int,
        Parameter(
            help="pictures of a model at once, each on its share of the cores: more a second, each later",
            validator=at_least(1),
        ),
    ] = 1,
    api_keys: Annotated[Path | None, Parameter(help="a file of keys, one a line; or TARSIA_API_KEY")] = None,
    allowed_hosts: Annotated[
        tuple[str, ...],
        Parameter(
            name="--allowed-host",
            help="a name, beside localhost, that requests may call it by; may be repeated",
            negative="",
        ),
    ] = (),
    reload_on_change: Annotated[bool, Parameter(help="replaced model files take over", negative="")] = False,
    bounds: Bounds = BOUNDS,
    grace: Annotated[int, Parameter(help="seconds from SIGTERM to the end", validator=at_least(1))] = 30,
    drain: Annotated[int, Parameter(help="seconds of them in which it still answers all", validator=at_least(0))] = 2,
    json: ToldAsJson = False,
    quiet: NoLines = False,
) -> None:
    """A web service and a page: a picture in; its segmentation as mask, overlay, JSON or GeoJSON out.

    Nothing beyond this machine reaches it unless --host says so.  The first model is the default.

    Try:
        tarsia serve runs/demo
        tarsia serve day=runs/day/model.onnx night=runs/night/model.onnx --port 9000
    """
    console.quiet(quiet)
    formerly.refuse_old_key(os.environ)
    from tarsia.inference import Inference

    with needs("serving", "serve"):
        from tarsia.serving import serve as run
    run(
        models,
        host=host,
        port=port,
        limits=bounds.limits(),
        keys=_keys(api_keys),
        allowed_hosts=allowed_hosts,
        inference=Inference(device, engine, precision, streams, code=code),
        reload_on_change=reload_on_change,
        grace_seconds=grace,
        drain_seconds=drain,
        started=_tell if json else None,
    )


def _tell(address: str, models: Sequence[str]) -> None:
    console.data(json_text.dumps({"address": address, "models": list(models)}))
    sys.stdout.flush()  # who waits for it reads a pipe


def _keys(path: Path | None) -> list[str]:
    """The keys in the file, or the one of the environment; RecipeError for a file that cannot be read or has none."""
    if path is None:
        key = os.environ.get("TARSIA_API_KEY", "").strip()
        return [key] if key else []
    try:
        keys = path.read_text(encoding="utf-8").split()
    except (OSError, ValueError) as error:
        raise RecipeError(f"--api-keys {path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if not keys:
        raise RecipeError(f"--api-keys {path}: holds no key: write one a line")
    return keys
