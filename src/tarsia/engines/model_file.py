"""Finding a model file, and reading its card without building its network."""

from __future__ import annotations

from pathlib import Path

from tarsia.card import CARD_KEY, STYLE_KEY, Card, read_header
from tarsia.engines import onnx_file
from tarsia.errors import ModelFileError


def read_card(path: Path) -> Card:
    """The card of a model file, without building the network and without torch."""
    if is_onnx(path):
        return onnx_file.read(path).card
    metadata = read_header(path)
    if STYLE_KEY in metadata:
        raise ModelFileError(f"{path}: a style network, not a segmentation model: give it as `style`")
    if CARD_KEY not in metadata:
        raise ModelFileError(
            f"{path}: a .safetensors file without a Tarsia card (from another program?); encoder weights go to "
            "model.weights, whole models come from `tarsia train`"
        )
    return Card.from_json(metadata[CARD_KEY], str(path))


def is_onnx(path: Path) -> bool:
    """Whether a model file is an exported one, by its suffix."""
    return path.suffix.lower() == ".onnx"


def find_model_file(path: Path) -> Path:
    """The model file meant by `path`: itself, or `model.safetensors` in a run folder."""
    path = Path(path)
    if path.is_dir():
        model = path / "model.safetensors"
        if not model.is_file():
            raise ModelFileError(f"{path}: a folder without model.safetensors: give a run folder or a model file")
        return model
    if not path.exists():
        raise ModelFileError(f"{path}: no such model file or run folder")
    return path


def own_name(path: Path) -> str:
    """What a model is called: its file, or the file's folder where that is called model."""
    file = find_model_file(path).absolute()
    return file.parent.name if file.stem == "model" else file.stem
