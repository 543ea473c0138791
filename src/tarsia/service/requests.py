"""Requests in: a picture and what is wanted of it, every limit checked before a pixel is decoded."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from email.message import Message
from typing import NamedTuple

from starlette.requests import Request

from tarsia.errors import nearest
from tarsia.pictures.headers import stored_size
from tarsia.service.limits import Limits
from tarsia.service.problems import Problem, busy

FIELDS = ("model", "format", "min_confidence")
PICTURE = "image"
_HEADER_BYTES, _FIELD_BYTES = 4096, 256  # of a part of a multipart body; of a field's value
_SEND = "send the picture itself with Content-Type: image/jpeg (or its own), or multipart/form-data with a part `image`"


class Upload(NamedTuple):
    """What a body holds."""

    picture: bytes
    size: tuple[int, int] | None  # (height, width) as its header has it, before any turning upright
    fields: dict[str, str]


class ClientLeft(Exception):
    """The connection is gone; there is nobody to answer."""


@dataclass
class Held:
    """Bytes of all bodies that are in memory."""

    most: int
    now: int = 0


class Body:
    """The body of one request, counted in `held` until the `with` block ends."""

    def __init__(self, request: Request, limits: Limits, held: Held) -> None:
        self._request, self._limits, self._held = request, limits, held
        self._counted = 0

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.now -= self._counted

    async def read(self) -> bytes:
        """All of it.  Problem 411 to 415 and 408 for one too large, too slow or encoded; 503 where memory is full."""
        headers, limits = self._request.headers, self._limits
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Problem(415, "encoded-body", "the body is compressed: send the picture as it is")
        declared = headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared) > limits.body_bytes:
            raise self._too_large()
        content, started = bytearray(), time.monotonic()
        while True:
            allowed = limits.body_seconds + len(content) / limits.body_bytes_per_second
            chunk, more = await self._next(started + allowed - time.monotonic())
            content += chunk
            self._count(len(chunk))
            if len(content) > limits.body_bytes:
                raise self._too_large()
            if not more:
                return bytes(content)

    async def _next(self, seconds: float) -> tuple[bytes, bool]:
        try:
            message = await asyncio.wait_for(self._request.receive(), max(0.0, seconds))
        except TimeoutError:
            close = {"Connection": "close"}
            raise Problem(408, "slow-body", "the body did not come in time: send it again", close) from None
        if message["type"] == "http.disconnect":
            raise ClientLeft
        return message.get("body", b""), message.get("more_body", False)

    def _count(self, number: int) -> None:
        if self._held.now + number > self._held.most:
            raise busy("uploads", "too many uploads at the same time: try again", 2)
        self._held.now += number
        self._counted += number

    def _too_large(self) -> Problem:
        most = self._limits.body_bytes / 2**20
        return Problem(413, "body-too-large", f"the body is larger than the {most:g} MiB allowed: send a smaller file")


def check_type(content_type: str) -> None:
    """Problem 415 unless a body of this type can hold a picture."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("image/") or kind in ("application/octet-stream", "multipart/form-data"):
        return
    raise Problem(415, "media-type", f"a body of {kind[:80] or 'no type'} is no picture: {_SEND}")


def opened(content: bytes, content_type: str, limits: Limits) -> Upload:
    """A body -> its picture and fields; Problem or ImageError for one that holds no picture within the limits.

    What the picture is to the model, `Batcher.submit` checks.
    """
    fields: dict[str, str] = {}
    if content_type.lower().startswith("multipart/"):
        content, fields = _parts(content, content_type, limits.parts)
    if not content:
        raise Problem(422, "no-picture", f"the body is empty: {_SEND}")
    return Upload(content, stored_size(content, limits.pixels), fields)


def _parts(body: bytes, content_type: str, most: int) -> tuple[bytes, dict[str, str]]:
    """A multipart/form-data body (RFC 7578) -> the content of its part `image`, and its other fields."""
    boundary = _parameters("content-type", content_type).get_boundary()
    if not boundary or len(boundary) > 70 or not boundary.isascii():
        raise _malformed("it has no sound boundary")
    # The body is here and bounded: to split it is all there is to parsing it.
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode(), most + 2)
    if len(pieces) > most + 2:
        raise Problem(400, "too-many-parts", f"the body has more than the {most} parts allowed")
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise _malformed("it does not end with its boundary (cut off?)")
    found: dict[str, bytes] = {}
    for piece in pieces[1:-1]:
        name, content = _part(piece)
        if name not in (PICTURE, *FIELDS):
            raise _malformed(f"part {name[:40]!r} is not known{nearest(name[:40], (PICTURE, *FIELDS))}")
        if name in found:
            raise _malformed(f"part {name} comes twice")
        if name != PICTURE and len(content) > _FIELD_BYTES:
            raise _malformed(f"part {name} is longer than {_FIELD_BYTES} bytes")
        found[name] = content
    if PICTURE not in found:
        raise Problem(422, "no-picture", "the body has no part named `image`")
    picture = found.pop(PICTURE)
    return picture, {name: content.decode("utf-8", "replace") for name, content in found.items()}


def _part(piece: bytes) -> tuple[str, bytes]:
    head, blank, content = piece.partition(b"\r\n\r\n")
    if not blank or len(head) > _HEADER_BYTES or not re.match(rb"[ \t]*\r\n", head):
        raise _malformed("a part has no sound headers")
    for line in head.decode("utf-8", "replace").split("\r\n"):
        header, _, value = line.partition(":")
        if header.strip().lower() == "content-disposition":
            name = _parameters("content-disposition", value.strip()).get_param("name", header="content-disposition")
            if isinstance(name, str):
                return name, content
    raise _malformed("a part has no name")


def _parameters(header: str, value: str) -> Message:
    message = Message()
    message[header] = re.sub(r"[\r\n]", " ", value)
    return message


def _malformed(what: str) -> Problem:
    return Problem(400, "multipart", f"not a sound multipart/form-data body: {what}")
