"""train: a recipe -> a run folder with a scored model.  The loop, top to bottom, in plain PyTorch."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from tarsia import console, evaluating, examples, own_parts, shipped, yaml_tree
from tarsia.adaptation.restyle import Restyling
from tarsia.data._part import Part
from tarsia.engines import memory
from tarsia.engines.model_file import find_model_file
from tarsia.engines.torch_engine import TorchEngine
from tarsia.engines.weights import save_model
from tarsia.errors import DatasetError, RecipeError
from tarsia.evaluation import thresholds
from tarsia.evaluation.confusion import metrics
from tarsia.files import is_utf8
from tarsia.learning import beginning, failures, speed
from tarsia.learning.augment import Extra
from tarsia.learning.callbacks import Callbacks
from tarsia.learning.interrupt import Interrupt, Interrupted
from tarsia.learning.limit import Limit
from tarsia.learning.loader import Batch
from tarsia.learning.processes import joined
from tarsia.learning.run_folder import RunFolder, Silent
from tarsia.learning.state import TrainingState
from tarsia.learning.step import gradients, take
from tarsia.learning.step_loss import SplitLoss, per_batch
from tarsia.learning.workers import explained
from tarsia.plain_text import command
from tarsia.prediction.predictor import Predictor
from tarsia.recipe import Recipe


def train(
    recipe: Recipe | str | Path | None = None,
    *,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    device: str = "auto",
    overwrite: bool = False,
    augment: Extra | None = None,
    limit: Limit | None = None,
    reasons: Mapping[str, str] | None = None,
) -> Path:
    """Train `recipe` (or go on with the run folder `resume`), score the best model -> the run folder; tarsia.train.

    `limit`: the length of the training follows from it, whatever the recipe says; a resumed run has its own.
    `reasons`: why a setting (`train.batch`) is as it is, for the run's recipe; by default the comments of the file.
    """
    if not is_utf8(folder := str(resume or out or "")):
        raise RecipeError(f"{folder}: a run's folder has a name that is UTF-8 text: choose another, or rename it")
    settled = beginning.settled(recipe, None if resume is None else Path(resume))
    if reasons is None and not isinstance(recipe, Recipe):
        reasons = yaml_tree.comments(shipped.recipe(recipe) if recipe else Path(str(resume)) / "recipe.yaml")
    with ExitStack() as held:
        processes = held.enter_context(joined(device, settled.train.timeout_seconds))
        held.enter_context(speed.threads(settled.train.threads or processes.threads))
        held.enter_context(memory.kept())
        opened = partial(beginning.opened, settled, Restyling, augment, processes, held)
        if resume is not None:
            state = opened(Path(resume), resume=True)
        else:
            state = beginning.new(opened, Path(out) if out else None, overwrite, processes, held)
            state.limit = limit
        state.reasons = dict(reasons or {})
        beginning.written(state, resume is not None)
        with processes.explained(str(state.folder)):
            _run(state)
    return state.folder


def _run(state: TrainingState) -> None:
    processes = state.processes
    run = Silent(state.history)
    if processes.rank == 0:
        run = RunFolder(state.folder, state.history, state.total_steps, state.progress.step)
    for note in state.notes:
        run.say(note)
    if _by_batch(state):
        run.say(
            f"{' and '.join(_by_batch(state))}: no sum over pixels, so each of the {state.batches_per_step} batches of "
            "a step has its own and their mean is learned, which is not that of a larger train.batch"
        )
    try:
        # A dead worker comes up wherever this process happens to be.
        with explained(), Interrupt(processes.most) as interrupt:
            _loop(state, run, interrupt)
            processes.first(lambda: _score(state, run, interrupt))
    except Interrupted as stop:
        state.save()
        go_on = command("train", "--resume", state.folder)
        message = f"{stop}: saved after step {state.progress.step}; go on with: {go_on}"
        run.note(message)
        raise Interrupted(stop.number, message) from None
    finally:
        run.close()


def _loop(state: TrainingState, run: Silent, interrupt: Interrupt) -> None:
    progress = state.progress
    if not _goes_on(state):
        run.say(f"finished already, after epoch {progress.epoch}: nothing to train, only its report is made again")
        return
    callbacks = Callbacks(state.recipe.train.callbacks, state.processes)
    state.fill(run.say, interrupt.look)
    batches = state.batches()
    while _goes_on(state):
        _train_epoch(state, batches, run, interrupt)
        started = time.monotonic()
        row = _train_row(state) | _validate(state, interrupt)
        if state.limit:
            state.limit.validated(time.monotonic() - started)
        miou = row["val_miou"]
        improved = miou is None or miou > progress.best_miou
        progress.next_epoch()
        state.counts_KK1[:] = 0
        if improved:
            progress.best_miou, progress.best_epoch = -1.0 if miou is None else miou, progress.epoch
        run.epoch(row)
        state.processes.first(partial(_save_weights, state, row, improved))
        try:
            progress.ended_by = callbacks.told(row, state.folder)
        finally:
            state.save()
        interrupt.check()
    if progress.ended_by:
        run.say(f"ended by {progress.ended_by} (train.callbacks), after epoch {progress.epoch} of {state.epochs}")
    elif progress.epoch < state.epochs:
        run.say(f"no better val mIoU for {state.recipe.train.early_stop} epochs: stopped early")
    run.draw()  # the report shows it


def _goes_on(state: TrainingState) -> bool:
    """Whether an epoch is left: asked of the state alone, so that a resumed run stops where an unbroken one does."""
    settings, progress = state.recipe.train, state.progress
    waited = progress.epoch - progress.best_epoch
    ended = progress.ended_by or (settings.early_stop and waited >= settings.early_stop)
    return progress.epoch < state.epochs and not ended


def _train_epoch(state: TrainingState, batches: Iterator[Batch], run: Silent, interrupt: Interrupt) -> None:
    settings, progress, processes = state.recipe.train, state.progress, state.processes
    state.model.train()
    order, saved = state.order(), time.monotonic()
    while progress.batch < order.steps and progress.step < state.total_steps:
        began, started = time.monotonic(), time.perf_counter()
        of_all, own = order.step(progress.batch)
        group = [next(batches) for _ in range(own)]
        progress.waiting_seconds += time.perf_counter() - started
        explain = partial(failures.out_of_memory, state, max(group, key=lambda batch: batch.image_B3HW.numel()))
        learned = failures.within_memory(explain, gradients, state, group)
        learning_rate = failures.within_memory(explain, take, state)
        progress.batch += of_all
        progress.pictures += learned.pictures
        if learned.labelled:  # else there was nothing to learn, and no loss
            progress.loss_sum += learned.loss * learned.pictures
            progress.learned += learned.pictures
        progress.seconds += time.perf_counter() - started
        del group
        run.step(_facts(state, learned.loss, learning_rate))
        interrupt.check()
        if processes.agree(time.monotonic() - saved >= settings.save_every_seconds):
            state.save()
            saved = time.monotonic()
        if state.limit:
            state.limit.took(time.monotonic() - began)
            _keep_to_the_limit(state, state.limit, run)
    if not progress.learned and settings.steps_per_epoch is None:
        raise DatasetError(
            f"no pixel of the {progress.pictures} training pictures was labelled as the network saw them: augmentation "
            "(augment.crop) or resizing (input) has left none; "
            f"`{command('check', 'DATA', '--augment', 'RECIPE')}` draws what is seen"
        )


def _keep_to_the_limit(state: TrainingState, limit: Limit, run: Silent) -> None:
    """Change the plan where it would not end in time, or would leave much of it; the recipe says so at once."""
    step, before = state.progress.step, state.total_steps
    total = int(state.processes.agree(limit.advice(step, before, state.steps_per_epoch) or 0))
    if total:
        state.replan(total)
        state.processes.first(state.write_recipe)
        run.steps(total)
        run.note(f"step {step}: {total} steps in all instead of {before}, with {limit.left:.0f} s left")


def _validate(state: TrainingState, interrupt: Interrupt) -> dict[str, Any]:
    """The epoch's validation figures, None each where there is no validation split."""
    names = ("val_loss", "val_miou", "val_mpa", "val_pixel_accuracy")
    if state.val_data is None:
        return dict.fromkeys(names)
    processes, batch = state.processes, state.recipe.train.batch
    loss = SplitLoss(state.criterion, len(state.card.classes))
    state.follow_first()

    def observe(found: torch.Tensor, truths: list[np.ndarray]) -> None:
        interrupt.look()
        label = torch.from_numpy(np.stack(truths)).to(found.device)
        resized = functional.interpolate(found.float(), size=label.shape[1:], mode="bilinear", align_corners=False)
        loss.add(resized, label)

    explain = partial(failures.out_of_memory_in_validation, state)
    own = Part.of(state.val_data, batch, processes.rank, processes.count)
    counts_KK1 = np.zeros_like(state.counts_KK1)
    with suppress(Interrupted):  # others may have finished: `check` has all of them stop
        counts_KK1 = failures.within_memory(explain, evaluating.counted, Predictor(state.engine()), own, batch, observe)
    interrupt.check()
    figures = metrics(processes.sum(torch.from_numpy(counts_KK1)).numpy())
    return dict(zip(names, (loss.value(processes), figures.miou, figures.mpa, figures.pixel_accuracy), strict=True))


