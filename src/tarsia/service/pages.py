"""The web page: the files of `page/`, read once, under a policy that lets nothing from outside in."""

from __future__ import annotations

from importlib import resources

from fastapi import FastAPI, Response

from tarsia.service.problems import Problem

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
}
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-cache",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}


def add_to(app: FastAPI) -> None:
    """`/` and `/assets/NAME`; NAME is looked up among the files there are, and is never a path."""
    folder = resources.files("tarsia") / "page"
    files = {one.name: one.read_bytes() for one in folder.iterdir() if one.name.rpartition(".")[2] in _TYPES}
    index = files.pop("index.html")

    async def page() -> Response:
        return _file("index.html", index)

    async def asset(name: str) -> Response:
        if name not in files:
            raise Problem(404, "not-found", "no such file")
        return _file(name, files[name])

    for path, answer in (("/", page), ("/assets/{name}", asset)):
        app.add_api_route(path, answer, methods=["GET", "HEAD"], include_in_schema=False)


def _file(name: str, content: bytes) -> Response:
    return Response(content, headers=_HEADERS | {"Content-Type": _TYPES[name.rpartition(".")[2]]})
