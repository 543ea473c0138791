"""The order covers every sample and can be resumed; the loader gives the same batches whatever its workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch

from tarsia.card import IGNORED, Classes, Input
from tarsia.data._dataset import Sample
from tarsia.errors import DatasetError
from tarsia.learning.augment import Augment
from tarsia.learning.loader import Batch, Key, Samples, TrainingOrder, loader
from tarsia.recipe_augment import AugmentRecipe, ColorJitter, CutMix, Noise, Rain, Rotation, Scale, Shadow

CLASSES = Classes(names=("a", "b", "c"), colors=((0, 0, 0), (1, 1, 1), (2, 2, 2)))


class Pictures:
    """Small pictures of different sizes in memory; `before` is called with the index as a sample is read."""

    classes = CLASSES

    def __init__(self, count: int = 7, before: Callable[[int], None] = lambda index: None) -> None:
        random = np.random.default_rng(0)
        sizes = random.integers(5, 20, (count, 2))
        self.images = [random.integers(0, 256, (h, w, 3)).astype(np.uint8) for h, w in sizes]
        self.labels = [random.integers(0, 3, (h, w)).astype(np.uint8) for h, w in sizes]
        self.before = before

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        self.before(index)
        return Sample(self.images[index], self.labels[index], self.name(index))

    def name(self, index: int) -> str:
        return f"picture{index}"


def batches(data: Pictures, workers: int, recipe: AugmentRecipe | None = None, **more: object) -> list[Batch]:
    recipe = recipe or AugmentRecipe()
    settings = more.pop("settings", Input(stride=8))
    order = TrainingOrder(len(data), **{"batch": 2, "seed": 5, "epochs": 1, "threefold": recipe.threefold, **more})  # type: ignore[arg-type]
    return list(loader(data, Augment(recipe), settings, order, 5, workers))  # type: ignore[arg-type]


@pytest.mark.parametrize("threefold", [False, True])
def test_every_epoch_holds_every_sample_once_in_an_order_of_its_own(threefold: bool) -> None:
    order = TrainingOrder(7, batch=2, seed=1, epochs=3, threefold=threefold)
    found = list(order)
    assert len(found) == len(order) == 3 * order.steps and order.steps == (11 if threefold else 4)
    epochs = [[key for batch in found for key in batch if key.epoch == epoch] for epoch in range(3)]
    every = sorted((sample, variant) for sample in range(7) for variant in range(3 if threefold else 1))
    seen = [[(key.sample, key.variant) for key in epoch] for epoch in epochs]
    assert all(sorted(epoch) == every for epoch in seen)
    assert seen[0] != seen[1] != seen[2] != seen[0]
    assert [len(batch) for batch in found[: order.steps]] == [2] * (order.steps - 1) + [1]
    assert list(TrainingOrder(7, 2, 2, 3, threefold)) != found


@pytest.mark.parametrize("steps_per_epoch", [None, 3, 11])
def test_order_resumed_at_any_batch_goes_on_as_if_it_had_never_stopped(steps_per_epoch: int | None) -> None:
    whole = list(TrainingOrder(7, 2, 1, 3, steps_per_epoch=steps_per_epoch))
    steps = len(whole) // 3
    for done in range(len(whole) + 1):
        for epoch, batch in {
            divmod(done, steps),
            (max(done - 1, 0) // steps, done - max(done - 1, 0) // steps * steps),
        }:
            rest = TrainingOrder(7, 2, 1, 3, False, steps_per_epoch, epoch, batch)
            assert list(rest) == whole[done:] and len(rest) == len(whole) - done


def test_steps_per_epoch_cuts_an_epoch_off_or_goes_round_again_with_new_draws() -> None:
    assert [len(batch) for batch in TrainingOrder(7, 2, 1, 1, steps_per_epoch=2)] == [2, 2]
    long = list(TrainingOrder(7, 2, 1, 1, steps_per_epoch=10))
    assert [len(batch) for batch in long] == [2] * 10
    keys = [key for batch in long for key in batch]
    assert sorted(Counter(key.sample for key in keys).values()) == [2] + [3] * 6
    assert len(set(keys)) == len(keys)  # the same sample comes back with another augmentation
    assert [key.sample for key in keys[:7]] != [key.sample for key in keys[7:14]]


def test_order_of_nothing_is_a_data_set_error() -> None:
    with pytest.raises(DatasetError, match="holds no samples"):
        TrainingOrder(0, 2, 1, 1)


def test_batches_are_equal_bit_by_bit_whatever_the_workers() -> None:
    recipe = AugmentRecipe(
        threefold=True,
        scale=Scale(),
        rotation=Rotation(),
        cutmix=CutMix(),
        shadow=Shadow(),
        rain=Rain(),
        color_jitter=ColorJitter(),
        noise=Noise(probability=1),
    )
    alone, *others = (batches(Pictures(), workers, recipe, epochs=2) for workers in (0, 1, 2))
    assert len(alone) == 22
    for other in others:
        assert len(other) == len(alone)
        for a, b in zip(alone, other, strict=True):
            assert a.names == b.names and torch.equal(a.image_B3HW, b.image_B3HW)
            assert torch.equal(a.label_BHW, b.label_BHW)
    rest = batches(Pictures(), 2, recipe, epochs=2, start_epoch=1, start_batch=4)
    assert all(torch.equal(a.image_B3HW, b.image_B3HW) for a, b in zip(alone[15:], rest, strict=True))


def plain_pictures(count: int) -> Pictures:
    """Each of one colour, its number, and of one class, its number modulo 3."""
    data = Pictures(count)
    for index, label in enumerate(data.labels):
        data.images[index] = np.full((*label.shape, 3), index, np.uint8)
        label[:] = index % 3
    return data


def test_cutmix_pastes_picture_and_label_of_another_sample_drawn_evenly() -> None:
    data = plain_pictures(6)
    samples = Samples(data, Augment(AugmentRecipe(cutmix=CutMix(probability=0.5))), Input(stride=8), 5)  # type: ignore[arg-type]
    others: Counter[int] = Counter()
    for epoch in range(200):
        for sample in range(6):
            image, label, name = samples.read(Key(epoch, sample))
            assert name == f"picture{sample}" and label.shape == data.labels[sample].shape
            assert np.array_equal(image[..., 0] % 3, label)
            seen = set(np.unique(image).tolist()) | {sample}
            assert len(seen) <= 2
            others.update(seen - {sample})
    # Half of 1,200 are mixed; a sixth of those with the sample itself, and some boxes cover no pixel.
    assert 380 < others.total() < 520 and min(others[sample] for sample in range(6)) > 50
    alone = Samples(plain_pictures(1), samples.augment, Input(stride=8), 5)  # type: ignore[arg-type]
    assert all((alone.read(Key(epoch, 0))[0] == 0).all() for epoch in range(10))


def test_cutmix_augments_the_other_sample_and_leaves_the_augmentation_of_the_first_as_it_was() -> None:
    data = Pictures(5)
    recipe = AugmentRecipe(crop=(12, 14), scale=Scale(), horizontal_flip=0.5, noise=Noise(probability=1))
    plain, mixed = (
        Samples(data, Augment(recipe.model_copy(update={"cutmix": node})), Input(stride=8), 5)  # type: ignore[arg-type]
        for node in (None, CutMix(probability=1.0))
    )
    changed = 0
    for key in (Key(epoch, sample) for epoch in range(10) for sample in range(5)):
        (image, label, _), (new_image, new_label, _) = plain.read(key), mixed.read(key)
        assert new_label.shape == (12, 14)
        differs = (image != new_image).any(-1)
        assert (label == new_label)[~differs].all()
        if differs.any():
            rows, columns = np.nonzero(differs)
            box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
            changed += 1
            assert differs[box].mean() > 0.5  # one box
    assert changed > 35


@pytest.mark.parametrize("workers", [0, 1])
def test_batch_is_padded_with_its_own_edge_and_ignored_labels(workers: int) -> None:
    data = Pictures(6)
    for batch in batches(data, workers, batch=4):
        assert isinstance(batch, Batch)
        assert batch.image_B3HW.dtype == batch.label_BHW.dtype == torch.uint8
        assert batch.image_B3HW.is_contiguous(memory_format=torch.channels_last)
        rows = [int(name.removeprefix("picture")) for name in batch.names]
        tallest, widest = (max(data.labels[row].shape[axis] for row in rows) for axis in (0, 1))
        size = (-(-tallest // 8) * 8, -(-widest // 8) * 8)
        assert batch.image_B3HW.shape == (len(rows), 3, *size) and batch.label_BHW.shape == (len(rows), *size)
        for row, image, label in zip(rows, batch.image_B3HW, batch.label_BHW, strict=True):
            h, w = data.labels[row].shape
            around = ((0, size[0] - h), (0, size[1] - w))
            assert np.array_equal(image.permute(1, 2, 0), np.pad(data.images[row], (*around, (0, 0)), mode="edge"))
            assert np.array_equal(label, np.pad(data.labels[row], around, constant_values=IGNORED))


def test_pictures_are_resized_as_the_input_says_before_they_are_augmented() -> None:
    (batch,) = batches(Pictures(3), 0, batch=3, settings=Input(size=(16, 24), stride=8))
    assert batch.image_B3HW.shape == (3, 3, 16, 24) and int(batch.label_BHW.max()) < 3
    (batch,) = batches(Pictures(3), 0, AugmentRecipe(crop=(9, 8)), batch=3, settings=Input(short_side=40, stride=8))
    assert batch.label_BHW.shape == (3, 16, 8) and int(batch.label_BHW[:, :9].max()) < 3


def test_loader_leaves_torchs_global_generator_alone() -> None:
    state = torch.get_rng_state()
    batches(Pictures(), 0)
    batches(Pictures(), 1)
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_kept_in_memory_is_what_was_read() -> None:
    data, settings = Pictures(3), Input(stride=8, short_side=24)
    augment = Augment(AugmentRecipe(horizontal_flip=0.5, crop=(16, 16), color_jitter=ColorJitter()))

    def samples(keep: int, augment: Augment = augment) -> Samples:
        return Samples(data, augment, settings, 5, keep=keep)  # type: ignore[arg-type]

    first_bytes = sum(array.nbytes for array in samples(0)._resized[0][:2])
    anew, kept, some = samples(0), samples(10**9), samples(first_bytes)
    for epoch in range(3):
        for sample in range(3):
            first, *others = (one.read(Key(epoch, sample)) for one in (anew, kept, some))
            assert all((a == b).all() for other in others for a, b in zip(first[:2], other[:2], strict=True))
    assert [list(one._resized._kept) for one in (anew, kept, some)] == [[], [0, 1, 2], [0]]
    image = samples(10**9, Augment(AugmentRecipe())).read(Key(0, 0))[0]
    with pytest.raises(ValueError, match="read-only"):
        image[:] = 0
    data.images[0][:] = 0  # which are not the user's own arrays made read-only
