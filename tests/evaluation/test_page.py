from __future__ import annotations

import base64
import hashlib
import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from parsed_page import ATTACKS, Parsed
from tarsia import html
from tarsia.errors import MissingExtraError, OutputError
from tarsia.evaluation import page


def class_row(name: str = "road", **values: object) -> dict:
    row = {"name": name, "color": [128, 64, 128], "iou": 0.5, "accuracy": 0.75, "dice": 0.6667}
    return row | {"truth_pixels": 300, "predicted_pixels": 100} | values


def full_report(text: str = "x") -> dict:
    return {
        "format": 1,
        "miou": 0.61234,
        "mpa": 0.7,
        "pixel_accuracy": 0.9,
        "fwiou": None,
        "dice": 0.75,
        "images": 2,
        "classes": [class_row(f"road {text}"), class_row(f"car {text}", iou=None, accuracy=None, dice=None)],
        "protocol": {
            "dataset": f"camvid {text}",
            "split": f"val {text}",
            "ignored_value": 255,
            "classes": [text],
            "tta": text,
        },
        "model": {
            "architecture": f"unet {text}",
            "parameters": 4_712_331,
            "peak_memory_bytes": 2**30,
            "latency_ms": 38.21,
        },
        "domains": [
            {"name": f"fog {text}", "images": 3, "classes": 2, "miou": 0.321, "mpa": 0.456, "pixel_accuracy": 0.789},
            {"name": f"night {text}", "images": 4, "classes": 1, "miou": 0.25, "mpa": 0.3, "pixel_accuracy": 0.35},
        ],
        "worst_images": [{"name": f"a {text}", "miou": 0.25, "pixel_accuracy": 0.5, "domain": f"night {text}"}],
        "provenance": {"command": f"tarsia evaluate {text}", "commit": text, "versions": {f"numpy {text}": "2.4"}},
    }


DETAILS = {"boundary_iou": 0.4321, "boundary_f1": 0.55, "recall_small": None, "recall_medium": 0.6} | {
    "recall_large": 0.8765,
    "ece": 0.0123,
    "objects": {"small": 0, "medium": 3, "large": 4},
    "reliability": [{"share": 1.0, "confidence": 0.9, "accuracy": 0.8}],
}


def picture(path: Path, size: tuple[int, int] = (40, 30), noise: bool = False) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8) * noise
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def write(folder: Path, **changes: object) -> str:
    values: dict = {"title": "t", "report": full_report(), "figures": [], "pictures": []} | changes
    page.write_page(folder / "report.html", **values)
    return (folder / "report.html").read_text("utf-8")


def test_the_page_shows_what_the_report_says(tmp_path):
    drawn, shown = picture(tmp_path / "c.png"), picture(tmp_path / "p.jpg", noise=True)
    history = [{"epoch": 1.0, "val_miou": 0.4, "train_loss": 1.5}, {"epoch": 2.0, "val_miou": None, "train_loss": 1.25}]
    text = write(
        tmp_path,
        figures=[("Curves", drawn)],
        pictures=[("worst: a", shown)],
        recipe="train:\n  epochs: 2\n",
        history=history,
    )
    parsed = Parsed(text)
    for words in ("0.612", "0.900", "4.71 M", "1.00 GiB", "38.2 ms", "epochs: 2", "worst: a", "Curves", "50.0 %"):
        assert words in parsed.text or words in text, words
    assert "best validation mIoU 0.400 in epoch 1" in parsed.text and "1.0 " not in parsed.text
    assert "1.2500" in parsed.text
    assert len(parsed.sources()) == 2


def test_conditions_have_a_row_each_where_there_are_several(tmp_path):
    text = Parsed(write(tmp_path)).text
    for words in ("Conditions", "fog x", "night x", "0.321", "0.456", "0.789", "0.350"):
        assert words in text, words
    for none in ([], None):
        assert "Conditions" not in Parsed(write(tmp_path, report=full_report() | {"domains": none})).text


def test_details_stand_beside_the_scores_as_far_as_they_were_counted(tmp_path):
    parsed = Parsed(write(tmp_path, report=full_report() | {"details": DETAILS}))
    for words in ("Beyond mIoU", "0.432", "0.550", "0.600", "0.876", "0.012", "Small objects", "ECE"):
        assert words in parsed.text, words
    assert [a["title"] for _, a in parsed.elements if a.get("class") == "none"][1] == "no such objects"
    fewer = Parsed(write(tmp_path, report=full_report() | {"details": {"boundary_iou": 0.4321}}))
    assert "0.432" in fewer.text and "ECE" not in fewer.text and "objects" not in fewer.text
    for nothing in ({}, None):
        assert "Beyond" not in Parsed(write(tmp_path, report=full_report() | {"details": nothing})).text


def test_everything_is_inside_the_file(tmp_path):
    text = write(tmp_path, figures=[("f", picture(tmp_path / "f.png"))], pictures=[("p", picture(tmp_path / "p.png"))])
    parsed = Parsed(text)
    assert all(source.startswith("data:image/") for source in parsed.sources())
    assert not re.search(r"https?://|@import|url\(", text)
    assert parsed.count("link") == 0
    kind, data = re.fullmatch(r"data:image/(\w+);base64,(.+)", parsed.sources()[0]).groups()
    with Image.open(io.BytesIO(base64.b64decode(data))) as embedded:
        assert (embedded.size, embedded.format.lower()) == ((40, 30), kind)


def test_no_number_is_a_dash_that_says_why(tmp_path):
    parsed = Parsed(write(tmp_path))
    reasons = [attributes["title"] for tag, attributes in parsed.elements if attributes.get("class") == "none"]
    assert len(reasons) == 4  # FWIoU, and three figures of the absent class
    assert sum("absent class" in reason for reason in reasons) == 3
    assert all(reasons)


