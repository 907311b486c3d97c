"""What a report keeps of the rows that pass by: counts, rows, and the pictures of the most suspicious."""

from __future__ import annotations

import base64
import heapq
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from ..base.text import visible
from ..images import Status
from ..report import heatmaps
from ..runtime import REAL, SYNTHETIC, UNCERTAIN, DecisionRule, Prediction

KINDS = (SYNTHETIC, UNCERTAIN, REAL)  # of the histogram, from below
BRANCHES = ("rgb", "spectrum")
BINS = 40  # of the score histogram
# Beyond these a page of text alone would be too heavy for a browser.
_MOST_SCORED, _MOST_FAILED = 50_000, 10_000
# 224 pixels are what the model saw. Mean of 2x2 bins: a spectrum is mostly noise, which costs bytes.
_IMAGE_QUALITY, _SPECTRUM_QUALITY, _SPECTRUM_SHRINK = 75, 60, 2


@dataclass(frozen=True, slots=True)
class Picture:
    """One image for the page, some 13 kB.

    Attributes:
        image, spectrum: JPEG files; empty where there is none.
        heatmaps: by branch, the 196 bytes of `heatmaps.levels`.
        peaks: by branch, the value that level 255 stands for.
    """

    image: bytes
    spectrum: bytes
    heatmaps: Mapping[str, bytes]
    peaks: Mapping[str, float]

    @classmethod
    def of(cls, extras: Mapping[str, np.ndarray]) -> Picture:
        """Takes `image` and what there is of `spectrum`, `heatmap_rgb` and `heatmap_spectrum`."""
        spectrum = b""
        if "spectrum" in extras:
            small = Image.fromarray(heatmaps.grey_spectrum(extras["spectrum"])).reduce(_SPECTRUM_SHRINK)
            spectrum = heatmaps.jpeg(np.asarray(small), _SPECTRUM_QUALITY)
        maps = {branch: extras[f"heatmap_{branch}"] for branch in BRANCHES if f"heatmap_{branch}" in extras}
        return cls(
            heatmaps.jpeg(extras["image"], _IMAGE_QUALITY),
            spectrum,
            {branch: heatmaps.levels(values).tobytes() for branch, values in maps.items()},
            {branch: float(np.nan_to_num(values).max()) for branch, values in maps.items()},
        )

    def data(self) -> dict[str, Any]:
        """For JSON: the bytes as base64."""

        def text(data: bytes) -> str:
            return base64.b64encode(data).decode()

        return {
            "image": text(self.image),
            "spectrum": text(self.spectrum),
            "heatmaps": {branch: text(levels) for branch, levels in self.heatmaps.items()},
            "peaks": self.peaks,
        }


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the page. `number` is its place, from 1; `earlier`: scored by a run before this one."""

    number: int
    row: Prediction
    earlier: bool

    @property
    def scores(self) -> tuple[float | None, float | None, float | None]:
        """Joint, RGB branch, spectrum branch."""
        return self.row.p_real, self.row.p_real_rgb, self.row.p_real_spectrum

    @property
    def said(self) -> list[tuple[str, str]]:
        """What the file says of its picture, and how stable the score is: names and texts."""
        row = self.row
        c2pa = None if row.c2pa_state == "absent" else row.c2pa_state
        stable = None
        if row.spread is not None:
            stable = (
                f"{row.spread:.3f} over small changes of the image, {row.flips} of which turn the decision"
            )
        texts = (
            ("Source type", row.source_type),
            ("Generator", row.generator),
            ("Content Credentials", c2pa),
            ("Colour profile", row.colour_profile),
            ("Spread", stable),
        )
        return [(name, visible(text)) for name, text in texts if text]

    @property
    def face(self) -> str:
        """The face of a photograph that has several rows, to put behind its name; else empty."""
        if self.row.face is None or self.row.faces is None or self.row.faces < 2:
            return ""
        return f" (face {self.row.face + 1} of {self.row.faces})"


class ReportRows:
    """The rows of a report, collected in bounded memory.

    Attributes:
        inputs: of which one may have several rows, one for each face; a video is one input.
        videos: the rows of videos, up to a number; they are not among the following.
        frames: of videos.
        total, real, synthetic, uncertain, disagree: counts of all rows; `disagree`: one branch says real and
            the other synthetic.
        out_of_domain: rows whose image is unlike the training images; see `Prediction`.
        failed: counts by status.
        earlier: rows of a run before this one.
        with_image: rows that came with their image.
        histogram: int [3, BINS], of `KINDS` by p_real.
        peaks: the largest value of any heatmap, by branch.
    """

    def __init__(self, rule: DecisionRule, pictures: int) -> None:
        """`pictures`: how many of the most suspicious images are kept as pictures."""
        self.rule = rule
        self.inputs = self.frames = 0
        self.videos: list[Prediction] = []
        self.total = self.real = self.synthetic = self.uncertain = 0
        self.disagree = self.earlier = self.with_image = self.out_of_domain = 0
        self.failed = Counter[Status]()
        self.histogram = np.zeros((3, BINS), np.int64)
        self.peaks: dict[str, float] = {}
        # Heaps of (-p_real, -number, item): the least suspicious, and of equals the latest, leaves first.
        self._scored: list[tuple[float, int, Entry]] = []
        self._pictures: list[tuple[float, int, Picture]] = []
        self._failures: list[Entry] = []
        self._most_scored = max(_MOST_SCORED, pictures)
        self._most_pictures = pictures

    def add(self, row: Prediction, *, earlier: bool = False) -> None:
        """Takes one more row; of its `extras` no more than the picture is kept."""
        is_frame = row.time is not None
        self.inputs += row.is_last and not is_frame
        self.frames += row.is_last and is_frame
        if row.frames is not None and len(self.videos) < _MOST_FAILED:
            self.videos.append(row)
        if (row.frames is not None and row.status.has_score) or (is_frame and row.status is Status.NO_FACE):
            # A video in which some frames show nobody has not failed.
            return
        self.total += 1
        self.earlier += earlier
        entry = Entry(self.total, replace(row, extras={}), earlier)
        if row.p_real is None:
            self.failed[row.status] += 1
            if len(self._failures) < _MOST_FAILED:
                self._failures.append(entry)
            return
        decision = row.decision or self.rule.decide(row.p_real)
        self.real += decision == REAL
        self.synthetic += decision == SYNTHETIC
        self.uncertain += decision == UNCERTAIN
        self.disagree += disagree(row, self.rule)
        self.out_of_domain += row.out_of_domain is True
        self.histogram[KINDS.index(decision), min(int(row.p_real * BINS), BINS - 1)] += 1
        suspicion = (-row.p_real, -entry.number)
        _push(self._scored, (*suspicion, entry), self._most_scored)
        if "image" in row.extras:
            self.with_image += 1
            self._keep_picture(suspicion, row.extras)

    def _keep_picture(self, suspicion: tuple[float, int], extras: Mapping[str, np.ndarray]) -> None:
        full = len(self._pictures) >= self._most_pictures
        if full and (not self._pictures or suspicion < self._pictures[0][:2]):
            return
        picture = Picture.of(extras)
        _push(self._pictures, (*suspicion, picture), self._most_pictures)
        for branch, peak in picture.peaks.items():
            self.peaks[branch] = max(peak, self.peaks.get(branch, 0.0))

    def scored(self) -> list[Entry]:
        """The rows with a score, most suspicious first."""
        return [entry for _, _, entry in sorted(self._scored, reverse=True)]

    def failures(self) -> list[Entry]:
        """The rows without a score, in order."""
        return self._failures

    def pictures(self) -> dict[int, Picture]:
        """By the number of their row, most suspicious first."""
        return {-number: picture for _, number, picture in sorted(self._pictures, reverse=True)}


def disagree(row: Prediction, rule: DecisionRule) -> bool:
    """Whether one branch says real and the other synthetic."""
    if row.p_real_rgb is None or row.p_real_spectrum is None:
        return False
    return rule.contradicts(row.p_real_rgb, row.p_real_spectrum)


def _push(heap: list[Any], item: tuple[float, int, Any], most: int) -> None:
    if len(heap) < most:
        heapq.heappush(heap, item)
    else:
        heapq.heappushpop(heap, item)
