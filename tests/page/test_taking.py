from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from browsing import ask, drawing, drawn, encoded, give, slide, until, visiting

FILE = encoded(drawing())


NAMES = ("scene.png", 'it\'s $(touch "x") `y` \\n & ü;*.png')


def test_downloads_are_the_service_s_answers(page: Any, service: Any) -> None:
    give(page, FILE, "a scene.png")
    with page.expect_response(lambda answer: "min_confidence" in answer.url):
        slide(page, "#confidence", 60)
    drawn(page)
    for button, format, ending in (("Mask", "png", "-mask.png"), ("Overlay", "overlay", "-overlay.jpg"),
                                   ("GeoJSON", "geojson", ".geojson")):  # fmt: skip
        with page.expect_download() as downloading:
            page.get_by_role("button", name=button).click()
        assert downloading.value.suggested_filename == f"a scene{ending}"
        expected = ask(service.url, FILE, model="small", format=format, min_confidence=0.6)
        assert downloading.value.path().read_bytes() == expected


def test_the_code_does_what_the_page_did(page: Any, service: Any, tmp_path: Path) -> None:
    expected = ask(service.url, FILE, model="other")
    page.select_option("#other", "other")
    for name in NAMES:
        give(page, FILE, name)
        until(page, "#name", name)
        page.select_option("#taken", "other")
        (tmp_path / name).write_bytes(FILE)
        answer = tmp_path / (name.removesuffix(".png") + "-mask.png")
        page.click("#as-curl")
        curl = page.locator("#code").text_content()
        page.click("#as-python")
        python = page.locator("#code").text_content()
        commands = [[sys.executable, "-c", python]] + ([["sh", "-c", curl]] if shutil.which("curl") else [])
        for command in commands:
            subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=20)
            assert answer.read_bytes() == expected
            answer.unlink()
    assert {path.name for path in tmp_path.iterdir()} == set(NAMES)


def test_the_code_is_copied(browser: Any, service: Any) -> None:
    allowed = ["clipboard-read", "clipboard-write"]
    with visiting(browser, service.url, permissions=allowed) as page:
        give(page, FILE)
        page.click("#as-python")
        page.click("#copy")
        until(page, "#copy", "Copied")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == page.locator("#code").text_content() and "urlopen" in copied
