"""Reads, builds and checks protocols: which images are in train, dev and eval."""

from .balance import balance
from .files import describe_missing, missing_files
from .leave_out import leave_out
from .reading import read_protocol, read_split, write_split
from .schema import COLUMNS, Protocol, Sample

__all__ = [
    "COLUMNS",
    "Protocol",
    "Sample",
    "balance",
    "describe_missing",
    "leave_out",
    "missing_files",
    "read_protocol",
    "read_split",
    "write_split",
]
