"""A step of several batches is learned as one batch of all their pictures, whatever of them is labelled."""

from __future__ import annotations

import copy
import csv
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from small_data import draw, tiny, write_folder, write_pair
from tarsia.adaptation.restyle import Restyling
from tarsia.card import IGNORED
from tarsia.engines.model_file import read_card
from tarsia.errors import DatasetError
from tarsia.learning.loader import Batch, TargetBatch
from tarsia.learning.losses import Ohem, Sum, create
from tarsia.learning.processes import Processes
from tarsia.learning.state import TrainingState
from tarsia.learning.step import gradients
from tarsia.learning.step_loss import SplitLoss, per_batch
from tarsia.recipe import Recipe
from tarsia.recipe_train import LossRecipe
from tarsia.training import train

SUMS: dict[str, dict[str, Any]] = {
    "cross_entropy": {"loss": "cross_entropy"},
    "weighted": {"loss": "cross_entropy", "class_weights": [0.2, 3.0, 1.0]},
    "smoothed": {"loss": "cross_entropy", "class_weights": [0.2, 3.0, 1.0], "label_smoothing": 0.1},
    "weight zero": {"loss": "cross_entropy", "class_weights": [0.0, 1.0, 1.0]},
    "focal": {"loss": "focal", "class_weights": [0.2, 3.0, 1.0]},
    "dice": {"loss": "dice"},
    "jaccard": {"loss": {"jaccard": 1, "smooth": 2.0}},
    "all": {"loss": {"cross_entropy": 1, "dice": 0.5, "jaccard": 2, "focal": 0.3}},
}
SHARES = (1.0, 0.05, 0.4, 0.0)  # of the pixels of each picture that are labelled; the last has none
sums = pytest.mark.parametrize("settings", SUMS.values(), ids=SUMS.keys())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("step") / "data", train=4, val=1, size=(32, 32))


def batches(sizes: tuple[int, ...], seed: int = 0, shares: tuple[float, ...] = SHARES) -> list[Batch]:
    """The same pictures in batches of these sizes."""
    random = np.random.default_rng(seed)
    drawn = [draw(index, (32, 32)) for index in range(sum(sizes))]
    label_BHW = np.stack([label for _, label in drawn])
    for index, label_HW in enumerate(label_BHW):
        label_HW[random.random(label_HW.shape) >= shares[index % len(shares)]] = IGNORED
    image = torch.from_numpy(np.stack([image for image, _ in drawn])).permute(0, 3, 1, 2)
    ends = list(itertools.accumulate(sizes, initial=0))
    label = torch.from_numpy(label_BHW)
    return [Batch(image[a:b], label[a:b], [str(n) for n in range(a, b)]) for a, b in itertools.pairwise(ends)]


def state(
    data: Path, settings: dict[str, Any], model: dict[str, Any] | None = None, frozen: bool = True
) -> TrainingState:
    """One whose batch normalisation is frozen: it sees each batch by itself, which no divisor makes good."""
    content = tiny(data, **settings)
    if model:
        content["model"] = model
    opened = TrainingState.open(Recipe.model_validate(content), data, "cpu", Restyling)
    opened.model.train()
    if frozen:
        for part in opened.model.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd):
                part.eval()
    return opened


def learned(opened: TrainingState, group: list[Batch]) -> tuple[Tensor, float]:
    """The gradient, as one vector, and the loss of a step."""
    opened.model.zero_grad(set_to_none=True)
    loss = gradients(opened, group).loss
    given = [one.grad if one.grad is not None else torch.zeros_like(one) for one in opened.model.parameters()]
    return torch.cat([one.flatten() for one in given]), loss


def assert_close(found: tuple[Tensor, float], wanted: tuple[Tensor, float], within: float = 1e-5) -> None:
    assert wanted[0].norm() > 1e-3
    assert float((found[0] - wanted[0]).norm() / wanted[0].norm()) < within
    assert found[1] == pytest.approx(wanted[1], rel=within)


@sums
def test_the_gradient_and_the_loss_are_those_of_one_large_batch(data: Path, settings: dict[str, Any]) -> None:
    opened = state(data, settings)
    whole = learned(opened, batches((4,)))
    for sizes in ((2, 2), (1, 1, 1, 1), (1, 3)):
        assert_close(learned(opened, batches(sizes)), whole)


@sums
def test_bfloat16_rounds_the_same_gradient(data: Path, settings: dict[str, Any]) -> None:
    opened = state(data, settings)
    whole = learned(opened, batches((4,)))
    opened.recipe = opened.recipe.model_copy(
        update={"train": opened.recipe.train.model_copy(update={"precision": "bfloat16"})}
    )
    assert_close(learned(opened, batches((1, 3))), whole, within=0.15)


