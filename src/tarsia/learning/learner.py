"""The network with its loss as one module: gradients of several processes are summed for what goes through its call."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from tarsia.learning.adaptation import Adaptation, Extended
from tarsia.models._segmenter import Criterion, Segmenter


class Learner(nn.Module):
    """Pictures and labels on the network's device -> the terms of a batch's share of the loss, and its scores."""

    def __init__(self, model: Segmenter, adaptation: Adaptation | None) -> None:
        super().__init__()
        self.model, self.adaptation = model, adaptation

    def forward(self, given: Extended, criterion: Criterion, tied: float) -> tuple[dict[str, Tensor], Tensor]:
        """As Segmenter.loss; `tied` is for what adapts (Adaptation.loss)."""
        if self.adaptation is None:
            return self.model.loss(given.image_B3HW, given.label_BHW, criterion)
        return self.adaptation.loss(self.model, given, criterion, tied)


def has_unused(model: Segmenter) -> bool:
    """Whether a parameter that is learned has no part in the loss, as some of encoders whose last maps nobody takes."""
    trial = copy.deepcopy(model).train()
    learned = [parameter for parameter in trial.parameters() if parameter.requires_grad]
    side = 2 * trial.stride
    device = learned[0].device if learned else torch.device("cpu")
    image = torch.zeros(2, trial.bands, side, side, dtype=torch.uint8, device=device)
    label = torch.zeros(2, side, side, dtype=torch.uint8, device=device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        terms, _ = trial.loss(image, label, lambda scores_BKHW, _: scores_BKHW.float().sum())
    found = torch.autograd.grad(torch.stack(list(terms.values())).sum(), learned, allow_unused=True)
    return any(one is None for one in found)
