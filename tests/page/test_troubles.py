from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
from browsing import (
    COLORS,
    EVIL,
    NO_PICTURES,
    ask,
    drawing,
    drawn,
    encoded,
    give,
    indices,
    pixel_by_pixel,
    predictor,
    put,
    serving,
    shown,
    until,
    visiting,
    words,
)

from tarsia.card import Classes

FILE = encoded(drawing())


# ---- what cannot be done is said, with what to do


def test_what_is_no_picture(browser: Any, service: Any) -> None:
    with visiting(browser, service.url, refusals=True, examples=False) as page:
        for name, (content, kind, expected) in NO_PICTURES.items():
            put(page, content, name, kind)
            found = words(page)
            assert all(part in found for part in expected), found
            assert page.locator("#progress").is_hidden() and page.locator("#notice-again").is_hidden()
            if name.startswith(("notes", "empty")):  # what the browser cannot show either
                assert page.locator("#choose").is_visible()
            page.click("#notice-close")
            assert page.locator("#notice").is_hidden()
        give(page, FILE)


def test_a_full_queue_and_trying_again(browser: Any, service: Any) -> None:
    gate = service.models["small"].gate
    gate.clear()
    refused = threading.Event()

    def fill() -> None:
        try:
            ask(service.url, FILE, format="json")
        except urllib.error.HTTPError as error:
            assert error.code == 503
            refused.set()

    asking = []
    try:
        while not refused.is_set() and len(asking) < 20:
            asking.append(threading.Thread(target=fill))
            asking[-1].start()
            refused.wait(0.1)
        assert refused.is_set()
        with visiting(browser, service.url, refusals=True, examples=False) as page:
            put(page, FILE, "scene.png", "image/png")
            found = words(page)
            assert "The service is busy" in found and "Try again in 1 second." in found
            gate.set()
            for thread in asking:
                thread.join()
            page.click("#notice-again")
            drawn(page)
            assert page.locator("#notice").is_hidden()
            pixel_by_pixel(page)
            assert np.array_equal(shown(page), COLORS[indices(ask(service.url, FILE))])
    finally:
        gate.set()


def test_no_network_and_trying_again(browser: Any, service: Any) -> None:
    with visiting(browser, service.url, refusals=True, examples=False) as page:
        until(page, "#knows", "3 classes")
        page.context.set_offline(True)
        put(page, FILE, "scene.png", "image/png")
        assert "cannot be reached" in words(page) and "connection" in words(page)
        page.context.set_offline(False)
        page.click("#notice-again")
        drawn(page)
        page.context.set_offline(True)
        page.get_by_role("button", name="Mask").click()
        assert "cannot be reached" in words(page)
        page.context.set_offline(False)
        with page.expect_download() as downloading:
            page.click("#notice-again")
        assert downloading.value.path().read_bytes() == ask(service.url, FILE)


def test_a_service_that_is_gone_when_the_page_opens(browser: Any, service: Any) -> None:
    with visiting(browser, service.url, refusals=True, examples=False) as page:
        page.route("**/v1/models", lambda route: route.abort())
        page.reload()
        assert "cannot be reached" in words(page)
        page.unroute("**/v1/models")
        page.click("#notice-again")
        until(page, "#knows", "3 classes")


def test_a_proxy_that_answers_with_a_page_of_its_own(browser: Any, service: Any) -> None:
    with visiting(browser, service.url, refusals=True, examples=False) as page:
        page.route("**/v1/segment*", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
        put(page, FILE, "scene.png", "image/png")
        assert "Something went wrong in the service" in words(page) and "gateway" not in words(page)


def test_progress_and_cancelling(page: Any, service: Any) -> None:
    gate = service.models["small"].gate
    gate.clear()
    try:
        put(page, FILE, "scene.png", "image/png")
        until(page, "#progress-text", "Looking at every pixel")
        assert page.locator("#stage").get_attribute("aria-busy") == "true"
        assert page.locator("#status").text_content() == "Looking at every pixel"
        page.click("#cancel")
        assert "Cancelled" in words(page) and page.locator("#progress").is_hidden()
    finally:
        gate.set()
    page.click("#notice-again")
    drawn(page)
    assert page.locator("#status").text_content().startswith("Done. small sees 3 classes: ")


# ---- the key


def test_the_key_is_asked_for_and_kept_for_the_tab(browser: Any, service: Any, tmp_path: Path) -> None:
    from tarsia.serving import create_app

    key = "a key of more than sixteen characters"
    with (
        serving(create_app({"small": predictor(tmp_path, "small")}, keys=[key])) as url,
        visiting(browser, url, refusals=True, examples=False) as page,
    ):
        page.wait_for_selector("#key-dialog[open]")
        page.fill("#key", "not the right one at all")
        page.keyboard.press("Enter")
        until(page, "#key-title", "not taken")
        page.wait_for_selector("#key-dialog[open]")
        page.fill("#key", key)
        page.click("#key-form button[type=submit]")
        until(page, "#knows", "3 classes")
        give(page, FILE)
        code = page.locator("#code").text_content()
        assert "Authorization: Bearer $TARSIA_API_KEY" in code and key not in page.content()
        with page.expect_download() as downloading:
            page.get_by_role("button", name="Mask").click()
        page.click("#as-python")
        (tmp_path / "scene.png").write_bytes(FILE)
        command = [sys.executable, "-c", page.locator("#code").text_content()]
        subprocess.run(command, cwd=tmp_path, check=True, env=os.environ | {"TARSIA_API_KEY": key}, timeout=20)
        assert (tmp_path / "scene-mask.png").read_bytes() == downloading.value.path().read_bytes()
        page.reload()
        until(page, "#knows", "3 classes")
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        assert page.evaluate("Object.values({...sessionStorage})") == [key]

        page.evaluate("sessionStorage.clear()")
        put(page, FILE, "scene.png", "image/png")
        page.wait_for_selector("#key-dialog[open]")
        page.click("#key-cancel")
        assert "did not take the key" in words(page)


# ---- names are text


def test_names_that_are_markup_are_shown_as_they_are(browser: Any, service: Any, tmp_path: Path) -> None:
    from tarsia.serving import create_app

    names = (EVIL, "</script><script>alert(2)</script>", "\"'><svg onload=alert(3)>")
    classes = Classes(names=names, colors=((0, 0, 0), (200, 0, 0), (0, 0, 200)))
    models = {name: predictor(tmp_path, name, classes=classes) for name in ("evil", "twin")}
    file = f"{EVIL}.png"
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(serving(create_app(models)))
        page = stack.enter_context(visiting(browser, url, refusals=True, examples=False))
        until(page, "#knows", EVIL)
        give(page, FILE, file)
        page.select_option("#other", "twin")
        page.wait_for_selector(".columns")
        assert page.locator("#name").text_content() == file and file in page.title()
        assert set(page.locator("#legend .name").all_text_contents()) == set(names)
        assert EVIL in page.locator("#code").text_content()
        page.locator(".frame").first.hover()
        assert any(name in page.locator(".tag").first.inner_text() for name in names)
        page.locator(".frame").first.focus()
        page.keyboard.press("ArrowLeft")
        put(page, b"no picture", file, "image/png")
        assert "no picture" in words(page)
        assert page.evaluate("document.querySelectorAll('main img[src=x], svg[onload], main script').length") == 0
