"""The pane that takes a picture, with Chromium's own make-believe camera: green, with something that turns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from browsing import COLORS, ask, drawing, drawn, encoded, indices, pixel_by_pixel, shown, until, visiting

# A small picture, and what the page asked for and got; `delay` holds the camera back, `fault` breaks it.
SPY = """
const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
Object.assign(window, { wanted: [], tracks: [], delay: null, fault: null });
navigator.mediaDevices.getUserMedia = async (one) => {
  wanted.push(one);
  if (fault) throw new DOMException("no", fault);
  const stream = await real({ video: { width: 320, height: 240 } });
  tracks.push(...stream.getTracks());
  await delay;
  return stream;
};
"""
STATES = "tracks.map(({ readyState }) => readyState)"


@contextlib.contextmanager
def camera(browser: Any, service: Any, **context: Any) -> Iterator[Any]:
    options = {"permissions": ["camera"]} | context
    with visiting(browser, service.url, examples=False, script=SPY, **options) as page:
        until(page, "#knows", "3 classes")
        yield page


def focused(page: Any) -> str:
    return page.evaluate("document.activeElement.id")


def live(page: Any) -> None:
    page.wait_for_selector("#camera-take:enabled")


def off(page: Any) -> bool:
    page.wait_for_selector("#camera-dialog", state="hidden")
    return (
        set(page.evaluate(STATES)) <= {"ended"} and page.evaluate("document.querySelector('video').srcObject") is None
    )


def test_a_picture_is_taken_by_keys_and_segmented(browser: Any, service: Any) -> None:
    with camera(browser, service) as page:
        page.locator("#photograph").focus()
        page.keyboard.press("Enter")
        live(page)
        assert focused(page) == "camera-take" and page.evaluate(STATES) == ["live"]
        (wanted,) = page.evaluate("wanted")
        assert wanted["video"]["facingMode"] == "environment" and wanted["audio"] is False
        page.keyboard.press("Tab")
        page.keyboard.press("Shift+Tab")
        assert focused(page) == "camera-take"
        page.keyboard.press("Space")
        drawn(page)
        assert off(page) and page.evaluate(STATES) == ["ended"]
        assert focused(page) == "name" and page.locator("#name").inner_text() == "photo.jpg"
        assert "320 × 240" in page.locator("#facts").inner_text()
        pixel_by_pixel(page, 0)
        picture = shown(page)
        assert picture.shape == (240, 320, 3) and np.abs(np.median(picture, (0, 1)) - (0, 136, 0)).max() < 5
        pixel_by_pixel(page, 100)
        label_HW = indices(ask(service.url, encoded(picture), model="small"))
        same = (shown(page) == COLORS[label_HW]).all(-1).mean()
        assert same > 0.99, "the browser and the service round a JPEG's colours each in its way"


def test_the_pane_is_left_without_a_picture(browser: Any, service: Any) -> None:
    with camera(browser, service) as page:
        leave = {
            "Escape": lambda: page.keyboard.press("Escape"),
            "Cancel": lambda: page.click("#camera-cancel"),
            "page left": lambda: page.evaluate("dispatchEvent(new Event('pagehide'))"),
        }
        for name, act in leave.items():
            page.click("#photograph")
            live(page)
            act()
            assert off(page) and focused(page) == "photograph", name
            assert page.locator("#start").is_visible() and page.locator("#notice").is_hidden()
        assert page.evaluate(STATES) == ["ended"] * 3


def test_a_camera_that_comes_too_late_is_put_off_at_once(browser: Any, service: Any) -> None:
    with camera(browser, service) as page:
        page.evaluate("() => { delay = new Promise((resolve) => { window.goOn = resolve; }); }")
        page.click("#photograph")
        until(page, "#camera-text", "Waiting for the camera")
        assert focused(page) == "camera-cancel" and page.locator("#camera-take").is_disabled()
        page.keyboard.press("Escape")
        page.wait_for_selector("#camera-dialog", state="hidden")
        page.click("#photograph")  # and again, while the first is still on its way
        page.evaluate("goOn()")
        live(page)
        assert sorted(page.evaluate(STATES)) == ["ended", "live"]
        page.keyboard.press("Escape")
        assert off(page)


def test_another_picture_closes_the_pane(browser: Any, service: Any) -> None:
    with camera(browser, service) as page:
        page.click("#photograph")
        live(page)
        page.evaluate(
            """(bytes) => {
                const clipboardData = new DataTransfer();
                clipboardData.items.add(new File([new Uint8Array(bytes)], "pasted.png", { type: "image/png" }));
                document.body.dispatchEvent(new ClipboardEvent("paste", { bubbles: true, clipboardData }));
            }""",
            list(encoded(drawing())),
        )
        drawn(page)
        assert off(page) and page.locator("#name").inner_text() == "pasted.png"


def test_no_camera_is_said_in_words(browser: Any, service: Any) -> None:
    with camera(browser, service, permissions=[]) as page:
        page.click("#photograph")
        until(page, "#notice", "This page may not use the camera")
        assert "Allow it in your browser" in page.locator("#notice").inner_text()
        assert off(page) and focused(page) == "photograph"
        page.context.grant_permissions(["camera"])
        page.click("#notice-again")
        live(page)
        page.keyboard.press("Escape")
        assert off(page) and focused(page) == "photograph" and page.locator("#notice").is_hidden()
        for fault, said in (("NotFoundError", "There is no camera"), ("NotReadableError", "Another program")):
            page.evaluate("(name) => { fault = name; }", fault)
            page.click("#photograph")
            until(page, "#notice", said)
            assert off(page)


def test_a_camera_that_is_pulled_out(browser: Any, service: Any) -> None:
    with camera(browser, service) as page:
        page.click("#photograph")
        live(page)
        page.evaluate("tracks[0].dispatchEvent(new Event('ended'))")
        until(page, "#notice", "The camera shows nothing")
        assert off(page)


def test_where_the_button_is(browser: Any, service: Any) -> None:
    """A desktop without a camera to lend has nothing that the button could do but choose a file."""
    plain = service.url.replace("127.0.0.1", "elsewhere.example")
    for url, phone, there in ((plain, False, False), (plain, True, True), (service.url, False, True)):
        with visiting(browser, url, examples=False, has_touch=phone, is_mobile=phone) as page:
            until(page, "#knows", "3 classes")
            assert page.locator("#photograph").is_visible() == there
            assert page.locator("#drop .call").is_visible() == (not phone), "nobody drops anything on a phone"


def test_a_phone_opens_its_own_camera(browser: Any, service: Any) -> None:
    with camera(browser, service, has_touch=True, is_mobile=True) as page:
        with page.expect_file_chooser() as chooser:
            page.click("#photograph")
        assert chooser.value.element.get_attribute("capture") == "environment"
        assert not page.locator("#camera-dialog").is_visible()
