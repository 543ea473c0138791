"""The journal of a prediction: what it cannot vouch for is done again, never summed up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tarsia.output.journal import FILE, Journal
from tarsia.output.sources import Source
from tarsia.spec import BandFile, Spec

SETTINGS = {"model": "m", "only": [1, 2], "least": 0.25}
ROW = {"name": "é.png", "height": 3, "shares": {"road": 0.1, "sky": 0.9}}


def opened(out: Path) -> Journal:
    return Journal(out, SETTINGS, resume=True)


@pytest.fixture
def finished(tmp_path: Path) -> tuple[Path, Source]:
    """A folder in which one picture is done, and that picture."""
    picture, label = tmp_path / "é.jpg", tmp_path / "é.png"
    picture.write_bytes(b"picture")
    label.write_bytes(b"label")
    source = Source(picture, picture.name, name="é")
    with Journal(tmp_path, SETTINGS, resume=False) as journal:
        journal.note_memory_format("contiguous")
        journal.begin(source)
        journal.finish(source, [label], ROW, regions=[[1, 2.5]])
    return tmp_path, source


def test_a_changed_file_of_several_is_done_again(tmp_path: Path) -> None:
    bands = tuple(BandFile(name=name, file=f"*_{name}.tif") for name in ("B02", "B05"))
    for band in bands:
        band.at(tmp_path, "a").write_bytes(b"band")
    source, spec = Source(tmp_path / "a_B02.tif", "a_B02.tif", name="a"), Spec(2, files=bands)
    with Journal(tmp_path, SETTINGS, False, spec) as journal:
        journal.finish(source, [], ROW)
    assert Journal(tmp_path, SETTINGS, True, spec).finished(source)
    (tmp_path / "a_B05.tif").write_bytes(b"another")
    assert not Journal(tmp_path, SETTINGS, True, spec).finished(source)
    (tmp_path / "a_B05.tif").unlink()
    assert not Journal(tmp_path, SETTINGS, True, spec).finished(source)


def test_what_was_written_is_read(finished: tuple[Path, Source]) -> None:
    out, source = finished
    journal = opened(out)
    assert journal.finished(source) and journal.may_replace(source) and journal.memory_format == "contiguous"
    (record,) = journal.rows([source])
    assert record["row"] == ROW and record["regions"] == [[1, 2.5]]


def test_a_byte_that_changed_makes_no_other_record(finished: tuple[Path, Source]) -> None:
    """A digit in a row would be a wrong share of a class, which nothing else could tell."""
    out, source = finished
    content, path, done = (out / FILE).read_bytes(), out / FILE, 0
    for place in range(len(content)):
        for bit in (0, 3):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                journal = opened(out)
            except Exception as error:  # the settings were damaged
                assert "was begun with another" in str(error)
                continue
            if journal.finished(source):
                done += 1
                (record,) = journal.rows([source])
                assert record["row"] == ROW and record["regions"] == [[1, 2.5]]
            assert journal.memory_format in ("contiguous", None)
    assert done > len(content) / 4, "damage elsewhere costs nothing"


def test_the_journal_of_an_earlier_version_has_no_checksums(finished: tuple[Path, Source]) -> None:
    out, source = finished
    lines: list[dict[str, Any]] = [json.loads(line) for line in (out / FILE).read_text().splitlines() if line]
    for line in lines:
        del line["sum"]
    (out / FILE).write_text("\n".join(json.dumps(line) for line in lines))
    journal = opened(out)
    assert journal.finished(source) and next(iter(journal.rows([source])))["row"] == ROW


def test_rows_stand_in_the_order_of_the_pictures_whenever_each_was_done(tmp_path: Path) -> None:
    """What a resumed run does again comes last in the journal, and first in coco.json where it is the first picture."""
    names = ("a", "b", "c")
    for name in names:
        (tmp_path / f"{name}.jpg").write_bytes(b"picture")
        (tmp_path / f"{name}.png").write_bytes(b"label")
    sources = [Source(tmp_path / f"{name}.jpg", f"{name}.jpg", name=name) for name in names]
    with Journal(tmp_path, SETTINGS, resume=False) as journal:
        for source in (sources[2], sources[0], sources[1], sources[0]):
            journal.begin(source)
            journal.finish(source, [tmp_path / f"{source.name}.png"], ROW)
        assert [one["name"] for one in journal.rows(sources)] == ["a", "b", "c"]
        assert [one["name"] for one in journal.rows(sources[::-1])] == ["c", "b", "a"]
    assert [one["name"] for one in opened(tmp_path).rows(sources[1:])] == ["b", "c"]
