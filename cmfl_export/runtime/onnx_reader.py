"""ModelFile: the content of an ONNX file, read from untrusted bytes without the onnx package.

    model = parse(data)                       # data: the bytes of the file
    for node in model.nodes:
        node.op_type, node.domain, node.inputs, node.outputs, node.attributes.get("group", 1)
    tensor = model.initializers["weight"]     # name, dims, data_type, raw
    tensor.array()                            # NumPy; a view of `raw` without a copy, if it is stored there

Sub-graphs, functions, sparse tensors and types are noted but not read (`Unread` attributes,
`ModelFile.unread`). `model_check` decides what is allowed.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import onnx_specs as specs
from .protobuf import FIXED32, VARINT, DamagedError, Message, Reader, Span, small_number

MOST_MODEL_BYTES = 256 * 1024 * 1024  # ten times the largest network of this toolkit
_MOST_NUMBERS = 10_000  # in a list among a node's attributes
_MOST_ATTRIBUTES = 64
_MOST_DIMENSIONS = 16
_MOST_VALUE_BYTES = 8 * 1024 * 1024  # of a value in the metadata

FLOAT, UINT8, INT8, STRING, BOOL = 1, 2, 3, 8, 9
# NumPy's names for TensorProto.DataType. bfloat16 and types below 8 bits have none.
DTYPES: Final[Mapping[int, str]] = {
    FLOAT: "<f4", UINT8: "u1", INT8: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8",
    BOOL: "?", 10: "<f2", 11: "<f8", 12: "<u4", 13: "<u8",
}  # fmt: skip


class Unread(str):
    """Stands for an attribute's value that is not read: "graph", "sparse tensor" or "type"."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the file.

    Attributes:
        data_type: TensorProto.DataType, a key of DTYPES or another number.
        raw: its bytes in the file, little-endian; empty if `external`, or if the values are stored one by
            one (see `array`).
        external: whether its values are in another file.
    """

    name: str
    dims: tuple[int, ...]
    data_type: int
    raw: memoryview
    external: bool
    _listed: tuple[int, tuple[Any, ...]] | None = None

    @property
    def size(self) -> int:
        """The number of elements by the dimensions."""
        return math.prod(self.dims)

    @property
    def is_whole(self) -> bool:
        """Whether `raw` has the size of its type and dimensions; values stored one by one are not counted."""
        dtype = DTYPES.get(self.data_type)
        if dtype is None or self._listed is not None:
            return dtype is not None
        return len(self.raw) == self.size * np.dtype(dtype).itemsize

    def array(self) -> NDArray[Any]:
        """The values, with the dtype of DTYPES and the shape `dims`; read-only, a view of the file if `raw`.

        Raises:
            DamagedError: the values are in another file, their number does not match the dimensions, or
                NumPy does not have their type.
        """
        dtype = DTYPES.get(self.data_type)
        if self.external or dtype is None:
            raise DamagedError(f"the tensor {self.name!r} has no values of a known type in this file")
        if self._listed is not None:
            values = _listed_values(*self._listed, np.dtype(dtype), self.size)
        elif len(self.raw) % np.dtype(dtype).itemsize:
            raise DamagedError(f"the tensor {self.name!r} ends within a value")
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
    """An operation. The values of `attributes` are int, float, str, Tensor, a tuple of these, or `Unread`."""

    op_type: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


class Value(NamedTuple):
    """An input or output of the graph.

    Attributes:
        data_type: TensorProto.DataType; 0 if the file does not say, or it is not a tensor.
        shape: for each dimension a number, a name, or None if unknown; None without a shape.
    """

    name: str
    data_type: int
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The content of an ONNX file.

    Attributes:
        opsets: version by domain; "" is ONNX's own domain.
        unread: the names of other parts in the file, such as "functions" or "sparse_initializer".
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
    """Reads a model. Runs nothing, opens no other file, and copies no tensor.

    Raises:
        DamagedError: the bytes are not an ONNX file, or a damaged one, or exceed a limit.
    """
    if len(data) > MOST_MODEL_BYTES:
        raise DamagedError(f"has {len(data)} bytes; {MOST_MODEL_BYTES} at most")
    reader = _Reader(data)
    model = reader.message((0, len(data)), specs.MODEL)
    if "graph" not in model:
        raise DamagedError("has no graph")
    graph = reader.message(model["graph"][0], specs.GRAPH)
    unread = [name for name in specs.UNREAD_OF_MODEL if name in model]
    unread += [name for name in specs.UNREAD_OF_GRAPH if name in graph]
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


# In place of the values of these fields.
_UNREAD_VALUES = {
    "g": Unread("graph"), "graphs": Unread("graph"),
    "sparse_tensor": Unread("sparse tensor"), "sparse_tensors": Unread("sparse tensor"),
    "tp": Unread("type"), "type_protos": Unread("type"),
}  # fmt: skip


class _Reader(Reader):
    """Reads the messages of ONNX."""

    __slots__ = ()

    def node(self, span: Span, unread: list[str]) -> Node:
        message = self.message(span, specs.NODE)
        unread += [name for name in specs.UNREAD_OF_NODE if name in message]
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
        message = self.message(span, specs.ATTRIBUTE)
        name = self.one_text(message, "name")
        if "ref_attr_name" in message:
            raise DamagedError(f"refers to an attribute of a function ({name})")
        kind = small_number(message, "type", len(specs.FIELD_OF_TYPE) - 1)
        of_type = specs.FIELD_OF_TYPE[kind]
        others = [key for key in message if key in specs.FIELD_OF_TYPE and key != of_type]
        for key in (*others, of_type):
            # Values that are not read come first: such an attribute is reported as "graph", for example.
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
        message = self.message(span, specs.TENSOR)
        name = self.one_text(message, "name")
        dims = self.signed(message.get("dims", []), _MOST_DIMENSIONS)
        if any(size < 0 for size in dims):
            raise DamagedError(f"has a tensor with a negative dimension ({name})")
        if "segment" in message:
            raise DamagedError(f"has a tensor in segments ({name})")
        lists = [key for key in specs.LISTS if key in message]
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
                specs.LISTS[lists[0]],
                tuple(v if isinstance(v, int) else self.view[v[0] : v[1]] for v in message[lists[0]]),
            )
            if lists
            else None,
        )

    def value(self, span: Span) -> Value:
        message = self.message(span, specs.VALUE)
        name = self.one_text(message, "name")
        if "type" not in message:
            return Value(name, 0, None)
        kind = self.message(message["type"][0], specs.TYPE)
        if set(kind) - {"denotation"} != {"tensor_type"}:
            return Value(name, 0, None)
        tensor = self.message(kind["tensor_type"][0], specs.TENSOR_TYPE)
        shape = None
        if "shape" in tensor:
            dims = self.message(tensor["shape"][0], specs.SHAPE).get("dim", ())
            if len(dims) > _MOST_DIMENSIONS:
                raise DamagedError(f"has more than {_MOST_DIMENSIONS} dimensions ({name})")
            shape = tuple(map(self.dimension, dims))
        return Value(name, small_number(tensor, "elem_type", 255), shape)

    def dimension(self, span: Span) -> int | str | None:
        message = self.message(span, specs.DIMENSION)
        if "dim_value" in message and "dim_param" in message:
            raise DamagedError("has a dimension with a number and a name")
        if "dim_value" in message:
            return self.signed(message["dim_value"], 1)[0]
        return self.text(message["dim_param"][0]) if "dim_param" in message else None

    def opset(self, span: Span) -> tuple[str, int]:
        message = self.message(span, specs.OPSET)
        return self.one_text(message, "domain"), small_number(message, "version", 10_000)

    def entry(self, span: Span) -> tuple[str, str]:
        message = self.message(span, specs.ENTRY)
        value = message.get("value", [(0, 0)])[0]
        return self.one_text(message, "key"), self.text(value, _MOST_VALUE_BYTES)


def _listed_values(wire: int, parts: tuple[Any, ...], dtype: np.dtype[Any], size: int) -> NDArray[Any]:
    """The values that are stored one by one: float16 as the integer of its bits, whole numbers as varints."""
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
