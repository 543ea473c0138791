"""The loader: a data set -> batches, the same bit by bit whatever the number of worker processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler, get_worker_info
from torch.utils.data import Dataset as TorchDataset

from tarsia.card import IGNORED, Input
from tarsia.data._dataset import Dataset
from tarsia.data._unlabelled import Unlabelled
from tarsia.errors import DatasetError
from tarsia.learning.augment import CUTMIX, VARIANTS, Augment, cutmix, generator
from tarsia.learning.resized import Resized
from tarsia.learning.workers import Failure, set_up, started
from tarsia.pictures import rgb as pictures
from tarsia.pictures.ranges import scaled
from tarsia.prediction.network_input import network_size

TARGET = 3  # what a sample's generators are for, beside those of augment.py: the choice of an unlabelled picture


class TargetBatch(NamedTuple):
    """Unlabelled pictures of the size of a batch; the mask tells where they are, beyond padding and borders."""

    image_B3HW: torch.Tensor
    mask_BHW: torch.Tensor


class Batch(NamedTuple):
    """Pictures of one size: uint8 RGB (float32, 0 .. 255, where the input has a range), channels last in memory; or, of
    a frozen encoder's maps on disk, their rows, B x L (features.py).

    Labels are uint8, 255 = ignored; `names` are the samples', none where another process learns them (Spare).  Of a
    data set with other bands than RGB, B x bands x H x W.  `target`: as many unlabelled pictures, where a recipe's
    `adapt` has some.
    """

    image_B3HW: torch.Tensor
    label_BHW: torch.Tensor
    names: list[str]
    target: TargetBatch | None = None


class Key(NamedTuple):
    """Which sample, and everything its augmentation is drawn from but the seed."""

    epoch: int
    sample: int
    variant: int = 0
    again: int = 0


class Spare(Key):
    """The key of a sample that another process learns: read for its size, with every label ignored, and no name."""

    __slots__ = ()


class TrainingOrder(Sampler[list[Key]]):
    """The keys of every batch of a whole training, from (`start_epoch`, `start_batch`) to the end of the last epoch.

    An epoch is a permutation of the `count` samples (three times as many where `threefold`), drawn from (`seed`,
    epoch) alone, so a training that goes on at batch k sees what one that never stopped does.  `steps_per_epoch` cuts
    an epoch off or continues it with further permutations; without it the last batch of an epoch may be smaller.

    Of several `processes` the one of this `rank` has every so manieth batch of each step, which has `per_step` of them
    or, at an epoch's end, fewer: one that is left without a batch there computes the step's first with its labels
    ignored.  Raises DatasetError for an empty data set.
    """

    def __init__(
        self,
        count: int,
        batch: int,
        seed: int,
        epochs: int,
        threefold: bool = False,
        steps_per_epoch: int | None = None,
        start_epoch: int = 0,
        start_batch: int = 0,
        per_step: int = 1,
        processes: int = 1,
        rank: int = 0,
    ) -> None:
        if count < 1:
            raise DatasetError("the training split holds no samples: check data.root and data.train")
        self.variants = VARIANTS if threefold else 1
        self.count, self.batch, self.seed, self.epochs = count * self.variants, batch, seed, epochs
        self.steps_per_epoch, self.start = steps_per_epoch, (start_epoch, start_batch)
        self.per_step, self.processes, self.rank = per_step, processes, rank

    @property
    def steps(self) -> int:
        """Batches per epoch, of all processes."""
        return self.steps_per_epoch or math.ceil(self.count / self.batch)

    def step(self, batch: int) -> tuple[int, int]:
        """Of the step that begins with `batch` of an epoch: how many batches it has, and how many each process."""
        batches = min(self.per_step, self.steps - batch)
        return batches, math.ceil(batches / self.processes)

    def __len__(self) -> int:
        """This process's batches from the start to the end of the training."""
        if self.epochs <= self.start[0]:
            return 0
        whole, begun = (
            sum(self.step(batch)[1] for batch in range(start, self.steps, self.per_step))
            for start in (0, self.start[1])
        )
        return begun + (self.epochs - self.start[0] - 1) * whole

    def __iter__(self) -> Iterator[list[Key]]:
        first_epoch, first_batch = self.start
        for epoch in range(first_epoch, self.epochs):
            order = self._order(epoch)
            for batch, kind in self._dealt(first_batch if epoch == first_epoch else 0):
                rows = order[batch * self.batch : (batch + 1) * self.batch].tolist()
                yield [kind(epoch, which // self.variants, which % self.variants, again) for which, again in rows]

    def _dealt(self, start: int) -> Iterator[tuple[int, type[Key]]]:
        """This process's batches of an epoch from `start` on, and whether it learns their samples or only sees them."""
        for first in range(start, self.steps, self.per_step):
            batches, turns = self.step(first)
            for place in range(self.rank, turns * self.processes, self.processes):
                yield (first + place, Key) if place < batches else (first, Spare)

    def _order(self, epoch: int) -> np.ndarray:
        """N x 2: which sample and variant, and how often the epoch has seen it already."""
        wanted = self.steps * self.batch if self.steps_per_epoch else self.count
        rounds = []
        for again in range(math.ceil(wanted / self.count)):
            random = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(0, epoch, again)))
            rounds.append(np.column_stack([random.permutation(self.count), np.full(self.count, again)]))
        return np.concatenate(rounds)[:wanted]


