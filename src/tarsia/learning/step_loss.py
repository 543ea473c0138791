"""The loss of an optimizer step of several batches: as if they were one, for every loss that is made of sums.

A mean over pixels is divided by the labelled weight of the whole step.  A quotient of sums (dice, jaccard) is taken of
the sums of the whole step; its gradient is that of the sums, each times the quotient's slope there, so that the batches
can go through the network one after the other, once more for the sums beforehand.  What is no sum (lovasz, ohem) is
taken of each batch by itself, and its mean is learned.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tarsia.card import IGNORED
from tarsia.learning.losses import Mean, Regions, Sum, wide
from tarsia.learning.processes import Processes
from tarsia.models._segmenter import Criterion


def per_batch(criterion: Sum) -> list[str]:
    """The names of the losses in a sum that are taken of each batch by itself."""
    return [name for name, part in criterion.parts.items() if not isinstance(part, Mean | Regions)]


class StepLoss:
    """The criterion of a step.

    Each batch is given to a criterion of its own, from `share`: what these return adds up, over the batches of all
    processes, to the step's loss, and their gradients to its gradient.  Where `needs_a_look` every batch is given to
    one from `look` before, without gradients, and `settle` follows.  A model may call a criterion several times for a
    batch, in the same order each time: its k-th calls belong together (pspnet's auxiliary loss).  `labelled`: how many
    batches have a labelled pixel.
    """

    def __init__(self, criterion: Sum, labels: Sequence[Tensor], processes: Processes) -> None:
        """`labels` B x H x W uint8: those of this process's batches."""
        self._criterion, self._processes = criterion, processes
        means = {name: part for name, part in criterion.parts.items() if isinstance(part, Mean)}
        single = len(labels) == 1 and processes.count == 1  # then the criterion itself is asked, and divides by itself
        own = torch.zeros(2 + len(means), dtype=torch.float64)
        for label in labels:
            shown = bool((label != IGNORED).any())
            weights = [] if single else [float(part.weight(label)) for part in means.values()]
            own += torch.tensor([1.0, float(shown), *(weights or [0.0] * len(means))], dtype=torch.float64)
        self.batches, self.labelled, *weights = processes.sum(own).tolist()
        self._weights = dict(zip(means, weights, strict=True))
        self._sums: list[dict[str, Tensor]] = []  # of each call, of each quotient
        self._slopes: list[dict[str, Tensor]] = []
        self._values: list[dict[str, Tensor]] = []

    @property
    def needs_a_look(self) -> bool:
        """Whether something must be known of the scores of all batches before the first can be learned."""
        return self.batches > 1 and any(isinstance(part, Regions) for part in self._criterion.parts.values())

    def look(self) -> Criterion:
        """For one batch: notes the sums of its quotients."""
        calls = 0

        def criterion(scores_BKHW: Tensor, label_BHW: Tensor) -> Tensor:
            nonlocal calls
            if calls == len(self._sums):
                self._sums.append({})
            sums, calls = self._sums[calls], calls + 1
            for name, part in self._criterion.parts.items():
                if isinstance(part, Regions):
                    sums[name] = sums.get(name, 0) + part.sums(scores_BKHW, label_BHW)
            return scores_BKHW.new_zeros(())

        return criterion

    def settle(self) -> None:
        """The quotients and their slopes, from what was noted."""
        flat = torch.cat([sums.flatten() for call in self._sums for sums in call.values()])
        rest = self._processes.sum(flat)
        for call in self._sums:
            slopes, values = {}, {}
            for name, sums in call.items():
                part = self._criterion.parts[name]
                assert isinstance(part, Regions)
                taken, rest = rest[: sums.numel()], rest[sums.numel() :]
                with torch.enable_grad():
                    total_3K = taken.view_as(sums).detach().requires_grad_()
                    value = part.of(total_3K)
                (slopes[name],) = torch.autograd.grad(value, total_3K)
                values[name] = value.detach()
            self._slopes.append(slopes)
            self._values.append(values)

    def share(self) -> Criterion:
        """For one batch: its share of the step's loss."""
        calls = 0

        def criterion(scores_BKHW: Tensor, label_BHW: Tensor) -> Tensor:
            nonlocal calls
            call, calls = calls, calls + 1
            if self.batches == 1:
                return self._criterion(scores_BKHW, label_BHW)
            terms = [
                self._criterion.weights[name] * self._share(name, call, scores_BKHW, label_BHW)
                for name in self._criterion.parts
            ]
            return torch.stack(terms).sum()

        return criterion

    def _share(self, name: str, call: int, scores_BKHW: Tensor, label_BHW: Tensor) -> Tensor:
        part = self._criterion.parts[name]
        if isinstance(part, Mean):
            return part.total(scores_BKHW, label_BHW) / (self._weights[name] or 1.0)
        if isinstance(part, Regions):
            linear = (self._slopes[call][name] * part.sums(scores_BKHW, label_BHW)).sum()
            # The value of an equal share, the gradient of the sums.
            return wide(linear - linear.detach() + self._values[call][name] / self.batches, like=scores_BKHW)
        return part(scores_BKHW, label_BHW) / (self.labelled or 1.0)


class SplitLoss:
    """The loss of all batches that were added, as if they were one; what is no sum is the mean by labelled pixels."""

    def __init__(self, criterion: Sum, classes: int) -> None:
        self._criterion = criterion
        quotients = [name for name, part in criterion.parts.items() if isinstance(part, Regions)]
        self._sums = {name: torch.zeros(3, classes, dtype=torch.float64) for name in quotients}
        self._totals = {name: (0.0, 0.0) for name in criterion.parts if name not in quotients}  # over, under

    @torch.no_grad()
    def add(self, scores_BKHW: Tensor, label_BHW: Tensor) -> None:
        pixels = float((label_BHW != IGNORED).sum())
        for name, part in self._criterion.parts.items():
            if isinstance(part, Regions):
                self._sums[name] += part.sums(scores_BKHW, label_BHW).cpu()
                continue
            over, under = self._totals[name]
            if isinstance(part, Mean):
                over += float(part.total(scores_BKHW, label_BHW))
                under += float(part.weight(label_BHW))
            else:
                over += float(part(scores_BKHW, label_BHW)) * pixels
                under += pixels
            self._totals[name] = over, under

    def value(self, processes: Processes) -> float:
        """The loss of what all processes have added; 0 where no pixel was labelled."""
        totals = torch.tensor(list(self._totals.values()), dtype=torch.float64)
        found = {
            name: over / (under or 1.0)
            for name, (over, under) in zip(self._totals, processes.sum(totals).tolist(), strict=True)
        }
        for name, sums_3K in self._sums.items():
            part = self._criterion.parts[name]
            assert isinstance(part, Regions)
            found[name] = float(part.of(processes.sum(sums_3K)))
        return sum(self._criterion.weights[name] * one for name, one in found.items())
