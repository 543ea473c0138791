"""Several processes train as one does with a batch as large as theirs together."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from test_step import batches
from torch import nn

from small_data import tiny, write_folder
from tarsia import hardware
from tarsia.adaptation.restyle import Restyling
from tarsia.errors import DatasetError, RecipeError, TrainingError
from tarsia.learning.interrupt import Interrupt, Interrupted
from tarsia.learning.loader import Spare, TrainingOrder
from tarsia.learning.meeting import met
from tarsia.learning.processes import Processes, joined
from tarsia.learning.sharing import batches_per_step
from tarsia.learning.state import TrainingState
from tarsia.learning.step import gradients, take
from tarsia.models._blocks import Norm, NormAct, synchronise
from tarsia.recipe import Recipe
from tarsia.recipe_train import TrainRecipe
from tarsia.studies.process import IMPORTED

pytestmark = pytest.mark.processes
STEPS = 50
MOST = 4  # processes
NETWORK = {"name": "unet_original", "channels": [8], "dropout": 0.0}
CASES: dict[str, dict[str, Any]] = {
    "sgd float32, synchronised": {
        "loss": {"cross_entropy": 1, "dice": 0.5, "jaccard": 0.5, "focal": 0.3},
        "class_weights": [0.2, 3.0, 1.0],
        "optimizer": "sgd",
        "learning_rate": 0.003,
        "sync_batch_norm": True,
    },
    "adamw float64, frozen": {"loss": {"cross_entropy": 1, "dice": 0.5}, "optimizer": "adamw", "learning_rate": 1e-3},
}
# Processes, the pictures of each one's batches, and the cases: four a step, of which one has no label.  Accumulated
# batches are not normalised together.
WAYS: dict[str, tuple[int, tuple[int, ...], tuple[str, ...]]] = {
    "1 x 4": (1, (4,), tuple(CASES)),
    "4 x 1": (4, (1,), tuple(CASES)),  # the first of several: each counts its trainings, and two of the four go on
    "2 x 2": (2, (2,), ("sgd float32, synchronised",)),
    "2 x 1, 2 accumulated": (2, (1, 1), ("adamw float64, frozen",)),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """What each of four processes has to tell, of one start of them."""
    folder = tmp_path_factory.mktemp("processes")
    write_folder(folder / "data", train=4, val=1, size=(32, 32))
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    ends = [context.Pipe(duplex=False) for _ in range(MOST)]
    started = [context.Process(target=_play, args=(end[1], rank, store.port, folder)) for rank, end in enumerate(ends)]
    for process, (_, theirs) in zip(started, ends, strict=True):
        process.start()
        theirs.close()
    try:
        yield [ends[0][0].recv() and ends[0][0].recv(), *(ours.recv() for ours, _ in ends[1:])]
    finally:
        for process in started:
            process.kill()
            process.join()


def _play(told: Any, rank: int, port: int, folder: Path) -> None:
    """One process of four, in all that is asked of it."""
    torch.set_num_threads(1)
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    os.environ.update(address | {"TORCHELASTIC_RUN_ID": "played", "RANK": str(rank)})
    found: dict[str, Any] = {}
    try:
        for way, (count, *asked) in WAYS.items():
            _among(found, way, rank, count, lambda processes, asked=asked: _weights(processes, folder, *asked))
        for name, work in (("first", _first), ("hung", _hung), ("lifeless", _lifeless)):
            _among(found, name, rank, 2, lambda processes, work=work: work(processes, folder), timeout=10.0)
    except Exception:
        found["error"] = traceback.format_exc()
        traceback.print_exc()
    told.send(found)
    _among(found, "dead", rank, 2, lambda processes: _dead(processes, folder))
    told.send(found)


def _among(
    found: dict[str, Any], name: str, rank: int, count: int, work: Callable[[Processes], Any], timeout: float = 60.0
) -> None:
    """What `work` finds in this process as one of the first `count`; others have no part in it."""
    if rank < count:
        os.environ["WORLD_SIZE"] = str(count)
        with joined("cpu", timeout) as processes:
            found[name] = work(processes)


def _weights(
    processes: Processes, folder: Path, sizes: tuple[int, ...], cases: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """What a network has learned by the end of each case."""
    return {name: _trained(processes, folder, sizes, CASES[name]) for name in cases}


def _trained(processes: Processes, folder: Path, sizes: tuple[int, ...], case: dict[str, Any]) -> np.ndarray:
    content = tiny(folder / "data", accumulate=len(sizes), epochs=STEPS, schedule="constant", **case)
    recipe = Recipe.model_validate(content | {"model": NETWORK})
    torch.set_default_dtype(torch.float64 if case["optimizer"] == "adamw" else torch.float32)
    state = TrainingState.open(recipe, folder, "cpu", Restyling, processes=processes)
    state.model.train()
    if not recipe.train.sync_batch_norm:
        for part in state.model.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eval()
    # All see the same pictures, whose labels are of very different number.
    own = batches(sizes * processes.count)[processes.rank :: processes.count]
    start = _flat(state.model)
    for _ in range(STEPS):
        gradients(state, own)
        take(state)
    assert np.abs(_flat(state.model) - start).max() > 1e-2
    return _flat(state.model)


def _flat(model: nn.Module) -> np.ndarray:
    return torch.cat([one.detach().flatten() for one in model.parameters()]).numpy()


def _first(processes: Processes, folder: Path) -> list[Any]:
    """What all get of what the first does alone: though it takes longer than they would wait for one that is dead."""
    found: list[Any] = [processes.first(lambda: [time.sleep(12), {"rank": processes.rank}][1])]
    for error in (DatasetError("no such picture"), Interrupted(15), KeyError("unforeseen")):
        try:
            processes.first(lambda error=error: _raise(error))
        except Exception as raised:
            found.append(f"{type(raised).__name__}: {raised}")
    return found


def _raise(error: Exception) -> None:
    raise error


def _hung(processes: Processes, folder: Path) -> str:
    """Rank 1 does not come to a sum."""
    return _missed(processes, folder / "hung", 1, lambda: processes.sum(torch.ones(1)))


def _lifeless(processes: Processes, folder: Path) -> str:
    """Rank 0 does not come to what it should do first."""
    return _missed(processes, folder / "lifeless", 0, lambda: processes.first(lambda: None))


def _missed(processes: Processes, told: Path, who: int, work: Callable[[], Any]) -> str:
    if processes.rank == who:
        while not told.exists():
            time.sleep(0.1)
        return ""
    try:
        with processes.explained("runs/x"):
            work()
    except TrainingError as error:
        return str(error)
    finally:
        told.touch()
    return "no error"


def _dead(processes: Processes, folder: Path) -> str:
    """Rank 1 is killed."""
    if processes.rank:
        os.kill(os.getpid(), signal.SIGKILL)
    return _missed(processes, folder / "dead", 1, lambda: processes.sum(torch.ones(1)))


def test_weights_are_those_of_one_process_with_the_larger_batch(told: list[dict[str, Any]]) -> None:
    assert not "".join(one.get("error", "") for one in told)
    for case in CASES:
        whole = told[0]["1 x 4"][case]
        for way, count in ((way, count) for way, (count, _, cases) in WAYS.items() if case in cases):
            for rank in range(count):
                assert np.abs(told[rank][way][case] - whole).max() < 1e-5, (case, way, rank)
                assert np.array_equal(told[rank][way][case], told[0][way][case]), "all processes have the same weights"


def test_all_get_what_the_first_does_and_raise_what_it_raises(told: list[dict[str, Any]]) -> None:
    first, other = told[0]["first"], told[1]["first"]
    assert first[0] == other[0] == {"rank": 0}
    assert first[1:] == ["DatasetError: no such picture", "Interrupted: SIGTERM", "KeyError: 'unforeseen'"]
    assert other[1:] == [
        "TrainingError: rank 1: ended with rank 0, which says: no such picture",
        "Interrupted: SIGTERM",
        "TrainingError: rank 1: ended with rank 0, which says: KeyError",
    ]


def test_who_hangs_or_dies_is_named(told: list[dict[str, Any]]) -> None:
    for name, waiting, missed in (("hung", 0, 1), ("lifeless", 1, 0), ("dead", 0, 1)):
        assert told[waiting][name].startswith(f"rank {missed} (process "), told[waiting][name]
        assert name == "dead" or " 10 s (train.timeout_seconds)" in told[waiting][name]
    assert "go on from the last resume point with: tarsia train --resume runs/x" in told[0]["hung"]


def test_who_does_not_come_is_named() -> None:
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    store.set("tarsia/meeting/here/2", "a word of a process that is dead")
    with pytest.raises(TrainingError, match=r"^of the 3 processes of this training rank 1 and rank 2 did not come"):
        met(store, 0, 3, 0.05)
    with pytest.raises(TrainingError, match=r"^rank 1: of the 3 processes of this training rank 0 did not come"):
        met(store, 1, 3, 0.05)


def test_batches_are_dealt_and_none_is_lost_or_learned_twice() -> None:
    for processes, per_step, steps in ((2, 2, None), (3, 3, None), (2, 4, 5), (4, 4, None)):
        whole = list(TrainingOrder(9, 2, 1, 2, steps_per_epoch=steps, per_step=per_step))
        assert whole == list(TrainingOrder(9, 2, 1, 2, steps_per_epoch=steps))
        dealt_out = []
        for rank in range(processes):
            order = TrainingOrder(9, 2, 1, 2, False, steps, per_step=per_step, processes=processes, rank=rank)
            dealt_out.append(list(order))
            assert len(order) == len(dealt_out[-1])
            resumed = TrainingOrder(9, 2, 1, 2, False, steps, 1, per_step, per_step, processes, rank)
            assert list(resumed) == dealt_out[-1][-len(resumed) :]
        turns = [batch for turn in zip(*dealt_out, strict=True) for batch in turn]
        assert [batch for batch in turns if not isinstance(batch[0], Spare)] == whole


def test_what_slurm_sends_stops_a_training() -> None:
    with Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGUSR1)
        with pytest.raises(Interrupted) as stop:
            interrupt.check()
    assert stop.value.exit_code == 138


def test_processes_on_the_same_cores_share_them() -> None:
    cores = hardware.cores()
    with hardware.shared(2):
        assert hardware.cores() == max(1, cores // 2)
    assert hardware.cores() == cores


def test_what_cannot_be_synchronised_is_refused() -> None:
    synchronise(model := nn.Sequential(Norm(2), NormAct(2)), Processes())
    assert all(part.across is not None for part in model)
    for model, why in (
        (nn.Sequential(nn.BatchNorm2d(2)), "of another kind"),
        (nn.Conv2d(1, 1, 1), "has no batch norm"),
    ):
        with pytest.raises(RecipeError, match=f"train.sync_batch_norm: the network .*{why}"):
            synchronise(model, Processes())


def test_a_step_stays_as_large_or_is_refused() -> None:
    def batches_of(accumulate: int, began: int | None, count: int) -> int:
        return batches_per_step(TrainRecipe(accumulate=accumulate, processes=began), count)

    assert batches_of(1, None, 4) == 4 and batches_of(3, None, 1) == 3
    assert batches_of(1, 4, 2) == 4 and batches_of(2, 3, 6) == 6 and batches_of(3, 1, 3) == 3
    with pytest.raises(RecipeError, match="make 4 batches a step, which 3 processes cannot share"):
        batches_of(2, 2, 3)
