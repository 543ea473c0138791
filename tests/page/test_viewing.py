from __future__ import annotations

import base64
import re
from typing import Any

import numpy as np
import pytest
from browsing import (
    COLORS,
    ask,
    described,
    drawing,
    drawn,
    encoded,
    give,
    indices,
    pixel_by_pixel,
    settle,
    shown,
    slide,
    until,
    visiting,
)
from PIL import Image

PICTURE = drawing()
FILE = encoded(PICTURE)


def center(page: Any, pane: int = 0) -> tuple[float, float]:
    box = page.locator(".frame").nth(pane).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def scale(page: Any) -> int:
    return int(re.sub(r"\D", "", page.locator("#zoom").text_content()))


# ---- the picture and its classes


def test_the_overlay_is_what_the_service_answers(page: Any, service: Any) -> None:
    give(page, FILE)
    label_HW = indices(ask(service.url, FILE, model="small"))
    assert set(np.unique(label_HW)) == {0, 1, 2}
    pixel_by_pixel(page)
    assert np.array_equal(shown(page), COLORS[label_HW])
    slide(page, "#opacity", 0)
    assert np.array_equal(shown(page), PICTURE)
    slide(page, "#opacity", 60)
    blended = 0.6 * COLORS[label_HW] + 0.4 * PICTURE
    assert np.abs(shown(page) - blended).max() <= 2
    assert page.locator("#opacity-value").text_content() == "60\u00a0%"


def test_pixels_below_the_least_confidence_have_no_class(page: Any, service: Any) -> None:
    give(page, FILE)
    with page.expect_response(lambda answer: "min_confidence=0.9" in answer.url):
        slide(page, "#confidence", 90)
    drawn(page)
    pixel_by_pixel(page)
    label_HW = indices(ask(service.url, FILE, model="small", min_confidence=0.9))
    share = (label_HW == 255).mean()
    assert 0.02 < share < 0.98
    expected = np.where((label_HW == 255)[..., None], PICTURE, np.vstack([COLORS, COLORS])[label_HW % 6])
    assert np.array_equal(shown(page), expected)
    assert page.locator("#legend .none").inner_text().split("\n") == ["no class", f"{share * 100:.1f}\u00a0%"]
    assert page.locator("#confidence-value").text_content() == "90\u00a0%"


def test_a_picture_lying_on_its_side_is_turned_upright(page: Any, service: Any) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    file = encoded(np.ascontiguousarray(np.rot90(PICTURE)), "JPEG", quality=100, subsampling=0, exif=turned)
    give(page, file, "phone.jpg", "image/jpeg")
    label_HW = indices(ask(service.url, file, model="small"))
    assert label_HW.shape == PICTURE.shape[:2]
    pixel_by_pixel(page)
    assert np.array_equal(shown(page), COLORS[label_HW])
    slide(page, "#opacity", 0)
    assert np.abs(shown(page).astype(int) - PICTURE).mean() < 5


# ---- the legend


def test_the_legend_has_every_share_and_switches_classes_off(page: Any, service: Any) -> None:
    give(page, FILE)
    classes = sorted(described(service.url, FILE, model="small")["classes"], key=lambda one: -one["share"])
    rows = page.locator("#legend li")
    assert [row.split("\n") for row in rows.all_inner_texts()] == [
        [one["name"], f"{one['share'] * 100:.1f}\u00a0%"] for one in classes
    ]
    swatches = page.locator("#legend .swatch").evaluate_all("(all) => all.map((one) => one.style.background)")
    assert [[int(part) for part in re.findall(r"\d+", one)] for one in swatches] == [one["color"] for one in classes]

    pixel_by_pixel(page)
    label_HW = indices(ask(service.url, FILE, model="small"))
    page.get_by_role("switch", name="red").uncheck()
    assert np.array_equal(shown(page), np.where((label_HW == 1)[..., None], PICTURE, COLORS[label_HW]))
    page.click("#all")
    assert np.array_equal(shown(page), PICTURE) and page.locator("#all").text_content() == "Show all"
    page.click("#all")
    assert np.array_equal(shown(page), COLORS[label_HW]) and page.locator("#all").text_content() == "Hide all"


