"""Scores inputs into a file or to standard output (`cmfl predict`)."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Unpack

from ..base.errors import InputError, UsageError
from ..base.files import check_ending, refuse_overwriting
from ..base.options import DetectorOptions, DetectorSettings
from ..base.progress import Advance, bar
from ..detector import Detector
from ..images import clip_of, count_paths, refuse_inputs, scheme_of, shown
from ..provenance import read_anchors
from ..zoo import starter_label
from . import clips
from .case_file import Case, open_case
from .report_page import open_report
from .report_rows import ReportRows
from .row_scorer import RowScorer, setup_of
from .row_writers import Writer, open_writer
from .rows import format_of, read_rows
from .summary import Summary


def predict_to(
    model: str | Path | None,
    inputs: Sequence[str],
    output: str | Path | None = None,
    format: str | None = None,
    *,
    recursive: bool = True,
    null_separated: bool = False,
    column: str | None = None,
    every: float | None = None,
    resume: bool = False,
    progress: bool | None = None,
    report: str | Path | None = None,
    report_images: int = 5000,
    case: str | Path | None = None,
    provenance: bool = False,
    trust_anchors: str | Path | None = None,
    options: DetectorOptions | None = None,
    **settings: Unpack[DetectorSettings],
) -> Summary:
    """Scores every input and writes one row per input, in order; with `align` one row per face.

    A video has rows for its frames and then one for itself, see `clips`.

    Rows are in the output as soon as their batch has run, so after an interrupt or a kill the file has all
    rows so far (csv and jsonl). The output is not touched before the model is loaded and the first input
    found. When the reader of standard output ends (`| head`), the run ends without an error. The report is
    written at the end; after an interrupt or an error it has the rows so far.

    Args:
        inputs, recursive, null_separated, column: see `cmfl_export.images.iter_paths`.
        output, format, resume: see `cmfl_export.predict.open_writer`; None and "-" are standard output. An
            object in a store appears only when all rows are written. With `resume`, inputs with a row are
            skipped, each as often as it has one; a video that was not finished goes on behind its frames.
        every: seconds between the frames of each video that is named or found; None takes a frame a second of
            videos that are named, and passes over those in folders and archives.
        model, options, settings: see `Detector`.
        progress: whether to show a progress bar on standard error; None shows it on a terminal, unless rows
            appear there.
        report: an HTML page of the rows, see `report_page`; with `resume` also of the earlier ones.
        report_images: number of images, the most suspicious ones, that the report shows as pictures.
        case: a .zip file of rows, digests of the inputs, card, set-up and report, see `case_file`. Cannot be
            resumed, and has no videos.
        provenance: the rows also have what the files say, see `cmfl_export.provenance`; not with videos.
        trust_anchors: a file of certificates in PEM for Content Credentials.

    Raises:
        UsageError: an option or output cannot be used; an output is an input, the model or the other output,
            or another process is writing it; a resumed file comes from another model or other options.
        InputError: no input, or a file to resume is not one of `cmfl predict`.
        ModelError, ProviderError: the model cannot be used.
        PackageError: a package for this format or option is missing.
    """
    options = DetectorOptions.of(options, settings)
    output = None if output == "-" else output
    if report_images < 0:
        raise UsageError(f"report images must be at least 0, not {report_images}")
    targets = _Targets.of(output, format, report, case, inputs)
    if case is not None and resume:
        raise UsageError("a case holds one run, which cannot be resumed; leave out --resume or --case")
    if case is not None or provenance:
        clips.refuse_videos(inputs, every, "--provenance" if provenance else "--case")
    anchors = read_anchors(trust_anchors)
    detector = Detector(model, options)
    scorer = RowScorer(detector, provenance, anchors)
    has_clips = clips.has_clips(inputs, every)
    groups = (*scorer.groups, *([clips.GROUP] if has_clips else []))
    refuse_overwriting(targets.files, [("the model", detector.path)])
    starter = starter_label() if model is None else ""
    summary = Summary(detector.provider, detector.passed_over, starter, detector.band is not None)
    paths = clips.paths_of(
        inputs,
        every,
        recursive=recursive,
        null_separated=null_separated,
        column=column,
        max_pixels=detector.max_pixels,
        passed_over=summary.pass_over,
    )
    first = next(paths, None)
    if first is None:
        raise InputError(f"no images found in {_named(inputs)}{summary.advice_on_videos()}")
    start = time.perf_counter()
    try:
        with (
            nullcontext() if targets.case is None else open_case(targets.case, detector, groups) as filed,
            _report(targets.report, filed, detector, report_images) as reported,
            open_writer(
                targets.rows,
                format,
                groups=groups,
                resume=resume,
                setup={
                    **setup_of(detector, groups, anchors),
                    **({"every": every or clips.EVERY} if has_clips else {}),
                },
            ) as writer,
            _bar(inputs, recursive, every or has_clips, output, progress) as advance,
        ):
            if reported is not None and resume and isinstance(targets.rows, Path):
                for row in read_rows(targets.rows, format):
                    reported.add(row, earlier=True)

            for row in clips.with_clips(
                chain([first], paths),
                partial(scorer.rows, extras=reported is not None),
                rule=detector.rule,
                looks_for_faces=detector.align is not None,
                is_done=lambda path: _is_done(path, writer, summary),
                earlier=writer.unfinished,
            ):
                writer.write([row])
                summary.count(row)
                if row.is_last:
                    advance(summary.skipped)
                if reported is not None:
                    reported.add(row)
                if filed is not None:
                    filed.add(row)
    except BrokenPipeError:
        # The reader of the rows has ended and wants no more.
        pass
    summary.seconds = time.perf_counter() - start
    summary.report = "" if report is None else str(report)
    if filed is not None and filed.digest:
        summary.case, summary.digest = str(targets.case), filed.digest
    return summary


@dataclass(frozen=True)
class _Targets:
    """What a run writes: rows (to a file, or to an address of a store), a report and a case."""

    rows: Path | str | None
    report: Path | None
    case: Path | None

    @classmethod
    def of(
        cls,
        output: str | Path | None,
        format: str | None,
        report: str | Path | None,
        case: str | Path | None,
        inputs: Sequence[str],
    ) -> _Targets:
        """Takes outputs as a user gives them.

        Raises:
            UsageError: one cannot be used, or is an input.
        """
        for page, what in ((report, "the report"), (case, "the case")):
            if page is not None and scheme_of(str(page)):
                raise UsageError(f"{what} is written to a file, not to {shown(str(page))}")
        is_address = output is not None and bool(scheme_of(str(output)))
        if is_address and str(output) in inputs:
            raise UsageError(f"{shown(str(output))} is one of the inputs; give the output another name")
        report, case = (None if path is None else Path(path) for path in (report, case))
        check_ending(report, (".html",), "the report")
        rows = str(output) if is_address else None if output is None else Path(output)
        if output is not None:
            format_of(Path(output), format)
        targets = cls(rows, report, case)
        refuse_inputs(targets.files, inputs)
        return targets

    @property
    def files(self) -> list[Path | None]:
        """Those that are files."""
        return [self.rows if isinstance(self.rows, Path) else None, self.report, self.case]


def _is_done(path: str, writer: Writer, summary: Summary) -> bool:
    """Whether the resumed file has the rows of a path; each counts once."""
    if writer.done[path] <= 0:
        return False
    writer.done[path] -= 1
    # A frame of a video is no input by itself.
    summary.skipped += clip_of(path) is None
    return True


@contextmanager
def _report(
    report: Path | None, case: Case | None, detector: Detector, pictures: int
) -> Iterator[ReportRows | None]:
    """Gives the report of a run, if it has one; a case has one, too."""
    page = case.report if report is None and case is not None else report
    if page is None:
        yield None
        return
    with open_report(page, detector, pictures=pictures) as rows:
        yield rows
    if case is not None and page != case.report:
        shutil.copyfile(page, case.report)


def _bar(
    inputs: Sequence[str],
    recursive: bool,
    every: float | None,
    output: str | Path | None,
    progress: bool | None,
) -> AbstractContextManager[Advance]:
    rows_on_terminal = output is None and sys.stdout.isatty()
    return bar(
        lambda: count_paths(inputs, recursive=recursive, every=every),
        shown=False if progress is None and rows_on_terminal else progress,
    )


def _named(inputs: Sequence[str]) -> str:
    names = ["standard input" if name == "-" else shown(name) for name in inputs]
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (", ".join(names[:3]) or "an empty list of inputs") + rest
