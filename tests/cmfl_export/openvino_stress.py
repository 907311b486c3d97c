"""`python -m tests.cmfl_export.openvino_stress RUNS [bare]`: first runs of a model by many threads at once.

Each run is a process forked from one that has imported OpenVINO and never converted a tensor, so that all of
the binding is still to be made ready. Prints how many of them ended in time. `bare` leaves out the mend.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from cmfl_export.runtime import openvino, providers
from tests.cmfl_export import tiny_model

THREADS = 16
LONGEST = 60.0


def once(path: Path, longest: float) -> bool:
    """Whether a process ends whose threads all make and run a model at once."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = use(path)
        finally:
            os._exit(code)
    deadline = time.monotonic() + longest
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.002)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


def use(path: Path) -> int:
    model = openvino.OpenVinoModel(path, path.read_bytes(), "fp32", 8)
    batch = np.full((1, 224, 224, 3), 51, np.uint8)
    model._networks[False] = openvino._Network([model._compile(*part, False) for part in model._parts])
    together = threading.Barrier(THREADS)
    wrong = []

    def run() -> None:
        together.wait()
        (scores,) = model.run(["p_real"], batch, low_latency=False)
        if abs(scores[0] - 0.2) > 1e-6:
            wrong.append(scores)

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(wrong)


def main() -> None:
    runs, bare = int(sys.argv[1]), "bare" in sys.argv
    if bare:
        openvino._ready_for_threads = providers.load_openvino
    providers.load_openvino()
    with tempfile.TemporaryDirectory() as folder:
        path = tiny_model.write(Path(folder) / "tiny.onnx")
        ended = sum(once(path, 10.0 if bare else LONGEST) for _ in range(runs))
    print(f"{ended} of {runs} ended")


if __name__ == "__main__":
    main()
