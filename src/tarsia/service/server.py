"""uvicorn, with connections of ours, and an end in two steps."""

from __future__ import annotations

import functools
import ipaddress
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from tarsia.errors import RecipeError
from tarsia.service.connections import BACKLOG, Connection, Places, most_places
from tarsia.service.service import Service


class Server(uvicorn.Server):
    """SIGTERM: not ready at once; `drain_seconds` later no new connection; every accepted request is answered.

    For those seconds it still answers, so that a load balancer has time to see it and send nothing more.  SIGINT, or a
    second SIGTERM, leaves them out; one more drops what is under way.
    """

    def __init__(
        self, app: FastAPI, grace_seconds: float, drain_seconds: float, started: Callable[[], object] = lambda: None
    ) -> None:
        """`started` is called once it answers, and stops politely."""
        self._service: Service = app.state.service
        places = Places(most_places(self._service.limits.connections))
        config = uvicorn.Config(
            app,
            http=functools.partial(Connection, places),  # type: ignore[arg-type]
            backlog=BACKLOG,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=max(1, round(grace_seconds - drain_seconds)),
        )
        super().__init__(config)
        self._drain_seconds, self._started = drain_seconds, started
        self._exit_at: float | None = None
        self.interrupted = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._started()

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
        raise RecipeError(f"`{port=}`: expected 0 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            made.listen(BACKLOG)
        except BaseException:
            made.close()
            raise
    except OSError as error:
        reason = error.strerror or error
        raise RecipeError(f"cannot listen on {host}:{port} ({reason}): choose another `port` or `host`") from error
    return made


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a service that listens at `host`; not so where the name says nothing."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(one[4][0]).partition("%")[0]).is_loopback for one in found)


def address(made: socket.socket) -> str:
    """Where people find it."""
    host, port, *_ = made.getsockname()
    return f"http://[{host}]:{port}" if made.family == socket.AF_INET6 else f"http://{host}:{port}"
