"""Losses: scores_BKHW (any float type) and label_BHW (uint8, 255 ignored) -> float32 scalar, computed in float32.

With p the softmax over the classes and y a pixel's true class.  Ignored pixels count nowhere and get no gradient; a
batch with nothing to learn costs zero, and so does every batch where K = 1: the only class is certain.

A step of several batches is learned as if they were one (step_loss.py), so the losses that can be say what they are
made of, as no package's do: `Mean` a sum over pixels and a sum of weights, `Regions` a quotient of sums.

Losses of pixels (cross_entropy, focal, ohem) take class weights and label smoothing.  Losses of regions (dice,
jaccard, lovasz) take neither: each is the mean over the classes that the batch's truth shows, whatever their size.  A
class that is not there has no overlap to gain: it would add a constant that depends on what happens to be in the batch.
Predicting it is punished all the same, by what that takes from the classes that are there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from tarsia import own_parts
from tarsia.card import IGNORED
from tarsia.errors import TrainingError
from tarsia.models._segmenter import Criterion
from tarsia.recipe_train import LOSS, LossRecipe

PIXELWISE = ("cross_entropy", "focal", "ohem")  # those that take class weights and label smoothing
_LEAST_DOUBT = 1e-12  # keeps the gradient of doubt**gamma finite at 0 where gamma < 1; float32's 1 - p is 0 or > 1e-8


class Sum:
    """The sum of `parts`, each times its weight; both by name."""

    def __init__(self, parts: Mapping[str, Criterion], weights: Mapping[str, float]) -> None:
        self.parts = dict(parts)
        self.weights = dict(weights)

    def __call__(self, scores_BKHW: Tensor, label_BHW: Tensor) -> Tensor:
        terms = [self.weights[name] * part(scores_BKHW, label_BHW) for name, part in self.parts.items()]
        return torch.stack(terms).sum()


def create(recipe: LossRecipe, class_weights: Tensor | None = None, label_smoothing: float = 0.0) -> Sum:
    """The weighted sum that a recipe's `train.loss` names."""
    parts: dict[str, Criterion] = {
        "cross_entropy": CrossEntropy(class_weights, label_smoothing),
        "dice": Dice(recipe.smooth),
        "jaccard": Jaccard(recipe.smooth),
        "lovasz": Lovasz(),
        "focal": Focal(recipe.focal_gamma, class_weights, label_smoothing),
        "ohem": Ohem(recipe.ohem_threshold, recipe.ohem_least, class_weights, label_smoothing),
    }
    chosen = {name: parts.get(name) or Own(name) for name in recipe.weights}
    return Sum(chosen, recipe.weights)


class Own:
    """A loss of the user's own: a function of (scores_BKHW, label_BHW), or a class whose objects are called so.

    Each batch's is its own: of a step of several batches the mean is learned.  RecipeError where there is none such.
    """

    def __init__(self, name: str) -> None:
        found = own_parts.accept(name, LOSS).found
        self.name = name
        self.loss: Criterion = found() if isinstance(found, type) else found

    def __call__(self, scores_BKHW: Tensor, label_BHW: Tensor) -> Tensor:
        if isinstance(self.loss, torch.nn.Module):
            self.loss.to(scores_BKHW.device)  # what it keeps, as weights of classes
        value: object = self.loss(scores_BKHW, label_BHW)
        if not isinstance(value, Tensor) or value.ndim:
            found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise TrainingError(f"train.loss: {self.name} gives {found}, expected one number, a tensor of no axes")
        return value.float()


