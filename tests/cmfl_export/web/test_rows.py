"""The page's rows in Node: decided as the model card decides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.cmfl_export import tiny_model
from tests.cmfl_export.web import in_node

DECIDE = """
  globalThis.ImageData = class {
    constructor(width, height) { this.data = new Uint8ClampedArray(4 * width * height); }
  };
  const rgb = new Uint8Array(3 * 224 * 224);
  return job.scores.map((score) => rowOf({ p_real: [score] }, rgb, job.rule).decision);
"""


@pytest.mark.parametrize("band", [None, (0.25, 0.75)])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_decisions(band: tuple[float, float] | None, temperature: float, tmp_path: Path) -> None:
    card = replace(tiny_model.card(), band=band, temperature=temperature)
    scores = [0.0, 0.1, 0.2499, 0.25, 0.4999, 0.5, 0.7499, 0.75, 0.9, 1.0]
    rule = {"threshold": card.threshold, "band": band, "temperature": temperature}
    found, _ = in_node.run(["rows.js"], DECIDE, {"scores": scores, "rule": rule}, [], tmp_path)
    assert found == [card.decide(score) for score in scores]
    assert ("uncertain" in found) == (band is not None)


@pytest.mark.parametrize("least", [0, 60])
def test_small_faces(least: int, tmp_path: Path) -> None:
    script = """
      const scored = { decision: 'real', status: 'ok', error: '' };
      const rows = job.sizes.map((size) => withResolution(scored, size, job.least));
      rows.push(withResolution(failedRow('unreadable', 'why'), 1, job.least));
      return rows.map((row) => [row.status, row.error]);
    """
    found, _ = in_node.run(["rows.js"], script, {"sizes": [12.5, 59, 60, 61], "least": least}, [], tmp_path)
    said = [f"the face has {size} pixels in the picture, fewer than 60" for size in (12.5, 59)]
    small = [["low_resolution", error] for error in said] if least else [["ok", ""]] * 2
    assert found == [*small, ["ok", ""], ["ok", ""], ["unreadable", "why"]]
