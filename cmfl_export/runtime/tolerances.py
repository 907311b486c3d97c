"""How far the scores of one file may lie apart between machines and runtimes."""

from __future__ import annotations

# For probabilities, by the card's precision. Only float32 must agree closely. int8 and fp16 have passed a
# test of their decisions when they were made, so their tolerance only finds a damaged or another file.
TOLERANCES = {"fp32": 1e-4, "fp16": 1e-2, "int8": 5e-2}
