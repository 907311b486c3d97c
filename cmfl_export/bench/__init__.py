"""Measures how fast models, servers and training are on this machine, and what the machine's limit is."""

from __future__ import annotations

from .run import bench, bench_training
from .serving import bench_serving
from .serving_report import serving_lines
from .table import lines

__all__ = ["bench", "bench_serving", "bench_training", "lines", "serving_lines"]
