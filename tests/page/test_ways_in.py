from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from browsing import COLORS, ask, drawing, drawn, encoded, give, indices, pixel_by_pixel, shown, until, visiting
from PIL import Image

PICTURE = drawing()
FILE = encoded(PICTURE)


def test_a_dropped_and_a_pasted_picture(page: Any, service: Any) -> None:
    for event, property_, kind in (("drop", "dataTransfer", "DragEvent"), ("paste", "clipboardData", "ClipboardEvent")):
        page.evaluate(
            """([bytes, event, property, kind]) => {
                const data = new DataTransfer();
                data.items.add(new File([new Uint8Array(bytes)], `${event}.png`, { type: "image/png" }));
                const options = { bubbles: true, cancelable: true, [property]: data };
                if (event === "drop") document.body.dispatchEvent(new DragEvent("dragenter", options));
                document.body.dispatchEvent(new window[kind](event, options));
            }""",
            [list(FILE), event, property_, kind],
        )
        until(page, "#name", f"{event}.png")
        drawn(page)
        assert page.locator("#dropping").is_hidden()
        page.click("#new")
    page.evaluate(
        "document.body.dispatchEvent(new ClipboardEvent('paste', { bubbles: true, clipboardData: new DataTransfer() }))"
    )
    assert "no picture in the clipboard" in page.locator("#notice").inner_text()


def test_an_example_and_a_phone_s_own_way_to_photograph(browser: Any, service: Any) -> None:
    plain = service.url.replace("127.0.0.1", "elsewhere.example")  # no camera is lent to a page of plain HTTP
    with visiting(browser, plain, has_touch=True, is_mobile=True) as page:
        assert page.locator("#camera").get_attribute("capture") == "environment"
        photo = {"name": "photo.png", "mimeType": "image/png", "buffer": FILE}
        page.once("filechooser", lambda chooser: chooser.set_files(photo))
        page.tap("#photograph")
        drawn(page)
        page.tap("#new")
        example = page.locator("#examples button").first
        title = example.inner_text()
        assert title == json.loads(page.request.get(f"{service.url}v1/examples").text())["examples"][0]["title"]
        example.tap()
        drawn(page)
        assert page.locator("#name").text_content() == "old-harbour.jpg"
        assert "60 × 48" in page.locator("#facts").text_content()


def test_a_picture_that_only_the_service_can_read(page: Any, service: Any) -> None:
    file = encoded(PICTURE, "TIFF")
    give(page, file, "scan.tiff", "image/tiff")
    assert "classes alone" in page.locator("#notice").inner_text()
    pixel_by_pixel(page)
    assert np.array_equal(shown(page), COLORS[indices(ask(service.url, file, model="small"))])


def test_what_the_service_remarks_is_shown(page: Any) -> None:
    frames = [Image.fromarray(drawing(seed)) for seed in (0, 1)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    give(page, file.getvalue(), "moving.gif", "image/gif")
    assert "only the first is used" in page.locator("#notice").inner_text()
