"""A frozen encoder's maps are computed once, and learned from as the pictures are."""

from __future__ import annotations

import re
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from small_data import same_weights, tensors, tiny, write_folder
from tarsia import models, training
from tarsia.errors import NoRoomError, RecipeError
from tarsia.learning import features
from tarsia.learning.losses import CrossEntropy
from tarsia.learning.processes import Processes
from tarsia.models._segmenter import EncoderSegmenter
from tarsia.recipe import Recipe

PICTURES, BATCHES = 6, 2  # the encoder sees four at a time
CUT = ("deeplabv3", "fcn", "fpn", "pspnet", "segformer", "unet")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("features") / "data", train=PICTURES, val=0, size=(36, 40))


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures went through the encoder each time that maps were computed to be kept."""
    calls: list[int] = []
    encode = EncoderSegmenter.encode

    def counted(model: EncoderSegmenter, image_B3HW: torch.Tensor) -> list[torch.Tensor]:
        if torch.is_grad_enabled() is False and image_B3HW.shape[-2:] == (64, 64) and model.encoded is not None:
            calls.append(len(image_B3HW))
        return encode(model, image_B3HW)

    monkeypatch.setattr(EncoderSegmenter, "encode", counted)
    return calls


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def content(data: Path, cached: dict[str, Any] | None, **train: Any) -> dict[str, Any]:
    """Pictures that are cropped, flipped and padded to the stride; 2 steps an epoch."""
    found = tiny(data, epochs=3, cache_features=cached, schedule="constant", optimizer="sgd", **train)
    found["data"]["val"] = None
    found["model"] = {"name": "fpn", "encoder": "test_resnet", "channels": 8, "freeze": ["all"]}
    found["augment"] = {"horizontal_flip": 0.5, "crop": [33, 40], "color_jitter": {}}
    return found


def fit(folder: Path, content: dict[str, Any]) -> Path:
    return training.train(Recipe.model_validate(content), out=folder)


def far(run: Path, other: Path) -> float:
    """How far the weights of two runs lie apart, as a share of the way that those of the other went."""
    ours, theirs = (tensors(folder / "last.safetensors") for folder in (run, other))
    start = models.create("fpn", 3, options={"encoder": "test_resnet", "channels": 8}).state_dict()
    keys = [key for key in theirs if "num_batches" not in key]
    apart, way = (sum(float(np.square(theirs[key] - one[key]).sum()) for key in keys) for one in (ours, _arrays(start)))
    return (apart / way) ** 0.5


def _arrays(state: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {key: value.numpy() for key, value in state.items()}


def test_maps_are_learned_from_as_pictures_are(data: Path, tmp_path: Path, encoded: list[int]) -> None:
    """Where each epoch has a view of its own: to rounding, in half precision to its own; else views come again."""
    pictures = fit(tmp_path / "pictures", content(data, None))
    cache = {"folder": str(tmp_path / "cache"), "views": 3}
    single = fit(tmp_path / "single", content(data, cache | {"precision": "float32"}))
    assert encoded == [4, 2] * 3
    half = fit(tmp_path / "half", content(data, cache))
    assert far(single, pictures) < 1e-4 and 0 < far(half, pictures) < 0.01
    encoder = [key for key in tensors(half / "last.safetensors") if key.startswith("encoder.")]
    start = models.create("fpn", 3, options={"encoder": "test_resnet"}).state_dict()
    assert all(np.array_equal(tensors(half / "last.safetensors")[key], start[key].numpy()) for key in encoder)
    encoded.clear()
    again = fit(tmp_path / "again", content(data, cache | {"views": 2}))
    assert not encoded, "two views of the three that are there"
    assert far(again, half) > 0.02
    size = next((tmp_path / "cache").glob("*/view-002.bin")).stat().st_size
    told = rf"computing 3 of 3 views of 6 pictures, [\d,]+ bytes a view: ({3 * size:,}) bytes in"
    assert any(re.search(told, (run / "log.txt").read_text()) for run in (single, half))


def test_a_killed_training_goes_on_to_the_same_weights(
    data: Path, tmp_path: Path, encoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the second view, in the second epoch, then what was kept is damaged: only that is computed anew."""
    cache = {"folder": str(tmp_path / "cache"), "views": 2}
    wanted = content(data, cache, save_every_seconds=1e-6, ema=0.5, workers=1)
    counted = EncoderSegmenter.encode

    def dying(model: EncoderSegmenter, image_B3HW: torch.Tensor) -> list[torch.Tensor]:
        if len(encoded) == BATCHES + 1:
            raise MemoryError("killed")
        return counted(model, image_B3HW)

    monkeypatch.setattr(EncoderSegmenter, "encode", dying)
    with pytest.raises(MemoryError):
        fit(tmp_path / "run", wanted)
    assert [path.name for path in (tmp_path / "cache").glob("*/*")] == ["view-000.bin"]
    monkeypatch.setattr(EncoderSegmenter, "encode", counted)
    encoded.clear()
    take = training.take

    def ending(state: Any) -> float:
        if state.progress.step == BATCHES + 1:
            raise MemoryError("killed")
        return take(state)

    monkeypatch.setattr(training, "take", ending)
    with pytest.raises(Exception, match=r"killed|memory"):
        training.train(resume=tmp_path / "run")
    assert encoded == [4, 2]
    monkeypatch.setattr(training, "take", take)
    first, second = sorted((tmp_path / "cache").glob("*/view-*.bin"))
    shutil.copy(first, second)  # a foreign one
    stored = bytearray(first.read_bytes())
    stored[len(stored) // 2] ^= 1
    first.write_bytes(stored)
    encoded.clear()
    training.train(resume=tmp_path / "run")
    assert encoded == [4, 2] * 2
    whole = fit(tmp_path / "whole", wanted | {"train": wanted["train"] | {"workers": 0}})
    for name in ("last.safetensors", "model.safetensors"):
        assert same_weights(tmp_path / "run" / name, whole / name)


def test_what_does_not_fit_on_the_disk_is_refused_with_its_bytes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(features.shutil, "disk_usage", lambda folder: usage(10**6, 10**6 - 1000, 1000))
    with pytest.raises(NoRoomError, match=r"3 views of 6 pictures, ([\d,]+) bytes a view: .* and the disk has 1,000"):
        fit(tmp_path / "run", content(data, {"folder": str(tmp_path / "cache"), "views": 9}))
    assert not list((tmp_path / "cache").glob("*/*"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"model": {"name": "unet_original", "channels": [8]}},
            f"unet_original is not .*{', '.join(CUT[:-1])} and unet",
        ),
        ({"model": {"name": "fpn", "encoder": "test_resnet", "freeze": ["layer1"]}}, r"set model\.freeze: \[all\]"),
        ({"adapt": {"target": "here", "method": "fourier"}}, "adapt cannot go with it"),
        ({"augment": {}}, "pictures of several sizes .*set augment.crop"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], told: str, data: Path, tmp_path: Path) -> None:
    if "augment" in change:
        data = shutil.copytree(data, tmp_path / "data")
        write_folder(data, train=PICTURES - 1, val=0, size=(24, 40))
    with pytest.raises(RecipeError, match=f"train.cache_features: .*{told}"):
        fit(tmp_path / "run", content(data, {"folder": str(tmp_path / "cache")}) | change)


