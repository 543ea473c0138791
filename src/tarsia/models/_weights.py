"""Weights for encoders: a local .safetensors file, or timm's hub through its cache.  Never a pickle."""

from __future__ import annotations

import re
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from torch import Tensor

from tarsia.card import CARD_KEY, read_header
from tarsia.errors import ModelFileError
from tarsia.files import is_utf8
from tarsia.plain_text import first_line, some

_REACH_SECONDS = 3.0
# Buffers that older timm versions stored and newer ones compute.
_COMPUTED = {"num_batches_tracked", "relative_position_index", "attn_mask"}
_WRAPPINGS = ("model.", "body.")  # where timm's encoders of some families keep the network


def encoder_weights(name: str, weights: str, options: dict[str, Any]) -> dict[str, Tensor]:
    """The state dict for timm's network `name`, in float32; `weights`: imagenet (from the hub), or a file.

    A file may lack what comes after the last map of features: the classifier and layers before it.
    Raises ModelFileError for a file that is absent, damaged or of another network, and where the hub cannot be had.
    """
    if weights == "imagenet":
        return _read(encoder_file(name))
    file = weights_file(weights)
    tensors = _read(file)
    _check_fits(name, file, tensors, options)
    return tensors


def weights_file(weights: str) -> Path:
    """The file that `model.weights` means; ModelFileError where there is none, or a whole model."""
    file = Path(weights)
    if not file.is_file():
        raise ModelFileError(f"model.weights: {weights}: no such file; known words: none, imagenet")
    if CARD_KEY in read_header(file):
        raise ModelFileError(f"model.weights: {file} is a whole Tarsia model: give it as train.start_from")
    return file


def refuse_weights(name: str, weights: str) -> None:
    """Raise ModelFileError where `weights` asks for more than architecture `name` has: it starts from scratch."""
    if weights != "none":
        raise ModelFileError(
            f"model.weights: {weights}: {name} has no encoder that weights are known for and starts from scratch: "
            "leave weights out; a whole Tarsia model goes to train.start_from"
        )


