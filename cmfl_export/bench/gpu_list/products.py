"""Measures how fast the device multiplies matrices: what the rates of networks are shares of."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from ..products import Products
from .figures import Figures, Out, Seconds, measured, numbers, run

PRECISIONS = ("fp32", "tf32", "fp16", "bf16")


def main(
    device: str,
    sizes: Annotated[str, typer.Option(help="Sides of the matrices, separated by commas.")],
    seconds: Seconds,
    out: Out,
) -> None:
    """Rows: precision, side of the matrices, and operations per second as `rate`."""
    figures = Figures(out, device=device)

    def rate(precision: str, size: int) -> dict[str, Any]:
        unit = Products(f"torch {device}", precision, size, None).unit("products", seconds)
        return measured(unit, seconds)

    for precision in PRECISIONS:
        for size in numbers(sizes):
            figures.attempt({"precision": precision, "size": size}, partial(rate, precision, size))


if __name__ == "__main__":
    run(main)
