"""What goes wrong is said, and what was there before stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from browsing import (
    NO_PICTURES,
    ask,
    drawing,
    drawn,
    encoded,
    give,
    pixel_by_pixel,
    put,
    shown,
    slide,
    until,
    visiting,
    words,
)

FILE = encoded(drawing())


class View:
    """What is on show, to be compared with what is later."""

    def __init__(self, page: Any) -> None:
        page.wait_for_selector("#stage[aria-busy=false]")
        self.pixels = [shown(page, pane) for pane in range(page.locator(".frame:visible").count())]
        texts = ("#name", "#facts", "#legend", "#code", "#zoom", "#confidence-value")
        self.said = [page.locator(text).inner_text() for text in texts] + [page.title()]
        self.said += [page.locator(chosen).input_value() for chosen in ("#model", "#other", "#confidence")]

    def stays(self, page: Any) -> None:
        assert page.locator("#work").is_visible() and page.locator("#progress").is_hidden()
        now = View(page)
        assert now.said == self.said
        assert all(np.array_equal(*pair) for pair in zip(now.pixels, self.pixels, strict=True))


OTHER = encoded(drawing(1, (48, 60)))


def looked_at(page: Any) -> View:
    """A result, zoomed into, of two models, with a least confidence: all of it must come back."""
    give(page, FILE)
    page.select_option("#other", "other")
    page.wait_for_selector(".columns")
    with page.expect_response(lambda answer: "other" in answer.url and "min_confidence" in answer.url):
        slide(page, "#confidence", 40)
    drawn(page)
    pixel_by_pixel(page)
    page.click("#zoom-in")
    page.locator("#name").hover()  # no tag over the pixels
    return View(page)


def test_a_file_that_is_no_picture_leaves_the_result(browser: Any, service: Any) -> None:
    with visiting(browser, service.url, refusals=True, examples=False) as page:
        before = looked_at(page)
        for name, (content, kind, expected) in NO_PICTURES.items():
            put(page, content, name, kind)
            until(page, "#notice-text", f"{name} was left out; you see scene.png still.")
            found = words(page)
            assert all(part in found for part in expected), found
            before.stays(page)
            page.click("#notice-close")
        before.stays(page)
        with page.expect_download() as downloading:
            page.get_by_role("button", name="Mask").click()
        expected_file = ask(service.url, FILE, model="small", min_confidence=0.4)
        assert downloading.value.path().read_bytes() == expected_file
        give(page, OTHER, "other.png")
        until(page, "#name", "other.png")
        assert "60 × 48" in page.locator("#facts").text_content()


ANSWERS: dict[str, tuple[dict[str, Any] | None, str]] = {
    "busy": ({"status": 503, "headers": {"Retry-After": "1"}}, "The service is busy"),
    "too large": ({"status": 413}, "more than the service takes"),
    "too slow": ({"status": 504}, "It took too long"),
    "the model was removed": ({"status": 404}, "no such model any more"),
    "failed": ({"status": 500}, "Something went wrong"),
    "another program's": ({"status": 200, "body": "<h1>Hello</h1>"}, "Something went wrong"),
    "gone": (None, "cannot be reached"),
}


TIFF = encoded(drawing(1, (48, 60)), "TIFF")
ASKS: dict[str, tuple[Callable[[Any], Any], str, str]] = {  # what is done, and what it is to change in the end
    "a picture": (lambda page: put(page, OTHER, "other.png", "image/png"), "#name", "other.png"),
    "one the browser cannot show": (lambda page: put(page, TIFF, "other.tiff", "image/tiff"), "#name", "other.tiff"),
    "another least confidence": (lambda page: slide(page, "#confidence", 80), "#confidence-value", "80\u00a0%"),
    "another model": (lambda page: page.select_option("#model", "other"), "#facts", "60 · other in "),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_any_failure_leaves_the_result_and_what_was_chosen_for_it(browser: Any, service: Any, name: str) -> None:
    """For a picture, and for one of the other asks: each failure meets two, each ask two failures or more.

    The one that failed last is tried again, a picture where it took too long.
    """
    answer, expected = ANSWERS[name]
    first, *others = ASKS
    asks = (first, others[list(ANSWERS).index(name) % len(others)])
    with visiting(browser, service.url, refusals=True, examples=False) as page:
        before = looked_at(page)
        page.route("**/v1/segment*", lambda route: route.fulfill(**answer) if answer else route.abort())
        for what in reversed(asks) if name == "too slow" else asks:
            if page.locator("#notice").is_visible():
                page.click("#notice-close")
            act, where, text = ASKS[what]
            act(page)
            found = words(page)
            assert expected in found, (what, found)
            assert ("was left out; you see scene.png still." in found) == (where == "#name")
            before.stays(page)
        page.unroute("**/v1/segment*")
        if page.locator("#notice-again").is_visible():
            page.click("#notice-again")  # what was asked for then, not what is shown
            until(page, where, text)
            drawn(page)
            assert page.locator("#notice").is_hidden() or "classes alone" in words(page)


def test_cancelling_another_picture_leaves_the_result(page: Any, service: Any) -> None:
    before = looked_at(page)
    gate = service.models["small"].gate
    gate.clear()
    try:
        put(page, OTHER, "other.png", "image/png")
        until(page, "#name", "other.png")
        until(page, "#progress-text", "Looking at every pixel")
        page.click("#cancel")
        assert "other.png was left out" in words(page)
        before.stays(page)
    finally:
        gate.set()
    page.click("#notice-again")
    drawn(page)
    until(page, "#name", "other.png")


def test_whoever_goes_to_the_start_is_not_told_of_it(page: Any, service: Any) -> None:
    gate = service.models["small"].gate
    gate.clear()
    try:
        put(page, FILE, "scene.png", "image/png")
        until(page, "#progress-text", "Looking at every pixel")
        page.click("#new")
        assert page.locator("#notice").is_hidden() and page.locator("#choose").is_visible()
    finally:
        gate.set()
