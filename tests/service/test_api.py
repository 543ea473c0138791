"""The addresses: what they take, what they answer, and how they say no."""

from __future__ import annotations

import json
import sys
import time
import zlib
from typing import Any

import pytest
from fastapi.testclient import TestClient

from small_onnx import CLASSES
from small_service import Gated, client, decoded, encoded, engine, pixels, segment, until
from tarsia.card import Input
from tarsia.prediction.predictor import Predictor
from tarsia.service.limits import Limits
from tarsia.serving import create_app

PICTURE = encoded(pixels())


@pytest.fixture(scope="module")
def app() -> TestClient:
    return client()


@pytest.mark.parametrize(
    ("format", "media_type"),
    [
        ("png", "image/png"),
        ("overlay", "image/jpeg"),
        ("json", "application/json"),
        ("geojson", "application/geo+json"),
    ],
)
def test_every_format_by_address_and_by_form(app: TestClient, format: str, media_type: str) -> None:
    raw = segment(app, PICTURE, f"?format={format}", "application/octet-stream")
    form = app.post("/v1/segment", files={"image": ("a.png", PICTURE, "image/png")}, data={"format": format})
    assert raw.status_code == form.status_code == 200
    assert raw.headers["content-type"] == form.headers["content-type"] == media_type
    if format != "json":
        assert raw.content == form.content
        return
    first, second = raw.json(), form.json()
    assert first.pop("request_id") == raw.headers["x-request-id"] != second.pop("request_id")
    assert first.pop("seconds").keys() == second.pop("seconds").keys()
    assert first == second


def test_the_form_goes_before_the_address(app: TestClient) -> None:
    form = {"files": {"image": ("a.png", PICTURE)}, "data": {"format": "geojson"}}
    assert app.post("/v1/segment?format=png&min_confidence=1", **form).json()["type"] == "FeatureCollection"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "PPM"])
def test_every_kind_of_picture(app: TestClient, kind: str) -> None:
    answer = segment(app, encoded(pixels(), kind), kind=f"image/{kind.lower()}")
    assert answer.status_code == 200 and decoded(answer.content).shape == (24, 32)


