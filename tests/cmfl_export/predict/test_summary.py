"""What a run comes to, as text."""

from __future__ import annotations

from cmfl_export.images import Status
from cmfl_export.predict import Summary
from cmfl_export.runtime import Prediction


def test_the_summary_says_everything() -> None:
    summary = Summary("cpu", "cuda does not load: no cuDNN", skipped=2)
    for row in [
        Prediction("a", 0.9, decision="real"),
        Prediction("b", 0.1, decision="synthetic"),
        Prediction("c", status=Status.EMPTY, error="the file is empty"),
        Prediction("d", status=Status.EMPTY, error="the file is empty"),
    ]:
        summary.count(row)
    summary.seconds = 2.0
    assert summary.lines() == [
        "4 images: 1 real, 1 synthetic, 2 failed (2 empty)",
        "2 skipped: they already have their rows",
        "2.0 s, 2.0 images/s on cpu",
        "cuda does not load: no cuDNN",
    ]
    assert Summary("cuda").lines() == [
        "0 images: 0 real, 0 synthetic, 0 failed",
        "0.0 s, 0.0 images/s on cuda",
    ]
