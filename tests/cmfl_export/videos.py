"""Small videos for tests, made with PyAV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

SIZE = (64, 48)
# Of a few codecs and containers: arguments of `write`, by the name of the file.
KINDS: dict[str, dict[str, Any]] = {
    "b-frames.mp4": {"options": {"x264-params": "bframes=3:keyint=250:b-adapt=0"}},
    "open-gop.mp4": {"options": {"x264-params": "bframes=3:keyint=20:open-gop=1"}},
    "a.mov": {},
    "a.mkv": {"options": {"x264-params": "bframes=3:keyint=30"}},
    "a.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "a.avi": {"codec": "mpeg4"},
    "a.mts": {"format": "mpegts"},
}


def moving(count: int, size: tuple[int, int] = SIZE) -> list[Image.Image]:
    """Pictures that differ from one another everywhere."""
    y, x = np.mgrid[: size[1], : size[0]]
    return [
        Image.fromarray(np.stack([x * 3 + 5 * n, y * 4 + 9 * n, np.full_like(x, 7 * n)], -1).astype(np.uint8))
        for n in range(count)
    ]


def plain(greys: Iterable[int], size: tuple[int, int] = SIZE) -> list[Image.Image]:
    """One picture for each grey."""
    return [Image.new("RGB", size, (grey, grey, grey)) for grey in greys]


def write(
    path: Path,
    pictures: Sequence[Image.Image],
    *,
    rate: int = 25,
    times: Sequence[int] | None = None,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    format: str | None = None,
    rotation: int = 0,
    shape: int = 1,
    sound: bool = False,
) -> Path:
    """Writes a video of these pictures; `times`: when each is shown, in units of 1/`rate` s.

    `shape`: of a pixel, width to height.
    """
    with av.open(str(path), "w", format=format) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height = pictures[0].size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(shape)
        if rotation:
            stream.set_display_rotation(rotation)
        other = container.add_stream("aac", rate=8000) if sound else None
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if other is not None:
            container.mux(other.encode(_silence()))
            container.mux(other.encode(None))
    return path


def write_sound(path: Path) -> Path:
    """A file of sound alone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        container.mux(stream.encode(_silence()))
        container.mux(stream.encode(None))
    return path


def _silence() -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
    frame.sample_rate = 8000
    frame.pts = 0
    return frame
