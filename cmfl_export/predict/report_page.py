"""The report of `cmfl predict`: one page on which a person looks through what the detector says."""

from __future__ import annotations

import base64
import errno
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from ..base.files import sha256_of, whole_file, writing
from ..base.interrupts import lasting
from ..base.locks import exclusive
from ..base.text import visible
from ..detector import Detector
from ..images import Status
from ..report import (
    Html,
    badge,
    card_table,
    definitions,
    document,
    escape,
    heatmaps,
    json_script,
    resource,
    table,
)
from ..runtime import Prediction
from .report_rows import BINS, Album, Entry, disagree

# Without JavaScript there is no paging, so the lists that are in the page itself are kept short.
_MOST_LISTED = 200
_PICTURES = "<!--pictures-->\n"


@contextmanager
def gallery(report: Path, detector: Detector, model: Path, *, pictures: int) -> Iterator[Album]:
    """Gives an album for the rows of a run, and at its end writes them as a page.

    A run that is cut short has its page too, which says so, unless it had no row yet. The page appears whole
    or not at all.

    Args:
        report: the page.
        detector, model: what scores the rows, and its file.
        pictures: how many images, the most suspicious, are in the page as pictures: some 17 kB each.

    Raises:
        CmflError: the page cannot be written, which is tried before the run; or another process writes it.
    """
    _check_folder(report)
    album = Album(detector.threshold, pictures)
    complete = False
    with exclusive(report):
        try:
            yield album
            complete = True
        finally:
            if complete or album.total:
                with lasting():
                    _write(report, album, detector, model, complete)


def _check_folder(report: Path) -> None:
    with writing(report):
        report.parent.mkdir(parents=True, exist_ok=True)
        if report.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if not os.access(report.parent, os.W_OK):
            raise PermissionError(errno.EACCES, "no permission to write in its folder")


def _write(report: Path, album: Album, detector: Detector, model: Path, complete: bool) -> None:
    pictures = album.pictures()
    made = datetime.now().astimezone().isoformat(" ", "seconds")
    body = (
        '<a class="skip" href="#results">Skip to the results</a>\n'
        f"<header>\n<h1>Detection report</h1>\n{_subtitle(album, detector, made)}</header>\n"
        f'<main>\n<section aria-label="Summary">\n{_notes(album, detector, len(pictures), complete)}'
        f'<div class="overview">\n{_counts(album, detector)}{_histogram(album)}</div>\n</section>\n'
        f'<section aria-labelledby="results">\n<h2 id="results" tabindex="-1">Results</h2>\n'
        f"<noscript>\n{_plain_list(album.scored())}</noscript>\n"
        f"{resource(__package__, 'report_page.html')}</section>\n"
        f"{_failed(album)}{_reading(detector)}{_model(detector, model, made)}</main>\n"
        f"{_data(album, detector, pictures.keys(), report)}\n{_PICTURES}"
    )
    page = document(
        f"Detection report: {detector.card.name}",
        body,
        style=resource(__package__, "report_page.css"),
        script=resource(__package__, "report_page.js"),
    )
    # The pictures are most of the page and go to the file one by one. Each has an element of its own, whose
    # text the browser keeps as it is until someone looks at the picture.
    before, _, after = page.partition(_PICTURES)
    with whole_file(report) as part, writing(report), part.open("w", encoding="utf-8", newline="\n") as file:
        file.write(before)
        for number, picture in pictures.items():
            file.write(json_script(f"picture-{number}", picture.data()) + "\n")
        file.write(after)


def _subtitle(album: Album, detector: Detector, made: str) -> Html:
    inputs = "1 input" if album.inputs == 1 else f"{album.inputs:,} inputs"
    return Html(f'<p class="quiet">{inputs}, model {escape(detector.card.name)}, {escape(made)}</p>\n')


def _notes(album: Album, detector: Detector, pictures: int, complete: bool) -> str:
    notes = [] if complete else ["The run was cut short: inputs that came later are not in this report."]
    if album.earlier:
        notes.append(
            f"{album.earlier:,} rows were scored by an earlier run, which this one resumed; "
            "they have scores but no pictures."
        )
    lacking = heatmaps.lacking(detector.card)
    if lacking:
        notes.append(
            f"This model puts out no {' and no '.join(lacking)}. To see them here, export it with: "
            f"cmfl export WEIGHTS -o MODEL.onnx --outputs {','.join(lacking)}"
        )
    if pictures < album.with_image:
        notes.append(
            f"The {pictures:,} most suspicious images are here as pictures, the others as text with a link."
        )
    shown = len(album.scored()) + len(album.failures())
    if shown < album.total:
        notes.append(
            f"{shown:,} of {album.total:,} rows are on this page, the most suspicious of them first."
        )
    warnings = "".join(f'<p class="note warn">{escape(note)}</p>\n' for note in notes)
    return f'<p class="note">{escape(detector.card.intended_use)}</p>\n{warnings}'


