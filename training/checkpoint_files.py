"""What a weights file says of itself, looked at before PyTorch or safetensors allocate anything for it."""

from __future__ import annotations

import math
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cmfl_export.base.errors import ModelError
from cmfl_export.base.text_formats import FormatError, load_json

_MOST_HEADER_BYTES = 4 * 1024 * 1024  # of safetensors; the largest network's is 60 kB
_MOST_PICKLE_BYTES = 4 * 1024 * 1024  # of a .pth; with an optimizer's state some 500 kB
_MOST_ENTRIES = 20_000
_BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U8": 8}
_BITS |= {"BOOL": 8}
# The names that a pickle of tensors and plain values refers to; nothing else is looked up.
_PLAIN_GLOBALS = {
    *("collections OrderedDict", "torch Size", "torch device", "torch._utils _rebuild_parameter"),
    *("torch._utils _rebuild_tensor", "torch._utils _rebuild_tensor_v2", "torch.nn.parameter Parameter"),
    *("torch.storage TypedStorage", "torch.storage UntypedStorage"),
    *(f"torch {kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short")),
    *(f"torch {kind}Storage" for kind in ("Char", "Byte", "Bool")),
    *(f"torch {kind}" for kind in ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int8")),
    *(f"torch {kind}" for kind in ("int16", "uint8", "bool")),
}

Shapes = dict[str, tuple[int, ...]]


def safetensors_header(path: Path) -> tuple[Shapes, dict[str, str]]:
    """The shapes of the tensors of a safetensors file, and its metadata.

    Raises:
        CmflError: the header is none, too large, or says otherwise than the file's size.
    """
    try:
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            if size > _MOST_HEADER_BYTES:
                raise FormatError(f"its header says that it has {size} bytes; {_MOST_HEADER_BYTES} at most")
            text = stream.read(size)
        if len(text) < size or not text:
            raise FormatError("it ends within its header")
        header = load_json(text, _MOST_HEADER_BYTES)
        if not isinstance(header, dict):
            raise FormatError("its header is no table of tensors")
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise FormatError("its metadata are no texts")
        end = 0
        shapes: Shapes = {}
        for name, start, stop, shape in sorted(_entries(header), key=lambda entry: entry[1:3]):
            if start != end:
                raise FormatError(f"the tensor {name[:60]!r} overlaps another, or leaves a gap")
            end, shapes[name] = stop, shape
        if end + 8 + size != path.stat().st_size:
            raise FormatError("its size is not the one that its header says")
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except FormatError as error:
        raise ModelError(f"{path} is not a readable safetensors file: {error}") from error
    return shapes, metadata


def _entries(header: dict[str, Any]) -> Iterator[tuple[str, int, int, tuple[int, ...]]]:
    """Name, first and last byte, and shape of each tensor of a header."""
    for name, entry in header.items():
        values: dict[str, Any] = entry if isinstance(entry, dict) else {}
        shape: Any = values.get("shape")
        offsets: Any = values.get("data_offsets")
        lists = isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2
        bits = _BITS.get(str(values.get("dtype")))
        if not lists or bits is None or not all(type(n) is int and n >= 0 for n in (*shape, *offsets)):
            raise FormatError(f"the tensor {name[:60]!r} has no type, shape and place that could be")
        if offsets[1] - offsets[0] != math.prod(shape) * bits // 8:
            raise FormatError(f"the tensor {name[:60]!r} has another size than its shape says")
        yield name, offsets[0], offsets[1], tuple(shape)


def check_pth(path: Path) -> None:
    """Refuses a .pth that unpacks to more than it is, or whose pickle is more than tensors in plain values.

    Raises:
        CmflError: says which.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) > _MOST_ENTRIES:
                raise FormatError(f"it has {len(entries)} entries; {_MOST_ENTRIES} at most")
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise FormatError("its entries are compressed, which PyTorch's are not")
            if sum(entry.file_size for entry in entries) > path.stat().st_size:
                raise FormatError("its entries are larger than the file")
            pickles = [entry for entry in entries if entry.filename.endswith("data.pkl")]
            if len(pickles) != 1 or pickles[0].file_size > _MOST_PICKLE_BYTES:
                raise FormatError(f"it has no list of tensors of up to {_MOST_PICKLE_BYTES} bytes")
            _check_pickle(archive.read(pickles[0]))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except FormatError as error:
        raise ModelError(f"{path} is not a checkpoint that can be loaded safely: {error}") from error
    except Exception as error:  # zipfile raises many kinds on a damaged file
        raise ModelError(
            f"{path} is not a checkpoint that can be loaded safely: it is damaged, or not of torch.save of "
            "PyTorch 1.6 or later"
        ) from error


def _check_pickle(data: bytes) -> None:
    try:
        for operation, argument, _ in pickletools.genops(data):
            if operation.name == "GLOBAL" and argument not in _PLAIN_GLOBALS:
                name = str(argument)[:80].replace(" ", ".")
                raise FormatError(f"it refers to {name}, which is no part of a list of tensors")
            if operation.name in ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4", "NEWOBJ_EX"):
                raise FormatError("it refers to code in a way that torch.save does not")
    except FormatError:
        raise
    except Exception as error:  # of a damaged pickle
        raise FormatError("its list of tensors is damaged") from error
