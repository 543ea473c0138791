"""Connections: their deadlines, and how many may be open; the real server in this process."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from small_service import Gated, answer, encoded, engine, pixels, until
from tarsia.errors import RecipeError
from tarsia.prediction.predictor import Predictor
from tarsia.service import connections, server
from tarsia.service.limits import Limits
from tarsia.serving import create_app

PICTURE = encoded(pixels())
HEAD = "POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


class Connect(NamedTuple):
    """Opens a connection to `running`, and sends."""

    running: server.Server
    address: tuple[str, int]

    def __call__(self, send: bytes, receive_bytes: int | None = None) -> socket.socket:
        made = socket.socket()
        made.settimeout(20)
        if receive_bytes:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        made.connect(self.address)
        made.sendall(send)
        return made


@contextlib.contextmanager
def in_a_thread(predictor: Predictor, limits: Limits) -> Iterator[Connect]:
    """The real server in this process, where its deadlines and its model can be got at; connects, and sends."""
    app = create_app(predictor, limits)
    running, listener = server.Server(app, 5, 0), server.listening("127.0.0.1", 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)  # of its connections too: an answer does not fit
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    until(lambda: running.started)

    yield Connect(running, listener.getsockname())
    running.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


def test_a_slow_body_and_a_half_open_connection_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_BEGUN_SECONDS", 0.4)
    with in_a_thread(Predictor(engine()), Limits(body_seconds=0.4)) as connect:
        with connect(f"{HEAD}Content-Length: 100\r\n\r\nx".encode()) as slow:
            assert answer(slow)[0] == 408
        for begun in (b"", b"GET / HT", HEAD.encode()):
            with connect(begun) as half_open:
                assert half_open.recv(100) == b""
        with connect(f"{HEAD}Content-Length: 99999999\r\n\r\n".encode()) as refused:
            assert answer(refused)[0] == 413  # the connection ends although the rest of the body never comes


def test_who_does_not_read_the_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_UNREAD_SECONDS", 0.4)
    noise = encoded(pixels(600, 600), "BMP")
    with in_a_thread(Predictor(engine()), Limits()) as connect:
        head = HEAD.replace("/v1/segment", "/v1/segment?format=json") + f"Content-Length: {len(noise)}\r\n\r\n"
        made = connect(head.encode() + noise, 4096)
        begun = made.recv(2000)
        length = int(begun.lower().partition(b"content-length: ")[2].split()[0])
        time.sleep(1.5)
        got = len(begun)
        with contextlib.suppress(ConnectionResetError), made:
            while more := made.recv(1 << 16):
                got += len(more)
        assert got < length, "it was left before all was read"


def test_a_picture_whose_client_left_is_not_run() -> None:
    gated = Gated()
    with in_a_thread(Predictor(gated), Limits(batch=1)) as connect:
        gated.shut()
        length = f"Content-Length: {len(PICTURE)}\r\n\r\n"
        kept = [connect((HEAD + length).encode() + PICTURE) for _ in range(2)]
        gated.began.acquire()
        other = encoded(pixels(40, 40))
        left = connect(f"{HEAD}Content-Length: {len(other)}\r\n\r\n".encode() + other)
        ask = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        until(lambda: b'tarsia_queue_length{model="model"} 1.0' in answer(connect(ask))[1])
        left.close()
        until(lambda: b"tarsia_left_total 1.0" in answer(connect(ask))[1])
        gated.gate.set()
        for made in kept:
            assert made.recv(12) == b"HTTP/1.1 200"
            made.close()
        with connect((HEAD + length).encode() + PICTURE) as after:
            assert after.recv(12) == b"HTTP/1.1 200"
    assert [shape for shape in gated.batches if shape[1:3] == (40, 40)] == []


def test_an_answer_that_is_never_read_to_its_end_holds_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small enough for the server's own buffer, where uvicorn would wait for its reader for ever."""
    monkeypatch.setattr(connections, "_BEGUN_SECONDS", 0.2)
    monkeypatch.setattr(connections, "_UNREAD_SECONDS", 0.4)
    with in_a_thread(Predictor(engine()), Limits()) as connect:
        made = connect(b"", 4096)
        made.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        length = int(made.recv(2000).lower().partition(b"content-length: ")[2].split()[0])
        assert 20_000 < length < 65_536 + 8192, "what this test is for"
        until(lambda: not connect.running.server_state.connections)
        got = 2000
        with contextlib.suppress(ConnectionResetError), made:
            while more := made.recv(1 << 16):
                got += len(more)
        assert got < length


# ---- how many


