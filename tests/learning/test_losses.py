"""Every loss against its formula, written slowly in float64; degenerate batches."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
import torch

from small_data import tiny, write_folder
from tarsia.adaptation.restyle import Restyling
from tarsia.errors import RecipeError
from tarsia.learning.losses import CrossEntropy, Dice, Focal, Jaccard, Lovasz, Ohem, Sum, create
from tarsia.learning.state import TrainingState
from tarsia.recipe import Recipe
from tarsia.recipe_train import LossRecipe
from tarsia.training import train

WEIGHTS = [1.0, 0.25, 3.0, 0.5]
EVERY = {
    "cross_entropy": CrossEntropy(),
    "dice": Dice(),
    "dice_smooth": Dice(1.0),
    "jaccard": Jaccard(),
    "jaccard_smooth": Jaccard(1.0),
    "lovasz": Lovasz(),
    "focal": Focal(),
    "focal_root": Focal(0.5),
    "focal_smoothed": Focal(0.5, label_smoothing=0.1),
    "ohem": Ohem(),
    "ohem_smoothed": Ohem(0.1, 0.2, label_smoothing=0.1),
}
every = pytest.mark.parametrize("criterion", EVERY.values(), ids=EVERY.keys())


def sample(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(2, 4, 3, 5, generator=generator) * 3
    label = torch.randint(0, 4, (2, 3, 5), generator=generator, dtype=torch.uint8)
    label[0, 0] = 255
    label[1, 2, 1:4] = 255
    return scores, label


def slow(scores, label, weights, smoothing) -> float:
    """The formula of the docstring, a pixel at a time."""
    total = divisor = 0.0
    batch, count, height, width = scores.shape
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                truth = int(label[b, y, x])
                if truth == 255:
                    continue
                values = [float(scores[b, k, y, x]) for k in range(count)]
                log_sum = math.log(sum(math.exp(value) for value in values))
                for k in range(count):
                    target = (1 - smoothing) * (k == truth) + smoothing / count
                    total += weights[k] * target * (log_sum - values[k])
                divisor += weights[truth]
    return total / divisor


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_against_the_formula(weights, smoothing):
    scores, label = sample()
    found = CrossEntropy(None if weights is None else torch.tensor(weights), smoothing)(scores, label)
    assert float(found) == pytest.approx(slow(scores, label, weights or [1.0] * 4, smoothing), rel=1e-5)


def test_a_class_that_is_absent_changes_nothing_else():
    scores, label = sample()
    label[label == 2] = 0
    found = CrossEntropy(torch.tensor(WEIGHTS))(scores, label)
    assert float(found) == pytest.approx(slow(scores, label, WEIGHTS, 0.0), rel=1e-5)


def test_ignored_pixels_get_no_gradient():
    scores, label = sample()
    scores.requires_grad_()
    CrossEntropy(label_smoothing=0.1)(scores, label).backward()
    ignored = (label == 255)[:, None].expand_as(scores)
    assert not scores.grad[ignored].any() and scores.grad[~ignored].all()


@pytest.mark.parametrize("weights", [None, torch.tensor(WEIGHTS)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_nothing_labelled_costs_nothing(weights, smoothing):
    scores = sample()[0].requires_grad_()
    loss = CrossEntropy(weights, smoothing)(scores, torch.full((2, 3, 5), 255, dtype=torch.uint8))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert torch.equal(scores.grad, torch.zeros_like(scores))


def test_a_batch_of_a_class_with_weight_zero_costs_nothing():
    scores = sample()[0].requires_grad_()
    loss = CrossEntropy(torch.tensor([0.0, 1, 1, 1]))(scores, torch.zeros(2, 3, 5, dtype=torch.uint8))
    loss.backward()
    assert float(loss.detach()) == 0.0 and not scores.grad.any()


@pytest.mark.processor
def test_bfloat16_scores_are_summed_in_float32():
    scores, label = sample()
    rough = scores.bfloat16()
    found = CrossEntropy()(rough, label)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(slow(rough.float(), label, [1.0] * 4, 0.0), rel=1e-5)


def test_one_class_costs_nothing():
    assert float(CrossEntropy()(torch.randn(1, 1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.uint8))) == 0.0


# ---- the other losses against their formulas


def pixels(scores: torch.Tensor, label: torch.Tensor) -> list[tuple[int, list[float]]]:
    """(true class, p of each class) of every labelled pixel, in float64."""
    found = []
    for b, y, x in np.ndindex(*label.shape):
        if int(label[b, y, x]) != 255:
            values = [math.exp(float(value)) for value in scores[b, :, y, x].double()]
            found.append((int(label[b, y, x]), [value / sum(values) for value in values]))
    return found


def cost(truth: int, p: list[float], weights: list[float], smoothing: float) -> float:
    parts = [w * ((1 - smoothing) * (k == truth) + smoothing / len(p)) for k, w in enumerate(weights)]
    return sum(-part * math.log(value) for part, value in zip(parts, p, strict=True))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_focal_against_the_formula(gamma, smoothing, weights):
    scores, label = sample()
    total = divisor = 0.0
    for truth, p in pixels(scores, label):
        total += (1 - p[truth]) ** gamma * cost(truth, p, weights or [1.0] * 4, smoothing)
        divisor += (weights or [1.0] * 4)[truth]
    found = Focal(gamma, None if weights is None else torch.tensor(weights), smoothing)(scores, label)
    assert float(found) == pytest.approx(total / divisor, rel=1e-5)


def test_focal_with_gamma_0_is_the_cross_entropy():
    scores, label = sample()
    for arguments in ((None, 0.0), (torch.tensor(WEIGHTS), 0.1)):
        assert torch.allclose(Focal(0.0, *arguments)(scores, label), CrossEntropy(*arguments)(scores, label))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(
    ("threshold", "least", "kept"),
    [(1.0, 0.01, 22), (0.7, 0.01, None), (0.7, 1.0, 22), (1e-9, 0.25, 6), (1e-9, 1e-6, 1), (0.01, 0.5, 11)],
)
def test_ohem_keeps_what_is_hard_and_never_too_few(threshold, least, kept, smoothing, weights):
    scores, label = sample()
    hardest = sorted(pixels(scores, label), key=lambda pixel: pixel[1][pixel[0]])
    below = sum(p[truth] < threshold for truth, p in hardest)
    number = max(below, math.ceil(least * len(hardest)))
    assert len(hardest) == 22 and number == (kept or below)
    total = sum(cost(truth, p, weights or [1.0] * 4, smoothing) for truth, p in hardest[:number])
    divisor = sum((weights or [1.0] * 4)[truth] for truth, _ in hardest[:number])
    found = Ohem(threshold, least, None if weights is None else torch.tensor(weights), smoothing)(scores, label)
    assert float(found) == pytest.approx(total / divisor, rel=1e-5)


def test_ohem_is_not_diluted_by_pixels_that_are_all_equally_certain():
    scores = torch.zeros(1, 2, 10, 10)
    scores[:, 0] = 100
    label = torch.zeros(1, 10, 10, dtype=torch.uint8)
    label[0, 0, 0] = 1  # one wrong pixel, 99 with p exactly 1
    assert float(Ohem(0.7, 0.05)(scores, label)) == pytest.approx(100 / 5)


def overlap(scores, label, k: int) -> tuple[float, float, int]:
    found = pixels(scores, label)
    shared = sum(p[k] for truth, p in found if truth == k)
    return shared, sum(p[k] for _, p in found), sum(truth == k for truth, _ in found)


@pytest.mark.parametrize("smooth", [0.0, 1.0])
@pytest.mark.parametrize("absent", [(), (2,), (0, 1, 3)])
def test_dice_and_jaccard_against_the_formulas(absent, smooth):
    scores, label = sample()
    for k in absent:
        label[label == k] = 255
    dice, jaccard = [], []
    for k in {0, 1, 2, 3} - {*absent}:
        shared, predicted, true = overlap(scores, label, k)
        dice.append(1 - (2 * shared + smooth) / (predicted + true + smooth))
        jaccard.append(1 - (shared + smooth) / (predicted + true - shared + smooth))
    assert float(Dice(smooth)(scores, label)) == pytest.approx(np.mean(dice), rel=1e-5)
    assert float(Jaccard(smooth)(scores, label)) == pytest.approx(np.mean(jaccard), rel=1e-5)


def one_minus_iou(true: set[int], wrong: set[int]) -> float:
    """Of the prediction that is wrong in just these pixels."""
    predicted = true ^ wrong
    return 1 - len(true & predicted) / len(true | predicted)


def slow_lovasz(scores, label) -> float:
    """The extension of 1 - IoU as it is defined: sets that grow by one pixel, the largest error first."""
    found = pixels(scores, label)
    losses = []
    for k in sorted({truth for truth, _ in found}):
        true = {n for n, (truth, _) in enumerate(found) if truth == k}
        errors = [1 - p[k] if truth == k else p[k] for truth, p in found]
        wrong: set[int] = set()
        total = 0.0
        for n in sorted(range(len(found)), key=lambda n: -errors[n]):
            before = one_minus_iou(true, wrong)
            wrong.add(n)
            total += errors[n] * (one_minus_iou(true, wrong) - before)
        losses.append(total)
    return float(np.mean(losses))


@pytest.mark.parametrize("absent", [(), (2,), (0, 1, 3)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_lovasz_against_its_definition(seed, absent):
    scores, label = sample(seed)
    for k in absent:
        label[label == k] = 255 if k else 3
    assert float(Lovasz()(scores, label)) == pytest.approx(slow_lovasz(scores, label), rel=1e-5)


def test_lovasz_of_a_hard_prediction_is_one_minus_its_mean_iou():
    generator = torch.Generator().manual_seed(3)
    label = torch.randint(0, 3, (2, 8, 8), generator=generator, dtype=torch.uint8)
    predicted = torch.randint(0, 3, (2, 8, 8), generator=generator)
    scores = torch.nn.functional.one_hot(predicted, 3).permute(0, 3, 1, 2) * 1e4
    iou = [float(((label == k) & (predicted == k)).sum() / ((label == k) | (predicted == k)).sum()) for k in range(3)]
    for criterion in (Lovasz(), Jaccard()):  # which are the same there
        assert float(criterion(scores, label)) == pytest.approx(1 - np.mean(iou), rel=1e-5)


def test_sums_over_many_pixels_stay_exact():
    """Four million pixels, half of them right with p near 1: float32 sums one by one would drift."""
    label = torch.zeros(1, 2048, 2048, dtype=torch.uint8)
    label[0, 1024:] = 1
    scores = torch.zeros(1, 2, 2048, 2048)
    scores[:, 0] = 3.0
    p = 1 / (1 + math.exp(-3))
    half = 2048 * 1024
    dice = [2 * p * half / (2 * p * half + half), 2 * (1 - p) * half / (2 * (1 - p) * half + half)]
    assert float(Dice()(scores, label)) == pytest.approx(1 - np.mean(dice), rel=1e-6)


# ---- gradients


@every
def test_gradients(criterion):
    generator = torch.Generator().manual_seed(5)
    scores = torch.randn(1, 3, 2, 3, generator=generator, dtype=torch.float64).mul_(2).requires_grad_()
    label = torch.tensor([[[0, 1, 2], [1, 255, 0]]], dtype=torch.uint8)
    # The losses compute in float32, hence the wide step; no two errors and no threshold lie within it.
    assert torch.autograd.gradcheck(lambda x: criterion(x, label).double(), scores, eps=3e-3, atol=1e-4, rtol=1e-3)


@every
def test_ignored_pixels_change_nothing(criterion):
    scores, label = sample()
    scores.requires_grad_()
    loss = criterion(scores, label)
    loss.backward()
    ignored = (label == 255)[:, None].expand_as(scores)
    assert not scores.grad[ignored].any()
    other = scores.detach().where(~ignored, torch.full_like(scores, 50.0)).requires_grad_()
    again = criterion(other, label)
    again.backward()
    assert torch.allclose(loss, again) and torch.allclose(scores.grad, other.grad, atol=1e-7)
    whole = criterion(scores.detach().where(~ignored, scores[:, :, :1, :1]), label.where(label != 255, label[1, 0, 0]))
    assert not torch.allclose(loss, whole), "these pixels would count if they had labels"


@every
def test_a_few_steps_lower_the_loss(criterion):
    generator = torch.Generator().manual_seed(7)
    scores = torch.randn(2, 3, 6, 6, generator=generator).requires_grad_()
    label = torch.randint(0, 3, (2, 6, 6), generator=generator, dtype=torch.uint8)
    optimizer = torch.optim.Adam([scores], lr=0.2)
    first = float(criterion(scores, label).detach())
    for _ in range(60):
        optimizer.zero_grad()
        criterion(scores, label).backward()
        optimizer.step()
    last = float(criterion(scores, label).detach())
    uncertain = 0.5 * first if getattr(criterion, "label_smoothing", 0) else 0.1 * first  # smoothed targets cost
    assert last < uncertain
    assert (scores.argmax(1) == label).float().mean() > 0.9


@every
def test_a_perfect_prediction_costs_nothing(criterion):
    if getattr(criterion, "label_smoothing", 0):
        criterion = Focal(criterion.gamma) if isinstance(criterion, Focal) else Ohem(criterion.threshold)
    label = sample()[1]
    right = label.long().where(label != 255, 0)
    scores = torch.nn.functional.one_hot(right, 4).permute(0, 3, 1, 2) * 30.0
    assert float(criterion(scores, label)) == pytest.approx(0, abs=1e-6)


# ---- batches at the edge of sense


def labels(*shape: int, value: int = 0) -> torch.Tensor:
    return torch.full(shape, value, dtype=torch.uint8)


def spread(classes: int) -> torch.Tensor:
    return torch.randn(2, classes, 4, 4, generator=torch.Generator().manual_seed(0))


some = torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
ODD = {
    "nothing labelled": (spread(3), labels(2, 4, 4, value=255), 0.0),
    "one class of one": (spread(1), labels(2, 4, 4), 0.0),
    "one class of one, some ignored": (spread(1), some.where(some == 0, 255), 0.0),
    "one class of one, nothing labelled": (spread(1), labels(2, 4, 4, value=255), 0.0),
    "one class present": (spread(3), labels(2, 4, 4, value=1), None),
    "the last of 255 classes": (spread(255), labels(2, 4, 4, value=254), None),
    "one labelled pixel": (spread(3)[:1, :, :1, :1], labels(1, 1, 1, value=2), None),
    "huge scores, all right": (torch.tensor([1e4, -1e4, 0]).view(1, 3, 1, 1).expand(1, 3, 4, 4), labels(1, 4, 4), 0.0),
    "huge scores, all wrong": (torch.tensor([-1e4, 1e4, 0]).view(1, 3, 1, 1).expand(1, 3, 4, 4), labels(1, 4, 4), None),
    "huge scores": (spread(3) * 1e4, some, None),
    "equal scores": (torch.zeros(2, 3, 4, 4), some, None),
    "bfloat16": (spread(3).bfloat16(), some, None),
    "float16": (spread(3).half(), some, None),
    "channels last": (spread(3).to(memory_format=torch.channels_last), some, None),
}


@every
@pytest.mark.parametrize(("scores", "label", "expected"), ODD.values(), ids=ODD.keys())
def test_odd_batches(criterion, scores, label, expected):
    scores = scores.clone().requires_grad_()
    loss = criterion(scores, label)
    loss.backward()
    assert loss.shape == () and loss.dtype == torch.float32 and scores.grad.dtype == scores.dtype
    assert math.isfinite(float(loss.detach())) and scores.grad.isfinite().all()
    smoothed = getattr(criterion, "label_smoothing", 0) and scores.abs().max() > 1e3  # its target is not one class
    if expected is not None and not smoothed:
        assert float(loss.detach()) == pytest.approx(expected, abs=1e-6) and not scores.grad.any()
    else:
        assert float(loss.detach()) >= 0


@every
def test_scores_are_used_in_float32_whatever_surrounds_the_loss(criterion):
    scores, label = sample()
    rough = scores.bfloat16()
    found = criterion(rough, label)
    assert torch.equal(found, criterion(rough.float(), label))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(criterion(rough, label), found)


@every
def test_a_label_that_is_no_class_is_an_error(criterion):
    for value in (4, 254):
        label = sample()[1]
        label[1, 0, 0] = value
        with pytest.raises(IndexError, match=f"{value}"):
            criterion(sample()[0], label)


# ---- sums, and what a recipe makes


def test_a_sum_is_the_weighted_sum_of_its_parts():
    scores, label = sample()
    found = Sum({"a": CrossEntropy(), "b": Dice()}, {"a": 0.5, "b": 3.0})
    expected = 0.5 * float(CrossEntropy()(scores, label)) + 3.0 * float(Dice()(scores, label))
    assert float(found(scores, label)) == pytest.approx(expected, rel=1e-6)
    assert list(found.parts) == ["a", "b"] and found.weights == {"a": 0.5, "b": 3.0}


def test_one_loss_of_weight_1_is_that_loss_bit_by_bit():
    scores, label = sample()
    assert torch.equal(create(LossRecipe(cross_entropy=1.0))(scores, label), CrossEntropy()(scores, label))


def test_a_recipe_s_parameters_reach_the_losses():
    recipe = LossRecipe(
        **dict.fromkeys(("cross_entropy", "dice", "jaccard", "lovasz", "focal", "ohem"), 0.5),
        focal_gamma=1.5,
        ohem_threshold=0.4,
        ohem_least=0.3,
        smooth=2.0,
    )
    weights = torch.tensor(WEIGHTS)
    expected = {
        "cross_entropy": CrossEntropy(weights, 0.1),
        "dice": Dice(2.0),
        "jaccard": Jaccard(2.0),
        "lovasz": Lovasz(),
        "focal": Focal(1.5, weights, 0.1),
        "ohem": Ohem(0.4, 0.3, weights, 0.1),
    }
    found = create(recipe, weights, 0.1)
    assert found.weights == dict.fromkeys(expected, 0.5) and list(found.parts) == list(expected)
    for name, part in found.parts.items():
        assert type(part) is type(expected[name]) and vars(part) == vars(expected[name])
    assert list(create(LossRecipe(dice=2.0, focal_gamma=1.0)).parts) == ["dice"]


def test_a_training_with_every_loss(tmp_path):
    data = write_folder(tmp_path / "data", 4, 1, (32, 32))
    loss = {"cross_entropy": 1, "lovasz": 0.5, "dice": 0.3, "focal": 0.1, "jaccard": 0.1, "ohem": 0.2}
    unscored = {"name": "folder", "root": str(data), "val": None}
    content = tiny(unscored, loss=loss, class_weights="median_frequency", epochs=2, steps_per_epoch=4)
    run = train(Recipe.model_validate(content), out=tmp_path / "run", device="cpu")
    resolved = Recipe.load(run / "recipe.yaml")
    assert resolved.train.loss.weights == loss and len(resolved.train.class_weights) == 3
    with (run / "metrics.csv").open() as file:
        found = [float(row["train_loss"]) for row in csv.DictReader(file)]
    assert len(found) == 2 and found[-1] < found[0]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"loss": "dice", "class_weights": "median_frequency"}, "train.class_weights: of no use to dice"),
        (
            {"loss": {"jaccard": 1, "lovasz": 1}, "label_smoothing": 0.1},
            r"train.label_smoothing: of no use to jaccard \+ lovasz:",
        ),
        (
            {"loss": {"dice": 1, "focal": 0}, "label_smoothing": 0.1, "class_weights": [1, 1, 1]},
            "train.class_weights and train.label_smoothing: of no use to dice",
        ),
        ({"loss": "focal", "class_weights": [1, 1]}, "2 weights for 3 classes"),
        ({"class_weights": [0, 0, 0]}, "train.class_weights: all of them are 0"),
    ],
)
def test_settings_that_no_loss_takes_are_refused(tmp_path, settings, expected):
    data = write_folder(tmp_path / "data", 2, 1, (32, 32))
    with pytest.raises(RecipeError, match=expected):
        TrainingState.open(Recipe.model_validate(tiny(data, **settings)), tmp_path / "run", "cpu", Restyling)


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "ohem"])
def test_settings_that_one_loss_takes_are_taken(tmp_path, name):
    data = write_folder(tmp_path / "data", 2, 1, (32, 32))
    content = tiny(data, loss={name: 0.5, "dice": 1}, label_smoothing=0.1, class_weights="median_frequency")
    part = TrainingState.open(Recipe.model_validate(content), tmp_path / "run", "cpu", Restyling).criterion.parts[name]
    assert part.label_smoothing == 0.1 and len(part.class_weights) == 3
