"""Rows of one file come from one model and one set of options."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cmfl_export.base.errors import CmflError
from cmfl_export.predict.run import predict_to
from tests.cmfl_export import tiny_model


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_another_set_up_is_refused_and_named(tiny: Path, faces: Path, tmp_path: Path, name: str) -> None:
    out, first, both = tmp_path / name, [str(faces / "a.png")], [str(faces / "a.png"), str(faces / "b.png")]
    predict_to(tiny, first, out, provider="cpu")
    before = out.read_bytes()
    other = tiny_model.write(tmp_path / "other.onnx", burden=1)
    with pytest.raises(CmflError, match=r"come from another set-up \(model: tiny, SHA-256 \w+ -> tiny, SHA"):
        predict_to(other, both, out, provider="cpu", resume=True)
    with pytest.raises(CmflError, match=r"\(threshold: 0\.5 -> 0\.25; max pixels: \d+ -> 9\)"):
        predict_to(tiny, both, out, provider="cpu", resume=True, threshold=0.25, max_pixels=9)
    assert out.read_bytes() == before
    # The same model under another name is the same.
    shutil.copy(tiny, tmp_path / "copy.onnx")
    assert predict_to(tmp_path / "copy.onnx", both, out, provider="cpu", resume=True).skipped == 1


def test_rows_whose_set_up_is_lost_or_of_others_are_refused(tiny: Path, faces: Path, tmp_path: Path) -> None:
    out, inputs = tmp_path / "rows.csv", [str(faces / "a.png")]
    predict_to(tiny, inputs, out, provider="cpu")
    kept = tmp_path / "rows.csv.setup.json"
    text, rows = kept.read_bytes(), out.read_bytes()
    for content, message in (
        (None, "is missing, so the model and options that made the rows of .* are unknown"),
        (b"{}", "cannot be read"),
        (b"[" * 99999, "cannot be read"),
        (text.replace(b'"first_row_sha256": "', b'"first_row_sha256": "0'), "belongs to other rows"),
    ):
        kept.unlink(missing_ok=True)
        if content is not None:
            kept.write_bytes(content)
        with pytest.raises(CmflError, match=message):
            predict_to(tiny, inputs, out, provider="cpu", resume=True)
        assert out.read_bytes() == rows
    # A new start, and one whose file has no row yet, need none.
    predict_to(tiny, inputs, out, provider="cpu")
    assert kept.read_bytes() == text
    out.write_bytes(rows[:20])
    kept.unlink()
    predict_to(tiny, inputs, out, provider="cpu", resume=True)
    assert (out.read_bytes(), kept.read_bytes()) == (rows, text)
