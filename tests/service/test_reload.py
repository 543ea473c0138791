"""A model file that changes: loaded when it has settled, left out when it is broken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from small_onnx import CLASSES, content
from small_service import encoded, model_file, pixels, segment
from tarsia.inference import load
from tarsia.service.reload import Watch
from tarsia.serving import create_app

OTHER = {"names": ("x", "y", "z"), "colors": CLASSES.colors}


class Served:
    def __init__(self, path: Path) -> None:
        app = create_app({"small": load(path)})
        self.client, self.loads = TestClient(app), list[Path]()
        self.watch = Watch(app.state.service, {"small": path}, self._load)

    def _load(self, path: Path) -> object:
        self.loads.append(path)
        return load(path)

    def name(self) -> str:
        return str(segment(self.client, encoded(pixels()), "?format=json").json()["classes"][0]["name"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return model_file(tmp_path)


def test_a_file_is_loaded_when_it_has_settled(path: Path) -> None:
    served = Served(path)
    served.watch.look()
    new = content(classes=OTHER)
    path.write_bytes(new[:500])
    served.watch.look()
    path.write_bytes(new)  # still being written at the last look
    served.watch.look()
    assert served.loads == [] and served.name() == "dark"
    served.watch.look()
    assert served.loads == [path] and served.name() == "x"
    for _ in range(3):
        served.watch.look()
    assert len(served.loads) == 1, "once is enough"
    assert 'tarsia_reloads_total{model="small",result="loaded"} 1.0' in served.client.get("/metrics").text


@pytest.mark.parametrize("broken", [b"", b"broken", content(classes=OTHER)[:-30]])
def test_a_broken_file_changes_nothing(path: Path, broken: bytes, caplog: pytest.LogCaptureFixture) -> None:
    served = Served(path)
    path.write_bytes(broken)
    for _ in range(4):
        served.watch.look()
    assert served.name() == "dark" and len(served.loads) == 1
    assert 'tarsia_reloads_total{model="small",result="failed"} 1.0' in served.client.get("/metrics").text
    assert "reload-failed" in caplog.text and "Traceback" not in caplog.text
    path.unlink()
    for _ in range(3):
        served.watch.look()
    assert served.name() == "dark"
    replacement = path.with_name("replacement")
    replacement.write_bytes(content(classes=OTHER))
    os.replace(replacement, path)
    for _ in range(2):
        served.watch.look()
    assert served.name() == "x", "and the next good one is taken"
