"""Names that are safe on every system: of models, and of the files in their folders."""

from __future__ import annotations

import re

_MODEL = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*")
_FILE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VARIANT = re.compile(r"[a-z0-9]{1,16}")
# Windows opens a device where a file is called so, whatever the ending.
_DEVICES = {"aux", "con", "nul", "prn", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
_LONGEST_MODEL, _LONGEST_FILE = 64, 100


def is_model_name(name: str) -> bool:
    """Lower-case letters and digits in groups joined by one of `-_.`; no device, no file of a model."""
    return (
        len(name) <= _LONGEST_MODEL
        and _MODEL.fullmatch(name) is not None
        and not _is_device(name)
        and not name.endswith(".onnx")
    )


def is_file_name(name: str) -> bool:
    """One name without separators, spaces and `..`, that means the same file on every system."""
    return (
        len(name) <= _LONGEST_FILE
        and _FILE.fullmatch(name) is not None
        and ".." not in name
        and not _is_device(name)
    )


def is_variant(name: str) -> bool:
    """Lower-case letters and digits: fp32, fp16, int8."""
    return _VARIANT.fullmatch(name) is not None


def split_variant(text: str) -> tuple[str, str | None]:
    """`starter:int8` as ("starter", "int8"), `starter` as ("starter", None)."""
    name, colon, variant = text.partition(":")
    return name, variant if colon else None


def _is_device(name: str) -> bool:
    return name.partition(".")[0].lower() in _DEVICES
