"""A frozen encoder's maps: computed once for each view of a picture, kept on disk, read there by every epoch after.

FOLDER/features-KEY/view-N.bin holds, for each sample (and variant, of the threefold set) in order, its maps as a row
of numbers (models/_encoded.py) and its label, H x W uint8; then a sha256 of KEY, N and all of that.  View N is what
epoch N of a training sees, and KEY follows from all that decides it: encoder, weights, input, augmentation, seed, data.
A file is there whole or not at all, so a killed training loses the view in hand; one that is not what its sum says is
computed anew.  Rows are mapped, copied and unmapped, so memory does not grow with the files.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from tarsia import console, models, own_parts
from tarsia.card import IGNORED, Input
from tarsia.data import GROUP, Dataset
from tarsia.data._cache import key_of
from tarsia.engines.torch_engine import autocast
from tarsia.engines.weights import sum_of
from tarsia.errors import DatasetError, NoRoomError, OutputError, RecipeError, TrainingError
from tarsia.files import remove_parts, writing
from tarsia.learning.augment import Augment
from tarsia.learning.loader import Batch, Key, Samples, Spare, TrainingOrder, collated, loaded, shared
from tarsia.learning.processes import Processes
from tarsia.learning.workers import Failure
from tarsia.models._encoded import Layout
from tarsia.models._segmenter import EncoderSegmenter, Segmenter
from tarsia.plain_text import listed, number
from tarsia.recipe import AUGMENTATION, Recipe
from tarsia.recipe_train import TrainRecipe

_FORMAT = 1  # raised whenever what is stored, or how it is computed, changes
_WHERE = "train.cache_features"
_BATCH = 4  # pictures; the same whatever the training's batch is, since sums may be rounded differently with it
_BLOCK = 2**22  # bytes that are summed at a time


class Features(TorchDataset[Any]):
    """Key -> (row of maps, label, name), or the Failure to read it; `fill` writes what is not on the disk yet."""

    def __init__(self, recipe: Recipe, dataset: Dataset, augment: Augment, settings: Input, model: Segmenter) -> None:
        """Has `model` take rows of maps beside pictures; RecipeError where it, or the recipe, cannot."""
        model, wanted = _cut(recipe, augment, model), recipe.train.cache_features
        assert wanted is not None
        self.wanted, self.recipe, self.dataset, self.settings = wanted, recipe, dataset, settings
        self.variants = TrainingOrder(1, 1, 0, 1, recipe.augment.threefold).variants
        self._samples = Samples(dataset, augment, settings, recipe.seed)
        first = self._samples[Key(0, 0)]
        if isinstance(first, Failure):
            raise first.error()
        self._shape = first[1].shape  # of all pictures, before they are padded to the stride
        self._first = collated(settings.stride, [first])
        assert isinstance(self._first, Batch)
        self.layout = model.encoded = _layout(model, self._first.image_B3HW)
        self.bytes = len(dataset) * self.variants * self._row_bytes + hashlib.sha256().digest_size  # of a view's file
        self.folder = Path()

    def example(self, count: int) -> Batch:
        """A batch as large as those to come, to measure steps with."""
        assert isinstance(self._first, Batch)
        rows_BL = torch.zeros(count, self.layout.length, dtype=getattr(torch, self.wanted.precision))
        return Batch(rows_BL, self._first.label_BHW.expand(count, -1, -1), self._first.names * count)

    def fill(
        self,
        model: Segmenter,
        train: TrainRecipe,
        views: int,
        processes: Processes,
        say: Callable[[str], None],
        look: Callable[[], None],
    ) -> None:
        """Compute, as `train` says, the first `views` views that are not there; the first process does.

        `look` is called at each batch, and may end it by an error.

        Raises OutputError where there is no room on the disk, RecipeError where pictures have several sizes.
        """
        assert isinstance(model, EncoderSegmenter)
        key = self._key(model, train)
        self.folder = Path(self.wanted.folder).expanduser() / f"features-{key[:20]}"
        paths = [self._path(view) for view in range(min(views, self.wanted.views))]

        def compute() -> None:
            remove_parts([self.folder])
            missing = [view for view, path in enumerate(paths) if not _is_sound(path, self.bytes, f"{key} {view}")]
            if missing:
                say(self._planned(len(missing), len(paths)))
            for view in missing:
                self._write(model, train, view, key, look)

        processes.first(compute)
        if not all(path.is_file() for path in paths):
            raise RecipeError(
                f"{_WHERE}.folder: {self.wanted.folder}: rank {processes.rank} does not see what rank 0 wrote there: "
                "give a folder that all machines share"
            )

    def batches(self, order: TrainingOrder, workers: int, pin: bool) -> Iterator[Batch]:
        """Those of `order`, as learning.loader.loader has them."""
        return loaded(self, order, _collated, self.recipe.seed, workers, pin)

    def __getitem__(self, key: Key) -> tuple[np.ndarray, np.ndarray, str] | Failure:
        view = (key.epoch + key.again) % self.wanted.views
        path, place = self._path(view), key.sample * self.variants + key.variant
        try:
            stored = np.array(np.memmap(path, np.uint8, "r", place * self._row_bytes, (self._row_bytes,)))
        except (OSError, ValueError) as error:
            told = f"{path}: removed or cut while in use ({error}): resume the training, it is computed anew"
            return Failure.of(DatasetError(told), "")
        pixels = self.layout.size[0] * self.layout.size[1]
        row_L, label_HW = stored[:-pixels].view(self.wanted.precision), stored[-pixels:].reshape(self.layout.size)
        if isinstance(key, Spare):
            return row_L, np.full_like(label_HW, IGNORED), ""
        return row_L, label_HW, self.dataset.name(key.sample)

    @property
    def _row_bytes(self) -> int:
        return self.layout.length * np.dtype(self.wanted.precision).itemsize + self.layout.size[0] * self.layout.size[1]

    def _path(self, view: int) -> Path:
        return self.folder / f"view-{view:03d}.bin"

    def _key(self, model: EncoderSegmenter, train: TrainRecipe) -> str:
        """sha256 of all that decides what a view holds."""
        encoder, augment = model.encoder, self.recipe.augment
        shape = [encoder.reductions, encoder.shrink, encoder.resample, model.mean.tolist(), model.std.tolist()]
        facts = {
            "format": _FORMAT,
            "encoder": sum_of(encoder.state_dict(), f"{encoder!r} {shape}"),
            "layout": self.layout,
            "kept as": self.wanted.precision,
            "computed in": [train.precision, train.memory_format],
            "seed": self.recipe.seed,
            "input": self.settings.model_dump(mode="json"),
            "augment": augment.model_dump(mode="json"),
            "code": own_parts.sources(one for one in self.recipe.parts if one[1] in (GROUP, AUGMENTATION.group)),
            "data": [len(self.dataset), key_of(self.dataset)],
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def _planned(self, missing: int, views: int) -> str:
        """What is about to be written; OutputError where the disk has less room."""
        needed = missing * self.bytes
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        each = f"{number(len(self.dataset) * self.variants, 'picture')}, {self.bytes:,} bytes a view"
        if needed > free:
            raise NoRoomError(
                f"{_WHERE}: {number(missing, 'view')} of {each}: {needed:,} bytes in {self.folder}, and the disk has "
                f"{free:,}: give fewer views, a smaller augment.crop, or another folder"
            )
        return f"{_WHERE}: computing {missing} of {number(views, 'view')} of {each}: {needed:,} bytes in {self.folder}"

    def _write(
        self, model: EncoderSegmenter, train: TrainRecipe, view: int, key: str, look: Callable[[], None]
    ) -> None:
        device = str(model.mean.device)
        rows = [Key(view, sample, variant) for sample in range(len(self.dataset)) for variant in range(self.variants)]
        groups = [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]
        collate = partial(_alike, self.settings.stride, self._shape)
        batches = loaded(self._samples, groups, collate, self.recipe.seed, train.workers)
        total = hashlib.sha256(f"{key} {view}".encode())
        with writing(self._path(view)) as part, part.open("wb") as file, torch.no_grad():
            for batch in console.track(batches, len(groups), f"the encoder's maps, view {view + 1}"):
                look()
                with autocast(device, train.precision):
                    maps = model.encode(batch.image_B3HW.to(device))
                rows_BL = self.layout.rows(maps).to(getattr(torch, self.wanted.precision)).cpu()
                if not bool(rows_BL.isfinite().all()):
                    raise TrainingError(
                        f"{_WHERE}: the encoder's maps of {listed(batch.names)} have values that are not finite in "
                        f"{self.wanted.precision}: set {_WHERE}.precision: float32, or look at the weights"
                    )
                for row_L, label_HW in zip(rows_BL.numpy(), batch.label_BHW.numpy(), strict=True):
                    for content in (row_L.data, label_HW.data):
                        file.write(content)
                        total.update(content)
            file.write(total.digest())


def _cut(recipe: Recipe, augment: Augment, model: Segmenter) -> EncoderSegmenter:
    """`model`, whose encoder's maps can be kept; RecipeError where they cannot, or something needs the pictures."""
    if not (isinstance(model, EncoderSegmenter) and model.is_cut()):
        raise RecipeError(
            f"{_WHERE}: {recipe.model.name} is not an encoder and a decoder that sees its maps alone, as "
            f"{listed(models.cut())} are: leave it out, or choose one of these"
        )
    if "all" not in recipe.model.freeze:
        raise RecipeError(f"{_WHERE}: the encoder has to stay as it is: set model.freeze: [all], or leave it out")
    needing = {
        "teacher": recipe.teacher,
        "adapt": recipe.adapt,
        "an augmentation handed in, of which nobody knows when it changes (augment.extra names one in a file),": (
            augment.extra is not None and recipe.augment.extra is None
        ),
    }
    if found := [name for name, given in needing.items() if given]:
        raise RecipeError(f"{_WHERE}: {listed(found)} cannot go with it: leave one of them out")
    return model


