"""Lays a model's folder out as a repository of a hub, ready to be uploaded."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from cmfl_export.base.errors import UsageError
from cmfl_export.base.files import writing

from .add import copy_checked
from .manifest import CARD, MANIFEST, Manifest

README, ATTRIBUTES = "README.md", ".gitattributes"


def lay_out(folder: str | os.PathLike[str], out: str | os.PathLike[str]) -> list[Path]:
    """Copies what the manifest of a folder lists, and adds what a hub reads.

    README.md is card.md, whose front matter hubs read; .gitattributes puts the weights into Git LFS. The new
    folder appears whole or not at all.

    Args:
        folder: a model's folder, as `describe` leaves it.
        out: the folder to make; it may exist if it is empty.

    Returns:
        The files.

    Raises:
        ModelError: the manifest is faulty, or a file is not as it says.
        UsageError: `out` holds something, or cannot be written.
    """
    source, target = Path(folder), Path(out)
    manifest = Manifest.read(source / MANIFEST)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} exists and is not empty; give the name of a new folder")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".laying-out-", dir=target.parent))
    try:
        with writing(target):
            staging.chmod(0o755)
            for file in manifest.files:
                copy_checked(source / file.name, staging / file.name, file)
            shutil.copyfile(source / MANIFEST, staging / MANIFEST)
            shutil.copyfile(staging / CARD, staging / README)
            (staging / ATTRIBUTES).write_text("*.onnx filter=lfs diff=lfs merge=lfs -text\n", newline="\n")
            if target.exists():
                target.rmdir()
            staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return sorted(target.iterdir())
