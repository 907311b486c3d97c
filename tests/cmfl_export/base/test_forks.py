"""After a fork: a child that uses its parent's model gets a reason, and does not hang or crash."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cmfl_export.runtime import providers
from tests.cmfl_export import tiny_model

CHILD = """
import os, sys
import numpy as np
from cmfl_export import CmflError, Detector
model, provider, how = sys.argv[1:]
pictures = [np.full((224, 224, 3), 51, np.uint8)] * 40
detector = Detector(model, provider=provider, threads=2)
assert len(detector.predict(pictures)) == 40
child = os.fork()
if child == 0:
    try:
        if how == "anew":
            detector = Detector(model, provider=provider, threads=2)
        rows = detector.predict(pictures)
        print("scored", round(rows[-1].p_real, 3))
    except CmflError as error:
        print("refused", error)
    del detector
    sys.exit(0)
_, status = os.waitpid(child, 0)
print("status", status)
"""


@pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="this system does not fork")
@pytest.mark.parametrize(
    ("provider", "how", "said"),
    [
        ("onnxruntime", "inherited", "refused"),
        ("onnxruntime", "anew", "scored 0.2"),
        ("openvino", "inherited", "refused"),
        ("openvino", "anew", "refused"),
    ],
)
def test_a_forked_child(provider: str, how: str, said: str, tmp_path: Path) -> None:
    if provider == "openvino" and not providers.has_openvino():
        pytest.skip("OpenVINO is not installed")
    model = tiny_model.write(tmp_path / "tiny.onnx")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(model), provider, how],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert said in done.stdout
    assert "status 0" in done.stdout
    if said == "refused":
        assert "forked" in done.stdout
