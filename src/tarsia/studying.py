"""compare --study: a list of trainings -> what is missing of them trained, all of them scored and compared."""

from __future__ import annotations

import inspect
import json
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tarsia import console, evaluating
from tarsia.comparing import compare
from tarsia.comparison import Comparison, Figure
from tarsia.comparison.table import interval, p_value, signed
from tarsia.console import Table
from tarsia.errors import OutputError, TarsiaError
from tarsia.evaluation.report import Report
from tarsia.evaluation.thresholds import judge
from tarsia.files import write_json
from tarsia.inference import load
from tarsia.learning.interrupt import Interrupted
from tarsia.part import ALL, Part, places
from tarsia.plain_text import listed, number
from tarsia.studies import claims, folds
from tarsia.studies.claims import Answered
from tarsia.studies.plan import doing, left, planned, rest, then
from tarsia.studies.process import Call, Work, carry_out
from tarsia.studies.run_state import (
    State,
    alone,
    as_other_seeds,
    asked_path,
    note_asked,
    run_folder,
    state,
)
from tarsia.studies.scores import Scored, is_scored, scored, scored_on, scores_folder, target_of
from tarsia.studies.study import Evaluation, Run, Study
from tarsia.studies.tiny import tiny_study


@dataclass(frozen=True)
class StudyResult:
    """What came of a study: its runs as they are now, comparisons by folder, what else to say, why something failed.

    `plan`, of a dry run alone, is what would be done, as a table.
    """

    folder: Path
    states: dict[str, State]
    plan: Table | None = None
    comparisons: dict[Path, Comparison] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    claims: list[Answered] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 where nothing failed, else 2."""
        return 2 if self.failed else 0

    def failures(self) -> list[str]:
        """A line for each reason, with all that it has stopped."""
        reasons: dict[str, list[str]] = {}
        for name, reason in self.failed.items():
            reasons.setdefault(reason, []).append(name)
        return [f"failed: {', '.join(names)}: {reason}" for reason, names in reasons.items()]

    def facts(self) -> dict[str, Any]:
        """The result for JSON: each comparison as its comparison.json has it."""
        found = {
            folder.name: json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
            for folder in self.comparisons
        }
        runs = {name: now._asdict() for name, now in self.states.items()}
        facts = {"folder": str(self.folder), "runs": runs, "comparisons": found}
        return facts | {"said": self.said, "failed": self.failed}


def run_study(
    study: Study | str | Path,
    *,
    out: str | Path | None = None,
    only: Sequence[str] = (),
    tiny: bool = False,
    dry_run: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    processes: int = 1,
    part: Part = ALL,
    **drawing: Any,
) -> StudyResult:
    """Train what of `study` (or of `only` some of it) is missing, then compare, as `tarsia.study` says.

    Several such calls at once share the work.  `processes` trainings run at once, each with its share of the cores.  Of
    `part` (K, N) nothing is compared: it trains its share of the runs, for others to train theirs.  Every model is
    scored on each of `study.evaluate` too.  `drawing`: what else `compare` takes.
    """
    if processes < 1:
        raise OutputError(f"`{processes=}`: expected 1 or more")
    places(0, part)
    if strange := set(drawing) - set(inspect.signature(compare).parameters):
        raise TypeError(f"neither run_study nor compare takes {listed(sorted(strange))}")
    study = study if isinstance(study, Study) else Study.load(study, tiny=tiny)
    study = tiny_study(study) if tiny else study
    folder = Path(out) if out else Path("runs") / study.name
    runs = study.chosen(only)
    dealt = _dealt(runs)
    mine = [dealt[place] for place in places(len(runs), part)]
    states = {run.name: state(folder, run) for run in runs}
    if dry_run:
        shown, after = (runs, then(folder, study)) if part == ALL else (mine, "")
        return StudyResult(folder, states, planned(study, shown, states), said=[rest(folder, shown, states) + after])
    if not overwrite:
        _refuse_changed(folder, runs, states)
    folds.refuse_others(folder, runs)
    result = StudyResult(folder, states)
    try:
        carry_out((_work(result, study, run, mine, (overwrite, device)) for run in mine), processes)
        states.update({run.name: state(folder, run) for run in runs})  # others may have finished theirs meanwhile
        if part[1] > 1:
            return _of_a_part(result, mine, part)
        finished = [run for run in runs if states[run.name].kind == "finished"]
        _judge(folder, finished)
        for evaluation in (None, *study.evaluate):
            _compare(result, study, finished, evaluation, {"device": device} | drawing)
        if study.claims:
            result.said.append(f"Claims: {claims.write_card(folder, study, finished, result.claims)}")
    except (Interrupted, KeyboardInterrupt) as stop:
        number = getattr(stop, "number", signal.SIGINT)
        saved = str(stop).partition("; go on with")[0] or signal.Signals(number).name
        raise Interrupted(number, f"{saved}; go on with the same command") from None
    return result


def _dealt(runs: Sequence[Run]) -> list[Run]:
    """`runs`, the first of each variation before the second: what one measures, its other seeds take over."""
    seen: Counter[str] = Counter()
    ranks = {}
    for run in runs:
        ranks[run.name] = seen[run.label]
        seen[run.label] += 1
    return sorted(runs, key=lambda run: ranks[run.name])


def _work(result: StudyResult, study: Study, run: Run, runs: Sequence[Run], options: tuple[bool, str]) -> Work:
    """Train and score one of `runs`, as far as that is not done; whatever goes wrong is noted."""
    overwrite, device = options
    folder, now = result.folder, result.states[run.name]
    time_left = left(folder, runs, result.states) if now.kind != "finished" else ""
    console.note(f"run {runs.index(run) + 1} of {len(runs)}, {run.name}: {doing(now)}{time_left}")
    try:
        if now.kind != "finished" and (yield Call(_finish, (folder, run, overwrite, device))) == "busy":
            result.said.append(f"{run.name}: another process is at work on it, and it is left to that")
            return
        for evaluation in study.evaluate:
            if not is_scored(folder, run, evaluation):
                console.note(f"{run.name}: scoring on {evaluation.name}")
                yield Call(_score, (folder, run, evaluation, device))
    except TarsiaError as error:
        result.failed[run.name] = str(error)
        console.note(f"{run.name}: failed: {error}")
    finally:
        result.states[run.name] = state(folder, run)


def _of_a_part(result: StudyResult, mine: Sequence[Run], part: Part) -> StudyResult:
    """Of one part nothing is compared: what it says instead."""
    finished = sum(result.states[run.name].kind == "finished" for run in mine)
    result.said.append(
        f"part {part[0]}/{part[1]}: {finished} of its {number(len(mine), 'run')} finished; "
        "the same command without a part compares all, and trains what then is missing"
    )
    return result


def _finish(study: Path, run: Run, overwrite: bool, device: str) -> str:
    """In a process of its own: the training of `run`, from wherever it stands -> done or busy."""
    from tarsia.training import train

    with alone(study, run) as is_mine:
        if not is_mine:
            return "busy"
        now, folder = state(study, run), run_folder(study, run)  # another process may have finished it meanwhile
        if now.kind == "changed" and not overwrite:
            _refuse_changed(study, [run], {run.name: now})
        note_asked(study, run)
        if now.kind == "started":
            sys.argv = ["tarsia", "train", "--resume", str(folder)]  # the command that does the same, for its records
            train(resume=folder, device=device)
        elif now.kind != "finished":
            sys.argv = ["tarsia", "train", str(asked_path(study, run)), "--out", str(folder)]
            recipe = as_other_seeds(study, run)
            train(recipe, out=folder, overwrite=True, device=device)  # all that is there is what a kill has left
    return "done"


def _score(study: Path, run: Run, evaluation: Evaluation, device: str) -> str:
    """In a process of its own: a report of `run` on further pictures, in its folder's evaluations/NAME."""
    folder, target = scores_folder(study, run, evaluation), target_of(run, evaluation)
    model = run_folder(study, run)
    sys.argv = ["tarsia", "evaluate", str(model), "--data", target.spec, "--split", target.split]
    facts = scored_on(model, target)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model / "recipe.yaml", folder / "recipe.yaml")  # by which compare pools seeds
    predictor = load(model, device=device)
    dataset = target.open(run.recipe.data.cache)
    evaluating.evaluate(predictor, dataset, dataset_name=target.name, split=target.split, out=folder)
    write_json(folder / "scored.json", facts)
    return "done"


