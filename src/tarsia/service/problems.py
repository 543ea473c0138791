"""What goes wrong, as application/problem+json (RFC 9457) with the request's id."""

from __future__ import annotations

import http
import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from tarsia.errors import ImageError, MissingExtraError, ScoresError, TooLargeError

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """An answer that says no: a status, a short name that programs can tell it by, and a sentence for people."""

    def __init__(self, status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail = status, kind, detail
        self.headers = dict(headers or {})

    def content(self, request_id: str) -> bytes:
        """The body of the answer."""
        said = {
            "type": f"urn:tarsia:{self.kind}",
            "title": http.HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }
        return json.dumps(said, ensure_ascii=False).encode("utf-8", "replace")


def busy(kind: str, detail: str, seconds: float) -> Problem:
    """503 that says when to come again."""
    return Problem(503, kind, detail, {"Retry-After": str(max(1, round(seconds)))})


def crowded() -> Problem:
    """What a connection beside the places gets."""
    return busy("connections", "too many connections are open: try again", 2)


def of(error: Exception) -> Problem:
    """What a failed picture is to its sender: 4xx where the picture is at fault, else 500, with few details."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, TooLargeError):
        return Problem(413, "too-many-pixels", str(error))
    if isinstance(error, ScoresError):
        return Problem(500, "no-number", str(error))
    if isinstance(error, ImageError | MissingExtraError):  # as of a HEIC where nothing reads it
        return Problem(422, "unreadable-picture", str(error))
    if isinstance(error, MemoryError):
        return Problem(413, "too-large", "not enough memory for a picture of this size: make it smaller")
    return Problem(500, "internal", "the service failed on this request; its log has the reason under the request's id")


def handle_in(app: FastAPI) -> None:
    """Whatever is raised in `app` for a request becomes a problem."""

    async def problem(request: Request, error: Exception) -> Response:
        return response(of(error), request.scope)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        faults = [f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors()]
        return response(Problem(422, "invalid-parameter", "; ".join(faults)), request.scope)

    async def other(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kinds = {404: ("not-found", "no such address here"), 405: ("method", "this address takes other methods")}
        kind, detail = kinds.get(error.status_code, ("http", str(error.detail)))
        return response(Problem(error.status_code, kind, detail, error.headers), request.scope)

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(ImageError, problem)
    app.add_exception_handler(MissingExtraError, problem)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, other)


def response(problem: Problem, scope: Mapping[str, Any]) -> Response:
    """The answer to the request of `scope`; what it was refused for is left there for log and metrics."""
    scope["state"]["problem"] = problem.kind
    content = problem.content(scope["state"].get("request_id", ""))
    return Response(content, problem.status, problem.headers, MEDIA_TYPE)
