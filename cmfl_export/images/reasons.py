"""Turns whatever decoding raises into a status and one line: Pillow's plugins raise many classes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from ..base.errors import PackageError
from .decode_limits import TooSlowError
from .pixel_layouts import UnsupportedError
from .status import ImageError, Status
from .truncation import IncompleteError


@contextmanager
def as_image_error() -> Iterator[None]:
    """Turns every exception of its block into an ImageError."""
    try:
        yield
    except ImageError:
        raise
    except Exception as error:
        status, message = _reason(error)
        raise ImageError(status, message) from error


def _reason(error: Exception) -> tuple[Status, str]:
    text = " ".join(str(error).split()) or type(error).__name__
    result = Status.UNREADABLE, f"damaged image data ({text[:100]})"
    match error:
        case TooSlowError():
            result = Status.TOO_SLOW, text
        case UnsupportedError() | PackageError():
            result = Status.UNSUPPORTED, text
        case FileNotFoundError(filename=str() as name) if Path(name).is_symlink():
            result = Status.NOT_FOUND, "broken symbolic link"
        case FileNotFoundError() | NotADirectoryError():
            result = Status.NOT_FOUND, "no such file"
        case PermissionError():
            result = Status.PERMISSION_DENIED, "permission denied"
        case OSError(errno=int() as number):
            result = Status.UNREADABLE, os.strerror(number).lower()
        case MemoryError():
            result = Status.TOO_LARGE, "not enough memory to decode it"
        case Image.DecompressionBombError():
            result = Status.TOO_LARGE, "larger than Pillow decodes"
        case IncompleteError():
            result = Status.TRUNCATED, "a part of the picture's data is missing"
        case EOFError() | SyntaxError(__cause__=EOFError()):
            result = Status.TRUNCATED, "the file ends too early"
        case OSError() if "truncated" in text.lower():
            result = Status.TRUNCATED, "the file ends too early"
    return result
