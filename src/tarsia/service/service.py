"""What one service is at work with: models, limits, keys, metrics, and whether it is stopping."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from starlette.requests import Request

from tarsia.errors import ModelFileError, RecipeError, ScoresError, nearest
from tarsia.prediction.predictor import Predictor
from tarsia.service import problems
from tarsia.service.batching import Batcher, Job
from tarsia.service.hosts import Hosts
from tarsia.service.keys import Keys
from tarsia.service.limits import Limits
from tarsia.service.metrics import Metrics
from tarsia.service.requests import Body, ClientLeft, Held, Upload, check_type, opened
from tarsia.service.responses import Answer, Ask

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WARM_SIDE = 64


class Service:
    """Models by name, the first one the default.

    Each sees one picture before this returns, so that one that cannot run is an error here and never half a service.
    Raises what `Predictor` raises, RecipeError for no model or a name that an address cannot hold.
    """

    def __init__(self, predictors: Mapping[str, Predictor], limits: Limits, keys: Keys, hosts: Hosts) -> None:
        if not predictors:
            raise RecipeError("no model to serve: name one or more")
        for name in predictors:
            if not _NAME.fullmatch(name):
                raise RecipeError(
                    f"a model named {name!r}: expected 1 to 64 of A-Z a-z 0-9 . _ -: serve it as NAME=FILE"
                )
        self.limits, self.keys, self.hosts, self.metrics = limits, keys, hosts, Metrics()
        self.stopping = False
        self._held = Held(limits.held_bytes)
        self._pool = ThreadPoolExecutor(4, "tarsia-requests")
        for name, predictor in predictors.items():
            warm(name, predictor)
        self.models = {name: Batcher(name, one, limits, self.metrics) for name, one in predictors.items()}

    def model(self, name: str | None) -> Batcher:
        """The model of that name, the first for None; Problem 404 for a name that is not there."""
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            near = nearest(name[:64], self.models)
            raise problems.Problem(404, "unknown-model", f"no model {name[:64]!r}{near}")
        return self.models[name]

    def body(self, request: Request) -> Body:
        """The body of a request, counted among those in memory within its `with` block."""
        return Body(request, self.limits, self._held)

    async def upload(self, request: Request, body: Body) -> Upload:
        """The picture and fields of a request, within all limits."""
        content_type = request.headers.get("content-type", "")
        check_type(content_type)
        return await self.off_loop(opened, await body.read(), content_type, self.limits)

    async def answer(self, request: Request, model: Batcher, upload: Upload, ask: Ask) -> Answer:
        """The picture through the model's queue.

        Problem 503 where that is full, 504 after `request_seconds`; ClientLeft as soon as nobody waits for it.
        """
        future = asyncio.wrap_future(model.submit(Job(upload, ask)))
        gone = asyncio.ensure_future(_gone(request))
        both: set[asyncio.Future[Any]] = {future, gone}
        try:
            done, _ = await asyncio.wait(both, timeout=self.limits.request_seconds, return_when=asyncio.FIRST_COMPLETED)
            if future in done:
                return future.result()
            if gone in done:
                raise ClientLeft
            after = f"not done within {self.limits.request_seconds:g} seconds: try again, or send a smaller picture"
            raise problems.Problem(504, "timeout", after)
        finally:
            future.cancel()  # a job that has not begun is never run then
            gone.cancel()

    async def off_loop(self, work: Any, *arguments: Any) -> Any:
        """`work(*arguments)` in a thread: the event loop stays free to answer others."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Open within, and closed at the end, when what waits in the queues is still done."""
        self.stopping = False
        for model in self.models.values():
            model.open()
        try:
            yield
        finally:
            self.stopping = True
            for model in self.models.values():
                model.close()


def warm(name: str, predictor: Predictor) -> None:
    """One grey picture through the whole path; raises what fails there, ModelFileError where no number comes of it.

    RecipeError for a predictor that was told to cut pictures into tiles.
    """
    predictor.check_whole("serve")
    grey_1HWC = np.full((1, _WARM_SIDE, _WARM_SIDE, predictor.card.bands), 128, predictor.card.input.dtype)
    try:
        predictor.labels_and_confidence(grey_1HWC)
        predictor.scores(grey_1HWC)  # which a network that gives labels itself has beside them
    except ScoresError as error:
        raise ModelFileError(f"the model {name}: {error}") from error


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
