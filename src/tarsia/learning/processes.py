"""The processes of one training: as many as torchrun has started, or one, for which nothing of this does anything.

The first (rank 0) decides, prints and writes; the loop reads alike in all of them.  What all compute together are sums
(torch.distributed, gloo, and nccl for the gradients of GPUs); for what the first does alone the others wait on the
store, the server of keys that torchrun keeps, where waiting has no end but that the first stops showing that it lives.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import os
import platform
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tarsia import console, hardware
from tarsia.engines.torch_engine import pick_device
from tarsia.errors import RecipeError, TarsiaError, TrainingError
from tarsia.learning.interrupt import Interrupted
from tarsia.learning.meeting import met
from tarsia.plain_text import command, first_line, listed

T = TypeVar("T")
_STARTING_SECONDS = 300.0  # at least, for all to be there: they may have much to import from a slow disk
_GRACE_SECONDS = 10.0  # for the others to say that they are there, once something has failed
_SIGNS = ("gloo", "NCCL", "nccl")  # in what torch says where a process is gone, or does not answer


class Processes:
    """A training in one process."""

    rank = 0
    count = 1
    counts = True  # whether the batch in hand is this process's to learn; it may be there for the others' sake
    threads: int | None = None  # of torch in each; None: torch's own number

    def __init__(self, device: str = "cpu") -> None:
        self.device = device

    def sum(self, numbers: Tensor) -> Tensor:
        """The sums over all processes of what each gives here."""
        return numbers

    def agree(self, value: float) -> float:
        """The first's number."""
        return value

    def most(self, value: int) -> int:
        """The largest of all."""
        return value

    def first(self, work: Callable[[], T]) -> T:
        """What `work` returns in the first process, which alone does it; JSON's values.  The others wait.

        What it raises there, Interrupted or another error, all raise.
        """
        return work()

    def gathered(self, numbers: Tensor) -> list[Tensor]:
        """What each process gives, on the CPU, by rank."""
        return [numbers]

    def follow(self, model: nn.Module) -> None:
        """Have all buffers of `model`, as running statistics, as the first has them."""

    def learning(self, module: nn.Module, unused: bool) -> nn.Module:
        """`module`, whose gradients are summed over all processes; `unused`: of some parameters there are none."""
        return module

    def backward(self, loss: Tensor) -> None:
        """Gradients of a share of a step's loss, through a module from `learning`."""
        loss.backward()

    def more_to_come(self, module: nn.Module) -> contextlib.AbstractContextManager[None]:
        """Around all of a batch that is not the step's last here: gradients wait to be summed."""
        return contextlib.nullcontext()

    def note_begun(self, folder: Path) -> None:
        """Tell later starts of these processes by the same launcher that the run in `folder` is theirs."""

    @contextlib.contextmanager
    def explained(self, folder: str) -> Iterator[None]:
        """Raise TrainingError, which names them, where processes are gone or do not answer; `folder`: the run."""
        yield


