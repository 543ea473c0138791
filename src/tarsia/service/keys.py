"""API keys, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPBearer

from tarsia.errors import RecipeError
from tarsia.service.problems import Problem

_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False)
LEAST = 16  # characters; a shorter key could be guessed


class Keys:
    """The keys that open the service; without any it is open.  RecipeError for a key that is too short."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        keys = list(keys)
        if any(len(key) < LEAST for key in keys):
            raise RecipeError(f"an API key of fewer than {LEAST} characters could be guessed: use a longer one")
        self._digests = [_digest(key) for key in keys]

    def guard(self) -> list[Any]:
        """FastAPI's `dependencies` of an address that asks for a key; the OpenAPI tells of them."""
        if not self._digests:
            return []
        return [Depends(self.check), Depends(HTTPBearer(auto_error=False)), Depends(_HEADER)]

    def opened_by(self, request: Request) -> bool:
        """Whether the request may come in: it has a key, or none is needed."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = request.headers.get("x-api-key", "")
        found = _digest(given.strip())
        # Every key is looked at, and digests have one length: the time it takes says nothing of a key.
        return not self._digests or sum(hmac.compare_digest(found, known) for known in self._digests) > 0

    async def check(self, request: Request) -> None:
        """Problem 401 unless the request has one, as `Authorization: Bearer KEY` or `X-API-Key: KEY`."""
        if not self.opened_by(request):
            raise Problem(
                401,
                "key",
                "this service needs an API key: send it as Authorization: Bearer KEY or as X-API-Key: KEY",
                {"WWW-Authenticate": "Bearer"},
            )


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()
