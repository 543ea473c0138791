"""Which encoders have ImageNet weights at hand: a file, a folder of files, the hub's cache, or the hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tarsia.auto.rules import Network
from tarsia.card import CARD_KEY, read_header
from tarsia.errors import ModelFileError, RecipeError
from tarsia.plain_text import first_line, listed


def at_hand(encoders: Sequence[str], place: str | Path | None) -> tuple[list[Network], str]:
    """Those of the `encoders` that have weights, in their order; and, where none has, why not.

    `place`: a .safetensors file, or a folder of such, called by timm's names (mobilenetv2_100.safetensors,
    mobilenetv2_100_tf.safetensors); None: the hub's cache, or the hub where it answers.  What a file's metadata says of
    mean, std and padding is taken.  Raises RecipeError where `place` holds no weights for any of the encoders.
    """
    if place is None:
        return _from_hub(encoders)
    where = Path(place).expanduser()
    files = [where] if where.is_file() else sorted(where.glob("*.safetensors"), key=lambda file: len(file.name))
    found = [Network(one, str(file), *_said_by(file)) for one in encoders for file in _of(one, files)[:1]]
    if not found:
        what = "no such file or folder" if not where.exists() else "no file of it is called by one of them"
        raise RecipeError(f"weights={str(place)!r}: {what}: expected .safetensors of {listed(list(encoders))}")
    return found, ""


def _of(encoder: str, files: Sequence[Path]) -> list[Path]:
    """The files of an encoder, by their names, the plainest first."""
    return [file for file in files if re.fullmatch(rf"{re.escape(encoder)}([._-].*)?", file.stem) and _is_plain(file)]


def _is_plain(file: Path) -> bool:
    try:
        return CARD_KEY not in read_header(file)
    except ModelFileError:
        return False


def _said_by(file: Path) -> tuple[dict[str, Any], str]:
    """What a file's metadata says of the input it wants, and of its licence."""
    from tarsia.models._weights import stated

    found = stated(file)
    options: dict[str, Any] = {"encoder_options": {"pad_type": "same"}} if found.same_padding else {}
    options |= {key: list(value) for key, value in (("mean", found.mean), ("std", found.std)) if value}
    return options, found.licence


def _from_hub(encoders: Sequence[str]) -> tuple[list[Network], str]:
    """Those in the hub's cache, and the best one too where the hub answers: others would be downloads for nothing."""
    from tarsia.models._weights import cached_file, encoder_file, licence

    best, rest = encoders[0], encoders[1:]
    why = ""
    try:
        encoder_file(best)
    except ModelFileError as error:
        why = first_line(error).removeprefix("model.weights: ").partition(";")[0]
        why += f", nor is any of {listed(rest)} in the hub's cache" if rest else ""
    there = [*([] if why else [best]), *(one for one in rest if cached_file(one))]
    return [Network(one, "imagenet", licence=licence(one, "imagenet")) for one in there], "" if there else why
