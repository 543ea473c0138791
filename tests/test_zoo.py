"""The image zoo: every file is segmented or refused by name, the run goes on, nothing crashes or eats the memory."""

from __future__ import annotations

from pathlib import Path

import pytest

import made_zoo

EXPECTED = {
    name: result for kind in (made_zoo.modes, made_zoo.sick, made_zoo.names) for name, (_, result) in kind().items()
} | {"loop.png": "cannot be read", "to and.png": "cannot be read", "fro.png": "cannot be read"}
EXPECTED |= {"nowhere.png": "no such file", "pipe.png": "neither file nor folder"}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict:
    return made_zoo.apart(made_zoo.predict_zoo, tmp_path_factory.mktemp("zoo"))


def test_the_zoo_is_large_and_every_file_is_answered_for(found):
    assert len(EXPECTED) >= 100
    failed = [name for name, _ in found["failed"]]
    assert len(failed) == len(set(failed)) and not set(failed) & found["sizes"].keys()
    assert set(failed) | found["sizes"].keys() == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED, ids=[name[:40].encode("unicode_escape").decode() for name in EXPECTED])
def test_it_is_segmented_or_refused_by_name(name, found):
    result, message = EXPECTED[name], dict(found["failed"]).get(name)
    if result == "":  # a decoder may think this or that of it
        return
    if isinstance(result, tuple):
        assert message is None and tuple(found["sizes"][name]) == result
    else:
        assert message and result in message
        assert "\n" not in message and ("zoo/" in message or "shorter" in message)


def test_the_zoo_stays_small_in_memory(found):
    assert found["extra_megabytes"] < 512


def test_mutated_files_are_segmented_or_refused(tmp_path: Path):
    """A few; benchmarks/zoo.py has ten thousand."""
    found = made_zoo.apart(made_zoo.predict_mutated, 300, 1, tmp_path)
    assert found["done"] > 20 and found["refused"] > 20 and found["extra_megabytes"] < 512
