"""The command `serve`: models behind an address; pictures in, masks out, and a page for people.

`create_app` is the same as an application of its own, to be mounted in another one.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI

from tarsia import console
from tarsia import examples as kept
from tarsia.errors import RecipeError
from tarsia.inference import DEFAULT, Inference, load
from tarsia.prediction.predictor import Predictor
from tarsia.service import api, logs, openapi, pages, problems, server
from tarsia.service import examples as pictures
from tarsia.service.hosts import Hosts
from tarsia.service.keys import Keys
from tarsia.service.limits import Limits
from tarsia.service.middleware import Envelope
from tarsia.service.naming import named
from tarsia.service.reload import Watch
from tarsia.service.service import Service


def serve(
    paths: Sequence[str | Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits | None = None,
    keys: Iterable[str] = (),
    allowed_hosts: Iterable[str] = (),
    inference: Inference = DEFAULT,
    reload_on_change: bool = False,
    grace_seconds: float = 30.0,
    drain_seconds: float = 2.0,
    started: Callable[[str, Sequence[str]], object] | None = None,
) -> None:
    """Serve models until SIGTERM or SIGINT, as `tarsia.serve` says; `started` is told the address and the names.

    Where only this machine reaches it and no key is asked for, or some `allowed_hosts` are given, it answers to these
    names and localhost alone.
    """
    if not 0 <= drain_seconds < grace_seconds:
        raise RecipeError(f"grace is {grace_seconds:g} seconds, of which {drain_seconds:g} still accept: expected less")
    models = named(paths)
    logs.configure(quiet=console.err.quiet)
    opened = functools.partial(load, inference=inference)
    keys, allowed_hosts = list(keys), list(allowed_hosts)
    own = _own_examples(models, bool(keys) or server.is_loopback(host), host)
    # With a key a stranger's page gets nowhere; of an address beyond this machine nobody knows the names.
    hosts = Hosts(allowed_hosts, bool(allowed_hosts) or (server.is_loopback(host) and not keys))
    predictors = {name: opened(path) for name, path in models.items()}
    app = create_app(predictors, limits, keys=keys, examples=own, hosts=hosts)
    watch = Watch(app.state.service, models, opened)
    socket = server.listening(host, port)
    for name, batcher in app.state.service.models.items():
        console.note(f"{name}: {batcher.predictor.engine.describe()}")
    where = server.address(socket)

    def told() -> None:
        console.note(f"{', '.join(models)}: {where}")
        if started:
            started(where, list(models))

    with watch.running() if reload_on_change else contextlib.nullcontext():
        running = server.Server(app, grace_seconds, drain_seconds, started=told)
        running.run(sockets=[socket])
    if running.interrupted:
        raise KeyboardInterrupt


def create_app(
    predictors: Predictor | Mapping[str, Predictor],
    limits: Limits | None = None,
    *,
    keys: Iterable[str] = (),
    examples: Mapping[str, Sequence[Path]] | None = None,
    hosts: Hosts | None = None,
) -> FastAPI:
    """A predictor, or several by name, as a FastAPI application, as `tarsia.create_app` says."""
    by_name = {"model": predictors} if isinstance(predictors, Predictor) else dict(predictors)
    service = Service(by_name, limits or Limits(), Keys(keys), hosts or Hosts())

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with service.running():
            yield

    app = FastAPI(
        title="Tarsia",
        summary="Semantic segmentation of pictures",
        version=version("tarsia"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=openapi.refusals(421),
    )
    app.state.service = service
    app.add_middleware(Envelope, service=service)
    problems.handle_in(app)
    api.add_to(app, service)
    pictures.add_to(app, service, examples or {})
    pages.add_to(app)
    return app


def _own_examples(models: Mapping[str, Path], guarded: bool, host: str) -> dict[str, list[Path]]:
    """The pictures beside each model's file; none where strangers would see them, and that is said."""
    found = {name: beside for name, path in models.items() if (beside := kept.beside(path))}
    if found and not guarded:
        console.note(f"{host} without a key is open to all: {', '.join(found)} shows no examples of its own pictures")
        return {}
    for name, all_of_it in found.items():
        if len(all_of_it) > kept.MOST:
            console.note(f"{name}: the first {kept.MOST} of {len(all_of_it)} examples are shown")
    return found
