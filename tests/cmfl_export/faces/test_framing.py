"""Where the landmarks of a crop are, and of a photograph that is none."""

from __future__ import annotations

import numpy as np
import pytest

from cmfl_export.faces.crop import template
from cmfl_export.faces.framing import is_on_template


@pytest.mark.parametrize("side", [64, 224, 1024])
@pytest.mark.parametrize("scale", [0.65, 0.8, 1.0, 1.35])
def test_crops_show_more_or_less_around_the_face(side: int, scale: float) -> None:
    assert is_on_template(template(scale) * side / 224, side)


@pytest.mark.parametrize("shift", [(10, -15), (-20, 10)])
def test_crops_that_were_framed_by_hand(shift: tuple[int, int]) -> None:
    assert is_on_template(template(0.8) + shift, 224)


@pytest.mark.parametrize(
    ("scale", "shift"), [(0.5, (0, 0)), (1.5, (0, 0)), (0.8, (40, 0)), (0.8, (0, -30)), (0.7, (25, 25))]
)
def test_photographs(scale: float, shift: tuple[int, int]) -> None:
    assert not is_on_template(template(scale) + shift, 224)


def test_a_face_that_lies_on_its_side() -> None:
    turned = (template(0.8) - 112) @ np.array([[0.0, 1.0], [-1.0, 0.0]]) + 112
    assert not is_on_template(turned, 224)
