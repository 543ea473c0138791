"""The addresses of the service: pictures in, answers out; models, health and figures."""

from __future__ import annotations

import json
import logging
import math
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request, Response

from tarsia.card import Card
from tarsia.prediction.predictor import Predictor
from tarsia.service import logs, metrics, openapi
from tarsia.service.problems import Problem
from tarsia.service.requests import ClientLeft
from tarsia.service.responses import FORMATS, Ask, Format
from tarsia.service.service import Service

_LEFT = 499  # as nginx has it: nobody reads this answer, but the log does
_Format = Annotated[Format | None, Query(description="png by default")]
_Confidence = Annotated[float | None, Query(ge=0, le=1, description="pixels below it become 255, ignored")]


def add_to(app: FastAPI, service: Service) -> None:
    """Every address but those of the page."""
    router = APIRouter()
    _add_segment(router, service)
    _add_models(router, service)
    _add_health(router, service)
    app.include_router(router)


def _add_segment(router: APIRouter, service: Service) -> None:
    @router.post(
        "/v1/segment",
        summary="Segment a picture",
        response_class=Response,
        responses=openapi.SEGMENT_ANSWERS,
        openapi_extra=openapi.SEGMENT_BODY,
        dependencies=service.keys.guard(),
    )
    async def segment(
        request: Request,
        model: openapi.ModelName = None,
        format: _Format = None,
        min_confidence: _Confidence = None,
    ) -> Response:
        service.model(model).check_room()  # before the body is read
        try:
            with service.body(request) as body:
                upload = await service.upload(request, body)
                wanted = _checked({"model": model, "format": format, "min_confidence": min_confidence} | upload.fields)
                chosen = service.model(wanted["model"])
                ask = Ask(wanted["format"] or "png", wanted["min_confidence"], request.state.request_id)
                answer = await service.answer(request, chosen, upload, ask)
        except ClientLeft:
            service.metrics.left.inc()
            return Response(status_code=_LEFT)
        request.state.facts = {"model": chosen.name, "format": ask.format, "seconds": answer.seconds}
        timing = ", ".join(f"{stage};dur={seconds * 1000:.1f}" for stage, seconds in answer.seconds.items())
        return Response(answer.content, media_type=answer.media_type, headers={"Server-Timing": timing})


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    """What the address and then the form ask for; Problem 422 where that is out of range."""
    if given["format"] not in (None, *FORMATS):
        raise Problem(422, "invalid-parameter", f"format is not one of {', '.join(FORMATS)}")
    if isinstance(given["min_confidence"], str):
        try:
            least = float(given["min_confidence"])
        except ValueError:
            least = math.nan
        if not 0 <= least <= 1:
            raise Problem(422, "invalid-parameter", "min_confidence is not a number from 0 to 1")
        given["min_confidence"] = least
    return given


def _add_models(router: APIRouter, service: Service) -> None:
    guard = service.keys.guard()

    @router.get("/v1/models", summary="The models", responses=openapi.refusals(401, 405, 503), dependencies=guard)
    async def models() -> openapi.Models:
        found = [_facts(name, one.predictor) for name, one in service.models.items()]
        return openapi.Models(models=[one.model_copy(update={"default": not n}) for n, one in enumerate(found)])


def _facts(name: str, predictor: Predictor) -> openapi.ModelFacts:
    """What there is to say of a model; one that cannot say it is listed with what is wrong, beside the others."""
    card = predictor.card
    listed = zip(card.classes.names, card.classes.colors, strict=True)
    classes = [openapi.ClassFacts(index=k, name=name, color=color) for k, (name, color) in enumerate(listed)]
    engine = precision = ""
    told: dict[str, Any] = {}
    problem = None
    try:
        engine, precision, *_ = predictor.engine.describe()
        told = _told(card)
    except Exception as error:
        # The error's own words may name files of this machine, which is nothing to strangers.
        problem = f"it cannot describe itself ({type(error).__name__}): the service's log says more"
        logs.say("model-untold", logging.ERROR, error, model=name)
    return openapi.ModelFacts(
        name=name,
        default=False,
        classes=classes,
        input=card.input.model_dump(mode="json"),
        stride=card.input.stride,
        architecture=card.architecture,
        engine=engine,
        precision=precision,
        card=told,
        problem=problem,
    )


def _told(card: Card) -> dict[str, Any]:
    """The card without what tells of the machine that trained it; ValueError for numbers that JSON does not have."""
    # Recipe, environment and export tell of folders and commands.
    told = {key: value for key, value in card.provenance.items() if isinstance(value, str | int | float)}
    found = card.model_dump(mode="json", exclude={"provenance"}) | {"provenance": told}
    json.dumps(found, allow_nan=False)
    return found


def _add_health(router: APIRouter, service: Service) -> None:
    async def healthz() -> openapi.Health:
        return openapi.Health(status="ok")

    async def readyz(response: Response) -> openapi.Health:
        if service.stopping:
            response.status_code = 503
            response.headers["Retry-After"] = "5"
        return openapi.Health(status="stopping" if service.stopping else "ready")

    for path, answer, summary, told in (
        ("/healthz", healthz, "Alive", {}),
        ("/readyz", readyz, "Ready for pictures", openapi.STOPPING),
    ):
        # One route answers, so that a 405 names both methods; in the OpenAPI each has an operation of its own.
        router.add_api_route(path, answer, methods=["GET", "HEAD"], include_in_schema=False)
        for method in ("GET", "HEAD"):
            responses = openapi.refusals(405) | told
            router.add_api_route(path, answer, methods=[method], summary=summary, responses=responses)

    text: openapi.Answers = {
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus' text format"}
    }

    @router.get(
        "/metrics",
        summary="Figures",
        response_class=Response,
        responses=text | openapi.refusals(401, 405),
        dependencies=service.keys.guard(),
    )
    async def figures() -> Response:
        return Response(service.metrics.text(), headers={"Content-Type": metrics.MEDIA_TYPE})