def loader(
    dataset: Dataset,
    augment: Augment,
    input_settings: Input,
    order: TrainingOrder,
    seed: int,
    workers: int,
    pin: bool = False,
    target: Unlabelled | None = None,
    keep: int = 0,
) -> Iterator[Batch]:
    """The batches of `order`: samples read, resized as `input_settings` says, augmented, padded to one size.

    With `target` each sample brings one of its pictures, drawn evenly, and augmented and resized to the sample's size.
    `keep`: bytes of resized samples that each process that reads holds in memory, so that they are read once.
    `workers` processes (0: this one) start at once and stay for the whole training.  Raises, from the iterator, the
    TarsiaError of a sample that cannot be read, TrainingError naming the sample for any other error, and TrainingError
    where a worker dies (workers.dead_worker).
    """
    samples = Samples(dataset, augment, input_settings, seed, target, keep)
    return loaded(samples, order, partial(collated, input_settings.stride), seed, workers, pin)


def loaded(
    samples: TorchDataset[Any],
    order: Iterable[list[Key]],
    collate: Callable[[list[Any]], Batch | Failure],
    seed: int,
    workers: int,
    pin: bool = False,
) -> Iterator[Batch]:
    """The batches that `collate` makes of the samples of each list of keys, as `loader` does."""
    more: dict[str, Any] = {"prefetch_factor": 2, "worker_init_fn": set_up} if workers else {}
    batches = DataLoader(
        samples,
        batch_sampler=order,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin,
        # The loader draws a number of its own; from torch's global generator it would disturb an exact resume.
        generator=torch.Generator().manual_seed(seed),
        **more,
    )
    return started(batches)


