"""What adapting asks of a training: further pictures for each batch, and their part of the loss."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor

from tarsia.data._unlabelled import Unlabelled
from tarsia.learning.loader import TargetBatch
from tarsia.models._segmenter import Criterion, Segmenter


class Extended(NamedTuple):
    """Pictures and labels of a batch, and behind its `own` ones those that adapting adds."""

    image_B3HW: Tensor
    label_BHW: Tensor
    own: int

    @property
    def tied(self) -> int:
        """The pixels of the further pictures."""
        return self.label_BHW[self.own :].numel()


class Adaptation(Protocol):
    """What an `adapt` section of a recipe adds to the loss of each batch; `tarsia.adaptation.restyle` has it."""

    target: Unlabelled  # the pictures of the other condition

    def extended(self, image_B3HW: Tensor, label_BHW: Tensor, target: TargetBatch) -> Extended:
        """A batch and the further pictures, with labels."""
        ...

    def loss(
        self, model: Segmenter, given: Extended, criterion: Criterion, tied: float
    ) -> tuple[dict[str, Tensor], Tensor]:
        """As Segmenter.loss, of all pictures; the scores are those of the batch's own.

        `tied`: the further pictures' pixels in the whole step, of which the batch has `given.tied`.
        """
        ...
