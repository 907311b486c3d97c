"""PyTorch's precision of float32 matrix products, whichever of its two APIs a host process uses.

`torch.get_float32_matmul_precision` raises an error in a process that has used the newer settings by backend.
Reading and writing these works in either case.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_BACKENDS = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]


@contextmanager
def kept_precision() -> Iterator[None]:
    """Puts the precision back at the end to what it was at the beginning."""
    try:
        # The older API keeps a value of its own, which has to agree with those by backend.
        named: str | None = torch.get_float32_matmul_precision()
    except RuntimeError:
        named = None
    with _kept_by_backend():
        try:
            yield
        finally:
            if named is not None:
                torch.set_float32_matmul_precision(named)


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Float32 matrix products in this precision: "ieee" (true float32) or "tf32"."""
    with _kept_by_backend():
        for backend in _BACKENDS:
            backend.fp32_precision = precision
        yield


@contextmanager
def _kept_by_backend() -> Iterator[None]:
    before = [(backend, backend.fp32_precision) for backend in _BACKENDS]
    try:
        yield
    finally:
        for backend, value in before:
            backend.fp32_precision = value