def test_a_process_that_does_not_see_the_files_says_so(data: Path, tmp_path: Path) -> None:
    class Second(Processes):
        rank = 1

        def first(self, work: Any) -> Any:
            return None

    recipe = Recipe.model_validate(content(data, {"folder": str(tmp_path / "cache")}))
    state = training.TrainingState.open(recipe, tmp_path, "cpu", lambda *_: None)
    with pytest.raises(RecipeError, match=r"train\.cache_features\.folder: .*rank 1 does not see"):
        state.features.fill(state.model, state.recipe.train, 1, Second(), print, lambda: None)


@pytest.mark.parametrize("name", CUT)
def test_scores_of_maps_are_those_of_their_pictures(name: str) -> None:
    options = {"encoder": "test_resnet"} | ({"auxiliary": 0.4} if name == "pspnet" else {})
    options |= {"finest": 8} if name == "fpn" else {}
    model = models.create(name, 4, options=options)
    image = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    layout = model.encoded = features._layout(model, image[:1])
    assert any(layout.used) and (name != "fpn" or layout.used[0] is False)
    for mode in (True, False):
        model.train(mode)
        model.encoder.eval()
        found = []
        for given in (image, layout.rows(model.encode(image))):
            torch.manual_seed(0)  # dropout
            found.append(model.loss(given, image[:, 0] // 64, CrossEntropy()))
        (terms, scores), (of_maps, scores_of_maps) = found
        assert torch.equal(scores, scores_of_maps) and terms == of_maps