@pytest.mark.parametrize("settings", [SUMS["weighted"], SUMS["all"]], ids=["weighted", "all"])
def test_an_auxiliary_loss_has_the_same_divisor(data: Path, settings: dict[str, Any]) -> None:
    options = {"name": "pspnet", "encoder": "test_resnet", "bins": [1, 2], "fusion_channels": 8, "auxiliary": 0.4}
    opened = state(data, settings, options)
    whole = learned(opened, batches((4,)))
    opened.model.auxiliary_weight = 0.0
    assert float((learned(opened, batches((4,)))[0] - whole[0]).norm()) > 1e-3, "it has a part in the gradient"
    opened.model.auxiliary_weight = 0.4
    for sizes in ((2, 2), (1, 3)):
        assert_close(learned(opened, batches(sizes)), whole)


@pytest.mark.parametrize("adapt", [{"method": "histogram", "kl_weight": 3.0}, {"method": "fourier"}], ids=str)
@pytest.mark.parametrize("settings", [SUMS["cross_entropy"], SUMS["all"]], ids=["cross_entropy", "all"])
def test_pictures_that_adapting_adds_count_as_the_others(
    data: Path, settings: dict[str, Any], adapt: dict[str, Any]
) -> None:
    content = tiny(data, **settings) | {"adapt": {"target": str(data / "val" / "images")} | adapt}
    opened = TrainingState.open(Recipe.model_validate(content), data, "cpu", Restyling)
    opened.model.train()
    for part in opened.model.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()

    def with_targets(sizes: tuple[int, ...]) -> list[Batch]:
        found = []
        for batch in batches(sizes, shares=(1.0, 0.05)):
            others = 255 - batch.image_B3HW
            found.append(batch._replace(target=TargetBatch(others, torch.ones_like(batch.label_BHW, dtype=torch.bool))))
        return found

    whole = learned(opened, with_targets((4,)))
    for sizes in ((2, 2), (1, 3)):
        assert_close(learned(opened, with_targets(sizes)), whole, within=1e-4)


def test_nothing_labelled_in_a_whole_step(data: Path) -> None:
    for settings in SUMS.values():
        opened = state(data, settings)
        found, loss = learned(opened, batches((2, 2), shares=(0.0,)))
        assert not found.any() and loss == 0.0
        assert gradients(opened, batches((2, 2), shares=(0.0,))).labelled is False


@pytest.mark.parametrize("name", ["lovasz", "ohem"])
def test_what_is_no_sum_is_the_mean_of_the_batches_that_have_labels(data: Path, name: str) -> None:
    opened = state(data, {"loss": name})
    parts = batches((1, 1, 1, 1))
    one_by_one = [learned(opened, [batch]) for batch in parts]
    assert one_by_one[3][1] == 0.0 and not one_by_one[3][0].any()
    wanted = sum(gradient for gradient, _ in one_by_one) / 3, sum(loss for _, loss in one_by_one) / 3
    assert_close(learned(opened, parts), wanted)
    assert per_batch(opened.criterion) == [name]


def test_one_batch_is_the_criterion_itself_bit_by_bit(data: Path) -> None:
    opened = state(data, SUMS["all"] | {"class_weights": [0.2, 3.0, 1.0]}, frozen=False)
    (batch,) = batches((4,))
    twin = copy.deepcopy(opened.model)
    torch.manual_seed(3)
    found, loss = learned(opened, [batch])
    torch.manual_seed(3)
    terms, _ = twin.loss(batch.image_B3HW, batch.label_BHW, opened.criterion)
    terms["loss"].backward()
    assert float(terms["loss"].detach()) == loss
    assert torch.equal(found, torch.cat([one.grad.flatten() for one in twin.parameters()]))


