"""From a file to pixels: inputs, decoding, and the reason where an image cannot be decoded."""

from __future__ import annotations

from .decoding import (
    DEFAULT_MAX_PIXELS,
    EXTREME_RATIO,
    FORMATS,
    MAX_FILE_BYTES,
    SIZE,
    UNALIGNED_SIZE,
    ImageError,
    ImageLike,
    Pixels,
    decode,
    fit,
    open_rgb,
    resize_shorter,
)
from .degradations import Degradation, add_noise, parse_degradations, recompress, resize_and_back
from .foreign import foreign_table, is_foreign
from .inputs import EXTENSIONS, count_paths, iter_paths, root_of
from .outputs import refuse_inputs
from .status import Status

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "EXTENSIONS",
    "EXTREME_RATIO",
    "FORMATS",
    "MAX_FILE_BYTES",
    "SIZE",
    "UNALIGNED_SIZE",
    "Degradation",
    "ImageError",
    "ImageLike",
    "Pixels",
    "Status",
    "add_noise",
    "count_paths",
    "decode",
    "fit",
    "foreign_table",
    "is_foreign",
    "iter_paths",
    "open_rgb",
    "parse_degradations",
    "recompress",
    "refuse_inputs",
    "resize_and_back",
    "resize_shorter",
    "root_of",
]
