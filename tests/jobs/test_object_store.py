"""A job in an object store: moto's server on loopback answers as S3 does, from the environment of `make oracles`."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import small_onnx
import tarsia
from small_job import small, write_pictures
from tarsia.errors import ImageError
from tarsia.inference import DEFAULT
from tarsia.jobs.pictures import content_of
from tarsia.jobs.remote import RemoteFolder
from tarsia.jobs.worker import Opening

PYTHON = os.environ.get("TARSIA_ORACLES", "")
pytestmark = [
    pytest.mark.skipif(not PYTHON, reason="TARSIA_ORACLES names no Python: see `make oracles`"),
    pytest.mark.skipif(importlib.util.find_spec("s3fs") is None, reason="s3fs is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed (extra parquet)"),
]
JOB = "s3://store/jobs/of \u00fc #1?%20 june"
ODD = ("a b.png", "\u00fc#1.png", "what?.png", "100%25.png")
RUN = """
import sys, tarsia
from small_job import slow
for part in map(int, sys.argv[3]):
    tarsia.predict_job(sys.argv[1], sys.argv[2], part=(part, 2), load=slow)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    """fsspec's S3 with a bucket, and what its server logs."""
    log = tmp_path_factory.mktemp("moto") / "log.txt"
    with log.open("wb") as output, pytest.MonkeyPatch.context() as patch:
        command = [PYTHON, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            address = None
            while address is None:
                assert server.poll() is None, log.read_text()
                address = re.search(r"http://127[.]0[.]0[.]1:[1-9][0-9]*", log.read_text())
                time.sleep(0.05)
            facts = {"ENDPOINT_URL": address[0], "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": "us-east-1"}
            for name, value in facts.items():
                patch.setenv(f"AWS_{name}", value)
            patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
            import fsspec

            system = fsspec.filesystem("s3", use_listings_cache=False)
            system.mkdir("store")
            yield system, log
        finally:
            server.terminate()
            server.wait()


def test_a_job_in_a_store_is_killed_and_has_the_files_of_one_in_a_folder(
    store: tuple[Any, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, log = store
    photos = write_pictures(tmp_path / "photos", 16)
    for path, name in zip(sorted(photos.rglob("*.png")), [*ODD, *map(str, range(12))], strict=True):
        system.pipe_file(f"store/photos/{name.removesuffix('.png')}.png", path.read_bytes())
    (tmp_path / "model.onnx").write_bytes(small_onnx.content())
    job, local = (tarsia.plan("s3://store/photos/", out, chunk=2) for out in (JOB, tmp_path / "local"))
    assert {f"s3://store/photos/{name}" for name in ODD} < {name for k in range(8) for name in job.names(k)}
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))

    def start(parts: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", RUN, tmp_path / "model.onnx", JOB, parts])

    first = start("1")
    while not job.done():
        assert first.poll() is None
        time.sleep(0.02)
    first.kill()
    first.wait()
    assert start("21").wait() == 0
    status = tarsia.job_status(JOB)
    assert (status.complete, status.rows_done, status.errors) == (True, 16, 0)
    kept = job.settings()
    assert kept is not None
    work, _ = Opening(local, Path("x"), kept["model"], {}, DEFAULT, load=small).open()
    assert [work.do(index) for index in range(8)] == ["done"] * 8
    names = [f"out/chunk-{index:06d}.parquet" for index in range(8)]
    assert [job.folder.read(name) for name in names] == [local.folder.read(name) for name in names]
    asked = [line for line in log.read_text().splitlines() if "PUT" in line and "/out/chunk-" in line]
    taken = sorted(number for line in asked if " 200 " in line for number in re.findall(r"chunk-(\d{6})", line))
    assert taken == [f"{index:06d}" for index in range(8)], "each is written once"
    assert not job.folder.names("tries")


@pytest.mark.usefixtures("store")
def test_a_name_is_taken_once_and_masks_are_files_there() -> None:
    folder = RemoteFolder(f"{JOB}/once")
    assert folder.create("a.json", b"1") and not folder.create("a.json", b"2") and folder.read("a.json") == b"1"
    assert folder.names("") == {"a.json"} and not folder.names("nothing")
    assert content_of(f"{JOB}/once/a.json") == b"1"
    with pytest.raises(ImageError, match="no such file"):
        content_of(f"{JOB}/once/b.json")
    job = tarsia.plan([f"s3://store/photos/{name}" for name in ODD], f"{JOB}/files", chunk=4, files=True)
    work, _ = Opening(job, Path("x"), "sum", {}, DEFAULT, load=small).open()
    assert work.do(0) == "done"
    masks = {f"{place}-{name}" for place, name in enumerate(ODD)}
    assert set(job.folder.names("masks/chunk-000000")) == masks
    assert job.folder.read("masks/chunk-000000/2-what?.png").startswith(b"\x89PNG")