def ask(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def test_beside_the_places_there_is_health_and_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_CROWDED_SECONDS", 60)
    monkeypatch.setattr(connections, "_BEGUN_SECONDS", 60)
    with in_a_thread(Predictor(engine()), Limits(connections=3)) as connect:
        kept = [connect(ask("/healthz")) for _ in range(3)]
        for one in kept:
            assert one.recv(12) == b"HTTP/1.1 200"
        for method, path in (("GET", "/healthz"), ("HEAD", "/readyz"), ("GET", "/metrics")):
            with connect(ask(path, method)) as beside:
                assert answer(beside)[0] == 200, "answered, and closed although nobody asked for that"
        small, large = (f"{HEAD}Content-Length: {n}\r\n\r\n".encode() + b"x" * n for n in (1000, 5_000_000))
        for sent in (ask("/v1/models"), ask("/"), small, large):  # the large one comes while it is being refused
            with connect(sent) as refused:
                got = b"".join(iter(lambda: refused.recv(65536), b""))
            head, _, body = got.lower().partition(b"\r\n\r\n")
            assert head.startswith(b"http/1.1 503") and b"retry-after: 2" in head and b"problem+json" in head
            assert json.loads(body)["type"] == "urn:tarsia:connections" and b"connection: close" in head
        monkeypatch.setattr(connections, "_CROWDED_SECONDS", 0.3)
        with connect(ask("/healthz")[:20]) as silent:
            assert silent.recv(100) == b"", "long before its 60 seconds, which `recv` would not wait for"
        monkeypatch.setattr(connections, "_CROWDED_SECONDS", 60)
        with connect(ask("/metrics")) as beside:
            assert b'tarsia_refused_total{reason="connections"} 4.0' in answer(beside)[1]

        kept.pop().close()
        until(lambda: len(connect.running.server_state.connections) == 2)
        with connect(ask("/v1/models")) as again:
            assert again.recv(12) == b"HTTP/1.1 200"
            again.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                while again.recv(65536):
                    pass
            again.settimeout(20)
            again.sendall(ask("/v1/models"))
            assert again.recv(12) == b"HTTP/1.1 200", "a place is kept between requests"
        for one in kept:
            one.close()


def test_health_answers_in_a_flood_and_the_places_come_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Hundreds that say nothing: never more are open than there are places, and the oldest beside them make room.

    No deadline is short while one is asked, so that the machine may be as busy as it likes.
    """
    monkeypatch.setattr(connections, "_BEGUN_SECONDS", 60)
    monkeypatch.setattr(connections, "_CROWDED_SECONDS", 60)
    monkeypatch.setattr(connections, "_BESIDE", 8)
    with in_a_thread(Predictor(engine()), Limits(connections=20)) as connect:
        open_now = connect.running.server_state.connections

        def staying() -> int:
            """Those that are not about to go: many that come at once are made room for before any of them has gone."""
            return sum(one.transport is None or not one.transport.is_closing() for one in tuple(open_now))

        most, flood = 0, []
        for number in range(300):
            flood.append(connect(b"" if number % 2 else b"GET /v1/mo"))
            most = max(most, staying())
            if number % 50 == 49:
                with connect(ask("/readyz")) as beside:
                    assert answer(beside)[0] == 200
        assert 20 < most <= 29, "one may be about to make room"
        with flood[101] as made_room:
            assert answer(made_room)[0] == 503
        until(lambda: len(open_now) <= 28)

        # Those that are just closing make room all the same.
        for one in flood[-8:]:
            one.close()
        until(lambda: len(open_now) == 20)
        monkeypatch.setattr(connections, "_CROWDED_SECONDS", 0.2)
        closing = [connect(b"") for _ in range(8)]
        until(lambda: staying() == 20)
        monkeypatch.setattr(connections, "_CROWDED_SECONDS", 60)
        flood += closing + [connect(b"") for _ in range(20)]
        with connect(ask("/readyz")) as beside:
            assert answer(beside)[0] == 200

        for one in flood:
            one.close()
        until(lambda: not open_now)
        assert not connect.running.config.http_protocol_class.args[0].beside
        with connect(ask("/v1/models")) as after:
            assert after.recv(12) == b"HTTP/1.1 200"
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_places_come_back_when_nobody_closes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_BEGUN_SECONDS", 0.3)
    monkeypatch.setattr(connections, "_CROWDED_SECONDS", 0.1)
    with in_a_thread(Predictor(engine()), Limits(connections=4)) as connect:
        silent = [connect(b"") for _ in range(10)]
        until(lambda: not connect.running.server_state.connections)  # every deadline over
        assert not connect.running.config.http_protocol_class.args[0].beside
        for one in silent:
            one.close()


def test_the_places_are_as_many_as_the_process_may_have_files(monkeypatch: pytest.MonkeyPatch) -> None:
    others = connections._BESIDE + connections.BACKLOG + connections._OTHER_FILES
    for soft, hard, wanted, places, raised in (
        (20_000, 20_000, 1000, 1000, None),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 1000, 1000, None),
        (1024, 4096, 1000, 1000, 1000 + others),
        (256, resource.RLIM_INFINITY, 1000, 1000, 1000 + others),
        (512, 1024, 1000, 1024 - others, 1024),
        (1024, 1024, 1000, 1024 - others, 1024),
        (100, others, 1000, 0, others),
    ):
        asked: list[int] = []
        monkeypatch.setattr(resource, "getrlimit", lambda _, two=(soft, hard): two)
        monkeypatch.setattr(resource, "setrlimit", lambda _, two, asked=asked: asked.append(two[0]))
        if places:
            assert connections.most_places(wanted) == places
        else:
            with pytest.raises(RecipeError, match="ulimit -n"):
                connections.most_places(wanted)
        assert asked == ([] if raised is None else [raised])
