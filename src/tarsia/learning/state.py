"""A training's state: everything the loop needs, how it is set up, saved, and restored bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tarsia import console, own_parts, recipe_changes, yaml_tree
from tarsia.card import Card
from tarsia.data import Dataset
from tarsia.data._dataset import read_as
from tarsia.engines.torch_engine import TorchEngine
from tarsia.engines.weights import carry_over
from tarsia.errors import RecipeError, TrainingError
from tarsia.learning import licence, losses, optimizer, resume_point, speed, weights_input
from tarsia.learning.adaptation import Adaptation
from tarsia.learning.augment import Augment, Extra
from tarsia.learning.distillation import Teacher
from tarsia.learning.limit import Limit, end_of
from tarsia.learning.loader import Batch, TrainingOrder, loader
from tarsia.learning.optimizer import Average
from tarsia.learning.parts import create_model, open_data, settle_criterion
from tarsia.models._segmenter import Segmenter
from tarsia.plain_text import first_line, plain
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
    counts_KK1: np.ndarray  # of the epoch under way, on augmented training pictures
    progress: Progress = field(default_factory=Progress)
    history: list[dict[str, Any]] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)  # where it runs, for the model files
    notes: list[str] = field(default_factory=list)  # on how it was set up, for the log
    limit: Limit | None = None
    reasons: dict[str, str] = field(default_factory=dict)  # why settings are as they are, for the run's recipe

    @classmethod
    def open(
        cls,
        recipe: Recipe,
        folder: Path,
        device: str,
        adapted: Adapted,
        extra: Extra | None = None,
        resume: bool = False,
    ) -> TrainingState:
        """Set up the training of `recipe`; with `resume` from the newest resume point in `folder`, if there is one.

        `adapted` makes of the recipe's `adapt` section, where there is one, what it adds to each batch.

        Nothing is written.  Raises DatasetError, RecipeError or ModelFileError for whatever does not fit together,
        TrainingError for resume points that are damaged or of another training.
        """
        resuming = resume and has_resume_point(folder)
        tree = resume_point.load_state(_resume_point(folder)) if resuming else {}
        if resuming:
            _note_changes(tree, recipe, folder)
        train_data, val_data = open_data(recipe)
        recipe, unsaid = (recipe, "") if resuming else weights_input.settled(recipe)
        if unsaid:
            console.note(unsaid)
        # What self-training learns from is the network at its start: a resumed one needs that again.
        at_start = not resuming or (recipe.adapt is not None and recipe.adapt.method == "self-training")
        model, card = create_model(recipe, train_data, weights=recipe.model.weights if at_start else "none")
        train_data = read_as(train_data, card.spec)
        val_data = None if val_data is None else read_as(val_data, card.spec)
        if recipe.train.start_from and at_start:
            console.note(carry_over(model, card, Path(recipe.train.start_from)))
        model.to(device)
        recipe = licence.settled(recipe) if not resuming else recipe
        if warning := licence.remark(recipe.model):
            console.note(f"warning: {warning}")
        augment = Augment(recipe.augment, extra)
        recipe, criterion = settle_criterion(recipe, train_data, device)
        order = _order(recipe, train_data, 0, 0)
        first = partial(loader, train_data, augment, card.input, order, recipe.seed, 0)
        train, notes = speed.settle(recipe.train, model, lambda: next(iter(first())), criterion, device)
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
            notes=notes,
        )
        torch.manual_seed(recipe.seed)
        if resuming:
            state._restore(tree)
        if recipe.train.compile:
            # Not the module: a loss with auxiliary terms goes past its call.
            model.segment = torch.compile(model.segment)  # type: ignore[method-assign]
        return state

    def order(self) -> TrainingOrder:
        """The batches still to come."""
        return _order(self.recipe, self.train_data, self.progress.epoch, self.progress.batch)

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
        return math.ceil(self.order().steps / self.recipe.train.accumulate)

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
        order.epochs = max(order.epochs, self.epochs) * (_MORE if self.limit else 1)  # a plan may grow
        return loader(
            self.train_data,
            self.augment,
            self.card.input,
            order,
            self.recipe.seed,
            settings.workers,
            pin,
            target,
        )

    def engine(self) -> TorchEngine:
        """What validation runs: the averaged weights where there are any, in the training's precision."""
        best = self.average.model if self.average else self.model
        assert isinstance(best, Segmenter)
        settings = self.recipe.train
        return TorchEngine(best, self.card, self.device, settings.precision, settings.memory_format)

    def save(self) -> None:
        """Write the resume point: all that the steps to come depend on."""
        if self.limit:
            self.progress.limit = self.limit.facts()
        tree = {
            "recipe": self.recipe.model_dump(mode="json"),
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict() if self.average else None,
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self.device) if self.device.startswith("cuda") else None,
            "threads": torch.get_num_threads(),
            "samples": len(self.train_data),
            "code": own_parts.sources(self.recipe.parts),
            "progress": asdict(self.progress),
            "counts": torch.from_numpy(self.counts_KK1),
            "history": self.history,
        }
        resume_point.save_state(_resume_point(self.folder), tree)

    def write_recipe(self) -> None:
        """Write the run's recipe.yaml: all that a rerun needs."""
        header = "resolved by tarsia train; repeat with tarsia train"
        yaml_tree.dump(self.folder / "recipe.yaml", self.recipe, header, self.reasons)

    def _restore(self, tree: dict[str, Any]) -> None:
        if tree["samples"] != len(self.train_data):
            raise TrainingError(
                f"{self.folder}: the training split held {tree['samples']} samples and now holds "
                f"{len(self.train_data)}: restore the data set, or start a new training with train.start_from"
            )
        if tree["threads"] != torch.get_num_threads():
            console.note(
                f"{torch.get_num_threads()} threads instead of {tree['threads']}: sums are rounded differently, so the "
                f"weights will not be equal bit by bit to an unbroken training's (OMP_NUM_THREADS={tree['threads']})"
            )
        try:
            self._take(tree)
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                f"{self.folder}: the resume point does not fit {self.folder / 'recipe.yaml'} ({first_line(error)}): "
                "the recipe was changed; undo that, or start a new training with train.start_from"
            ) from error

    def _take(self, tree: dict[str, Any]) -> None:
        self.model.load_state_dict(tree["model"])
        if self.average:
            self.average.model.load_state_dict(tree["average"])
        mine, theirs = (one["param_groups"][0] for one in (self.optimizer.state_dict(), tree["optimizer"]))
        if ("momentum" in mine) != ("momentum" in theirs):  # torch would take it, and fail in the first step
            raise ValueError("it is of another optimizer")
        self.optimizer.load_state_dict(tree["optimizer"])
        for parameter, state in self.optimizer.state.items():
            for key, value in state.items():
                if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                    # The fused kernels walk memory: state must lie as its parameter does, in its memory format.
                    state[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        torch.set_rng_state(tree["random"])
        if tree["random_cuda"] is not None and self.device.startswith("cuda"):
            torch.cuda.set_rng_state(tree["random_cuda"], self.device)
        # Earlier versions did not count what was learned: then it is all pictures.
        self.progress = Progress(**{"learned": tree["progress"]["pictures"]} | tree["progress"])
        if self.progress.limit:  # what was left of it when the resume point was written is left now
            self.limit = Limit(**self.progress.limit)
        self.counts_KK1 = tree["counts"].numpy().copy()
        self.history = tree["history"]


def has_resume_point(folder: Path) -> bool:
    """Whether `folder` holds a point to resume from."""
    return any((folder / "resume").glob("state*.safetensors"))


def _note_changes(tree: dict[str, Any], recipe: Recipe, folder: Path) -> None:
    """Say what was changed in a run's recipe since its resume point `tree`; RecipeError where that cannot be taken."""
    if "recipe" not in tree:
        return  # of an earlier version: what does not fit the state is found when that is taken
    where, done = plain(folder / "recipe.yaml"), tree["progress"]["epoch"]
    for line in recipe_changes.taken(tree["recipe"], recipe, where):
        console.note(f"{where}: {line}")
    now = own_parts.sources(recipe.parts)
    for name in [name for name, sha256 in tree.get("code", {}).items() if now.get(name, sha256) != sha256]:
        console.note(f"warning: {name} was changed since this training began: it goes on with the code as it is now")
    if recipe.train.epochs < done:
        raise RecipeError(f"{where}: train.epochs is {recipe.train.epochs}, and {done} are done: give as many, or more")


def _resume_point(folder: Path) -> Path:
    return folder / "resume" / "state.safetensors"


def _order(recipe: Recipe, train_data: Dataset, epoch: int, batch: int) -> TrainingOrder:
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
    )