def _counts(album: Album, detector: Detector) -> Html:
    counts: dict[str, object] = {
        "Inputs": f"{album.inputs:,}",
        **({} if detector.align is None else {"Faces": f"{album.total - album.failed.total():,}"}),
        "Synthetic": f"{album.synthetic:,}",
        "Real": f"{album.real:,}",
        "Failed": f"{album.failed.total():,}",
    }
    if detector.card.architecture == "two_stream":
        counts["Branches disagree"] = f"{album.disagree:,}"
    return definitions(counts | {"Threshold": f"{detector.threshold:.4g}"})


def _histogram(album: Album) -> str:
    """Bars of synthetic and, upon them, real images by score, with the threshold."""
    width, height, left, top = 640, 110, 48, 30
    step = width / BINS
    most = max(1, int(album.histogram.sum(axis=0).max()))
    bars = []
    for place, (synthetic, real) in enumerate(album.histogram.T.tolist()):
        low, high = place / BINS, (place + 1) / BINS
        base = float(top + height)
        for kind, count in (("synthetic", synthetic), ("real", real)):
            if count:
                tall = max(1.5, count / most * height)
                base -= tall
                bars.append(
                    f'<rect class="{kind}" x="{left + place * step + 0.5:.1f}" y="{base:.1f}" '
                    f'width="{step - 1:.1f}" height="{tall:.1f}">'
                    f"<title>{count:,} {kind}, P(real) {low:.3f} to {high:.3f}</title></rect>\n"
                )
    ticks = "".join(
        f'<text class="below" x="{left + share * width:.0f}" y="{top + height + 5}" text-anchor="middle">'
        f"{share:g}</text>"
        for share in (0, 0.25, 0.5, 0.75, 1)
    )
    line = left + album.threshold * width
    anchor = "start" if album.threshold < 0.15 else "end" if album.threshold > 0.85 else "middle"
    tenths = album.histogram.sum(axis=0).reshape(10, -1).sum(axis=1).tolist()
    spoken = ", ".join(f"{count} from {place / 10:g}" for place, count in enumerate(tenths) if count)
    label = f"Histogram of P(real), images by tenths: {spoken or 'none'}; threshold {album.threshold:.4g}"
    return (
        f'<figure class="histogram"><svg viewBox="0 0 {left + width + 20} {top + height + 30}" role="img" '
        f'aria-label="{escape(label)}">\n'
        f'<path d="M{left} {top}V{top + height}H{left + width}"/>'
        f'<text x="{left - 6}" y="{top + 9}" text-anchor="end">{most:,}</text>'
        f'<text x="{left - 6}" y="{top + height}" text-anchor="end">0</text>{ticks}\n{"".join(bars)}'
        f'<path class="threshold" d="M{line:.1f} {top - 4}V{top + height}"/>'
        f'<text x="{line:.1f}" y="{top - 7}" text-anchor="{anchor}">threshold {album.threshold:.4g}</text>\n'
        '</svg>\n<figcaption>Images by P(real): <b class="synthetic">synthetic</b> below the threshold, '
        '<b class="real">real</b> from it on.</figcaption></figure>\n'
    )


def _plain_list(scored: Sequence[Entry]) -> Html:
    if not scored:
        return Html("<p>No image has a score.</p>\n")
    rows = (
        (_path(entry.row), *map(_number, _scores(entry.row)), entry.row.decision)
        for entry in scored[:_MOST_LISTED]
    )
    note = '<p class="note">Pictures, filters and the other pages need JavaScript.</p>\n'
    caption = f"The {min(len(scored), _MOST_LISTED)} most suspicious of {len(scored):,} images"
    header = ("File", "P(real)", "RGB branch", "Spectrum branch", "Decision")
    return Html(note + table(header, rows, caption=caption, numeric=(1, 2, 3)))


def _failed(album: Album) -> str:
    failures = album.failures()
    if not failures:
        return ""
    reasons = ", ".join(f"{count:,} {status.value}" for status, count in album.failed.most_common())
    rest = f"; the first {_MOST_LISTED} of them" if len(failures) > _MOST_LISTED else ""
    rows = (
        (_path(entry.row), badge(entry.row.status.value, "failed"), entry.row.error)
        for entry in failures[:_MOST_LISTED]
    )
    return (
        '<section aria-labelledby="failed">\n<h2 id="failed">Failed inputs</h2>\n'
        + table(("File", "Status", "Reason"), rows, caption=f"Without a score: {reasons}{rest}")
        + "</section>\n"
    )


