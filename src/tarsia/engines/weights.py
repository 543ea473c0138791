"""Model files: safetensors only, summed, written whole or not at all.  Never a pickle."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tarsia import console, models, own_parts
from tarsia.card import CARD_KEY, SUM_KEY, Card, read_header
from tarsia.engines.model_file import find_model_file, read_card
from tarsia.errors import ModelFileError, TarsiaError
from tarsia.files import is_utf8, writing
from tarsia.models._segmenter import Segmenter
from tarsia.own_parts import Part
from tarsia.plain_text import first_line, some


def save_model(path: Path, model: Segmenter, card: Card) -> None:
    """Write weights and card as one model file, atomically."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    with writing(path) as part:
        write_tensors(part, tensors, CARD_KEY, card.to_json())


def load_model(path: Path) -> tuple[Segmenter, Card]:
    """The network and card of a model file, its sum checked.

    Raises ModelFileError for a cut, flipped or foreign file, or one whose weights do not fit its card.
    """
    card = read_card(path)
    kind = architecture(card, path)
    tensors = read_weights(path)
    try:
        with planned_only(kind):
            planned = models.create(kind, len(card.classes), options=card.model)
        faults = misfits(planned.state_dict(), tensors)
        if card.input.stride % planned.stride:
            faults.insert(0, f"stride {card.input.stride}, the network's is {planned.stride}")
        model = None if faults else models.create(kind, len(card.classes), options=card.model)
    except Exception as error:  # a card that is not ours may ask torch for anything
        reason = str(error) if isinstance(error, TarsiaError) else first_line(error)
        raise ModelFileError(f"{path}: this Tarsia cannot build the model of its card: {reason}") from error
    if model is None:
        raise ModelFileError(f"{path}: its weights do not fit its card: {some(faults, 5, '; ')}")
    model.load_state_dict(tensors)
    return model, card


def architecture(card: Card, path: Path) -> str | Part:
    """What `models.create` makes the network of a card of.

    Code runs because a person names it, never because a card does: ModelFileError where nobody has.
    """
    code = card.code
    if card.architecture in models.names():
        return card.architecture
    part = own_parts.titled(card.architecture, "" if code is None else code.sha256)
    if part is None and card.architecture in models.known():
        part = models.accept_installed(card.architecture)
    if code is None:
        return part or card.architecture  # which `create` refuses where it does not know it
    if part is None:
        raise ModelFileError(
            f"{path}: its network is {code.name!r}, which is not in Tarsia, and a model file's word runs no code: look "
            f"at that code, and say where it is with `code`, as code={code.name!r} (its sha256 was {code.sha256[:12]})"
        )
    if part.sha256 != code.sha256:
        console.warn(
            f"{code.name} is not as it was when {path} was trained (sha256 {part.sha256[:12]}, then "
            f"{code.sha256[:12]}): its answers may be others"
        )
    return part


def planned_only(kind: str | Part) -> contextlib.AbstractContextManager[Any]:
    """Networks made within have no numbers, of which a card may ask for more than there is memory.

    Those of the user are made as they are: their code may need numbers.
    """
    return torch.device("meta") if isinstance(kind, str) else contextlib.nullcontext()


def read_weights(path: Path, key: str = CARD_KEY) -> dict[str, Tensor]:
    """The tensors of a model file, or of another with `key`; ModelFileError where one holds what is no number."""
    tensors = read_tensors(path, key)
    faults = [key for key, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
    if faults:
        raise ModelFileError(
            f"{path}: the weights {some(sorted(faults), 1)} hold what is no number (NaN or infinite): the training has "
            "failed, choose another model"
        )
    return tensors


def misfits(wanted: dict[str, Tensor], found: dict[str, Tensor]) -> list[str]:
    """How `found` differs from `wanted` in names and shapes, a line each."""
    lines = [f"{key}: missing" for key in wanted.keys() - found.keys()]
    lines += [f"{key}: unexpected" for key in found.keys() - wanted.keys()]
    for key in wanted.keys() & found.keys():
        if wanted[key].shape != found[key].shape:
            lines.append(f"{key}: {tuple(found[key].shape)}, expected {tuple(wanted[key].shape)}")
    return sorted(lines)


def carry_over(model: Segmenter, card: Card, path: Path) -> str:
    """Load the weights of model file `path` into `model` (described by `card`); says in words what was carried over.

    The same architecture and options are needed.  With other classes the last layers are new, but rows of classes
    with the same name are kept.
    """
    path = find_model_file(path)
    theirs, tensors = read_card(path), read_weights(path)
    if theirs.architecture != card.architecture:
        raise ModelFileError(
            f"train.start_from: {path} is a {theirs.architecture}, the recipe says {card.architecture}"
        )
    mine = model.state_dict()
    per_class = _per_class_tensors(card)
    faults = misfits(
        {key: value[0] if key in per_class else value for key, value in mine.items()},
        {key: value[0] if key in per_class else value for key, value in tensors.items()},
    )
    if faults:
        raise ModelFileError(f"train.start_from: {path} does not fit the recipe's model: {some(faults, 5, '; ')}")
    kept = [name for name in card.classes.names if name in theirs.classes.names]
    if card.classes.names != theirs.classes.names:
        to = [card.classes.names.index(name) for name in kept]
        of = [theirs.classes.names.index(name) for name in kept]
        for key in per_class & tensors.keys():
            mine[key][to] = tensors[key][of].to(mine[key].dtype)
            tensors[key] = mine[key]
    model.load_state_dict(tensors)
    new = [name for name in card.classes.names if name not in kept]
    return (
        f"started from {path}: all weights, classes kept: {', '.join(kept) or 'none'}; new: {', '.join(new) or 'none'}"
    )


def _per_class_tensors(card: Card) -> set[str]:
    """Names of the tensors whose first axis is the classes: those that grow when a class is added."""
    kind = own_parts.titled(card.architecture, card.code.sha256) if card.code else card.architecture
    assert kind is not None, "the recipe's own, and accepted"
    with planned_only(kind):
        one, two = (
            models.create(kind, count, options=card.model).state_dict()
            for count in (len(card.classes), len(card.classes) + 1)
        )
    return {key for key in one if one[key].shape != two[key].shape}


def write_tensors(part: Path, tensors: dict[str, Tensor], key: str, text: str) -> None:
    save_file(tensors, part, metadata={key: text, SUM_KEY: sum_of(tensors, text)})


def read_tensors(path: Path, key: str) -> dict[str, Tensor]:
    metadata = read_header(path)
    if key not in metadata or SUM_KEY not in metadata:
        raise ModelFileError(f"{path}: a .safetensors file without Tarsia's {key}: not written by Tarsia")
    if not is_utf8(path):
        raise ModelFileError(f"{path}: a model file has a path that is UTF-8 text: rename it")
    try:
        with safe_open(str(path), "pt") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(f"{path}: cut or damaged ({error}): get the file again") from error
    if sum_of(tensors, metadata[key]) != metadata[SUM_KEY]:
        raise ModelFileError(f"{path}: its sha256 does not match, the file was changed or damaged: get it again")
    return tensors


def sum_of(tensors: dict[str, Tensor], text: str) -> str:
    """sha256 over the text and every tensor's name, type, shape and bytes, in the order of names."""
    total = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
