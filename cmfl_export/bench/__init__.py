"""Measures how fast exported models and training are on this machine, and what the machine's limit is."""

from __future__ import annotations

from .run import bench, bench_training
from .table import lines

__all__ = ["bench", "bench_training", "lines"]
