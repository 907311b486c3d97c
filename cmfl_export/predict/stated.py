"""Adds to result rows what their files say of their pictures (`cmfl predict --provenance`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import tee
from typing import Any

from ..provenance import inspect_paths
from ..runtime import GROUPS, Prediction

GROUP = "provenance"


def with_provenance(
    paths: Iterable[str],
    score: Callable[[Iterator[str]], Iterator[Prediction]],
    *,
    anchors: str = "",
    workers: int | None = None,
) -> Iterator[Prediction]:
    """Yields the rows of `score`, with the columns of `cmfl_export.provenance`.

    The files are read and inspected by other threads while the model runs. What a file does not say is None;
    of a file that cannot be read, all is.

    Args:
        paths: of the inputs.
        score: gives the rows of these paths, in order, as `Detector.stream` does.
        anchors: certificates in PEM, see `cmfl_export.provenance.inspect`.
        workers: threads; None means one per core.
    """
    scored, inspected = tee(paths)
    said = inspect_paths(inspected, anchors, workers=workers)
    values: dict[str, Any] | None = None
    for row in score(scored):
        if values is None:
            record = next(said).record()
            values = {name: record[name] or None for name in GROUPS[GROUP]}
        yield replace(row, **values)
        if row.is_last:
            values = None
