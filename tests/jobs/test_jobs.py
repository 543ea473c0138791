"""Jobs: every picture is one row, whatever is killed, and the same bytes whoever makes them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

import small_onnx
import tarsia
from other_process import on_a_full_disk
from small_job import POISON, small, write_pictures
from tarsia.cli import main
from tarsia.inference import DEFAULT
from tarsia.jobs.job import open_job
from tarsia.jobs.worker import Opening

parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra parquet)")


def planned(folder: Path, photos: Path, chunk: int = 4) -> Path:
    tarsia.plan(photos, folder, chunk=chunk)
    return folder


def files(job: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(job.glob("out/chunk-*"))}


def rows(job: Path) -> list[dict[str, Any]]:
    return [row for content in files(job).values() for row in parquet.read_table(io.BytesIO(content)).to_pylist()]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(small_onnx.content())
    return path


def test_parts_make_the_files_of_one_run_and_rows_say_all_of_a_picture(model: Path, tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 17)
    (photos / "bad.jpg").write_bytes(b"no picture")
    whole, parts = planned(tmp_path / "whole", photos), planned(tmp_path / "parts", photos)
    status = tarsia.predict_job(model, whole)
    assert status.complete and (status.chunks, status.rows_done, status.errors) == (5, 18, 1)
    for part in (2, 1, 3):
        status = tarsia.predict_job(model, parts, part=(part, 3))
    assert status.complete and files(parts) == files(whole) and not list(parts.glob("tries/*"))
    found, sum_of_model = rows(whole), hashlib.sha256(model.read_bytes()).hexdigest()
    assert [row["path"] for row in found] == sorted(str(path) for path in photos.rglob("*.*"))
    assert {(row["model"], row["schema"]) for row in found} == {(sum_of_model, 1)}
    predictor = tarsia.load(model)
    for row in found:
        content = Path(row["path"]).read_bytes()
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        if row["path"].endswith("bad.jpg"):
            assert row["mask"] is None and row["pixels"] is None and "not a picture" in row["error"]
            assert str(photos) not in row["error"]
            continue
        expected = predictor(row["path"], confidence=True)
        mask = Image.open(io.BytesIO(row["mask"]))
        assert np.array_equal(np.asarray(mask), expected.label_HW) and mask.mode == "P" and row["error"] is None
        assert (row["height"], row["width"]) == expected.label_HW.shape and row["ignored"] == 0
        assert row["pixels"] == expected.areas()
        assert row["confidence"] == pytest.approx(float(expected.confidence_HW.mean()), abs=1e-6)


def test_a_job_keeps_to_what_it_was_begun_with(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = planned(tmp_path / "job", write_pictures(tmp_path / "photos", 3))
    assert not tarsia.job_status(job).complete and tarsia.job_status(job).pictures_a_second is None

    def said(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tarsia", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        return (stop.value.code, *capsys.readouterr())

    code, out, _ = said("predict", model, "--job", job, "--only", "red", "-q")
    assert code == 0 and "1 chunk of 1 done, 3 rows of 3, 0 errors" in out
    assert {row["pixels"]["blue"] for row in rows(job)} == {0} and rows(job)[0]["ignored"] > 0
    assert json.loads((job / "model.json").read_text())["only"] == ["red"]
    assert json.loads(said("predict", "--job", job, "--status", "--json")[1])["rows_done"] == 3
    for more, words in {
        ("--only", "blue"): "another only (['red'], now ['blue'])",
        ("--only", "red", "--tile", "16"): "another tile (None, now 16)",
        ("--only", "red", "--tta", "flip"): "another tta (None, now {'flip': True",
        ("--only", "red", "--save", "label", "--overwrite"): "leave out --overwrite and --save",
        ("--only", "red", "--part", "4/3"): "--part is 4/3: expected K/N",
    }.items():
        code, _, err = said("predict", model, "--job", job, *more)
        assert code == 2 and words in err
    (chunk,) = (job / "out").iterdir()
    for content in (chunk.read_bytes()[:-40], b"", (job / "plan" / "part-000000.parquet").read_bytes()):
        chunk.write_bytes(content)
        code, _, err = said("predict", "--job", job, "--status")
        assert code == 2 and f"{job}: out/{chunk.name} is damaged" in err and "delete it" in err
    (job / "plan" / "part-000000.parquet").write_bytes(b"PAR1")
    chunk.unlink()
    assert "is damaged or cannot be read" in said("predict", model, "--job", job, "--only", "red")[2]
    model.write_bytes(small_onnx.content(architecture="other"))
    assert "another model (" in said("predict", model, "--job", job, "--only", "red")[2]
    assert "holds no planned job" in said("predict", model, "--job", tmp_path / "photos")[2]
    assert "name it with --job" in said("predict", model, "--status")[2]


def test_the_picture_that_ends_its_process_is_found_and_is_a_row(model: Path, tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 9)
    clean, job = (planned(tmp_path / name, photos, 8) for name in ("clean", "job"))
    Image.fromarray(np.full((16, 24, 3), POISON, np.uint8)).save(photos / "003.png")
    status = tarsia.predict_job(model, job, load=small)
    assert status.complete and (status.rows_done, status.errors) == (9, 1)
    (error,) = [row for row in rows(job) if row["error"]]
    assert error["path"].endswith("003.png") and "killed each process" in error["error"]
    assert error["sha256"] == hashlib.sha256((photos / "003.png").read_bytes()).hexdigest()
    assert not list(job.glob("tries/*"))
    (photos / "003.png").unlink()
    tarsia.predict_job(model, clean, load=small)
    same = [row for row in rows(clean) if not row["error"]]
    assert len(same) == 8 and same == [row for row in rows(job) if not row["error"]]


def test_masks_in_files_are_those_of_the_rows_and_none_is_in_the_place_of_another(tmp_path: Path) -> None:
    shutil.copytree(write_pictures(tmp_path / "photos", 2), tmp_path / "photos" / "again")  # names that meet
    odd = "a #1?%20 " + "\u00fc" * 110
    shutil.copy(tmp_path / "photos" / "001.png", tmp_path / "photos" / "001.jpg")
    shutil.copy(tmp_path / "photos" / "001.png", tmp_path / "photos" / f"{odd}.png")
    (tmp_path / "photos" / "bad.jpg").write_bytes(b"no picture")
    plain = tarsia.plan(tmp_path / "photos", tmp_path / "plain", chunk=4)
    job = tarsia.plan(tmp_path / "photos", tmp_path / "job", chunk=4, files=True)
    (tmp_path / "job" / "masks" / "chunk-000000").mkdir(parents=True)
    (tmp_path / "job" / "masks" / "chunk-000000" / "0-001.png").write_bytes(b"cut off by a kill")
    (tmp_path / "job" / "tries").mkdir()
    (tmp_path / "job" / "tries" / "chunk-000000.json").write_text("[[0, 4, 2]]")  # is halved, in pieces
    for one in (plain, job):
        work, _ = Opening(open_job(one.folder), Path("x"), "sum", {}, DEFAULT, load=small).open()
        assert [work.do(index) for index in (0, 1)] == ["done", "done"]
    expected, found = rows(tmp_path / "plain"), rows(tmp_path / "job")
    names = [row.pop("file") for row in found]
    masks = [row.pop("mask") for row in expected]
    assert found == expected and len(found) == 7 and tarsia.job_status(tmp_path / "job").errors == 1
    assert [name and (tmp_path / "job" / name).read_bytes() for name in names] == masks
    stems = [Path(row["path"]).stem.encode()[:200].decode(errors="ignore") for row in found]
    assert names == [
        row["mask"] and f"masks/chunk-00000{index // 4}/{index % 4}-{stems[index]}.png"
        for index, row in enumerate(rows(tmp_path / "plain"))
    ]
    assert sorted(stems) == sorted(["000", "000", "001", "001", "001", "bad", odd[:104]])
    assert len(list((tmp_path / "job").glob("masks/*/*"))) == 6 and not list((tmp_path / "job").glob("tries/*"))


RUN = """
import sys, tarsia
from small_job import slow
tarsia.predict_job(sys.argv[1], sys.argv[2], processes=2, load=slow)
"""


def test_whatever_is_killed_every_picture_is_one_row_and_the_files_are_the_same(model: Path, tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 64)
    calm, job = planned(tmp_path / "calm", photos), planned(tmp_path / "job", photos)
    tarsia.predict_job(model, calm, load=small)
    random_, paths = random.Random(5), os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done, killed = 0, list[str]()
    driver = None
    try:
        while driver is None or driver.poll() != 0:
            if driver is None or driver.poll() is not None:
                driver = subprocess.Popen([sys.executable, "-c", RUN, model, job], env=paths)
            there = len(list(job.glob("out/chunk-*")))
            if there > done and len(killed) < 6 and any(job.glob("tries/*.json")):
                done = there
                time.sleep(random_.uniform(0, 0.1))
                kind = "worker" if len(killed) % 3 else "driver"
                if kill(driver, kind, random_):
                    killed.append(kind)
            time.sleep(0.02)
    finally:
        if driver is not None and driver.poll() is None:
            driver.kill()
    assert killed.count("driver") == 2 and killed.count("worker") == 4
    assert sorted(row["path"] for row in rows(job)) == sorted(str(path) for path in photos.rglob("*.png"))
    assert files(job) == files(calm)


def kill(driver: subprocess.Popen[bytes], kind: str, random_: random.Random) -> bool:
    """Kill one process as nothing can withstand; False where it has ended by itself."""
    try:
        others = psutil.Process(driver.pid).children(recursive=True)
        workers = [one for one in others if one.ppid() != driver.pid]
        (random_.choice(workers) if kind == "worker" else psutil.Process(driver.pid)).kill()
    except (psutil.Error, IndexError):
        return False
    if kind == "driver":
        driver.wait()
    return True


def test_a_full_disk_loses_the_chunk_in_hand_alone(model: Path, tmp_path: Path) -> None:
    job = planned(tmp_path / "job", write_pictures(tmp_path / "photos", 6))
    imports = "import small_job, tarsia; from pathlib import Path; from tarsia.jobs.storage import LocalFolder;"
    imports += "from tarsia.jobs.job import open_job; from tarsia.jobs.worker import Opening"
    code = "Opening(open_job(LocalFolder(sys.argv[1])), Path('x'), 's', {}, None, load=small_job.small).open()[0].do(0)"
    done = on_a_full_disk(3000, imports, code, job)
    assert "chunk-000000.parquet: file size limit" in done.stdout and not files(job)
    assert json.loads((job / "tries" / "chunk-000000.json").read_text()) == [[0, 4, 0]]
    (job / "model.json").unlink()
    assert tarsia.predict_job(model, job, load=small).rows_done == 6 and not list(job.glob("tries/*"))
