"""Very many texts and a number for each, on disk: memory stays the same however many there are."""

from __future__ import annotations

import hashlib
import sqlite3


class Numbers:
    """As a dictionary of texts to numbers; a text is known by 128 bits of its hash, which no two of them share."""

    def __init__(self) -> None:
        self._database = temporary()
        self._database.execute("CREATE TABLE numbers (text BLOB PRIMARY KEY, number INTEGER) WITHOUT ROWID")

    def __setitem__(self, text: str, number: int) -> None:
        self._database.execute("INSERT OR REPLACE INTO numbers VALUES (?, ?)", (_digest(text), number))

    def get(self, text: str) -> int | None:
        found = self._database.execute("SELECT number FROM numbers WHERE text = ?", (_digest(text),)).fetchone()
        return None if found is None else int(found[0])

    def __contains__(self, text: str) -> bool:
        return self.get(text) is not None

    def add(self, text: str, number: int) -> bool:
        """Give a text its number; False where it has one already, which it keeps."""
        found = self._database.execute("INSERT OR IGNORE INTO numbers VALUES (?, ?)", (_digest(text), number))
        return bool(found.rowcount)


def temporary() -> sqlite3.Connection:
    """A database in the system's folder for temporary files, of which nothing stays; in memory while it is small."""
    database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("BEGIN")
    return database


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