def test_a_picture_that_nothing_here_reads_is_said_to_its_sender(
    app: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    answer = segment(app, b"\0\0\0\x14ftypheic\0\0\0\0mif1" + bytes(64), kind="image/heic")
    assert answer.status_code == 422 and "the extra `heic`" in answer.json()["detail"]


@pytest.mark.parametrize(("height", "width"), [(1, 126), (126, 1), (33, 65)])
def test_the_limit_is_on_what_the_network_sees(height: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of N pixels is 32 rows to a network of stride 32; refused before anything is decoded."""
    limited = TestClient(create_app(Predictor(engine(input=Input(stride=32))), Limits(pixels=32 * 128 - 1)))
    assert segment(limited, encoded(pixels(max(1, height - 32), max(1, width - 32)))).status_code == 200
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("decoded"))
    for kind in ("PNG", "GIF", "TIFF", "JPEG", "BMP", "PPM", "WEBP", "AVIF"):
        body = encoded(pixels(height, width), kind)
        for answer in (
            segment(limited, body, kind="application/octet-stream"),
            limited.post("/v1/segment", files={"image": ("a", body, "image/png")}, data={"format": "json"}),
        ):
            assert answer.status_code == 413 and answer.json()["type"] == "urn:tarsia:too-many-pixels", answer.text
            assert "sides padded to multiples of 32" in answer.json()["detail"]


def test_a_short_side_counts_as_it_is_brought_to() -> None:
    limited = TestClient(create_app(Predictor(engine(input=Input(short_side=64, stride=8))), Limits(pixels=64 * 128)))
    assert segment(limited, encoded(pixels(2, 4))).status_code == 200
    for size, status, said in (((2, 5), 413, "short side brought to 64"), ((1, 65), 422, "too narrow")):
        answer = segment(limited, encoded(pixels(*size)))
        assert answer.status_code == status and said in answer.json()["detail"], answer.text


@pytest.mark.parametrize("sides", [(15_000, 12_000), (2**31 - 1, 2**31 - 1), (2_000_000, 1), (30_000, 30_000)])
def test_too_many_pixels_are_413_however_many(app: TestClient, sides: tuple[int, int]) -> None:
    """Beyond 178,956,970 Pillow refuses by itself."""
    png = bytearray(PICTURE)
    png[16:24] = sides[1].to_bytes(4, "big") + sides[0].to_bytes(4, "big")
    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4, "big")
    bmp = bytearray(encoded(pixels(), "BMP"))
    bmp[18:26] = sides[1].to_bytes(4, "little") + sides[0].to_bytes(4, "little")
    if sides == (2_000_000, 1):  # 16 million pixels to a network of stride 8
        app = client(Limits(pixels=15_999_999))
    for body in (png, bmp):
        answer = segment(app, bytes(body), kind="application/octet-stream")
        assert answer.status_code == 413 and answer.json()["type"] == "urn:tarsia:too-many-pixels", answer.text


def test_a_remark_on_the_picture_is_told(app: TestClient) -> None:
    from PIL import Image

    frames = [Image.fromarray(pixels(seed=seed)) for seed in range(2)]
    several = encoded(pixels(), "GIF", save_all=True, append_images=frames)
    (remark,) = segment(app, several, "?format=json").json()["remarks"]
    assert "only the first is used" in remark


@pytest.mark.parametrize(
    ("query", "form", "status", "said"),
    [
        ("?format=bmp", {}, 422, "format: Input should be 'png'"),
        ("", {"format": "bmp"}, 422, "format is not one of png, overlay"),
        ("?min_confidence=1.1", {}, 422, "min_confidence: "),
        ("?min_confidence=nan", {}, 422, "min_confidence: "),
        ("", {"min_confidence": "nan"}, 422, "min_confidence is not a number"),
        ("", {"min_confidence": "x"}, 422, "min_confidence is not a number"),
        ("?model=modle", {}, 404, "did you mean model?"),
        ("", {"model": "../../etc/passwd"}, 404, "no model"),
        ("?model=" + "x" * 65, {}, 422, "model: "),
    ],
)
def test_a_wrong_wish_is_a_problem(app: TestClient, query: str, form: dict[str, str], status: int, said: str) -> None:
    answer = app.post(f"/v1/segment{query}", files={"image": ("a.png", PICTURE)}, data=form)
    problem = answer.json()
    assert answer.status_code == problem["status"] == status and said in problem["detail"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["request_id"] == answer.headers["x-request-id"]


def test_a_failure_tells_its_sender_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    app = client()

    def fails(*_: object) -> None:
        raise KeyError("a secret path")

    monkeypatch.setattr(app.app.state.service, "upload", fails)  # type: ignore[attr-defined]
    answer = segment(app, PICTURE)
    assert answer.status_code == 500 and "secret" not in answer.text
    assert "a secret path" in caplog.text and answer.json()["request_id"] == answer.headers["x-request-id"]


def test_a_request_id_of_the_client_is_kept_where_it_is_a_plain_word(app: TestClient) -> None:
    for given, kept in (("abc-123_X.9", True), ("short", False), ("x" * 65, False), ("a b c d e f", False)):
        found = app.get("/healthz", headers={"X-Request-Id": given}).headers["x-request-id"]
        assert (found == given) == kept and len(found) <= 64


def test_keys() -> None:
    key = "0123456789abcdef"
    app = client(keys=[key, "another-key-of-someone"])
    opened = ("/", "/healthz", "/readyz", "/openapi.json", "/v1/examples", "/v1/examples/street.jpg", "/assets/app.js")
    for path in opened:
        assert app.get(path).status_code == 200, path
    for path in ("/v1/models", "/metrics"):
        assert app.get(path).status_code == 401
        assert app.get(path, headers={"X-API-Key": key}).status_code == 200
    for headers, status in (
        ({}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": f"Basic {key}"}, 401),
        ({"Authorization": f"Bearer {key[:-1]}"}, 401),
        ({"Authorization": f"Bearer {key}x"}, 401),
        ({"X-API-Key": "\N{LATIN SMALL LETTER E WITH ACUTE}"}, 401),
        ({"X-API-Key": key}, 200),
        ({"Authorization": f"Bearer {key}"}, 200),
        ({"authorization": "bearer another-key-of-someone"}, 200),
    ):
        answer = app.post(
            "/v1/segment",
            content=PICTURE,
            headers={"Content-Type": "image/png"} | {name: value.encode("latin-1") for name, value in headers.items()},
        )
        assert answer.status_code == status, headers
    refused = segment(app, PICTURE)
    assert refused.headers["www-authenticate"] == "Bearer" and refused.json()["type"] == "urn:tarsia:key"


def test_a_full_queue_and_a_timeout_are_problems() -> None:
    gated = Gated()
    app = TestClient(create_app(Predictor(gated), Limits(request_seconds=0.3, queue=1, batch=1)))
    gated.shut()
    began = time.monotonic()
    late = segment(app, PICTURE)
    assert late.status_code == 504 and late.json()["type"] == "urn:tarsia:timeout"
    assert time.monotonic() - began >= 0.3
    statuses: list[int] = []
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda number: segment(app, encoded(pixels(8, 8 * number))), range(1, 6)))
    statuses = sorted(one.status_code for one in answers)
    assert statuses[0] == 503 and statuses[-1] == 504
    assert all(int(one.headers["retry-after"]) >= 1 for one in answers if one.status_code == 503)
    gated.gate.set()
    assert segment(app, PICTURE).status_code == 200, "what was given up is out of the queue"


def test_bodies_count_until_their_answers_are_there() -> None:
    from threading import Thread

    gated = Gated()
    limits = Limits(held_bytes=3 * len(PICTURE), queue=9, batch=1)
    app = TestClient(create_app(Predictor(gated), limits))
    gated.shut()
    waiting = [Thread(target=segment, args=(app, PICTURE)) for _ in range(3)]
    for one in waiting:
        one.start()
    held = app.app.state.service._held  # type: ignore[attr-defined]
    until(lambda: held.now == held.most)  # a body sent before that might take the last one's place
    assert segment(app, b"x").status_code == 503
    gated.gate.set()
    for one in waiting:
        one.join(20)
    assert segment(app, PICTURE).status_code == 200


def test_health_may_be_asked_for_its_head_alone(app: TestClient) -> None:
    """Status and headers as GET has them, and no body, ready and stopping; another method is told of both."""
    stopping = client()
    stopping.app.state.service.stopping = True  # type: ignore[attr-defined]
    for to in (app, stopping):
        for path in ("/healthz", "/readyz"):
            got, head = (to.request(method, path, headers={"X-Request-Id": "the same"}) for method in ("GET", "HEAD"))
            assert head.status_code == got.status_code and head.content == b"" != got.content
            for answer in (got, head):
                assert len(answer.headers.pop("x-request-id")) == 32
            assert head.headers == got.headers and int(head.headers["content-length"]) == len(got.content)
    assert set(app.delete("/healthz").headers["allow"].split(", ")) == {"GET", "HEAD"}
    told = app.get("/openapi.json").json()["paths"]["/readyz"]
    assert set(told) == {"get", "head"} and told["get"]["operationId"] != told["head"]["operationId"]
    assert {"200", "503"} <= told["head"]["responses"].keys()


def test_health_and_readiness(app: TestClient) -> None:
    assert app.get("/healthz").json() == {"status": "ok"} and app.get("/readyz").json() == {"status": "ready"}
    stopping = client()
    stopping.app.state.service.stopping = True  # type: ignore[attr-defined]
    assert stopping.get("/healthz").status_code == 200
    answer = stopping.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "stopping")
    assert answer.headers["connection"] == "close" and answer.headers["retry-after"]


def figures(app: TestClient) -> dict[str, float]:
    lines = [line for line in app.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_metrics_count_what_happened() -> None:
    app = client()
    segment(app, PICTURE)
    segment(app, b"no picture")
    segment(app, PICTURE, "?format=x")
    app.get("/" + "x" * 50)
    app.request("BREW", "/healthz")
    found = figures(app)
    assert found['tarsia_requests_total{method="POST",route="/v1/segment",status="200"}'] == 1
    assert found['tarsia_requests_total{method="POST",route="/v1/segment",status="422"}'] == 2
    assert found['tarsia_requests_total{method="GET",route="other",status="404"}'] == 1
    assert found['tarsia_refused_total{reason="unreadable-picture"}'] == 1
    assert found['tarsia_pictures_total{model="model"}'] == found['tarsia_batch_size_count{model="model"}'] == 1
    for stage in ("decode", "queue", "network", "encode"):
        assert found[f'tarsia_stage_seconds_count{{model="model",stage="{stage}"}}'] == 1
    assert found['tarsia_request_seconds_count{route="/v1/segment"}'] == 3
    assert found["process_resident_memory_bytes"] > 1e7 and found['tarsia_queue_length{model="model"}'] == 0
    assert not [name for name in found if "xxxx" in name or "BREW" in name], "a client must not make new series"


def test_the_page_comes_under_a_strict_policy(app: TestClient) -> None:
    page = app.get("/")
    assert page.headers["content-type"].startswith("text/html") and "<title>" in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    import re

    assets = re.findall(r'(?:src|href)="(assets/[^"]+)"', page.text)
    assert assets
    for path in assets:
        asset = app.get("/" + path)
        assert asset.status_code == 200 and asset.headers["content-security-policy"] == policy
    for path in ("/assets/index.html", "/assets/..%2F..%2Fserving.py", "/assets/", "/assets/x.js"):
        assert app.get(path).status_code == 404
    assert app.head("/").status_code == 200 and not app.head("/").content


def test_safe_headers_on_every_answer(app: TestClient) -> None:
    for path in ("/", "/healthz", "/nowhere", "/v1/models", "/v1/examples/street.jpg"):
        headers = app.get(path).headers
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert len(headers["x-request-id"]) == 32 and "server" not in headers


def test_names_that_are_html_stay_text() -> None:
    name = "<script>alert(1)</script>"
    from small_service import engine

    classes = {"names": [name, *CLASSES.names[1:]], "colors": CLASSES.colors}
    app = TestClient(create_app(Predictor(engine(classes=classes))))
    for answer in (app.get("/v1/models"), segment(app, PICTURE, "?format=json")):
        assert name in answer.text and answer.headers["content-type"] == "application/json"
    assert name not in app.get("/").text
    missing = segment(app, PICTURE, "?model=%3Cscript%3E")
    assert missing.headers["content-type"] == "application/problem+json"


def test_the_openapi_has_examples_and_every_answer(app: TestClient) -> None:
    said: Any = app.get("/openapi.json").json()
    answers = said["paths"]["/v1/segment"]["post"]["responses"]
    assert {"200", "400", "401", "404", "408", "413", "415", "422", "500", "503", "504"} <= answers.keys()
    assert set(answers["200"]["content"]) == {"image/png", "image/jpeg", "application/json", "application/geo+json"}
    example = answers["200"]["content"]["application/json"]["example"]
    assert example.keys() == segment(app, PICTURE, "?format=json").json().keys()
    problem = answers["503"]["content"]["application/problem+json"]["schema"]
    assert problem["properties"].keys() == app.get("/nowhere").json().keys()
    assert "HTTPValidationError" not in json.dumps(said), "FastAPI's own form of errors is not what comes"
