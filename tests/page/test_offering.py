"""The examples on the page: those of the model asked, as text, in a room kept for them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from browsing import EVIL, drawing, drawn, encoded, predictor, serving, settle, until, visiting

TITLES = ["Old harbour", EVIL, "Boats"]
PICTURES = re.compile(r"/v1/examples")
SHIFTS = """
    window.shifted = 0;
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) shifted += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
"""


def test_they_are_the_model_s_and_their_names_are_text(browser: Any, service: Any) -> None:
    with visiting(browser, service.url) as page:
        page.locator("#examples img[src]").nth(2).wait_for()
        assert page.locator("#examples button").all_inner_texts() == TITLES
        page.select_option("#model", "other")
        page.wait_for_selector("#examples-part", state="hidden")
        page.select_option("#model", "small")
        page.locator("#examples button").nth(1).click()
        drawn(page)
        assert page.locator("#name").text_content() == f"{EVIL}.png"
        page.click("#new")
        assert page.locator("#examples button").count() == 3


def test_one_that_is_gone_is_left_out(browser: Any, service: Any) -> None:
    with visiting(browser, service.url, refusals=True) as page:
        page.route("**/v1/examples/small/2", lambda route: route.abort())
        page.reload()
        page.locator("#examples img[src]").nth(1).wait_for()
        page.wait_for_selector("#examples li:nth-child(3)", state="detached")
        assert page.locator("#examples button").all_inner_texts() == ["Old harbour", "Boats"]


def test_without_any_the_page_does_as_well(browser: Any, service: Any) -> None:
    with visiting(browser, service.url, refusals=True) as page:
        page.route(PICTURES, lambda route: route.abort())
        page.reload()
        page.wait_for_selector("#examples-part", state="hidden")
        assert page.locator("#notice").is_hidden() and page.locator("#choose").is_visible()
        page.unroute(PICTURES)
        page.select_option("#model", "other")
        page.select_option("#model", "small")
        page.locator("#examples img[src]").nth(2).wait_for()


@pytest.mark.parametrize("width", [320, 768, 1280])
def test_what_comes_late_moves_nothing(browser: Any, service: Any, width: int) -> None:
    with visiting(browser, service.url, script=SHIFTS, viewport={"width": width, "height": 1400}) as page:
        waiting: list[Any] = []
        for pattern in (re.compile(r"/v1/examples\?"), re.compile("/v1/examples/")):
            waiting.clear()
            page.route(pattern, lambda route: waiting.append(route))
            page.reload()
            until(page, "#knows", "3 classes")
            while not waiting:
                page.wait_for_timeout(20)
            settle(page)
            before = page.evaluate("shifted")
            places = [page.locator(one).bounding_box() for one in ("#drop", "#choose", "#examples-part h2")]
            for route in waiting:
                route.continue_()
            page.unroute(pattern)
            page.locator("#examples img[src]").nth(2).wait_for()
            settle(page)
            assert places == [page.locator(one).bounding_box() for one in ("#drop", "#choose", "#examples-part h2")]
            assert page.evaluate("shifted") == before, pattern


def test_they_come_with_the_key(browser: Any, tmp_path: Path) -> None:
    from tarsia.serving import create_app

    key = "a key of more than sixteen characters"
    own = tmp_path / "own.jpg"
    own.write_bytes(encoded(drawing(), "JPEG"))
    app = create_app({"small": predictor(tmp_path, "small")}, keys=[key], examples={"small": [own]})
    with serving(app) as url, visiting(browser, url, refusals=True) as page:
        page.wait_for_selector("#key-dialog[open]")
        assert page.locator("#examples button").count() == 0
        page.fill("#key", key)
        page.keyboard.press("Enter")
        until(page, "#knows", "3 classes")
        page.locator("#examples img[src]").wait_for()
        assert page.locator("#examples button").all_inner_texts() == ["Own"]