def _read(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    read_header(file)  # says what the file is, where it is something else
    if not is_utf8(file):
        raise ModelFileError(f"{file}: a file of weights has a path that is UTF-8 text: rename it")
    try:
        with safe_open(str(file), "pt") as stored:
            return {key: _single(stored.get_tensor(key)) for key in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(f"{file}: damaged or not a .safetensors file ({error}): get the file again") from error


def _single(tensor: Tensor) -> Tensor:
    """A tensor in float32, if it is one of numbers in half or double precision."""
    return tensor.float() if tensor.is_floating_point() else tensor


def cached_file(name: str) -> Path | None:
    """The hub's file for `name` where it is in the hub's cache already."""
    import huggingface_hub

    place = _on_hub(name)
    cached = None if place is None else huggingface_hub.try_to_load_from_cache(*place)
    return Path(cached) if isinstance(cached, str) else None


def _on_hub(name: str) -> tuple[str, str] | None:
    """Repository and file of timm's weights for `name`."""
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        return None
    return config.hf_hub_id, config.hf_hub_filename or "model.safetensors"


def encoder_file(name: str) -> Path:
    """The hub's file for `name`, downloaded unless it is cached; fails within seconds where there is no network."""
    import huggingface_hub
    from huggingface_hub import constants, errors

    place = _on_hub(name)
    if place is None:
        raise ModelFileError(f"model.weights: timm has no imagenet weights for {name}: choose none or give a FILE")
    if cached := cached_file(name):
        return cached
    repository, filename = place
    advice = f"give model.weights: FILE with a timm state dict of {name} in .safetensors, or none to start from scratch"
    if constants.HF_HUB_OFFLINE:
        raise ModelFileError(
            f"model.weights: imagenet weights of {name} are not on this machine and `offline` is on (HF_HUB_OFFLINE); "
            f"{advice}"
        )
    reason = _unreachable(constants.ENDPOINT)
    if reason:
        raise ModelFileError(f"model.weights: the hub with imagenet weights cannot be reached ({reason}); {advice}")
    try:
        return Path(huggingface_hub.hf_hub_download(repository, filename))
    except (errors.HfHubHTTPError, OSError, ValueError) as error:
        what = f"{filename} of {repository} ({first_line(error)})"
        raise ModelFileError(f"model.weights: {what}; {advice}") from error


class Stated(NamedTuple):
    """What a file of weights says of itself in its metadata; None and "" where it says nothing."""

    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    same_padding: bool
    licence: str
    source: str


def stated(file: Path) -> Stated:
    """What the metadata of a .safetensors file say: `mean`, `std` (of RGB / 255), `pad`, `license`, `source`.

    Raises ModelFileError for what is no such file, and for a mean or deviation that is not three numbers.
    """
    header = read_header(file)
    same = "same" in re.findall(r"[a-z]+", header.get("pad", "").lower())
    source = header.get("source", header.get("origin", ""))
    said = header.get("license", header.get("licence", ""))
    return Stated(_three(file, header, "mean"), _three(file, header, "std"), same, said, source)


def _three(file: Path, header: dict[str, str], key: str) -> tuple[float, ...] | None:
    if key not in header:
        return None
    found = tuple(float(number) for number in re.findall(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?", header[key]))
    if len(found) != 3 or (key == "std" and min(found) <= 0):
        raise ModelFileError(f"{file}: its metadata say {key} {header[key]!r}, expected three numbers, as 0.5,0.5,0.5")
    return found


def timm_knows(name: str) -> bool:
    """Whether timm has a configuration of weights of its network `name`."""
    config = timm.get_pretrained_cfg(name, allow_unregistered=False) if timm.is_model(name) else None
    return config is not None and config.has_weights


def licence(name: str, weights: str) -> str:
    """The licence stated for weights of timm's network `name`: by timm for the hub's, else in the file's metadata.

    "" where none is.
    """
    if weights == "imagenet":
        return str(getattr(timm.get_pretrained_cfg(name), "license", None) or "")
    return stated(Path(weights)).licence


def _unreachable(address: str) -> str | None:
    """Why `address` does not answer within seconds, None where it does."""
    reasons = [f"no answer in {_REACH_SECONDS:.0f} seconds"]

    def ask() -> None:
        try:
            with urllib.request.urlopen(address, timeout=_REACH_SECONDS):
                reasons.clear()
        except urllib.error.HTTPError:
            reasons.clear()  # it answered
        except OSError as error:
            reasons[:] = [str(getattr(error, "reason", error))]

    # A thread, because the time limit of urlopen does not hold for the name's resolution.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_REACH_SECONDS)
    return reasons[0] if reasons else None


def _check_fits(name: str, file: Path, tensors: dict[str, Tensor], options: dict[str, Any]) -> None:
    """Raise ModelFileError listing the tensors of `file` that do not fit timm's `name`.

    Its classifier is not looked at, and what else an encoder does without may be missing.
    """
    with torch.device("meta"):
        full: Any = timm.create_model(name, **{key: value for key, value in options.items() if key != "out_indices"})
        encoder: Any = timm.create_model(name, features_only=True, **options)
    heads = full.pretrained_cfg.get("classifier") or ()
    prefixes = tuple(f"{head}." for head in ((heads,) if isinstance(heads, str) else heads))
    needed = {_one_word(key.removeprefix(part)) for key in encoder.state_dict() for part in ("", *_WRAPPINGS)}
    wanted = {key: tuple(value.shape) for key, value in full.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in tensors.items()}
    faults = [
        f"{key}: {found.get(key, 'missing')}, expected {wanted.get(key, 'no such tensor')}"
        for key in [*wanted, *(key for key in found if key not in wanted)]
        if found.get(key) != wanted.get(key)
        and (key in found or _one_word(key) in needed)
        and not key.startswith(prefixes)
        and key.rpartition(".")[2] not in _COMPUTED
    ]
    if faults:
        raise ModelFileError(f"{file} does not fit encoder {name}: {some(faults, 5, '; ')}")


def _one_word(key: str) -> str:
    """A tensor's name as whole networks and encoders have it alike: timm makes `features_0` of `features.0`."""
    return key.replace(".", "_")
