"""The page that scores images in a browser: with a server's detector, or with its own."""

from __future__ import annotations

from .build import BuiltPage, build_page
from .page_html import Page, render_page

__all__ = ["BuiltPage", "Page", "build_page", "render_page"]
