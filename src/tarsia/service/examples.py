"""Pictures to try: a model's own where there are any, else, for street models, scenes that Tarsia draws itself.

The drawn ones are open to all.  A model's own are pictures of somebody's data set: they, and that there are any, are
told to those alone who may segment.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from PIL import Image

from tarsia import data
from tarsia.card import Card
from tarsia.examples import MOST, TYPES
from tarsia.service import openapi
from tarsia.service.problems import Problem
from tarsia.service.service import Service

_SIZE = (360, 480)  # height, width
_SCENES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "street": ("A street", 3, {}),
    "town": ("A town's centre", 3, {"city": "town"}),
    "highway": ("A highway", 3, {"city": "highway"}),
    "night": ("At night", 3, {"condition": "night"}),
    "winter": ("In winter", 3, {"condition": "winter"}),
    "fog": ("In fog", 3, {"condition": "fog"}),
}
# What CamVid, Cityscapes, SYNTHIA, ADE20K and the drawn streets have in common; aerial pictures have no sky, rooms no
# road.
_OF_STREETS = {"road", "sky", "building", "car"}
_JPEG: openapi.Answers = {200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}}


def knows_streets(card: Card) -> bool:
    """Whether a model has anything to say of a drawn street: colour pictures in, and classes of streets out."""
    return card.bands == 3 and {name.strip().lower() for name in card.classes.names} >= _OF_STREETS


def add_to(app: FastAPI, service: Service, own: Mapping[str, Sequence[Path]]) -> None:
    """The list of what suits a model, and each picture; `own`: files by the names of the models that they are for."""
    pictures = {name: list(paths)[:MOST] for name, paths in own.items()}
    _add_list(app, service, pictures)
    _add_drawn(app, service)
    _add_own(app, service, pictures)


def _add_list(app: FastAPI, service: Service, own: Mapping[str, Sequence[Path]]) -> None:
    @app.get("/v1/examples", summary="Pictures to try a model with", responses=openapi.refusals(404, 405, 422))
    async def examples(request: Request, response: Response, model: openapi.ModelName = None) -> openapi.Examples:
        chosen = service.model(model)
        response.headers["Cache-Control"] = "private, no-cache"  # what is told depends on the key
        mine = own.get(chosen.name, ()) if service.keys.opened_by(request) else ()
        if mine:
            return openapi.Examples(examples=[_told(chosen.name, *one) for one in enumerate(mine, 1)])
        scenes = _SCENES.items() if knows_streets(chosen.predictor.card) else ()
        drawn = [
            openapi.Example(name=name, title=title, url=f"v1/examples/{name}.jpg") for name, (title, _, _) in scenes
        ]
        return openapi.Examples(examples=drawn)


def _told(model: str, number: int, path: Path) -> openapi.Example:
    name = os.fsencode(path.stem).decode(errors="replace")  # a file's name may be no text at all
    words = name.replace("-", " ").replace("_", " ").strip() or name
    url = f"v1/examples/{model}/{number}"  # a name of the service's rules and a number: nothing to escape
    return openapi.Example(name=name, title=words[:1].upper() + words[1:], url=url)


def _add_drawn(app: FastAPI, service: Service) -> None:
    drawn: dict[str, bytes] = {}
    drawing = threading.Lock()

    def picture(name: str) -> bytes:
        with drawing:
            if name not in drawn:
                drawn[name] = _draw(name)
            return drawn[name]

    @app.get(
        "/v1/examples/{name}.jpg",
        summary="A drawn street",
        response_class=Response,
        responses=_JPEG | openapi.refusals(404, 405, 422),
    )
    async def example(name: str) -> Response:
        if name not in _SCENES:
            raise Problem(404, "not-found", f"no such example; there are {', '.join(_SCENES)}")
        content = drawn.get(name) or await service.off_loop(picture, name)
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": "public, max-age=86400"})


def _add_own(app: FastAPI, service: Service, own: Mapping[str, Sequence[Path]]) -> None:
    @app.get(
        "/v1/examples/{model}/{number}",
        summary="A picture of a model's own",
        response_class=Response,
        responses=_JPEG | openapi.refusals(401, 404, 405, 422),
        dependencies=service.keys.guard(),
    )
    async def example(model: str, number: int) -> Response:
        pictures = own.get(model, ())
        try:
            if not 1 <= number <= len(pictures):
                raise FileNotFoundError
            path = pictures[number - 1]
            content = await service.off_loop(path.read_bytes)
        except OSError as error:
            raise Problem(404, "not-found", "no such example") from error
        return Response(content, media_type=TYPES[path.suffix.lower()], headers={"Cache-Control": "private, no-cache"})


def _draw(name: str) -> bytes:
    _, index, options = _SCENES[name]
    scene = data.open("streets", split="test", size=_SIZE, **options)[index]
    file = io.BytesIO()
    Image.fromarray(scene.image).save(file, "JPEG", quality=92)
    return file.getvalue()
