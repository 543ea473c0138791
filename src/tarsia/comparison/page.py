"""A comparison as one HTML file that needs nothing but itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tarsia import formerly, html
from tarsia.comparison import Comparison, Domain, Figure, Pair, Standing, plots, spread, worst
from tarsia.comparison import table as words
from tarsia.comparison.side_by_side import Panel
from tarsia.evaluation.details import FIGURES
from tarsia.plain_text import decimal, number, quoted

_BARS = 6  # models up to which bars stand side by side; the table shows more
_FOLDED = 40  # classes from which on the bars wait to be opened
_WIDE = 8  # models from which on a plot takes the whole width
_COSTS = (
    ("latency_seconds", "Latency", "milliseconds a picture", 1000.0),
    ("parameters", "Parameters", "parameters", 1.0),
)


def write_page(
    path: Path, comparison: Comparison, pictures: Sequence[tuple[Panel, Path]], provenance: Mapping[str, Any]
) -> None:
    """A comparison -> one self-contained HTML page under 5 MB, readable without JavaScript.

    `pictures` (panel, file) go in as data URIs, reduced where the page would be too large.  All text is escaped, and a
    content security policy lets no script run but the page's own.  Raises MissingExtraError without jinja2, OutputError
    where a picture cannot be read or the page not written.
    """
    values = {
        "title": _title(comparison),
        "facts": _facts(comparison),
        "verdict": comparison.verdict(),
        "notes": comparison.notes,
        "method": _method(comparison),
        "models": [{"name": name, "color": plots.color_of(k)} for k, name in enumerate(comparison.names)],
        "numbered": len(comparison.names) > _BARS,
        "claims": _claims(comparison),
        "board": _board(comparison),
        "settings": {"headings": comparison.settings, "rows": words.settings(comparison)},
        "matrix": _matrix(comparison),
        "costs": _costs(comparison),
        "learning": _learning(comparison),
        "classes": _classes(comparison),
        "folds": _folds(comparison),
        "domains": None if comparison.domains_are_folds else _domains(comparison),
        "details": _details(comparison),
        "differing": [
            {"name": one.name, "cells": [decimal(value, 3) for value in one.miou]} for one in comparison.differing
        ],
        "swatches": [
            {"name": name, "color": ", ".join(map(str, color))}
            for name, color in zip(comparison.pictures.classes.names, comparison.pictures.classes.colors, strict=True)
        ],
        "samples": sum(panel.kind == "sample" for panel, _ in pictures),  # the first of the pictures
        "how_to": _how_to_draw(comparison, provenance),
        "protocol": html.in_words(comparison.pictures.protocol),
        "provenance": html.in_words(provenance),
        "version": formerly.version_of(provenance.get("versions") or {}),
    }
    html.write_page(
        path, "tarsia.comparison", values, pictures=[(panel.caption, file) for panel, file in pictures], sorts=True
    )


def _title(comparison: Comparison) -> str:
    protocol, count = comparison.pictures.protocol, len(comparison.names)
    data = " ".join(str(protocol[key]) for key in ("dataset", "split") if protocol.get(key))
    return f"{number(count, 'model')}{f' on {data}' if data else ''}"


def _facts(comparison: Comparison) -> list[str]:
    classes, images = len(comparison.pictures.classes), len(comparison.pictures.names)
    return [
        number(classes, "class", "classes"),
        number(images, "image"),
        f"resampled by {comparison.blocks.description}",
    ]


def _method(comparison: Comparison) -> str:
    sampling = comparison.sampling
    tests = len(comparison.pairs)
    return (
        f"Intervals hold {100 * sampling.level:g} % and come from {sampling.resamples:,} bootstrap resamples of "
        f"{comparison.blocks.description}.  Each pair is tested by swapping the two models' answers on the same "
        f"blocks, up to {sampling.permutations:,} times; p values are corrected for "
        f"{number(tests, 'test')} (Holm), and a difference counts at the {100 * sampling.alpha:g} % "
        "level.  Both speak of other pictures of this kind, for these very trainings: whether another seed of a recipe "
        "would stand where this one does, only several seeds show."
    )


def _board(comparison: Comparison) -> dict[str, Any]:
    low, high = plots.limits([one.miou for one in comparison.standings])
    # The interval stands below the mIoU here.
    columns = [column for column in words.columns(comparison) if column.importance != words.INTERVAL]
    rows = [
        {
            "name": one.name,
            "color": plots.color_of(k),
            "members": one.model.members if len(one.model.members) > 1 else (),
            "whisker": plots.whisker(one.miou, low, high, plots.color_of(k)),
            "interval": words.interval(one.miou),
            "cells": [column.cell(one) for column in columns],
        }
        for k, one in enumerate(comparison.standings)
    ]
    return {
        "headings": [column.heading for column in columns],
        "rows": rows,
        "axis": plots.whisker_axis(low, high),
        "same": "Models that share a letter of their group cannot be told apart." if comparison.pairs else "",
    }


def _claims(comparison: Comparison) -> dict[str, Any] | None:
    if not comparison.claims:
        return None
    rows = [
        {
            "source": one.claim.source,
            "about": f"{one.better} less {one.than}, {one.figure}",
            "more": f"more than {one.claim.by:g}" if one.claim.by else "",
            "cells": cells,
        }
        for one, cells in zip(comparison.claims, words.claim_rows(comparison), strict=True)
    ]
    return {"rows": rows, "method": words.how_claims_are_judged(comparison)}


def _matrix(comparison: Comparison) -> list[list[dict[str, str]]]:
    """Row less column; blue where the row is better beyond chance, red where it is worse, pale where neither."""
    count = len(comparison.names)
    largest = max((abs(pair.difference.value) for pair in comparison.pairs), default=0.0) or 1.0
    cells = [[{"text": "", "title": "", "style": ""} for _ in range(count)] for _ in range(count)]
    for pair in comparison.pairs:
        for row, column, sign in ((pair.first, pair.second, 1), (pair.second, pair.first, -1)):
            cells[row][column] = _matrix_cell(pair, sign, largest, comparison.names[row], comparison.names[column])
    return cells


def _matrix_cell(pair: Pair, sign: int, largest: float, row: str, column: str) -> dict[str, str]:
    ends = sorted(sign * value for value in pair.difference[1:])
    strength = 0.18 + 0.62 * abs(pair.difference.value) / largest
    hue = "31 111 235" if sign > 0 else "217 72 15"
    said = f"{row} less {column}: {words.interval(Figure(0.0, *ends), 4)}, p {words.p_value(pair.p)}"
    return {
        "text": words.signed(sign * pair.difference.value, 3),
        "title": f"{said}, corrected {words.p_value(pair.p_holm)}{_of_seeds(pair, sign)}",
        "style": f"background:rgb({hue} / {strength:.2f})" if pair.different else "color:var(--soft)",
    }


def _of_seeds(pair: Pair, sign: int) -> str:
    if pair.seeds < 2:
        return ""
    ends = sorted(sign * end for end in pair.over_seeds[1:])
    return f"; over {pair.seeds} seeds {words.interval(Figure(0.0, *ends), 4)}"


def _costs(comparison: Comparison) -> list[dict[str, str]]:
    found = []
    wide = len(comparison.names) > _WIDE
    for key, title, label, factor in _COSTS:
        points = [
            plots.Point(one.name, factor * one.model.facts[key], one.miou, plots.color_of(k))
            for k, one in enumerate(comparison.standings)
            if one.model.facts.get(key)
        ]
        if len(points) > 1:
            drawn = plots.scatter(points, label, *((1040, 460) if wide else (520, 380)))
            left = len(comparison.names) - len(points)
            missing = f"{number(left, 'model')} without this figure" if left else ""
            found.append({"title": f"mIoU and {title.lower()}", "svg": drawn, "missing": missing})
    return found


def _learning(comparison: Comparison) -> str:
    models = [(one.name, plots.color_of(k), one.model.curves) for k, one in enumerate(comparison.standings)]
    learned = [one for one in models if one[2]]
    return plots.learning(learned, 760, 400) if learned else ""


def _classes(comparison: Comparison) -> dict[str, Any]:
    names, standings = comparison.pictures.classes.names, comparison.standings
    bars = ""
    if len(standings) <= _BARS:
        bars = plots.class_bars(names, [(one.name, plots.color_of(k), one.iou) for k, one in enumerate(standings)])
    rows = []
    for k, name in enumerate(names):
        values = [one.iou[k].value for one in standings]
        best = max((value for value in values if not math.isnan(value)), default=math.nan)
        cells = [_class_cell(one, k, place, best) for place, one in enumerate(standings)]
        rows.append({"name": name, "color": ", ".join(map(str, comparison.pictures.classes.colors[k])), "cells": cells})
    return {"bars": bars, "folded": len(names) > _FOLDED, "rows": rows}


def _class_cell(one: Standing, k: int, place: int, best: float) -> dict[str, Any]:
    figure = one.iou[k]
    if math.isnan(figure.value):
        return {"text": "–", "sort": -1, "title": "absent: neither in the truth nor predicted", "style": ""}
    width, color = 100 * figure.value, plots.color_of(place)
    bar = f"background:linear-gradient(90deg, {color}38 {width:.1f}%, transparent {width:.1f}%)"
    strong = ";font-weight:650" if figure.value == best and best >= 0.0005 else ""
    title = words.interval(figure)
    return {"text": f"{figure.value:.3f}", "sort": figure.value, "title": title, "style": bar + strong}


def _folds(comparison: Comparison) -> dict[str, Any] | None:
    if not comparison.folds:
        return None
    spreads = [decimal(spread(comparison.folds, k), 3) for k in range(len(comparison.names))]
    return {"rows": _by_domain(comparison.folds), "spreads": spreads}


def _domains(comparison: Comparison) -> dict[str, Any] | None:
    domains, places = comparison.domains, range(len(comparison.names))
    if not domains:
        return None
    against = f"against {comparison.reference_domain}"
    rows = _by_domain(domains)
    for row, domain in zip(rows, domains, strict=True):
        row["reference"] = domain.name == comparison.reference_domain
        for k, cell in enumerate(row["cells"]):
            cell["title"] = f"{words.signed(-comparison.gap(domain, k), 3)} {against}"
    lowest = [worst(domains, k) for k in places]
    summary = [
        ("Worst", [(decimal(one.miou[k].value, 3), one.name) for k, one in enumerate(lowest)]),
        (f"Worst {against}", [(words.signed(-comparison.gap(one, k), 3), "") for k, one in enumerate(lowest)]),
        ("Spread (standard deviation)", [(decimal(spread(domains, k), 3), "") for k in places]),
    ]
    return {"rows": rows, "summary": summary, "reference": comparison.reference_domain}


def _by_domain(domains: Sequence[Domain]) -> list[dict[str, Any]]:
    """A row for each domain (or fold), with a cell for each model."""
    lowest = [worst(domains, k) for k in range(len(domains[0].miou))]
    return [
        {
            **{key: getattr(one, key) for key in ("name", "images", "blocks", "classes")},
            "cells": [
                {"text": decimal(figure.value, 3), "small": words.interval(figure), "worst": lowest[k] is one}
                for k, figure in enumerate(one.miou)
            ],
        }
        for one in domains
    ]


def _details(comparison: Comparison) -> dict[str, Any] | None:
    standings = comparison.standings
    keys = [key for key in FIGURES if any(key in one.details for one in standings)]
    if not keys:
        return None
    rows = [[_detail_cell(one.details.get(key)) for key in keys] for one in standings]
    curves = [
        (one.name, plots.color_of(k), one.reliability) for k, one in enumerate(standings) if one.reliability is not None
    ]
    return {
        "headings": [FIGURES[key].words for key in keys],
        "rows": rows,
        "reliability": plots.reliability(curves) if curves else "",
    }


def _detail_cell(figure: Figure | None) -> dict[str, str]:
    if figure is None or math.isnan(figure.value):
        return {"text": "–", "small": ""}
    return {"text": decimal(figure.value, 3), "small": words.interval(figure)}


def _how_to_draw(comparison: Comparison, provenance: Mapping[str, Any]) -> str:
    """The command that made this page, with the option that draws pictures."""
    dataset = comparison.pictures.protocol.get("dataset") or "NAME"
    command = str(provenance.get("command") or "")
    start = command if command.startswith("tarsia compare") else "tarsia compare RUN_OR_REPORT..."
    return " ".join([start, "--data", quoted(f"{dataset}:FOLDER")])
