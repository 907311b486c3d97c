"""How fast exported models and training are on this machine, against what the machine can do."""

from __future__ import annotations

from .run import bench, bench_training
from .table import lines

__all__ = ["bench", "bench_training", "lines"]
