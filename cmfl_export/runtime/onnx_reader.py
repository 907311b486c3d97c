"""ModelFile: what stands in an ONNX file, read without the onnx package, from bytes that nobody vouches for.

    model = parse(data)                       # data: the bytes of the file
    for node in model.nodes:
        node.op_type, node.domain, node.inputs, node.outputs, node.attributes.get("group", 1)
    tensor = model.initializers["weight"]     # name, dims, data_type, raw
    tensor.array()                            # NumPy, of `raw` where that is how it is stored: no copy

Sub-graphs, functions, sparse tensors and types are not read, only named (`Unread` attributes,
`ModelFile.unread`). `model_check` says which of all this is allowed.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .protobuf import (
    FIXED32,
    FIXED64,
    LENGTH,
    MANY,
    PACKED,
    VARINT,
    DamagedError,
    Message,
    Reader,
    Span,
    Spec,
    small_number,
)

MOST_MODEL_BYTES = 256 * 1024 * 1024  # ten times the largest network of this toolkit
_MOST_NUMBERS = 10_000  # in a list among a node's attributes
_MOST_ATTRIBUTES = 64
_MOST_DIMENSIONS = 16
_MOST_VALUE_BYTES = 8 * 1024 * 1024  # of a value in the metadata

FLOAT, UINT8, INT8, STRING, BOOL = 1, 2, 3, 8, 9
# TensorProto.DataType and what NumPy calls it; bfloat16 and what has less than 8 bits have no name there.
DTYPES: Final[Mapping[int, str]] = {
    FLOAT: "<f4", UINT8: "u1", INT8: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8",
    BOOL: "?", 10: "<f2", 11: "<f8", 12: "<u4", 13: "<u8",
}  # fmt: skip


class Unread(str):
    """In place of an attribute's value that is not read: "graph", "sparse tensor" or "type"."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the file.

    Attributes:
        data_type: TensorProto.DataType, a key of DTYPES or another number.
        raw: its bytes as they stand in the file, little-endian; empty where `external`, or where the values
            are stored one by one (see `array`).
        external: whether it says that its bytes are in another file.
    """

    name: str
    dims: tuple[int, ...]
    data_type: int
    raw: memoryview
    external: bool
    _listed: tuple[int, tuple[Any, ...]] | None = None

    @property
    def size(self) -> int:
        """How many elements the dimensions stand for."""
        return math.prod(self.dims)

    @property
    def is_whole(self) -> bool:
        """Whether there are as many bytes as type and dimensions say, as far as `raw` tells."""
        dtype = DTYPES.get(self.data_type)
        if dtype is None or self._listed is not None:
            return dtype is not None
        return len(self.raw) == self.size * np.dtype(dtype).itemsize

    def array(self) -> NDArray[Any]:
        """The values, with the dtype of DTYPES and the shape `dims`; read-only, a view of the file if `raw`.

        Raises:
            DamagedError: the bytes are elsewhere, of another number than the dimensions say, or of a type
                that NumPy does not have.
        """
        dtype = DTYPES.get(self.data_type)
        if self.external or dtype is None:
            raise DamagedError(f"the tensor {self.name!r} has no values of a known type in the file")
        if self._listed is not None:
            values = _listed_values(*self._listed, np.dtype(dtype), self.size)
        elif len(self.raw) % np.dtype(dtype).itemsize:
            raise DamagedError(f"the tensor {self.name!r} has a part of a value")
        else:
            values = np.frombuffer(self.raw, dtype)
        if len(values) != self.size:
            raise DamagedError(
                f"the tensor {self.name!r} has {len(values)} values where its shape "
                f"{list(self.dims)} says {self.size}"
            )
        return values.reshape(self.dims)


@dataclass(frozen=True, slots=True)
class Node:
    """An operation. `attributes` by name: int, float, str, Tensor, a tuple of these, or `Unread`."""

    op_type: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


class Value(NamedTuple):
    """An input or output of the graph.

    Attributes:
        data_type: TensorProto.DataType; 0 where it is not said, or is no tensor.
        shape: a number, a name, or None where nothing is said, for each dimension; None without a shape.
    """

    name: str
    data_type: int
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True, slots=True)
class ModelFile:
    """An ONNX file.

    Attributes:
        opsets: version by domain; "" is ONNX's own.
        unread: what is there besides, by name: "functions", "training_info", "sparse_initializer" and such.
    """

    ir_version: int
    opsets: dict[str, int]
    nodes: tuple[Node, ...]
    initializers: dict[str, Tensor]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    metadata: dict[str, str]
    unread: tuple[str, ...]


def parse(data: bytes) -> ModelFile:
    """Reads a model. Runs nothing, follows nothing out of `data`, and copies no tensor.

    Raises:
        DamagedError: not an ONNX file, a damaged one, or one beyond the limits.
    """
    if len(data) > MOST_MODEL_BYTES:
        raise DamagedError(f"has {len(data)} bytes; {MOST_MODEL_BYTES} at most")
    reader = _Reader(data)
    model = reader.message((0, len(data)), _MODEL)
    if "graph" not in model:
        raise DamagedError("has no graph")
    graph = reader.message(model["graph"][0], _GRAPH)
    unread = [name for name in _UNREAD_OF_MODEL if name in model]
    unread += [name for name in _UNREAD_OF_GRAPH if name in graph]
    nodes = tuple(reader.node(span, unread) for span in graph.get("node", ()))
    tensors = [reader.tensor(span) for span in graph.get("initializer", ())]
    return ModelFile(
        ir_version=model.get("ir_version", (0,))[0],
        opsets=_unique(map(reader.opset, model.get("opset_import", ())), "operator set"),
        nodes=nodes,
        initializers=_unique(((tensor.name, tensor) for tensor in tensors), "initializer"),
        inputs=tuple(reader.value(span) for span in graph.get("input", ())),
        outputs=tuple(reader.value(span) for span in graph.get("output", ())),
        metadata=_unique(map(reader.entry, model.get("metadata_props", ())), "metadata entry"),
        unread=tuple(dict.fromkeys(unread)),
    )


def _unique(pairs: Any, what: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise DamagedError(f"has the {what} {name!r} twice")
        found[name] = value
    return found


_MODEL: Spec = {
    1: ("ir_version", VARINT),
    2: ("producer_name", LENGTH),
    3: ("producer_version", LENGTH),
    4: ("domain", LENGTH),
    5: ("model_version", VARINT),
    6: ("doc_string", LENGTH),
    7: ("graph", LENGTH),
    8: ("opset_import", LENGTH | MANY),
    14: ("metadata_props", LENGTH | MANY),
    20: ("training_info", LENGTH | MANY),
    25: ("functions", LENGTH | MANY),
    26: ("configuration", LENGTH | MANY),
}
_UNREAD_OF_MODEL = ("training_info", "functions", "configuration")
_GRAPH: Spec = {
    1: ("node", LENGTH | MANY),
    2: ("name", LENGTH),
    5: ("initializer", LENGTH | MANY),
    10: ("doc_string", LENGTH),
    11: ("input", LENGTH | MANY),
    12: ("output", LENGTH | MANY),
    13: ("value_info", LENGTH | MANY),
    14: ("quantization_annotation", LENGTH | MANY),
    15: ("sparse_initializer", LENGTH | MANY),
    16: ("metadata_props", LENGTH | MANY),
}
_UNREAD_OF_GRAPH = ("sparse_initializer",)
_NODE: Spec = {
    1: ("input", LENGTH | MANY),
    2: ("output", LENGTH | MANY),
    3: ("name", LENGTH),
    4: ("op_type", LENGTH),
    5: ("attribute", LENGTH | MANY),
    6: ("doc_string", LENGTH),
    7: ("domain", LENGTH),
    8: ("overload", LENGTH),
    9: ("metadata_props", LENGTH | MANY),
    10: ("device_configurations", LENGTH | MANY),
}
_UNREAD_OF_NODE = ("overload", "device_configurations")
_ATTRIBUTE: Spec = {
    1: ("name", LENGTH),
    2: ("f", FIXED32),
    3: ("i", VARINT),
    4: ("s", LENGTH),
    5: ("t", LENGTH),
    6: ("g", LENGTH),
    7: ("floats", FIXED32 | MANY | PACKED),
    8: ("ints", VARINT | MANY | PACKED),
    9: ("strings", LENGTH | MANY),
    10: ("tensors", LENGTH | MANY),
    11: ("graphs", LENGTH | MANY),
    13: ("doc_string", LENGTH),
    14: ("tp", LENGTH),
    15: ("type_protos", LENGTH | MANY),
    20: ("type", VARINT),
    21: ("ref_attr_name", LENGTH),
    22: ("sparse_tensor", LENGTH),
    23: ("sparse_tensors", LENGTH | MANY),
}
# AttributeProto.AttributeType, and which field has the value.
_FIELD_OF_TYPE = (
    *("", "f", "i", "s", "t", "g", "floats", "ints", "strings", "tensors", "graphs"),
    *("sparse_tensor", "sparse_tensors", "tp", "type_protos"),
)
_UNREAD_VALUES = {
    "g": Unread("graph"), "graphs": Unread("graph"),
    "sparse_tensor": Unread("sparse tensor"), "sparse_tensors": Unread("sparse tensor"),
    "tp": Unread("type"), "type_protos": Unread("type"),
}  # fmt: skip
_TENSOR: Spec = {
    1: ("dims", VARINT | MANY | PACKED),
    2: ("data_type", VARINT),
    3: ("segment", LENGTH),
    4: ("float_data", FIXED32 | MANY | PACKED),
    5: ("int32_data", VARINT | MANY | PACKED),
    6: ("string_data", LENGTH | MANY),
    7: ("int64_data", VARINT | MANY | PACKED),
    8: ("name", LENGTH),
    9: ("raw_data", LENGTH),
    10: ("double_data", FIXED64 | MANY | PACKED),
    11: ("uint64_data", VARINT | MANY | PACKED),
    12: ("doc_string", LENGTH),
    13: ("external_data", LENGTH | MANY),
    14: ("data_location", VARINT),
    16: ("metadata_props", LENGTH | MANY),
}
_LISTS = {
    "float_data": FIXED32,
    "double_data": FIXED64,
    "int32_data": VARINT,
    "int64_data": VARINT,
    "uint64_data": VARINT,
}
_VALUE: Spec = {
    1: ("name", LENGTH),
    2: ("type", LENGTH),
    3: ("doc_string", LENGTH),
    4: ("metadata_props", LENGTH | MANY),
}
_TYPE: Spec = {
    1: ("tensor_type", LENGTH),
    4: ("sequence_type", LENGTH),
    5: ("map_type", LENGTH),
    6: ("denotation", LENGTH),
    7: ("opaque_type", LENGTH),
    8: ("sparse_tensor_type", LENGTH),
    9: ("optional_type", LENGTH),
}
_TENSOR_TYPE: Spec = {1: ("elem_type", VARINT), 2: ("shape", LENGTH)}
_SHAPE: Spec = {1: ("dim", LENGTH | MANY)}
_DIMENSION: Spec = {1: ("dim_value", VARINT), 2: ("dim_param", LENGTH), 3: ("denotation", LENGTH)}
_OPSET: Spec = {1: ("domain", LENGTH), 2: ("version", VARINT)}
_ENTRY: Spec = {1: ("key", LENGTH), 2: ("value", LENGTH)}


class _Reader(Reader):
    """Reads the messages of ONNX."""

    __slots__ = ()

    def node(self, span: Span, unread: list[str]) -> Node:
        message = self.message(span, _NODE)
        unread += [name for name in _UNREAD_OF_NODE if name in message]
        attributes = message.get("attribute", ())
        if len(attributes) > _MOST_ATTRIBUTES:
            raise DamagedError(f"has a node with more than {_MOST_ATTRIBUTES} attributes")
        return Node(
            self.one_text(message, "op_type"),
            self.one_text(message, "domain"),
            self.one_text(message, "name"),
            self.texts(message, "input"),
            self.texts(message, "output"),
            _unique(map(self.attribute, attributes), "attribute"),
        )

    def attribute(self, span: Span) -> tuple[str, Any]:
        message = self.message(span, _ATTRIBUTE)
        name = self.one_text(message, "name")
        if "ref_attr_name" in message:
            raise DamagedError(f"refers to an attribute of a function ({name})")
        kind = small_number(message, "type", len(_FIELD_OF_TYPE) - 1)
        of_type = _FIELD_OF_TYPE[kind]
        others = [key for key in message if key in _FIELD_OF_TYPE and key != of_type]
        for key in (*others, of_type):
            # A sub-graph is named as such, whatever stands beside it.
            if key in _UNREAD_VALUES and key in message:
                return name, _UNREAD_VALUES[key]
        if others or not of_type:
            raise DamagedError(f"has an attribute whose type is not that of its value ({name})")
        return name, self.attribute_value(message, of_type)

    def attribute_value(self, message: Message, of_type: str) -> Any:
        values = message.get(of_type, [])
        found: tuple[Any, ...]
        if of_type in ("i", "ints"):
            found = self.signed(values, _MOST_NUMBERS)
        elif of_type in ("f", "floats"):
            found = tuple(self.floats(values))
        elif of_type in ("s", "strings"):
            found = tuple(map(self.text, values))
        else:
            found = tuple(map(self.tensor, values))
        if len(of_type) > 1:
            return found
        if not found:
            raise DamagedError("has an attribute without a value")
        return found[0]

    def floats(self, values: list[Any]) -> list[float]:
        found: list[float] = []
        for start, end in values:
            if (end - start) % 4 or end - start > 4 * _MOST_NUMBERS:
                raise DamagedError("has a damaged list of numbers")
            found += struct.unpack_from(f"<{(end - start) // 4}f", self.data, start)
        return found

    def tensor(self, span: Span) -> Tensor:
        message = self.message(span, _TENSOR)
        name = self.one_text(message, "name")
        dims = self.signed(message.get("dims", []), _MOST_DIMENSIONS)
        if any(size < 0 for size in dims):
            raise DamagedError(f"has a tensor with a negative dimension ({name})")
        if "segment" in message:
            raise DamagedError(f"has a tensor in segments ({name})")
        lists = [key for key in _LISTS if key in message]
        start, end = message.get("raw_data", [(0, 0)])[0]
        if len(lists) + ("raw_data" in message) > 1:
            raise DamagedError(f"has a tensor whose values are stored in two ways ({name})")
        return Tensor(
            name,
            dims,
            small_number(message, "data_type", 255),
            self.view[start:end],
            small_number(message, "data_location", 255) != 0 or "external_data" in message,
            (
                _LISTS[lists[0]],
                tuple(v if isinstance(v, int) else self.view[v[0] : v[1]] for v in message[lists[0]]),
            )
            if lists
            else None,
        )

    def value(self, span: Span) -> Value:
        message = self.message(span, _VALUE)
        name = self.one_text(message, "name")
        if "type" not in message:
            return Value(name, 0, None)
        kind = self.message(message["type"][0], _TYPE)
        if set(kind) - {"denotation"} != {"tensor_type"}:
            return Value(name, 0, None)
        tensor = self.message(kind["tensor_type"][0], _TENSOR_TYPE)
        shape = None
        if "shape" in tensor:
            dims = self.message(tensor["shape"][0], _SHAPE).get("dim", ())
            if len(dims) > _MOST_DIMENSIONS:
                raise DamagedError(f"has more than {_MOST_DIMENSIONS} dimensions ({name})")
            shape = tuple(map(self.dimension, dims))
        return Value(name, small_number(tensor, "elem_type", 255), shape)

    def dimension(self, span: Span) -> int | str | None:
        message = self.message(span, _DIMENSION)
        if "dim_value" in message and "dim_param" in message:
            raise DamagedError("has a dimension with a number and a name")
        if "dim_value" in message:
            return self.signed(message["dim_value"], 1)[0]
        return self.text(message["dim_param"][0]) if "dim_param" in message else None

    def opset(self, span: Span) -> tuple[str, int]:
        message = self.message(span, _OPSET)
        return self.one_text(message, "domain"), small_number(message, "version", 10_000)

    def entry(self, span: Span) -> tuple[str, str]:
        message = self.message(span, _ENTRY)
        value = message.get("value", [(0, 0)])[0]
        return self.one_text(message, "key"), self.text(value, _MOST_VALUE_BYTES)


def _listed_values(wire: int, parts: tuple[Any, ...], dtype: np.dtype[Any], size: int) -> NDArray[Any]:
    """Values that are stored one by one: float16 as the number of its bits, whole numbers as varints."""
    if wire != VARINT:
        stored = np.frombuffer(b"".join(parts), "<f4" if wire == FIXED32 else "<f8")
        if stored.dtype != dtype:
            raise DamagedError("has a tensor whose values are stored as another type")
        return stored
    numbers: list[int] = []
    for part in parts:
        if isinstance(part, int):
            numbers.append(part)
            continue
        reader, at = _Reader(bytes(part)), 0
        while at < len(part) and len(numbers) <= size:
            number, at = reader.varint(at, len(part))
            numbers.append(number)
    bits = np.array(numbers, np.uint64)
    convert: Callable[..., NDArray[Any]] = bits.astype(np.int64).astype
    return convert(np.uint16).view(dtype) if dtype == np.float16 else convert(dtype)
