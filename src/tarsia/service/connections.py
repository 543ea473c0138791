"""Connections: uvicorn's, with deadlines for what clients only begin, and a bound on how many are open.

uvicorn has no such deadlines to set, so this builds on the class it keeps for itself: tests/service/test_uvicorn.py
names what of it, and pyproject.toml keeps to versions that passed.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import logging
import resource
import uuid
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from tarsia.errors import RecipeError
from tarsia.service import logs, problems

_BEGUN_SECONDS = 10.0  # for a request's head, and for the rest of a body whose answer is out already
_UNREAD_SECONDS = 30.0  # for a client to take a part of its answer
_CROWDED_SECONDS = 1.0  # for the head of a request where all places are taken
_BESIDE = 64  # connections beside the places, which may ask for health
BACKLOG = 256  # connections that the system holds until they are accepted, many at a time
_OTHER_FILES = 64  # that the process has open: models, logs, libraries


class Places:
    """The connections that may be open: `most`, and a few `beside` them that may ask for health alone."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.beside: dict[Connection, None] = {}  # the oldest first


class Lingering:
    """A transport whose `close` gives the client a moment to read the answer.

    What it still sends is read and dropped: closed at once, its system would throw the answer away with the connection
    (RFC 9112, section 9.6), and whoever uploads a large picture would never see the 503.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._closed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._closed or self._transport.is_closing()

    def close(self) -> None:
        if not self.is_closing():
            self._closed = True
            with contextlib.suppress(OSError):  # the client has gone
                self._transport.write_eof()
            self._transport.resume_reading()
            self._loop.call_later(_CROWDED_SECONDS, self._transport.abort)


class Connection(H11Protocol):
    """A connection that is closed where nothing comes of it; uvicorn waits for ever for the end of a request's head.

    Beside the places it has a second, its request is answered by health, figures or a 503 (`middleware` sees to that),
    and when there are too many of them the oldest makes room.
    """

    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def __init__(self, places: Places, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._places = places
        self._begun_seconds = _BEGUN_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        crowded = len(self.connections) >= self._places.most
        super().connection_made(cast(asyncio.Transport, Lingering(transport, self.loop)) if crowded else transport)
        if crowded:
            self._begun_seconds = _CROWDED_SECONDS
            self.app_state = self.app_state | {"crowded": True}
            if len(self._places.beside) >= _BESIDE:
                next(iter(self._places.beside)).make_room()
            self._places.beside[self] = None
        self._watch()

    def make_room(self) -> None:
        """Say why, where nothing was asked yet, and close."""
        self._places.beside.pop(self, None)
        if self.cycle is None and not self.transport.is_closing():
            self._refuse(problems.crowded())
        self.transport.abort()  # without waiting for a client that does not read

    def data_received(self, data: bytes) -> None:
        if not self.transport.is_closing():
            super().data_received(data)
            self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self._unread or self.loop.call_later(_UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._read()
        if self.transport.is_closing():
            self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._places.beside.pop(self, None)
        self._forget()
        self._read()

    def send_400_response(self, msg: str) -> None:
        """A problem in place of uvicorn's plain text: what came is no HTTP, so that no application sees it."""
        self._refuse(problems.Problem(400, "http", msg))
        self._close()

    def _refuse(self, problem: problems.Problem) -> None:
        """The whole answer of a request that no application sees."""
        request_id = uuid.uuid4().hex
        content = problem.content(request_id)
        headers = {"content-type": problems.MEDIA_TYPE, "x-request-id": request_id, "connection": "close"}
        headers |= {"content-length": str(len(content))} | problem.headers
        head = f"HTTP/1.1 {problem.status} {http.HTTPStatus(problem.status).phrase}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(f"{head}\r\n".encode() + content)

    def _watch(self) -> None:
        """The deadline runs while no request is being answered, and begins anew after each."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget()
        elif self._deadline is None and (not self.transport.is_closing() or self.transport.get_write_buffer_size()):
            self._deadline = self.loop.call_later(self._begun_seconds, self._close)

    def _close(self) -> None:
        """Now, or when the client has read what is still to be sent, for which it has its time too."""
        self.transport.close()
        self._unread = self._unread or self.loop.call_later(_UNREAD_SECONDS, self.transport.abort)

    def _read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def most_places(wanted: int) -> int:
    """`wanted`, or as many as the process may have files open: a connection is one.  RecipeError where none is left."""
    files, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    others = _BESIDE + BACKLOG + _OTHER_FILES
    if files != resource.RLIM_INFINITY and files < wanted + others:
        more = wanted + others if hard == resource.RLIM_INFINITY else min(hard, wanted + others)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            files = more
    if files == resource.RLIM_INFINITY or files >= wanted + others:
        return wanted
    if files <= others:
        raise RecipeError(f"this process may open {files} files, expected more than {others}: raise it with ulimit -n")
    logs.say("few-files", logging.WARNING, files=files, connections=files - others, wanted=wanted)
    return files - others
