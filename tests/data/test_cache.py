from __future__ import annotations

import errno
import json
import multiprocessing
import os
import pickle  # noqa: TID251 - as a spawned worker process would
import time

import numpy as np
import pytest

from tarsia.card import Classes
from tarsia.data import _cache
from tarsia.data._cache import Cached
from tarsia.data._dataset import Dataset, Sample
from tarsia.errors import DatasetError, OutputError

CLASSES = Classes(names=("a", "b"), colors=((1, 2, 3), (4, 5, 6)))


class Drawn:
    """Samples of several sizes; counts how often it is read."""

    def __init__(self, count=5, seed=0, fails_at=None):
        self.classes = CLASSES
        self.count = count
        self.seed = seed
        self.fails_at = fails_at
        self.reads = [0]

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.reads[0] += 1
        if index == self.fails_at:
            raise DatasetError("sample is broken")
        draw = np.random.default_rng([self.seed, index])
        size = (3 + index, 7)
        label = draw.choice(np.array([0, 1, 255], np.uint8), size)
        return Sample(draw.integers(0, 256, (*size, 3), dtype=np.uint8), label, self.name(index), f"d{index % 2}")

    def name(self, index):
        return f"s{index}"


class Marked(Drawn):
    """With a fingerprint of its own."""

    mark = "one"

    def fingerprint(self):
        return self.mark


def same(one, other):
    assert len(one) == len(other) and one.classes == other.classes
    for index in range(len(one)):
        a, b = one[index], other[index]
        assert np.array_equal(a.image, b.image) and np.array_equal(a.label, b.label)
        assert (a.name, a.domain) == (b.name, b.domain) and a.name == one.name(index) == other.name(index)
        assert b.image.flags.writeable and b.image.flags.c_contiguous and type(b.image) is np.ndarray


def folders(path):
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir())


def test_the_same_samples_decoded_once(tmp_path):
    drawn = Drawn()
    cached = Cached(drawn, tmp_path / "new" / "cache")
    assert isinstance(cached, Dataset)
    same(Drawn(), cached)
    with pytest.raises(IndexError):
        cached[5]
    again = Drawn()
    same(Drawn(), Cached(again, tmp_path / "new" / "cache"))
    assert again.reads[0] == 1  # the first sample is part of what identifies a data set without a fingerprint
    assert drawn.reads[0] == 6
    assert len(folders(tmp_path / "new" / "cache")) == 1


def test_another_data_set_gets_another_folder(tmp_path):
    for drawn in (Drawn(), Drawn(seed=1), Drawn(count=4)):
        same(drawn, Cached(drawn, tmp_path))
    assert len(folders(tmp_path)) == 3


def test_the_fingerprint_decides_where_there_is_one(tmp_path):
    Cached(Marked(), tmp_path)
    again = Marked()
    Cached(again, tmp_path)
    assert again.reads[0] == 0 and len(folders(tmp_path)) == 1
    changed = Marked(seed=5)
    changed.mark = "two"
    same(changed, Cached(changed, tmp_path))
    assert len(folders(tmp_path)) == 2


def test_a_changed_file_is_decoded_anew(tmp_path):
    from PIL import Image

    from tarsia.data.folder import Data

    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for name in "ab":
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "labels" / f"{name}.png")
    (tmp_path / "dataset.yaml").write_text("classes: [x, y]")
    first = Cached(Data(tmp_path), tmp_path / "cache")
    assert Cached(Data(tmp_path), tmp_path / "cache").fingerprint() == first.fingerprint()
    Image.fromarray(np.ones((4, 6), np.uint8)).save(tmp_path / "labels" / "b.png")
    os.utime(tmp_path / "labels" / "b.png", (1, 1))
    second = Cached(Data(tmp_path), tmp_path / "cache")
    assert first[1].label.max() == 0 and second[1].label.min() == 1
    (tmp_path / "dataset.yaml").write_text("classes: [{name: x, values: [1]}, {name: y, values: [0]}]")
    third = Cached(Data(tmp_path), tmp_path / "cache")
    assert third[0].label.min() == 1 and len(folders(tmp_path / "cache")) == 3


@pytest.mark.parametrize("harm", ["cut", "longer", "no index", "half an index", "no samples", "other count"])
def test_a_damaged_cache_is_rebuilt_with_a_note(tmp_path, capsys, harm):
    cached = Cached(Drawn(), tmp_path)
    samples, index = cached.folder / "samples.bin", cached.folder / "index.json"
    if harm == "cut":
        samples.write_bytes(samples.read_bytes()[:-1])
    elif harm == "longer":
        samples.write_bytes(samples.read_bytes() + b"0")
    elif harm == "no index":
        index.unlink()
    elif harm == "half an index":
        index.write_text(index.read_text()[:40])
    elif harm == "no samples":
        samples.unlink()
    else:
        index.write_text(json.dumps({"bytes": samples.stat().st_size, "samples": []}))
    same(Drawn(), Cached(Drawn(), tmp_path))
    assert capsys.readouterr().err.count("is damaged (cut or changed) and is rebuilt") == 1
    assert sorted(path.name for path in cached.folder.iterdir()) == ["index.json", "samples.bin"]
    assert len(folders(tmp_path)) == 1


