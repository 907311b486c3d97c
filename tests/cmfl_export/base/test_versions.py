"""Versions, also where this package is not installed."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import cmfl_export
from cmfl_export.base.versions import library_versions, own_version

ROOT = Path(__file__).parents[3]


def test_of_a_checkout_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert own_version() == cmfl_export.__version__ == "unknown"
    assert library_versions() == {}


def test_the_package_is_the_command() -> None:
    command = [sys.executable, "-m", "cmfl_export", "--version"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    assert said == f"cmfl-export {own_version()}\n"
