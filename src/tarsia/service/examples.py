"""Pictures to try: street scenes that Tarsia draws itself, when first asked for."""

from __future__ import annotations

import io
import threading
from typing import Any

from fastapi import FastAPI, Response
from PIL import Image

from tarsia import data
from tarsia.service import contract
from tarsia.service.problems import Problem
from tarsia.service.service import Service

_SIZE = (360, 480)  # height, width
_SCENES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "street": ("A street on a clear day", 3, {}),
    "town": ("A town's centre", 3, {"city": "town"}),
    "highway": ("A highway", 3, {"city": "highway"}),
    "night": ("A street at night", 3, {"condition": "night"}),
    "winter": ("A street in winter", 3, {"condition": "winter"}),
    "fog": ("A street in fog", 3, {"condition": "fog"}),
}


def add_to(app: FastAPI, service: Service) -> None:
    """The list of scenes, and each as a JPEG; open to all, so that the page can show them without a key."""
    drawn: dict[str, bytes] = {}
    drawing = threading.Lock()

    def picture(name: str) -> bytes:
        with drawing:
            if name not in drawn:
                drawn[name] = _draw(name)
            return drawn[name]

    @app.get("/v1/examples", summary="Pictures to try", responses=contract.refusals(405))
    async def examples() -> contract.Examples:
        listed = [
            contract.Example(name=name, title=title, url=f"v1/examples/{name}.jpg")
            for name, (title, _, _) in _SCENES.items()
        ]
        return contract.Examples(examples=listed)

    jpeg: contract.Answers = {200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}}

    @app.get(
        "/v1/examples/{name}.jpg",
        summary="One of them",
        response_class=Response,
        responses=jpeg | contract.refusals(404, 405, 422),
    )
    async def example(name: str) -> Response:
        if name not in _SCENES:
            raise Problem(404, "not-found", f"no such example; there are {', '.join(_SCENES)}")
        content = drawn.get(name) or await service.off_loop(picture, name)
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": "public, max-age=86400"})


def _draw(name: str) -> bytes:
    _, index, options = _SCENES[name]
    scene = data.open("streets", split="test", size=_SIZE, **options)[index]
    file = io.BytesIO()
    Image.fromarray(scene.image).save(file, "JPEG", quality=92)
    return file.getvalue()
