"""The errors that a person can act on, and that a caller can tell apart.

>>> from cmfl_export import Detector, ModelError
>>> try:
...     Detector("nowhere.onnx")
... except ModelError as error:
...     print(error)
nowhere.onnx: no such model file
"""

from __future__ import annotations


class CmflError(Exception):
    """What a person can act on. The message is one line: what is wrong, with which file, what to do.

    The command line prints it and exits with code 2.
    """


class UsageError(CmflError):
    """An option or argument that cannot be, or an output that must not be written."""


class ModelError(CmflError):
    """A model, its card, weights or a checkpoint that is missing, damaged or of the wrong kind."""


class InputError(CmflError):
    """Images, scores or other input files that are missing or cannot be used."""


class ProtocolError(CmflError):
    """A protocol, or a file that one is made from, that cannot be used."""


class ProviderError(CmflError):
    """A runtime that does not load here, or fails to run."""


class DownloadError(CmflError):
    """A mirror that does not give what it should."""


class PackageError(CmflError):
    """An optional package that is missing."""


def need(extra: str, why: str) -> PackageError:
    """The error for a missing optional package: names the extra that brings it."""
    return PackageError(
        f"{why} needs packages that are not installed; run: pip install 'cmfl-export[{extra}]'"
    )
