"""Draws docs/pictures/serving.jpg and serving-dark.jpg: the page of `tarsia serve`, as Chromium shows it.

python docs/serving_pictures.py runs/demo quick=runs/demo/model.onnx   two models of drawn streets

It needs the extras serve and dev, and a Chromium on the path.  What is shown is a scene that Tarsia draws, as near as
the demo's.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from tarsia import data
from tarsia.files import writing

PICTURES = Path(__file__).parent / "pictures"
SCENE, SIZE, REACH = 20, (300, 400), 12.0  # a scene of the test split, (height, width), metres
POINT = 0.52, 0.52  # where the mouse is, as shares of the frame
VIEWPORT = {"width": 1280, "height": 800}


@contextmanager
def served(models: list[str]) -> Iterator[str]:
    """The address of `tarsia serve` with these models, until the block ends."""
    command = [sys.executable, "-m", "tarsia", "serve", *models, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if found := re.search(r"http://\S+", line):
                    yield found[0]
                    return
            raise SystemExit("tarsia serve ended before it was ready")
        finally:
            process.terminate()


def scene() -> bytes:
    """The picture that is given to the page."""
    drawn = data.open("streets", split="test", count=SCENE + 1, size=SIZE, reach=REACH)[SCENE]
    file = io.BytesIO()
    Image.fromarray(drawn.image).save(file, "PNG")
    return file.getvalue()


def shot(browser: Any, url: str, scheme: str, two: bool) -> Image.Image:
    """The page with a result: one model and the divider, or two models."""
    page = browser.new_page(viewport=VIEWPORT, color_scheme=scheme)
    page.goto(url)
    page.wait_for_selector("#model option", state="attached")
    for _ in range(2):  # the first of a size takes longer
        page.locator("#file").set_input_files({"name": "street.png", "mimeType": "image/png", "buffer": scene()})
        page.wait_for_selector("#stage[aria-busy=false]")
        page.wait_for_selector("#legend li")
    if two:
        page.select_option("#other", index=2)
        page.wait_for_selector(".columns")
    else:
        page.click("#split")
        page.locator(".divider").first.focus()
        page.keyboard.press("PageDown")
    box = page.locator(".frame").first.bounding_box()
    page.mouse.move(box["x"] + POINT[0] * box["width"], box["y"] + POINT[1] * box["height"])
    page.wait_for_timeout(500)
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def main(models: list[str]) -> None:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with served(models) as url, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--headless", "--no-sandbox"])
        for name, scheme, two in (("serving", "light", False), ("serving-dark", "dark", True)):
            with writing(PICTURES / f"{name}.jpg") as part:
                shot(browser, url, scheme, two).save(part, format="JPEG", quality=86, optimize=True)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