def _train_row(state: TrainingState) -> dict[str, Any]:
    progress, figures = state.progress, metrics(state.counted())
    return {
        "epoch": progress.epoch + 1,
        "step": progress.step,
        "learning_rate": max(group["lr"] for group in state.optimizer.param_groups),
        "train_loss": progress.loss_sum / progress.learned if progress.learned else math.nan,
        "train_miou": figures.miou,
        "train_mpa": figures.mpa,
        "train_pixel_accuracy": figures.pixel_accuracy,
        "images_per_second": progress.images_per_second,
        "seconds": progress.seconds,
        "waiting_share": progress.waiting_share,
    }


def _save_weights(state: TrainingState, row: dict[str, Any], improved: bool) -> None:
    engine = state.engine()
    facts = {"run": state.recipe.name, "epoch": row["epoch"], "val_miou": row["val_miou"]}
    if _by_batch(state):
        facts["loss_by_batch"] = _by_batch(state)
    if code := own_parts.sources(state.recipe.parts):
        facts["code"] = code
    if packages := own_parts.packages(state.recipe.parts):
        facts["packages"] = packages
    provenance = facts | {"recipe": state.recipe.model_dump(mode="json"), "environment": state.environment}
    card = state.card.model_copy(update={"provenance": provenance})
    save_model(state.folder / "last.safetensors", engine.model, card)
    if improved:
        save_model(state.folder / "model.safetensors", engine.model, card)
    if state.recipe.train.keep == "all":
        save_model(state.folder / "epochs" / f"epoch-{row['epoch']:03d}.safetensors", engine.model, card)


