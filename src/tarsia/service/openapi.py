"""What the OpenAPI says: the answers' forms, and examples of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, Field

from tarsia.service.problems import MEDIA_TYPE
from tarsia.service.requests import PICTURE
from tarsia.service.responses import FORMATS

Answers = dict[int | str, dict[str, Any]]  # FastAPI's `responses`
ModelName = Annotated[str | None, Query(description="one of /v1/models; the first one by default", max_length=64)]
_Color = tuple[int, int, int]


class ClassFacts(BaseModel):
    """A class of a model."""

    index: int
    name: str
    color: _Color


class ClassSeen(ClassFacts):
    """A class in a picture: its pixels, their share of it (0 .. 1), and their mean confidence."""

    share: float
    pixels: int
    mean_confidence: float | None


class Seconds(BaseModel):
    """How long each stage took."""

    decode: float
    queue: float
    network: float
    encode: float


class Segmented(BaseModel):
    """What a model saw in a picture.

    `label`: base64 of an 8-bit PNG of class indices, 255 where below `min_confidence`.  `confidence`: base64 of an
    8-bit grey PNG, 255 = 1.  `remarks`: what is to be known of the picture, as that only the first of several was used.
    """

    model: str
    width: int
    height: int
    classes: list[ClassSeen]
    label: str
    confidence: str
    remarks: list[str]
    seconds: Seconds
    request_id: str


class ModelFacts(BaseModel):
    """A model that is served; `card`: what its file says of itself, without where and on what it was made.

    `problem`: what is wrong where a model cannot say all of this; what it cannot say is empty then.
    """

    name: str
    default: bool
    classes: list[ClassFacts]
    input: dict[str, Any]
    stride: int
    architecture: str
    engine: str
    precision: str
    card: dict[str, Any]
    problem: str | None = None


class Models(BaseModel):
    """The models, the default one first."""

    models: list[ModelFacts]


class Example(BaseModel):
    """A picture; `url` is relative to the service's root."""

    name: str
    title: str
    url: str


class Examples(BaseModel):
    """Pictures to try a model with; none where there are none that suit it."""

    examples: list[Example]


class Health(BaseModel):
    """ok, ready or stopping."""

    status: Literal["ok", "ready", "stopping"]


class ProblemAnswer(BaseModel):
    """An answer that says no (RFC 9457)."""

    type: str = Field(examples=["urn:tarsia:queue"])
    title: str = Field(examples=["Service Unavailable"])
    status: int = Field(examples=[503])
    detail: str = Field(examples=["too many pictures wait for this model: try again"])
    request_id: str = Field(examples=["4f0c6f0f8d5b4a6f9a5b9d4b2c9e1a77"])


_BINARY = {"schema": {"type": "string", "format": "binary"}}
_REFUSALS = {
    400: "not a sound multipart body, or too many parts",
    401: "no API key, or an unknown one",
    404: "no such model",
    405: "another method",
    408: "the body came too slowly",
    413: "body, pixels or outlines over the limits",
    415: "neither a picture nor multipart",
    421: "called by a name that it does not answer to",
    422: "not a readable picture, or a parameter out of range",
    499: "the client left",
    500: "the service failed, or what the model says of the picture is no number",
    503: "the queue is full, too many connections are open, or the service is stopping; see Retry-After",
    504: "not done in time",
}
PICTURE_TYPES = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")


def refusals(*statuses: int) -> Answers:
    """FastAPI's `responses` for these problems."""
    schema = {"schema": ProblemAnswer.model_json_schema()}
    return {status: {"description": _REFUSALS[status], "content": {MEDIA_TYPE: schema}} for status in statuses}


STOPPING: Answers = {503: {"model": Health, "description": "stopping: send nothing more"}}
SEGMENT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The picture itself, or a form with a part `image`; its fields go before the address's.",
        "content": dict.fromkeys(PICTURE_TYPES, _BINARY)
        | {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [PICTURE],
                    "additionalProperties": False,
                    "properties": {
                        PICTURE: _BINARY["schema"],
                        "model": {"type": "string", "maxLength": 64},
                        "format": {"type": "string", "enum": list(FORMATS)},
                        "min_confidence": {"type": "number", "minimum": 0, "maximum": 1},
                    },
                },
                "encoding": {PICTURE: {"contentType": "image/png"}},
            }
        },
    }
}

_SEEN = {
    "model": "demo",
    "width": 480,
    "height": 360,
    "classes": [
        {
            "index": 3,
            "name": "road",
            "color": [128, 64, 128],
            "share": 0.31,
            "pixels": 53568,
            "mean_confidence": 0.97,
        }
    ],
    "label": "iVBORw0KGgo...",
    "confidence": "iVBORw0KGgo...",
    "remarks": [],
    "seconds": {"decode": 0.002, "queue": 0.003, "network": 0.041, "encode": 0.006},
    "request_id": "4f0c6f0f8d5b4a6f9a5b9d4b2c9e1a77",
}
_RING = [[0, 0], [0, 40], [120, 40], [120, 0], [0, 0]]
_REGION = {
    "type": "Feature",
    "properties": {"class": "sky", "index": 0, "color": "#808080", "pixels": 4800},
    "geometry": {"type": "Polygon", "coordinates": [_RING]},
}
SEGMENT_ANSWERS: Answers = {
    200: {
        "model": Segmented,
        "description": "png: class indices with a palette; overlay: the picture in the classes' colours; json; geojson",
        "content": {
            "image/png": _BINARY,
            "image/jpeg": _BINARY,
            "application/json": {"example": _SEEN},
            "application/geo+json": {
                "schema": {"type": "object"},
                "example": {"type": "FeatureCollection", "features": [_REGION]},
            },
        },
    },
    **refusals(400, 401, 404, 405, 408, 413, 415, 422, 500, 503, 504),
}
