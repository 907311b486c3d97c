"""Checks names of models and of their files, which must be safe on every system."""

from __future__ import annotations

import re

_MODEL = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*")
_FILE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VARIANT = re.compile(r"[a-z0-9]{1,16}")
# Windows opens a device instead of a file with such a name, whatever the ending.
_DEVICES = {"aux", "con", "nul", "prn", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
_LONGEST_MODEL, _LONGEST_FILE = 64, 100


def is_model_name(name: str) -> bool:
    """Whether a name is lower-case letters and digits joined by single `-_.`, no device and no .onnx file."""
    return (
        len(name) <= _LONGEST_MODEL
        and _MODEL.fullmatch(name) is not None
        and not _is_device(name)
        and not name.endswith(".onnx")
    )


def is_file_name(name: str) -> bool:
    """Whether a name has no separator, space or `..`, and means the same file on every system."""
    return (
        len(name) <= _LONGEST_FILE
        and _FILE.fullmatch(name) is not None
        and ".." not in name
        and not _is_device(name)
    )


def is_variant(name: str) -> bool:
    """Whether a name is lower-case letters and digits, such as fp32, fp16, int8."""
    return _VARIANT.fullmatch(name) is not None


def split_variant(text: str) -> tuple[str, str | None]:
    """Splits `starter:int8` into ("starter", "int8"), and `starter` into ("starter", None)."""
    name, colon, variant = text.partition(":")
    return name, variant if colon else None


def _is_device(name: str) -> bool:
    return name.partition(".")[0].lower() in _DEVICES
