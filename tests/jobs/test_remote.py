"""Jobs and pictures behind addresses of fsspec: its memory within one process, its files where there are several."""

from __future__ import annotations

from pathlib import Path

import pytest

import tarsia
from small_job import small, write_pictures
from tarsia.errors import ImageError, OutputError
from tarsia.inference import DEFAULT
from tarsia.jobs.pictures import content_of
from tarsia.jobs.remote import RemoteFolder
from tarsia.jobs.tries import taken
from tarsia.jobs.worker import Opening

pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra parquet)")
fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed (extra scale)")


@pytest.fixture
def store() -> str:
    """The address of an empty folder, which has the pictures of a folder beside it."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    return "memory://store/job"


def test_a_job_in_a_store_has_the_files_of_one_in_a_folder(store: str, tmp_path: Path) -> None:
    photos, memory = write_pictures(tmp_path / "photos", 6), fsspec.filesystem("memory")
    for path in photos.rglob("*.png"):
        memory.pipe_file(f"/photos/{path.relative_to(photos)}", path.read_bytes())
    memory.pipe_file("/photos/notes.txt", b"no picture")
    job = tarsia.plan(["memory:///photos/"], store, chunk=4)
    assert [*job.names(0), *job.names(1)] == [
        *(f"memory:///photos/{name:03d}.png" for name in (1, 2, 3, 5)),
        *(f"memory:///photos/deep/{name:03d}.png" for name in (0, 4)),
    ]
    local = tarsia.plan(["memory:///photos/"], tmp_path / "job", chunk=4)
    for one in (job, local):
        work, _ = Opening(one, Path("x"), "sum", {}, DEFAULT, load=small).open()
        assert [work.do(index) for index in (1, 0)] == ["done", "done"]
        assert work.do(0) == "done" and one.done() == {0, 1}
    for name in ("out/chunk-000000.parquet", "out/chunk-000001.parquet"):
        assert job.folder.read(name) == local.folder.read(name)
    status = tarsia.job_status(store)
    assert (status.complete, status.rows_done, status.errors) == (True, 6, 0)
    with pytest.raises(OutputError, match="holds a planned job already"):
        tarsia.plan(["memory:///photos/"], store)


def test_a_file_in_a_store_is_created_once_and_tries_are_those_of_a_run(store: str) -> None:
    folder = RemoteFolder(store)
    assert folder.create("a.json", b"1") and not folder.create("a.json", b"2") and folder.read("a.json") == b"1"
    fsspec.filesystem("memory").pipe_file("/photos/a.png", b"")
    job = tarsia.plan(["memory://photos/a.png"] * 8, "memory://store/tries", chunk=8)
    for _ in range(2):  # as a process that is killed leaves it
        with pytest.raises(KeyboardInterrupt), taken(job, 0, "run") as tries:
            assert tries is not None
            tries.begin(tries.pieces[0])
            tries._in_hand = None
            raise KeyboardInterrupt
    for run, begun in (("run", 2), ("another", 0)):
        with pytest.raises(KeyboardInterrupt), taken(job, 0, run) as tries:
            assert tries is not None and tries.pieces == [[0, 8, begun]]
            raise KeyboardInterrupt
    with pytest.raises(ImageError, match=r"memory://photos/b\.png: no such file"):
        content_of("memory://photos/b.png")
    with pytest.raises(OutputError, match="nowhere://"):
        content_of("nowhere://photos/b.png")


def test_processes_share_a_job_behind_an_address(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 9)
    (tmp_path / "model.onnx").write_bytes(b"any")
    tarsia.plan(photos, f"file://{tmp_path}/job", chunk=3)
    status = tarsia.predict_job(tmp_path / "model.onnx", f"file://{tmp_path}/job", processes=2, load=small)
    assert (status.complete, status.rows_done, status.errors) == (True, 9, 0)
    assert tarsia.job_status(tmp_path / "job").to_dict().keys() == status.to_dict().keys()
    assert tarsia.job_status(tmp_path / "job").rows_done == 9
