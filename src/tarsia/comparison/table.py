"""A comparison as tables for a terminal of any width, and how its figures are written everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich import box
from rich.cells import cell_len
from rich.console import Group

from tarsia.comparison import Comparison, Domain, Figure, Standing, spread, worst
from tarsia.comparison.claims import LEAST
from tarsia.console import Table, stack
from tarsia.evaluation.details import FIGURES
from tarsia.plain_text import decimal

INTERVAL = 1  # the importance of the interval's column
_SHORTEST_NAME = 16  # columns are left out before names are cut further
_GAP = 3  # between columns
_PAIRS, _DOMAINS, _PICTURES = 15, 30, 5  # rows shown at most
_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


class Column(NamedTuple):
    """A figure of each model: its heading, how a standing shows it, and its importance (0 is kept longest)."""

    heading: str
    cell: Callable[[Standing], str]
    importance: int


def signed(value: float, digits: int = 4) -> str:
    """A difference as text, with its sign."""
    return "-" if math.isnan(value) else f"{value:+.{digits}f}"


def interval(figure: Figure, digits: int = 3) -> str:
    """A confidence interval as text, - where there is none."""
    return "-" if math.isnan(figure.low) else f"[{figure.low:.{digits}f}, {figure.high:.{digits}f}]"


def p_value(p: float) -> str:
    return "<0.0001" if p < 0.00005 else f"{p:.4f}"


def amount(key: str, value: float | None) -> str:
    """Parameters, multiply-adds, seconds or bytes with their unit, - where not known."""
    if value is None:
        return "-"
    if key.endswith("_bytes"):
        return f"{value / 2**30:.2f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"
    if key.endswith("_seconds"):
        return f"{1000 * value:.3g} ms" if value < 1 else f"{value:.3g} s"
    return in_thousands(value)


def in_thousands(value: float) -> str:
    """A number as `31.4 M`, three digits of it."""
    size, unit = next(((size, unit) for size, unit in _UNITS if value >= size), (1.0, ""))
    return f"{value / size:.3g} {unit}".strip()


def seeds(standing: Standing) -> str:
    """Mean and standard deviation over a model's trainings; of a single one only that it is one."""
    count = len(standing.model.mious)
    return "1" if count == 1 else f"{decimal(standing.mean)} ± {decimal(standing.deviation)} ({count})"


def columns(comparison: Comparison) -> list[Column]:
    """The leaderboard's columns after the name."""
    facts = (
        ("parameters", "params", 4),
        ("multiply_adds", "mult-adds", 8),
        ("latency_seconds", "latency", 5),
        ("peak_memory_bytes", "memory", 9),
    )
    found = [
        Column("mIoU", lambda one: decimal(one.miou.value), 0),
        Column(f"{100 * comparison.sampling.level:g} % interval", lambda one: interval(one.miou), INTERVAL),
        Column("group", lambda one: one.letters, 2),
        Column("PA", lambda one: decimal(one.pixel_accuracy, 3), 6),
        Column("MPA", lambda one: decimal(one.mpa, 3), 7),
    ]
    for key, heading, importance in facts:
        if any(one.model.facts.get(key) is not None for one in comparison.standings):
            found.append(Column(heading, _fact(key), importance))
    if any(len(one.model.mious) > 1 for one in comparison.standings):
        found.append(Column("seeds: mean ± sd (n)", seeds, 3))
    return found


def _fact(key: str) -> Callable[[Standing], str]:
    return lambda one: amount(key, one.model.facts.get(key))


def settings(comparison: Comparison) -> list[list[str]]:
    """How each model was run, in the order of `comparison.settings`."""
    return [[one.model.settings.get(key, "not stated") for key in comparison.settings] for one in comparison.standings]


def tables(comparison: Comparison, width: int) -> list[Group]:
    """Leaderboard, claims, tests, classes, domains, details and pictures, each at most `width` characters wide."""
    found = [_leaderboard(comparison, width), _classes(comparison, width)]
    if comparison.pairs:
        found.insert(1, _pairs(comparison, width))
    if comparison.claims:
        found.insert(1, _claims(comparison, width))
    if comparison.folds:
        found.append(_folds(comparison, width))
    if comparison.domains and not comparison.domains_are_folds:
        found.append(_domains(comparison, width))
    if any(one.details for one in comparison.standings):
        found.append(_details(comparison, width))
    if comparison.differing:
        found.append(_differing(comparison, width))
    if comparison.settings:
        found.append(_settings(comparison))
    return found