class Several(Processes):
    """One of several processes."""

    def __init__(self, rank: int, count: int, device: str, timeout: float, launch: dist.Store) -> None:
        super().__init__(device)
        self.rank, self.count, self.timeout, self._launch = rank, count, timeout, launch
        self.store = met(launch, rank, count, max(timeout, _STARTING_SECONDS))
        self._told = itertools.count()
        self._names = self._introduced()

    def connect(self) -> None:
        """Open the connections of the sums; all do so together, once torch.distributed is initialised."""
        group = dist.new_group(backend="gloo", timeout=datetime.timedelta(seconds=self.timeout))
        assert isinstance(group, dist.ProcessGroup)
        self._group = group

    def __deepcopy__(self, _: object) -> Processes:
        return Processes(self.device)  # a copy of a network, as one that tries something out, is by itself

    def sum(self, numbers: Tensor) -> Tensor:
        total = numbers.clone()
        dist.all_reduce(total, group=self._group if total.device.type == "cpu" else None)
        return total

    def agree(self, value: float) -> float:
        return float(self.sum(torch.tensor([0.0 if self.rank else float(value)], dtype=torch.float64)))

    def most(self, value: int) -> int:
        found = torch.tensor([value])
        dist.all_reduce(found, dist.ReduceOp.MAX, group=self._group)
        return int(found)

    def first(self, work: Callable[[], T]) -> T:
        key = f"said/{next(self._told)}"
        if self.rank:
            return self._heard(json.loads(self._waited(key)))
        try:
            with self._alive():
                found = work()
        except BaseException as error:
            stopped = error.number if isinstance(error, Interrupted) else None
            told = first_line(error) if isinstance(error, TarsiaError) else type(error).__name__
            self.store.set(key, json.dumps({"stopped": stopped, "error": told}))
            raise
        self.store.set(key, json.dumps({"found": found}))
        return found

    def gathered(self, numbers: Tensor) -> list[Tensor]:
        own = numbers.cpu()
        found = [torch.empty_like(own) for _ in range(self.count)]
        dist.all_gather(found, own, group=self._group)
        return found

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        for buffer in model.buffers():
            theirs = buffer.detach().to("cpu", copy=True)
            dist.broadcast(theirs, 0, group=self._group)
            buffer.copy_(theirs)

    def learning(self, module: nn.Module, unused: bool) -> nn.Module:
        with warnings.catch_warnings():  # broadcast_buffers has another name in new versions alone
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(
                module, broadcast_buffers=False, gradient_as_bucket_view=True, find_unused_parameters=unused
            )

    def backward(self, loss: Tensor) -> None:
        (loss * self.count).backward()  # DistributedDataParallel takes the mean over the processes

    def more_to_come(self, module: nn.Module) -> contextlib.AbstractContextManager[None]:
        assert isinstance(module, DistributedDataParallel)
        return module.no_sync()

    @contextlib.contextmanager
    def explained(self, folder: str) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            if not isinstance(error, dist.DistError) and not any(sign in str(error) for sign in _SIGNS):
                raise
            going_on = command("train", "--resume", folder)
            raise TrainingError(
                f"{self._absent()} ({first_line(error)}); go on from the last resume point with: {going_on}"
            ) from error

    def note_begun(self, folder: Path) -> None:
        self._launch.set(_begun(folder), "1")

    def _introduced(self) -> list[str]:
        """What each process is called, by rank; and the share of the cores that those on the same ones have."""
        own = {"process": os.getpid(), "host": platform.node(), "cores": hardware.core_numbers()}
        self.store.set(f"who/{self.rank}", json.dumps(own))
        keys = [f"who/{rank}" for rank in range(self.count)]
        self.store.wait(keys, datetime.timedelta(seconds=self.timeout))
        all_of_them = [json.loads(found) for found in self.store.multi_get(keys)]
        here = [one for one in all_of_them if (one["host"], one["cores"]) == (own["host"], own["cores"])]
        self.here = len(here)
        return [f"rank {rank} (process {one['process']} on {one['host']})" for rank, one in enumerate(all_of_them)]

    def _heard(self, told: dict[str, Any]) -> Any:
        """What the first has found; the error that it has met."""
        if "found" in told:
            return told["found"]
        if told["stopped"] is not None:
            raise Interrupted(told["stopped"])
        raise TrainingError(f"rank {self.rank}: ended with rank 0, which says: {told['error']}")

    def _waited(self, key: str) -> bytes:
        """What stands under `key` once the first has written it; TrainingError where the first shows no life."""
        beat, since, pause = b"", time.monotonic(), 0.01
        while not self.store.check([key]):
            time.sleep(pause)
            pause = min(2 * pause, 0.25)
            found = self.store.get("beat") if self.store.check(["beat"]) else b""
            if found != beat:
                beat, since = found, time.monotonic()
            elif time.monotonic() - since > self.timeout:
                raise TrainingError(
                    f"{self._names[0]} has shown no life for {self.timeout:g} s (train.timeout_seconds)"
                )
        return self.store.get(key)

    @contextlib.contextmanager
    def _alive(self) -> Iterator[None]:
        """Within, a thread shows the others that this process lives, however long its work takes."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(self.timeout / 5):
                self.store.set("beat", str(time.monotonic()))

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _absent(self) -> str:
        """Which processes do not say that they are there, of those that have all failed together."""
        with contextlib.suppress(dist.DistError):
            self.store.set(f"here/{self.rank}", "1")
            until = time.monotonic() + min(_GRACE_SECONDS, self.timeout)
            absent = list(range(self.count))
            while absent and time.monotonic() < until:
                absent = [rank for rank in absent if not self.store.check([f"here/{rank}"])]
                time.sleep(0.1)
            if absent:
                who = listed([self._names[rank] for rank in absent])
                return f"{who} ended, or gave no answer within {self.timeout:g} s (train.timeout_seconds)"
        return "the processes of this training have lost each other"


@contextlib.contextmanager
def joined(device: str, timeout: float) -> Iterator[Processes]:
    """This process among those of its training, on its own GPU where `device` is cuda; by itself unless torchrun, or
    another launcher that torch.distributed knows (Ray Train), has started several.

    `timeout`: seconds that one waits for another.  In all but the first nothing but errors is printed within.
    """
    launched = dist.is_available() and (dist.is_torchelastic_launched() or dist.is_initialized())
    limit = datetime.timedelta(seconds=timeout)
    store, rank, count = next(dist.rendezvous("env://")) if launched else (None, 0, 1)
    if count == 1 or store is None:
        yield Processes(pick_device(device))
        return
    device = _own_device(device)
    several = Several(rank, count, device, timeout, store)
    ours = not dist.is_initialized()
    if ours:
        backend = "nccl" if device.startswith("cuda") else "gloo"
        groups = dist.PrefixStore("groups", several.store)
        dist.init_process_group(backend, store=groups, rank=rank, world_size=count, timeout=limit)
    quiet = console.err.quiet
    try:
        several.connect()
        console.quiet(quiet or rank > 0)
        with hardware.shared(several.here):
            several.threads = hardware.cores()
            yield several
    finally:
        console.quiet(quiet)
        if ours:
            dist.destroy_process_group()


def begun_before(folder: Path) -> bool:
    """Whether the run in `folder` is that of an earlier start of these processes by the same launcher."""
    if not (dist.is_available() and dist.is_torchelastic_launched()):
        return False
    store, *_ = next(dist.rendezvous("env://"))
    return bool(store.check([_begun(folder)]))


def _begun(folder: Path) -> str:
    return f"tarsia/begun/{folder.resolve()}"


def _own_device(device: str) -> str:
    """The device of this process: of several on a machine each has a GPU of its own."""
    device = pick_device(device)
    if device != "cuda":
        return device
    own = dist.get_node_local_rank(0)
    if own >= hardware.gpus():
        raise RecipeError(
            f"device={device!r}: process {own + 1} of this machine has no GPU, there are {hardware.gpus()}: "
            "start as many processes as there are GPUs, or choose device='cpu'"
        )
    torch.cuda.set_device(own)
    return f"cuda:{own}"
