"""What stops a training is one error that says what to do, and leaves what was good before."""

from __future__ import annotations

import gc
import math
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from small_data import tiny, write_folder
from tarsia import training
from tarsia.data import Sample
from tarsia.data import open as open_data
from tarsia.errors import TrainingError
from tarsia.learning.losses import CrossEntropy
from tarsia.models._segmenter import Segmenter
from tarsia.recipe import Recipe


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("failures") / "data", train=6, val=3, size=(32, 32))


def fit(folder: Path, data: Path, val: str | None = None, **train: Any) -> Path:
    content = tiny(data, **train)
    content["data"]["val"] = val
    return training.train(Recipe.model_validate(content), out=folder)


def epochs(run: Path) -> int:
    return len((run / "metrics.csv").read_text().splitlines()) - 1


def test_a_loss_that_is_not_finite(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def break_down(self: CrossEntropy, scores: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        calls.append(label)
        return scores.mean() * (math.nan if len(calls) == 4 else 1.0)

    monkeypatch.setattr(CrossEntropy, "__call__", break_down)
    with pytest.raises(TrainingError, match=r"not finite in step 4 of epoch 2") as caught:
        fit(tmp_path / "run", data, epochs=3, batch=2, steps_per_epoch=3, accumulate=1)
    monkeypatch.undo()
    with np.load(tmp_path / "run" / "bad_batch.npz", allow_pickle=False) as saved:
        names = [str(name) for name in saved["names"]]
        assert f"samples {', '.join(names)}, saved in {tmp_path / 'run' / 'bad_batch.npz'}" in str(caught.value)
        split = open_data("folder", data, "train")
        truth: dict[str, Sample] = {split.name(index): split[index] for index in range(len(split))}
        assert len(names) == 2
        for name, image, label in zip(names, saved["image"], saved["label"], strict=True):
            np.testing.assert_array_equal(image, truth[name].image)
            np.testing.assert_array_equal(label, truth[name].label)
    # What was good before is still there, and can be resumed once the cause is mended.
    assert epochs(tmp_path / "run") == 1
    training.train(resume=tmp_path / "run")
    assert epochs(tmp_path / "run") == 3


def test_out_of_memory_names_the_batch_that_fits(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Segmenter.loss

    def small_only(self: Segmenter, image: torch.Tensor, label: torch.Tensor, criterion: Any) -> Any:
        if len(image) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: Error code 12 (Cannot allocate memory)")
        return whole(self, image, label, criterion)

    monkeypatch.setattr(Segmenter, "loss", small_only)
    with pytest.raises(TrainingError, match="out of memory in step 1 with a batch of 6") as caught:
        fit(tmp_path / "run", data, batch=6)
    assert "overrides=['train.batch=1', 'train.accumulate=6']" in str(caught.value)  # 3 does not fit, 1 does
    with pytest.raises(TrainingError, match=r"train\.batch=2', 'train\.accumulate=4"):
        fit(tmp_path / "more", data, batch=4, accumulate=2)
    with pytest.raises(TrainingError, match=r"learns alike but for lovasz, which each batch has for itself"):
        fit(tmp_path / "apart", data, batch=6, loss={"lovasz": 1, "dice": 1})
    monkeypatch.setattr(Segmenter, "loss", lambda *_: (_ for _ in ()).throw(RuntimeError("CUDA out of memory")))
    with pytest.raises(TrainingError, match="not even one picture fits"):
        fit(tmp_path / "none", data)


def test_the_failed_step_does_not_stand_in_the_way_of_trying_what_fits(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While smaller batches are tried, no tensor of the step that failed may be alive."""
    alive: list[weakref.ref[torch.Tensor]] = []

    def fail(self: Segmenter, image: torch.Tensor, label: torch.Tensor, criterion: Any) -> Any:
        scores = self(image)
        alive.append(weakref.ref(scores))
        raise RuntimeError("out of memory")

    def fitting(*_: Any) -> int:
        gc.disable()  # reference counts must do
        assert alive[0]() is None
        return 1

    monkeypatch.setattr(Segmenter, "loss", fail)
    monkeypatch.setattr("tarsia.learning.probe.fitting_batch", fitting)
    try:
        with pytest.raises(TrainingError, match="a batch of 1 fits"):
            fit(tmp_path / "run", data)
    finally:
        gc.enable()


def test_out_of_memory_in_validation(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr("tarsia.engines.torch_engine.TorchEngine.run", fail)
    with pytest.raises(TrainingError, match=r"out of memory in validation after epoch 1.*4 at a time"):
        fit(tmp_path / "run", data, "val")


def test_other_errors_are_not_dressed_up(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("a fault of Tarsia's own")

    monkeypatch.setattr(Segmenter, "loss", fail)
    with pytest.raises(RuntimeError, match="own"):
        fit(tmp_path / "run", data)