def _score(state: TrainingState, run: Silent, interrupt: Interrupt) -> None:
    """Report on the best model, by the same path as `tarsia evaluate`, and say whether `expected` is reached."""
    section, wanted = state.recipe.data, state.recipe.expected
    if state.val_data is None:
        console.note("no validation split: the model is the last one, unscored")
        if wanted is not None:
            run.say("expected: there is no score to judge, for want of a validation split")
        return
    # Computed as the training was, not as is faster on the first picture: a resumed run has the same report.
    best, layout = find_model_file(state.folder), state.recipe.train.memory_format
    report = evaluating.evaluate(
        Predictor(TorchEngine.open(best, state.device, layout)),
        state.val_data,
        dataset_name=own_parts.stem(section.name),
        split=section.val or "",
        out=state.folder,
        observe=lambda *_: interrupt.look(),
    )
    examples.keep(state.folder, state.val_data)
    if wanted is not None:
        run.say(f"expected: {thresholds.judge(wanted, report, state.folder)}")


def _by_batch(state: TrainingState) -> list[str]:
    """The losses that are not those of the whole step, where a step has several batches."""
    return per_batch(state.criterion) if state.batches_per_step > 1 else []


def _facts(state: TrainingState, loss: float, learning_rate: float) -> dict[str, Any]:
    """What the progress bar says of a step."""
    progress = state.progress
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if state.device.startswith("cuda"):
        memory = torch.cuda.max_memory_allocated() / 2**30
    return {
        "epoch": f"{progress.epoch + 1}/{state.epochs}",
        "loss": f"{loss:.4f}",
        "lr": f"{learning_rate:.2e}",
        "images/s": f"{progress.images_per_second:.1f}",
        "waiting": f"{100 * progress.waiting_share:.0f} %",
        "memory": f"{memory:.1f} GB",
    }
