"""The command `serve`: its answers are the predictor's, and it begins and ends as a service should."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import tarsia
from small_onnx import CLASSES, card
from small_service import Program, client, decoded, encoded, engine, model_file, pixels, program, segment, until
from tarsia.cli.serve import _keys
from tarsia.errors import ModelFileError, RecipeError
from tarsia.inference import load
from tarsia.prediction.predictor import Predictor
from tarsia.serving import create_app

PICTURE = encoded(pixels())


# ---- the application


def test_the_answer_is_the_predictors(tmp_path: Path) -> None:
    predictor, app = load(model_file(tmp_path)), client()
    for height, width in ((24, 32), (33, 45), (1, 1), (7, 200)):
        image_HW3 = pixels(height, width, seed=height)
        answer = segment(app, encoded(image_HW3))
        assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"
        predictor(image_HW3).save(tmp_path / "label.png")
        assert np.array_equal(decoded(answer.content), decoded((tmp_path / "label.png").read_bytes()))
        assert len(answer.headers["x-request-id"]) == 32 and "network;dur=" in answer.headers["server-timing"]


def test_several_models_side_by_side() -> None:
    swapped = card(classes={"names": ["a", "b", "c"], "colors": [[1, 1, 1], [2, 2, 2], [3, 3, 3]]})
    app = TestClient(create_app({"first": Predictor(engine()), "second": Predictor(engine(classes=swapped.classes))}))
    listed = app.get("/v1/models").json()["models"]
    assert [(one["name"], one["default"]) for one in listed] == [("first", True), ("second", False)]
    assert [one["name"] for one in listed[1]["classes"]] == ["a", "b", "c"]
    for query, name in (("", "first"), ("&model=second", "second"), ("&model=first", "first")):
        assert segment(app, PICTURE, f"?format=json{query}").json()["model"] == name
    answer = segment(app, PICTURE, "?model=secnd")
    assert answer.status_code == 404 and "did you mean second?" in answer.json()["detail"]


def test_the_model_card_tells_nothing_of_the_machine_it_was_trained_on() -> None:
    provenance = {"recipe": {"data": {"root": "/secret"}}, "environment": {"command": "/secret"}, "val_miou": 0.7}
    provenance["export"] = {"dataset": "/secret", "precision": "int8"}
    app = TestClient(create_app(Predictor(engine(provenance=provenance))))
    (found,) = app.get("/v1/models").json()["models"]
    assert "secret" not in json.dumps(found) and found["card"]["provenance"] == {"val_miou": 0.7}
    assert "int8" in found["precision"] and found["stride"] == 8 and found["architecture"] == "small"


def test_mounted_in_another_application() -> None:
    other = FastAPI()
    other.mount("/seen", tarsia.create_app(Predictor(engine())))
    app = TestClient(other)
    answer = app.post("/seen/v1/segment", content=PICTURE, headers={"Content-Type": "image/png"})
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"
    assert app.get("/seen/").status_code == app.get("/seen/v1/examples").status_code == 200


def test_a_model_that_cannot_run_is_no_application() -> None:
    class Broken(type(engine())):  # type: ignore[misc]
        def run(self, images_BHW3: np.ndarray) -> np.ndarray:
            raise ModelFileError("small: fails")

    broken = engine()
    broken.__class__ = Broken
    with pytest.raises(ModelFileError):
        create_app(Predictor(broken))
    for names in ({}, {"": Predictor(engine())}, {"a/b": Predictor(engine())}):
        with pytest.raises(RecipeError):
            create_app(names)


# ---- the program


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Program:
    with program(model_file(tmp_path_factory.mktemp("served"))) as running:
        yield running


def test_the_program_answers(served: Program) -> None:
    assert served.ask("/readyz")[0] == 200
    status, body = served.ask("/v1/segment?format=json", PICTURE)
    said = json.loads(body)
    assert status == 200 and (said["width"], said["height"], said["model"]) == (32, 24, "small")
    assert decoded(base64.b64decode(said["label"])).shape == (24, 32)
    assert served.ask("/")[0] == 200


def test_the_log_is_json_and_tells_of_requests(served: Program) -> None:
    served.ask("/v1/segment?format=overlay", PICTURE, head="X-Request-Id: known-to-the-client\r\n")
    line = json.loads(until(lambda: [one for one in served.lines if "known-to-the-client" in one])[0])
    assert line["route"] == "/v1/segment" and line["status"] == 200 and line["format"] == "overlay"
    assert line["seconds"]["network"] > 0
    served.ask("/healthz")
    assert not [one for one in served.lines if "healthz" in one]


def test_a_program_reads_where_it_is_and_nothing_else_is_said(tmp_path: Path) -> None:
    code = "import sys; sys.argv[0] = 'tarsia'; from tarsia.cli import main; main()"
    words = ("serve", str(model_file(tmp_path)), "--port", "0", "--json", "-q")
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code, *words], **pipes) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        with urllib.request.urlopen(f"{told['address']}/readyz", timeout=60) as answer:
            assert answer.status == 200
        request = urllib.request.Request(f"{told['address']}/v1/segment", PICTURE, {"Content-Type": "image/png"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 200 and told["models"] == ["small"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")


def test_no_torch_in_the_program(tmp_path: Path) -> None:
    code = (
        "import sys, tarsia; app = tarsia.create_app(tarsia.load(sys.argv[1])); "
        "print([name for name in ('torch', 'cv2', 'matplotlib', 'onnx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(model_file(tmp_path))], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_sigterm_not_ready_at_once_and_every_accepted_request_answered(tmp_path: Path) -> None:
    # A picture of 4 million pixels keeps this network busy for about a second.
    large = encoded(np.kron(pixels(20, 20), np.ones((100, 100, 1), np.uint8)), compress_level=1)
    answers: list[tuple[int, bytes]] = []
    with program(model_file(tmp_path), "--drain", 3) as running:
        asking = [threading.Thread(target=lambda: answers.append(running.ask("/v1/segment", large))) for _ in range(6)]
        head = "POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        uploading = running.connect(f"{head}Content-Length: {len(PICTURE)}\r\n\r\n".encode())
        for thread in asking:
            thread.start()
        until(lambda: b"tarsia_queue_length" in running.ask("/metrics")[1])
        began = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        _, body = until(lambda: (found := running.ask("/readyz"))[0] == 503 and found)
        assert json.loads(body)["status"] == "stopping"
        assert running.ask("/v1/segment", PICTURE)[0] == 200, "still answered while the load balancer does not know"
        uploading.sendall(PICTURE)
        assert uploading.recv(12) == b"HTTP/1.1 200"
        for thread in asking:
            thread.join(20)
        assert running.process.wait(20) == 0
        assert time.monotonic() - began > 3
    assert [status for status, _ in answers] == [200] * 6
    assert len({body for _, body in answers}) == 1
    assert "Traceback" not in running.log


def test_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    with program(model_file(tmp_path), "--drain", 10, "--grace", 20) as running:
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(5) == 130
        assert "Traceback" not in running.log


def test_what_keeps_it_from_starting_is_one_line(tmp_path: Path, served: Program) -> None:
    file = model_file(tmp_path)
    cut, flipped = tmp_path / "cut.onnx", tmp_path / "flipped.onnx"
    cut.write_bytes(file.read_bytes()[:-40])
    flipped.write_bytes(file.read_bytes().replace(b"weight", b"weihgt", 1))
    keys, none, empty = tmp_path / "keys", tmp_path / "none", tmp_path / "empty"
    empty.mkdir()
    keys.write_text("short\n")
    none.write_text("\n")
    cases = (
        ((), "no model to serve"),
        (("missing.onnx",), "missing.onnx: no such model file"),
        ((empty,), "empty: holds no model: expected model.safetensors"),
        ((cut,), "cut.onnx: "),
        ((flipped,), "sha256 does not match"),
        ((file, file), "both called small"),
        ((file, "--port", served.port), "Address already in use"),
        ((file, "--port", 99999), "expected 0 to 65535"),
        ((file, "--host", "no.such.host.invalid"), "cannot listen on no.such.host.invalid"),
        ((file, "--api-keys", keys), "could be guessed"),
        ((file, "--api-keys", none), "holds no key"),
        ((file, "--api-keys", tmp_path / "away"), "cannot be read"),
        ((file, "--drain", 5, "--grace", 5), "expected less"),
        ((file, "--queue", 0), "1 or more"),
        ((file, "--batch", 0), "1 or more"),
    )
    code = "import sys, tarsia.cli as cli\nfor line in sys.stdin.read().splitlines():\n"
    code += " sys.argv = ['tarsia', 'serve', *line.split('\\t')[1:]]\n"
    code += " try: cli.main()\n except SystemExit as end: print(f'#{end.code}', file=sys.stderr)"
    lines = "\n".join("\t".join(["", *map(str, arguments)]) for arguments, _ in cases)
    done = subprocess.run([sys.executable, "-c", code], input=lines, capture_output=True, text=True, timeout=60)
    said = re.split(r"#2\n", done.stderr)[:-1]
    assert len(said) == len(cases), done.stderr
    for (arguments, wanted), text in zip(cases, said, strict=True):
        assert wanted in text and text.count("\n") == 1 and text.startswith("tarsia: "), (arguments, text)


def test_keys_from_a_file_and_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"
    file.write_text("fedcba9876543210\nsecond-key-of-two\n")
    with program(model_file(tmp_path), "--api-keys", file, TARSIA_API_KEY="0123456789abcdef") as running:
        assert running.ask("/v1/segment", PICTURE)[0] == 401
        assert running.ask("/v1/segment", PICTURE, head="X-API-Key: 0123456789abcdef\r\n")[0] == 401
        assert running.ask("/v1/segment", PICTURE, head="Authorization: Bearer second-key-of-two\r\n")[0] == 200
        assert "second-key" not in running.log
    monkeypatch.setenv("TARSIA_API_KEY", " 0123456789abcdef\n")
    assert _keys(None) == ["0123456789abcdef"]
    monkeypatch.delenv("TARSIA_API_KEY")
    assert _keys(None) == []


def test_a_replaced_model_takes_over_and_no_request_is_lost(tmp_path: Path) -> None:
    path, other = (
        model_file(tmp_path),
        model_file(tmp_path, "new", classes={**CLASSES.model_dump(), "names": ["x", "y", "z"]}),
    )
    names: list[str] = []
    statuses: list[int] = []
    with program(path, "--reload-on-change") as running:

        def ask() -> None:
            while "xyz" not in names[-1:]:
                status, body = running.ask("/v1/segment?format=json", PICTURE)
                statuses.append(status)
                names.append("".join(one["name"] for one in json.loads(body)["classes"]))

        asking = [threading.Thread(target=ask, daemon=True) for _ in range(2)]
        for thread in asking:
            thread.start()
        until(lambda: len(names) > 4)
        os.replace(other, path)
        for thread in asking:
            thread.join(20)
    assert set(statuses) == {200} and set(names) == {"darkredblue", "xyz"}
    assert "Traceback" not in running.log


def test_of_two_replicas_one_stops_and_no_request_is_lost(tmp_path: Path, served: Program) -> None:
    """Behind a load balancer as docs/serving.md has it: /readyz is asked all the time, who says no gets nothing new."""
    statuses: list[int] = []
    done = threading.Event()
    with program(model_file(tmp_path), "--drain", 2) as leaving:
        ready = {leaving, served}

        def ask_who_is_ready() -> None:
            while not done.wait(0.05):
                for one in list(ready):
                    if one.process.poll() is not None or one.ask("/readyz")[0] != 200:
                        ready.discard(one)

        def client(number: int) -> None:
            while not done.wait(0.01):
                number += 1
                with contextlib.suppress(ConnectionRefusedError):  # nothing was sent: the next one is tried
                    statuses.append(sorted(ready, key=id)[number % len(ready)].ask("/v1/segment", PICTURE)[0])

        clients = [threading.Thread(target=client, args=(number,)) for number in range(4)]
        threads = [threading.Thread(target=ask_who_is_ready), *clients]
        for thread in threads:
            thread.start()
        until(lambda: len(statuses) > 20)
        leaving.process.send_signal(signal.SIGTERM)
        assert leaving.process.wait(30) == 0
        before = len(statuses)
        until(lambda: len(statuses) > before + 20)
        done.set()
        for thread in threads:
            thread.join(20)
    assert ready == {served} and set(statuses) == {200}
