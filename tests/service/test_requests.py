"""What is refused before anything is decoded, in this process and over real connections."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from starlette.requests import Request

from counting import calls
from small_service import Program, encoded, model_file, pixels, program
from tarsia.errors import ImageError, TooLargeError
from tarsia.service import problems, requests
from tarsia.service.limits import Limits
from tarsia.service.problems import Problem
from tarsia.service.requests import Body, ClientLeft, Held, opened

PICTURE = encoded(pixels())
LIMITS = Limits(body_bytes=5000, held_bytes=8000, body_seconds=0.3, body_bytes_per_second=10_000, pixels=1000)
END = b"--b--\r\n"


def part(name: str, content: bytes, extra: str = "") -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode() + content + b"\r\n"


def form(body: bytes, boundary: str = "b", limits: Limits = LIMITS) -> Any:
    return opened(body, f"multipart/form-data; boundary={boundary}", limits)


# ---- forms


def test_a_form_is_its_picture_and_fields() -> None:
    sent = part("image", PICTURE, '; filename="a \\"b\\".png"') + part("format", b"json") + part("model", b"x") + END
    for body in (sent, b"a preamble\r\n" + sent + b"an epilogue", sent.replace(b"--b\r\n", b"--b \t\r\n")):
        found = form(body)
        assert found.picture == PICTURE and found.size == (24, 32) and found.fields == {"format": "json", "model": "x"}
    assert form(sent, '"b"').picture == PICTURE


def test_a_picture_may_hold_anything_but_the_boundary() -> None:
    """Line breaks, dashes and the boundary's beginning are a picture's own affair."""
    tricky = encoded(pixels()) + b"\r\n--\r\n--a\r\n--B--\r\n\r\n--"
    assert form(part("image", tricky) + END).picture == tricky


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "does not end"),
        (END, 400, "does not end"),
        (b"--b\r\n" + END, 400, "no sound headers"),
        (part("image", PICTURE), 400, "cut off"),
        (part("image", PICTURE)[:-9], 400, "cut off"),
        (part("format", b"png") + END, 422, "no part named `image`"),
        (part("image", b"") + END, 422, "the body is empty"),
        (part("image", b"no picture") + END, 0, "a text file, not a picture"),
        (part("imagee", PICTURE) + END, 400, "did you mean image"),
        (part("image", PICTURE) * 2 + END, 400, "comes twice"),
        (part("image", PICTURE) + part("model", b"x" * 300) + END, 400, "longer than 256"),
        (b"--b\r\nContent-Type: image/png\r\n\r\n" + PICTURE + b"\r\n" + END, 400, "has no name"),
        (b"--b\r\nX: " + b"x" * 4100 + b"\r\n\r\n" + PICTURE + b"\r\n" + END, 400, "no sound headers"),
        (b"".join(part(f"p{number}", b"x") for number in range(1000)) + END, 400, "more than the 8 parts"),
        (b"\r\n--b" * 1000, 400, "more than the 8 parts"),
    ],
)
def test_a_bad_form_is_refused(body: bytes, status: int, said: str) -> None:
    with pytest.raises(Problem if status else ImageError, match=said) as refused:
        form(body)
    assert not isinstance(refused.value, Problem) or refused.value.status == status


@pytest.mark.parametrize("boundary", ["", "x" * 71, "\N{SNOWMAN}"])
def test_a_bad_boundary_is_refused(boundary: str) -> None:
    with pytest.raises(Problem, match="boundary"):
        form(part("image", PICTURE) + END, boundary)


def test_a_form_that_looks_like_boundaries_all_over_is_little_work() -> None:
    def refused() -> None:
        with pytest.raises(Problem):
            form(b"\r\n--" * 4_000_000, "-" * 60 + "x", Limits())

    assert calls(refused) < 10_000


def test_pixels_are_counted_by_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", never)
    for limit, fits in ((24 * 32, True), (24 * 32 - 1, False)):
        if fits:
            assert opened(PICTURE, "image/png", Limits(pixels=limit)).size == (24, 32)
            continue
        with pytest.raises(TooLargeError, match="more than the 767 allowed") as refused:
            opened(PICTURE, "image/png", Limits(pixels=limit))
        assert problems.of(refused.value).status == 413
    for content in (b"", b"text", PICTURE[:10], b"<svg></svg>"):
        with pytest.raises((Problem, ImageError)):
            opened(content, "image/png", Limits())


# ---- bodies


def read(messages: list[Any], headers: dict[str, str] | None = None, limits: Limits = LIMITS) -> tuple[bytes, Held]:
    """The body that `messages` are: bytes, seconds to wait, or None for a client that leaves."""
    held = Held(limits.held_bytes)

    async def receive() -> dict[str, Any]:
        while isinstance(messages[0], float):
            await asyncio.sleep(messages.pop(0))
        body = messages.pop(0)
        if body is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": bool(messages)}

    async def run() -> bytes:
        given = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        with Body(Request({"type": "http", "headers": given}, receive), limits, held) as body:
            return await body.read()

    return asyncio.run(run()), held


def test_a_body_is_read_and_no_longer_counted_afterwards() -> None:
    body, held = read([b"abc", b"", b"def"])
    assert body == b"abcdef" and held.now == 0
    assert read([b"x" * 5000], {"content-length": "5000"})[0] == b"x" * 5000
    assert read([b"x" * 2000, 0.4, b"y"])[0][-1:] == b"y"  # 0.3 seconds, and 0.2 more for what has come


@pytest.mark.parametrize(
    ("messages", "headers", "status"),
    [
        ([b"x"], {"content-length": "5001"}, 413),
        ([b"x"], {"content-length": "-1"}, 413),
        ([b"x" * 3000, b"x" * 2001], {}, 413),
        ([b"x"] * 5 + [0.5, b"x"], {}, 408),
        ([0.06, b"x"] * 8, {}, 408),
        ([b"x"], {"content-encoding": "gzip"}, 415),
    ],
)
def test_a_body_over_the_limits_is_refused(messages: list[Any], headers: dict[str, str], status: int) -> None:
    with pytest.raises(Problem) as refused:
        read(messages, headers)
    assert refused.value.status == status


def test_a_client_that_leaves_is_noticed() -> None:
    with pytest.raises(ClientLeft):
        read([b"x", None])


def test_all_bodies_together_have_a_limit() -> None:
    with pytest.raises(Problem, match="too many uploads") as refused:
        read([b"x" * 4000, b"x" * 4000, b"x"], limits=Limits(body_bytes=10_000, held_bytes=8000))
    assert refused.value.status == 503 and refused.value.headers["Retry-After"]


def test_what_holds_no_picture_is_refused_by_its_type() -> None:
    for kind in ("image/jpeg", "IMAGE/PNG; x=y", "application/octet-stream", "multipart/form-data; boundary=b"):
        requests.check_type(kind)
    for kind in ("", "text/plain", "application/json", "application/x-www-form-urlencoded", "multipart/mixed"):
        with pytest.raises(Problem, match="Content-Type: image/jpeg") as refused:
            requests.check_type(kind)
        assert refused.value.status == 415


# ---- real connections


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    code = model_file(tmp_path_factory.mktemp("requests"))
    with program(code, "--max-mebibytes", 1) as running:
        yield running


HEAD = "POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


def refusal(served: Program, sent: bytes) -> tuple[int, str]:
    with served.connect(sent) as made:
        made.settimeout(20)
        got = b""
        while b"\r\n\r\n" not in got or not got.endswith(b"}"):
            more = made.recv(65536)
            if not more:
                break
            got += more
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head and b"x-request-id" in head.lower()
    return int(head.split()[1]), json.loads(body)["type"].removeprefix("urn:tarsia:")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (f"{HEAD}Content-Length: 99999999999\r\n\r\nx".encode(), (413, "body-too-large")),
        (f"{HEAD}Content-Length: 1048577\r\n\r\n".encode(), (413, "body-too-large")),
        (f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode() + b"10000\r\n" + b"x" * 65536, None),
        (f"{HEAD}Content-Length: 1\r\nContent-Length: 2\r\n\r\nx".encode(), (400, "http")),
        (f"{HEAD}Content-Length: x\r\n\r\nx".encode(), (400, "http")),
        (f"{HEAD}Content-Length: 5\r\n\r\nhello".encode(), (422, "unreadable-picture")),
        (b"\x16\x03\x01\x02\x00\x01\x00", (400, "http")),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n", (400, "http")),
        (b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n", (404, "not-found")),
        (b"PATCH /v1/segment HTTP/1.1\r\nHost: localhost\r\n\r\n", (405, "method")),
    ],
)
def test_a_connection_is_refused_with_a_problem(served: Program, sent: bytes, expected: tuple[int, str] | None) -> None:
    if expected is None:  # chunks without an end: refused when they are too many
        sent += b"".join(b"\r\n10000\r\n" + b"x" * 65536 for _ in range(16))
        expected = (413, "body-too-large")
    assert refusal(served, sent) == expected


def test_hostile_clients_do_not_keep_others_from_their_answers(served: Program) -> None:
    """A byte a second, half-open, too short a body, gone before the answer: health stays quick, pictures are done."""
    length = f"Content-Length: {len(PICTURE)}\r\n\r\n"
    slow = [served.connect((HEAD + length).encode()) for _ in range(20)]
    half_open = [served.connect(HEAD.encode()[:40]) for _ in range(20)]
    silent = [served.connect() for _ in range(20)]
    stopped = threading.Event()

    def drip() -> None:
        while not stopped.wait(0.2):
            for made in slow:
                made.send(PICTURE[:1])

    dripping = threading.Thread(target=drip, daemon=True)
    dripping.start()
    for _ in range(20):
        served.connect((HEAD + length).encode() + PICTURE).close()
    for _ in range(30):  # how soon: benchmarks/serve.py
        assert served.ask("/healthz")[0] == 200
    assert served.ask("/v1/segment", PICTURE)[0] == 200
    stopped.set()
    dripping.join()
    for made in [*slow, *half_open, *silent]:
        made.close()
    assert "Traceback" not in served.log, served.log[served.log.index("Traceback") - 400 :][:3000]
