"""`inlay info`: of a model file, or of this machine."""

from __future__ import annotations

import json as json_text
from pathlib import Path

from inlay import console
from inlay.cli._options import Json


def info(model: Path | None = None, *, json: Json = False) -> None:
    """What a model file says of itself; without a file, what this machine and installation are.

    Try:
        inlay info
        inlay info runs/camvid-fast
    """
    from inlay import environment
    from inlay.card import find_model_file, read_card

    facts = environment.describe() if model is None else read_card(find_model_file(model)).model_dump(mode="json")
    if json:
        print(json_text.dumps(facts, indent=2, ensure_ascii=False))
        return
    for key, value in facts.items():
        shown = value if not isinstance(value, dict) else json_text.dumps(value, ensure_ascii=False)
        console.out.print(f"{key}: {shown}", markup=False)
