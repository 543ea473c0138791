"""What an ONNX file says of itself, and files that are damaged or not Tarsia's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import small_onnx
from tarsia.card import CARD_KEY, SUM_KEY
from tarsia.engines import onnx_file
from tarsia.engines.model_file import read_card
from tarsia.errors import ModelFileError


def test_card_and_sum_come_back(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(small_onnx.content(provenance={"note": "Straße, " + "long " * 100}))
    found = onnx_file.read(path)
    assert found.card == read_card(path) == small_onnx.card(provenance={"note": "Straße, " + "long " * 100})
    assert found.parameters == 3 * 3 + 3 and found.content == path.read_bytes()


def test_other_programs_read_it_as_any_onnx_file() -> None:
    content = small_onnx.model().SerializeToString()
    stored = onnx.load_from_string(onnx_file.with_card(content, small_onnx.card(), x="y"))
    onnx.checker.check_model(stored, full_check=True)
    metadata = {entry.key: entry.value for entry in stored.metadata_props}
    assert metadata.keys() == {"x", CARD_KEY, SUM_KEY} and metadata["x"] == "y"
    assert metadata[CARD_KEY] == small_onnx.card().to_json() and len(metadata[SUM_KEY]) == 64


def test_a_card_takes_the_place_of_the_one_before() -> None:
    again = onnx_file.with_card(small_onnx.content(), small_onnx.card(architecture="other"))
    assert onnx_file.parse(again, "m").card.architecture == "other"
    assert onnx_file.with_card(again, small_onnx.card()) == small_onnx.content()
    assert len(onnx.load_from_string(again).metadata_props) == 2


def test_every_byte_counts() -> None:
    """A flipped bit anywhere, and a cut at any length, is refused; nothing but ModelFileError is raised."""
    content, random = small_onnx.content(), np.random.default_rng(1)
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(random.integers(8))
        with pytest.raises(ModelFileError, match=r"^m\.onnx: "):
            onnx_file.parse(bytes(flipped), "m.onnx")
        with pytest.raises(ModelFileError, match=r"^m\.onnx: "):
            onnx_file.parse(content[:place], "m.onnx")
    with pytest.raises(ModelFileError):
        onnx_file.parse(content + b"\0", "m.onnx")


def outside(tensor: TensorProto) -> TensorProto:
    """The tensor as one that another file holds."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return tensor


def tensor(name: str = "far") -> TensorProto:
    return outside(numpy_helper.from_array(np.zeros(3, np.float32), name))


def constant() -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["c"], value=tensor())


def in_a_branch(proto: onnx.ModelProto) -> None:
    branch = helper.make_graph([constant()], "branch", [], [])
    deeper = helper.make_graph([helper.make_node("If", ["x"], ["y"], then_branch=branch)], "deeper", [], [])
    proto.graph.node.append(helper.make_node("If", ["x"], ["y"], else_branch=deeper))


def in_a_function(proto: onnx.ModelProto) -> None:
    proto.functions.append(helper.make_function("d", "f", [], ["c"], [constant()], [helper.make_opsetid("", 20)]))


def as_sparse(proto: onnx.ModelProto) -> None:
    sparse = proto.graph.sparse_initializer.add()
    sparse.values.CopyFrom(tensor())


def in_a_list(proto: onnx.ModelProto) -> None:
    attribute = proto.graph.node[0].attribute.add()
    attribute.name, attribute.type = "many", onnx.AttributeProto.TENSORS
    attribute.tensors.append(tensor())


@pytest.mark.parametrize(
    "place",
    [
        lambda proto: outside(proto.graph.initializer[0]) and None,
        lambda proto: proto.graph.node.append(constant()),
        lambda proto: proto.training_info.add().initialization.initializer.append(tensor()),
        in_a_branch,
        in_a_function,
        as_sparse,
        in_a_list,
    ],
    ids=["weight", "node", "training", "branch", "function", "sparse", "list"],
)
def test_weights_in_other_files_are_refused_wherever_they_are_named(place: Callable[[onnx.ModelProto], None]) -> None:
    proto = small_onnx.model()
    place(proto)
    content = onnx_file.with_card(proto.SerializeToString(), small_onnx.card())
    with pytest.raises(ModelFileError, match=r"keeps weights outside of itself \((far|weight)\).*writes one file"):
        onnx_file.parse(content, "m.onnx")


def nested(depth: int) -> bytes:
    """A model whose graph's node's attribute holds a graph, and so on."""
    inner = b""
    for _ in range(depth):
        for number in (6, 5, 1):
            inner = onnx_file._encoded(number, inner)
    return onnx_file._encoded(7, inner)


def test_graphs_nested_without_end_are_only_walked() -> None:
    content = onnx_file.with_card(nested(3000), small_onnx.card())
    assert onnx_file.parse(content, "m").parameters == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "without a Tarsia card"),
        (small_onnx.model().SerializeToString(), "without a Tarsia card .*tarsia export"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "cut, damaged or no ONNX file"),
        (b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.", "cut, damaged or no ONNX file"),
        (b"\xff" * 64, "cut, damaged or no ONNX file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "cut, damaged or no ONNX file"),
    ],
)
def test_files_that_are_not_tarsia_s(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelFileError, match=rf"m\.onnx: .*{message}"):
        read_card(tmp_path / "m.onnx")


def test_a_card_without_a_sum_and_one_that_is_no_card() -> None:
    proto = small_onnx.model()
    helper.set_model_props(proto, {CARD_KEY: small_onnx.card().to_json()})
    with pytest.raises(ModelFileError, match="without a Tarsia card"):
        onnx_file.parse(proto.SerializeToString(), "m")
    helper.set_model_props(proto, {CARD_KEY: small_onnx.card().to_json(), SUM_KEY: "0" * 64})
    with pytest.raises(ModelFileError, match="sha256 does not match"):
        onnx_file.parse(proto.SerializeToString(), "m")

    class Broken:
        def to_json(self) -> str:
            return '{"format": 1}'

    with pytest.raises(ModelFileError, match="card inside is damaged"):
        onnx_file.parse(onnx_file.with_card(proto.SerializeToString(), Broken()), "m")  # type: ignore[arg-type]


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.onnx")
    for path in (tmp_path / "pipe.onnx", tmp_path / "absent.onnx"):
        with pytest.raises(ModelFileError, match="no file"):
            onnx_file.read(path)


def test_a_card_is_read_without_onnx_or_its_runtime(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(small_onnx.content())
    code = (
        "import sys; from tarsia.engines.model_file import *; read_card(Path(sys.argv[1]))\n"
        "print([name for name in ('torch', 'onnx', 'onnxruntime', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "m.onnx")], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
