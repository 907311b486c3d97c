"""Scores more than one machine can: a plan of shards, parts that workers write, and one file made of them.

>>> from cmfl_export.cluster import gather, plan, predict_shards
>>> plan(["images/"], "m.parquet", shards=20)  # doctest: +SKIP
>>> predict_shards("starter", "m.parquet", "parts/", "0-9")  # doctest: +SKIP
>>> gather("parts/", "rows.csv", manifest="m.parquet")  # doctest: +SKIP
"""

from __future__ import annotations

from .gathering import gather
from .manifest import Manifest
from .on_ray import predict_on_ray
from .planning import plan
from .scoring import ShardsSummary, predict_shards

__all__ = [
    "Manifest",
    "ShardsSummary",
    "gather",
    "plan",
    "predict_on_ray",
    "predict_shards",
]
