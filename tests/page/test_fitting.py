from __future__ import annotations

from typing import Any

import pytest
from browsing import drawing, drawn, encoded, give, settle, until, visiting

FILE = encoded(drawing())
LONG = "a-file-whose-name-has-no-place-to-break-anywhere-at-all-in-it.png"


def focused(page: Any) -> str:
    return page.evaluate(
        "(({ id, textContent, className }) => id || className || textContent.trim())(document.activeElement)"
    )


def tab(page: Any, to: str, most: int = 40) -> None:
    """Press Tab until `to` has the focus, which must be seen."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if focused(page) == to:
            style = "(({ outlineStyle, outlineWidth }) => [outlineStyle, outlineWidth])(getComputedStyle(%s))"
            own = page.evaluate(style % "document.activeElement")
            after = page.evaluate(style % "document.activeElement, '::after'")
            assert own[0] == "solid" or after[0] == "solid", f"{to}: focus is not seen"
            return
    raise AssertionError(f"Tab never came to {to}")


def test_everything_by_keyboard_alone(page: Any, service: Any) -> None:
    scene = {"name": "scene.png", "mimeType": "image/png", "buffer": FILE}
    page.once("filechooser", lambda chooser: chooser.set_files(scene))
    until(page, "#knows", "3 classes")
    page.keyboard.press("Tab")
    assert focused(page) == "skip"
    tab(page, "model")
    tab(page, "choose")
    page.keyboard.press("Enter")
    drawn(page)
    assert focused(page) == "name"
    tab(page, "new")
    tab(page, "frame")
    page.keyboard.press("ArrowRight")
    assert "sure" in page.locator("#reading").text_content()
    tab(page, "zoom-in")
    page.keyboard.press("Space")
    tab(page, "split")
    page.keyboard.press("Enter")
    tab(page, "opacity")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#opacity-value").text_content() == "59\u00a0%"
    tab(page, "all")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.locator("#legend input:not(:checked)").count() == 1
    tab(page, "confidence")
    with page.expect_response(lambda answer: "min_confidence=0.05" in answer.url):
        page.keyboard.press("ArrowRight")
    drawn(page)
    with page.expect_download():
        tab(page, "Mask")
        page.keyboard.press("Enter")
    tab(page, "as-python")
    page.keyboard.press("Enter")
    assert "urlopen" in page.locator("#code").text_content()
    for _ in range(60):
        page.keyboard.press("Shift+Tab")
        if focused(page) == "divider":
            break
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(".divider[aria-valuenow='48']")


def test_what_was_pressed_keeps_the_focus_or_hands_it_on(page: Any, service: Any) -> None:
    """A button that goes, or can do no more, would otherwise leave the keys at the page's beginning."""
    give(page, FILE)
    for zoom in ("zoom-in", "zoom-out"):
        page.locator(f"#{zoom}").focus()
        while page.locator(f"#{zoom}").is_enabled():
            page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        assert focused(page) == zoom
    with page.expect_download():
        page.locator("[data-format=png]").focus()
        page.keyboard.press("Enter")
    assert focused(page) == "Mask"
    gate = service.models["small"].gate
    gate.clear()
    try:
        page.locator("#confidence").press("ArrowRight")
        page.locator("#cancel").focus()
        page.keyboard.press("Enter")
        until(page, "#notice", "Cancelled")
        assert focused(page) == "main"
        page.locator("#notice-close").focus()
        page.keyboard.press("Enter")
        assert page.locator("#notice").is_hidden() and focused(page) == "main"
    finally:
        gate.set()


def test_every_control_has_a_name(page: Any, service: Any) -> None:
    give(page, FILE)
    page.select_option("#other", "other")
    page.wait_for_selector(".columns")
    page.click("#split")
    unnamed = page.evaluate(
        """[...document.querySelectorAll("button, input, select, a, [role=slider], [role=application], output")]
            .filter((one) => !(one.ariaLabel || one.textContent.trim() || one.labels?.[0]?.textContent.trim()))
            .map((one) => one.outerHTML)"""
    )
    assert unnamed == []
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))
    pointed = page.evaluate(
        "[...document.querySelectorAll('[aria-labelledby], [aria-describedby], [for]')].flatMap((one) => "
        "['aria-labelledby', 'aria-describedby', 'for'].map((name) => one.getAttribute(name)).filter(Boolean))"
    )
    assert set(pointed) <= set(ids)


def test_nothing_is_wider_than_the_screen(browser: Any, service: Any) -> None:
    with visiting(browser, service.url, refusals=True) as page:

        def wide() -> list[str]:
            found = []
            for width in (320, 768):
                page.set_viewport_size({"width": width, "height": 700})
                settle(page)
                found += page.evaluate(
                    "[document.documentElement, ...document.querySelectorAll('body *')].filter((one) => "
                    "one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.frame, .unseen')"
                    ").map((one) => one.outerHTML.slice(0, 80)).concat("
                    "document.documentElement.scrollWidth > innerWidth ? ['scrolls'] : [])"
                )
            return found

        page.wait_for_selector("#examples button")
        assert wide() == []
        give(page, FILE, LONG)
        assert wide() == []
        page.select_option("#other", "other")
        page.wait_for_selector(".columns")
        page.click("#as-python")
        assert wide() == []
        page.locator("#file").set_input_files({"name": LONG, "mimeType": "text/plain", "buffer": b"text"})
        page.wait_for_selector("#notice:not([hidden])")
        assert wide() == []


def luminance(color: list[float]) -> float:
    """Relative luminance of an sRGB colour of 0 .. 255 (WCAG 2.2)."""
    parts = [part / 255 for part in color]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(browser: Any, service: Any, scheme: str) -> None:
    """Contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3) for all text and the ground it stands on."""
    with visiting(browser, service.url, color_scheme=scheme, reduced_motion="reduce") as page:
        page.wait_for_selector("#examples button")
        found = []
        for _ in range(2):
            found += page.evaluate(
                """[...document.querySelectorAll("body *")].filter((one) => one.checkVisibility() &&
                    !one.closest(".unseen, .frame") &&
                    [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim())).map((one) => {
                    const clear = (node) => getComputedStyle(node).backgroundColor === "rgba(0, 0, 0, 0)";
                    let ground = one;
                    while (clear(ground) && ground.parentElement) ground = ground.parentElement;
                    const parts = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
                    return [one.outerHTML.slice(0, 60), parts(getComputedStyle(one).color),
                            parts(getComputedStyle(ground).backgroundColor)];
                })"""
            )
            give(page, FILE)
        for text, ink, paper in found:
            one, other = sorted((luminance(ink), luminance(paper)))
            assert (other + 0.05) / (one + 0.05) >= 4.5, text
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        assert (luminance(paper) < 0.1) == (scheme == "dark")
        assert page.evaluate("document.getAnimations().length") == 0
