"""What the tests ask of predictions."""

from __future__ import annotations

from cmfl_export.runtime.prediction import Prediction


def the_row(found: Prediction | list[Prediction]) -> Prediction:
    """The one row of an array that is one picture, which the type of an array does not say."""
    assert isinstance(found, Prediction)
    return found
