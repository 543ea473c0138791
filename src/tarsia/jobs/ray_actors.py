"""Processes that Ray runs, on one machine or on many: each is an actor that does a job's chunks as any other process.

Nothing goes through Ray but numbers of chunks: each of its machines finds pictures, job and model under one name.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tarsia import console, hardware
from tarsia.errors import OutputError, TarsiaError, needs
from tarsia.jobs.sharing import News
from tarsia.jobs.worker import Answers, Opening
from tarsia.plain_text import first_line, number, some

_LEAVE_SECONDS = 20.0  # from being asked to give a chunk back to being killed
_BEGIN_SECONDS = 300.0  # in which one of the processes must have begun
_UNMADE = "error raised in its creation task"  # of an actor, as that Tarsia cannot be imported
_KNOCK_SECONDS = 10.0
_STORE_BYTES = 100 * 2**20  # of the object store of a Ray that is started here, which needs none
# Read by Ray as it is imported: on Linux, too, one that is started for this machine alone speaks through loopback.
_LOOPBACK = ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")


@contextlib.contextmanager
def actors(address: str, opening: Opening, count: int, cores: int) -> Iterator[Actors]:
    """Within, Ray at `address` is connected, and has room for `count` processes of `cores` CPUs each.

    `address`: "auto", "local", HOST:PORT or ray://HOST:PORT.  Raises OutputError where it cannot be reached or has too
    few CPUs (or GPUs, for a `device` of cuda).
    """
    gpus = int(opening.inference.device.startswith("cuda"))
    with _connected(address):
        _check_room(count, {"CPU": cores} | ({"GPU": gpus} if gpus else {}))
        yield Actors(opening.elsewhere(cores), cores, gpus)


@dataclass
class Actors:
    """Processes of a Ray that is connected: a `Crew` (sharing.py)."""

    opening: Opening
    cores: int  # of each
    gpus: int
    _actors: dict[int, Any] = field(default_factory=dict)  # by place
    _asked: dict[Any, int] = field(default_factory=dict)  # places, by what they are about to answer
    _open: set[int] = field(default_factory=set)  # places
    _since: float = field(default_factory=time.monotonic)  # when one was open, or was heard

    def start(self, place: int) -> None:
        import ray

        remote: Any = ray.remote  # whose types know no groups
        actor = remote(concurrency_groups={"aside": 1})(Answers)
        options = {"num_cpus": self.cores, "num_gpus": self.gpus, "max_restarts": 0}
        self._actors[place] = actor.options(**options).remote(self.opening, console.err.quiet)
        self._asked[self._actors[place].open.remote()] = place

    def give(self, place: int, index: int) -> None:
        self._asked[self._actors[place].do.remote(index)] = place

    def news(self, seconds: float) -> list[News]:
        import ray

        if not self._asked:
            time.sleep(seconds)
            return []
        heard, _ = ray.wait(list(self._asked), timeout=seconds)
        if heard or self._open:
            self._since = time.monotonic()
        elif time.monotonic() - self._since > _BEGIN_SECONDS:
            raise TarsiaError(f"Ray has begun no process in {_BEGIN_SECONDS:.0f} s: see what has its CPUs, then go on")
        return [self._answer(one) for one in heard]

    def _answer(self, asked: Any) -> News:
        import ray

        place = self._asked.pop(asked)
        try:
            kind, text = ray.get(asked)
        except ray.exceptions.RayError as error:
            if isinstance(error, ray.exceptions.RayTaskError) or _UNMADE in str(error):  # all else is an answer
                last = str(error).strip().splitlines()[-1]
                raise TarsiaError(f"a process of Ray cannot begin ({last}): is it installed there as here?") from error
            self._open.discard(place)
            ray.kill(self._actors.pop(place))  # it may be no more than out of reach
            return News(place, "died", f"of Ray died ({_reason(error)})")
        self._open.add(place)
        return News(place, kind, text)

    def stop(self) -> None:
        import ray

        busy = [self._actors[place] for place in self._asked.values() if place in self._open]
        given = [actor.give_back.options(concurrency_group="aside").remote() for actor in busy]
        if given:
            ray.wait(given, num_returns=len(given), timeout=_LEAVE_SECONDS)
        for actor in self._actors.values():
            ray.kill(actor)
        self._actors.clear()
        self._asked.clear()


@contextlib.contextmanager
def _connected(address: str) -> Iterator[None]:
    alone = address == "local"
    with needs("`ray`", "scale"), _set(*_LOOPBACK) if alone else contextlib.nullcontext():
        import ray
    if ray.is_initialized():
        if address != "auto":
            is_there = "this program is connected to Ray already"
            raise OutputError(f"`ray` is {address!r}, but {is_there}: say 'auto', or call ray.shutdown() first")
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if alone:
        options |= {"num_cpus": hardware.cores(), "include_dashboard": False, "object_store_memory": _STORE_BYTES}
    with _own_signals():
        try:
            _knock(address)
            ray.init(address, **options)
        except Exception as error:  # of many kinds, and none in common
            what = f"`ray` is {address!r}, where no Ray can be reached ({first_line(error)})"
            raise OutputError(f"{what}: start one with `ray start`, or say 'local' for one of this machine") from error
        try:
            if alone and ray.util.get_node_ip_address() != "127.0.0.1":
                console.note(f"Ray can be reached from outside: it was imported without {'='.join(_LOOPBACK)}")
            yield
        finally:
            ray.shutdown()


def _knock(address: str) -> None:
    """OSError, or ValueError, where nobody listens at HOST:PORT: Ray would try for minutes, then end this process."""
    import ray

    host, port_is_named, port = address.removeprefix("ray://").rpartition(":")
    if address.startswith(("localhost:", "127.0.0.1:", "[::1]:")):
        host = ray.util.get_node_ip_address()  # which Ray takes for it: what others know this machine by
    if port_is_named:
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_SECONDS).close()


def _check_room(count: int, each: dict[str, int]) -> None:
    """OutputError unless Ray's machines have room for `count` processes that need `each` of its resources."""
    import ray

    machines = [one for one in ray.nodes() if one["Alive"]]
    room = sum(min(int(one["Resources"].get(key, 0) // need) for key, need in each.items()) for one in machines)
    if room >= count:
        return
    needed = " and ".join(number(count * need, key) for key, need in each.items())
    of_each = " and ".join(number(need, key) for key, need in each.items())
    has = [" and ".join(number(int(one["Resources"].get(key, 0)), key) for key in each) for one in machines]
    raise OutputError(
        f"`ray`: {number(count, 'process', 'processes')} of {of_each} each need {needed}, and Ray's machines have "
        f"{some(has)}, which is room for {room}: start more machines, or fewer `processes`"
    )


def _reason(error: Exception) -> str:
    """Why a process died, of all that Ray says."""
    because = [line.partition(" because ")[2] for line in str(error).splitlines() if " is dead because " in line]
    return because[0].partition(".")[0] if because else f"{type(error).__name__}: {first_line(error)}"


@contextlib.contextmanager
def _set(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """What Ray does with SIGTERM in this process is undone."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
