"""The comparison's figures against slow versions: shared swappings, paired resamples, domains, what few blocks say."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from made_reports import classes, counts
from tarsia.comparison import Model, Pictures, Sampling, significance, spread, worst
from tarsia.comparison import table as words
from tarsia.comparison.compared import compared
from tarsia.comparison.seeds import of_folds
from tarsia.errors import DatasetError
from tarsia.evaluation.confusion import metrics
from tarsia.evaluation.report import Report

QUICK = Sampling(resamples=400, permutations=400)


def model(name: str, counts_NKK1: np.ndarray) -> Model:
    miou = metrics(counts_NKK1.sum(0)).miou
    return Model(name, (name,), significance.picture_sums(counts_NKK1), (miou,))


def of_skill(skills: dict[str, float], pictures: int = 24, count: int = 3) -> list[Model]:
    return [model(name, counts(skill, pictures, count)) for name, skill in skills.items()]


def pictures(
    number: int, count: int = 3, domains: list[str] | None = None, sequences: list[str] | None = None
) -> Pictures:
    names = [f"{index:03d}" for index in range(number)]
    nothing = [""] * number
    return Pictures(classes(count), names, domains or nothing, sequences or nothing, {})


@pytest.mark.parametrize("number", [5, 30])
def test_every_pair_has_the_p_of_its_own_test(number):
    """The same as one test after the other; where all swappings can be counted, exactly their share."""
    sums = np.stack([one.sums_N3K for one in of_skill({"a": 0.8, "b": 0.78, "c": 0.7}, number)], 1)
    pairs = list(itertools.combinations(range(3), 2))
    found = significance.permutation_ps(sums, pairs, 2500, seed=4)
    for (a, b), p in zip(pairs, found, strict=True):
        if number == 30:
            assert [p] == significance.permutation_ps(sums[:, [a, b]], [(0, 1)], 2500, seed=4)
            continue
        observed = abs(significance.miou(sums[:, a].sum(0)) - significance.miou(sums[:, b].sum(0)))
        swapped = [np.array(swap)[:, None, None] for swap in itertools.product([False, True], repeat=number)]
        differences = [
            significance.miou(np.where(swap, sums[:, b], sums[:, a]).sum(0))
            - significance.miou(np.where(swap, sums[:, a], sums[:, b]).sum(0))
            for swap in swapped
        ]
        assert p == np.mean(np.abs(differences) >= observed - 1e-12)


def test_figures_and_intervals_are_those_of_one_model_alone():
    found = compared(of_skill({"low": 0.6, "high": 0.85}), pictures(24), QUICK)
    assert found.names == ["high", "low"]
    for one in found.standings:
        sums = one.model.sums_N3K
        drawn = significance.resampled(sums, QUICK.resamples, QUICK.seed)
        expected = significance.interval(significance.miou(drawn), 24)
        assert one.miou == pytest.approx((float(significance.miou(sums.sum(0))), *expected))
        figures = metrics(counts(0.85 if one.name == "high" else 0.6, 24).sum(0))
        assert (one.pixel_accuracy, one.mpa) == pytest.approx((figures.pixel_accuracy, figures.mpa))
        assert [figure.value for figure in one.iou] == pytest.approx(figures.iou_K.tolist())
        assert one.iou[1][1:] == pytest.approx(significance.interval(significance.iou(drawn)[:, 1], 24))


def test_the_interval_of_a_difference_is_paired():
    """Models that fail on the same pictures: their difference is surer than each by itself."""
    hard = np.repeat(np.linspace(0.3, 0.9, 12), 2)
    both = []
    for less in (0.0, 0.05):
        found = np.zeros((24, 2, 3), np.uint32)
        for index, share in enumerate(hard - less):
            found[index] = [[int(1000 * share), 1000 - int(1000 * share), 0], [0, 1000, 0]]
        both.append(model(f"less {less}", found))
    found = compared(both, pictures(24, 2), QUICK)
    alone, together = found.standings[0].miou, found.pairs[0].difference
    assert together.low < together.value < together.high
    assert together.high - together.low < (alone.high - alone.low) / 3
    assert found.pairs[0].different and found.standings[0].letters == "a" and found.standings[1].letters == "b"


def test_the_interval_of_a_difference_covers_it_as_often_as_it_says():
    """500 draws of 20 pictures that are hard for both models alike."""
    random = np.random.default_rng(5)
    hard = np.clip(random.normal(0.75, 0.12, (4000, 2, 1)), 0.1, 0.9)
    population = np.zeros((2, 4000, 3, 2))
    for place, shift in enumerate((0.0, 0.03)):
        share = np.clip(hard - shift + random.normal(0, 0.05, (4000, 2, 1)), 0.02, 0.98)[..., 0]
        truth = np.full((4000, 2), 1000.0)
        wrong = truth * (1 - share)
        population[place] = np.stack([truth - wrong, truth, truth - wrong + wrong[:, ::-1]], 1)
    true = float(np.subtract(*significance.miou(population.sum(1))))
    covered = 0
    for draw in range(500):
        chosen = random.integers(0, 4000, 20)
        both = [Model(name, (name,), population[k, chosen], (0.0,)) for k, name in enumerate("ab")]
        found = compared(both, pictures(20, 2), Sampling(resamples=300, permutations=100, seed=draw))
        difference = found.pairs[0].difference
        covered += difference.low <= (true if found.names[0] == "a" else -true) <= difference.high
    assert 0.92 <= covered / 500 <= 0.98, covered


def test_equal_models_share_a_letter_and_have_p_one():
    same = counts(0.8, 24)
    found = compared([model("x", same), model("y", same)], pictures(24), QUICK)
    assert found.pairs[0][2:5] == ((0.0, 0.0, 0.0), 1.0, 1.0)
    assert [one.letters for one in found.standings] == ["a", "a"]
    assert found.names == ["x", "y"] and "cannot be told apart from y" in found.verdict()
    assert found.differing == []


@pytest.mark.parametrize(("skills", "said"), [
    ({"a": 0.9, "b": 0.5}, "a has the highest mIoU, 0."),
    ({"a": 0.9, "b": 0.5}, "and is better than b at the 5 % level."),
    ({"a": 0.9, "b": 0.5, "c": 0.45}, "and is better than b and c at the 5 % level."),
    ({"a": 0.81, "b": 0.8, "c": 0.4}, "but cannot be told apart from b at the 5 % level.  It is better than"),
    ({"a": 0.81, "b": 0.8}, "but cannot be told apart from"),
    ({"a": 0.8}, "a has an mIoU of 0."),
    ({f"m{k}": 0.9 - 0.1 * k for k in range(7)}, "and is better than all the others"),
])  # fmt: skip
def test_the_verdict(skills, said):
    sampling = Sampling(resamples=100, permutations=1000)
    assert said in compared(of_skill(skills, 40), pictures(40), sampling).verdict()


@pytest.mark.parametrize(
    ("number", "models", "said"),
    [
        (1, 2, "with 1 block of pictures p is 1 at least, and 1 pair is tested, which takes p = 0.05.  6 blocks"),
        (5, 2, "with 5 blocks of pictures p is 0.0625 at least, and 1 pair is tested, which takes p = 0.05.  6 blocks"),
        (6, 2, None),
        (6, 3, "6 blocks of pictures p is 0.0312 at least, and 3 pairs are tested, which takes p = 0.0167.  7 blocks"),
        (40, 7, "with 400 permutations p is 0.00249 at least, and 21 pairs are tested, which takes p = 0.00238.  Raise "
         "`permutations` to 420"),
        (40, 2, None),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_said(number, models, said):
    found = compared(of_skill({f"m{k}": 0.9 - 0.05 * k for k in range(models)}, number), pictures(number), QUICK)
    if said is None:
        assert found.notes == [] and any(pair.different for pair in found.pairs)
    else:
        assert said in found.notes[0]
        assert not any(pair.different for pair in found.pairs)
    if number == 1:
        assert math.isnan(found.standings[0].miou.low)


def test_the_blocks_needed_are_as_many_as_told():
    """One block more than the least said to be too few can show a difference."""
    for models, needed in ((2, 6), (3, 7)):
        skills = {f"m{k}": 0.9 - 0.2 * k for k in range(models)}
        assert compared(of_skill(skills, needed - 1), pictures(needed - 1), QUICK).notes
        enough = compared(of_skill(skills, needed), pictures(needed), QUICK)
        assert not enough.notes and all(pair.different for pair in enough.pairs)


def test_domains_are_scored_by_themselves():
    domains = ["day"] * 10 + ["night"] * 6 + ["fog"] * 8
    found = compared(of_skill({"a": 0.8, "b": 0.6}), pictures(24, domains=domains), QUICK)
    assert [(one.name, one.images) for one in found.domains] == [("day", 10), ("night", 6), ("fog", 8)]
    assert found.reference_domain == "day"
    for one, part in zip(found.domains, (slice(0, 10), slice(10, 16), slice(16, 24)), strict=True):
        slow = [metrics(counts(skill, 24)[part].sum(0)).miou for skill in (0.8, 0.6)]
        assert [figure.value for figure in one.miou] == pytest.approx(slow)
        assert all(figure.low < figure.value < figure.high for figure in one.miou)
        assert found.gap(one, 1) == pytest.approx(found.domains[0].miou[1].value - slow[1])
    values = [one.miou[0].value for one in found.domains]
    alone = Report(classes(), [""] * 24, domains, [""] * 24, counts(0.8, 24), {}, None, {})
    assert [line["miou"] for line in alone.domain_lines] == pytest.approx(values)
    assert worst(found.domains, 0).miou[0].value == min(values)
    assert spread(found.domains, 0) == pytest.approx(np.std(values, ddof=1))
    both = of_skill({"a": 0.8, "b": 0.6})
    other = compared(both, pictures(24, domains=domains), QUICK, reference_domain="fog")
    assert other.reference_domain == "fog" and other.gap(other.domains[2], 0) == 0
    with pytest.raises(DatasetError, match=r"reference domain nihgt.*did you mean night"):
        compared(both, pictures(24, domains=domains), QUICK, reference_domain="nihgt")
    with pytest.raises(DatasetError, match=r"reference domain day.*all of one domain"):
        compared(both, pictures(24), QUICK, reference_domain="day")


def test_folds_are_scored_by_themselves():
    """As domains are, by sequence, where the reports say that they are of folds."""
    films = ["a"] * 10 + ["b"] * 14
    models = of_skill({"x": 0.8, "y": 0.7})
    plain = compared(models, pictures(24, sequences=films), QUICK)
    assert plain.folds == [] and of_folds(plain) == []
    given = pictures(24, sequences=films)
    found = compared(models, replace(given, protocol={"folds": "sequence"}), QUICK)
    by_domain = compared(models, pictures(24, domains=films, sequences=films), QUICK)
    assert found.folds == by_domain.domains and found.domains == [] and not found.domains_are_folds
    (said,) = of_folds(found)
    assert said.startswith("Each picture was scored by a model that was trained on the other 1 of 2 sequences.  ")
    (table,) = (one for one in words.tables(found, 80) if "mIoU by fold" in printed(one))
    assert "a (10)" in printed(table) and "spread (sd)" in printed(table)
    both = replace(given, protocol={"folds": "sequence"}, domains=films)
    drives = compared(models, both, QUICK)
    assert drives.domains_are_folds and "mIoU by domain" not in "".join(map(printed, words.tables(drives, 80)))


def test_with_many_folds_the_intervals_speak_of_others():
    films = [f"film {index // 2:02d}" for index in range(60)]
    given = replace(pictures(60, sequences=films), protocol={"folds": "sequence"})
    (said,) = of_folds(compared(of_skill({"x": 0.8}, 60), given, QUICK))
    assert said == "Each picture was scored by a model that was trained on the other 29 of 30 sequences."


def printed(table: object) -> str:
    console = Console(width=80)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def test_a_domain_of_one_picture_or_without_truth_has_no_interval():
    found = [counts(skill, 6) for skill in (0.8, 0.7)]
    for one in found:
        one[5] = 0
    domains = ["day"] * 4 + ["night", "dark"]
    done = compared([model("a", found[0]), model("b", found[1])], pictures(6, domains=domains), QUICK)
    night, dark = done.domains[1].miou[0], done.domains[2].miou[0]
    assert night.value > 0 and math.isnan(night.low)
    assert math.isnan(dark.value) and done.domains[2].classes == 0
    assert worst(done.domains, 0) is not done.domains[2] and spread(done.domains, 0) >= 0


def test_sequences_are_resampled_as_blocks():
    sequences = [f"{index // 10}" for index in range(40)]
    found = compared(of_skill({"a": 0.8, "b": 0.6}, 40), pictures(40, sequences=sequences), QUICK)
    assert found.blocks.description == "runs of about 5 neighbouring frames (8)"


def test_pictures_they_differ_most_on_come_first():
    first, second = counts(0.8, 10), counts(0.8, 10)
    second[7, :, :-1] = np.roll(second[7, :, :-1], 1, axis=1)  # everything wrong
    second[3, 0, :2] = second[3, 0, 1::-1]
    found = compared([model("a", first), model("b", second)], pictures(10), QUICK).differing
    assert [one.number for one in found] == [7, 3] and found[0].name == "007"
    assert found[0].miou == pytest.approx([metrics(counts_KK1[7]).miou for counts_KK1 in (first, second)])


def test_absent_classes_and_many_classes():
    """150 classes, one neither true nor predicted and one predicted only: NaN, and 0 in the mean."""
    found = [counts(skill, 10, 150) for skill in (0.8, 0.7)]
    for one in found:
        one[:, 148:] = 0
        one[:, :, 149] = 0
    done = compared([model("a", found[0]), model("b", found[1])], pictures(10, 150), QUICK)
    figures = metrics(found[0].sum(0))
    assert math.isnan(done.standings[0].iou[149].value) and math.isnan(figures.iou_K[149])
    assert done.standings[0].iou[148].value == 0
    assert done.standings[0].miou.value == pytest.approx(figures.miou)


def test_one_class_and_nothing_labelled():
    found = compared(of_skill({"a": 0.8, "b": 0.6}, count=1), pictures(24, 1), QUICK)
    assert found.standings[0].miou.value > found.standings[1].miou.value
    with pytest.raises(DatasetError, match="nothing to compare"):
        compared([model("a", np.zeros((4, 2, 3), np.uint32))] * 2, pictures(4, 2), QUICK)


@pytest.mark.parametrize(
    "strange", [{"level": 1.0}, {"level": 0.2}, {"resamples": 3}, {"permutations": 0}, {"seed": -1}]
)
def test_strange_sampling_is_refused(strange):
    with pytest.raises(ValueError, match="level lies in"):
        Sampling(**strange)
