"""The gradients of an optimizer step, whose batches go through the network one by one and are learned as one."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from tarsia.engines.torch_engine import autocast
from tarsia.evaluation.confusion import count
from tarsia.learning import failures, optimizer
from tarsia.learning.adaptation import Extended
from tarsia.learning.loader import Batch, TargetBatch
from tarsia.learning.state import TrainingState
from tarsia.learning.step_loss import Reduce, StepLoss, alone
from tarsia.models._segmenter import Criterion


def gradients(state: TrainingState, group: Sequence[Batch], reduce: Reduce = alone) -> tuple[float, bool]:
    """Add the gradients of a step's batches, count what the network saw -> the loss, whether any pixel was labelled.

    `reduce` sums over the processes of a training; the gradients of all of them are then to be summed, not averaged.
    """
    given = [_extended(state, batch) for batch in group]
    loss = StepLoss(state.criterion, [one.label_BHW for one in given], reduce)
    sums = [sum(one.tied for one in given), sum(batch.label_BHW.numel() for batch in group)]
    tied, pixels = reduce(torch.tensor(sums, dtype=torch.float64)).tolist()
    if loss.needs_a_look:
        with _undisturbed(state), torch.no_grad():
            for one in given:
                _terms(state, one, loss.look(), tied)
        loss.settle()
    value = sum(_backward(state, batch, one, loss, tied, pixels) for batch, one in zip(group, given, strict=True))
    return float(reduce(torch.tensor([value], dtype=torch.float64))), loss.labelled > 0


def take(state: TrainingState) -> float:
    """One optimizer step with the gradients gathered; returns the learning rate it used."""
    settings, progress = state.recipe.train, state.progress
    factor = optimizer.factor(settings, progress.step, state.first_plan)
    learning_rate = optimizer.set_learning_rate(state.optimizer, factor)
    if settings.clip_norm:
        torch.nn.utils.clip_grad_norm_(state.model.parameters(), settings.clip_norm)
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    if state.average:
        state.average.update(state.model, progress.step)
    progress.step += 1
    return learning_rate


def _extended(state: TrainingState, batch: Batch) -> Extended:
    """A batch with the pictures that adapting adds to it; without those it stays where it is until its turn comes."""
    if state.adaptation is None or batch.target is None:
        return Extended(batch.image_B3HW, batch.label_BHW, len(batch.names))
    image, label, *target = (
        part.to(state.device, non_blocking=True) for part in (batch.image_B3HW, batch.label_BHW, *batch.target)
    )
    with autocast(state.device, state.recipe.train.precision):
        return state.adaptation.extended(image, label, TargetBatch(*target))


def _terms(
    state: TrainingState, given: Extended, criterion: Criterion, tied: float
) -> tuple[dict[str, Tensor], Tensor]:
    """The terms of a batch's share of the loss, and its own pictures' scores."""
    image = given.image_B3HW.to(state.device, non_blocking=True)
    label = given.label_BHW.to(state.device, non_blocking=True)
    with autocast(state.device, state.recipe.train.precision):
        if state.adaptation is None:
            return state.model.loss(image, label, criterion)
        there = given._replace(image_B3HW=image, label_BHW=label)
        return state.adaptation.loss(state.model, there, criterion, tied)


def _backward(state: TrainingState, batch: Batch, given: Extended, loss: StepLoss, tied: float, pixels: float) -> float:
    terms, scores_BKHW = _terms(state, given, loss.share(), tied)
    if state.teacher is not None:
        image = given.image_B3HW[: given.own].to(state.device, non_blocking=True)
        with autocast(state.device, state.recipe.train.precision):
            terms = terms | {"teacher": state.teacher.loss(scores_BKHW, image, pixels)}
    total = torch.stack(list(terms.values())).sum()
    value = float(total.detach())
    if not math.isfinite(value):
        raise failures.not_finite(state, batch, {name: float(term.detach()) for name, term in terms.items()})
    total.backward()
    predicted = scores_BKHW.detach().max(1).indices.to(torch.uint8).cpu().numpy()
    for truth_HW, predicted_HW in zip(batch.label_BHW.numpy(), predicted, strict=True):
        state.counts_KK1 += count(truth_HW, predicted_HW, len(state.card.classes))
    return value


@contextlib.contextmanager
def _undisturbed(state: TrainingState) -> Iterator[None]:
    """Passes within leave running statistics as they are; those after it draw the same random numbers again."""
    kept = [buffer.clone() for buffer in state.model.buffers()]
    with torch.random.fork_rng([state.device] if state.device.startswith("cuda") else []):
        yield
    with torch.no_grad():
        for buffer, before in zip(state.model.buffers(), kept, strict=True):
            buffer.copy_(before)
