"""A real service and a real browser: what the tests of the page start, send and read."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import pytest
from PIL import Image

import small_onnx
from tarsia.engines.onnx_file import with_card
from tarsia.inference import load
from tarsia.prediction.predictor import Predictor

FLAGS = [
    "--headless",
    "--no-sandbox",  # in a container Chromium has none of its own
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",  # a green picture; who may see it is for each test's permissions to say
    "--host-resolver-rules=MAP elsewhere.example 127.0.0.1",  # the page by plain HTTP, as from another machine
]
COLORS = np.array([*small_onnx.CLASSES.colors], np.uint8)
LARGEST_BODY = 60_000
EVIL = "<img src=x onerror=alert(1)>"
EXAMPLES = re.compile(r"/v1/examples\?")

# ---- the service


class Gated(Predictor):
    """Answers once `gate` is open."""

    gate: threading.Event

    def labels_and_confidence(self, images_BHW3: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert self.gate.wait(30)
        return super().labels_and_confidence(images_BHW3)


def predictor(folder: Path, name: str, order: tuple[int, ...] = (0, 1, 2), **changes: Any) -> Gated:
    """A small model with confidences well below 1; `order` says which of its classes is which."""
    weight_K3, bias_K = small_onnx.WEIGHT_K3[list(order)] / 40, small_onnx.BIAS_K[list(order)] / 40
    content = small_onnx.model(weight_K3, bias_K).SerializeToString()
    (folder / f"{name}.onnx").write_bytes(with_card(content, small_onnx.card(**changes)))
    made = Gated(load(folder / f"{name}.onnx", device="cpu").engine)
    made.gate = threading.Event()
    made.gate.set()
    return made


@contextlib.contextmanager
def serving(app: Any) -> Iterator[str]:
    """The application behind an address of this machine, until the block ends."""
    import uvicorn

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=2))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join(60)
            assert not thread.is_alive(), "the service does not end"


class Started(NamedTuple):
    """A service that the program started: its address, and its models' names in the order of the page."""

    url: str
    names: list[str]


@contextlib.contextmanager
def started(*arguments: object, **environment: str) -> Iterator[Started]:
    pytest.importorskip("uvicorn", reason="uvicorn is not installed (extra serve)")
    from small_service import program

    with program(*arguments, **environment) as running:
        url = f"http://127.0.0.1:{running.port}/"
        with urllib.request.urlopen(f"{url}v1/models", timeout=60) as answer:
            listed = json.loads(answer.read())["models"]
        assert [one["problem"] for one in listed] == [None] * len(listed)
        yield Started(url, [one["name"] for one in listed])


def ask(url: str, picture: bytes, **query: Any) -> bytes:
    """What the service itself answers."""
    address = f"{url}v1/segment?" + "&".join(f"{name}={value}" for name, value in query.items())
    request = urllib.request.Request(address, picture, {"Content-Type": "image/png"})
    with urllib.request.urlopen(request) as answer:
        return answer.read()


def described(url: str, picture: bytes, **query: Any) -> dict[str, Any]:
    return json.loads(ask(url, picture, format="json", **query))


