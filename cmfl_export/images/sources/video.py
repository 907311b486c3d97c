"""Decodes a video file: frames every so often in one passage, or the one at a time. Needs the extra `video`.

Only the file itself is read: its container and its codec must be among a few, and nothing that it refers to
is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from ...base.errors import need
from ..decode_limits import VideoClock
from ..reasons import as_image_error
from ..regular_files import opened_file
from ..status import ImageError, Status
from .containers import HEAD, Container, container_of, lacks_its_end

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

_CODECS = (
    *("h264", "hevc", "vp8", "vp9", "libvpx", "libvpx-vp9", "av1", "libdav1d", "mpeg4", "h263"),
    *("mpeg1video", "mpeg2video", "msmpeg4v2", "msmpeg4", "mjpeg", "prores"),
)
# Their times are exact and their seeking lands on a frame that needs none before it.
_SEEKABLE = ("mov", "matroska")
_MOST_MILLISECONDS = 10**11
# Beyond this, the shape of a pixel is taken for damage.
_MOST_STRETCHED = 4
_HIGH_DEFINITION = 720
_UNSPECIFIED = 2  # of AVColorSpace


class Decoded(NamedTuple):
    """A frame.

    Attributes:
        start, end: from when until when it is shown, in milliseconds.
        shape: of its pixels, width to height.
    """

    start: int
    end: int
    frame: VideoFrame
    shape: Fraction


def frame_at(path: str, milliseconds: int, max_pixels: int) -> bytes:
    """Returns the frame that is shown at a time as a PPM file: the same pixels as in a passage.

    Raises:
        ImageError: there is none, or the video cannot be read.
    """
    with as_image_error():
        with opened_video(path, max_pixels) as video:
            if video.kind in _SEEKABLE and milliseconds:
                found = _after_seeking(video, milliseconds)
                if found is not None:
                    return as_picture(found)
        with opened_video(path, max_pixels) as video:
            return as_picture(_shown_at(video.decoded(), milliseconds))


def samples(video: Video, every: int) -> Iterator[Decoded]:
    """The frames that are shown at each multiple of `every`."""
    at, shown = 0, None
    try:
        for decoded in video.decoded():
            if shown is not None and at < decoded.start:
                yield shown
                at = -(-decoded.start // every) * every
            shown = decoded
    except ImageError:
        if shown is not None and at <= shown.start:
            yield shown
        raise
    if shown is not None and at < shown.end:
        yield shown


def _shown_at(decoded: Iterator[Decoded], milliseconds: int) -> Decoded:
    """The last frame that is shown from this time on or from before.

    Raises:
        ImageError: the video ends before, or cannot be read so far.
    """
    shown = None
    try:
        for one in decoded:
            if shown is not None and one.start > milliseconds:
                return shown
            shown = one
    except ImageError:
        if shown is None or shown.start != milliseconds:
            raise
        return shown
    if shown is None or shown.end <= milliseconds:
        end = 0 if shown is None else shown.end
        raise ImageError(Status.NOT_FOUND, f"the video ends at {end / 1000:.3f} s")
    return shown


def _after_seeking(video: Video, milliseconds: int) -> Decoded | None:
    """The frame at this time; None where seeking lands behind it, or on a frame that needs others."""
    try:
        video.seek(milliseconds)
        decoded = video.decoded()
        first = next(decoded, None)
        if first is None or first.start > milliseconds or not first.frame.key_frame:
            return None

        def all_of_them() -> Iterator[Decoded]:
            yield first
            yield from decoded

        return _shown_at(all_of_them(), milliseconds)
    except ImageError:
        return None


class Video:
    """An opened video."""

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        kind: Container,
        cut: bool,
        max_pixels: int,
        clock: VideoClock,
    ) -> None:
        self.kind = kind
        self._container = container
        self._stream = stream
        self._cut = cut
        self._max_pixels = max_pixels
        self._clock = clock
        # The others estimate the times of their first frames.
        self._begin = (stream.start_time or 0) if kind in _SEEKABLE else None
        shape = stream.sample_aspect_ratio or Fraction(1)
        self._shape = shape if 1 / _MOST_STRETCHED <= shape <= _MOST_STRETCHED else Fraction(1)

    def seek(self, milliseconds: int) -> None:
        """Goes to a key frame in front of a time.

        Raises:
            ImageError: the video cannot be read there.
        """
        import av

        offset = Fraction(milliseconds, 1000) / (self._stream.time_base or Fraction(1, 1000))
        try:
            self._container.seek(int(offset) + (self._stream.start_time or 0), stream=self._stream)
        except av.error.FFmpegError as error:
            raise self._damaged() from error

    def decoded(self) -> Iterator[Decoded]:
        """Yields the frames from here on, in the order of their times.

        What cannot be decoded in front of the first frame is passed over: a recording may begin anywhere.

        Raises:
            ImageError: a frame is damaged or too large, or the file ends too early.
            TooSlowError: decoding takes too long.
        """
        last = -1
        raw = self._raw()
        while True:
            self._clock.run()
            try:
                frame = next(raw, None)
            finally:
                self._clock.pause()
            if frame is None:
                break
            start, end = self._times(frame, last)
            if start >= last:
                last = self._clock.shown = start
                yield Decoded(start, end, frame, self._shape)
            del frame
        if self._cut:
            raise ImageError(Status.TRUNCATED, "the file ends too early")
        if last < 0:
            raise ImageError(Status.UNREADABLE, "no frame of the video can be decoded")

    def _raw(self) -> Iterator[VideoFrame]:
        import av

        seen = False
        try:
            for packet in self._container.demux(self._stream):
                self._clock.check()
                try:
                    frames = packet.decode()
                except av.error.EOFError:
                    return
                except av.error.FFmpegError:
                    if seen:
                        raise
                    continue
                for frame in frames:
                    if not isinstance(frame, av.VideoFrame) or (frame.is_corrupt and not seen):
                        continue
                    if frame.is_corrupt:
                        raise self._damaged()
                    _check_size(frame.width, frame.height, self._max_pixels)
                    seen = True
                    yield frame
        except av.error.FFmpegError as error:
            raise self._damaged() from error

    def _damaged(self) -> ImageError:
        if self._cut:
            return ImageError(Status.TRUNCATED, "the file ends too early")
        return ImageError(Status.UNREADABLE, "damaged video data")

    def _times(self, frame: VideoFrame, last: int) -> tuple[int, int]:
        """From when until when a frame is shown."""
        rate = self._stream.average_rate or Fraction(25)
        step = Fraction(1) / rate
        base = frame.time_base or self._stream.time_base or Fraction(1, 1000)
        if frame.pts is None:
            start = Fraction(max(last, 0), 1000) + (step if last >= 0 else 0)
        else:
            if self._begin is None:
                self._begin = frame.pts
            start = (frame.pts - self._begin) * base
        length = frame.duration * base if frame.duration else step
        begin, end = max(round(start * 1000), 0), round((start + length) * 1000)
        if begin > _MOST_MILLISECONDS:
            raise ImageError(Status.UNREADABLE, "damaged video data: a frame has an impossible time")
        return begin, max(end, begin + 1)


@contextmanager
def opened_video(path: str, max_pixels: int) -> Iterator[Video]:
    """Opens a video for one passage.

    Raises:
        ImageError: the file is no video that is decoded.
        PackageError: the extra is missing.
        OSError: the file cannot be read.
    """
    av = _package()
    clock = VideoClock()
    with opened_file(path) as (file, length):
        if length == 0:
            raise ImageError(Status.EMPTY, "the file is empty")
        kind = container_of(file.read(HEAD))
        if kind is None:
            raise ImageError(Status.NOT_AN_IMAGE, "not a video of a known format")
        cut = lacks_its_end(file, length, kind)
        file.seek(0)
        container = _container(av, file, kind, cut, max_pixels, clock)
        with container:
            stream = _stream(av, container)
            _check_size(stream.width, stream.height, max_pixels)
            yield Video(container, stream, kind, cut, max_pixels, clock)


def _package() -> Any:
    try:
        import av
    except ImportError as error:
        raise need("video", "decoding a video") from error
    return av


def _container(
    av: Any, file: BinaryIO, kind: Container, cut: bool, max_pixels: int, clock: VideoClock
) -> InputContainer:
    clock.run()
    try:
        container: InputContainer = av.open(
            _Timed(file, clock),
            "r",
            format=kind,
            io_open=_refuse,
            container_options={"codec_whitelist": ",".join(_CODECS)},
            # An error that is concealed would be a picture that nobody took.
            options={"max_pixels": str(max_pixels), "err_detect": "bitstream+buffer+explode"},
            metadata_errors="replace",
        )
    except av.error.FFmpegError as error:
        if cut:
            raise ImageError(Status.TRUNCATED, "the file ends too early") from error
        raise ImageError(Status.UNREADABLE, "the video is damaged: its header cannot be read") from error
    finally:
        clock.pause()
    return container


def _stream(av: Any, container: InputContainer) -> VideoStream:
    """The first stream of pictures that is more than a cover."""
    cover = av.stream.Disposition.attached_pic
    stream = next((one for one in container.streams.video if not one.disposition & cover), None)
    if stream is None:
        raise ImageError(Status.NOT_AN_IMAGE, "no pictures in it, as in a file of sound alone")
    name = stream.codec_context.name if stream.codec_context is not None else "unknown"
    if name not in _CODECS:
        raise ImageError(
            Status.UNSUPPORTED, f"a video of the codec {name}, which is not decoded; convert it to H.264"
        )
    # Frames that several threads decode at once differ where the file is damaged.
    stream.thread_type = "SLICE"
    return stream


def _refuse(*_: object) -> Any:
    raise ImageError(Status.UNSUPPORTED, "a video that refers to other files, which are not read")


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError(Status.TOO_LARGE, f"{width} x {height} pixels, more than the limit of {max_pixels}")


class _Timed:
    """A file whose `read` fails once the time is over, also within the search for a header."""

    def __init__(self, stream: BinaryIO, clock: VideoClock) -> None:
        self._stream = stream
        self._clock = clock
        self.seek = stream.seek
        self.tell = stream.tell

    def read(self, size: int) -> bytes:
        self._clock.check()
        return self._stream.read(size)


def as_picture(decoded: Decoded) -> bytes:
    """The frame as a PPM file: upright, with square pixels, RGB in 8 bits."""
    from av.video.reformatter import Colorspace, Interpolation

    frame = decoded.frame
    # As players take frames that do not say how their colours are meant.
    unsaid = Colorspace.ITU709 if frame.height >= _HIGH_DEFINITION else Colorspace.ITU601
    rgb = frame.reformat(
        width=max(1, round(frame.width * decoded.shape)),
        format="rgb24",
        src_colorspace=unsaid if frame.colorspace == _UNSPECIFIED else None,
        interpolation=Interpolation.BICUBIC
        | Interpolation.FULL_CHR_H_INT
        | Interpolation.ACCURATE_RND
        | Interpolation.BITEXACT,
        threads=1,
    ).to_ndarray()
    upright = np.rot90(rgb, round(frame.rotation / 90))
    height, width = upright.shape[:2]
    return b"P6\n%d %d\n255\n" % (width, height) + upright.tobytes()
