"""What a study would do, and how long it may take, in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tarsia.console import Table
from tarsia.studies.run_state import State, run_folder, seconds_taken
from tarsia.studies.study import Run, Study


def doing(now: State) -> str:
    words = {"missing": "training", "started": "resuming ", "changed": "training anew", "finished": "finished, "}
    return words[now.kind] + (now.detail if now.kind in ("started", "finished") else "")


def planned(study: Study, runs: Sequence[Run], states: dict[str, State]) -> Table:
    """What would be done, as a table for the terminal."""
    words = {"missing": "train", "started": "resume", "finished": "nothing", "changed": "refuse, or `overwrite=True`"}
    table = Table("run", "network", "to do", "what is there", title=f"{study.name}: {len(runs)} runs")
    for run in runs:
        now = states[run.name]
        table.add_row(run.name, run.recipe.model.name, words[now.kind], now.detail)
    return table


def rest(folder: Path, runs: Sequence[Run], states: dict[str, State]) -> str:
    """How much would be done."""
    todo = sum(states[run.name].kind != "finished" for run in runs)
    return f"{todo} of {len(runs)} to do{left(folder, runs, states)}"


def then(folder: Path, study: Study) -> str:
    """What after it."""
    scoring = "".join(f"score on {one.name}, " for one in study.evaluate)
    return f"; then {scoring}compare in {folder / 'comparison'}"


def left(folder: Path, runs: Sequence[Run], states: dict[str, State]) -> str:
    """How long the runs to do will take, by those that are finished: other seeds of the same, or else all."""
    took: dict[str, list[float]] = {}
    for run in runs:
        if states[run.name].kind == "finished" and (known := seconds_taken(run_folder(folder, run))):
            took.setdefault(run.label, []).append(known)
    every = [one for known in took.values() for one in known]
    todo = [took.get(run.label, every) for run in runs if states[run.name].kind != "finished"]
    if not every or not todo:
        return ""
    seconds = sum(sum(known) / len(known) for known in todo)
    return f"; about {seconds / 60:.0f} min left" if seconds >= 60 else f"; about {seconds:.0f} s left"
