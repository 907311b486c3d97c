"""Measures one exported model on one provider: the network by batch size, and the way from JPEG files."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

from ...runtime import read_card
from ..contenders import FOLDER
from ..exported import ExportedModel
from ..work import operations
from .figures import (
    BatchSizes,
    Figures,
    Out,
    Seconds,
    device_megabytes,
    host_megabytes,
    measured,
    numbers,
    run,
)

_SINGLE_FOR = 4  # times as long is one image measured, as a 99th percentile needs many runs
_FILES_FOR = 3  # times as long as the network, as filling and draining the pipeline is a part of it


def main(
    model: Path,
    provider: str,
    images: Path,
    batch_sizes: BatchSizes,
    file_batches: BatchSizes,
    seconds: Seconds,
    out: Out,
) -> None:
    """Rows: `what` is "network" or "files", with the batch size, images/s, latency and memory."""
    paths = [str(path) for path in sorted(images.glob("*.jpg"))]
    figures = Figures(out, model=model.name, precision=read_card(model).precision, wanted=provider)
    before = device_megabytes()

    def opened(batch_size: int) -> ExportedModel:
        return ExportedModel(str(model), provider, None, paths, batch_size, batch_size)

    def memory() -> dict[str, Any]:
        now = device_megabytes()
        gpu = None if now is None or before is None else now - before
        return {"gpu_mb": gpu, "host_mb": host_megabytes()}

    def network(size: int) -> dict[str, Any]:
        duration = seconds * (_SINGLE_FOR if size == 1 else 1)
        return measured(engine.unit(f"batch {size}", duration), duration) | memory()

    def files(size: int) -> dict[str, Any]:
        # A second session, with its batch size; what both have taken is not told apart.
        return measured(opened(size).unit(FOLDER, _FILES_FOR * seconds), _FILES_FOR * seconds)

    start = time.perf_counter()
    engine = opened(1)
    figures.learn(
        provider=engine.about()["provider"],
        load_seconds=round(time.perf_counter() - start, 2),
        operations=operations(model),
    )
    for size in numbers(batch_sizes):
        figures.attempt({"what": "network", "batch": size}, partial(network, size))
    for size in numbers(file_batches):
        figures.attempt({"what": "files", "batch": size}, partial(files, size))


if __name__ == "__main__":
    run(main)
