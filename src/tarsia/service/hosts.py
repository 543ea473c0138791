"""The name that a request calls the service by.

A stranger's page may have its own name point to this machine once it is open in a browser here (DNS rebinding), and is
then of one origin with a service at 127.0.0.1: it could ask whatever a person here could.  Its requests give it away:
they still carry its name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from starlette.types import Scope

from tarsia.errors import RecipeError
from tarsia.plain_text import command
from tarsia.service.problems import Problem

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s\[\]:/@*]+)(?::\d*)?", re.IGNORECASE)


class Hosts:
    """Loopback's names and those `allowed`; any where it is not `checked`.  RecipeError for what is no name."""

    def __init__(self, allowed: Iterable[str] = (), checked: bool = False) -> None:
        self._checked = checked
        self._allowed = set()
        for given in allowed:
            name = _name(given)
            if not name:
                raise RecipeError(
                    f"allowed_hosts=[{given!r}]: expected a name as stands in an address, as cam.example.org"
                )
            self._allowed.add(name)

    def check(self, scope: Scope) -> None:
        """Problem 421 unless the request's one Host header, whatever its port, is a name to be called by."""
        if not self._checked:
            return
        given = [value.decode("latin-1") for key, value in scope["headers"] if key == b"host"]
        name = _name(given[0]) if len(given) == 1 else ""
        if name not in self._allowed and not _is_loopback(name):
            said = f"the host {given[0][:80]!r}" if given else "no host"
            raise Problem(
                421,
                "host",
                f"{said} was asked for, and this service answers as localhost: go to localhost or 127.0.0.1, or serve "
                f"with `{command('serve', 'MODEL', '--allowed-host', 'NAME')}`",
            )


def _name(host: str) -> str:
    """The name in a Host header, small and without port and final dot; empty for what is none."""
    found = _HOST.fullmatch(host.strip())
    return found[1].lower().removesuffix(".") if found else ""


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback and (":" in name) == name.startswith("[")
    except ValueError:
        return False
