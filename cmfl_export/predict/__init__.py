"""Scores images with a detector: result rows, the report on them, figures that explain one image.

>>> from cmfl_export.predict import predict_to
>>> summary = predict_to("starter", ["images/"], "rows.csv")  # doctest: +SKIP
"""

from __future__ import annotations

from .clips import interval_of, with_clips
from .explanations import Explanation, explain
from .parquet_rows import parquet_rows, parquet_setup
from .recheck import RecheckSummary, recheck
from .row_scorer import RowScorer, setup_of
from .row_values import check_score, number_in
from .row_writers import Writer, open_writer
from .rows import FORMATS, format_of, read_rows, row_of, row_of_csv
from .run import predict_to
from .summary import Summary

__all__ = [
    "FORMATS",
    "Explanation",
    "RecheckSummary",
    "RowScorer",
    "Summary",
    "Writer",
    "check_score",
    "explain",
    "format_of",
    "interval_of",
    "number_in",
    "open_writer",
    "parquet_rows",
    "parquet_setup",
    "predict_to",
    "read_rows",
    "recheck",
    "row_of",
    "row_of_csv",
    "setup_of",
    "with_clips",
]