def _compare(
    result: StudyResult, study: Study, finished: Sequence[Run], evaluation: Evaluation | None, options: dict[str, Any]
) -> None:
    """Compare what was scored on the same pictures: one comparison for each data set among the runs."""
    try:
        reports, said = scored(result.folder, study, finished, evaluation)
    except TarsiaError as error:
        result.failed["-".join(["comparison", *([evaluation.name] if evaluation else [])])] = str(error)
        return
    result.said.extend(said)
    groups: dict[str, list[Scored]] = {}
    for one in reports:
        groups.setdefault(one.target.key, []).append(one)
    for count, group in enumerate(groups.values(), 1):
        common = [part for part in group[0].parts if all(part in one.parts for one in group)]
        which = (common or [str(count)]) if len(groups) > 1 else []
        out = result.folder / "-".join(["comparison", *([evaluation.name] if evaluation else []), *which])
        if len(group) < 2:
            alone = group[0]
            report = f"; the report of all its folds: {alone.folder}" if (alone.folder / folds.FILE).is_file() else ""
            result.said.append(f"{out.name}: there is nothing to compare {alone.name} with{report}")
            continue
        labels = [one.label for one in group]
        names = labels if len(set(labels)) == len(labels) else [one.name for one in group]
        domain = (evaluation or study).reference_domain
        asked = claims.about(study, evaluation, {one.label: name for one, name in zip(group, names, strict=True)})
        shown: dict[str, Any] = {"names": names, "reference_domain": domain, "out": out} | options
        shown["claims"] = list(asked.values())
        try:
            pictures = group[0].target.open(group[0].cache)
            comparison = compare([one.folder for one in group], data=pictures, **shown)
        except TarsiaError as error:
            result.failed[out.name] = str(error)
            continue
        result.comparisons[out] = comparison
        answers = zip(asked, comparison.claims, strict=True)
        result.claims.extend(Answered(place, one, comparison) for place, one in answers)
        result.said.extend(f"{out.name}: {line}" for line in _against(comparison, study.reference, group))


