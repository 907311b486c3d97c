"""Folders full of files that have names and nothing else: enough for who goes where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path


def plant(root: Path, folders: Mapping[str, Iterable[str]]) -> Path:
    """Makes empty files: folder -> names in it."""
    for folder, names in folders.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (root / folder / name).touch()
    return root


def numbered(count: int, prefix: str = "") -> list[str]:
    return [f"{prefix}{number:03}.png" for number in range(count)]
