"""The pictures of the self-test: the same in Python and JavaScript, and a model that differs is noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmfl_export.runtime import Session
from cmfl_export.web import self_test
from cmfl_export.zoo import resolve
from tests.cmfl_export import tiny_model
from tests.cmfl_export.web import in_node


def test_both_languages_draw_the_same(tmp_path: Path) -> None:
    _, drawn = in_node.run(
        ["self_test.js"],
        "for (let number = 0; number < job; number++) parts.push(Buffer.from(selfTestPicture(number)));",
        self_test.COUNT,
        [],
        tmp_path,
    )
    pictures = self_test.pictures()
    assert np.array_equal(np.frombuffer(drawn, np.uint8).reshape(pictures.shape), pictures)
    assert np.ptp(pictures) == 255
    assert pictures.std(axis=(1, 2)).min() > 40


def test_the_starter_is_undecided_about_them() -> None:
    """Scores near 0 or 1 would hide a wrong backend."""
    goldens = self_test.goldens(Session.open(resolve("starter:int8"), "onnxruntime", exact=True))
    for values in goldens["scores"].values():
        assert all(0.1 < value < 0.95 for value in values)
        assert np.ptp(values) > 0.001


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([0.5, 0.25, 0.75], None),
        ([0.5, 0.25005, 0.75], None),
        ([0.5, 0.25, 0.752], "self-test picture 3: p_real is 0.7520 and must be 0.7500"),
        ([None, 0.25, 0.75], "self-test picture 1: p_real is NaN"),
    ],
)
def test_a_score_beyond_the_tolerance(found: list[float | None], message: str | None, tmp_path: Path) -> None:
    code = """
      const scores = job.map((score) => ({ p_real: score ?? NaN }));
      const golden = { tolerance: 1e-4, scores: { p_real: [0.5, 0.25, 0.75] } };
      return selfTest(async () => scores.shift(), golden).then(() => null, (error) => error.message);
    """
    said, _ = in_node.run(["self_test.js"], code, found, [], tmp_path)
    assert said is None if message is None else message in said


def test_the_goldens_are_the_model_s_scores(tiny: Path) -> None:
    goldens = self_test.goldens(Session.open(tiny, "onnxruntime"))
    assert goldens["tolerance"] == 1e-4
    expected = np.array([tiny_model.expected(image) for image in self_test.pictures()])
    for name, column in zip(tiny_model.SCORES, expected.T, strict=True):
        np.testing.assert_allclose(goldens["scores"][name], column, atol=1e-6)