class _Pixelwise:
    """Losses that are means over pixels of -w_y log p_y, divided by the sum of these pixels' weights.

    With label smoothing e the target is (1 - e) for the true class plus e / K for every class (Szegedy et al. 2016,
    section 7), each term weighted by its class.
    """

    def __init__(self, class_weights: Tensor | None = None, label_smoothing: float = 0.0) -> None:
        self.class_weights = class_weights
        self.label_smoothing = label_smoothing

    def _costs(self, scores_BKHW: Tensor, label_BHW: Tensor, reduction: str = "none") -> Tensor:
        """The weighted and smoothed cross-entropy of each pixel, 0 where ignored."""
        return functional.cross_entropy(
            wide(scores_BKHW),
            label_BHW.long(),
            weight=self._weights_on(scores_BKHW),
            ignore_index=IGNORED,
            reduction=reduction,
            label_smoothing=self.label_smoothing,
        )

    def _costs_and_surprises(self, scores_BKHW: Tensor, label_BHW: Tensor) -> tuple[Tensor, Tensor]:
        """The costs, and -log p_y without weights and smoothing."""
        costs_BHW = self._costs(scores_BKHW, label_BHW)
        if self.class_weights is None and self.label_smoothing == 0:
            return costs_BHW, costs_BHW
        return costs_BHW, _Pixelwise()._costs(scores_BKHW, label_BHW)

    def _weight(self, label_BHW: Tensor, counted_BHW: Tensor) -> Tensor:
        """The sum of the weights of these labelled pixels, float64."""
        if self.class_weights is None:
            return counted_BHW.sum().double()
        weights = self.class_weights.to(label_BHW.device)
        return (torch.bincount(label_BHW[counted_BHW], minlength=len(weights)) * weights.double()).sum()

    def _weights_on(self, scores_BKHW: Tensor) -> Tensor | None:
        return None if self.class_weights is None else wide(self.class_weights.to(scores_BKHW.device), scores_BKHW)


class Mean(_Pixelwise):
    """Of the losses of pixels those that are `total` divided by `weight`, which labels alone decide."""

    def __call__(self, scores_BKHW: Tensor, label_BHW: Tensor) -> Tensor:
        return self.total(scores_BKHW, label_BHW) / positive(self.weight(label_BHW))

    def total(self, scores_BKHW: Tensor, label_BHW: Tensor) -> Tensor:
        """The sum over the labelled pixels, float32."""
        raise NotImplementedError

    def weight(self, label_BHW: Tensor) -> Tensor:
        """The sum of the labelled pixels' weights, float64."""
        return self._weight(label_BHW, label_BHW != IGNORED)


class CrossEntropy(Mean):
    """Mean over the labelled pixels of -w_y log p_y, divided by the sum of their weights."""

    def total(self, scores_BKHW: Tensor, label_BHW: Tensor) -> Tensor:
        return self._costs(scores_BKHW, label_BHW, "sum")


