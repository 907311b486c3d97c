"""Scores inputs into a file or to standard output (`cmfl predict`)."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Unpack

from ..base.errors import InputError, UsageError
from ..base.files import check_ending, refuse_overwriting
from ..base.options import DetectorOptions, DetectorSettings
from ..base.progress import Advance, bar
from ..base.text import counted, failures
from ..detector import Detector
from ..images import Status, clip_of, count_paths, refuse_inputs, scheme_of, shown
from ..provenance import read_anchors
from ..runtime import REAL, SYNTHETIC, UNCERTAIN, Prediction
from ..zoo import starter_label
from . import clips
from .case_file import Case, open_case
from .report_page import open_report
from .report_rows import ReportRows
from .row_scorer import RowScorer, setup_of
from .row_writers import Writer, open_writer
from .rows import format_of, read_rows

# What a summary says of rows that have a score, after their number.
_NOTES = {
    "low": "low_resolution: the face is so small in its picture that the score says little",
    "unfound": "of 224x224 pixels without a face that was found, scored as they are",
    "crowded": "with more than one face, of which the largest is scored; --align all scores each",
    "middles": "scored on their middle square, as they are not 224x224; to find their faces: "
    "pip install 'cmfl-export[faces]'",
}


@dataclass
class Summary:
    """The result of a run.

    Attributes:
        provider: where the model ran.
        passed_over: why `auto` did not use the GPU although there is an NVIDIA driver, else "".
        starter: the model that was used because none was given, else "".
        banded: whether the model has a band of uncertain scores.
        n: rows written; each but those of frames is real, synthetic, uncertain or failed.
        images, videos: inputs that have all of their rows.
        frames: frames of videos that have all of their rows.
        faces: rows of faces, if faces were searched.
        low: rows with a score whose face is too small in its picture (`low_resolution`).
        unfound: pictures of 224x224 that were scored as they are although no face was found.
        middles: pictures whose middle square was scored, as the package for finding faces is missing.
        crowded: pictures with more faces than the one that was scored.
        failed: rows without a score, by status.
        out_of_domain: rows whose image is unlike the training images; None if the model does not know them.
        skipped: inputs that already had their rows (resume).
        unsampled: videos in folders and archives that were passed over.
        seconds: duration without loading the model.
        report: the page that was written, else "".
        case, digest: the case file that was written, and the SHA-256 of its manifest, else "".
    """

    provider: str
    passed_over: str = ""
    starter: str = ""
    banded: bool = False
    n: int = 0
    images: int = 0
    videos: int = 0
    frames: int = 0
    faces: int = 0
    real: int = 0
    synthetic: int = 0
    low: int = 0
    unfound: int = 0
    middles: int = 0
    crowded: int = 0
    uncertain: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    out_of_domain: int | None = None
    skipped: int = 0
    unsampled: int = 0
    seconds: float = 0.0
    report: str = ""
    case: str = ""
    digest: str = ""

    @property
    def images_per_second(self) -> float:
        """Pictures and frames per second; 0 before the end of the run."""
        return (self.images + self.frames) / self.seconds if self.seconds else 0.0

    def pass_over(self, video: str) -> None:
        """Counts a video that has no rows."""
        self.unsampled += 1

    def count(self, row: Prediction) -> None:
        """Counts one more row."""
        self.n += 1
        is_frame, is_video = row.time is not None, row.frames is not None
        self.images += row.is_last and not (is_frame or is_video)
        self.frames += row.is_last and is_frame
        self.videos += is_video
        self.faces += row.face is not None
        # That of a video repeats what its frames say.
        self.low += row.status is Status.LOW_RESOLUTION and not is_video
        self.unfound += row.faces_found == 0
        self.middles += row.geometry == "middle"
        self.crowded += row.face == 0 and (row.faces_found or 0) > (row.faces or 0)
        if row.out_of_domain is not None:
            self.out_of_domain = (self.out_of_domain or 0) + row.out_of_domain
        if is_frame:
            # What counts is the row of its video.
            return
        if row.decision == REAL:
            self.real += 1
        elif row.decision == SYNTHETIC:
            self.synthetic += 1
        elif row.decision == UNCERTAIN:
            self.uncertain += 1
        else:
            self.failed[row.status.value] = self.failed.get(row.status.value, 0) + 1

    def advice_on_videos(self) -> str:
        """What to append to the error that there are no images; "" if there are no videos either."""
        return f" but {counted(self.unsampled, 'video')}; give --every 1s" if self.unsampled else ""

    def add(self, other: Summary) -> None:
        """Counts the rows of another run, but not its time."""
        for name in (
            "n",
            "images",
            "videos",
            "frames",
            "faces",
            "real",
            "synthetic",
            "uncertain",
            "skipped",
            *_NOTES,
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        if other.out_of_domain is not None:
            self.out_of_domain = (self.out_of_domain or 0) + other.out_of_domain
        for status, count in other.failed.items():
            self.failed[status] = self.failed.get(status, 0) + count

    def lines(self) -> list[str]:
        """The result as text, for standard error."""
        failed = failures(self.failed, "failed")
        faces = f", {counted(self.faces, 'face')}" if self.faces else ""
        uncertain = f"{self.uncertain} uncertain, " if self.banded or self.uncertain else ""
        inputs = [counted(self.images, "image")] if self.images or not self.videos else []
        if self.videos:
            inputs.append(f"{counted(self.videos, 'video')} of {counted(self.frames, 'frame')}")
        lines = [
            f"{', '.join(inputs)}{faces}: {self.real} real, {self.synthetic} synthetic, {uncertain}{failed}"
        ]
        if self.out_of_domain:
            lines.append(
                f"{self.out_of_domain} out of domain: unlike the training images, so without a basis"
            )
        if self.skipped:
            lines.append(f"{self.skipped} skipped: they already have their rows")
        lines += [f"{number} {note}" for name, note in _NOTES.items() if (number := getattr(self, name))]
        if self.unsampled:
            lines.append(f"{counted(self.unsampled, 'video')} passed over; name them, or give --every 1s")
        lines.append(f"{self.seconds:.1f} s, {self.images_per_second:.1f} images/s on {self.provider}")
        if self.starter:
            lines.append(f"scored with {self.starter}, as no model was given")
        if self.report:
            lines.append(f"report in {self.report}")
        if self.passed_over:
            lines.append(self.passed_over)
        if self.case:
            # The last line, for a program that signs it or has it time-stamped.
            lines += [f"case in {self.case}, SHA-256 of its manifest:", self.digest]
        return lines


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
