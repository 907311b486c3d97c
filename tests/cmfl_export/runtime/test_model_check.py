"""Which files are run: those of an export, whoever made them; all others are refused before a session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper

from cmfl_export import zoo
from cmfl_export.base.errors import CmflError
from cmfl_export.runtime import model_check, session
from cmfl_export.runtime.model_check import OPERATORS, read_model
from cmfl_export.runtime.onnx_reader import parse
from cmfl_export.runtime.protobuf import DamagedError
from cmfl_export.runtime.session import Session, read_card
from tests.bounds import ending
from tests.cmfl_export import tiny_model
from tests.cmfl_export.kernels import KERNELS

FUZZ = settings(
    max_examples=150, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
Change = Callable[[ModelProto], Any]


def scores_through(*nodes: onnx.NodeProto) -> Change:
    """Has the model compute `tampered` as well, which nothing reads."""
    return lambda model: model.graph.node.extend(nodes)


def external(tensor: TensorProto, location: str = "/etc/passwd") -> TensorProto:
    tensor.ClearField("raw_data")
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def floats(name: str = "t", values: Sequence[float] = (1.0,)) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.float32), name)


def branch(name: str = "branch") -> onnx.GraphProto:
    out = helper.make_tensor_value_info("o", TensorProto.FLOAT, [1])
    return helper.make_graph([helper.make_node("Constant", [], ["o"], value=floats())], name, [], [out])


def body() -> onnx.FunctionProto:
    node = helper.make_node("Abs", ["x"], ["y"])
    return helper.make_function("local", "Fn", ["x"], ["y"], [node], [helper.make_opsetid("", 20)])


def sparse(values: TensorProto) -> onnx.SparseTensorProto:
    return helper.make_sparse_tensor(values, helper.make_tensor("i", TensorProto.INT64, [1], [0]), [4])


def hidden_reference(model: ModelProto) -> None:
    # The location of the data says "in this file", and the entry is there all the same.
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")


def far_location(model: ModelProto) -> bytes:
    """The location of the data as a number that is 1 (EXTERNAL) in 32 bits."""
    tensor = floats("far").SerializeToString() + b"\x70" + b"\x81\x80\x80\x80\x10"
    graph = b"\x2a" + bytes([len(tensor)]) + tensor
    whole: bytes = model.SerializeToString() + b"\x3a" + bytes([len(graph)]) + graph
    return whole


HOSTILE: dict[str, tuple[Change, str]] = {
    "external": (lambda m: m.graph.initializer.append(external(floats())), "another file"),
    "external in use": (lambda m: external(m.graph.initializer[0]), "another file"),
    "external, hidden": (hidden_reference, "another file"),
    "external in memory": (
        lambda m: m.graph.initializer.append(external(floats(), "*/_ORT_MEM_ADDR_/*")),
        "another file",
    ),
    "external in Constant": (
        scores_through(helper.make_node("Constant", [], ["c"], value=external(floats()))),
        "another file",
    ),
    "sparse initializer": (lambda m: m.graph.sparse_initializer.append(sparse(floats())), "sparse_init"),
    "sparse Constant": (
        scores_through(helper.make_node("Constant", [], ["c"], sparse_value=sparse(external(floats())))),
        "sparse tensor",
    ),
    "Loop": (scores_through(helper.make_node("Loop", ["", ""], ["o"], body=branch())), "graph"),
    "Scan": (scores_through(helper.make_node("Scan", ["mean"], ["o"], body=branch())), "graph"),
    "If": (
        scores_through(
            helper.make_node("If", ["x"], ["o"], then_branch=branch(), else_branch=branch("other"))
        ),
        "graph",
    ),
    "a graph in an allowed operator": (
        scores_through(helper.make_node("Abs", ["mean"], ["o"], extra=branch())),
        "graph",
    ),
    "graphs": (scores_through(helper.make_node("Abs", ["mean"], ["o"], more=[branch()])), "graph"),
    "SequenceMap": (
        scores_through(helper.make_node("SequenceMap", ["s"], ["o"], body=branch())),
        "graph",
    ),
    "function": (lambda m: m.functions.append(body()), "functions"),
    "training": (lambda m: m.training_info.add().algorithm.CopyFrom(branch()), "training_info"),
    "custom domain": (
        scores_through(helper.make_node("Abs", ["mean"], ["o"], domain="com.microsoft")),
        "com.microsoft",
    ),
    "classic learning": (
        scores_through(helper.make_node("TreeEnsemble", ["mean"], ["o"], domain="ai.onnx.ml")),
        "ai.onnx.ml",
    ),
    "overload": (lambda m: setattr(m.graph.node[0], "overload", "x"), "overload"),
    **{
        name: (scores_through(helper.make_node(name, ["mean"], ["o"])), name)
        for name in ("Expand", "Tile", "ConstantOfShape", "RandomNormalLike", "RegexFullMatch", "DFT", "Pad")
    },
    "text": (
        lambda m: m.graph.initializer.append(
            TensorProto(name="s", data_type=TensorProto.STRING, dims=[1], string_data=[b"x"])
        ),
        "type",
    ),
    "a huge tensor of nothing": (
        lambda m: m.graph.initializer.append(
            TensorProto(name="h", data_type=1, dims=[1 << 40], raw_data=b"1234")
        ),
        "number of values",
    ),
    "two of a name": (lambda m: m.graph.initializer.append(m.graph.initializer[0]), "twice"),
    "two cards": (lambda m: m.metadata_props.add(key="cmfl", value="{}"), "twice"),
    "two inputs": (lambda m: m.graph.input.append(m.graph.input[0]), "the input is not image"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("provider", ["onnxruntime", "openvino", None])
def test_what_no_export_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, provider: str | None
) -> None:
    """Refused in one line by us: neither runtime is given the file. None reads the card alone."""

    def never(*args: object, **options: object) -> None:
        raise AssertionError("a runtime has seen it")

    monkeypatch.setattr(onnxruntime, "InferenceSession", never)
    monkeypatch.setattr(session, "OpenVinoModel", never)
    change, words = HOSTILE[name]
    model = tiny_model.build()
    change(model)
    path = tmp_path / "hostile.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CmflError, match=words) as caught:
        read_card(path) if provider is None else Session.open(path, provider)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "tail",
    [
        far_location(ModelProto()),
        b"\x3a\x00",  # a second, empty graph, which other readers merge with the first
        b"\xb2\x06\x00",  # field 102, which ONNX does not have
        b"\x38\x01",  # the graph as a number
        b"\x3b\x3c",  # a group
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x08" + b"\xff" * 11,
    ],
)
def test_bytes_that_readers_may_take_in_two_ways(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "two.onnx"
    path.write_bytes(tiny_model.build().SerializeToString() + tail)
    with pytest.raises(CmflError, match="not an ONNX file, or is damaged"):
        read_model(str(path))


def test_the_file_that_was_checked_is_the_one_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny_model.write(tmp_path / "m.onnx")

    def swapped(data: bytes) -> Any:
        path.write_bytes(b"another file by now")
        return parse(data)

    monkeypatch.setattr(model_check, "parse", swapped)
    batch = np.full((1, 224, 224, 3), 51, np.uint8)
    assert Session.open(path, "onnxruntime").run(batch)["p_real"] == pytest.approx(0.2)


def test_a_file_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny_model.write(tmp_path / "m.onnx")
    monkeypatch.setattr(model_check, "MOST_MODEL_BYTES", 100)
    with pytest.raises(CmflError, match="has more than"):
        read_model(str(path))


def test_the_operators_are_those_of_the_exports(graph: ModelProto) -> None:
    assert set(KERNELS) <= OPERATORS
    assert {node.op_type for node in graph.graph.node} <= OPERATORS
    # Nothing that has a graph, or comes from anywhere else than ONNX.
    for name in OPERATORS:
        kinds = {str(a.type) for a in onnx.defs.get_schema(name, 20).attributes.values()}
        assert not any("GRAPH" in kind for kind in kinds)


@pytest.mark.parametrize("variant", ["starter", "starter:int8"])
def test_what_is_read_is_what_onnx_reads(variant: str) -> None:
    path = zoo.resolve(variant)
    read, expected = read_model(str(path)).file, onnx.load(path)
    assert [(n.op_type, n.inputs, n.outputs) for n in read.nodes] == [
        (n.op_type, tuple(n.input), tuple(n.output)) for n in expected.graph.node
    ]
    for node, other in zip(read.nodes, expected.graph.node, strict=True):
        for attribute in other.attribute:
            value = helper.get_attribute_value(attribute)
            found = node.attributes[attribute.name]
            assert found == (value.decode() if isinstance(value, bytes) else
                             value if isinstance(value, int | float) else tuple(value))  # fmt: skip
    for tensor in expected.graph.initializer:
        array = read.initializers[tensor.name].array()
        np.testing.assert_array_equal(array, numpy_helper.to_array(tensor), strict=True)
    assert read.metadata == {entry.key: entry.value for entry in expected.metadata_props}


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (TensorProto.FLOAT, [1.5, -2.0]),
        (TensorProto.FLOAT16, [1.5, -2.0]),
        (TensorProto.DOUBLE, [1.5]),
        (TensorProto.INT8, [-1, 127]),
        (TensorProto.UINT8, [200, 7]),
        (TensorProto.INT32, [-5, 70_000]),
        (TensorProto.INT64, [-5, 1 << 40]),
        (TensorProto.BOOL, [True, False]),
    ],
)
def test_values_that_are_stored_one_by_one(kind: int, values: list[Any]) -> None:
    tensor = helper.make_tensor("t", kind, [len(values)], values)
    model = helper.make_model(helper.make_graph([], "g", [], [], [tensor]))
    array = parse(model.SerializeToString()).initializers["t"].array()
    np.testing.assert_array_equal(array, numpy_helper.to_array(tensor), strict=True)


SMALL = tiny_model.build(burden=1).SerializeToString()


@FUZZ
@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), max_size=6), st.data())
def test_bytes_that_were_changed(changes: list[tuple[int, int]], data: st.DataObject) -> None:
    """Damage is a DamagedError, or what the onnx package reads as well."""
    content = bytearray(SMALL)
    for at, byte in changes:
        content[at] = byte
    del content[data.draw(st.integers(0, len(SMALL))) :]
    try:
        read = parse(bytes(content))
    except DamagedError:
        return
    other = onnx.load_from_string(bytes(content))
    assert [node.op_type for node in read.nodes] == [node.op_type for node in other.graph.node]
    assert set(read.initializers) == {tensor.name for tensor in other.graph.initializer}


@FUZZ
@given(st.binary(max_size=400))
def test_any_bytes(content: bytes) -> None:
    with suppress(DamagedError):
        parse(content)


def test_many_small_parts_end_soon() -> None:
    """A megabyte of empty nodes, each of empty names, neither takes long nor much memory."""
    node = b"\x0a\x00" * 60
    graph = (b"\x0a" + bytes([len(node)]) + node) * 40_000
    size = len(graph)
    varint = bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14 & 0x7F | 0x80, size >> 21])
    with ending(), pytest.raises(DamagedError, match="more than"):
        parse(b"\x3a" + varint + graph)
