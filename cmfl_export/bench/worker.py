"""The process that a contender lives in: answers requests on standard input, one JSON object a line.

A process for each, because ONNX Runtime, OpenVINO and PyTorch bring thread pools that would get in each
other's way, and because the peak memory of one contender is then that of its process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import IO, Any

from .engine import Engine, Unit

# Shares of one core. Thread pools spin for some milliseconds after a run, waiting for the next.
_QUIET = 0.02
_LOOK_SECONDS = 0.05
_LONGEST_SETTLING = 2.0


def main() -> None:
    """Serves until standard input ends: the first request makes the engine, each other one measures."""
    answers = own_standard_output()
    engine: Engine | None = None
    units: dict[str, Unit] = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if engine is None:
                start = time.perf_counter()
                engine = make(request["kind"], request["options"])
                answer = {"load_seconds": time.perf_counter() - start, **engine.about()}
            else:
                answer = _measured(engine, units, request["measure"], request["seconds"])
        except Exception as error:
            answer = {"error": " ".join(f"{error or type(error).__name__}".split())[:300]}
        answer |= {"busy_cores": settle(), "peak_bytes": peak_bytes()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def make(kind: str, options: dict[str, Any]) -> Engine:
    """The engine of a contender; imports what that one needs and no more."""
    if kind == "model":
        from .exported import ExportedModel

        return ExportedModel(**options)
    if kind == "products":
        from .products import Products

        return Products(**options)
    if kind in ("torch", "loop"):
        from . import torch_contenders

        return (
            torch_contenders.Eager(**options)
            if kind == "torch"
            else torch_contenders.ReferenceLoop(**options)
        )
    from .training_contenders import Loader, Step

    return Step(**options) if kind == "training" else Loader(**options)


def timed(unit: Unit, seconds: float) -> dict[str, Any]:
    """Repeats a unit until `seconds` have passed, at least once: the amount, the time, each unit's time."""
    amount, times = 0.0, []
    start = before = time.perf_counter()
    while before - start < seconds:
        amount += unit()
        now = time.perf_counter()
        times.append(now - before)
        before = now
    return {"amount": amount, "seconds": before - start, "times": times}


def settle() -> float:
    """Waits until the threads of this process rest, so that it takes nothing from the next contender.

    Returns:
        the cores that it still keeps busy, in case they do not rest within two seconds.
    """
    start = time.perf_counter()
    while True:
        before, spent = time.perf_counter(), time.process_time()
        time.sleep(_LOOK_SECONDS)
        busy = (time.process_time() - spent) / (time.perf_counter() - before)
        if busy < _QUIET or time.perf_counter() - start > _LONGEST_SETTLING:
            return busy


def peak_bytes() -> int | None:
    """The most memory that this process has had, or None where the system does not say."""
    try:
        # getrusage would count what the parent had when it started this process.
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _measured(engine: Engine, units: dict[str, Unit], measure: str, seconds: float) -> dict[str, Any]:
    if measure not in units:
        unit = engine.unit(measure, seconds)
        # What the first run prepares (memory, kernels, compilation) is not of the rate.
        unit()
        units[measure] = unit
    return timed(units[measure], seconds)


def own_standard_output() -> IO[str]:
    """Standard output for the answers alone; what libraries print goes to standard error."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return own


if __name__ == "__main__":
    main()
