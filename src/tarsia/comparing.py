"""compare: reports on the same pictures -> who is better, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tarsia.comparison import Comparison, Pictures, Sampling, significance
from tarsia.comparison.claims import Claim
from tarsia.comparison.compared import compared
from tarsia.comparison.folder import write_folder
from tarsia.comparison.reports import ComparedReport, read_reports, require_one_protocol, sequences, shared_protocol
from tarsia.comparison.seeds import models, notes, of_folds, unsettled
from tarsia.comparison.side_by_side import Panel, side_by_side
from tarsia.data import meant, open_spec, parse, spec
from tarsia.data._dataset import Dataset, check_same_classes
from tarsia.errors import DatasetError
from tarsia.evaluation.report import Report


def compare(
    reports: Sequence[str | Path | Report],
    *,
    names: Sequence[str] | None = None,
    pool: bool = True,
    data: str | Dataset | None = None,
    reference_domain: str | None = None,
    level: float = significance.LEVEL,
    resamples: int = significance.RESAMPLES,
    permutations: int = significance.PERMUTATIONS,
    seed: int = 0,
    claims: Sequence[Claim] = (),
    out: Path | None = None,
    device: str = "auto",
) -> Comparison:
    """Compare two reports or more that were made alike: run folders, report folders, report.json files, or Reports.

    `names` are what to call them, one each.  With `pool`, trainings whose recipes differ by their seed (and names and
    paths) alone count as one model.  `reference_domain` is what the others are held against, by default the largest.
    `claims` about models, by their names here, are judged over the seeds that both have.
    `out`: a folder for comparison.json, .csv, .tex, pairs.csv and, with the extra `report`, comparison.html; `data`, a
    data set or its NAME[:ROOT][,key=value...], then lets the models draw the same pictures side by side on `device`.

    Raises DatasetError where protocols differ, naming each key with its values and reports, where a report is given
    twice, not there or damaged, where `data` is not what they were made on, and for a claim about what is not there;
    ValueError for a strange level or number of draws.
    """
    sampling = Sampling(level, resamples, permutations, seed)
    found = read_reports(reports, names)
    require_one_protocol(found)
    first = found[0]
    pictures = Pictures(first.classes, first.names, first.domains, sequences(found), shared_protocol(found))
    dataset = None if data is None else _opened(data, first)
    pooled = models(found, pool)
    said = notes(found, pooled)
    comparison = compared(pooled, pictures, sampling, reference_domain=reference_domain, notes=said, claims=claims)
    comparison.notes.extend([*unsettled(comparison), *of_folds(comparison)])
    if out is not None:
        panels: list[Panel] = []
        if dataset is not None:
            files = {one.name: one.fold_files or one.model_file for one in found}
            panels, remarks = side_by_side(comparison, files, dataset, device)
            comparison.notes.extend(remarks)
        write_folder(Path(out), comparison, panels)
    return comparison


def _opened(data: str | Dataset, first: ComparedReport) -> Dataset:
    """The data set that the reports were made on; DatasetError where it is another."""
    split = first.protocol.get("split") or "val"
    data = meant(data) if isinstance(data, str) else data
    if isinstance(data, str) and first.protocol.get("folds"):
        name, root, options = parse(data)
        data = spec(name, root, {"folds": first.protocol["folds"]} | options)
    dataset = open_spec(data, default_split=split) if isinstance(data, str) else data
    remedy = "give the data set and options that the reports were made with"
    check_same_classes(dataset.classes, first.classes, ("`data`", f"the report {first.name}"), remedy)
    there = [dataset.name(index) for index in range(len(dataset))]
    if there != first.names:
        strange = next((name for name in first.names if name not in set(there)), None)
        what = f"{strange} is not among them" if strange else "their order or number differs"
        raise DatasetError(
            f"`data` holds other pictures ({len(there)}) than the reports ({len(first.names)}): {what}; give the data "
            f"set, split ({split}) and options that they were made with"
        )
    return dataset
