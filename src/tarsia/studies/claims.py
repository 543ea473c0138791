"""The claims of a study: which of them a comparison can judge, and the card that says what came of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tarsia import environment, files
from tarsia.comparison import Comparison
from tarsia.comparison.claims import Claim, Judged
from tarsia.comparison.table import how_claims_are_judged, interval, signed
from tarsia.plain_text import listed, number
from tarsia.studies.run_state import run_folder, seconds_taken
from tarsia.studies.schema import Evaluation, Run
from tarsia.studies.study import Study

CARD = "claims.md"
_HEADINGS = ("claim", "verdict", "experiment", "difference", "over seeds", "over pictures", "cost")


class Answered(NamedTuple):
    """What came of the study's claim at `place`, and the comparison that says so."""

    place: int
    judged: Judged
    comparison: Comparison


def about(study: Study, evaluation: Evaluation | None, names: Mapping[str, str]) -> dict[int, Claim]:
    """The claims on these pictures about models that are all there, by their places in the study.

    `names`: what one of each label's reports is called in the comparison, and so in the claim that is returned.
    """
    on = evaluation.name if evaluation else None
    return {
        place: claim.model_copy(update={"better": names[claim.better], "than": names[claim.than]})
        for place, claim in enumerate(study.claims)
        if claim.on == on and {claim.better, claim.than} <= names.keys()
    }


def write_card(folder: Path, study: Study, finished: Sequence[Run], answered: Sequence[Answered]) -> Path:
    """claims.md: each claim of the study in one line, judged or not; where it is."""
    found = {one.place: one for one in answered}
    facts = environment.describe()
    lines = [f"# Claims of {study.name}", ""]
    lines += [f"`{facts['command']}`, {facts['processor']}, commit {facts['commit']}, {facts['created'][:10]}.", ""]
    lines += [how_claims_are_judged(found[min(found)].comparison), ""] if found else []
    lines += [_row(_HEADINGS), _row(["---"] * len(_HEADINGS))]
    lines += [_row(_line(folder, claim, found.get(k), finished)) for k, claim in enumerate(study.claims)]
    files.write_text(folder / CARD, "\n".join(lines) + "\n")
    return folder / CARD


def _line(folder: Path, claim: Claim, found: Answered | None, finished: Sequence[Run]) -> list[str]:
    says = f"{claim.says} ({claim.source})" if claim.source else claim.says
    says += f", by more than {claim.by:g}" if claim.by else ""
    experiment = f"{claim.better} less {claim.than}"
    runs = [run for run in finished if run.label in (claim.better, claim.than)]
    if found is None:
        lacking = [name for name in (claim.better, claim.than) if name not in {run.label for run in runs}]
        why = f": {listed(lacking)} not trained" if lacking else ""
        return [says, f"not judged{why}", experiment, "", "", "", _cost(folder, runs)]
    one, protocol = found.judged, found.comparison.pictures.protocol
    pictures = " ".join(str(protocol[key]) for key in ("dataset", "split") if protocol.get(key))
    shown = f"{one.figure} of {experiment}, {number(len(one.differences), 'seed')}, {pictures or 'the same pictures'}"
    figures = [signed(one.over_seeds.value), interval(one.over_seeds), interval(one.over_pictures)]
    return [says, one.verdict, shown, *figures, _cost(folder, runs)]


def _cost(folder: Path, runs: Sequence[Run]) -> str:
    minutes = sum(seconds_taken(run_folder(folder, run)) for run in runs) / 60
    return f"{number(len(runs), 'training')}, {minutes:.0f} min"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
