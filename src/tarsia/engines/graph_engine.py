"""What the engines of .onnx files share: what goes in and comes out, and errors that name the file; never torch."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from tarsia import hardware
from tarsia.card import Card
from tarsia.engines import memory_limit, onnx_file, resample
from tarsia.engines.engine import Description, Engine, check_levels
from tarsia.engines.memory import Footprint, trim
from tarsia.engines.onnx_file import OnnxFile
from tarsia.errors import ModelFileError, RecipeError
from tarsia.pictures.ranges import Levels
from tarsia.plain_text import first_line

INPUT, SCORES, LABEL, CONFIDENCE = "image", "scores", "label", "confidence"
LOW, STEP = "low", "step"  # inputs too, where each picture has a range of its own


class GraphEngine(Engine, ABC):
    """An ONNX file behind the Engine protocol (engines/engine.py); what it gives are numpy arrays."""

    precision = "float32"  # of what the file does not hold in 8 bits
    device = "cpu"
    _gives_labels: bool  # exported with probabilities

    def __init__(self, file: OnnxFile, where: str, threads: int | None = None, streams: int = 1) -> None:
        """`streams`: how many calls may run at once, each on its share of the `threads`, by default one a core.

        Errors name the file as `where`; RecipeError for more streams than threads.
        """
        self.card: Card = file.card
        self.threads = threads or hardware.cores()
        self.streams = streams
        if streams > self.threads:
            raise RecipeError(f"`{streams=}`: each takes a core at least, and there are {self.threads}")
        onnx_file.check_numbers(file.content, where)
        self._where = where
        self._parameters = file.parameters
        self._footprint = Footprint()

    def run(self, images_BHWC: np.ndarray, levels: Levels | None = None) -> np.ndarray:
        return self._given([SCORES], images_BHWC, levels)[0]

    def run_to_labels(
        self, images_BHWC: np.ndarray, levels: Levels | None = None
    ) -> tuple[np.ndarray, np.ndarray] | None:
        if not self._gives_labels:
            return None
        label_BHW, confidence_BHW = self._given([LABEL, CONFIDENCE], images_BHWC, levels)
        return label_BHW, confidence_BHW

    def labels(self, scores_BKHW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return resample.labels(scores_BKHW, size)

    def probabilities(self, scores_BKHW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return resample.probabilities(scores_BKHW, size)

    def describe(self) -> Description:
        """As Engine's; of the precision, what the file holds in 8 bits is said first."""
        stored = (self.card.provenance.get("export") or {}).get("precision", "float32")
        precision = self.precision if stored == "float32" else f"{stored}, the rest {self.precision}"
        return Description(self._program(), precision, self.threads, self._parameters, self.streams)

    def multiply_adds(self, size: tuple[int, int]) -> int | None:
        """Of a picture of `size`, where the card knows them: they were counted before the export, at one size."""
        exported = self.card.provenance.get("export") or {}
        return exported.get("multiply_adds") if exported.get("multiply_adds_size") == list(size) else None

    @abstractmethod
    def _program(self) -> str:
        """The engine, its version, and what it runs on."""

    def give_back(self) -> None:
        if self._footprint.forget():
            self._release()
            trim()

    @abstractmethod
    def _run(self, names: list[str], fed: dict[str, np.ndarray], release: bool) -> list[np.ndarray]:
        """The outputs of these names; raises whatever the engine does.

        `fed`: the inputs by their names.  `release`: keep no memory of this run.
        """

    @abstractmethod
    def _release(self) -> None:
        """Give back what is kept from one run to the next."""

    def _given(self, names: list[str], images_BHWC: np.ndarray, levels: Levels | None) -> list[np.ndarray]:
        check_levels(self.card, levels)
        fed = fed_with(images_BHWC, levels)
        try:
            with memory_limit.exhaustion(self._where):
                return self._run(names, fed, self._footprint.outgrown_by(math.prod(images_BHWC.shape[:3])))
        except MemoryError:
            raise
        except Exception as error:  # the engines' errors have no common base of their own
            size = "x".join(str(side) for side in images_BHWC.shape[:3])
            raise ModelFileError(
                f"{self._where}: fails on pictures of {size} (number x height x width): {reason(error)}"
            ) from error

    def _smallest(self) -> dict[str, np.ndarray]:
        """The inputs with the smallest picture that the network takes, black."""
        settings, bands = self.card.input, self.card.bands
        image_1HWC = np.zeros((1, settings.stride, settings.stride, bands), settings.dtype)
        return fed_with(image_1HWC, Levels.as_stored(bands) if settings.range and settings.range.by_picture else None)

    def _check_interface(self, takes: list[Any], gives: dict[str, Any], classes: int | None) -> None:
        """ModelFileError unless inputs and outputs, (type, number of axes), and the scores' classes are Tarsia's."""
        wanted = {SCORES: ("float32", 4), LABEL: ("uint8", 3), CONFIDENCE: ("float32", 3)}
        self._gives_labels = LABEL in gives or CONFIDENCE in gives
        expected = wanted if self._gives_labels else {SCORES: wanted[SCORES]}
        found = {name: gives.get(name) for name in expected}
        bands, dtype, rule = self.card.bands, self.card.input.dtype, self.card.input.range
        own = [(LOW, "float32", 2, bands), (STEP, "float32", 2, bands)] if rule and rule.by_picture else []
        if sorted(takes) != [(INPUT, dtype, 4, bands), *own] or found != expected:
            beside = f"{LOW} and {STEP}, float32, B x {bands}, " if own else ""
            raise ModelFileError(
                f"{self._where}: takes {takes} and gives {found}; expected {INPUT}, {dtype}, B x {bands} x H x W, "
                f"{beside}and "
                f"{SCORES}, float32, B x K x H x W (with {LABEL}, uint8, and {CONFIDENCE}, float32, B x H x W, or "
                "neither): export the model again"
            )
        if classes != len(self.card.classes):
            raise ModelFileError(
                f"{self._where}: its card has {len(self.card.classes)} classes but its network scores {classes}: "
                "export the model again"
            )


def fed_with(images_BHWC: np.ndarray, levels: Levels | None) -> dict[str, np.ndarray]:
    """A graph's inputs by their names: pictures, channels first, and where each has a range of its own, that."""
    fed = {INPUT: np.ascontiguousarray(images_BHWC.transpose(0, 3, 1, 2))}
    return fed if levels is None else fed | {LOW: levels.low_BC, STEP: levels.step_BC}


def reason(error: Exception) -> str:
    """What an engine says in its first line, without its prefix."""
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ", "", first_line(error))[:300]
