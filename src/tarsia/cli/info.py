"""`tarsia info`: of a model file, or of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tarsia import console
from tarsia.cli._options import Json, Quiet
from tarsia.plain_text import decimal, number

if TYPE_CHECKING:
    from tarsia.card import Card


def info(
    model: Annotated[Path | None, Parameter(help="a model file (.safetensors or .onnx) or a run folder")] = None,
    *,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """What a model file says of itself; without a file, what this machine and installation are.

    Try:
        tarsia info
        tarsia info runs/camvid-fast
    """
    from tarsia import environment, hardware
    from tarsia.engines.model_file import find_model_file, read_card
    from tarsia.yaml_tree import written

    console.quiet(quiet)
    if model is not None:
        card = read_card(find_model_file(model))
        facts = card.model_dump(mode="json")
    else:
        runtime = {"packages": environment.runtimes(), "providers": hardware.onnxruntime_providers()}
        facts = environment.describe() | {"onnxruntime": runtime}
        conflict = environment.runtime_conflict()
        if conflict:
            console.warn(conflict)
    if json:
        console.data(facts)
        return
    if model is not None:
        console.say(_in_a_line(card))
    for line in written(facts).splitlines():
        console.say(line)


def _in_a_line(card: Card) -> str:
    found = f"{card.architecture}: {number(len(card.classes), 'class', 'classes')}, pictures of {card.spec}"
    miou = card.provenance.get("val_miou")
    found += f", val mIoU {decimal(miou)}" if isinstance(miou, float) else ""
    return found + (f"; started from weights under {card.weights_licence}" if card.weights_licence else "")
