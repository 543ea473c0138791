"""Around every request: its id, safe headers, one line of log, its figures; and nothing gets out but answers."""

from __future__ import annotations

import logging
import re
import time
import uuid
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tarsia.service import logs, problems
from tarsia.service.problems import Problem
from tarsia.service.service import Service

_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_QUIET = ("/healthz", "/readyz", "/metrics")  # asked every few seconds: logged where they fail
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Envelope:
    """ASGI middleware; the request's id is the client's X-Request-Id where that is a plain word, else a new one."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, state = time.perf_counter(), scope.setdefault("state", {})
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), "")
        state["request_id"] = given if _ID.fullmatch(given) else uuid.uuid4().hex
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = state["request_id"]
                headers.setdefault("Cache-Control", "no-store")
                for name, value in _HEADERS.items():
                    headers[name] = value
                if self._service.stopping or state.get("crowded"):
                    headers["Connection"] = "close"  # the next request goes to another replica, or has a place
            await send(message)

        try:
            if state.get("crowded") and scope["path"] not in _QUIET:  # as `connections` says
                await problems.response(problems.crowded(), scope)(scope, receive, sending)
            else:
                self._service.hosts.check(scope)
                await self._app(scope, receive, sending)
        except Problem as problem:
            await problems.response(problem, scope)(scope, receive, sending)
        except Exception as error:
            logs.say("failed", logging.ERROR, error, request_id=state["request_id"])
            if status:  # too late to say so: uvicorn closes the connection
                raise
            await problems.response(problems.of(error), scope)(scope, receive, sending)
        finally:
            self._note(scope, status, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        state, metrics = scope["state"], self._service.metrics
        route = getattr(scope.get("route"), "path", "other")  # never the path itself, of which there are too many
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "OPTIONS") else "other"
        metrics.requests.labels(route, method, str(status)).inc()
        metrics.seconds.labels(route).observe(seconds)
        problem = state.get("problem")
        if problem:
            metrics.refused.labels(problem).inc()
        if route in _QUIET and status < 400:
            return
        facts: dict[str, Any] = {"request_id": state["request_id"], "method": method, "route": route, "status": status}
        facts |= {"milliseconds": round(seconds * 1000, 1)} | ({"problem": problem} if problem else {})
        logs.say("request", **facts, **state.get("facts", {}))
