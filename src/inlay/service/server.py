"""uvicorn, with deadlines for what clients only begin, and an end in two steps."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
import uuid
from types import FrameType

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from inlay.errors import RecipeError
from inlay.service import problems
from inlay.service.service import Service

_BEGUN_SECONDS = 10.0  # for a request's head, and for the rest of a body whose answer is out already
_UNREAD_SECONDS = 30.0  # for a client to take a part of its answer


class Connection(H11Protocol):
    """A connection that is closed where nothing comes of it; uvicorn waits for ever for the end of a request's head."""

    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(_UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget()
        if self._unread is not None:
            self._unread.cancel()

    def send_400_response(self, msg: str) -> None:
        """A problem in place of uvicorn's plain text: what came is no HTTP, so that no application sees it."""
        request_id = uuid.uuid4().hex
        content = problems.Problem(400, "http", msg).content(request_id)
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: {problems.MEDIA_TYPE}\r\nx-request-id: {request_id}\r\n"
        head += f"content-length: {len(content)}\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode() + content)
        self.transport.close()

    def _watch(self) -> None:
        """The deadline runs while no request is being answered, and begins anew after each."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget()
        elif self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(_BEGUN_SECONDS, self.transport.close)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Server(uvicorn.Server):
    """SIGTERM: not ready at once; `drain_seconds` later no new connection; every accepted request is answered.

    For those seconds it still answers, so that a load balancer has time to see it and send nothing more.  SIGINT, or a
    second SIGTERM, leaves them out; one more drops what is under way.
    """

    def __init__(self, app: FastAPI, grace_seconds: float, drain_seconds: float) -> None:
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=max(1, round(grace_seconds - drain_seconds)),
        )
        super().__init__(config)
        self._service: Service = app.state.service
        self._drain_seconds = drain_seconds
        self._exit_at: float | None = None
        self.interrupted = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by the signal, between two steps of the event loop."""
        self.interrupted |= sig == signal.SIGINT
        self._service.stopping = True
        if sig == signal.SIGTERM and self._exit_at is None:
            self._exit_at = time.monotonic() + self._drain_seconds
        elif self.should_exit:
            self.force_exit = True
        else:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; whether to exit."""
        if self._exit_at is not None and time.monotonic() >= self._exit_at:
            self.should_exit = True
        return await super().on_tick(counter)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; RecipeError where that address is not to be had."""
    if not 0 <= port <= 65535:  # else the resolver would take it modulo 65536
        raise RecipeError(f"--port {port}: expected 0 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            made.listen(1024)
        except BaseException:
            made.close()
            raise
    except OSError as error:
        reason = error.strerror or error
        raise RecipeError(f"cannot listen on {host}:{port} ({reason}): choose another --port or --host") from error
    return made


def address(made: socket.socket) -> str:
    """Where people find it."""
    host, port, *_ = made.getsockname()
    return f"http://[{host}]:{port}" if made.family == socket.AF_INET6 else f"http://{host}:{port}"
