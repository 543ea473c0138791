"""What a report says of how its figures came about: the protocol they were scored by, and what the network costs."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tarsia.card import IGNORED, Classes, Input
from tarsia.evaluation.confusion import ABSENT_CLASS_RULE
from tarsia.prediction.network_input import padded_size
from tarsia.prediction.predictor import Predictor


def protocol(
    dataset: str, split: str, classes: Classes, images: int, data_hash: str | None, inference: Mapping[str, Any]
) -> dict[str, Any]:
    """A report's `protocol`; `inference`: what stands between a picture and its labels, in words."""
    return {
        "dataset": dataset,
        "split": split,
        "images": images,
        "data_hash": data_hash,
        "classes": list(classes.names),
        "ignored_value": IGNORED,
        "absent_class_rule": ABSENT_CLASS_RULE,
        "size": "scored at each label's own size",
        **inference,
    }


def inference_of(predictor: Predictor) -> dict[str, str]:
    """What stands between a picture and its labels.  Reports of before the CRF lack `post_process`: it was none."""
    return {
        "tta": _tta_text(predictor),
        "post_process": "none" if predictor.crf is None else str(predictor.crf),
        "style": "none" if predictor.style is None else predictor.style.described,
        "network_input": _input_text(predictor.card.input),
    }


def _tta_text(predictor: Predictor) -> str:
    if not predictor.tta:
        return "none"
    scales = ", ".join(f"{scale:g}" for scale in predictor.tta.scales)
    return f"mean of probabilities: scales {scales}{', each also mirrored' if predictor.tta.flip else ''}"


def _input_text(settings: Input) -> str:
    if settings.size:
        text = f"resized to {settings.size[0]}x{settings.size[1]} (height x width)"
    elif settings.short_side:
        text = f"resized to a short side of {settings.short_side}"
    else:
        text = "the picture's own size"
    return f"{text}, padded to multiples of {settings.stride}" if settings.stride > 1 else text


def model_facts(predictor: Predictor, size: tuple[int, int], seconds: Sequence[float], batch: int) -> dict[str, Any]:
    """A report's `model`: what the network costs on a picture of `size`, whose labels took `seconds`.

    The first of them warmed it up and is no part of the latency where there are more.
    """
    seen = padded_size(size, predictor.card.input)
    facts = predictor.engine.describe()
    return {
        "architecture": predictor.card.architecture,
        "parameters": facts.parameters,
        "multiply_adds": predictor.engine.multiply_adds(seen),
        "precision": facts.precision,
        "threads": facts.threads,
        "engine": facts.engine,
        "network_size": list(seen),
        "device": predictor.engine.device,
        "batch": batch,
        "latency_seconds": statistics.median(seconds[1:] or seconds),
        "peak_memory_bytes": _peak_memory_bytes(),
        **({"weights_licence": predictor.card.weights_licence} if predictor.card.weights_licence else {}),
        **_temperature(predictor),
    }


def _temperature(predictor: Predictor) -> dict[str, Any]:
    """The temperature of the report's confidences, where there is one."""
    fitted = predictor.card.calibration
    if not fitted or predictor.crf or predictor.temperature != fitted.temperature:
        return {}
    return {"temperature": fitted.temperature, "calibrated_on": f"{fitted.dataset} {fitted.split}".strip()}


def _peak_memory_bytes() -> int | None:
    """The most resident memory this process has had, None where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else None
