"""Resume points: safetensors only, summed, written whole or not at all.  Never a pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tarsia import console
from tarsia.card import read_header
from tarsia.engines.weights import read_tensors, write_tensors
from tarsia.errors import ModelFileError, TrainingError
from tarsia.files import writing

_TREE_KEY = "tarsia_tree"


def save_state(path: Path, tree: dict[str, Any]) -> None:
    """Write a nested dict of tensors and plain values as a resume point; the one before is kept as `.previous`."""
    tensors: dict[str, Tensor] = {}
    text = json.dumps(_split(tree, "", tensors))
    with writing(path) as part:
        write_tensors(part, tensors, _TREE_KEY, text)
        if path.exists():  # only now: a full disk leaves both points as they were
            path.replace(_previous(path))


def load_state(path: Path) -> dict[str, Any]:
    """The newest sound resume point at `path` or its predecessor; TrainingError where there is neither."""
    reasons: list[str] = []
    for candidate in (path, _previous(path)):
        if not candidate.exists():
            continue
        try:
            tensors = read_tensors(candidate, _TREE_KEY)
            if reasons:  # else the next save would put the damaged point in the place of this sound one
                path.replace(path.with_suffix(".damaged"))
            return _join(json.loads(read_header(candidate)[_TREE_KEY]), tensors)
        except ModelFileError as error:
            reasons.append(str(error))
            console.note(f"{error}; trying the resume point before it")
    raise TrainingError(f"{path.parent}: no sound resume point ({'; '.join(reasons) or 'none was written yet'})")


def _previous(path: Path) -> Path:
    return path.with_suffix(".previous" + path.suffix)


def _split(value: Any, where: str, tensors: dict[str, Tensor]) -> Any:
    """Plain values with tensors replaced by {"tensor": name}; tensors are gathered into `tensors`."""
    if isinstance(value, Tensor):
        # A copy: safetensors refuses shared memory, and channels-last weights must come back in the same layout.
        name = f"{len(tensors)}{where}"  # the number keeps names apart where keys contain a slash
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, dict):
        return {"items": [[key, _split(item, f"{where}/{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_split(item, f"{where}/{index}", tensors) for index, item in enumerate(value)]}
    return {"value": value}


def _join(skeleton: Any, tensors: dict[str, Tensor]) -> Any:
    if "tensor" in skeleton:
        return tensors[skeleton["tensor"]]
    if "items" in skeleton:
        return {key: _join(item, tensors) for key, item in skeleton["items"]}
    if "list" in skeleton:
        return [_join(item, tensors) for item in skeleton["list"]]
    return skeleton["value"]
