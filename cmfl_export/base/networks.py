"""Which networks there are."""

from __future__ import annotations

# What each architecture may see.
ARCHITECTURES = {"two_stream": ("multi",), "one_stream": ("rgb", "fft")}
