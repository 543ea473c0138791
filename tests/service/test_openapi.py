"""schemathesis on the OpenAPI: whatever is sent, the answer is one that the OpenAPI tells of, and never a 5xx.

TARSIA_EXAMPLES=1000 asks that often of each address, where a few keep the suite fast.
"""

from __future__ import annotations

import os
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from small_service import encoded, engine, pixels
from tarsia.prediction.predictor import Predictor
from tarsia.serving import create_app

EXAMPLES = int(os.environ.get("TARSIA_EXAMPLES", "20"))


def pictures(kind: str) -> Any:
    side = st.integers(1, 20)
    return st.builds(lambda height, width, seed: encoded(pixels(height, width, seed), kind), side, side, side)


for media_type, kind in (("jpeg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")):
    schemathesis.openapi.media_type(f"image/{media_type}", pictures(kind))
schemathesis.openapi.media_type("application/octet-stream", pictures("BMP"))

app = create_app({"first": Predictor(engine()), "second": Predictor(engine())})
schema = schemathesis.openapi.from_asgi("/openapi.json", app)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_the_openapi_tells_of(case: schemathesis.Case) -> None:
    case.call_and_validate()
