"""Parts of pages and plots."""

from __future__ import annotations

from .figures import INK, LEGEND_ROW, QUIET, finish, line_of, new_figure, save, short, styled, svg
from .html import data_uri, render, sha256_of, source, stream

__all__ = [
    "INK",
    "LEGEND_ROW",
    "QUIET",
    "data_uri",
    "finish",
    "line_of",
    "new_figure",
    "render",
    "save",
    "sha256_of",
    "short",
    "source",
    "stream",
    "styled",
    "svg",
]