def indices(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


# ---- pictures


def drawing(seed: int = 0, size: tuple[int, int] = (60, 90)) -> np.ndarray:
    """Boxes of many colours, so that every class is there, and pixels of every confidence."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (size[0] // 6, size[1] // 6, 3), dtype=np.uint8)
    small[0], small[1, ::2], small[1, 1::2] = 0, (220, 0, 0), (0, 0, 220)
    return np.kron(small, np.ones((6, 6, 1), np.uint8))


def encoded(image_HW3: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image_HW3).save(file, kind, **options)
    return file.getvalue()


_NOISE = encoded(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8))
_HALF = encoded(drawing())
# What is no picture, or too large a one: content, type, and what the page says of it.
NO_PICTURES: dict[str, tuple[bytes, str, tuple[str, ...]]] = {
    "notes.txt": (b"Dear diary", "text/plain", ("no picture", "Choose a JPEG, PNG or WebP picture")),
    "notes.png": (b"Dear diary", "image/png", ("no picture", "Request ")),
    "empty.png": (b"", "image/png", ("no picture", "Choose a JPEG")),
    "half.png": (_HALF[: len(_HALF) // 2], "image/png", ("no picture", "Request ")),
    "large.png": (_NOISE, "image/png", ("more than the service takes", "The picture is larger than")),
}

# ---- the browser


# By browser: a page of each kind, opened once and left blank, for a new one takes the processor two seconds.
_PAGES: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()
_VIOLATIONS = (
    "window.violations = [];"
    "addEventListener('securitypolicyviolation', (event) => violations.push(event.violatedDirective));"
)


def _blank(browser: Any, script: str, context: dict[str, Any]) -> Any:
    """A page that shows nothing, of such a context, where `script` runs before every document's own."""
    pages = _PAGES.setdefault(browser, {})
    kind = f"{sorted((key, value) for key, value in context.items() if value)} {script}"
    if kind not in pages:
        pages[kind] = page = browser.new_context(**context).new_page()
        page.set_default_timeout(60_000)  # a busy machine takes its time
        page.add_init_script(_VIOLATIONS + script)
    return pages[kind]


def _leave(browser: Any, page: Any, listeners: dict[str, Any]) -> None:
    """Blank again, with nothing kept of the visit; one that cannot be is thrown away."""
    try:
        for event, listener in listeners.items():
            page.remove_listener(event, listener)
        page.unroute_all()
        page.evaluate("sessionStorage.clear()")
        page.context.set_offline(False)
        page.context.clear_permissions()
        page.mouse.move(0, 0)
        page.goto("about:blank")
    except Exception:
        _PAGES[browser] = {kind: other for kind, other in _PAGES[browser].items() if other is not page}
        page.context.close()
        raise


@contextlib.contextmanager
def visiting(
    browser: Any,
    url: str,
    refusals: bool = False,
    examples: bool = True,
    script: str = "",
    permissions: Sequence[str] = (),
    viewport: dict[str, int] | None = None,
    **context: Any,
) -> Iterator[Any]:
    """A page as in a fresh profile; afterwards nothing may have gone wrong in it, nor been asked of any other machine.

    `refusals`: the browser's own line for an answer of 4xx or 5xx is expected.  Without `examples` there are none.
    """
    faults: list[str] = []

    def listen(message: Any) -> None:
        if message.type in ("error", "warning") and not (refusals and "Failed to load resource" in message.text):
            faults.append(message.text)

    def dismiss(dialog: Any) -> None:
        faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    listeners = {
        "console": listen,
        "pageerror": lambda error: faults.append(f"uncaught: {error}"),
        "dialog": dismiss,
        "request": lambda one: one.url.startswith((url, "blob:", "data:")) or faults.append(one.url),
        "response": lambda one: refusals or one.ok or faults.append(f"{one.status} {one.url}"),
    }
    page = _blank(browser, script, context)
    try:
        for event, listener in listeners.items():
            page.on(event, listener)
        if not examples:
            page.route(EXAMPLES, lambda route: route.fulfill(json={"examples": []}))
        page.context.grant_permissions(permissions)
        page.set_viewport_size(viewport or {"width": 1280, "height": 800})
        assert "default-src 'none'" in page.goto(url).headers["content-security-policy"]
        yield page
        assert page.evaluate("violations") == []
        assert faults == []
    finally:
        _leave(browser, page, listeners)


def give(page: Any, picture: bytes, name: str = "scene.png", kind: str = "image/png", into: str = "#file") -> None:
    """Choose a picture, and wait until its segmentation is drawn."""
    page.locator(into).set_input_files({"name": name, "mimeType": kind, "buffer": picture})
    drawn(page)


def drawn(page: Any) -> None:
    page.wait_for_selector("#stage[aria-busy=false]")
    page.wait_for_selector("#legend li")
    settle(page)


def until(page: Any, selector: str, text: str) -> None:
    """Wait until an element says `text`; playwright's wait_for_function would break the page's own policy."""
    page.locator(selector, has_text=text).wait_for(state="attached")


def settle(page: Any) -> None:
    """Two frames: what was to be drawn is drawn."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def shown(page: Any, pane: int = 0) -> np.ndarray:
    """What a pane shows of the picture, H x W x 3: its canvas without the clear border."""
    settle(page)
    data = page.locator(".frame canvas").nth(pane).evaluate("(canvas) => canvas.toDataURL()")
    canvas_HW4 = np.asarray(Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))).convert("RGBA"))
    rows, columns = canvas_HW4[..., 3].any(1).nonzero()[0], canvas_HW4[..., 3].any(0).nonzero()[0]
    return canvas_HW4[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1, :3]


def slide(page: Any, slider: str, value: int) -> None:
    page.locator(slider).fill(str(value))
    settle(page)


def pixel_by_pixel(page: Any, opacity: int = 100) -> None:
    """One pixel of the screen for each of the picture, its classes at `opacity`."""
    page.click("#actual")
    slide(page, "#opacity", opacity)


def words(page: Any) -> str:
    page.wait_for_selector("#notice:not([hidden])")
    assert page.locator("#notice").get_attribute("role") == "alert"
    return page.locator("#notice").inner_text()


def put(page: Any, content: bytes, name: str, kind: str) -> None:
    page.locator("#file").set_input_files({"name": name, "mimeType": kind, "buffer": content})
