"""A training's state: everything the loop needs, how it is set up, saved, and restored bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tarsia import console, yaml_tree
from tarsia.card import Card
from tarsia.data import Dataset
from tarsia.data._dataset import read_as
from tarsia.engines.torch_engine import TorchEngine
from tarsia.engines.weights import carry_over
from tarsia.learning import licence, losses, optimizer, resuming, sharing, speed, weights_input
from tarsia.learning.adaptation import Adaptation
from tarsia.learning.augment import Augment, Extra
from tarsia.learning.distillation import Teacher
from tarsia.learning.features import Features
from tarsia.learning.learner import Learner, has_unused
from tarsia.learning.limit import Limit, end_of
from tarsia.learning.loader import Batch, TrainingOrder, loader
from tarsia.learning.optimizer import Average
from tarsia.learning.parts import create_model, open_data, settle_criterion
from tarsia.learning.processes import Processes
from tarsia.models._blocks import synchronise
from tarsia.models._segmenter import Segmenter
from tarsia.recipe import AdaptRecipe, Recipe

_MORE = 4  # times as many epochs as planned, for which a time limit may leave room
Adapted = Callable[[AdaptRecipe, Segmenter, Card, str], Adaptation]


@dataclass
class Progress:
    """Where a training stands, counted from 0, and what the epoch under way has summed up."""

    epoch: int = 0
    batch: int = 0  # batches done in this epoch
    step: int = 0  # optimizer steps done in all
    best_miou: float = -1.0
    best_epoch: int = 0
    loss_sum: float = 0.0  # over the pictures learned
    learned: int = 0  # pictures of steps with a labelled pixel
    pictures: int = 0
    seconds: float = 0.0
    waiting_seconds: float = 0.0
    ended_by: str = ""  # the callback that has ended the training
    limit: dict[str, Any] | None = None  # Limit.facts, as the resume point was written

    @property
    def images_per_second(self) -> float:
        return self.pictures / max(self.seconds, 1e-9)

    @property
    def waiting_share(self) -> float:
        """The share of the epoch's time that went into waiting for pictures."""
        return self.waiting_seconds / max(self.seconds, 1e-9)

    def next_epoch(self) -> None:
        self.epoch += 1
        self.batch = self.pictures = self.learned = 0
        self.loss_sum = self.seconds = self.waiting_seconds = 0.0


