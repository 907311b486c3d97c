"""The process of a contender: answers requests on standard input, one JSON object per line.

Each contender has its own process, because the thread pools of ONNX Runtime, OpenVINO and PyTorch would slow
each other down, and because its peak memory is then that of the process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from .engine import Engine, Unit

_QUIET = 0.02  # share of one core; thread pools spin for some milliseconds after a run
_LOOK_SECONDS = 0.05
_LONGEST_SETTLING = 2.0


def main() -> None:
    """Answers requests until standard input ends: the first loads the engine, each other one measures."""
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
    """Returns the engine of a contender; imports only what this one needs."""
    if kind == "model":
        from .exported import ExportedModel

        return ExportedModel(**options)
    if kind == "served":
        from .served import Served

        return Served(**options)
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
    """Repeats a unit for `seconds`, at least once; returns the amount, and the seconds in all and of each."""
    amount, times = 0.0, list[float]()
    start = before = time.perf_counter()
    while before - start < seconds:
        done = unit()
        now = time.perf_counter()
        if isinstance(done, Sequence):
            amount += len(done)
            times += done
        else:
            amount += done
            times.append(now - before)
        before = now
    return {"amount": amount, "seconds": before - start, "times": times}


def settle() -> float:
    """Waits until the threads of this process are idle, so that they do not slow the next contender.

    Returns:
        The number of cores that are still busy, if the threads are not idle within two seconds.
    """
    start = time.perf_counter()
    while True:
        before, spent = time.perf_counter(), time.process_time()
        time.sleep(_LOOK_SECONDS)
        busy = (time.process_time() - spent) / (time.perf_counter() - before)
        if busy < _QUIET or time.perf_counter() - start > _LONGEST_SETTLING:
            return busy


def peak_bytes() -> int | None:
    """Returns the peak memory of this process, or None if the system does not tell it."""
    try:
        # getrusage would include the memory that the parent had when it started this process.
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
        # The first run prepares memory, kernels and compilation, so it does not count.
        unit()
        units[measure] = unit
    return timed(units[measure], seconds)


def own_standard_output() -> IO[str]:
    """Returns a stream to standard output for the answers; prints of libraries go to standard error."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return own


if __name__ == "__main__":
    main()
