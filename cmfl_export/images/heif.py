"""HEIC pictures, which phones take: decoded where the extra `heic` is installed."""

from __future__ import annotations

from functools import cache
from typing import BinaryIO

from PIL.ImageFile import ImageFile


@cache
def is_available() -> bool:
    """Whether the package that decodes HEIC is installed."""
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        return False
    return True


def open_heif(stream: BinaryIO) -> ImageFile:
    """Reads the header of a HEIC picture, which is upright already; the pixels are decoded by `load`.

    The picture is opened by its class. Registering it, as Pillow's plugins usually do, would change what
    every other user of Pillow in this process opens.

    Raises:
        Exception: of many classes; the header is damaged, or the file ends before its pixels.
    """
    from pillow_heif import HeifImageFile

    image: ImageFile = HeifImageFile(stream, "")  # type: ignore[no-untyped-call]
    return image
