"""Which versions of which packages took part."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

PACKAGES = (
    "cmfl-export",
    "torch",
    "torchvision",
    "onnx",
    "onnxscript",
    "onnxruntime-gpu",
    "onnxruntime",
    "numpy",
)


def library_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """The installed versions of these packages; by default of what takes part in making the file."""
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