def _leaderboard(comparison: Comparison, width: int) -> Group:
    cells = [
        (column.heading, [column.cell(one) for one in comparison.standings], column.importance)
        for column in columns(comparison)
    ]
    caption = (
        f"Intervals and tests over {comparison.blocks.description}.  Models that share a letter of their group cannot "
        "be told apart."
    )
    title = f"{len(comparison.pictures.names)} images"
    return _fitted(title, "model", _numbered(comparison), cells, width, caption)


def _numbered(comparison: Comparison) -> list[str]:
    return [f"{place} {name}" for place, name in enumerate(comparison.names, 1)]


def claim_rows(comparison: Comparison) -> list[list[str]]:
    """Of each claim its words, verdict, difference, both intervals, and how many pairs of trainings there are."""
    return [
        [
            one.claim.says,
            one.verdict,
            signed(one.over_seeds.value),
            interval(one.over_seeds),
            interval(one.over_pictures),
            str(len(one.differences)),
        ]
        for one in comparison.claims
    ]


def how_claims_are_judged(comparison: Comparison) -> str:
    level, count = f"{100 * comparison.sampling.level:g} %", len(comparison.claims)
    several = f"  Each of the {count} is judged by itself." if count > 1 else ""
    return (
        f"A claim holds where two {level} intervals lie above what it says: that of the differences by seed (Student's "
        "t), and that over pictures.  It does not hold where both lie below.  All else is undecided, as are fewer than "
        f"{LEAST} seeds.{several}"
    )


def _claims(comparison: Comparison, width: int) -> Group:
    rows = claim_rows(comparison)
    headings = ("verdict", "difference", "over seeds", "over pictures", "n")
    cells = [(heading, [row[k] for row in rows], k) for k, heading in enumerate(headings, 1)]
    method = how_claims_are_judged(comparison)
    return _fitted("Claims", "claim", [row[0] for row in rows], cells, width, method, "comparison.json")


