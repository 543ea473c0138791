"""Joined reports: models that have each scored other pictures of one data set -> one report, as of one model."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tarsia import environment
from tarsia.errors import DatasetError
from tarsia.evaluation.report import Report

_OF_THE_PART = ("images", "data_hash", "split")  # of a protocol: what another part has otherwise


def joined(reports: Mapping[str, Report], names: Sequence[str], protocol: Mapping[str, Any]) -> Report:
    """The reports of all parts, by the part's name -> one of all pictures, part after part.

    `names`: those of all pictures in that order, each of which has to be scored once.  `protocol`: what is to be said
    of all in the place of what each report says of its part (split, data_hash ...).  What the models cost is said where
    they agree, the latency as their median; the memory, a training's, is not.  Raises DatasetError where pictures,
    classes or protocols do not fit.
    """
    parts = list(reports.values())
    scored = [name for report in parts for name in report.names]
    if scored != list(names):
        strange = next((name for name in scored if name not in set(names)), None)
        what = f"{strange} is no longer among them" if strange else "not each of them is scored once, in their order"
        raise DatasetError(f"the reports of {', '.join(reports)} are not of these {len(names)} pictures: {what}")
    first = parts[0]
    shared = _but(first.protocol)
    for name, report in reports.items():
        apart = [key for key in shared | _but(report.protocol) if shared.get(key) != _but(report.protocol).get(key)]
        if apart or report.classes != first.classes:
            what = ", ".join(apart) or "classes"
            raise DatasetError(f"{name} was scored otherwise than {next(iter(reports))}: {what} differ")
    return Report(
        classes=first.classes,
        names=scored,
        domains=[text for report in parts for text in report.domains],
        sequences=[text for report in parts for text in report.sequences],
        counts_NKK1=np.concatenate([report.counts_NKK1 for report in parts]),
        protocol={**first.protocol, "images": len(names), **protocol},
        model=_model(parts),
        provenance=environment.describe(),
        details=_details(parts),
    )


def _but(protocol: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in protocol.items() if key not in _OF_THE_PART}


def _model(parts: Sequence[Report]) -> dict[str, Any] | None:
    models = [report.model for report in parts if report.model is not None]
    if len(models) < len(parts):
        return None
    said = {
        key: value
        for key, value in models[0].items()
        if key != "peak_memory_bytes" and all(one.get(key) == value for one in models)
    }
    latencies = [one["latency_seconds"] for one in models if one.get("latency_seconds") is not None]
    return {**said, "latency_seconds": statistics.median(latencies)} if latencies else said


def _details(parts: Sequence[Report]) -> dict[str, np.ndarray]:
    """The details that all have; of objects, which name their picture by its number, that among all."""
    keys = [key for key in parts[0].details if all(key in report.details for report in parts)]
    found = {key: [report.details[key] for report in parts] for key in keys}
    if "objects" in found:
        starts = np.cumsum([0, *(len(report.names) for report in parts)])
        found["objects"] = [one + [start, 0, 0, 0] for one, start in zip(found["objects"], starts, strict=False)]
    return {key: np.concatenate(arrays) for key, arrays in found.items()}
