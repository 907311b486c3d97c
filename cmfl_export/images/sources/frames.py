"""Frames of videos as sources of pictures: in memory while their video passes by, else in its file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..decode_limits import MOST_FRAMES
from ..reasons import as_image_error
from ..status import ImageError, Status
from .held import Held
from .names import frame_of
from .place import Fault, Located, refuse_large
from .video import frame_at, opened_video, samples

_PATIENCE = 5.0  # seconds


class Clip:
    """One passage through a video. What is read from it knows its passage by identity.

    Attributes:
        path: the file.
        skip: who reads the frames sets it, and gets no more of them.
    """

    __slots__ = ("path", "skip")

    def __init__(self, path: str) -> None:
        self.path = path
        self.skip = False


class Frame:
    """The place of a frame.

    Attributes:
        video: the file.
        milliseconds: when the frame is shown.
        clip: the passage that it is a sample of; None if it was named by itself.
    """

    __slots__ = ("_held", "clip", "milliseconds", "video")

    def __init__(
        self, video: str, milliseconds: int, clip: Clip | None = None, held: Held | None = None
    ) -> None:
        self.video = video
        self.milliseconds = milliseconds
        self.clip = clip
        self._held = held

    def __reduce__(self) -> tuple[type[Frame], tuple[str, int]]:
        return Frame, (self.video, self.milliseconds)

    def read(self, limit: int) -> bytes:
        """Returns the frame as a PPM file: once from memory if it is there, and then from the video."""
        held, self._held = self._held, None
        data = None if held is None else held.take()
        if data is None:
            data = frame_at(self.video, self.milliseconds, limit // 3)
        refuse_large(len(data), limit)
        return data


@dataclass(frozen=True, slots=True)
class ClipFault(Fault):
    """Why a passage through a video ended early; its samples came before."""

    clip: Clip


def frames_of(path: str, every: int, max_pixels: int) -> Iterator[Located]:
    """Yields the frames that are shown at 0, `every`, 2 `every` and so on, each once, in one passage.

    Each is `Located` with the time from which on it is shown; its place is a `Frame`, which knows the
    passage. A video that cannot be read to its end is yielded itself behind its frames, with a `ClipFault`.

    Args:
        path: the file.
        every: milliseconds.
        max_pixels: a video with larger frames is not decoded.
    """
    clip = Clip(path)
    patience = _PATIENCE
    try:
        with as_image_error(), opened_video(path, max_pixels) as video:
            for number, shown in enumerate(samples(video, every)):
                if number == MOST_FRAMES:
                    message = f"more than {MOST_FRAMES} frames; give a longer interval with --every"
                    raise ImageError(Status.TOO_LARGE, message)
                held = Held.of(shown, patience)
                if held is None:
                    # Who collects the frames before they are read would wait for each.
                    patience = 0.0
                place = Frame(path, shown.start, clip, held)
                del shown, held
                yield Located(frame_of(path, place.milliseconds), place)
                if clip.skip:
                    return
    except ImageError as error:
        yield Located(path, ClipFault(error.status, error.message, clip))


def clip_of(path: str) -> Clip | None:
    """The passage that a path comes from, as its frame or its end; None for all others."""
    place = path.place if isinstance(path, Located) else None
    return place.clip if isinstance(place, Frame | ClipFault) else None
