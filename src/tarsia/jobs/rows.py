"""The rows of a chunk's file, and the file: Parquet, the same bytes from the same rows.

| column | |
|---|---|
| `path` | as planned; bytes that are no text in any encoding as `\\udcff` |
| `sha256` | of the picture's file, null where it could not be read |
| `mask` | the label map: an index PNG in the classes' colours, 255 = ignored; null with an error |
| `file` | in its place, where masks are files: its name below the job's folder |
| `height`, `width` | of the picture, upright |
| `pixels` | how many pixels each class has, by its name |
| `ignored` | how many are 255 |
| `confidence` | the mean probability of the labels, 0 to 1, over all pixels with data |
| `error` | why there is no mask, else null |
| `model` | the model file's sha256 |
| `schema` | the version of these columns |
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tarsia.jobs.job import SCHEMA

if TYPE_CHECKING:
    import pyarrow

_GROUP_BYTES = 32 * 2**20  # of masks in a row group


def row(path: str, sha256: str | None = None, error: str | None = None, **found: Any) -> dict[str, Any]:
    """A picture's row: `found` is mask, height, width, pixels (in class order), ignored and confidence."""
    return {"path": path, "sha256": sha256, "error": error} | found


def table(rows: Sequence[dict[str, Any]], classes: Sequence[str], model: str) -> pyarrow.Table:
    """Rows as a table, in their order."""
    import pyarrow

    whole = pyarrow.int64()
    schema = pyarrow.schema(
        {
            "path": pyarrow.string(),
            "sha256": pyarrow.string(),
            "mask": pyarrow.binary(),
            "height": pyarrow.int32(),
            "width": pyarrow.int32(),
            "pixels": pyarrow.struct([(name, whole) for name in classes]),
            "ignored": whole,
            "confidence": pyarrow.float32(),
            "error": pyarrow.string(),
            "model": pyarrow.string(),
            "schema": pyarrow.int32(),
        }
    )
    found = []
    for one in rows:
        pixels = one.get("pixels")
        named = None if pixels is None else dict(zip(classes, pixels, strict=True))
        found.append(one | {"pixels": named, "model": model, "schema": SCHEMA})
    return pyarrow.Table.from_pylist(found, schema=schema)


def joined(tables: Iterable[pyarrow.Table]) -> pyarrow.Table:
    """Tables of rows, one after the other."""
    import pyarrow

    return pyarrow.concat_tables(tables)


def with_files(rows: pyarrow.Table, files: Sequence[str | None]) -> pyarrow.Table:
    """The rows with the names of files in the place of the masks."""
    import pyarrow

    place = rows.schema.get_field_index("mask")
    return rows.set_column(place, "file", pyarrow.array(files, pyarrow.string()))


def content(rows: pyarrow.Table) -> bytes:
    """The file: PNGs as they are, all else compressed; row groups of some 32 MiB of masks."""
    import pyarrow.compute
    from pyarrow import parquet

    names = [name for name in rows.schema.names if name != "pixels"]
    compression = {name: "none" if name == "mask" else "zstd" for name in names}
    compression |= {f"pixels.{field.name}": "zstd" for field in rows.schema.field("pixels").type}
    options: dict[str, Any] = {"compression": compression, "use_dictionary": ["model"], "write_statistics": ["error"]}
    sizes = [0] * rows.num_rows
    if "mask" in names:
        sizes = pyarrow.compute.binary_length(rows.column("mask")).fill_null(0).to_pylist()
    file, first, held = io.BytesIO(), 0, 0
    with parquet.ParquetWriter(file, rows.schema, **options) as writer:
        for end, size in enumerate(itertools.chain(sizes, [None])):
            if size is None or (held and held + size > _GROUP_BYTES):
                writer.write_table(rows.slice(first, end - first), row_group_size=max(1, end - first))
                first, held = end, 0
            held += size or 0
    return file.getvalue()


def read(file: bytes) -> pyarrow.Table:
    """What `content` has written."""
    from pyarrow import parquet

    return parquet.read_table(io.BytesIO(file))


def counted(file: Any) -> tuple[int, int]:
    """How many rows a file has, and how many of them are errors, by its footer alone; ValueError for another file."""
    from pyarrow import parquet

    footer = parquet.ParquetFile(file).metadata
    place = [k for k in range(footer.num_columns) if footer.schema.column(k).path == "error"]
    groups = [footer.row_group(k).column(place[0]) for k in range(footer.num_row_groups) if place]
    if not place or not all(one.is_stats_set for one in groups):
        raise ValueError("not a file of this job's rows")
    return footer.num_rows, sum(one.num_values - one.statistics.null_count for one in groups)
