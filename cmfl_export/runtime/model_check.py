"""Accepts only ONNX files such as an export writes, and refuses others before a runtime reads them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from ..base.errors import ModelError
from .onnx_reader import DTYPES, FLOAT, MOST_MODEL_BYTES, UINT8, ModelFile, Tensor, Unread, Value, parse
from .protobuf import DamagedError

INPUT_NAME = "image"
INPUT_SHAPE = (224, 224, 3)
SCORE_OUTPUTS = ("p_real", "p_real_rgb", "p_real_spectrum")
# Tensors of these names are in every exported graph with a spectrum branch: the spectrum and, where it is
# standardised, what that gives. The rest of the branch comes after the last of them.
SPECTRUM, SPECTRUM_STANDARDISED = "spectrum", "spectrum_standardised"

# The operators in exports of all networks, precisions and optional outputs.
_EXPORTED = frozenset(
    {
        *("Abs", "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Conv", "Div"),
        *("Gather", "Gemm", "GreaterOrEqual", "Log", "MatMul", "MaxPool", "Mul", "Neg", "ReduceMean"),
        *("ReduceSum", "Relu", "Reshape", "Sigmoid", "Slice", "Sqrt", "Sub", "TopK", "Transpose"),
        *("Unsqueeze", "Where"),
        *("QuantizeLinear", "DequantizeLinear"),  # int8
    }
)
# The operators that other versions of PyTorch's exporter write for the same networks. None of them runs a
# sub-graph, reads text, draws random numbers, or makes a large tensor out of small ones, as Expand, Tile,
# ConstantOfShape, Range, Pad and Resize do.
_EQUIVALENT = frozenset(
    {
        *("Constant", "Identity", "Flatten", "Squeeze", "Split", "Shape", "GlobalAveragePool", "Exp"),
        *("Pow", "Reciprocal", "Min", "Max", "Greater", "Less", "LessOrEqual", "Equal", "Not", "And"),
    }
)
OPERATORS = _EXPORTED | _EQUIVALENT
_DOMAINS = ("", "ai.onnx")  # two names of ONNX's own domain
_SHOWN = 60  # characters of a name that is quoted
_AGAIN = "; export the model again with cmfl export"


class CheckedModel(NamedTuple):
    """A file that passed the check.

    Attributes:
        data: the bytes that were checked. A runtime gets these, because the file may change meanwhile.
        file: its parsed content.
    """

    path: str
    data: bytes
    file: ModelFile


def read_model(path: str) -> CheckedModel:
    """Reads a file once and checks everything except its model card.

    Raises:
        ModelError: it cannot be read, is not an ONNX file, has another input or other scores than this
            toolkit's models, or has parts that no export writes: an operator of another kind or domain, a
            sub-graph, a function, a sparse tensor, or a tensor whose values are in another file.
    """
    data = _content(path)
    try:
        file = parse(data)
    except DamagedError as error:
        raise ModelError(f"{path} is not an ONNX file, or is damaged: it {error}{_AGAIN}") from error
    fault = next(chain(_faults_of_graph(file), _faults_of_contract(file)), None)
    if fault is not None:
        raise ModelError(f"{path}: {fault}{_AGAIN}")
    return CheckedModel(path, data, file)


def _content(path: str) -> bytes:
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(MOST_MODEL_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{path}: the model file cannot be read: {error.strerror}") from error
    if len(data) > MOST_MODEL_BYTES:
        raise ModelError(
            f"{path} has more than {MOST_MODEL_BYTES >> 20} MiB, which no model of this toolkit has{_AGAIN}"
        )
    return data


def _faults_of_graph(file: ModelFile) -> Iterator[str]:
    """Yields the parts of the file that no export writes, in words."""
    if file.unread:
        yield f"it has parts that no model of this toolkit has ({', '.join(file.unread)})"
    if not any(domain in file.opsets for domain in _DOMAINS):
        yield "it names no version of ONNX's operators"
    for node in file.nodes:
        what = f"the operator {_short(node.op_type)}"
        if node.domain not in _DOMAINS:
            yield f"{what} is of the domain {_short(node.domain)}, which this toolkit does not run"
        for name, value in node.attributes.items():
            for part in value if isinstance(value, tuple) else (value,):
                if isinstance(part, Unread):
                    yield f"{what} has a {part} in it ({_short(name)}), which this toolkit does not run"
                elif isinstance(part, Tensor):
                    yield from (f"{what} has a tensor that {fault}" for fault in _faults_of_tensor(part))
        if node.op_type not in OPERATORS:
            yield f"{what} does not occur in models of this toolkit"
    for tensor in file.initializers.values():
        yield from (f"the tensor {_short(tensor.name)} {fault}" for fault in _faults_of_tensor(tensor))


def _faults_of_tensor(tensor: Tensor) -> Iterator[str]:
    if tensor.external:
        yield "has its values in another file, which is never read"
    if tensor.data_type not in DTYPES:
        yield f"has values of a type that models of this toolkit do not have ({tensor.data_type})"
    elif not tensor.is_whole:
        yield "has another number of values than its shape says"


def _faults_of_contract(file: ModelFile) -> Iterator[str]:
    """Yields how the input or the scores differ from those of this toolkit, in words."""
    name, kind, shape = file.inputs[0] if len(file.inputs) == 1 else Value("", 0, None)
    batch, *image = shape or (0,)
    if (name, kind, tuple(image)) != (INPUT_NAME, UINT8, INPUT_SHAPE) or isinstance(batch, int):
        found = ", ".join(f"{_short(value.name)} {list(value.shape or ())}" for value in file.inputs[:3])
        yield (
            f"the input is not {INPUT_NAME}: uint8 [batch, 224, 224, 3] with a dynamic batch but "
            f"{found or 'missing'}"
        )
    names = [value.name for value in file.outputs]
    scores = [value for value in file.outputs if value.name in SCORE_OUTPUTS]
    if "p_real" not in names or any(value.data_type != FLOAT for value in scores):
        yield "the model has no float32 output p_real"
    if len(set(names)) < len(names):
        yield "two of its outputs have the same name"
    for value in scores:
        if value.shape is not None and (len(value.shape) != 1 or isinstance(value.shape[0], int)):
            yield f"the output {value.name} has the shape {list(value.shape)}, not one score for each image"


def _short(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else name[:_SHOWN] + "...")
