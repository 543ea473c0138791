"""check.html: one page without scripts, with everything that was found, whatever the names hold."""

from __future__ import annotations

import base64
import html
import io
import re
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

import sick_data
from sick_data import make_sick, write_healthy
from tarsia.checking import check
from tarsia.doctor.result import CheckResult


@pytest.fixture(scope="module")
def sick(tmp_path_factory: pytest.TempPathFactory) -> tuple[CheckResult, str]:
    folder = tmp_path_factory.mktemp("health")
    root = make_sick(write_healthy(folder / "data"))
    return check(f"folder:{root}", out=folder / "out"), (folder / "out/check.html").read_text()


def test_every_finding_is_on_the_page_worst_first(sick: tuple[CheckResult, str]) -> None:
    result, page = sick
    titles = [html.escape(one.title, quote=False) for one in result.findings]
    places = [html.unescape(page).find(html.unescape(title)) for title in titles]
    assert -1 not in places and places == sorted(places)
    for finding in result.findings:
        for line in finding.remedy.splitlines():
            assert line.strip() in html.unescape(page)
    assert page.count("<pre>") >= 10 and "tarsia check folder:" in page


def test_pictures_are_inside_and_sound(sick: tuple[CheckResult, str]) -> None:
    uris = re.findall(r'src="data:image/(\w+);base64,([^"]+)"', sick[1])
    assert len(uris) > 40
    for kind, text in uris:
        with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
            assert picture.format == kind.upper() and picture.width <= 320
            picture.load()


def test_the_page_loads_nothing_and_runs_nothing(sick: tuple[CheckResult, str]) -> None:
    page = sick[1]
    assert "<script" not in page and "http:" not in page and "https:" not in page
    assert "default-src 'none'" in page and len(page) < 5_000_000
    assert page.count("<article") == page.count("</article>") == len(sick[0].findings)


def test_names_are_text_and_nothing_else(tmp_path: Path) -> None:
    root = write_healthy(tmp_path / "data", 6, 3)
    tree = yaml.safe_load((root / "dataset.yaml").read_text())
    tree["classes"][0] = "<script>alert(1)</script>"
    (root / "dataset.yaml").write_text(yaml.safe_dump(tree))
    name = "<img src=x onerror=alert(1)>" + ("\udcff" if sys.platform != "darwin" else "")
    for of in (sick_data.image, sick_data.label):
        of(root, "t01").rename(of(root, name))
    sick_data.image(root, name).write_bytes(b"cut")
    check(f"folder:{root}", out=tmp_path / "out")
    page = (tmp_path / "out/check.html").read_text()
    assert "<script" not in page and "<img src=x" not in page and "&lt;img src=x" in page


def test_the_healthy_one_says_so(tmp_path: Path) -> None:
    check(f"folder:{write_healthy(tmp_path / 'data')}", out=tmp_path / "out")
    page = (tmp_path / "out/check.html").read_text()
    assert "Nothing is wrong." in page and "<article" not in page
    assert all(name in page for name in sick_data.CLASSES) and "mean picture" in page and "96 x 128" in page


def test_without_jinja2_the_rest_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    check(f"folder:{write_healthy(tmp_path / 'data', 6, 3)}", out=tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["check.json"]
