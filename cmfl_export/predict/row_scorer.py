"""From a detector and what else is asked of its rows to the rows, their columns and their set-up."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from ..base.setups import Setup
from ..detector import Detector
from ..runtime import Prediction
from .stated import GROUP, with_provenance


@dataclass(frozen=True)
class RowScorer:
    """Scores pictures.

    Attributes:
        detector: the model.
        provenance: whether the rows also have what the files say of themselves.
        anchors: certificates in PEM for that, see `cmfl_export.provenance.read_anchors`.
    """

    detector: Detector
    provenance: bool = False
    anchors: str = ""

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of columns in the rows."""
        return (*self.detector.groups, *([GROUP] if self.provenance else []))

    @property
    def setup(self) -> Setup:
        """The set-up of the rows."""
        return setup_of(self.detector, self.groups, self.anchors)

    def rows(self, paths: Iterable[str], *, extras: bool = False) -> Iterator[Prediction]:
        """Yields the rows of these pictures, in order; `extras` as in `Detector.stream`."""
        score = partial(self.detector.stream, extras=extras)
        if not self.provenance:
            return score(paths)
        workers = self.detector.options.workers
        return with_provenance(paths, score, anchors=self.anchors, workers=workers)


def setup_of(detector: Detector, groups: Sequence[str], anchors: str = "") -> Setup:
    """The set-up of rows of this detector: its model, each option that changes rows, and their `groups`.

    `anchors` are the certificates that vouched for signers, in PEM.
    """
    setup: dict[str, str | int | float | bool | None] = {
        "model": f"{detector.card.name}, SHA-256 {detector.sha256}",
        "threshold": detector.threshold,
        "aligned": detector.aligned,
        "align": detector.align,
        "max pixels": detector.max_pixels,
        "columns": " ".join(groups),
    }
    if anchors:
        setup["trust anchors"] = f"SHA-256 {hashlib.sha256(anchors.encode()).hexdigest()}"
    if detector.band is not None:
        setup["band"] = "{!r} to {!r}".format(*detector.band)
    if detector.align is not None:
        setup |= {
            "smallest face": detector.options.minimum_face,
            "smallest resolution": detector.minimum_resolution,
            "face scale": detector.options.face_scale,
        }
    return setup
