"""A training's state: everything the loop needs, how it is set up, saved, and restored bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tarsia import console, data, models, recipe_changes
from tarsia.card import Card, Input
from tarsia.data import Dataset
from tarsia.data._class_pixels import class_pixel_counts, class_weights
from tarsia.data._dataset import check_classes, check_labelled, read_as, spec_of
from tarsia.data._range import settled
from tarsia.engines.torch_engine import TorchEngine
from tarsia.engines.weights import carry_over
from tarsia.errors import DatasetError, RecipeError, TrainingError
from tarsia.learning import losses, optimizer, resume_point, speed
from tarsia.learning.adaptation import Adaptation
from tarsia.learning.augment import Augment, Extra
from tarsia.learning.band_checks import check_bands
from tarsia.learning.distillation import Teacher
from tarsia.learning.loader import Batch, TrainingOrder, loader
from tarsia.learning.optimizer import Average
from tarsia.models._segmenter import Segmenter
from tarsia.plain_text import plain
from tarsia.recipe import AdaptRecipe, Recipe, TrainRecipe

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
        train_data, val_data = _open_data(recipe)
        # What self-training learns from is the network at its start: a resumed one needs that again.
        at_start = not resuming or (recipe.adapt is not None and recipe.adapt.method == "self-training")
        model, card = _create_model(recipe, train_data, weights=recipe.model.weights if at_start else "none")
        train_data = read_as(train_data, card.spec)
        val_data = None if val_data is None else read_as(val_data, card.spec)
        if recipe.train.start_from and at_start:
            console.note(carry_over(model, card, Path(recipe.train.start_from)))
        model.to(device)
        augment = Augment(recipe.augment, extra)
        recipe, criterion = _settle_criterion(recipe, train_data, device)
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

    def batches(self) -> Iterator[Batch]:
        """The batches still to come, read and augmented by the recipe's workers."""
        settings, pin = self.recipe.train, self.device.startswith("cuda")
        target = self.adaptation.target if self.adaptation else None
        return loader(
            self.train_data,
            self.augment,
            self.card.input,
            self.order(),
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
        tree = {
            "recipe": self.recipe.model_dump(mode="json"),
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict() if self.average else None,
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self.device) if self.device.startswith("cuda") else None,
            "threads": torch.get_num_threads(),
            "samples": len(self.train_data),
            "progress": asdict(self.progress),
            "counts": torch.from_numpy(self.counts_KK1),
            "history": self.history,
        }
        resume_point.save_state(_resume_point(self.folder), tree)

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
            first = str(error).strip().splitlines()[0]
            raise TrainingError(
                f"{self.folder}: the resume point does not fit {self.folder / 'recipe.yaml'} ({first}): the recipe was "
                "changed; undo that, or start a new training with train.start_from"
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
    if recipe.train.epochs < done:
        raise RecipeError(f"{where}: train.epochs is {recipe.train.epochs}, and {done} are done: give as many, or more")


def _resume_point(folder: Path) -> Path:
    return folder / "resume" / "state.safetensors"


def _open_data(recipe: Recipe) -> tuple[Dataset, Dataset | None]:
    section = recipe.data

    def split(name: str, **more: Any) -> Dataset:
        return data.open(section.name, section.root, name, cache=section.cache, **{**section.options, **more})

    train_data = split(section.train)
    check_classes(train_data.classes)
    check_bands(recipe, section.train, train_data)
    check_labelled(train_data, f"data.train {section.train}")
    if not section.val and recipe.train.early_stop:
        raise RecipeError("train.early_stop: waits for a better val mIoU but data.val is null: leave one of them out")
    if not section.val:
        return train_data, None
    val_data = split(section.val, **section.val_options)
    check_bands(recipe, section.val, val_data)
    if val_data.classes != train_data.classes:
        raise DatasetError(f"data: the classes of {section.train} and {section.val} differ: they must be the same")
    check_labelled(val_data, f"data.val {section.val} (null for none)")
    return train_data, val_data


def _create_model(recipe: Recipe, train_data: Dataset, weights: str) -> tuple[Segmenter, Card]:
    node = recipe.model
    classes = train_data.classes
    given: Any = {"weights": weights, "head_start": node.head_start, "options": node.options}
    model = models.create(node.name, len(classes), seed=recipe.seed, **given)
    config = models.config_class(node.name).model_validate(node.options)
    if node.freeze:
        encoder = getattr(model, "encoder", None)
        if encoder is None:
            raise RecipeError(f"model.freeze: {node.name} has no encoder to freeze: leave it out")
        encoder.freeze(node.freeze)
        if node.weights == "none" and not recipe.train.start_from:
            console.note("model.freeze with model.weights none: the frozen parts stay random; give the weights' FILE")
    spec = spec_of(train_data)
    kept = {"dtype": spec.dtype, "alpha": spec.alpha, "take": spec.take, "nodata": spec.nodata}
    size = {"size": recipe.input.size, "short_side": recipe.input.short_side, "stride": model.stride}
    seen = Input.model_validate(size | kept | {"range": settled(train_data)})
    return model, Card(architecture=node.name, model=config.model_dump(mode="json"), classes=classes, input=seen)


def _settle_criterion(recipe: Recipe, train_data: Dataset, device: str) -> tuple[Recipe, losses.Sum]:
    """The loss, with class weights counted from the data where the recipe asks for that."""
    _refuse_idle_settings(recipe.train)
    wanted, count = recipe.train.class_weights, len(train_data.classes)
    if isinstance(wanted, str) and wanted != "none":
        wanted = tuple(class_weights(wanted, *class_pixel_counts(train_data)))
        train = TrainRecipe.model_validate(recipe.train.model_dump() | {"class_weights": wanted})
        recipe = recipe.model_copy(update={"train": train})
    if not isinstance(wanted, str) and len(wanted) != count:
        raise RecipeError(f"train.class_weights: {len(wanted)} weights for {count} classes: give one for each")
    if not isinstance(wanted, str) and not any(wanted):
        raise RecipeError("train.class_weights: all of them are 0, so nothing would be learned: give one that is not")
    weights = None if isinstance(wanted, str) else torch.tensor(wanted, dtype=torch.float32, device=device)
    return recipe, losses.create(recipe.train.loss, weights, recipe.train.label_smoothing)


def _refuse_idle_settings(settings: TrainRecipe) -> None:
    """RecipeError for class weights or label smoothing that no loss of the sum would take."""
    idle = {"class_weights": settings.class_weights != "none", "label_smoothing": settings.label_smoothing > 0}
    names = [name for name, given in idle.items() if given]
    if names and not set(losses.PIXELWISE) & settings.loss.weights.keys():
        raise RecipeError(
            f"train.{' and train.'.join(names)}: of no use to {' + '.join(settings.loss.weights)}: leave out, or add "
            f"one of {', '.join(losses.PIXELWISE)} to train.loss"
        )


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