def _reading(detector: Detector) -> str:
    items = {
        "P(real)": "The model's score: near 1 it saw a real photograph, near 0 a synthetic one. An image is "
        f"called real from the threshold {detector.threshold:.4g} on.",
    }
    if detector.card.architecture == "two_stream":
        items["Branches"] = (
            "The scores of the two halves of the network: one saw the colours of the image, the other its "
            "spectrum. They disagree when one is on the threshold's real side and the other is not. Only the "
            "joint score decides."
            + ("" if detector.card.temperature == 1 else " Only the joint score is calibrated.")
        )
    items["Spectrum"] = (
        "The strength of each frequency, zero at the centre and fine detail towards the edges. The "
        "up-sampling of generators can leave regular spots or lines in it."
    )
    items["Heatmap"] = (
        "Where a branch found evidence of synthetic (Grad-CAM, 14 by 14 fields). It shows what moved the "
        "score, not what was edited. Colours run up to the image's own peak, so that a weak heatmap looks "
        "like a strong one, unless one scale for all images is chosen."
    )
    return (
        '<section aria-labelledby="reading">\n<h2 id="reading">How to read this</h2>\n'
        f"{definitions(items)}</section>\n"
    )


def _model(detector: Detector, model: Path, made: str) -> str:
    card = detector.card
    given = detector.threshold != card.threshold
    facts = {
        "Model": card.name,
        "File": Html(f'<span class="path">{escape(model.name)}</span>'),
        "SHA-256 of the file": Html(f"<code>{sha256_of(model)}</code>"),
        "Threshold": f"{detector.threshold:.6g}",
        "Its source": f"this run's; the card says {card.threshold:.6g}" if given else card.threshold_source,
        "Temperature": f"{card.temperature:.4g}",
        "Architecture": f"{card.architecture}, {card.spectra}",
        "Training data": card.data or "not stated",
        "Geometry": _geometry(detector),
        "Ran on": detector.provider + (f" ({detector.passed_over})" if detector.passed_over else ""),
        "Made": made,
        "Tool": f"cmfl-export {version('cmfl-export')}",
    }
    return (
        '<section aria-labelledby="model">\n<h2 id="model">Model and run</h2>\n'
        f"{definitions(facts)}"
        f"<details>\n<summary>The whole model card</summary>\n{card_table(card)}</details>\n</section>\n"
    )


def _geometry(detector: Detector) -> str:
    if detector.align is not None:
        which = "the largest face" if detector.align == "largest" else "every face"
        return f"{which} of each image, found and aligned first"
    return "aligned face crops" if detector.aligned else "resized and cropped to the centre"


def _data(album: Album, detector: Detector, pictures: Collection[int], report: Path) -> Html:
    rows = [
        {
            "number": entry.number,
            "path": visible(entry.row.path) + _which(entry.row),
            "name": visible(Path(entry.row.path).name) + _which(entry.row),
            "scores": _scores(entry.row),
            "decision": entry.row.decision,
            "status": entry.row.status.value,
            "error": entry.row.error,
            "disagree": disagree(entry.row, album.threshold),
            "earlier": entry.earlier,
            "picture": entry.number in pictures,
            "link": "" if entry.row.status is Status.NOT_FOUND else _link(entry.row.path, report),
        }
        for entry in (*album.scored(), *album.failures())
    ]
    value = {
        "threshold": detector.threshold,
        "branches": detector.card.architecture == "two_stream",
        "colours": base64.b64encode(heatmaps.colours().tobytes()).decode(),
        "peaks": album.peaks,
        "rows": rows,
    }
    return json_script("report", value)


def _scores(row: Prediction) -> tuple[float | None, float | None, float | None]:
    return row.p_real, row.p_real_rgb, row.p_real_spectrum


def _path(row: Prediction) -> Html:
    return Html(f'<bdi class="path">{escape(row.path)}{_which(row)}</bdi>')


def _which(row: Prediction) -> str:
    """The face of a photograph that has several rows."""
    if row.face is None or row.faces is None or row.faces < 2:
        return ""
    return f" (face {row.face + 1} of {row.faces})"


def _number(score: float | None) -> str:
    return "" if score is None else f"{score:.3f}"


def _link(path: str, report: Path) -> str:
    """The address of a file from the page's folder, so that both can be moved together."""
    try:
        relative = os.path.relpath(path, report.parent)
    except ValueError:  # another drive of Windows
        return Path(path).absolute().as_uri()
    return quote(os.fsencode(relative.replace(os.sep, "/")))
