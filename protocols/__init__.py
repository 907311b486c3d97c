"""Who is in train, dev and eval: protocol files, read and checked."""

from .balance import balance
from .files import describe_missing, missing_files
from .reading import read_protocol, read_split, write_split
from .schema import COLUMNS, Protocol, Sample

__all__ = [
    "COLUMNS",
    "Protocol",
    "Sample",
    "balance",
    "describe_missing",
    "missing_files",
    "read_protocol",
    "read_split",
    "write_split",
]
