"""What of a recipe says how it is learned: losses, steps, optimizer, and how it is computed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from tarsia.own_parts import Kind
from tarsia.yaml_tree import Node

Weight = Annotated[float, Field(ge=0)]
LossWeight = Annotated[float, Field(ge=0, le=1e6)]
_LOSSES = ("cross_entropy", "dice", "jaccard", "lovasz", "focal", "ohem")
# What a loss of the user's own may be: called as (scores_BKHW, label_BHW).
LOSS = Kind("loss", "loss", callable, "tarsia.losses", classes_first=False)
# What a callback may be: called as (figures of the epoch, run folder) after each epoch.
CALLBACK = Kind("callback", "callback", callable, "tarsia.callbacks", classes_first=False)


class LossRecipe(Node):
    """Losses with their weights, summed; cross_entropy alone by default.  A name says that loss with weight 1.

    The name of a loss of one's own says where its code is, FILE.py[:NAME] or package.module:NAME, or is one that an
    installed package brings; docs/own-parts.md.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, LossWeight]
    cross_entropy: LossWeight = Field(0.0, description="takes class_weights and label_smoothing")
    dice: LossWeight = Field(0.0, description="1 - 2 I / (P + T), over the classes that the batch shows")
    jaccard: LossWeight = Field(0.0, description="1 - I / (P + T - I), over the classes that the batch shows")
    lovasz: LossWeight = Field(0.0, description="Lovasz-Softmax, over the classes that the batch shows")
    focal: LossWeight = Field(0.0, description="takes class_weights and label_smoothing")
    ohem: LossWeight = Field(0.0, description="hard pixels; takes class_weights and label_smoothing")
    focal_gamma: Annotated[float, Field(ge=0, le=20)] = Field(2.0, description="0: as cross_entropy")
    ohem_threshold: Annotated[float, Field(gt=0, le=1)] = Field(0.7, description="hard: the true class has less")
    ohem_least: Annotated[float, Field(gt=0, le=1)] = Field(0.0625, description="share of the pixels kept at least")
    smooth: Annotated[float, Field(ge=0, le=1e6)] = Field(
        0.0, description="pixels added above and below in dice, jaccard"
    )

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each loss that has one."""
        found = {name: getattr(self, name) for name in _LOSSES} | dict(self.model_extra or {})
        return {name: weight for name, weight in found.items() if weight > 0}

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {value: 1.0} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _something(self) -> LossRecipe:
        if not self.weights:
            raise ValueError(f"no loss has a weight above 0: give one to {', '.join(_LOSSES[:-1])} or {_LOSSES[-1]}")
        return self


class FeaturesRecipe(Node):
    """The maps of an encoder that is frozen whole, computed once and kept on disk: each epoch reads those of a view.

    Epoch N has view N modulo `views`, whose pictures are augmented as those of that epoch are.
    """

    folder: str = Field(description="where they are kept, for other trainings on the same encoder and pictures too")
    views: Annotated[int, Field(ge=1, le=100_000)] = Field(1, description="of each picture, as many epochs differ")
    precision: Literal["float16", "float32"] = Field("float16", description="of what is kept")


class TrainRecipe(Node):
    """The loop: how long, how large, how fast."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 20
    steps_per_epoch: Annotated[int, Field(ge=1)] | None = Field(None, description="default: all pictures once")
    replan: tuple[tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)]], ...] = Field(
        (),
        description="[after which step, steps in all from there on]: changes of the length, as a time limit made them",
    )
    batch: Annotated[int, Field(ge=1, le=4096)] = 8
    accumulate: Annotated[int, Field(ge=1, le=1024)] = Field(1, description="batches learned as one in a step")
    processes: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        None, description="that share each step, `batch` pictures each; default: as many as torchrun starts"
    )
    sync_batch_norm: bool = Field(False, description="batch normalisation over the pictures of all processes")
    encoder_statistics: Literal["moving", "fixed"] = Field(
        "moving",
        description="mean and variance of the encoder's batch normalisation; fixed: used and kept as its weights bring "
        "them, while scale and shift are learned",
    )
    cache_features: FeaturesRecipe | None = Field(
        None, description="compute the maps of a frozen encoder (model.freeze: [all]) once, and read them in each epoch"
    )
    workers: Annotated[int, Field(ge=0, le=256)] = Field(1, description="processes that read and augment; 0: none")
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0, le=100)] = 1e-3
    encoder_multiplier: Annotated[float, Field(ge=0, le=100)] = Field(1.0, description="learning rate of the encoder")
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 1e-2
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="of sgd")
    schedule: Literal["poly", "cosine", "constant"] = "poly"
    power: Annotated[float, Field(gt=0, le=10)] = Field(0.9, description="of the poly schedule")
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    loss: LossRecipe = LossRecipe(cross_entropy=1.0)
    class_weights: Literal["none", "median_frequency", "root_median_frequency"] | tuple[Weight, ...] = "none"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(None, description="largest gradient norm")
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(None, description="decay of the weights' moving average")
    early_stop: Annotated[int, Field(ge=1)] | None = Field(None, description="epochs without a better val mIoU")
    keep: Literal["best", "all"] = Field("best", description="all: the weights of every epoch in epochs/")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: the faster of both, measured")
    memory_format: Literal["auto", "contiguous", "channels_last"] = Field(
        "auto", description="of pictures and weights; auto: the faster of both, measured"
    )
    threads: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        None, description="of torch on the CPU; default: torch's own number"
    )
    compile: bool = False
    save_every_seconds: Annotated[float, Field(gt=0)] = Field(60.0, description="between resume points in an epoch")
    timeout_seconds: Annotated[float, Field(gt=0, le=1e6)] = Field(
        300.0, description="that processes of a training wait for one another before it ends"
    )
    callbacks: tuple[str, ...] = Field(
        (),
        description="code of one's own, called after each epoch: FILE.py[:NAME], package.module:NAME or an installed "
        "package's name; docs/own-parts.md",
    )
    start_from: str | None = Field(None, description="a Tarsia model file to continue from")

    @field_validator("replan")
    @classmethod
    def _one_after_the_other(cls, replan: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        steps = [changed for changed, _ in replan]
        if sorted(set(steps)) != steps or any(total <= changed for changed, total in replan):
            raise ValueError("each change comes after the one before it, and its total is more than its step")
        return replan
