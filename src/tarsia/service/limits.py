"""What the service takes at most, of one request and of all together."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Limits:
    """Bounds of the service; ValueError for one that lets nothing through.

    A body must be there `body_seconds` after its request, plus a second for every `body_bytes_per_second` received:
    whoever sends a byte a second is soon refused, a large picture over a slow line is not.
    """

    body_bytes: int = 20 * 2**20  # of one request, multipart framing included
    held_bytes: int = 256 * 2**20  # of the bodies of all requests together
    pixels: int = 25_000_000  # of one picture, as the network sees it, by its header
    parts: int = 8  # of a multipart body
    body_seconds: float = 10.0
    body_bytes_per_second: int = 32 * 2**10
    request_seconds: float = 30.0  # from the whole body to the answer
    connections: int = 1000  # open at a time, where `tarsia serve` has the port; health may be asked on a few more
    queue: int = 32  # pictures of one model that wait
    batch: int | None = None  # pictures of equal size the network sees together; None: 1 on a CPU, 8 on a GPU
    batch_pixels: int = 4_000_000  # of those together, as the network sees them; a larger picture is seen alone
    batch_seconds: float = 0.003  # how long a picture waits for others of its size

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name == "batch_seconds" else 0.001 if isinstance(field.default, float) else 1
            if value is not None and not value >= least:
                raise ValueError(f"Limits.{field.name} is {value}, expected {least} or more")
