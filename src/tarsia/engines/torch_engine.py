"""The engine that runs a model file with torch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from tarsia import hardware, models
from tarsia.card import Card
from tarsia.engines import memory_limit
from tarsia.engines.engine import AttentionMap, Description, Engine, check_levels
from tarsia.engines.measuring import measure
from tarsia.engines.weights import load_model
from tarsia.errors import ModelFileError, OutputError, RecipeError
from tarsia.models._attention import Attention, Attentive
from tarsia.models._ranged import ranged
from tarsia.models._segmenter import MEMORY_FORMATS, Segmenter
from tarsia.pictures.ranges import Levels
from tarsia.plain_text import first_line

_DEFAULT = "contiguous"
_REAL_SIZE = 128 * 128  # pixels; a smaller picture says nothing of those to come, and is quick in any layout
_LARGEST_SIDE = 512  # of the part that is tried: a large picture takes seconds
_LEAST_SECONDS = 0.5


class TorchEngine(Engine):
    """A Segmenter behind the Engine protocol."""

    def __init__(
        self, model: Segmenter, card: Card, device: str, precision: str = "float32", memory_format: str = "auto"
    ) -> None:
        """`memory_format`: contiguous, channels_last, or `auto`: the faster on the first picture of a real size.

        Labels may then differ, from one machine to the other, where rounding decides between two classes.
        """
        self.model = model
        self.card = card
        self._range: Any = None if card.input.range is None else ranged(model, card).to(device)
        self.device = device
        self.precision = precision
        self._to_choose = memory_format == "auto"
        model.arrange(_DEFAULT if memory_format == "auto" else memory_format)

    @classmethod
    def open(cls, path: Path, device: str = "auto", memory_format: str = "auto") -> TorchEngine:
        """The engine for a model file; ModelFileError where it is not sound."""
        model, card = load_model(path)
        where = pick_device(device)
        return cls(model.to(where).eval(), card, where, memory_format=memory_format)

    @property
    def memory_format(self) -> str | None:
        """How weights and pictures lie in memory; None until a picture of a real size has decided it."""
        return None if self._to_choose else self.model.memory_format

    def keep(self, memory_format: str) -> None:
        self._to_choose = False
        self.model.arrange(memory_format)

    def run(self, images_BHWC: np.ndarray, levels: Levels | None = None) -> Tensor:
        return self._run(self.model, images_BHWC, levels)

    @torch.inference_mode()
    def labels(self, scores_BKHW: Tensor, size: tuple[int, int]) -> np.ndarray:
        with memory_limit.exhaustion(self.card.architecture):
            # max is several times faster than argmax on CPUs in this layout.
            return _at(scores_BKHW, size).max(1).indices.to(torch.uint8).cpu().numpy()

    @torch.inference_mode()
    def probabilities(self, scores_BKHW: Tensor, size: tuple[int, int]) -> np.ndarray:
        with memory_limit.exhaustion(self.card.architecture):
            return _at(scores_BKHW.float(), size).softmax(1).cpu().numpy()

    def network(self) -> Segmenter:
        """The network, on its device."""
        return self.model

    def check_attention(self, of_a_position: bool = False) -> None:
        """OutputError naming what would have attention, where this network has none to show."""
        what = self.card.architecture
        if not _attends(self.model):
            raise OutputError(f"this {what} has no attention to draw: {_where_attention_is(self.card)}")
        if of_a_position:
            blank = np.zeros((self.model.stride, self.model.stride, self.model.bands), self.card.input.dtype)
            rule = self.card.input.range
            levels = Levels.as_stored(self.model.bands) if rule and rule.by_picture else None
            if all(found.kind != "paid" for found in self.attention(blank, (0, 0), levels)):
                raise OutputError(
                    f"`attention_at`: in this {what} no position attends to others, channels are weighed: leave it out"
                )

    def attention(
        self, image_HWC: np.ndarray, at: tuple[float, float] | None = None, levels: Levels | None = None
    ) -> list[AttentionMap]:
        """As Engine's."""
        seen = self._run(lambda images_B3HW: self.model.attention(images_B3HW, at), image_HWC[None], levels)
        return [one for name, found in seen for one in _maps(name, found)]

    @torch.inference_mode()
    def _run(self, function: Callable[[Tensor], Any], images_BHWC: np.ndarray, levels: Levels | None) -> Any:
        """`function` of the pictures, the network only looked at.

        MemoryError where memory runs out, ModelFileError where the network fails on pictures of this size.
        """
        check_levels(self.card, levels)
        try:
            with memory_limit.exhaustion(self.card.architecture):
                return self._looked_at(function, images_BHWC, levels)
        except RuntimeError as error:
            size = "x".join(str(side) for side in images_BHWC.shape[:3])
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelFileError(
                f"{self.card.architecture}: fails on pictures of {size} (number x height x width): {reason}"
            ) from error

    def _looked_at(self, function: Callable[[Tensor], Any], images_BHWC: np.ndarray, levels: Levels | None) -> Any:
        images = torch.from_numpy(np.ascontiguousarray(images_BHWC)).permute(0, 3, 1, 2).to(self.device)
        was_training = self.model.training
        self.model.eval()
        try:
            if self._range is not None:  # in float32, whatever the network computes in
                own = [torch.from_numpy(one).to(self.device) for one in levels or ()]
                images = self._range.scaled(images, *own)
            with autocast(self.device, self.precision):
                if self._to_choose and images[0, 0].numel() >= _REAL_SIZE:
                    self._choose_memory_format(images)
                return function(images)
        finally:
            self.model.train(was_training)

    def _choose_memory_format(self, images_B3HW: Tensor) -> None:
        """Arrange the network as is faster with a part of the first of the pictures, and leave it so."""
        self._to_choose = False
        most = max(self.model.stride, _LARGEST_SIDE // self.model.stride * self.model.stride)
        part = images_B3HW[:1, :, :most, :most]

        def arrange(memory_format: str) -> None:
            with torch.inference_mode(False):  # else the weights could never again be learned from
                self.model.arrange(memory_format)

        def seconds(memory_format: str) -> float:
            arrange(memory_format)
            started = perf_counter()
            self.model(part)
            if self.device.startswith("cuda"):
                torch.cuda.synchronize()
            return perf_counter() - started

        others = [one for one in MEMORY_FORMATS if one != _DEFAULT]
        arrange(measure([_DEFAULT, *others], seconds, _LEAST_SECONDS).chosen)

    def give_back(self) -> None:
        """Give back the GPU's memory that torch keeps for the next picture."""
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()

    def describe(self) -> Description:
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        program, on_gpu = f"torch {torch.__version__}, {self.device}", self.device != "cpu"
        return Description(program, self.precision, torch.get_num_threads(), parameters, on_gpu=on_gpu)

    def multiply_adds(self, size: tuple[int, int]) -> int:
        """Of one picture of `size` (multiples of the stride), counted in a run of the network."""
        image = torch.zeros((1, self.model.bands, *size), dtype=torch.uint8, device=self.device)
        counter = FlopCounterMode(display=False)
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad(), counter:
                self.model(image)
        finally:
            self.model.train(was_training)
        return counter.get_total_flops() // 2


def pick_device(device: str) -> str:
    """`auto` -> cuda where there is one, else cpu; RecipeError for a device that is not there."""
    if device == "auto":
        return "cuda" if hardware.has_cuda() else "cpu"
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:
        raise RecipeError(
            f"{device=}: not usable here ({first_line(error)}); known: auto, cpu, cuda, cuda:N"
        ) from error
    return device


def autocast(device: str, precision: str) -> Any:
    """The context in which a network computes in `precision`."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.partition(":")[0], dtype=torch.bfloat16)


def _at(scores_BKHW: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(scores_BKHW.shape[-2:]) == tuple(size):
        return scores_BKHW
    return functional.interpolate(scores_BKHW, size=size, mode="bilinear", align_corners=False)


def _maps(name: str, found: Attention) -> list[AttentionMap]:
    """Those of one module, of the first picture."""
    maps = {"received": found.received_BHW, "paid": found.paid_BHW, "active": found.active_BHW}
    weights_C = None if found.weights_BC is None else found.weights_BC[0].float().cpu().numpy()
    return [
        AttentionMap(name, map_BHW[0].float().cpu().numpy(), weights_C if kind == "active" else None, kind)
        for kind, map_BHW in maps.items()
        if map_BHW is not None
    ]


def _attends(model: Segmenter) -> bool:
    return any(isinstance(part, Attentive) for part in model.modules())


def _where_attention_is(card: Card) -> str:
    """What to train for attention maps: this network with a switch of it on, else the networks that have them."""

    def attends(name: str, options: dict[str, Any]) -> bool:
        with torch.device("meta"):
            return _attends(models.create(name, 2, options=options))

    for option, value in card.model.items():
        if value is False and attends(card.architecture, card.model | {option: True}):
            return f"it was trained with model.{option}: false, train one with true"
    having = [name for name in models.names() if attends(name, models.config_class(name).smallest)]
    return f"networks that have it: {', '.join(having)}"
