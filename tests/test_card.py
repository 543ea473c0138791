"""The card: what it must be, and model file headers that are none."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest

from tarsia.card import CARD_KEY, Card, Classes, Input, read_header
from tarsia.engines.model_file import find_model_file, read_card
from tarsia.errors import ModelFileError

CLASSES = Classes(names=("road", "Straße"), colors=((0, 0, 0), (255, 128, 1)))
CARD = Card(
    architecture="unet",
    model={"encoder": "test_resnet", "channels": [8, 4], "encoder_options": {"pad_type": "same"}, "mean": None},
    classes=CLASSES,
    input=Input(size=(48, 64), stride=16),
    provenance={"val_miou": 0.5, "recipe": {"train": {"learning_rate": 1e-3}}},
)


def with_header(path, header, body: bytes = b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


def test_a_card_is_the_same_after_json():
    assert Card.from_json(CARD.to_json(), "here") == CARD
    assert Card.from_json(CARD.to_json(), "here").to_json() == CARD.to_json()


def test_the_text_does_not_depend_on_the_order_of_keys():
    turned = CARD.model_copy(update={"model": dict(reversed(CARD.model.items()))})
    assert turned.to_json() == CARD.to_json()


def test_a_figure_that_is_no_number_becomes_null():
    card = CARD.model_copy(update={"provenance": {"val_miou": math.nan}})
    assert Card.from_json(card.to_json(), "here").provenance == {"val_miou": None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": {"names": ["a", "a"], "colors": [[0, 0, 0]] * 2}}, "classes: Value error, class names repeat"),
        ({"classes": {"names": ["a"], "colors": [[0, 0, 0]] * 2}}, "1 names but 2 colors"),
        ({"classes": {"names": ["a"], "colors": [[0, 0, 256]]}}, r"classes\.colors\.0\.2: "),
        ({"classes": {"names": [], "colors": []}}, r"classes\.names: "),
        ({"classes": {"names": [str(k) for k in range(256)], "colors": [[0, 0, 0]] * 256}}, "at most 255"),
        ({"input": {"stride": 0}}, r"input\.stride: "),
        ({"input": {"size": [0, 5]}}, r"input\.size\.0: "),
        ({"colour": 1}, "colour: Extra inputs"),
        ({"architecture": None}, "architecture: "),
        ({"format": 5}, "card format 5, this Tarsia reads 1 to 4: update tarsia"),
        ({"format": None}, "card format None"),
    ],
)
def test_a_card_that_breaks_its_promises_is_refused_with_the_place(changes, message):
    text = json.dumps(CARD.model_dump(mode="json") | changes)
    with pytest.raises(ModelFileError, match=rf"m\.safetensors: .*{message}"):
        Card.from_json(text, "m.safetensors")


@pytest.mark.parametrize("text", ["", "[]", "3", "{", "null", '{"format": 1}', "[" * 100_000, '"\ud800"'])
def test_text_that_is_no_card_is_refused(text):
    with pytest.raises(ModelFileError, match="here: "):
        Card.from_json(text, "here")


def test_the_header_is_read_without_the_weights(tmp_path):
    path = with_header(tmp_path / "m.safetensors", {"__metadata__": {CARD_KEY: CARD.to_json(), "other": "x"}})
    assert read_card(path) == CARD and read_header(path)["other"] == "x"


@pytest.mark.parametrize("length", [640, 0x4B50])
def test_a_length_whose_bytes_look_like_a_pickle_s_is_a_length(tmp_path, length):
    # A header of 640 bytes begins as pickles do (80 02), one of 19280 bytes as zip archives do (PK).
    text = json.dumps({"__metadata__": {"a": "b"}}).encode().ljust(length)
    assert read_header(with_header(tmp_path / "m.safetensors", text)) == {"a": "b"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty or cut file"),
        (b"1234567", "an empty or cut file"),
        (b"PK\x03\x04" + bytes(60), "a pickle .*never loaded"),
        (b"\x80\x02}q\x00(X\x05\x00\x00\x00", "a pickle .*never loaded"),
        (b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.", "a pickle .*never loaded"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "another file format"),
        (bytes(99), "another file format"),
        ((1000).to_bytes(8, "little") + b"{", "cut off within its header"),
        ((4).to_bytes(8, "little") + b"abcd", "damaged or it is no .safetensors"),
        ((2).to_bytes(8, "little") + b"[]", "damaged or it is no .safetensors"),
        ((20).to_bytes(8, "little") + b'{"__metadata__": [] ', "damaged or it is no .safetensors"),
        ((100_000).to_bytes(8, "little") + b"[" * 100_000, "damaged or it is no .safetensors"),
        ((2).to_bytes(8, "little") + b"\xff\xfe", "damaged or it is no .safetensors"),
        ((2).to_bytes(8, "little") + b"{}", "without a Tarsia card"),
    ],
)
def test_what_is_no_model_file_is_said_in_words(tmp_path, content, message):
    (tmp_path / "m.safetensors").write_bytes(content)
    with pytest.raises(ModelFileError, match=rf"m\.safetensors: .*{message}"):
        read_card(tmp_path / "m.safetensors")


def test_a_model_file_is_found_in_its_run_folder(tmp_path):
    with pytest.raises(ModelFileError, match=r"a folder without model\.safetensors"):
        find_model_file(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert (
        find_model_file(tmp_path) == tmp_path / "model.safetensors" == find_model_file(tmp_path / "model.safetensors")
    )
    with pytest.raises(ModelFileError, match="no such model file or run folder"):
        find_model_file(tmp_path / "nowhere")


def test_a_card_is_read_without_torch(tmp_path):
    path = with_header(tmp_path / "m.safetensors", {"__metadata__": {CARD_KEY: CARD.to_json()}})
    code = (
        "import sys; from pathlib import Path; from tarsia.engines.model_file import read_card\n"
        "read_card(Path(sys.argv[1])); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