def _layout(model: EncoderSegmenter, image_1BHW: torch.Tensor) -> Layout:
    """How the maps of a picture are kept: those of whose values the decoder's scores, in training, depend."""
    trial = copy.deepcopy(model).train()
    image = image_1BHW.expand(2, -1, -1, -1).to(trial.mean.device)
    with torch.no_grad():
        maps = trial.encode(image)
    leaves = [one.detach().requires_grad_() for one in maps]
    scores = trial.decode([one.clone() for one in leaves])
    found = torch.autograd.grad(scores.float().sum(), leaves, allow_unused=True)
    height, width = image.shape[-2:]
    shapes = tuple(tuple(one.shape[1:]) for one in maps)
    return Layout((height, width), shapes, tuple(one is not None for one in found))


def _alike(stride: int, shape: tuple[int, int], samples: list[Any]) -> Batch | Failure:
    """As `collated`, of pictures of this shape alone."""
    others = [one for one in samples if not isinstance(one, Failure) and one[1].shape != shape]
    if not others:
        return collated(stride, samples)
    sizes = f"{others[0][2]} has {'x'.join(map(str, others[0][1].shape))} pixels, the first {'x'.join(map(str, shape))}"
    told = f"{_WHERE}: pictures of several sizes ({sizes}): set augment.crop, or input.size"
    return Failure.of(RecipeError(told), "")


def _collated(samples: list[Any]) -> Batch | Failure:
    for sample in samples:
        if isinstance(sample, Failure):
            return sample
    rows_BL, label_BHW = (torch.from_numpy(np.stack([sample[part] for sample in samples])) for part in (0, 1))
    return shared(Batch(rows_BL, label_BHW, [sample[2] for sample in samples if sample[2]]))


def _is_sound(path: Path, size: int, key: str) -> bool:
    """Whether a view is there and is what its sum says; that it is not is told where there is a file."""
    total = hashlib.sha256(key.encode())
    try:
        with path.open("rb") as file:
            left = size - total.digest_size
            whole = path.stat().st_size == size
            while whole and left and (block := file.read(min(_BLOCK, left))):
                total.update(block)
                left -= len(block)
            if whole and file.read() == total.digest():
                return True
    except FileNotFoundError:
        return False
    except OSError as error:
        raise OutputError(f"{_WHERE}.folder: {path}: cannot be read ({error.strerror})") from error
    console.note(f"{path}: damaged, or of something else: it is computed anew")
    return False