# ---- class and confidence of a pixel


def test_the_mouse_and_the_keys_say_class_and_confidence(page: Any, service: Any) -> None:
    give(page, FILE)
    seen = described(service.url, FILE, model="small")
    names = [one["name"] for one in seen["classes"]]
    label_HW, sure_HW = (indices(base64.b64decode(seen[part])) for part in ("label", "confidence"))

    def said(x: int, y: int) -> str:
        sure = sure_HW[y, x] / 255
        return f"{names[label_HW[y, x]]} · " + (">99\u00a0% sure" if sure > 0.99 else f"{sure * 100:.0f}\u00a0% sure")

    page.click("#actual")
    box = page.locator(".frame").first.bounding_box()
    left, top = box["x"] + box["width"] / 2 - 45, box["y"] + box["height"] / 2 - 30
    for x, y in ((3, 2), (33, 40), (86, 57), (45, 9)):
        page.mouse.move(left + x + 0.6, top + y + 0.6)
        assert page.locator(".tag").first.inner_text() == said(x, y)
    page.mouse.move(left - 20, top)
    assert page.locator(".tag").first.is_hidden()

    page.locator(".frame").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#reading").text_content() == f"{said(45, 30)}, at 45, 30"
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowUp")
    assert page.locator("#reading").text_content() == f"{said(46, 22)}, at 46, 22"
    settle(page)
    assert page.locator(".tag").first.inner_text() == said(46, 22)
    page.keyboard.press("Escape")
    assert page.locator(".tag").first.is_hidden()


# ---- zoom, place, divider


def test_zoom_by_buttons_keys_and_wheel(page: Any) -> None:
    give(page, FILE)
    fitted = scale(page)
    page.click("#zoom-in")
    assert scale(page) == pytest.approx(fitted * 1.25, rel=0.01)
    page.click("#actual")
    assert scale(page) == 100
    page.locator(".frame").first.focus()
    page.keyboard.press("+")
    assert scale(page) == 125
    page.keyboard.press("0")
    assert scale(page) == fitted
    page.keyboard.press("1")
    page.keyboard.press("-")
    assert scale(page) == 100 and page.locator("#zoom-out").is_disabled()
    page.click("#fit")
    page.mouse.move(*center(page))
    page.mouse.wheel(0, -100)
    settle(page)
    assert fitted < scale(page) < fitted * 1.5
    page.dblclick(".frame >> nth=0")
    assert scale(page) > fitted * 2


def test_what_is_zoomed_into_moves_under_the_mouse(page: Any, service: Any) -> None:
    give(page, FILE)
    page.mouse.move(*center(page))
    page.dblclick(".frame >> nth=0")
    x, y = center(page)

    def words() -> str:
        return page.locator(".tag").first.inner_text()

    page.mouse.move(x + 3, y + 3)
    before = words()
    page.mouse.down()
    page.mouse.move(x + 83, y + 43, steps=4)
    page.mouse.up()
    page.mouse.move(x + 84, y + 43)
    assert words() == before
    page.mouse.down()
    page.mouse.move(x + 3000, y + 3000, steps=2)
    page.mouse.up()
    assert shown(page).shape[1] == pytest.approx(page.locator(".frame").first.bounding_box()["width"], abs=1)


