"""The parts of a job: one Parquet file per shard, which says itself what it comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..base import setups
from ..base.errors import UsageError
from ..base.setups import Setup
from ..predict import parquet_setup
from .manifest import Manifest
from .places import MissingError, inside, opened

_NAME = re.compile(r"part-(\d{6,9})\.parquet")


class AnotherSetupError(UsageError):
    """A part in the way comes from another model, other options or another manifest."""


def name_of(shard: int) -> str:
    """Returns the name of a shard's part."""
    return f"part-{shard:06}.parquet"


def shard_of(name: str) -> int | None:
    """Returns the shard of a part with this name; None for any other name."""
    found = _NAME.fullmatch(name)
    return None if found is None or name != name_of(int(found[1])) else int(found[1])


def setup_of_part(setup: Setup, manifest: Manifest, shard: int) -> dict[str, Any]:
    """Returns the set-up that a part keeps: that of its rows, its manifest, and its number."""
    return {**setup, "manifest": manifest.digest, "shards": manifest.shards, "shard": shard}


def is_done(folder: str, setup: Mapping[str, Any]) -> bool:
    """Whether the part with this set-up (see `setup_of_part`) is there. A damaged file counts as none.

    Raises:
        AnotherSetupError: a part of this name comes from another set-up.
        InputError: the folder cannot be read.
    """
    place = inside(folder, name_of(setup["shard"]))
    try:
        with opened(place, "the part") as stream:
            found = parquet_setup(stream)
    except MissingError:
        return False
    if found is None:
        return False
    changed = setups.differences(found, setups.complete(setup))
    if changed:
        raise AnotherSetupError(
            f"{place} comes from another set-up ({'; '.join(changed)}); give another folder, or remove it"
        )
    return True
