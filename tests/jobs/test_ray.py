"""Jobs by Ray's actors: the files of a run without Ray, whatever of it is killed; one Ray for all of these tests."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

import small_onnx
import tarsia
from programs import BENCHMARKS, program
from small_job import POISON, small, write_pictures
from tarsia.errors import MissingExtraError, OutputError

ray_is_there = importlib.util.find_spec("ray") is not None  # looked for, not imported: see `machines`
needs_ray = pytest.mark.skipif(not ray_is_there, reason="ray is not installed (extra scale)")
pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def kills() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        yield program(BENCHMARKS / "job_kills.py", patch)


@pytest.fixture(scope="module")
def cluster(kills: ModuleType) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # of Ray's processes, as of the test's
        with kills.machines() as made:
            yield made


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    path.write_bytes(small_onnx.content())
    return path


@needs_ray
def test_a_process_a_machine_and_the_first_process_are_killed_and_nothing_is_lost(
    kills: ModuleType, cluster: Any, model: Path, tmp_path: Path
) -> None:
    counts, faults = kills.killed(model, tmp_path, cluster, 3, 0)
    assert not faults and counts == {"process": 1, "machine": 1, "first process": 1, "pictures": 160}


@needs_ray
def test_the_picture_that_ends_its_process_is_found_by_parts_and_is_a_row(
    cluster: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = write_pictures(tmp_path / "photos", 9)
    Image.fromarray(np.full((16, 24, 3), POISON, np.uint8)).save(photos / "003.png")
    monkeypatch.chdir(tmp_path)
    for name in ("job", "whole"):
        tarsia.plan(photos, name, chunk=2)
    tarsia.predict_job(model, "whole", load=small)
    for part in (3, 1, 2):
        status = tarsia.predict_job(model, "job", ray=cluster.address, part=(part, 3), load=small)
    assert status.complete and (status.rows_done, status.errors) == (9, 1)
    names = [f"chunk-00000{index}.parquet" for index in range(5)]
    assert [Path("job/out", name).read_bytes() for name in names] == [
        Path("whole/out", name).read_bytes() for name in names
    ]
    (error,) = [row for name in names for row in parquet.read_table(Path("job/out", name)).to_pylist() if row["error"]]
    assert error["path"].endswith("003.png") and "killed each process" in error["error"]
    assert not list(Path("job").glob("tries/*"))


@needs_ray
def test_what_ray_cannot_do_is_one_error(
    cluster: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = tmp_path / "job"
    tarsia.plan(write_pictures(tmp_path / "photos", 9), job, chunk=1)
    for options, message in (
        ({"processes": 5}, r"5 processes of 1 CPU each need 5 CPUs, and .* have 1 CPU, 1 CPU, which is room for 2:"),
        ({"cores": 2}, r"1 process of 2 CPUs each need 2 CPUs, .* which is room for 0"),
        ({"cores": 0}, "`cores=0`"),
        ({"ray": "127.0.0.1:1"}, r"`ray` is '127.0.0.1:1', where no Ray can be reached \(.*refused\)"),
        ({"ray": "ray://127.0.0.1:1"}, r"where no Ray can be reached \(.*refused\)"),
        ({"ray": "nowhere"}, "where no Ray can be reached"),
    ):
        with pytest.raises(OutputError, match=message):
            tarsia.predict_job(model, job, **({"ray": cluster.address} | options), load=small)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"`ray` needs packages that are not installed .*`scale`"):
        tarsia.predict_job(model, job, ray="local", load=small)
