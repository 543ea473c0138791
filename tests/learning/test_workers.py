"""Workers end with their loader, and what stops one reaches the user as one error that says what to do."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import time
from itertools import islice

import pytest
from test_loader import Pictures, batches

from tarsia.card import Input
from tarsia.errors import DatasetError, MissingExtraError, TrainingError
from tarsia.learning.augment import Augment
from tarsia.learning.loader import TrainingOrder, loader
from tarsia.learning.workers import dead_worker
from tarsia.recipe_augment import AugmentRecipe, CutMix


@pytest.mark.parametrize("workers", [0, 2])
def test_error_of_a_sample_reaches_the_user_as_it_was(workers: int) -> None:
    def broken(index: int) -> None:
        if index == 4:
            raise DatasetError("picture4.png: cut off")

    with pytest.raises(DatasetError) as error:
        batches(Pictures(before=broken), workers)
    assert type(error.value) is DatasetError and str(error.value) == "picture4.png: cut off"

    def absent(index: int) -> None:
        raise MissingExtraError("reading AVIF", "avif")  # its __init__ takes other arguments than its message

    with pytest.raises(MissingExtraError) as missing:
        batches(Pictures(before=absent), workers)
    assert str(missing.value) == str(MissingExtraError("reading AVIF", "avif"))


@pytest.mark.parametrize("workers", [0, 1])
def test_any_other_error_names_the_sample(workers: int) -> None:
    def broken(index: int) -> None:
        if index == 4:
            raise ZeroDivisionError("oh")

    with pytest.raises(TrainingError, match="picture4: ZeroDivisionError: oh") as error:
        batches(Pictures(before=broken), workers)
    assert str(error.value) == "picture4: ZeroDivisionError: oh"
    assert "in broken" in error.value.__notes__[0]  # where it came up, for those who look
    with pytest.raises(TrainingError, match=r"picture\d, or what CutMix pastes into it: ZeroDivisionError: oh"):
        batches(Pictures(before=broken), workers, AugmentRecipe(cutmix=CutMix()))


def test_batches_before_a_broken_sample_still_come() -> None:
    order = TrainingOrder(7, 2, 5, 1)
    bad = list(order)[2][0].sample

    def broken(index: int) -> None:
        if index == bad:
            raise DatasetError("bad")

    stream = loader(Pictures(before=broken), Augment(AugmentRecipe()), Input(stride=8), order, 5, 2)
    assert len(list(islice(stream, 2))) == 2
    with pytest.raises(DatasetError):
        next(stream)


def test_killed_worker_is_a_training_error_with_a_remedy() -> None:
    def killed(index: int) -> None:
        if index == 4:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(TrainingError, match=r"(?s)died.*/dev/shm.*train.workers=0"):
        batches(Pictures(before=killed), 2)


def test_worker_without_shared_memory_is_a_training_error_with_a_remedy() -> None:
    def full(index: int) -> None:  # in the worker alone: no file, shared memory included, may grow beyond 64 bytes
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))

    with pytest.raises(TrainingError, match=r"/dev/shm.*train.workers=0"):
        batches(Pictures(before=full), 1)


def test_only_errors_about_workers_are_explained_as_such() -> None:
    assert dead_worker(RuntimeError("CUDA out of memory")) is None
    assert dead_worker(ValueError("DataLoader worker")) is None
    assert dead_worker(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")) is not None


def test_workers_leave_ctrl_c_and_sigterm_to_the_main_process() -> None:
    parent = os.getpid()

    def signalled(index: int) -> None:
        assert os.getpid() != parent
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)

    assert len(batches(Pictures(before=signalled), 2)) == 4


@pytest.mark.parametrize("how", ["dropped", "terminated"])
def test_workers_end_with_the_loader_or_by_their_parent(how: str) -> None:
    before = set(multiprocessing.active_children())
    order = TrainingOrder(7, 2, 5, 1000)
    stream = loader(Pictures(), Augment(AugmentRecipe()), Input(stride=8), order, 5, 2)
    next(stream)
    workers = set(multiprocessing.active_children()) - before
    assert len(workers) == 2
    if how == "dropped":
        del stream
    else:  # what Python does to workers that are left over as it exits
        for worker in workers:
            worker.terminate()
    for worker in workers:
        worker.join(10)
        assert not worker.is_alive()
