"""Matrix products are true float32 where they must be, whatever the host has set, and that is put back."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Each in a process of its own: after a mix of the two APIs, PyTorch refuses to tell the precision.
SETTINGS = {
    "nothing": "pass",
    "the older API": "torch.set_float32_matmul_precision('medium')",
    "the flag of CUDA": "torch.backends.cuda.matmul.allow_tf32 = True",
    "the newer API, CUDA": "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
    "the newer API, all": "torch.backends.fp32_precision = 'tf32'",
}
SCRIPT = """
import torch
from training.precision import kept_precision, matmul_precision
from training.spectrum import LogSpectrum
BACKENDS = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
read = lambda: [backend.fp32_precision for backend in BACKENDS]
image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
expected = LogSpectrum()(image)
{setting}
before = read()
assert torch.equal(LogSpectrum()(image), expected)
assert read() == before
with matmul_precision("ieee"):
    assert read() == ["ieee", "ieee"]
assert read() == before
with kept_precision():
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
assert read() == before
print("right")
"""


@pytest.mark.parametrize("setting", SETTINGS)
def test_whatever_the_host_has_set(setting: str) -> None:
    script = SCRIPT.format(setting=SETTINGS[setting])
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "right\n", done.stderr
