"""Versions of installed packages."""

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


def own_version() -> str:
    """The version of this package; "unknown" where it runs from a checkout without being installed."""
    try:
        return importlib.metadata.version("cmfl-export")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def library_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """The installed versions by package; by default of the packages that take part in an export.

    Packages that are not installed are left out.
    """
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
