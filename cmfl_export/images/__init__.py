"""From a file to pixels: inputs, decoding, and the reason where an image cannot be decoded."""

from __future__ import annotations

from .decoding import (
    DEFAULT_MAX_PIXELS,
    EXTREME_RATIO,
    FORMATS,
    MAX_FILE_BYTES,
    SIZE,
    UNALIGNED_SIZE,
    ImageLike,
    Pixels,
    decode,
    file_bytes,
    fit,
    open_header,
    open_rgb,
    opened,
    resize_shorter,
)
from .degradations import Degradation, add_noise, parse_degradations, recompress, resize_and_back
from .folders import EXTENSIONS
from .foreign import foreign_table, is_foreign
from .inputs import count_paths, iter_paths, root_of
from .jpeg_tables import Tables, tables_of
from .outputs import refuse_inputs
from .sources import (
    DataRoot,
    Fault,
    Located,
    archive_kind,
    is_reference,
    located,
    look_for,
    objects,
    open_binary,
    scheme_of,
    shown,
    split_member,
    uploading,
)
from .status import ImageError, Status

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "EXTENSIONS",
    "EXTREME_RATIO",
    "FORMATS",
    "MAX_FILE_BYTES",
    "SIZE",
    "UNALIGNED_SIZE",
    "DataRoot",
    "Degradation",
    "Fault",
    "ImageError",
    "ImageLike",
    "Located",
    "Pixels",
    "Status",
    "Tables",
    "add_noise",
    "archive_kind",
    "count_paths",
    "decode",
    "file_bytes",
    "fit",
    "foreign_table",
    "is_foreign",
    "is_reference",
    "iter_paths",
    "located",
    "look_for",
    "objects",
    "open_binary",
    "open_header",
    "open_rgb",
    "opened",
    "parse_degradations",
    "recompress",
    "refuse_inputs",
    "resize_and_back",
    "resize_shorter",
    "root_of",
    "scheme_of",
    "shown",
    "split_member",
    "tables_of",
    "uploading",
]