def test_two_fingers_zoom_and_one_moves(browser: Any, service: Any) -> None:
    with visiting(browser, service.url, has_touch=True, viewport={"width": 480, "height": 800}) as page:
        give(page, FILE)
        fitted = scale(page)
        x, y = center(page)
        touch = page.context.new_cdp_session(page)

        def fingers(kind: str, *places: tuple[float, float]) -> None:
            points = [{"x": at[0], "y": at[1], "id": finger} for finger, at in enumerate(places)]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        fingers("touchStart", (x - 30, y), (x + 30, y))
        for step in (40, 50, 60):
            fingers("touchMove", (x - step, y), (x + step, y))
        fingers("touchEnd")
        settle(page)
        assert scale(page) == pytest.approx(fitted * 2, rel=0.1)
        assert page.locator(".frame").first.evaluate("(one) => getComputedStyle(one).touchAction") == "none"
        page.touchscreen.tap(x, y)
        assert "sure" in page.locator(".tag").first.inner_text()


def test_the_divider_shows_the_picture_left_of_it(page: Any, service: Any) -> None:
    give(page, FILE)
    pixel_by_pixel(page)
    classes = COLORS[indices(ask(service.url, FILE, model="small"))]
    divider = page.get_by_role("slider", name="Before / after").first
    assert divider.is_hidden()
    page.click("#split")
    half = np.concatenate([PICTURE[:, :45], classes[:, 45:]], 1)
    assert np.array_equal(shown(page), half)
    assert divider.get_attribute("aria-valuenow") == "50"
    divider.focus()
    page.keyboard.press("End")
    assert np.array_equal(shown(page), PICTURE)
    page.keyboard.press("Home")
    assert np.array_equal(shown(page), classes)
    page.keyboard.press("PageUp")
    page.keyboard.press("ArrowRight")
    settle(page)
    assert divider.get_attribute("aria-valuenow") == "22"
    x, y = center(page)
    width = page.locator(".frame").first.bounding_box()["width"]
    page.mouse.move(x - width / 2 + 0.22 * width, y)
    page.mouse.down()
    page.mouse.move(x + 0.25 * width, y, steps=3)
    page.mouse.up()
    settle(page)
    assert divider.get_attribute("aria-valuenow") == "75"
    page.click("#split")
    assert np.array_equal(shown(page), classes) and divider.is_hidden()


# ---- two models


def test_two_models_side_by_side_share_one_view(page: Any, service: Any) -> None:
    give(page, FILE)
    page.select_option("#other", "other")
    page.wait_for_selector(".columns")
    pixel_by_pixel(page)
    answers = [indices(ask(service.url, FILE, model=name)) for name in ("small", "other")]
    assert not np.array_equal(*answers)
    for pane, label_HW in enumerate(answers):
        assert np.array_equal(shown(page, pane), COLORS[label_HW])
    assert page.locator("figcaption").all_inner_texts() == ["small", "other"]
    shares = [{one["name"]: one["share"] for one in described(service.url, FILE, model=name)["classes"]}
              for name in ("small", "other")]  # fmt: skip
    for row in page.locator("#legend li").all_inner_texts():
        name, *figures = row.split("\n")
        assert figures == [f"{share[name] * 100:.1f}\u00a0%" for share in shares]
    page.get_by_role("switch", name="blue").uncheck()
    for pane, label_HW in enumerate(answers):
        assert np.array_equal(shown(page, pane), np.where((label_HW == 2)[..., None], PICTURE, COLORS[label_HW]))

    page.mouse.move(*center(page, 1))
    page.dblclick(".frame >> nth=1")
    slide(page, "#opacity", 0)
    assert np.array_equal(shown(page, 0), shown(page, 1)) and scale(page) == 200
    x, y = center(page, 1)
    page.mouse.move(x + 5, y)
    assert ["sure" in text for text in page.locator(".tag").all_inner_texts()] == [True, True]

    assert page.locator("#other option:disabled").all_inner_texts() == ["small"]
    page.select_option("#model", "other")  # which is not compared with itself
    page.wait_for_selector(".columns", state="detached")
    assert page.locator("figure").nth(1).is_hidden() and page.locator("#other").input_value() == ""
    until(page, "#facts", "other in")
    page.click("#all"), page.click("#all")  # every class is shown again
    pixel_by_pixel(page)
    assert np.array_equal(shown(page), COLORS[answers[1]])
