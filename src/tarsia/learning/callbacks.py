"""Callbacks: code of the user's own that is told the figures of each epoch, and may end the training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from tarsia import own_parts
from tarsia.errors import TrainingError
from tarsia.learning.processes import Processes
from tarsia.plain_text import first_line
from tarsia.recipe_train import CALLBACK

Callback = Callable[[dict[str, Any], Path], Any]


class Callbacks:
    """What `train.callbacks` names, in its order; the first process alone has them, and calls them."""

    def __init__(self, names: Iterable[str], processes: Processes) -> None:
        self._processes = processes
        self._found: dict[str, Callback] = {}
        processes.first(partial(self._open, names))

    def told(self, row: dict[str, Any], folder: Path) -> str:
        """Call each with an epoch's figures, as metrics.csv names them, and the run folder -> which ends the training.

        "" where none does.  Raises TrainingError, which names it, for one that fails.
        """
        return self._processes.first(partial(self._told, row, folder))

    def _open(self, names: Iterable[str]) -> None:
        for name in names:
            found = own_parts.accept(name, CALLBACK).found
            self._found[name] = _explained(name, found) if isinstance(found, type) else found

    def _told(self, row: dict[str, Any], folder: Path) -> str:
        ending = ""
        for name, callback in self._found.items():
            answer = _explained(name, callback, dict(row), folder)
            if answer is not None and not isinstance(answer, bool):
                raise TrainingError(
                    f"train.callbacks: {name} gave {answer!r:.60}: expected nothing, or True for an end"
                )
            ending = ending or (name if answer else "")
        return ending


def _explained(name: str, call: Callable[..., Any], *given: Any) -> Any:
    try:
        return call(*given)
    except Exception as error:
        raise TrainingError(f"train.callbacks: {name}: {type(error).__name__}: {first_line(error)}") from error