def test_a_cache_cut_while_in_use_is_a_clear_error(tmp_path):
    cached = Cached(Drawn(), tmp_path)
    (cached.folder / "samples.bin").write_bytes(b"0" * 50)
    with pytest.raises(DatasetError, match="removed or cut while in use"):
        cached[4]


def test_a_flipped_bit_is_never_a_sample(tmp_path, capsys):
    """In the index it is seen as the cache is opened, in a sample as that is read; then the cache is rebuilt."""
    folder = Cached(Drawn(), tmp_path).folder
    draw = np.random.default_rng(0)
    for name in ("index.json", "samples.bin") * 40:
        content = bytearray((folder / name).read_bytes())
        content[draw.integers(len(content))] ^= 1 << draw.integers(8)
        (folder / name).write_bytes(content)
        try:
            same(Drawn(), Cached(Drawn(), tmp_path))
        except DatasetError as error:
            assert name == "samples.bin" and "damaged" in str(error) and "start again, it is rebuilt" in str(error)
            same(Drawn(), Cached(Drawn(), tmp_path))
    assert capsys.readouterr().err.count("is rebuilt") >= 70, "but where a bit of the index has no meaning"


def test_a_failed_build_leaves_nothing(tmp_path):
    with pytest.raises(DatasetError, match="sample is broken"):
        Cached(Drawn(fails_at=3), tmp_path)
    assert folders(tmp_path) == []


def test_a_strange_sample_never_gets_in(tmp_path):
    class Strange(Drawn):
        def __getitem__(self, index):
            return super().__getitem__(index)._replace(label=np.full((3 + index, 7), 9, np.uint8))

    with pytest.raises(DatasetError, match="label value 9 is neither"):
        Cached(Strange(), tmp_path)
    assert folders(tmp_path) == []


def test_a_full_disk_is_one_clear_error(tmp_path, monkeypatch):
    def full(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_cache, "_sync", full)
    with pytest.raises(OutputError, match=r"cannot write the cache .*: the disk is full; nothing is left of it"):
        Cached(Drawn(), tmp_path)
    assert folders(tmp_path) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write the cache"):
        Cached(Drawn(), tmp_path / "file" / "cache")


def test_it_can_be_pickled(tmp_path):
    again = pickle.loads(pickle.dumps(Cached(Drawn(), tmp_path)))
    assert len(again) == len(Drawn())
    same(Drawn(), again)


class Slow(Drawn):
    def __getitem__(self, index):
        time.sleep(0.03)
        return super().__getitem__(index)


def build(folder, queue):
    drawn = Slow()
    same(Drawn(), Cached(drawn, folder))
    queue.put(drawn.reads[0])


def processes(target, *arguments, count):
    context = multiprocessing.get_context("fork")
    started = [context.Process(target=target, args=arguments) for _ in range(count)]
    for process in started:
        process.start()
    return started


def test_several_processes_at_once_decode_it_once(tmp_path):
    queue = multiprocessing.get_context("fork").Queue()
    started = processes(build, tmp_path, queue, count=3)
    reads = sorted(queue.get(timeout=30) for _ in started)
    for process in started:
        process.join()
        assert process.exitcode == 0
    assert reads == [1, 1, 6] and len(folders(tmp_path)) == 1


class Endless(Drawn):
    def __getitem__(self, index):
        if index == 3:
            time.sleep(60)
        return super().__getitem__(index)


def test_a_killed_build_leaves_nothing_half(tmp_path):
    (process,) = processes(Cached, Endless(), tmp_path, count=1)
    until = time.monotonic() + 20
    while not any(tmp_path.glob(".building-*/samples.bin")) and time.monotonic() < until:
        time.sleep(0.01)
    process.kill()
    process.join()
    assert [name[:10] for name in folders(tmp_path)] == [".building-"]

    class Brief(Drawn):
        """The same data set to the cache (its class's name and file do not matter, its samples do)."""

    cached = Cached(Brief(), tmp_path)
    same(Drawn(), cached)
    assert folders(tmp_path) == [cached.folder.name]


def test_without_locks_the_first_result_stays(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(_cache.fcntl, "flock", unsupported)
    first = Cached(Drawn(), tmp_path)
    part = tmp_path / "part"
    part.mkdir()
    monkeypatch.setattr(_cache, "_opened", lambda folder, count: None)
    same(Drawn(), Cached(Drawn(), tmp_path))
    assert folders(tmp_path) == sorted([first.folder.name, "part"])


def test_resident_memory_does_not_grow_with_the_file(tmp_path):
    class Large(Marked):
        def __getitem__(self, index):
            image = np.full((1000, 1000, 3), index, np.uint8)
            return Sample(image, np.zeros((1000, 1000), np.uint8), self.name(index))

    import psutil

    cached = Cached(Large(count=30), tmp_path)  # 120 MB
    cached[0]
    before = psutil.Process().memory_info().rss
    for index in range(30):
        assert cached[index].image[0, 0, 0] == index
    assert psutil.Process().memory_info().rss - before < 40e6
