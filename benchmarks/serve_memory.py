"""What requests leave in a service's memory: the thinnest and heaviest pictures at each limit; thousands of sizes.

`serve.py` runs it, as `hostile` and `sizes`.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import math
import random
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import psutil
from PIL import Image, PngImagePlugin

Post = Callable[..., Awaitable[tuple[int, dict[str, str], bytes]]]
REST_SECONDS = 4.0  # two until the service gives back what it keeps, and as long again on a busy machine
_TILES, _TILE = 512, 32  # a size is this many squares of 32 pixels at most: 3,313 sizes
_LOOKS = (1, 30, 100, 300, 1000, 3000)


def _png(height: int, width: int, noise: bool = False, **more: Any) -> bytes:
    image_HW3 = np.zeros((height, width, 3), np.uint8)
    if noise:
        image_HW3 = np.random.default_rng(0).integers(0, 256, image_HW3.shape, np.uint8)
    return _saved(Image.fromarray(image_HW3), "PNG", **more)


def _saved(image: Image.Image, kind: str, **more: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


def at_the_limits(stride: int, pixels: int, body_bytes: int) -> dict[str, tuple[bytes, str]]:
    """Pictures that are small to send and as large as the limits allow, or just larger: name -> body, format."""
    longest = pixels // stride // stride * stride  # of a row, which the network sees as `stride` rows
    side = math.isqrt(pixels) // stride * stride
    beyond = longest + stride
    profile, text = zlib.compress(b"\0" * 100 * 2**20), PngImagePlugin.PngInfo()
    text.add_text("comment", "x" * 2**20, zip=True)
    frames = [Image.new("L", (64, 64), k % 256) for k in range(1000)]
    grey16 = Image.fromarray(np.full((side, side), 40_000, np.uint16))
    rows = (body_bytes - 100) // 3 // 2_600
    found = {f"1x{longest} {format}": (_png(1, longest), format) for format in ("png", "json", "overlay", "geojson")}
    found |= {
        f"{longest}x1 json": (_png(longest, 1), "json"),
        f"{side}x{side} json": (_png(side, side), "json"),
        f"{side}x{side} of 16 bits": (_saved(grey16, "PNG"), "png"),
        f"{side}x{side} GeoJSON of noise": (_png(side, side, noise=True, compress_level=1)[:body_bytes], "geojson"),
        "512x512 GeoJSON of noise": (_png(512, 512, noise=True), "geojson"),
        f"1x{beyond}, a stride beyond": (_png(1, beyond), "png"),
        f"{beyond}x1, a stride beyond": (_png(beyond, 1), "png"),
        f"1x{pixels}, at the limit by its header": (_png(1, pixels), "png"),
        f"{pixels}x1, at the limit by its header": (_png(pixels, 1), "png"),
        "all the bytes of a request": (_saved(Image.new("RGB", (2_600, rows)), "BMP"), "png"),
        "1,000 frames": (_saved(frames[0], "GIF", save_all=True, append_images=frames[1:]), "png"),
        "a profile of 100 MB": (_png(64, 64, icc_profile=profile), "png"),
        "a comment of 1 MB": (_png(64, 64, pnginfo=text), "png"),
    }
    return found


async def limits(port: int, process: psutil.Process, post: Post, usual: list[bytes], asked: dict[str, int]) -> Any:
    """Each of `at_the_limits` once, usual pictures before and after: statuses, the most memory, and what stays."""
    pictures = at_the_limits(asked["stride"], asked["pixels"], asked["body_bytes"])
    before = await _usually(port, process, post, usual)
    rows = []
    for name, (body, format) in pictures.items():
        top = [_resident(process)]
        watch = asyncio.ensure_future(_watch(process, top))
        try:
            status = (await post(port, body, query=f"?format={format}"))[0]
        except (OSError, asyncio.IncompleteReadError):
            status = 0  # the connection broke
        watch.cancel()
        await asyncio.sleep(REST_SECONDS)
        left = _resident(process)
        row = {"picture": name, "body_kb": round(len(body) / 1000, 1), "status": status, "most_mb": round(max(top), 1)}
        rows.append(row | {"left_mb": round(left, 1), "left_share": round(left / before - 1, 3)})
    after = await _usually(port, process, post, usual)
    return {
        "before_mb": round(before, 1),
        "after_mb": round(after, 1),
        "share": round(after / before - 1, 3),
        "all": rows,
    }


async def sizes(port: int, process: psutil.Process, post: Post, count: int, seed: int = 0) -> dict[str, Any]:
    """`count` pictures of different sizes, one after the other -> resident memory after so many of them."""
    every = [(h, w) for h in range(1, _TILES + 1) for w in range(1, _TILES // h + 1)]
    chosen = random.Random(seed).sample(every, min(count, len(every)))
    found: dict[str, Any] = {"sizes": len(chosen), "seed": seed, "statuses": {}}
    for number, (height, width) in enumerate(chosen, 1):
        status = (await post(port, _png(height * _TILE, width * _TILE)))[0]
        found["statuses"][status] = found["statuses"].get(status, 0) + 1
        if number in _LOOKS or number == len(chosen):
            await asyncio.sleep(REST_SECONDS)
            found[f"after_{number}_mb"] = round(_resident(process), 1)
    return found


async def _usually(port: int, process: psutil.Process, post: Post, usual: list[bytes]) -> float:
    """Memory after some usual pictures and a rest."""
    for body in usual:
        await post(port, body)
    await asyncio.sleep(REST_SECONDS)
    return _resident(process)


async def _watch(process: psutil.Process, top: list[float]) -> None:
    with contextlib.suppress(psutil.Error):
        while True:
            top[0] = max(top[0], _resident(process))
            await asyncio.sleep(0.02)


def _resident(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 2**20
    except psutil.Error:
        return math.nan  # it has died