def _against(comparison: Comparison, reference: str | None, group: Sequence[Scored]) -> list[str]:
    """A line for each model: how far it is from the reference, and whether that is more than chance."""
    names = {name for one in group if one.label == reference for name in (one.label, one.name)}
    places = [k for k, one in enumerate(comparison.standings) if names & set(one.model.members)]
    lines = []
    for pair in comparison.pairs if places else ():
        if places[0] not in (pair.first, pair.second):
            continue
        other, figure = comparison.standings[pair.first].name, pair.difference
        if pair.first == places[0]:  # the better of a pair comes first
            other, (value, low, high) = comparison.standings[pair.second].name, pair.difference
            figure = Figure(-value, -high, -low)
        told = "different" if pair.different else "not to be told apart"
        difference = f"mIoU {signed(figure.value)} {interval(figure)}, p {p_value(pair.p_holm)} (Holm)"
        lines.append(f"{other} against {reference}: {difference}, {told}")
    return lines


def _judge(folder: Path, finished: Sequence[Run]) -> None:
    """Judge each run by what the study expects of it now; the comparison says how."""
    for run in finished:
        if run.recipe.expected is not None:
            report = Report.read(run_folder(folder, run))
            judge(run.recipe.expected, report, run_folder(folder, run))


def _refuse_changed(folder: Path, runs: Sequence[Run], states: dict[str, State]) -> None:
    """OutputError for trainings of another recipe in the study's folder."""
    reasons: dict[str, list[str]] = {}
    for run in runs:
        if states[run.name].kind == "changed":
            reasons.setdefault(states[run.name].detail, []).append(run.name)
    if reasons:
        lines = [f"{folder}: {', '.join(names)}: not as this study asks: {why}" for why, names in reasons.items()]
        raise OutputError(*lines, "choose another `out`, or train these anew with `overwrite=True`")
