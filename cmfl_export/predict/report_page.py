"""The report of `cmfl predict`: one page on which a person looks through what the detector says."""

from __future__ import annotations

import base64
import errno
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..base.files import whole_file, writing
from ..base.interrupts import lasting
from ..base.locks import exclusive
from ..base.text import visible
from ..base.versions import own_version
from ..detector import Detector
from ..images import Status, split_frame
from ..report import heatmaps, stream
from .report_rows import BINS, KINDS, Entry, ReportRows, disagree

# Without JavaScript there is no paging, so the lists that are in the page itself are kept short.
_MOST_LISTED = 200


@contextmanager
def open_report(report: Path, detector: Detector, *, pictures: int) -> Iterator[ReportRows]:
    """Gives a collection for the rows of a run, and at its end writes them as a page.

    A run that is cut short has its page too, which says so, unless it had no row yet. The page appears whole
    or not at all.

    Args:
        report: the page.
        detector: what scores the rows.
        pictures: how many images, the most suspicious, are in the page as pictures: some 17 kB each.

    Raises:
        CmflError: the page cannot be written, which is tried before the run; or another process writes it.
    """
    _check_folder(report)
    rows = ReportRows(detector.rule, pictures)
    complete = False
    with exclusive(report):
        try:
            yield rows
            complete = True
        finally:
            if complete or rows.total:
                with lasting():
                    _write(report, rows, detector, complete)


def _check_folder(report: Path) -> None:
    with writing(report):
        report.parent.mkdir(parents=True, exist_ok=True)
        if report.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if not os.access(report.parent, os.W_OK):
            raise PermissionError(errno.EACCES, "no permission to write in its folder")


def _write(report: Path, rows: ReportRows, detector: Detector, complete: bool) -> None:
    pictures, scored, failures = rows.pictures(), rows.scored(), rows.failures()
    page = stream(
        "predict/report_page.html.jinja",
        rows=rows,
        complete=complete,
        detector=detector,
        geometry=_geometry(detector),
        lacking=heatmaps.lacking(detector.card),
        made=datetime.now().astimezone().isoformat(" ", "seconds"),
        version=own_version(),
        plot=_Histogram(rows),
        scored=scored[:_MOST_LISTED],
        failures=failures[:_MOST_LISTED],
        videos=rows.videos[:_MOST_LISTED],
        with_score=len(scored),
        without_score=len(failures),
        data=_data(detector, rows.peaks, [*scored, *failures], pictures.keys(), report),
        pictures=pictures,
    )
    # The pictures are most of the page; they go to the file one by one.
    with whole_file(report) as part, writing(report), part.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(page)


def _geometry(detector: Detector) -> str:
    if detector.align == "auto":
        return "crops as they are; of other images the largest face, found and aligned first"
    if detector.align is not None:
        which = "the largest face" if detector.align == "largest" else "every face"
        return f"{which} of each image, found and aligned first"
    return "aligned face crops" if detector.aligned else "resized and cropped to the centre"


@dataclass(frozen=True)
class _Bar:
    """The images of one kind, real, synthetic or uncertain, from one score to another."""

    kind: str
    count: int
    low: float
    high: float
    x: float
    y: float
    width: float
    height: float


class _Histogram:
    """Where the parts of the histogram lie, in units of its drawing."""

    left, top, width, height = 48, 30, 640, 110

    def __init__(self, rows: ReportRows) -> None:
        self.highest = max(1, int(rows.histogram.sum(axis=0).max()))
        counts = rows.histogram.sum(axis=0).reshape(10, -1).sum(axis=1).tolist()
        self.tenths = ", ".join(f"{count} from {place / 10:g}" for place, count in enumerate(counts) if count)
        self.bars = list(self._bars(rows))

    def _bars(self, rows: ReportRows) -> Iterator[_Bar]:
        """Those of the real images stand on those of the uncertain and the synthetic ones."""
        step = self.width / BINS
        for place, counts in enumerate(rows.histogram.T.tolist()):
            base = float(self.top + self.height)
            for kind, count in zip(KINDS, counts, strict=True):
                if count:
                    tall = max(1.5, count / self.highest * self.height)
                    base -= tall
                    x = self.left + place * step + 0.5
                    yield _Bar(kind, count, place / BINS, (place + 1) / BINS, x, base, step - 1, tall)


def _data(
    detector: Detector,
    peaks: dict[str, float],
    entries: Sequence[Entry],
    pictures: Collection[int],
    report: Path,
) -> dict[str, Any]:
    """What the page's script reads."""
    rows = [
        {
            "number": entry.number,
            "path": visible(entry.row.path) + entry.face,
            "name": visible(Path(entry.row.path).name) + entry.face,
            "scores": entry.scores,
            "decision": entry.row.decision,
            "status": entry.row.status.value,
            "error": visible(entry.row.error),
            "disagree": disagree(entry.row, detector.rule),
            "domain": entry.row.domain,
            "outside": entry.row.out_of_domain is True,
            "earlier": entry.earlier,
            "said": entry.said,
            "picture": entry.number in pictures,
            "link": "" if entry.row.status is Status.NOT_FOUND else _link(entry.row.path, report),
        }
        for entry in entries
    ]
    return {
        "threshold": detector.threshold,
        "domain": "domain" in detector.groups,
        "band": detector.band,
        "branches": detector.card.architecture == "two_stream",
        "colours": base64.b64encode(heatmaps.colours().tobytes()).decode(),
        "peaks": peaks,
        "rows": rows,
    }


def _link(path: str, report: Path) -> str:
    """The address of a file from the page's folder, so that both can be moved together.

    That of a frame is of its video, with the time.
    """
    frame = None if os.path.lexists(path) else split_frame(path)
    if frame is not None:
        return f"{_link(frame[0], report)}#t={frame[1] / 1000:g}"
    try:
        relative = os.path.relpath(path, report.parent)
    except ValueError:  # another drive of Windows
        return Path(path).absolute().as_uri()
    return quote(os.fsencode(relative.replace(os.sep, "/")))