class Focal(Mean):
    """Cross-entropy with each pixel's cost times (1 - p_y)^gamma (Lin et al., ICCV 2017, equation 4).

    What differs: the sum is divided as the cross-entropy is, so that gamma 0 is the cross-entropy; their alpha is the
    class weights.
    """

    def __init__(self, gamma: float = 2.0, class_weights: Tensor | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__(class_weights, label_smoothing)
        self.gamma = gamma

    def total(self, scores_BKHW: Tensor, label_BHW: Tensor) -> Tensor:
        costs_BHW, surprises_BHW = self._costs_and_surprises(scores_BKHW, label_BHW)
        doubts_BHW = (-torch.expm1(-surprises_BHW)).clamp_min(_LEAST_DOUBT)  # 1 - p_y
        return (doubts_BHW**self.gamma * costs_BHW).sum()


class Ohem(_Pixelwise):
    """Cross-entropy of the hard pixels alone: those with p_y < `threshold`, at least the share `least` of the labelled.

    Where fewer are below the threshold the hardest of the batch fill up.  Mining hard examples in each batch:
    Shrivastava, Gupta & Girshick, CVPR 2016; of pixels, by a threshold that gives way where too few are left: Wu, Shen
    & van den Hengel, "Bridging Category-level and Instance-level Semantic Image Segmentation", 2016 (there a least
    number of pixels, here a share, which means the same for every size of picture).
    """

    def __init__(
        self,
        threshold: float = 0.7,
        least: float = 0.0625,
        class_weights: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(class_weights, label_smoothing)
        self.threshold = threshold
        self.least = least

    def __call__(self, scores_BKHW: Tensor, label_BHW: Tensor) -> Tensor:
        costs_BHW, surprises_BHW = self._costs_and_surprises(scores_BKHW, label_BHW)
        labelled_BHW = label_BHW != IGNORED
        hardness_N = surprises_BHW.detach().masked_fill(~labelled_BHW, -1).flatten()
        hard_N = hardness_N > -math.log(self.threshold)
        least = math.ceil(self.least * int(labelled_BHW.sum()))
        if int(hard_N.sum()) < least:
            hard_N = torch.zeros_like(hard_N).index_fill(0, hardness_N.topk(least, sorted=False).indices, True)
        hard_BHW = hard_N.view_as(label_BHW)
        return (costs_BHW * hard_BHW).sum() / positive(self._weight(label_BHW, hard_BHW))


class Regions:
    """Losses that follow from `sums` over the labelled pixels: of each class I, P and T, 3 x K in float64.

    I is the sum of p where the class is true, P the sum of p, T the true pixels; `smooth` pixels are added.
    """

    def __init__(self, smooth: float = 0.0) -> None:
        self.smooth = smooth

    def __call__(self, scores_BKHW: Tensor, label_BHW: Tensor) -> Tensor:
        return self.of(self.sums(scores_BKHW, label_BHW))

    def sums(self, scores_BKHW: Tensor, label_BHW: Tensor) -> Tensor:
        """I, P and T: those of several batches add up to those of all of them."""
        return _soft_counts(scores_BKHW, label_BHW)

    def of(self, sums_3K: Tensor) -> Tensor:
        raise NotImplementedError


class Dice(Regions):
    """1 - (2 I + s) / (P + T + s), the mean over the classes in the batch's truth; s = `smooth` pixels.

    As in Saraceno, "Image Semantic Segmentation", 2022; from Milletari et al., "V-Net", 3DV 2016, section 3, which
    squares the terms of P and T.
    """

    def of(self, sums_3K: Tensor) -> Tensor:
        shared_K, predicted_K, true_K = sums_3K
        return _mean_loss(2 * shared_K + self.smooth, predicted_K + true_K + self.smooth, true_K > 0)


class Jaccard(Regions):
    """1 - (I + s) / (P + T - I + s), the mean over the classes in the batch's truth; letters as for Dice.

    As in Saraceno 2022; Rahman & Wang, "Optimizing Intersection-over-Union in Deep Neural Networks for Image
    Segmentation", ISVC 2016.
    """

    def of(self, sums_3K: Tensor) -> Tensor:
        shared_K, predicted_K, true_K = sums_3K
        return _mean_loss(shared_K + self.smooth, predicted_K + true_K - shared_K + self.smooth, true_K > 0)


class Lovasz:
    """Lovasz-Softmax (Berman, Triki & Blaschko, CVPR 2018): the Lovasz extension of 1 - IoU at the errors of p.

    A class's errors are 1 - p where it is true and p elsewhere, over all labelled pixels of the batch; the mean over
    the classes in the batch's truth.  Takes one sort of the pixels for each of these classes.
    """

    def __call__(self, scores_BKHW: Tensor, label_BHW: Tensor) -> Tensor:
        p_KN = functional.softmax(wide(scores_BKHW), 1).transpose(0, 1).flatten(1)
        label_N = label_BHW.flatten()
        present = (_true_pixels(label_N, len(p_KN)) > 0).tolist()
        losses = [_lovasz(p_N, label_N, k) for k, p_N in enumerate(p_KN.unbind()) if present[k]]
        return torch.stack(losses).mean() if losses else p_KN.sum() * 0


def _lovasz(p_N: Tensor, label_N: Tensor, k: int) -> Tensor:
    """The loss of class k: each pixel's error times what it adds to 1 - IoU when the pixels become wrong one after the
    other, the largest error first.

    Those are the differences in the publication's algorithm 1, in closed form: of two ratios that are nearly equal
    float32 would leave little in a batch of millions of pixels.  They are constants to the gradient, for the extension
    is linear as long as the order stays.
    """
    true_N = label_N == k
    errors_N = torch.where(true_N, 1 - p_N, p_N)
    # As integers floats >= 0 have the same order, and torch sorts int32 upwards five times as fast as floats on CPUs.
    falling_N = -errors_N.detach().float().view(torch.int32)
    order_N = falling_N.masked_fill_(label_N == IGNORED, 1).argsort()  # the ignored come last
    lost_N = true_N.index_select(0, order_N)
    missed_N = lost_N.cumsum(0, dtype=torch.int32)
    kept_N = (missed_N[-1] - missed_N).float()  # 0 from the last true pixel on, hence for the ignored
    union_N = torch.arange(1, len(kept_N) + 1, dtype=torch.float32, device=kept_N.device) + kept_N
    # A true pixel leaves the intersection: 1 / U.  Another one joins the union: I / (U - 1) - I / U.
    slopes_N = torch.where(lost_N, 1 / union_N, kept_N / (union_N * (union_N - 1)))
    return (errors_N * torch.empty_like(slopes_N).scatter_(0, order_N, slopes_N)).sum()


def wide(values: Tensor, like: Tensor | None = None) -> Tensor:
    """The type that a loss is computed in: float32, or the float64 of scores (`like`, or the values) that have it."""
    return values.double() if (values if like is None else like).dtype == torch.float64 else values.float()


def positive(total: Tensor) -> Tensor:
    """A divisor, float32: 1 where it is 0, where what it divides is 0 as well."""
    return torch.where(total > 0, total, torch.ones_like(total)).float()


def _soft_counts(scores_BKHW: Tensor, label_BHW: Tensor) -> Tensor:
    """For each class, over the labelled pixels: the sum of p where it is true, the sum of p, the true pixels; 3 x K."""
    p_BKHW = functional.softmax(wide(scores_BKHW), 1)
    true_K = _true_pixels(label_BHW.flatten(), p_BKHW.shape[1])
    labelled_B1HW = (label_BHW != IGNORED)[:, None]
    label_B1HW = label_BHW[:, None].long().where(labelled_B1HW, 0)
    p_true_B1HW = p_BKHW.gather(1, label_B1HW) * labelled_B1HW
    # In float64: one by one, float32 would lose pixels of a large batch.
    shared_K = p_BKHW.new_zeros(p_BKHW.shape[1], dtype=torch.float64)
    shared_K = shared_K.index_add(0, label_B1HW.flatten(), p_true_B1HW.flatten().double())
    return torch.stack([shared_K, (p_BKHW * labelled_B1HW).sum((0, 2, 3)).double(), true_K.double()])


def _true_pixels(label_N: Tensor, classes: int) -> Tensor:
    """The labelled pixels of each class; IndexError for a label that is none, as the cross-entropy raises."""
    count = torch.bincount(label_N, minlength=IGNORED + 1)
    beyond = count[classes:IGNORED].nonzero()
    if len(beyond):
        raise IndexError(f"a label is {classes + int(beyond[0])}, expected 0 to {classes - 1} or {IGNORED}")
    return count[:classes]


def _mean_loss(overlap_K: Tensor, size_K: Tensor, present_K: Tensor) -> Tensor:
    """The mean of 1 - overlap / size over the classes that are present, 0 where none is."""
    losses_K = 1 - overlap_K / size_K.where(present_K, 1)
    return (losses_K.where(present_K, 0).sum() / present_K.sum().clamp_min(1)).float()
