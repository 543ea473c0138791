"""What is kept of a split: the same whatever the threads, little of each picture, and nothing that a sample raises."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sick_data import CLASSES, SICK, image, label, pixels, scene, write_healthy
from tarsia import data
from tarsia.card import Classes
from tarsia.checking import check, findings_of
from tarsia.data._dataset import Sample
from tarsia.doctor.dataset import CheckedData
from tarsia.doctor.split_statistics import CheckedSplit, examine_split
from tarsia.errors import ImageError
from tarsia.pictures import reader


class Drawn:
    """A data set without files; some samples raise what a data set of somebody's own may raise."""

    classes = Classes(names=CLASSES, colors=tuple((k, 0, 0) for k in range(len(CLASSES))))

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return f"drawn-{index}"

    def __getitem__(self, index: int) -> Sample:
        if index == 3:
            raise ImageError("drawn-3: cut off")
        if index == 4:
            raise ZeroDivisionError("somebody's own mistake")
        image, label = scene(index, (48, 64))
        return Sample(image, label + 90 if index == 5 else label, self.name(index), sequence="a film" if index else "")


def test_counts_are_those_of_the_slow_way(tmp_path: Path) -> None:
    train = data.open("folder", write_healthy(tmp_path, 9, 2))
    kept = examine_split("train", train)
    labels = [train[index].label for index in range(len(train))]
    for k in range(len(CLASSES)):
        shown = [bool((one == k).any()) for one in labels]
        assert kept.pixels_K1[k] == sum(int((one == k).sum()) for one in labels)
        assert kept.pictures_K[k] == sum(shown) and kept.showing(k).tolist() == shown
        assert kept.image_pixels_K[k] == sum(one.size for one, yes in zip(labels, shown, strict=True) if yes)
    assert kept.pixels_K1[-1] == 0 and kept.seen_N.all() and kept.sizes() == [((96, 128), 9)]
    assert np.allclose(kept.mean_N, [train[index].image.mean() for index in range(9)], atol=0.01)


def test_a_data_set_of_somebody_s_own(tmp_path: Path) -> None:
    kept = examine_split("train", Drawn(8), threads=3)
    assert [index for index, _ in kept.faults["unreadable"]] == [3, 4, 5]
    said = [detail for _, detail in kept.faults["unreadable"]]
    assert said[0] == "drawn-3: cut off" and said[1] == "ZeroDivisionError: somebody's own mistake"
    assert "label value 90 is neither a class" in said[2]
    assert kept.sequences == ["", *["a film"] * 2, "", "", "", *["a film"] * 2]
    findings = findings_of(CheckedData("drawn", {"train": kept}))
    assert findings[0].kind == "unreadable" and findings[0].places[0].line() == "train: drawn-3: drawn-3: cut off"


def test_the_report_is_the_same_whatever_the_threads(tmp_path: Path) -> None:
    root = write_healthy(tmp_path / "data")
    for one in SICK:
        one.do(root)
    for threads in (1, 5):
        check(f"folder:{root}", out=tmp_path / str(threads), threads=threads)
    assert (tmp_path / "1/check.json").read_bytes() == (tmp_path / "5/check.json").read_bytes()
    assert (tmp_path / "1/check.html").read_bytes() == (tmp_path / "5/check.html").read_bytes()


def test_few_samples_are_in_memory_and_few_bytes_of_each_are_kept() -> None:
    at_once, most, lock = 0, 0, threading.Lock()

    class Counting(Drawn):
        def __getitem__(self, index: int) -> Sample:
            nonlocal at_once, most
            with lock:
                at_once += 1
                most = max(most, at_once)
            try:
                return Sample(*scene(0, (48, 64)), name=self.name(index))
            finally:
                with lock:
                    at_once -= 1

    examine_split("train", Counting(60), threads=4)
    assert most <= 4
    count = 100_000
    arrays = [value for value in vars(CheckedSplit("train", Drawn(count))).values() if isinstance(value, np.ndarray)]
    assert sum(array.nbytes for array in arrays if len(array) == count) / count < 500
    assert sum(array.nbytes for array in arrays if len(array) != count) < 2**20


def test_a_pipe_for_a_picture_does_not_wait(tmp_path: Path) -> None:
    root = write_healthy(tmp_path, 6, 6)
    image(root, "t01").unlink()
    os.mkfifo(image(root, "t01"))
    finding = check(f"folder:{root}").findings[0]
    assert finding.kind == "unreadable-image" and "pipe" in finding.places[0].detail


def test_bombs_and_strange_names_are_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_healthy(tmp_path, 6, 6)
    monkeypatch.setattr("tarsia.pictures.reader.read", partial(_limited, reader.read))
    name = "t\n<b>\udcff"
    if sys.platform != "darwin":
        image(root, "t02").rename(image(root, name))
        label(root, "t02").rename(label(root, name))
        image(root, name).write_bytes(b"no picture")
    result = check(f"folder:{root}", out=tmp_path / "out")
    details = {place.name: place.detail for one in result.findings for place in one.places}
    assert "too large" in details["t03"] and (tmp_path / "out/check.html").stat().st_size
    assert "<b>" not in (tmp_path / "out/check.html").read_text()


def _limited(read: Callable[..., reader.Picture], path: str, spec: reader.Spec) -> reader.Picture:
    if path.endswith("t03.png"):
        raise ImageError(f"{path}: too large")
    return read(path, spec)


def test_large_pictures_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_healthy(tmp_path, 8, 2)
    monkeypatch.setattr("tarsia.doctor.sample._LARGE_PIXELS", 100)
    inside = SimpleNamespace(now=0, most=0)

    def watched(path: str, spec: reader.Spec) -> reader.Picture:
        inside.now += 1
        inside.most = max(inside.most, inside.now)
        found = reader.Picture(pixels(Path(path)))
        inside.now -= 1
        return found

    monkeypatch.setattr("tarsia.pictures.reader.read", watched)
    examine_split("train", data.open("folder", root), threads=6)
    assert inside.most == 1
