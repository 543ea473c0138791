"""What an ONNX file says of itself, read and written without onnx or onnxruntime: card, sum, tensors.

The file is a protocol buffer: a sequence of fields, each a tag and then a number, or a length and as many bytes, which
may be fields again.  Only the messages in which a tensor can lie are walked.  The metadata holds the card and a sha256
of all bytes of the file, taken with the sum's own 64 digits as zeros: a file is read with its sum checked, or not at
all.  Read by hand, for the base install has no onnx, and ONNX Runtime opens other files that a file names before it
could be asked.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tarsia import formerly
from tarsia.card import CARD_KEY, SUM_KEY, Card
from tarsia.errors import ModelFileError

_MAX_BYTES = 2**31  # of a protocol buffer
_NO_SUM = "0" * 64

# Which fields of a message are messages in which tensors can lie (onnx.proto of ONNX 1.15).
_MODEL, _GRAPH, _NODE, _ATTRIBUTE, _TENSOR, _SPARSE, _FUNCTION, _TRAINING = range(8)
_INSIDE: dict[int, dict[int, int]] = {
    _MODEL: {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
    _FUNCTION: {7: _NODE, 11: _ATTRIBUTE},
    _TRAINING: {1: _GRAPH, 2: _GRAPH},
}
_METADATA, _KEY, _VALUE = 14, 1, 2
_DIMENSIONS, _TYPE, _NAME, _OUTSIDE, _LOCATION = 1, 2, 8, 13, 14
_WEIGHTS = {1, 2, 3, 10, 11, 16}  # float, uint8, int8, float16, double, bfloat16; other types are sizes and positions
# How the values of a field (4: floats, 9: raw, 10: doubles) of a type lie in the file.
_BFLOAT16 = 16
_STORED = {(4, 1): "<f4", (9, 1): "<f4", (9, 10): "<f2", (9, 11): "<f8", (10, 11): "<f8", (9, _BFLOAT16): "<u2"}


class OnnxFile(NamedTuple):
    """A file that is whole and has a card."""

    content: bytes
    card: Card
    parameters: int  # numbers in the weights


class _Field(NamedTuple):
    number: int
    value: int
    inside: range  # of its bytes, empty for a number
    whole: range  # with its tag


class _Damaged(Exception):
    pass


def read(path: Path) -> OnnxFile:
    """The ONNX file at `path`.

    Raises ModelFileError where it is none, is cut or changed, has no card, or keeps weights outside of itself.
    """
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            raise ModelFileError(f"{path}: no file, or larger than an ONNX file can be (2 GiB)")
        return parse(path.read_bytes(), str(path))
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror or error})") from error


def parse(content: bytes, where: str) -> OnnxFile:
    """`read` for the content of a file; errors name `where`."""
    try:
        metadata = {key: place for key, place, _ in _entries(content)}
        is_ours = CARD_KEY in metadata and SUM_KEY in metadata
        if is_ours and _text(content, metadata[SUM_KEY]) != _sum(content, metadata[SUM_KEY]):
            raise ModelFileError(f"{where}: its sha256 does not match, the file was changed or damaged: get it again")
        parameters, outside = _tensors(content)
        card = _text(content, metadata[CARD_KEY]) if is_ours else None
    except (_Damaged, UnicodeDecodeError) as error:
        raise ModelFileError(f"{where}: cut, damaged or no ONNX file: get the file again") from error
    if outside:
        raise ModelFileError(
            f"{where}: keeps weights outside of itself ({outside[0]}), and Tarsia reads no other file for it: "
            "`tarsia export` writes one file"
        )
    if card is None:
        raise ModelFileError(
            f"{where}: an ONNX file without a Tarsia card (another program's?): Tarsia runs what `tarsia export` writes"
        )
    return OnnxFile(content, Card.from_json(card, where), parameters)


def with_card(content: bytes, card: Card, **entries: str) -> bytes:
    """An ONNX file's content -> the same with this card, these entries of metadata, and its sum."""
    texts = {**entries, CARD_KEY: card.to_json(), SUM_KEY: _NO_SUM}
    old = [field for key, _, field in _entries(content) if key in texts]
    kept = b"".join(content[part.start : part.stop] for part in _between(len(content), old))
    # Fields may come in any order, and an entry's two may be longer than a byte can count.
    added = [_encoded(_KEY, key.encode()) + _encoded(_VALUE, text.encode()) for key, text in texts.items()]
    made = kept + b"".join(_encoded(_METADATA, entry) for entry in added)
    return made[: -len(_NO_SUM)] + hashlib.sha256(made).hexdigest().encode()  # the sum's digits come last


def _between(end: int, fields: Iterable[_Field]) -> Iterator[range]:
    """What of 0 .. end lies outside `fields`, which are in order."""
    start = 0
    for field in fields:
        yield range(start, field.whole.start)
        start = field.whole.stop
    yield range(start, end)


