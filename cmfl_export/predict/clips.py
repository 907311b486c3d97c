"""From the rows of a video's frames to the video: tracks of faces, and a last row of its own.

>>> interval_of("500ms")
0.5
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from statistics import median
from typing import NamedTuple

from ..base.errors import UsageError
from ..images import (
    Clip,
    ClipFault,
    Located,
    Status,
    clip_of,
    is_video_name,
    iter_paths,
    scheme_of,
    split_frame,
)
from ..runtime import SYNTHETIC, DecisionRule, Prediction

GROUP = "video"
EVERY = 1.0  # seconds, of videos that are named

_INTERVAL = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s)")
# Intersection over union of a face's boxes in neighbouring frames, from which on it is the same face.
_SAME_FACE = 0.3
_Box = tuple[float, float, float, float]


def interval_of(text: str) -> float:
    """Returns the seconds of an interval such as `1s`, `0.5s` or `500ms`.

    Raises:
        UsageError: it is none.
    """
    found = _INTERVAL.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text!r} is no interval; give for instance 1s, 0.5s or 500ms")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


def has_clips(inputs: Iterable[str], every: float | None) -> bool:
    """Whether rows have the columns of videos: with `every`, or where an input is a video by its name."""
    return every is not None or any(map(_names_video, inputs))


def refuse_videos(inputs: Sequence[str], every: float | None, option: str) -> None:
    """Refuses videos, and frames of such, for an option that knows pictures alone.

    Raises:
        UsageError: there are some.
    """
    if has_clips(inputs, every) or any(split_frame(text) is not None for text in inputs):
        raise UsageError(
            f"{option} goes with pictures alone; leave out --every and the videos, or leave out {option}"
        )


def _names_video(text: str) -> bool:
    return is_video_name(text) and not scheme_of(text)


def paths_of(
    inputs: Iterable[str],
    every: float | None,
    *,
    recursive: bool,
    null_separated: bool,
    column: str | None,
    max_pixels: int,
    passed_over: Callable[[str], None],
) -> Iterator[str]:
    """Yields what `iter_paths` does; without `every`, the videos that are named are sampled every second."""
    for text in inputs:
        yield from iter_paths(
            [text],
            recursive=recursive,
            null_separated=null_separated,
            column=column,
            every=EVERY if every is None and _names_video(text) else every,
            max_pixels=max_pixels,
            passed_over=passed_over,
        )


def with_clips(
    paths: Iterable[str],
    score: Callable[[Iterator[str]], Iterator[Prediction]],
    *,
    rule: DecisionRule,
    looks_for_faces: bool,
    is_done: Callable[[str], bool] = lambda _: False,
    earlier: Sequence[Prediction] = (),
) -> Iterator[Prediction]:
    """Yields the rows of `score`: of frames with `time` and `track`, and behind them the row of their video.

    The video's row has the median of its frames' scores, and the decision on it; of a frame with several
    faces the largest counts. Frames without a score do not count; a video without any has the reason as its
    status.

    Args:
        paths: as `cmfl_export.images.iter_paths` gives them with `every`.
        score: gives the rows of these paths, in order, as `Detector.stream` does.
        rule: decides on the median.
        looks_for_faces: whether rows say where faces are.
        is_done: asked once for each path, and for each video; whether its rows are there already.
        earlier: rows of a video that was not finished: of the frames that are done.
    """
    before: dict[str, deque[list[Prediction]]] = {}
    for rows in _by_picture(earlier):
        before.setdefault(rows[0].path, deque()).append(rows)
    order: deque[_Source] = deque()

    def remaining() -> Iterator[str]:
        last: Clip | None = None
        for path in paths:
            clip = clip_of(path)
            ends = isinstance(path, Located) and isinstance(path.place, ClipFault)
            if clip is not None and clip is not last and is_done(clip.path):
                clip.skip = True
            last = clip
            if clip is not None and clip.skip:
                continue
            if ends or not is_done(path):
                order.append(_Source(clip, ends))
                yield path
            elif clip is not None:
                rows = before.get(path)
                order.append(_Source(clip, False, rows.popleft() if rows else []))

    current: _Passage | None = None

    def enter(clip: Clip | None) -> Iterator[Prediction]:
        """Changes to another passage, after the row of the one before."""
        nonlocal current
        if current is not None and current.clip is not clip:
            yield current.row()
            current = None
        if clip is not None and current is None:
            current = _Passage(clip, rule, looks_for_faces)

    def done_before() -> Iterator[Prediction]:
        """Takes the frames that are done, up to the first source that has been scored now."""
        while order and order[0].rows is not None:
            source = order.popleft()
            yield from enter(source.clip)
            if current is not None and source.rows:
                current.take(source.rows)

    for rows in _by_picture(score(remaining())):
        yield from done_before()
        source = order.popleft()
        yield from enter(source.clip)
        if current is None:
            yield from rows
        elif source.is_fault:
            yield current.row(rows[0])
            current = None
        else:
            yield from current.take(rows)
    yield from done_before()
    yield from enter(None)


class _Source(NamedTuple):
    """A path that was read: its passage, whether it ends that, and its rows if they are there already."""

    clip: Clip | None
    is_fault: bool
    rows: list[Prediction] | None = None


class _Passage:
    """What is known of the frames of a video so far."""

    def __init__(self, clip: Clip, rule: DecisionRule, looks_for_faces: bool) -> None:
        self.clip = clip
        self._rule = rule
        self._looks_for_faces = looks_for_faces
        self._frames = self._with_face = self._synthetic = 0
        self._scores: list[float] = []
        self._statuses = Counter[Status]()
        self._failure = ""
        self._tracks = 0
        self._faces: list[tuple[_Box, int]] = []

    def take(self, rows: list[Prediction]) -> list[Prediction]:
        """Takes the rows of a frame; returns them with their time and tracks."""
        largest = rows[0]
        self._frames += 1
        self._with_face += largest.face_size is not None
        self._statuses[largest.status] += 1
        if largest.p_real is not None and largest.ok:
            # As the row has it, so that a run that reads it back comes to the same median.
            self._scores.append(largest.record(("p_real",))["p_real"])
            self._synthetic += largest.decision == SYNTHETIC
        else:
            self._failure = self._failure or largest.error
        named = split_frame(largest.path)
        time = None if named is None else named[1] / 1000
        return [
            replace(row, time=time, track=track) for row, track in zip(rows, self._follow(rows), strict=True)
        ]

    def _follow(self, rows: list[Prediction]) -> list[int | None]:
        """The tracks of a frame's faces: of those before that they overlap most with, else new ones."""
        boxes = [row.box for row in rows]
        pairs = sorted(
            (
                (-_overlap(box, known), place, track)
                for place, box in enumerate(boxes)
                if box is not None
                for known, track in self._faces
            ),
        )
        tracks: dict[int, int] = {}
        for overlap, place, track in pairs:
            if -overlap >= _SAME_FACE and place not in tracks and track not in tracks.values():
                tracks[place] = track
        for place, box in enumerate(boxes):
            if box is not None and place not in tracks:
                tracks[place] = self._tracks
                self._tracks += 1
        self._faces = [(box, tracks[place]) for place, box in enumerate(boxes) if box is not None]
        return [tracks.get(place) for place in range(len(rows))]

    def row(self, fault: Prediction | None = None) -> Prediction:
        """Returns the row of the video; `fault` is the row that says why it ended early."""
        row = Prediction(
            self.clip.path,
            frames=self._frames,
            frames_with_face=self._with_face if self._looks_for_faces else None,
            share_synthetic=self._synthetic / len(self._scores) if self._scores else None,
        )
        if fault is not None:
            after = f", after {self._frames} frames" if self._frames else ""
            return replace(row, status=fault.status, error=f"{fault.error}{after}")
        if not self._scores:
            status = Status.NO_FACE if self._statuses[Status.NO_FACE] else self._statuses.most_common(1)[0][0]
            error = f"none of {self._frames} frames has a face" if status is Status.NO_FACE else self._failure
            return replace(row, status=status, error=error)
        p_real = median(self._scores)
        row = replace(row, p_real=p_real, decision=self._rule.decide(p_real))
        if not self._statuses[Status.OK]:
            error = "the face is too small in each scored frame"
            row = replace(row, status=Status.LOW_RESOLUTION, error=error)
        return row


def _by_picture(rows: Iterable[Prediction]) -> Iterator[list[Prediction]]:
    """The rows of each picture together."""
    together: list[Prediction] = []
    for row in rows:
        together.append(row)
        if row.is_last:
            yield together
            together = []


def _overlap(one: _Box, other: _Box) -> float:
    """Intersection over union of two boxes."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[2], other[2]), min(one[3], other[3])
    shared = max(0.0, right - left) * max(0.0, bottom - top)
    whole = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared
    return shared / whole if whole > 0 else 0.0
