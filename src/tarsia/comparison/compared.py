"""Several models' counts on the same pictures -> their comparison, with intervals and paired tests."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tarsia.comparison import (
    Comparison,
    Differing,
    Domain,
    Model,
    Pair,
    Pictures,
    Sampling,
    Standing,
    significance,
)
from tarsia.comparison.claims import MIOU, Claim, Judged
from tarsia.comparison.significance import Blocks, Figure
from tarsia.errors import DatasetError, nearest
from tarsia.evaluation import reliability
from tarsia.evaluation.details import FIGURES
from tarsia.evaluation.report import by_domain
from tarsia.plain_text import number

DIFFERING = 8  # pictures named where the models differ most


def compared(
    models: Sequence[Model],
    pictures: Pictures,
    sampling: Sampling,
    *,
    reference_domain: str | None = None,
    notes: Sequence[str] = (),
    claims: Sequence[Claim] = (),
) -> Comparison:
    """Models on the same pictures -> their comparison, and what came of `claims` about them.

    Intervals by bootstrap and p values by permutation over the same blocks (significance.py), corrected for the number
    of pairs by Holm.  Raises DatasetError for an unknown reference domain, where no pixel is labelled, and for a claim
    about a model that is not there or a figure that was not counted.
    """
    everything = np.stack([model.sums_N3K for model in models], 1)
    values_M = significance.miou(everything.sum(0))
    if np.isnan(values_M).any():
        raise DatasetError("no picture of these reports has a labelled pixel: there is nothing to compare")
    order = np.argsort(-values_M, kind="stable")
    models, everything = [models[k] for k in order], everything[:, order]
    blocks = significance.blocks_of(pictures.names, pictures.sequences)
    sums_BM3K = significance.by_block(everything, blocks)
    drawn_RM3K = significance.resampled(sums_BM3K, sampling.resamples, sampling.seed)
    miou_RM = significance.miou(drawn_RM3K)
    pairs = _pairs(models, sums_BM3K, miou_RM, sampling)
    letters = significance.letters(_different(pairs, len(models)))
    standings = [
        _standing(model, letters[k], blocks, sums_BM3K[:, k].sum(0), drawn_RM3K[:, k], sampling)
        for k, model in enumerate(models)
    ]
    domains = _domains(everything, pictures, pictures.domains, sampling)
    folds = _domains(everything, pictures, pictures.sequences, sampling) if pictures.protocol.get("folds") else []
    reference = _reference(domains, reference_domain)
    few = _too_few(blocks.count, len(pairs), sampling)
    differing = _differing(everything, pictures.names)
    found = [*notes, *([few] if few else [])]
    what_came = [_judged(claim, models, blocks, sampling) for claim in claims]
    return Comparison(
        pictures, sampling, blocks, standings, pairs, domains, reference, differing, found, folds, what_came
    )


def _pairs(models: Sequence[Model], sums_BM3K: np.ndarray, miou_RM: np.ndarray, sampling: Sampling) -> list[Pair]:
    count = len(sums_BM3K)
    both = list(itertools.combinations(range(len(models)), 2))
    values_M = significance.miou(sums_BM3K.sum(0))
    p_values = significance.permutation_ps(sums_BM3K, both, sampling.permutations, sampling.seed)
    pairs = []
    for (a, b), p, p_holm in zip(both, p_values, significance.holm(p_values), strict=True):
        interval = significance.interval(miou_RM[:, a] - miou_RM[:, b], count, sampling.level)
        difference = Figure(float(values_M[a] - values_M[b]), *interval)
        by_seed = _by_seed(models[a], models[b], MIOU)
        over_seeds = significance.over_trainings(by_seed, sampling.level)
        pairs.append(Pair(a, b, difference, p, p_holm, p_holm <= sampling.alpha, len(by_seed), over_seeds))
    return pairs


def _different(pairs: Sequence[Pair], models: int) -> np.ndarray:
    different_MM = np.zeros((models, models), bool)
    for pair in pairs:
        different_MM[pair.first, pair.second] = different_MM[pair.second, pair.first] = pair.different
    return different_MM


def _standing(
    model: Model, letters: str, blocks: Blocks, total_3K: np.ndarray, drawn_R3K: np.ndarray, sampling: Sampling
) -> Standing:
    right, truth, _ = total_3K
    with_truth = truth > 0
    iou_K, iou_RK = significance.iou(total_3K), significance.iou(drawn_R3K)

    def figure(value: Any, values_R: np.ndarray) -> Figure:
        return Figure(float(value), *significance.interval(values_R, blocks.count, sampling.level))

    details = {}
    for source, values_N in model.details.items():
        sums_B = significance.by_block(values_N, blocks)
        drawn_R = significance.resampled(sums_B, sampling.resamples, sampling.seed)
        for key, one in FIGURES.items():
            if one.source == source:
                details[key] = figure(one.of(sums_B.sum(0)), one.of(drawn_R))
    calibration = model.details.get("calibration")
    return Standing(
        model=model,
        letters=letters,
        miou=figure(significance.miou(total_3K), significance.miou(drawn_R3K)),
        iou=[figure(iou_K[k], iou_RK[:, k]) for k in range(len(iou_K))],
        pixel_accuracy=float(right.sum() / truth.sum()),
        mpa=float((right[with_truth] / truth[with_truth]).mean()),
        details=details,
        reliability=None if calibration is None else reliability.curve(calibration.sum(0)),
    )


def _domains(sums_NM3K: np.ndarray, pictures: Pictures, labels: Sequence[str], sampling: Sampling) -> list[Domain]:
    """One for each condition (or sequence), a label a picture, in order; none where there are fewer than two."""
    found = []
    for name, chosen in by_domain(labels).items():
        part = significance.blocks_of(*([texts[i] for i in chosen] for texts in (pictures.names, pictures.sequences)))
        sums_BM3K = significance.by_block(sums_NM3K[chosen], part)
        values_M = significance.miou(sums_BM3K.sum(0))
        drawn_RM = significance.miou(significance.resampled(sums_BM3K, sampling.resamples, sampling.seed))
        intervals = [significance.interval(values_R, part.count, sampling.level) for values_R in drawn_RM.T]
        figures = [Figure(float(value), *interval) for value, interval in zip(values_M, intervals, strict=True)]
        present = int((sums_BM3K.sum(0)[0, 1] > 0).sum())
        found.append(Domain(name, len(chosen), part.description, present, figures))
    return found


def _reference(domains: Sequence[Domain], wanted: str | None) -> str | None:
    """The domain others are held against: the one asked for, else the first of those with most pictures."""
    if wanted is not None and wanted not in [domain.name for domain in domains]:
        there = nearest(wanted, [domain.name for domain in domains]) or ": the pictures are all of one domain"
        raise DatasetError(f"reference domain {wanted}: there is none of that name{there}")
    return wanted or (max(domains, key=lambda domain: domain.images).name if domains else None)


def _judged(claim: Claim, models: Sequence[Model], blocks: Blocks, sampling: Sampling) -> Judged:
    better, than = (_named(models, name) for name in (claim.better, claim.than))
    (value, drawn_R), (other, others_R) = (
        _of_pictures(model, claim.figure, blocks, sampling) for model in (better, than)
    )
    over_pictures = Figure(value - other, *significance.interval(drawn_R - others_R, blocks.count, sampling.level))
    differences = _by_seed(better, than, claim.figure)
    over_seeds = significance.over_trainings(differences, sampling.level)
    return Judged(claim, better.name, than.name, differences, over_seeds, over_pictures)


def _named(models: Sequence[Model], name: str) -> Model:
    for model in models:
        if name == model.name or name in model.members:
            return model
    raise DatasetError(f"a claim is about {name}: no such model{nearest(name, [model.name for model in models])}")


def _by_seed(first: Model, second: Model, figure: str) -> tuple[float, ...]:
    """The differences between the trainings of one seed that both models have."""
    values = [
        dict(zip(model.seeds, model.mious if figure == MIOU else [one[figure] for one in model.figures], strict=False))
        for model in (first, second)
    ]
    return tuple(value - values[1][seed] for seed, value in values[0].items() if seed in values[1])


def _of_pictures(model: Model, figure: str, blocks: Blocks, sampling: Sampling) -> tuple[float, np.ndarray]:
    """A figure of the counts of all trainings together, and the same of each resample."""
    one = FIGURES.get(figure)
    if one is not None and one.source not in model.details:
        raise DatasetError(f"a claim is about the {one.words} of {model.name}, which not all reports have counted")
    values_N, of = (model.sums_N3K, significance.miou) if one is None else (model.details[one.source], one.of)
    sums_B = significance.by_block(values_N, blocks)
    return float(of(sums_B.sum(0))), of(significance.resampled(sums_B, sampling.resamples, sampling.seed))


def _differing(sums_NM3K: np.ndarray, names: Sequence[str]) -> list[Differing]:
    """The pictures whose mIoU differs most between the best and the worst model on them."""
    if sums_NM3K.shape[1] < 2:
        return []
    miou_NM = significance.miou(sums_NM3K)
    apart_N = np.nan_to_num(miou_NM.max(1) - miou_NM.min(1))
    order = [int(k) for k in np.argsort(-apart_N, kind="stable")[:DIFFERING] if apart_N[k] > 0]
    return [Differing(k, names[k], [float(value) for value in miou_NM[k]]) for k in order]


def _too_few(blocks: int, pairs: int, sampling: Sampling) -> str:
    """Why no test can show anything, where that is so: Holm's smallest p is multiplied by the number of pairs."""
    by_blocks, by_swappings = min(1.0, 2.0 ** (1 - blocks)), 1 / (sampling.permutations + 1)
    if not pairs or max(by_blocks, by_swappings) * pairs <= sampling.alpha:
        return ""
    start = f"No difference can be shown at the {100 * sampling.alpha:g} % level, however large:"
    tests = f"{number(pairs, 'pair is', 'pairs are')} tested, which takes p = {sampling.alpha / pairs:.3g}"
    if by_blocks * pairs > sampling.alpha:
        needed = math.ceil(1 - math.log2(sampling.alpha / pairs))
        least = f"with {number(blocks, 'block')} of pictures p is {by_blocks:.3g} at least"
        return f"{start} {least}, and {tests}.  {needed} blocks or more could: score more pictures, or fewer models."
    least = f"with {sampling.permutations} permutations p is {by_swappings:.3g} at least"
    return f"{start} {least}, and {tests}.  Raise `permutations` to {math.ceil(pairs / sampling.alpha)} or more."
