"""Names of pictures, however many, into the files of a plan: one chunk of them is held at a time.

Nothing is opened but folders, lists and tables of names: whether a picture is there shows when its turn comes.
"""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from tarsia.errors import DatasetError, ImageError, needs
from tarsia.jobs.job import Job, chunks_a_part, write_part
from tarsia.jobs.remote import URL, found_below, system_of
from tarsia.jobs.storage import Folder
from tarsia.pictures.files import shown
from tarsia.pictures.find import SUFFIXES, stream

_BATCH_ROWS = 10_000  # of a table of names, read at once


def names_of(
    words: Iterable[str | Path], column: str, left_out: Path, refused: Callable[[OSError], None]
) -> Iterator[str]:
    """The pictures that `words` name, one after the other, as absolute paths (or URLs as they stand).

    A word is a file, a folder with those below it, a pattern, `@FILE` with a word a line, or a .parquet file, whose
    `column` has a name a row.  Of URLs: a file, a folder, which ends in a slash, or a table.  `refused` is told of
    folders that cannot be read.  Raises ImageError for a folder, pattern, list or table with no picture, DatasetError
    for a table that is none or has no such column.
    """
    for word in map(str, words):
        found = _of_word(word, column, left_out, refused)
        first = next(found, None)
        if first is None:
            raise ImageError(f"{shown(word)}: no pictures there; looked for {', '.join(sorted(SUFFIXES))}")
        yield first
        yield from found


def write_plan(folder: Folder, names: Iterator[str], chunk: int, step: Callable[[int], None]) -> Job:
    """The plan's files -> the job, which is there once `save_job` has written that.  `step` is told of each chunk."""
    count = 0

    def chunks() -> Iterator[list[str]]:
        nonlocal count
        while taken := list(itertools.islice(names, chunk)):
            count += len(taken)
            step(len(taken))
            yield taken

    whole, a_part = chunks(), chunks_a_part(chunk)
    for number in itertools.count():
        first = next(whole, None)
        if first is None:
            break
        write_part(folder, number, itertools.chain([first], itertools.islice(whole, a_part - 1)))
    return Job(folder, count, chunk)


def _of_word(word: str, column: str, left_out: Path, refused: Callable[[OSError], None]) -> Iterator[str]:
    if URL.match(word):
        if word.endswith("/"):
            return found_below(word)
        return _in_table(word, column) if word.lower().endswith(".parquet") else iter([word])
    if os.path.isdir(word):
        return _below(word, left_out, refused)
    if os.path.lexists(word):
        return _in_table(word, column) if word.lower().endswith(".parquet") else iter([os.path.abspath(word)])
    if word.startswith("@"):
        return _listed(word[1:], column, left_out, refused)
    if glob.has_magic(word):
        return (os.path.abspath(path) for path in glob.iglob(word, recursive=True) if not os.path.isdir(path))
    return iter([os.path.abspath(word)])  # fails as a picture when its turn comes


def _below(folder: str, left_out: Path, refused: Callable[[OSError], None]) -> Iterator[str]:
    start = os.path.abspath(folder)
    return (os.path.join(start, name) for name in stream(start, SUFFIXES, (left_out,), refused=refused))


def _listed(path: str, column: str, left_out: Path, refused: Callable[[OSError], None]) -> Iterator[str]:
    """What the lines of a list name; lists in lists are not followed."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
            for line in lines:
                word = line.strip()
                if not word or word.startswith("#"):
                    continue
                if word.startswith("@") and not os.path.lexists(word):
                    raise ImageError(f"@{shown(path)}: names another list ({shown(word)}); give that one by itself")
                yield from _of_word(word, column, left_out, refused)
    except OSError as error:
        raise ImageError(f"@{shown(path)}: the list cannot be read ({error.strerror})") from error


def _in_table(path: str, column: str) -> Iterator[str]:
    with needs("a table of names", "parquet"):
        import pyarrow
        from pyarrow import parquet
    try:
        source = system_of(path).open(path, "rb") if URL.match(path) else path
        with parquet.ParquetFile(source) as table:
            _check_column(path, column, table.schema_arrow)
            for batch in table.iter_batches(_BATCH_ROWS, columns=[column]):
                yield from _texts(path, column, batch.column(0).to_pylist())
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"{shown(path)}: damaged, or no parquet ({error}): get the file again") from error


def _check_column(path: str, column: str, schema: object) -> None:
    import pyarrow

    assert isinstance(schema, pyarrow.Schema)
    kinds = {field.name: field.type for field in schema}
    texts = [
        name
        for name, kind in kinds.items()
        if pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind) or pyarrow.types.is_dictionary(kind)
    ]
    if column not in texts:
        has = "is no text" if column in kinds else "is not there"
        known = ", ".join(map(repr, texts)) or "none"
        raise DatasetError(f"{shown(path)}: column={column!r} {has}; columns of text: {known}")


def _texts(path: str, column: str, values: Sequence[str | None]) -> Iterator[str]:
    for value in values:
        if not value:
            raise DatasetError(f"{shown(path)}: a row without a name in column={column!r}: leave it out of the table")
        yield value if URL.match(value) else os.path.abspath(value)
