"""`tarsia info`: of a model file, or of this machine."""

from __future__ import annotations

import json as json_text
from pathlib import Path

from tarsia import console
from tarsia.cli._options import Json


def info(model: Path | None = None, *, json: Json = False) -> None:
    """What a model file says of itself; without a file, what this machine and installation are.

    Try:
        tarsia info
        tarsia info runs/camvid-fast
    """
    from tarsia import environment, hardware
    from tarsia.engines.model_file import find_model_file, read_card

    if model is not None:
        facts = read_card(find_model_file(model)).model_dump(mode="json")
    else:
        runtime = {"packages": environment.runtimes(), "providers": hardware.onnxruntime_providers()}
        facts = environment.describe() | {"onnxruntime": runtime}
        conflict = environment.runtime_conflict()
        if conflict:
            console.note(f"warning: {conflict}")
    if json:
        console.data(facts)
        return
    for key, value in facts.items():
        shown = value if not isinstance(value, dict) else json_text.dumps(value, ensure_ascii=False)
        console.say(f"{key}: {shown}")
