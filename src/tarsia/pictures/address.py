"""Pictures at an address of the web, fetched where somebody asks for it."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from tarsia.errors import ImageError

_SECONDS = 30.0  # without an answer, or a further part of it
_MOST_BYTES = 2**28


def is_address(given: object) -> TypeGuard[str]:
    """Whether it is written as an address of http or https."""
    return isinstance(given, str) and urlsplit(given).scheme in ("http", "https") and not os.path.exists(given)


def fetched(address: str) -> bytes:
    """What is at an address of http or https, at most 256 MiB; ImageError, naming it, where nothing is to be had."""
    opener = urllib.request.build_opener(_OfTheWeb)
    try:
        with opener.open(address, timeout=_SECONDS) as answer:
            content: bytes = answer.read(_MOST_BYTES + 1)
    except (OSError, HTTPException, ValueError) as error:  # URLError is an OSError
        raise ImageError(f"{address}: cannot be fetched ({getattr(error, 'reason', None) or error})") from error
    if len(content) > _MOST_BYTES:
        raise ImageError(f"{address}: more than {_MOST_BYTES // 2**20} MiB: fetch it yourself, and give its path")
    return content


class _OfTheWeb(urllib.request.HTTPRedirectHandler):
    """Goes on to addresses of http and https alone."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise ImageError(f"{req.full_url}: leads to {newurl}, which is no address of http or https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
