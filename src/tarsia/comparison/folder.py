"""A comparison's folder: comparison.json, .csv, .tex, pairs.csv, pictures and the page."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tarsia import environment, files, html
from tarsia.comparison import Comparison, Standing
from tarsia.comparison import table as words
from tarsia.comparison.side_by_side import Panel
from tarsia.plain_text import decimal, plain

_FACTS = ("parameters", "multiply_adds", "latency_seconds", "peak_memory_bytes")
_TEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


def write_folder(out: Path, comparison: Comparison, panels: Sequence[Panel] = ()) -> None:
    """Write all of a comparison into `out`; the page is left out, and said, where jinja2 is missing."""
    from tarsia.comparison.page import write_page

    record = {**comparison.to_json(), "provenance": environment.describe()}
    files.write_json(out / "comparison.json", record)
    files.write_text(out / "comparison.csv", _csv([_row(one, comparison) for one in comparison.standings]))
    files.write_text(out / "pairs.csv", _csv(list(_pair_rows(record))))
    files.write_text(out / "comparison.tex", tex(comparison))
    paths = html.save_pictures(out / "pictures", [(panel.kind, panel.name, panel.picture) for panel in panels])
    with html.left_out(page := out / "comparison.html"):
        write_page(page, comparison, list(zip(panels, paths, strict=True)), record["provenance"])


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with the same keys -> CSV with a heading; what is None or NaN is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if rows:
        writer.writerow(rows[0])
    for row in rows:
        writer.writerow("" if value is None or value != value else value for value in row.values())
    return text.getvalue()


def _row(one: Standing, comparison: Comparison) -> dict[str, Any]:
    place = comparison.standings.index(one)
    details = sorted({key for other in comparison.standings for key in other.details})
    return {
        "model": one.name,
        "miou": one.miou.value,
        "low": one.miou.low,
        "high": one.miou.high,
        "group": one.letters,
        "pixel_accuracy": one.pixel_accuracy,
        "mpa": one.mpa,
        **{key: one.model.facts.get(key) for key in _FACTS},
        "trainings": len(one.model.mious),
        "mean_miou": one.mean,
        "deviation": one.deviation,
        **{key: one.details[key].value if key in one.details else None for key in details},
        **{key: one.model.settings.get(key) for key in comparison.settings},
        **{
            f"iou {name}": figure.value for name, figure in zip(comparison.pictures.classes.names, one.iou, strict=True)
        },
        **{f"miou in {domain.name}": domain.miou[place].value for domain in comparison.domains},
        **{f"miou of fold {fold.name}": fold.miou[place].value for fold in comparison.folds},
    }


def _pair_rows(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "first": pair["first"],
            "second": pair["second"],
            "difference": pair["difference"]["value"],
            "low": pair["difference"]["low"],
            "high": pair["difference"]["high"],
            "seeds": pair["seeds"],
            "over_seeds": pair["over_seeds"]["value"],
            "over_seeds_low": pair["over_seeds"]["low"],
            "over_seeds_high": pair["over_seeds"]["high"],
            **{key: pair[key] for key in ("p", "p_holm", "different")},
        }
        for pair in record["pairs"]
    ]


def tex(comparison: Comparison) -> str:
    """The leaderboard as a LaTeX tabular for the package booktabs, the best mIoU bold, groups as superscripts."""
    best = decimal(comparison.standings[0].miou.value)
    columns = [column for column in words.columns(comparison) if column.heading != "group"]
    lines = []
    for one in comparison.standings:
        cells = [escaped(column.cell(one)) for column in columns]
        value = f"\\textbf{{{cells[0]}}}" if cells[0] == best else cells[0]
        group = f"$^{{\\mathrm{{{escaped(one.letters)}}}}}$" if comparison.pairs else ""
        lines.append(" & ".join([escaped(one.name), f"{value}{group}", *cells[1:]]) + r" \\")
    remark = " ".join(
        f"{comparison.verdict()} Over {comparison.blocks.description}; same letter: not told apart.".split()
    )
    return "\n".join(
        [
            f"% {plain(remark)}",
            r"% \usepackage{booktabs}",
            f"\\begin{{tabular}}{{l{'r' * len(columns)}}}",
            r"\toprule",
            " & ".join(["Model", *(escaped(column.heading) for column in columns)]) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def escaped(text: str) -> str:
    """`text` so that LaTeX prints it as it is, in one line."""
    text = plain(" ".join(text.split())).replace("±", "\0")
    return "".join(_TEX.get(character, character) for character in text).replace("\0", r"$\pm$")