@dataclass(kw_only=True)
class TrainingState:
    """A recipe made concrete.  `recipe` is resolved: nothing in it is left to be measured or counted."""

    recipe: Recipe
    folder: Path
    device: str
    train_data: Dataset
    val_data: Dataset | None
    augment: Augment
    model: Segmenter
    card: Card
    criterion: losses.Sum
    optimizer: torch.optim.Optimizer
    average: Average | None
    teacher: Teacher | None
    adaptation: Adaptation | None
    counts_KK1: np.ndarray  # of the epoch under way, on augmented training pictures: this process's, of all at a save
    processes: Processes
    features: Features | None = None  # maps of the encoder, which are learned from in place of pictures
    progress: Progress = field(default_factory=Progress)
    history: list[dict[str, Any]] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)  # where it runs, for the model files
    notes: list[str] = field(default_factory=list)  # on how it was set up, for the log
    limit: Limit | None = None
    reasons: dict[str, str] = field(default_factory=dict)  # why settings are as they are, for the run's recipe

    def __post_init__(self) -> None:
        self.learner: nn.Module = Learner(self.model, self.adaptation)

    @classmethod
    def open(
        cls,
        recipe: Recipe,
        folder: Path,
        device: str,
        adapted: Adapted,
        extra: Extra | None = None,
        resume: bool = False,
        processes: Processes | None = None,
    ) -> TrainingState:
        """Set up the training of `recipe`; with `resume` from the newest resume point in `folder`, if there is one.

        `adapted` makes of the recipe's `adapt` section, where there is one, what it adds to each batch.

        Nothing is written.  Raises DatasetError, RecipeError or ModelFileError for whatever does not fit together,
        TrainingError for resume points that are damaged or of another training.
        """
        processes = processes or Processes(device)
        going_on = processes.first(lambda: resume and resuming.has_point(folder))
        tree = resuming.read(folder, recipe, processes) if going_on else {}
        recipe = sharing.settled(recipe, processes)
        train_data, val_data = open_data(recipe)
        recipe, unsaid = (recipe, "") if going_on else weights_input.settled(recipe)
        if unsaid:
            console.note(unsaid)
        # What self-training learns from is the network at its start: a resumed one needs that again.
        at_start = not going_on or (recipe.adapt is not None and recipe.adapt.method == "self-training")
        model, card = create_model(recipe, train_data, weights=recipe.model.weights if at_start else "none")
        train_data = read_as(train_data, card.spec)
        val_data = None if val_data is None else read_as(val_data, card.spec)
        if recipe.train.start_from and at_start:
            console.note(carry_over(model, card, Path(recipe.train.start_from)))
        model.to(device)
        recipe = licence.settled(recipe) if not going_on else recipe
        if warning := licence.remark(recipe.model):
            console.warn(warning)
        augment = Augment(recipe.augment, extra)
        recipe, criterion = settle_criterion(recipe, train_data, device, processes)
        order = _order(recipe, train_data, 0, 0, processes)
        features = Features(recipe, train_data, augment, card.input, model) if recipe.train.cache_features else None
        first = partial(loader, train_data, augment, card.input, order, recipe.seed, 0)
        batch = partial(features.example, recipe.train.batch) if features else lambda: next(iter(first()))
        train, notes = speed.settle(recipe.train, model, batch, criterion, processes)
        recipe = recipe.model_copy(update={"train": train})
        state = cls(
            recipe=recipe,
            folder=folder,
            device=device,
            train_data=train_data,
            val_data=val_data,
            augment=augment,
            model=model,
            card=card,
            criterion=criterion,
            optimizer=optimizer.create(model, recipe.train),
            average=Average(model, recipe.train.ema) if recipe.train.ema else None,
            teacher=Teacher(recipe.teacher, card, device, train.memory_format) if recipe.teacher else None,
            adaptation=adapted(recipe.adapt, model, card, device) if recipe.adapt else None,
            counts_KK1=np.zeros((len(card.classes), len(card.classes) + 1), np.int64),
            notes=[*sharing.told(train, processes), *notes],
            processes=processes,
            features=features,
        )
        torch.manual_seed(recipe.seed + (processes.rank << 32))  # dropout differs from process to process
        if going_on:
            resuming.restore(state, tree)
        if train.sync_batch_norm:
            synchronise(model, processes)
        if processes.count > 1:
            state.learner = processes.learning(state.learner, has_unused(model))
        if recipe.train.compile:
            # Not the module: a loss with auxiliary terms goes past its call.
            model.segment = torch.compile(model.segment)  # type: ignore[method-assign]
        return state

    def order(self) -> TrainingOrder:
        """The batches still to come."""
        return _order(self.recipe, self.train_data, self.progress.epoch, self.progress.batch, self.processes)

    @property
    def batches_per_step(self) -> int:
        """How many batches an optimizer step learns, in all processes."""
        return sharing.batches_per_step(self.recipe.train, self.processes.count)

    @property
    def total_steps(self) -> int:
        """How many optimizer steps the training has, as it is planned now."""
        return end_of(self.recipe.train.replan, self.progress.step, self.first_plan)

    @property
    def first_plan(self) -> int:
        """How many optimizer steps the recipe has, before anything in `replan`."""
        return self.steps_per_epoch * self.recipe.train.epochs

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of an epoch."""
        return math.ceil(self.order().steps / self.batches_per_step)

    @property
    def epochs(self) -> int:
        """How many epochs the training has, as it is planned now; the last one may be cut short."""
        settings = self.recipe.train
        return math.ceil(self.total_steps / self.steps_per_epoch) if settings.replan else settings.epochs

    def replan(self, total: int) -> None:
        """Have the training end after `total` steps."""
        step = self.progress.step
        kept = [one for one in self.recipe.train.replan if one[0] < step]
        train = self.recipe.train.model_copy(update={"replan": (*kept, (step, total))})
        self.recipe = self.recipe.model_copy(update={"train": train})

    def batches(self) -> Iterator[Batch]:
        """The batches still to come, read and augmented by the recipe's workers."""
        settings, pin = self.recipe.train, self.device.startswith("cuda")
        target = self.adaptation.target if self.adaptation else None
        order = self.order()
        most = max([self.first_plan, *(total for _, total in settings.replan)])  # whichever is in force by and by
        order.epochs = math.ceil(most / self.steps_per_epoch) * (_MORE if self.limit else 1)  # a plan may grow
        if self.features:
            return self.features.batches(order, settings.workers, pin)
        return loader(
            self.train_data,
            self.augment,
            self.card.input,
            order,
            self.recipe.seed,
            settings.workers,
            pin,
            target,
            self.recipe.data.keep_megabytes * 10**6,
        )

    def fill(self, say: Callable[[str], None], look: Callable[[], None]) -> None:
        """Compute what is learned from in place of pictures, where that is not on the disk yet; `look` may end it."""
        settings = self.recipe.train
        if self.features and settings.cache_features:
            open_end = self.limit or settings.steps_per_epoch  # an epoch, or a longer plan, may see further views
            views = settings.cache_features.views if open_end else self.epochs
            self.features.fill(self.model, settings, views, self.processes, say, look)

    def engine(self) -> TorchEngine:
        """What validation runs: the averaged weights where there are any, in the training's precision."""
        best = self.average.model if self.average else self.model
        assert isinstance(best, Segmenter)
        settings = self.recipe.train
        return TorchEngine(best, self.card, self.device, settings.precision, settings.memory_format)

    def follow_first(self) -> None:
        """Take over the first process's running statistics; weights are alike in all."""
        self.processes.follow(self.model)
        if self.average:
            self.processes.follow(self.average.model)

    def take_progress(self, kept: dict[str, Any]) -> None:
        """Go on where `kept` says; earlier versions did not count what was learned: then it is all pictures."""
        self.progress = Progress(**{"learned": kept["pictures"]} | kept)

    def counted(self) -> np.ndarray:
        """The counts of the epoch under way, of all processes."""
        return self.processes.sum(torch.from_numpy(self.counts_KK1)).numpy()

    def save(self) -> None:
        """Write the resume point: all that the steps to come depend on, of all processes, which save together."""
        resuming.save(self)

    def write_recipe(self) -> None:
        """Write the run's recipe.yaml: all that a rerun needs."""
        header = "resolved by tarsia train; repeat with tarsia train"
        yaml_tree.dump(self.folder / "recipe.yaml", self.recipe, header, self.reasons)


def _order(recipe: Recipe, train_data: Dataset, epoch: int, batch: int, processes: Processes) -> TrainingOrder:
    settings = recipe.train
    return TrainingOrder(
        len(train_data),
        settings.batch,
        recipe.seed,
        settings.epochs,
        recipe.augment.threefold,
        settings.steps_per_epoch,
        epoch,
        batch,
        sharing.batches_per_step(settings, processes.count),
        processes.count,
        processes.rank,
    )
