"""Parts of pages and plots."""

from __future__ import annotations

from .figures import INK, LEGEND_ROW, QUIET, finish, line_of, new_figure, save, short, styled, svg
from .html import (
    Html,
    badge,
    card_table,
    data_uri,
    definitions,
    document,
    escape,
    figure,
    json_script,
    resource,
    table,
)

__all__ = [
    "INK",
    "LEGEND_ROW",
    "QUIET",
    "Html",
    "badge",
    "card_table",
    "data_uri",
    "definitions",
    "document",
    "escape",
    "figure",
    "finish",
    "json_script",
    "line_of",
    "new_figure",
    "resource",
    "save",
    "short",
    "styled",
    "svg",
    "table",
]
