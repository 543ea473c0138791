"""How the processes of a training find each other: under a name that no training before has had on the same store.

The store, torchrun's server of keys, outlives the processes.  Where those are started again it still holds what they
wrote, as the addresses of the dead, and no process can tell by itself which start this is: on several machines the
counts of torchrun differ.  So each says that it is there by a word drawn anew, and the first answers each word with the
training's name, drawn anew too, until all have come in.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

import torch.distributed as dist

from tarsia.errors import TrainingError
from tarsia.plain_text import listed


def met(store: dist.Store, rank: int, count: int, seconds: float) -> dist.Store:
    """The part of `store` that is these `count` processes' own, once all have come.

    Raises TrainingError, which names them by rank, where some have not come after `seconds`.
    """
    store = dist.PrefixStore("tarsia/meeting", store)
    pauses = _until(time.monotonic() + seconds)
    if rank == 0:
        name = secrets.token_hex(8)
        absent = list(range(1, count))
        while absent:
            for one in absent:
                if store.check([f"here/{one}"]):
                    store.set(f"answer/{store.get(f'here/{one}').decode()}", name)
            absent = [one for one in absent if not store.check([f"in/{name}/{one}"])]
            if absent and not next(pauses, False):
                raise TrainingError(_missing(absent, count, seconds))
        return dist.PrefixStore(name, store)
    word = secrets.token_hex(8)
    store.set(f"here/{rank}", word)
    while not store.check([f"answer/{word}"]):
        if not next(pauses, False):
            raise TrainingError(f"rank {rank}: {_missing([0], count, seconds)}")
    name = store.get(f"answer/{word}").decode()
    store.set(f"in/{name}/{rank}", "1")
    return dist.PrefixStore(name, store)


def _until(end: float) -> Iterator[bool]:
    """True after a pause, which grow longer, as long as there is time."""
    pause = 0.005
    while time.monotonic() < end:
        time.sleep(pause)
        pause = min(1.5 * pause, 0.1)
        yield True


def _missing(absent: list[int], count: int, seconds: float) -> str:
    who = listed([f"rank {one}" for one in absent])
    return f"of the {count} processes of this training {who} did not come within {seconds:g} s: see what they printed"
