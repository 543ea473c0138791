"""Model files that change while they are served: the new one takes over between two batches, and no request is lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tarsia.engines.model_file import find_model_file
from tarsia.errors import TarsiaError
from tarsia.prediction.predictor import Predictor
from tarsia.service import logs
from tarsia.service.service import Service, warm


class Watch:
    """Looks at each file every `seconds`; one that changed and then stayed as it is for as long is loaded.

    A file that cannot be loaded is a line in the log, and the model that was there goes on.
    """

    def __init__(
        self,
        service: Service,
        paths: Mapping[str, Path],
        load: Callable[[Path], Predictor],
        seconds: float = 1.0,
    ) -> None:
        self._service, self._paths, self._load, self._seconds = service, paths, load, seconds
        self._stopped = threading.Event()
        self._loaded = {name: _state(path) for name, path in paths.items()}
        self._seen = dict(self._loaded)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watched by a thread until the block ends."""
        thread = threading.Thread(target=self._watch, name="tarsia-reload", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()

    def look(self) -> None:
        """Load what has changed before the look before this one, and not since."""
        for name, path in self._paths.items():
            before, now = self._seen[name], _state(path)
            self._seen[name] = now
            if now is not None and now == before and now != self._loaded[name]:
                self._loaded[name] = now
                self._swap(name, path)

    def _watch(self) -> None:
        while not self._stopped.wait(self._seconds):
            self.look()

    def _swap(self, name: str, path: Path) -> None:
        try:
            predictor = self._load(path)
            warm(name, predictor)
        except Exception as error:
            expected = isinstance(error, TarsiaError)
            facts = {"model": name, "reason": str(error)}
            logs.say("reload-failed", logging.ERROR, None if expected else error, **facts)
            self._service.metrics.reloads.labels(name, "failed").inc()
            return
        self._service.models[name].predictor = predictor
        logs.say("reloaded", model=name)
        self._service.metrics.reloads.labels(name, "loaded").inc()


def _state(path: Path) -> tuple[int, int, int] | None:
    """What tells a file from the one that was there before; None where there is none just now."""
    try:
        found = find_model_file(path).stat()
    except (OSError, TarsiaError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