class Samples(TorchDataset[Any]):
    """Key -> (image, label, name), resized and augmented; or the Failure to read it.

    With `target` also (image, label 0, or 255 beyond the picture) of an unlabelled picture, brought to that size.
    """

    def __init__(
        self,
        dataset: Dataset,
        augment: Augment,
        settings: Input,
        seed: int,
        target: Unlabelled | None = None,
        keep: int = 0,
    ) -> None:
        self.dataset, self.augment, self.settings, self.seed = dataset, augment, settings, seed
        self.target, self._resized = target, Resized(dataset, settings, keep)

    def __getitem__(self, key: Key) -> tuple[Any, ...] | Failure:
        try:
            read = self.read(key)
            if isinstance(key, Spare):
                return read[0], np.full_like(read[1], IGNORED), ""
            if self.target is None:
                return read
            height, width = read[1].shape
            return *read, self._of_target(self.target, key, (height, width))
        except Exception as error:
            mixed = ", or what CutMix pastes into it" if self.augment.recipe.cutmix else ""
            return Failure.of(error, self._name(key.sample) + mixed)

    def read(self, key: Key) -> tuple[np.ndarray, np.ndarray, str]:
        """What training sees of a sample: picture, label and name; with CutMix a part is another sample's.

        The other one is drawn evenly from all (this one too) and augmented as itself, by a generator of the key's own.
        """
        image, label, name = self._augmented(key, generator(self.seed, *key))
        settings = self.augment.recipe.cutmix
        if settings:
            random = generator(self.seed, *key, purpose=CUTMIX)
            if random.random() < settings.probability:
                other = key._replace(sample=int(random.integers(len(self.dataset))))
                pasted = self._augmented(other, random.spawn(1)[0])
                image, label = cutmix((image, label), pasted[:2], settings, random)
        return image, label, name

    def _augmented(self, key: Key, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, str]:
        image, label, levels, name = self._resized[key.sample]
        return *self.augment(scaled(image, levels), label, random, key.variant), name

    def _of_target(self, target: Unlabelled, key: Key, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        random = generator(self.seed, *key, purpose=TARGET)
        image = target[int(random.integers(len(target)))]
        image = pictures.resize(image, network_size(image.shape[:2], self.settings))
        image, border = self.augment(image, np.zeros(image.shape[:2], np.uint8), random.spawn(1)[0])
        return pictures.resize(image, size), pictures.resize_label(border, size)

    def _name(self, index: int) -> str:
        try:
            return self.dataset.name(index)
        except Exception:  # the data set is broken: its error is on its way, the number must do
            return f"sample {index}"


def collated(stride: int, samples: list[Any]) -> Batch | Failure:
    """Samples -> a Batch, padded at the bottom and right to multiples of `stride`; or the first failure among them."""
    for sample in samples:
        if isinstance(sample, Failure):
            return sample
    try:
        return _batch(stride, samples)
    except Exception as error:
        return Failure.of(error, ", ".join(sample[2] for sample in samples))


def _batch(stride: int, samples: list[tuple[Any, ...]]) -> Batch:
    image_B3HW, label_BHW = _padded(stride, [sample[:2] for sample in samples])
    target = None
    if len(samples[0]) > 3:
        target_B3HW, border_BHW = _padded(stride, [sample[3] for sample in samples])
        target = TargetBatch(target_B3HW, border_BHW != IGNORED)
    return shared(Batch(image_B3HW, label_BHW, [sample[2] for sample in samples if sample[2]], target))


def shared(batch: Batch) -> Batch:
    """The batch where the process that asked a worker for it finds it."""
    if get_worker_info() is not None:
        # Here a full /dev/shm is an error we can report; in torch's sending thread it would hang the training.
        for tensor in (batch.image_B3HW, batch.label_BHW, *(batch.target or ())):
            tensor.share_memory_()
    return batch


def _padded(stride: int, samples: list[tuple[np.ndarray, np.ndarray]]) -> tuple[torch.Tensor, torch.Tensor]:
    height, width = (math.ceil(max(label.shape[axis] for _, label in samples) / stride) * stride for axis in (0, 1))
    images_BHW3 = np.empty((len(samples), height, width, samples[0][0].shape[2]), samples[0][0].dtype)
    labels_BHW = np.full((len(samples), height, width), IGNORED, np.uint8)
    for row, (image, label) in enumerate(samples):
        h, w = label.shape
        images_BHW3[row, :h, :w] = image
        images_BHW3[row, :h, w:] = image[:, -1:]
        images_BHW3[row, h:] = images_BHW3[row, h - 1]
        labels_BHW[row, :h, :w] = label
    return torch.from_numpy(images_BHW3).permute(0, 3, 1, 2), torch.from_numpy(labels_BHW)
