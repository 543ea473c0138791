"""A table on disk for what would grow with a data set: a file without a name, gone with whoever opened it.

SQLite makes it where TMPDIR says, in /var/tmp or /tmp, and takes its name away at once: nothing is left of it even when
the process is killed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

from tarsia.errors import NoRoomError

_CACHE_KIB = 4096
_AT_ONCE = 1000  # rows


class Scratch:
    """Tables that `schema` makes, in SQL.  NoRoomError where there is no room for them."""

    def __init__(self, schema: str) -> None:
        self._tables = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._waiting: dict[str, list[tuple[Any, ...]]] = {}
        with _room():
            self._tables.executescript(
                f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA temp_store=FILE;"
                f"PRAGMA cache_size=-{_CACHE_KIB}; BEGIN; {schema}"
            )

    def __del__(self) -> None:
        self._tables.close()

    def add(self, table: str, *row: Any) -> None:
        """A row of all of a table's columns."""
        rows = self._waiting.setdefault(table, [])
        rows.append(row)
        if len(rows) == _AT_ONCE:
            self._flush()

    def do(self, sql: str, *values: Any) -> None:
        self._flush()
        with _room():
            self._tables.execute(sql, values)

    def rows(self, sql: str, *values: Any) -> Iterator[Any]:
        """The rows that SQL asks for, one after the other; those of one column as its values."""
        self._flush()
        with _room():
            found = self._tables.execute(sql, values)
            alone = len(found.description) == 1
            for row in found:
                yield row[0] if alone else row

    def one(self, sql: str, *values: Any) -> Any:
        return next(self.rows(sql, *values), None)

    def _flush(self) -> None:
        for table, rows in self._waiting.items():
            with _room():
                self._tables.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(rows[0]))})", rows)
        self._waiting.clear()


def key_of(found: int | str) -> int | bytes:
    """A number or text as a column holds it: no two have one key, whatever their length and letters."""
    if isinstance(found, int):
        return found if -(2**63) <= found < 2**63 else f"#{found}".encode()
    return f"'{found}".encode("utf-8", "surrogatepass")


def text_of(key: bytes) -> str:
    """The text of a key."""
    return key[1:].decode("utf-8", "surrogatepass")


@contextlib.contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise NoRoomError(
            f"cannot keep a temporary table on disk ({error}): make room, or name another folder by TMPDIR"
        ) from error
