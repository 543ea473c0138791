"""The gradients of an optimizer step, whose batches go through the network one by one and are learned as one."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tarsia.engines.torch_engine import autocast
from tarsia.evaluation.confusion import count
from tarsia.learning import failures, optimizer
from tarsia.learning.adaptation import Extended
from tarsia.learning.loader import Batch, TargetBatch
from tarsia.learning.state import TrainingState
from tarsia.learning.step_loss import StepLoss
from tarsia.models._segmenter import Criterion


class Learned(NamedTuple):
    """What a step has learned from, in all processes of the training."""

    loss: float
    labelled: bool  # whether any pixel was
    pictures: int


def gradients(state: TrainingState, group: Sequence[Batch]) -> Learned:
    """Add the gradients of a step, of which `group` are this process's batches, and count what the network saw."""
    processes = state.processes
    given = [_extended(state, batch) for batch in group]
    loss = StepLoss(state.criterion, [one.label_BHW for one in given], processes)
    sums = [sum(one.tied for one in given), sum(batch.label_BHW.numel() for batch in group if batch.names)]
    tied, pixels = processes.sum(torch.tensor(sums, dtype=torch.float64)).tolist()
    if loss.needs_a_look:
        with _undisturbed(state), torch.no_grad():
            for batch, one in zip(group, given, strict=True):
                _terms(state, one, loss.look(), tied, bool(batch.names))
        loss.settle()
    value = 0.0
    for turn, (batch, one) in enumerate(zip(group, given, strict=True), 1):
        last = turn == len(group)
        with contextlib.nullcontext() if last else processes.more_to_come(state.learner):
            value += _backward(state, batch, one, loss, tied, pixels)
    learned = torch.tensor([value, sum(len(batch.names) for batch in group)], dtype=torch.float64)
    value, pictures = processes.sum(learned).tolist()
    return Learned(value, loss.labelled > 0, int(pictures))


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
    state: TrainingState, given: Extended, criterion: Criterion, tied: float, learned: bool
) -> tuple[dict[str, Tensor], Tensor]:
    """The terms of a batch's share of the loss, and its own pictures' scores."""
    image = given.image_B3HW.to(state.device, non_blocking=True)
    label = given.label_BHW.to(state.device, non_blocking=True)
    state.processes.counts = learned
    with autocast(state.device, state.recipe.train.precision):
        found: tuple[dict[str, Tensor], Tensor] = state.learner(Extended(image, label, given.own), criterion, tied)
        return found


def _backward(state: TrainingState, batch: Batch, given: Extended, loss: StepLoss, tied: float, pixels: float) -> float:
    terms, scores_BKHW = _terms(state, given, loss.share(), tied, bool(batch.names))
    if state.teacher is not None and batch.names:
        image = given.image_B3HW[: given.own].to(state.device, non_blocking=True)
        with autocast(state.device, state.recipe.train.precision):
            terms = terms | {"teacher": state.teacher.loss(scores_BKHW, image, pixels)}
    total = torch.stack(list(terms.values())).sum()
    value = float(total.detach())
    if not math.isfinite(value):
        raise failures.not_finite(state, batch, {name: float(term.detach()) for name, term in terms.items()})
    state.processes.backward(total)
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
