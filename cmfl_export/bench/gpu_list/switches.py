"""Measures what bound memory (IOBinding) and a recorded CUDA graph bring: each off and on, in turn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from ...base.cpu import usable_cores
from ...images import decode
from ...runtime import INPUT_NAME, DeviceModel, create_session, read_card
from ..worker import timed
from .figures import BatchSizes, Figures, Out, Seconds, numbers, run, said

# IOBinding, CUDA graph. A graph reads and writes fixed places, so it needs the binding.
MODES = ((False, False), (True, False), (True, True))
Mode = tuple[bool, bool]
_OUTPUTS = ["p_real"]
_Run = Callable[[NDArray[np.uint8]], object]


def main(
    model: Path,
    device: str,
    images: Path,
    batch_sizes: BatchSizes,
    rounds: Annotated[int, typer.Option(help="How often each is measured.")],
    seconds: Seconds,
    out: Out,
) -> None:
    """Rows: binding, graph, batch size, images/s and milliseconds per run, as medians over the rounds.

    On the CPU its own memory is bound, and nothing is recorded.
    """
    figures = Figures(out, model=model.name, precision=read_card(model).precision, device=device)
    pixels = [decode(path, aligned=True) for path in sorted(images.glob("*.jpg"))[:64]]
    runs: dict[Mode, _Run] = {}
    for binding, graph in MODES:
        try:
            runs[binding, graph] = _opened(model, device, binding, graph)
        except Exception as error:  # of the runtime: the model cannot be recorded
            figures.add(binding=binding, graph=graph, batch=None, error=said(error))
    for size in numbers(batch_sizes):
        batch = np.stack(list(islice(cycle(pixels), size)))
        found: dict[Mode, list[float]] = {mode: [] for mode in runs}
        failed: dict[Mode, str] = {}
        # The first round is the warm-up, in which graphs are recorded.
        for turn in range(rounds + 1):
            for mode in [mode for mode in runs if mode not in failed]:
                try:
                    times = timed(partial(_size, runs[mode], batch), seconds)["times"]
                except Exception as error:  # such as a lack of memory
                    failed[mode] = said(error)
                    continue
                found[mode] += times if turn else []
        for mode in runs:
            row = _row(failed.get(mode), found[mode], size)
            figures.add(binding=mode[0], graph=mode[1], batch=size, **row)


def _opened(model: Path, device: str, binding: bool, graph: bool) -> _Run:
    provider = "cuda-graph" if graph and device == "cuda" else device
    session = create_session(str(model), provider, usable_cores(), optimise=True)
    if not binding:
        return lambda batch: session.run(_OUTPUTS, {INPUT_NAME: batch})
    bound = DeviceModel(session, device, recorded=graph)
    return lambda batch: bound.run(_OUTPUTS, batch)


def _size(once: _Run, batch: NDArray[np.uint8]) -> float:
    once(batch)
    return len(batch)


def _row(failure: str | None, times: list[float], size: int) -> dict[str, Any]:
    if failure is not None:
        return {"error": failure}
    median = float(np.median(times))
    return {"rate": size / median, "p50_ms": 1e3 * median, "runs": len(times)}


if __name__ == "__main__":
    run(main)