def test_the_first_look_disturbs_nothing(data: Path) -> None:
    """Running statistics move once for each batch, and dropout draws what it would have drawn without the look."""
    options = {"name": "pspnet", "encoder": "test_resnet", "bins": [1, 2], "fusion_channels": 8, "dropout": 0.5}
    states, gradient = [], []
    for loss in ("dice", "cross_entropy"):  # with a look, and without
        opened = state(data, {"loss": loss}, options, frozen=False)
        torch.manual_seed(5)
        drawn: list[Tensor] = []
        handle = opened.model.classifier.register_forward_pre_hook(
            lambda _, given, seen=drawn: seen.append((given[0] == 0).all((2, 3)))
        )
        gradient.append(learned(opened, batches((2, 2)))[0])
        handle.remove()
        states.append((drawn[-2:], dict(opened.model.named_buffers()), torch.get_rng_state()))
        if loss == "dice":
            assert len(drawn) == 4 and all(torch.equal(a, b) for a, b in zip(drawn[:2], drawn[2:], strict=True))
    (seen, buffers, drawn_to), (plainly_seen, plain_buffers, plainly_drawn_to) = states
    assert any(one.any() for one in seen) and all(torch.equal(a, b) for a, b in zip(seen, plainly_seen, strict=True))
    assert torch.equal(drawn_to, plainly_drawn_to)
    assert all(torch.equal(buffers[key], plain_buffers[key]) for key in buffers)


def test_the_loss_of_a_split_is_that_of_one_batch() -> None:
    torch.manual_seed(0)
    scores_BKHW, label_BHW = torch.randn(4, 3, 8, 8), torch.randint(0, 3, (4, 8, 8), dtype=torch.uint8)
    label_BHW[1, 1:], label_BHW[2] = IGNORED, IGNORED
    recipe = LossRecipe(cross_entropy=1.0, dice=0.5, jaccard=0.2, focal=0.3)
    for criterion in (create(recipe), create(recipe, torch.tensor([0.2, 3.0, 1.0]), 0.1)):
        loss = SplitLoss(criterion, 3)
        for index in range(4):
            loss.add(scores_BKHW[index : index + 1], label_BHW[index : index + 1])
        assert loss.value(Processes()) == pytest.approx(float(criterion(scores_BKHW, label_BHW)), rel=1e-5)
    hard = SplitLoss(Sum({"ohem": Ohem()}, {"ohem": 1.0}), 3)
    assert hard.value(Processes()) == 0.0
    hard.add(scores_BKHW, label_BHW)
    assert hard.value(Processes()) == pytest.approx(float(Ohem()(scores_BKHW, label_BHW)))


# ---- whole trainings


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("loss", ["cross_entropy", "dice"])
def test_the_figures_of_a_run_are_those_of_the_larger_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    monkeypatch.setattr("tarsia.models.unet.Model.train", lambda self, mode=True: nn.Module.train(self, False))
    data = write_folder(tmp_path / "data", 0, 0, (32, 32))
    for split in ("train", "val"):
        for batch in batches((1,) * 6):
            write_pair(
                data, split, batch.names[0], batch.image_B3HW[0].permute(1, 2, 0).numpy(), batch.label_BHW[0].numpy()
            )
    found = []
    for name, size in (("whole", {"batch": 4}), ("parts", {"batch": 1, "accumulate": 4})):
        settings: dict[str, Any] = {"loss": loss, "class_weights": "none", "epochs": 2, "optimizer": "sgd"} | size
        run = train(
            Recipe.model_validate(tiny(data, learning_rate=0.05, **settings)), out=tmp_path / name, device="cpu"
        )
        found.append([{key: float(row[key]) for key in ("train_loss", "val_loss", "train_miou")} for row in rows(run)])
    for one, other in zip(*found, strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_what_is_no_sum_is_said_in_the_log_and_the_card(data: Path, tmp_path: Path) -> None:
    content = tiny({"name": "folder", "root": str(data), "val": None}, loss={"lovasz": 1, "cross_entropy": 1}, batch=2)
    for accumulate, said in ((1, None), (2, ["lovasz"])):
        content["train"]["accumulate"] = accumulate
        run = train(Recipe.model_validate(content), out=tmp_path / str(accumulate), device="cpu")
        assert read_card(run / "model.safetensors").provenance.get("loss_by_batch") == said
        assert ("lovasz: no sum over pixels" in (run / "log.txt").read_text()) == bool(said)


def test_an_epoch_that_saw_no_label_is_an_error_and_a_part_of_one_has_no_loss(data: Path, tmp_path: Path) -> None:
    """The split has labels, and what is done to its pictures takes them all."""

    def void(image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        return {"image": image, "mask": np.full_like(mask, IGNORED)}

    content = tiny({"name": "folder", "root": str(data), "val": None})
    with pytest.raises(DatasetError, match="no pixel of the 4 training pictures was labelled as the network saw them"):
        train(Recipe.model_validate(content), out=tmp_path / "all", augment=void)
    assert not (tmp_path / "all" / "model.safetensors").exists()
    content["train"]["steps_per_epoch"] = 1
    run = train(Recipe.model_validate(content), out=tmp_path / "some", augment=void)
    assert rows(run)[0]["train_loss"] == "nan"
