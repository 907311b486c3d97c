"""The errors that a user can act on and that a caller can tell apart.

>>> from cmfl_export import Detector, ModelError
>>> try:
...     Detector("nowhere.onnx")
... except ModelError as error:
...     print(error)
nowhere.onnx: no such model file
"""

from __future__ import annotations


class CmflError(Exception):
    """An error that a user can act on. Its message is one line: what is wrong, with which file, what to do.

    The command line prints the message and exits with code 2.
    """


class UsageError(CmflError):
    """An option or argument is wrong, or an output cannot or must not be written."""


class ModelError(CmflError):
    """A model, its card, weights or a checkpoint is missing, damaged or of the wrong kind."""


class InputError(CmflError):
    """Images, scores or other input files are missing or unusable."""


class ProtocolError(CmflError):
    """A protocol, or a file that it is built from, is unusable."""


class ProviderError(CmflError):
    """A runtime does not load on this machine or fails to run a model."""


class DownloadError(CmflError):
    """A mirror cannot be reached or delivers a wrong file."""


class PackageError(CmflError):
    """An optional package is not installed."""


def need(extra: str, why: str) -> PackageError:
    """The error for a missing optional package, which names the extra that installs it.

    Args:
        extra: an extra of this package, such as "openvino".
        why: what needs the package; begins the message.
    """
    return PackageError(
        f"{why} needs packages that are not installed; run: pip install 'cmfl-export[{extra}]'"
    )