def _sum(content: bytes, place: range) -> str:
    """The sha256 of the content with zeros in the `place` of the sum itself."""
    total = hashlib.sha256(memoryview(content)[: place.start])
    total.update(_NO_SUM.encode())
    total.update(memoryview(content)[place.stop :])
    return total.hexdigest()


def _entries(content: bytes) -> Iterator[tuple[str, range, _Field]]:
    """The keys of the metadata, where in the file their texts are, and the whole entries."""
    for field in _fields(content, range(len(content))):
        if field.number == _METADATA:
            texts = {part.number: part.inside for part in _fields(content, field.inside)}
            yield formerly.key(_text(content, texts.get(_KEY, range(0)))), texts.get(_VALUE, range(0)), field


def check_numbers(content: bytes, where: str) -> None:
    """ModelFileError where the weights of a sound file hold NaN or an infinity."""
    for found, is_weight in _walked(content):
        if is_weight and not all(_finite(content, found)):
            name = "".join(_text(content, one.inside) for one in found if one.number == _NAME)
            raise ModelFileError(
                f"{where}: the weights {name} hold what is no number (NaN or infinite): the training or the export has "
                "failed, choose another model"
            )


def _tensors(content: bytes) -> tuple[int, list[str]]:
    """How many numbers the weights are, and the names of tensors that are stored outside the file."""
    parameters, outside = 0, []
    for found, is_weight in _walked(content):
        if any(one.number == _OUTSIDE or (one.number == _LOCATION and one.value) for one in found):
            outside.append("".join(_text(content, one.inside) for one in found if one.number == _NAME))
        if is_weight and any(one.number == _TYPE and one.value in _WEIGHTS for one in found):
            parameters += math.prod(_dimensions(content, found))
    return parameters, outside


def _walked(content: bytes) -> Iterator[tuple[list[_Field], bool]]:
    """The fields of every tensor in a file, and whether it is a graph's weights."""
    waiting = [(_MODEL, range(len(content)), False)]
    while waiting:  # no recursion: a file may nest its graphs as deep as it likes
        message, place, is_weight = waiting.pop()
        found = list(_fields(content, place))
        if message != _TENSOR:
            inner = [(_INSIDE[message][one.number], one.inside) for one in found if one.number in _INSIDE[message]]
            waiting += [(kind, inside, message == _GRAPH and kind == _TENSOR) for kind, inside in inner]
            continue
        yield found, is_weight


def _finite(content: bytes, found: list[_Field]) -> Iterator[bool]:
    """Whether a tensor's numbers are numbers, where they lie in the file as a processor has them."""
    import numpy as np  # a card is read without

    kind = next((one.value for one in found if one.number == _TYPE), 0)
    for field in found:
        stored = _STORED.get((field.number, kind))
        if stored and len(field.inside) % np.dtype(stored).itemsize == 0:
            values = np.frombuffer(content, stored, len(field.inside) // np.dtype(stored).itemsize, field.inside.start)
            yield bool(np.isfinite(values).all()) if kind != _BFLOAT16 else not ((values & 0x7F80) == 0x7F80).any()


def _dimensions(content: bytes, found: list[_Field]) -> Iterator[int]:
    """A tensor's sides, one a field, or many packed into one."""
    for field in found:
        if field.number == _DIMENSIONS:
            position = field.inside.start
            while position < field.inside.stop:
                side, position = _number(content, position, field.inside.stop)
                yield side
            if not field.inside:
                yield field.value


def _fields(content: bytes, place: range) -> Iterator[_Field]:
    """The fields of the message at `place`; _Damaged where it is none."""
    position = place.start
    while position < place.stop:
        start, length, value = position, 0, 0
        tag, position = _number(content, position, place.stop)
        kind = tag & 7
        if kind == 0:
            value, position = _number(content, position, place.stop)
        elif kind == 2:
            length, position = _number(content, position, place.stop)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise _Damaged
        inside = range(position, position + length)
        position += length
        if position > place.stop:
            raise _Damaged
        yield _Field(tag >> 3, value, inside, range(start, position))


def _number(content: bytes, position: int, stop: int) -> tuple[int, int]:
    """The number at `position`, seven bits a byte, the last byte below 128; and where the next one is."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= stop:
            break
        byte = content[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise _Damaged


def _encoded(number: int, payload: bytes) -> bytes:
    """A field of bytes."""
    return bytes(_varint(number << 3 | 2)) + bytes(_varint(len(payload))) + payload


def _varint(value: int) -> Iterator[int]:
    while value > 127:
        yield value & 127 | 128
        value >>= 7
    yield value


def _text(content: bytes, place: range) -> str:
    return content[place.start : place.stop].decode()