def _pairs(comparison: Comparison, width: int) -> Group:
    shown = comparison.pairs[:_PAIRS]
    names = _numbered(comparison)
    half = max(_SHORTEST_NAME, (width - 58) // 2)  # what the figures leave for two names
    rows = [f"{cut(names[pair.first], half)} - {cut(names[pair.second], half)}" for pair in shown]
    cells = [
        ("mIoU", [signed(pair.difference.value) for pair in shown], 0),
        ("interval", [interval(pair.difference) for pair in shown], 3),
        ("p", [p_value(pair.p) for pair in shown], 4),
        ("p, Holm", [f"{p_value(pair.p_holm)}{' *' if pair.different else '  '}" for pair in shown], 1),
    ]
    if several := any(pair.seeds > 1 for pair in comparison.pairs):
        cells.append(("over seeds", [interval(pair.over_seeds) for pair in shown], 2))
    more = len(comparison.pairs) - len(shown)
    tests = len(comparison.pairs)
    corrected = f", corrected for {tests} tests" if tests > 1 else ""
    caption = f"* differ at the {100 * comparison.sampling.alpha:g} % level{corrected}."
    caption += "  Over seeds: Student's interval of the differences by seed." if several else ""
    caption += f"  {more} more pairs: pairs.csv." if more else ""
    return _fitted("Differences", "pair", rows, cells, width, caption, "pairs.csv")


def _classes(comparison: Comparison, width: int) -> Group:
    standings = enumerate(comparison.standings)
    cells = [(str(k + 1), [decimal(figure.value, 3) for figure in one.iou], k) for k, one in standings]
    return _fitted("IoU of the classes", "class", comparison.pictures.classes.names, cells, width, "")


def _folds(comparison: Comparison, width: int) -> Group:
    rows, columns = _by_domain(comparison, comparison.folds)
    remark = "Images in brackets; each fold is scored by the models that were not trained on it."
    return _fitted("mIoU by fold", "fold", rows, columns, width, remark + _more(comparison.folds, "folds"))


def _domains(comparison: Comparison, width: int) -> Group:
    rows, columns = _by_domain(comparison, comparison.domains)
    for k, (_, cells, _) in enumerate(columns):
        gaps = [comparison.gap(domain, k) for domain in comparison.domains]
        cells.append(signed(-max((gap for gap in gaps if not math.isnan(gap)), default=math.nan), 3))
    remark = f"Images in brackets; gap to {comparison.reference_domain}.{_more(comparison.domains, 'domains')}"
    return _fitted("mIoU by domain", "domain", [*rows, "largest gap"], columns, width, remark)


def _by_domain(comparison: Comparison, domains: Sequence[Domain]) -> tuple[list[str], list[tuple[str, list[str], int]]]:
    """A row for each domain (or fold) that is shown, and two that sum up all; a column for each model."""
    shown = domains[:_DOMAINS]
    columns = []
    for k in range(len(comparison.standings)):
        values = [domain.miou[k].value for domain in (*shown, worst(domains, k))]
        columns.append((str(k + 1), [decimal(value, 3) for value in (*values, spread(domains, k))], k))
    return [*(f"{domain.name} ({domain.images})" for domain in shown), "worst", "spread (sd)"], columns


def _more(domains: Sequence[Domain], what: str) -> str:
    more = len(domains) - _DOMAINS
    return f"  {more} more {what}: comparison.json." if more > 0 else ""


def _details(comparison: Comparison, width: int) -> Group:
    cells = []
    for importance, (key, one) in enumerate(FIGURES.items()):
        if any(key in standing.details for standing in comparison.standings):
            figures = [standing.details.get(key) for standing in comparison.standings]
            values = [decimal(figure.value if figure else None, 3) for figure in figures]
            cells.append((one.words.replace(" ", "\n"), values, importance))
    caption = "Recall: share of the objects of which more than half the pixels are right.  ECE: less is better."
    return _fitted("Borders, objects, calibration", "model", _numbered(comparison), cells, width, caption)


def _differing(comparison: Comparison, width: int) -> Group:
    shown = comparison.differing[:_PICTURES]
    cells = [(str(k + 1), [decimal(one.miou[k], 3) for one in shown], k) for k in range(len(comparison.standings))]
    return _fitted("mIoU of the pictures they differ most on", "picture", [one.name for one in shown], cells, width, "")


def _fitted(
    title: str,
    first: str,
    names: Sequence[str],
    cells: Sequence[tuple[str, list[str], int]],
    width: int,
    caption: str,
    file: str = "comparison.csv",
) -> Group:
    """A table at most `width` wide: the least important columns are left out, which its caption says (`file` has all);
    names are cut.
    """
    longest = max(map(cell_len, [first, *names]))
    room = width - min(longest, _SHORTEST_NAME) - _GAP
    kept = set()
    for heading, values, _ in sorted(cells, key=lambda column: column[2]):
        needed = max(map(cell_len, [*heading.split("\n"), *values])) + _GAP
        if needed > room:
            continue
        room -= needed
        kept.add(heading)
    left = [" ".join(heading.split()) for heading, _, _ in cells if heading not in kept]
    if left:
        many = f"{', '.join(left[:6])}{' ...' if len(left) > 6 else ''}"
        caption += f"  Not shown in {width} characters: {many} ({file} has all)."
    shown = _table()
    shown.add_column(first, no_wrap=True)
    columns_kept = [(heading, values) for heading, values, _ in cells if heading in kept]
    for heading, _ in columns_kept:
        shown.add_column(heading, justify="right", no_wrap=True)
    for row, name in enumerate(names):
        name = cut(name, min(longest, _SHORTEST_NAME) + room)
        shown.add_row(name, *(values[row] for _, values in columns_kept))
    return stack(title, shown, caption.strip())


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, padding=(0, _GAP - 1, 0, 0), pad_edge=False, show_edge=False)


def _settings(comparison: Comparison) -> Group:
    shown = _table()
    for heading in ("model", *comparison.settings):
        shown.add_column(heading)
    for name, values in zip(_numbered(comparison), settings(comparison), strict=True):
        shown.add_row(name, *values)
    return stack("How they were run", shown)


def cut(text: str, width: int) -> str:
    """`text`, with dots for its middle where it is wider than `width` characters: names often differ at their end."""
    if cell_len(text) <= width:
        return text
    head, tail = text[: len(text) // 2], text[len(text) // 2 :]
    while cell_len(head) + cell_len(tail) > width - 1:
        head, tail = (head[:-1], tail) if cell_len(head) > cell_len(tail) else (head, tail[1:])
    return f"{head}…{tail}"
