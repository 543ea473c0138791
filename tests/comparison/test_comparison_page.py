"""comparison.html and its plots: what they show, that nothing comes from elsewhere, that text stays text."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from made_reports import detailed, made, written
from parsed_page import ATTACKS, Parsed
from tarsia import html
from tarsia.card import Classes
from tarsia.comparing import compare
from tarsia.comparison import Comparison, Figure, plots, svg, table
from tarsia.comparison.page import write_page
from tarsia.comparison.side_by_side import Panel
from tarsia.errors import MissingExtraError
from tarsia.plain_text import decimal

QUICK: dict[str, Any] = {"resamples": 100, "permutations": 200}


def compared(models: int = 3, text: str = "", details: bool = True, count: int = 3, domains: bool = True) -> Comparison:
    """A comparison with everything in it; `text` is in every name."""
    classes = Classes(names=tuple(f"class {k} {text}" for k in range(count)), colors=((1, 2, 3),) * count)
    reports = [
        made(
            0.9 - 0.04 * place,
            count=count,
            classes=classes,
            names=[f"picture {k} {text}" for k in range(12)],
            domains=[f"{'day' if k < 6 else 'night'} {text}" for k in range(12)] if domains else [""] * 12,
            model={"parameters": 10**6 * (place + 1), "latency_seconds": 0.1 / (place + 1)},
            protocol={"classes": list(classes.names), "dataset": f"data {text}", "tta": f"tta {place} {text}"},
            details=detailed(count=count, skill=0.9 - 0.04 * place) if details else None,
        )
        for place in range(models)
    ]
    return compare(reports, names=[f"model {place} {text}" for place in range(models)], **QUICK)


def write(folder: Path, comparison: Comparison, panels: int = 0, text: str = "") -> str:
    pictures = []
    for place in range(panels):
        path = folder / f"{place}.png"
        Image.fromarray(np.full((30, 40, 3), place, np.uint8)).save(path)
        kind = "sample" if place < 6 else "differ"
        pictures.append((Panel(kind, "x", f"panel {place} {text}", Image.new("RGB", (1, 1))), path))
    provenance = {"command": f"tarsia compare a b {text}", "versions": {"tarsia": "0.1"}}
    write_page(folder / "comparison.html", comparison, pictures, provenance)
    return (folder / "comparison.html").read_text("utf-8")


def test_the_page_shows_what_the_comparison_says(tmp_path):
    found = compared()
    found.notes.append("a note of care")
    parsed = Parsed(write(tmp_path, found, 8))
    best = found.standings[0]
    for words in (
        found.verdict().replace("  ", " "),
        "a note of care",
        f"{best.miou.value:.4f}",
        table.interval(best.miou),
        table.signed(found.pairs[0].difference.value, 3),
        "1 M",
        "100 ms",
        "3 models on data  val",
        "resampled by pictures (12)",
        "Blue: the row's model is better",
        "day ",
        "Worst against day",
        "Spread (standard deviation)",
        "boundary IoU",
        "recall, small",
        "Reliability",
        "Where they differ most",
        found.differing[0].name,
        "How they were run",
        "100 bootstrap resamples",
        "corrected for 3 tests (Holm)",
        "a1b2",
    ):
        assert " ".join(words.split()) in " ".join(parsed.text.split()), words
    assert parsed.count("img") == 8 and parsed.count("svg") == 3 + 1 + 2 + 1 + 1  # whiskers, axis, costs, bars, curve


def test_how_trainings_learned_is_drawn_where_their_runs_say_it(tmp_path):
    """A line for each run whose metrics.csv tells of two epochs; damaged ones and reports elsewhere have none."""
    tables = (
        "epoch,step,val_miou\n1,10,0.2\n2,20,\n3,30,0.5\n",
        "epoch,step,val_miou\n1,10,0.3\n",
        "epoch,step\n1,10\n2,20\n",
        "epoch,step,val_miou\nx,y,z\n",
        None,
    )
    folders = []
    for place, content in enumerate(tables):
        folders.append(written(tmp_path / f"run {place}", made(0.9 - 0.1 * place)))
        if content is not None:
            (folders[-1] / "metrics.csv").write_text(content)
    found = compare(folders, **QUICK)
    assert [one.model.curves for one in found.standings] == [(((10, 0.2), (30, 0.5)),), (), (), (), ()]
    assert found.to_json()["models"][0]["curves"] == [[[10, 0.2], [30, 0.5]]]
    parsed = Parsed(write(tmp_path, found))
    assert "a line for each training" in parsed.text and parsed.count("polyline") == 3  # and two of the costs
    without = Parsed(write(tmp_path, compare(folders[1:], **QUICK)))
    assert "a line for each training" not in without.text


def test_sections_without_content_are_left_out(tmp_path):
    found = compare([made(0.8, model={"parameters": None, "latency_seconds": None})] + [made(0.8)], **QUICK)
    parsed = Parsed(write(tmp_path, found))
    for words in ("Domains", "Borders, objects", "What a score costs", "Where they differ most", "How they were run"):
        assert words not in parsed.text, words
    assert "tarsia compare a b  --data camvid:FOLDER" in parsed.text.replace("\n", " ")
    assert parsed.count("img") == 0


@pytest.mark.parametrize(("models", "count"), [(1, 3), (2, 1), (7, 3), (20, 2), (2, 150)])
def test_any_number_of_models_and_classes(tmp_path, models, count):
    if models == 1:
        found = compared(2)
        found = Comparison(
            **{**vars(found), "standings": found.standings[:1], "pairs": [], "domains": [], "differing": []}
        )
    else:
        found = compared(models, count=count, details=False)
    parsed = Parsed(write(tmp_path, found))
    assert ("IoU of each class" in parsed.text) == (models <= 6)
    assert ("Differences in mIoU" in parsed.text) == (models > 1)
    for name in found.names:
        assert name in parsed.text
    assert all(f"class {k} " in parsed.text for k in range(min(count, 3)))


def test_everything_is_inside_the_file(tmp_path):
    text = write(tmp_path, compared(), 8)
    parsed = Parsed(text)
    sources = [attributes["src"] or "" for tag, attributes in parsed.elements if tag == "img"]
    assert all(source.startswith("data:image/") for source in sources)
    assert not re.search(r"https?://|@import|url\(", text)
    assert not {"link", "iframe", "object", "use", "image"} & {tag for tag, _ in parsed.elements}
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = next(a["content"] or "" for _, a in parsed.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert len(scripts) == 1 and f"script-src 'sha256-{digest}';" in policy and policy.startswith("default-src 'none'")


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("models", [3, 8])
def test_hostile_names_stay_text(tmp_path, attack, models):
    harmless = Parsed(write(tmp_path, compared(models, "x"), 7, "x"))
    found = compared(models, attack)
    parsed = Parsed(write(tmp_path, found, 7, attack))
    assert [tag for tag, _ in parsed.elements] == [tag for tag, _ in harmless.elements]
    names = {name for _, attributes in parsed.elements for name in attributes}
    assert names == {name for _, attributes in harmless.elements for name in attributes}
    assert not any(name.startswith("on") for name in names)
    for words in (f"model 0 {attack}", f"class 1 {attack}", f"night {attack}", f"panel 6 {attack}", f"data {attack}"):
        assert words in parsed.text, words
    assert found.differing[0].name in parsed.text and f"tta 1 {attack}" in parsed.text


def test_bars_behind_figures_have_their_length(tmp_path):
    found = compared(2, details=False)
    text = write(tmp_path, found)
    share = 100 * found.standings[0].iou[0].value
    assert f"linear-gradient(90deg, {plots.color_of(0)}38 {share:.1f}%, transparent {share:.1f}%)" in text


def test_an_absent_class_is_a_dash_with_its_reason(tmp_path):
    reports = []
    for skill in (0.8, 0.7):
        report = made(skill)
        report.counts_NKK1[:, 2] = 0
        report.counts_NKK1[:, :, 3] += report.counts_NKK1[:, :, 2]  # predicted as ignored instead
        report.counts_NKK1[:, :, 2] = 0
        reports.append(report)
    parsed = Parsed(write(tmp_path, compare(reports, **QUICK)))
    titles = [attributes.get("title") for tag, attributes in parsed.elements if tag == "td"]
    assert titles.count("absent: neither in the truth nor predicted") == 2
    assert not re.search(r"\bnan\b", parsed.text)


def test_the_matrix_is_blue_for_better_red_for_worse_and_plain_for_neither(tmp_path):
    found = compare([made(0.9), made(0.6), made(0.6, seed=1)], names=["a", "b", "c"], **QUICK)
    assert [pair.different for pair in found.pairs] == [True, True, False]
    text = write(tmp_path, found)
    matrix = re.search(r'<table class="matrix models">(.*?)</table>', text, re.DOTALL)
    assert matrix is not None
    styles = re.findall(r"<td(?: style=\"([^\"]*)\")?", matrix[1])
    kinds = ["blue" if "31 111 235" in style else "red" if "217 72 15" in style else "" for style in styles]
    assert kinds == ["", "blue", "blue", "red", "", "", "red", "", ""]


def test_a_page_with_too_many_pictures_is_reduced_and_says_so(tmp_path, monkeypatch):
    found = compared(2, details=False)
    monkeypatch.setattr(html, "PAGE_LIMIT_BYTES", len(write(tmp_path, found).encode()) + 7000)
    text = write(tmp_path, found, 8)
    assert len(text.encode()) <= html.PAGE_LIMIT_BYTES and "left out to stay under 5 MB" in text
    assert Parsed(text).count("img") < 8 and "panel 0" in text


def test_without_jinja_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match="the extra `report`"):
        write(tmp_path, compared(2, details=False))


# Plots.


@pytest.mark.parametrize("number", [1, 2, 8, 20])
def test_names_in_a_scatter_are_neither_on_each_other_nor_outside(number):
    random = np.random.default_rng(number)
    frame = svg.Box(50, 14, 1000, 420)
    points = [
        (float(x), float(y))
        for x, y in zip(random.uniform(60, 990, number), random.uniform(30, 400, number), strict=True)
    ]
    points[: number // 2] = [(700.0, 200.0 + 3 * k) for k in range(number // 2)]  # a crowd
    taken = [svg.Box(x - 7, y - 7, x + 7, y + 7) for x, y in points]
    widths = [float(width) for width in random.uniform(40, 150, number)]
    boxes = plots.placed(widths, taken, frame)
    for k, box in enumerate(boxes):
        assert box.right - box.left == pytest.approx(widths[k])
        assert (
            frame.left <= box.left and box.right <= frame.right and frame.top <= box.top and box.bottom <= frame.bottom
        )
        assert all(box.overlap(other) < 1 for other in [*boxes[:k], *taken])


def test_overlap_is_the_common_area():
    box = svg.Box(0, 0, 10, 4)
    assert box.overlap(svg.Box(6, 2, 20, 20)) == 8
    assert box.overlap(svg.Box(11, 0, 12, 4)) == 0 and box.overlap(svg.Box(0, 5, 10, 6)) == 0


def test_the_front_is_what_none_beats():
    points = [(3.0, 0.5), (1.0, 0.4), (2.0, 0.4), (5.0, 0.45), (4.0, 0.7), (1.0, 0.3), (4.0, 0.6)]
    found = plots.front(points)
    slow = [
        k
        for k, (cost, score) in enumerate(points)
        if not any((c <= cost and s >= score and (c, s) != (cost, score)) for c, s in points)
    ]
    assert sorted(found) == sorted(slow) == [0, 1, 4]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.65, 0.7), (0.15, 0.75), (0.95, 1.0), (0.0, 0.05)])
def test_ticks_are_round_and_within(low, high):
    found = svg.ticks(low, high, 6)
    assert 2 <= len(found) <= 7 and low <= found[0] and found[-1] <= high
    steps = np.diff(found)
    assert steps == pytest.approx(steps[0]) and all(value == float(f"{value:.3g}") for value in found)


def test_limits_hold_all_intervals_and_are_never_empty():
    nothing = math.nan
    assert plots.limits([Figure(0.5, nothing, nothing)]) == pytest.approx((0.45, 0.55))
    assert plots.limits([Figure(0.0, nothing, nothing)]) == pytest.approx((0.0, 0.05))
    assert plots.limits([Figure(1.0, 1.0, 1.0)]) == pytest.approx((0.95, 1.0))
    low, high = plots.limits([Figure(0.5, 0.42, 0.55), Figure(0.6, 0.58, 0.66)])
    assert low <= 0.42 and high >= 0.66 and (low, high) == pytest.approx((0.4, 0.7))


def test_plots_of_strange_values_are_whole():
    """A single point, equal costs, no interval, no calibrated pixel."""
    nothing = math.nan
    one = plots.Point("a" * 80, 1e6, Figure(0.5, nothing, nothing), "#000")
    for points in ([one], [one, one._replace(x=1e6)], [one, one._replace(x=3e9, miou=Figure(0.9, 0.8, 0.95))]):
        drawn = plots.scatter(points, "parameters")
        assert drawn.count("<circle") == len(points) and "nan" not in drawn and "…" in drawn
    empty = np.array([[0.0, nothing, nothing], [1.0, 0.75, 0.5]])
    curves = [((10, 0.2), (20, 0.4)), ((10, 0.3), (20, 0.3))]
    drawn = plots.learning([("a", "#000", curves), ("b <", "#fff", curves[:1])])
    assert drawn.count("<polyline") == 3 and "b &lt;: 0.4000 after 20 steps" in drawn and "nan" not in drawn
    assert plots.reliability([("a", "#000", empty)]).count("<circle") == 1
    assert "absent" in plots.class_bars(["x"], [("m", "#000", [Figure(nothing, nothing, nothing)])])


# Figures as text.


def test_figures_as_text():
    nothing = math.nan
    assert decimal(0.12345) == "0.1235" and decimal(None) == "-"
    assert decimal(nothing) == "-" and table.signed(-0.5, 2) == "-0.50"
    assert table.interval(Figure(0.5, 0.25, 0.75)) == "[0.250, 0.750]"
    assert table.interval(Figure(0.5, nothing, nothing)) == "-"
    assert [table.p_value(p) for p in (1.0, 0.0123, 0.0001, 0.00001)] == [
        "1.0000",
        "0.0123",
        "0.0001",
        "<0.0001",
    ]
    amounts = {
        ("parameters", 34_500_000): "34.5 M",
        ("multiply_adds", 2_770_452_736): "2.77 G",
        ("parameters", 7): "7",
        ("latency_seconds", 0.0449): "44.9 ms",
        ("latency_seconds", 2.5): "2.5 s",
        ("peak_memory_bytes", 2**30): "1.00 GiB",
        ("peak_memory_bytes", 5 * 2**20): "5 MiB",
        ("parameters", None): "-",
    }
    for (key, value), text in amounts.items():
        assert table.amount(key, value) == text


@pytest.mark.parametrize(("text", "width", "short"), [
    ("attention_fcn-no-skips", 22, "attention_fcn-no-skips"),
    ("attention_fcn-no-skips", 15, "attenti…o-skips"),
    ("漢字漢字漢字", 8, "漢字…字"),
    ("abc", 2, "a…"),
])  # fmt: skip
def test_names_lose_their_middle(text, width, short):
    from rich.cells import cell_len

    found = table.cut(text, width)
    assert cell_len(found) <= width
    assert found == short or not text.isascii()
