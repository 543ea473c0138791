"""A model repository of NVIDIA Triton Inference Server: the exported file, and what it takes (`config.pbtxt`).

FOLDER/NAME/config.pbtxt and FOLDER/NAME/1/model.onnx, as Triton's documentation has it (Model Repository; Model
Configuration, the message ModelConfig of model_config.proto).
"""

from __future__ import annotations

import json
from pathlib import Path

from tarsia.card import Card
from tarsia.engines.graph_engine import CONFIDENCE, INPUT, LABEL, LOW, STEP
from tarsia.engines.model_file import own_name
from tarsia.files import write_text
from tarsia.plain_text import for_address

_VERSION, _FILE = "1", "model.onnx"
_TYPES = {"uint8": "TYPE_UINT8", "uint16": "TYPE_UINT16", "int16": "TYPE_INT16", "float32": "TYPE_FP32"}
_BATCH, _WAIT_MICROSECONDS = 8, 3000  # as `tarsia serve` waits for others


def place(folder: Path, model: Path) -> Path:
    """Where the exported file of `model` lies in the repository `folder`."""
    return folder / (for_address(own_name(model)) or "model") / _VERSION / _FILE


def configuration_of(file: Path) -> Path:
    """Where config.pbtxt lies of an exported file that has its place."""
    return file.parents[1] / "config.pbtxt"


def write_configuration(file: Path, card: Card) -> Path:
    """Beside the version's folder, which holds `file` -> config.pbtxt.

    Labels and how sure they are, a byte and four a pixel, are the outputs; `scores`, of which there are four bytes a
    pixel and class, the file has too.
    """
    out = configuration_of(file)
    write_text(out, configuration(file.parents[1].name, card))
    return out


def configuration(name: str, card: Card) -> str:
    """The text of a ModelConfig: sides of pictures are any multiples of the stride, those of one batch are equal."""
    facts = {"classes": ",".join(card.classes.names), "stride": str(card.input.stride)}
    lines = [f"parameters {{ key: {_text(k)} value {{ string_value: {_text(v)} }} }}\n" for k, v in facts.items()]
    rule = card.input.range
    more = (LOW, STEP) if rule and rule.by_picture else ()
    own = "".join(f'input {{ name: "{one}" data_type: TYPE_FP32 dims: [{card.bands}] }}\n' for one in more)
    return f"""name: {_text(name)}
backend: "onnxruntime"
max_batch_size: {_BATCH}
input {{ name: "{INPUT}" data_type: {_TYPES[card.input.dtype]} dims: [{card.bands}, -1, -1] }}
{own}output {{ name: "{LABEL}" data_type: TYPE_UINT8 dims: [-1, -1] }}
output {{ name: "{CONFIDENCE}" data_type: TYPE_FP32 dims: [-1, -1] }}
dynamic_batching {{ max_queue_delay_microseconds: {_WAIT_MICROSECONDS} }}
{"".join(lines)}"""


def _text(words: str) -> str:
    """A string of protobuf's text format, which escapes as JSON does but for \\u: UTF-8 stands as it is."""
    return json.dumps(words, ensure_ascii=False)