@pytest.mark.parametrize("key", sorted(set(full_report()) - {"miou", "classes"}))
@pytest.mark.parametrize("how", ["missing", "none"])
def test_any_part_of_the_report_may_be_missing(tmp_path, key, how):
    report = full_report()
    if how == "none":
        report[key] = None
    else:
        del report[key]
    assert "0.612" in write(tmp_path, report=report)


def test_the_least_report_leaves_its_sections_out(tmp_path):
    parsed = Parsed(write(tmp_path, report={"miou": None, "classes": [{"name": "a", "color": [1, 2, 3], "iou": 0.5}]}))
    for words in ("Pictures", "Figures", "Model", "scored", "Training", "next", "Pixel accuracy", "Dice"):
        assert words not in parsed.text.split("// Headings")[0], words


def test_bars_have_the_colour_and_length_of_their_class(tmp_path):
    parsed = Parsed(write(tmp_path))
    bars = [attributes["style"] for tag, attributes in parsed.elements if tag == "i"]
    assert bars == ["width:50.0%;background:rgb(128, 64, 128)"]


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_text_stays_text(tmp_path, attack):
    harmless = Parsed(hostile_page(tmp_path, "x"))
    parsed = Parsed(hostile_page(tmp_path, attack))
    assert [tag for tag, _ in parsed.elements] == [tag for tag, _ in harmless.elements]
    names = {name for _, attributes in parsed.elements for name in attributes}
    assert names == {name for _, attributes in harmless.elements for name in attributes}
    assert not any(name.startswith("on") for name in names)
    for words in (
        f"road {attack}",
        f"a {attack}",
        f"night {attack}",
        f"caption {attack}",
        f"recipe {attack}",
        f"title {attack}",
    ):
        assert words in parsed.text, words
    assert f"tarsia evaluate {attack}" in parsed.text


def hostile_page(folder: Path, text: str) -> str:
    path = picture(folder / f"{text.replace('/', '')}.png")  # a file's name is never shown, but it may be anything
    return write(
        folder,
        title=f"title {text}",
        report=full_report(text),
        figures=[(f"figure {text}", path)],
        pictures=[(f"caption {text}", path)],
        recipe=f"recipe {text}",
    )


def test_the_policy_lets_only_the_pages_own_script_run(tmp_path):
    text = write(tmp_path)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = next(a["content"] for tag, a in Parsed(text).elements if a.get("http-equiv") == "Content-Security-Policy")
    assert len(scripts) == 1
    assert f"script-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'")


def test_large_pictures_are_reduced_to_1600_pixels(tmp_path):
    parsed = Parsed(write(tmp_path, pictures=[("p", picture(tmp_path / "p.png", (3200, 40)))]))
    data = base64.b64decode(parsed.sources()[0].split(",")[1])
    with Image.open(io.BytesIO(data)) as embedded:
        assert embedded.size == (1600, 20)
    assert "educed" not in parsed.text


def test_what_is_clear_in_a_picture_stays_so_at_any_size(tmp_path):
    """So that a panel has no white edges on a dark page."""
    random = np.random.default_rng(2)
    for place, side in enumerate((300, 2500)):
        pixels = random.integers(0, 255, (60, side, 4), np.uint8)
        pixels[..., 3] = 255
        pixels[:20] = (255, 255, 255, 0)
        Image.fromarray(pixels).save(tmp_path / f"{place}.png")
        parsed = Parsed(write(tmp_path, pictures=[("p", tmp_path / f"{place}.png")]))
        kind, data = re.fullmatch(r"data:image/(\w+);base64,(.+)", parsed.sources()[0]).groups()
        with Image.open(io.BytesIO(base64.b64decode(data))) as embedded:
            alpha = np.asarray(embedded.convert("RGBA"))[..., 3]
        assert kind == "webp" and (alpha[:10] == 0).all() and (alpha[-10:] == 255).all()


def test_a_page_too_large_is_reduced_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(html, "PAGE_LIMIT_BYTES", 200_000)
    pictures = [(f"p{k}", picture(tmp_path / "p.png", (1600, 200), noise=True)) for k in range(3)]
    text = write(tmp_path, pictures=pictures)
    assert len(text.encode()) <= 200_000
    assert len(Parsed(text).sources()) == 3
    assert "Pictures are reduced to at most 800 pixels" in text


def test_pictures_that_fit_at_no_size_are_left_out_from_the_last(tmp_path, monkeypatch):
    pictures = [(f"caption {k}", picture(tmp_path / "p.png", (1600, 200), noise=True)) for k in range(3)]
    smallest = html.embedded("caption 0", pictures[0][1], *html.REDUCTIONS[-1])["bytes"]
    limit = len(write(tmp_path).encode()) + 2000 + int(smallest * 2.5)
    monkeypatch.setattr(html, "PAGE_LIMIT_BYTES", limit)
    text = write(tmp_path, pictures=pictures)
    assert len(text.encode()) <= limit
    assert len(Parsed(text).sources()) == 2
    assert "caption 1" in text and "caption 2" not in text
    assert "the last 1 of 3 left out" in text


def test_the_promised_limit_is_below_five_megabytes():
    assert html.PAGE_LIMIT_BYTES <= 5_000_000


def test_a_picture_that_cannot_be_read_is_one_clear_error_and_no_page(tmp_path):
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n")
    for name in ("cut.png", "absent.png"):
        with pytest.raises(OutputError, match=name):
            write(tmp_path, pictures=[("p", tmp_path / name)])
    assert not (tmp_path / "report.html").exists()


def test_without_jinja_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match="the extra `report`"):
        write(tmp_path)
