"""Scores images over HTTP (`cmfl serve`): requests, batches, limits, metrics.

>>> from cmfl_export.serve import ServeOptions, serve
>>> serve("starter", ServeOptions(port=8000), print)  # doctest: +SKIP
"""

from __future__ import annotations

from .options import TOKEN_VARIABLE, ServeOptions
from .run import serve

__all__ = ["TOKEN_VARIABLE", "ServeOptions", "serve"]
