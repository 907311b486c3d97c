"""Frames of videos: the right ones, the same on both ways, upright, and an end for whatever is damaged."""

from __future__ import annotations

import gc
import pickle
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmfl_export.images import (
    Frame,
    ImageError,
    Located,
    Pixels,
    Status,
    decode,
    decode_limits,
    iter_paths,
    open_rgb,
)
from cmfl_export.images.sources import frames as frames_module
from cmfl_export.images.sources import held as held_frames
from cmfl_export.images.sources import video as video_module
from cmfl_export.images.sources.containers import container_of
from tests.cmfl_export import videos


def sampled(path: Path, every: float = 1.0, **options: Any) -> list[str]:
    return list(iter_paths([str(path)], every=every, **options))


def times(paths: list[str]) -> list[str]:
    return [path.rpartition("::")[2] for path in paths]


def fault(path: str) -> tuple[Status, str]:
    assert isinstance(path, Located)
    with pytest.raises(ImageError) as caught:
        path.place.read(1 << 30)
    return caught.value.status, caught.value.message


def pixels(path: str) -> Pixels:
    return np.asarray(open_rgb(path))


def greys(paths: list[str]) -> list[int]:
    return [round(float(pixels(path).mean())) for path in paths]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds, 25 frames each, B-frames and one key frame."""
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    return videos.write(path, videos.moving(75), options={"x264-params": "bframes=3:keyint=250:b-adapt=0"})


def test_the_frames_that_are_shown_every_so_often(tmp_path: Path) -> None:
    path = videos.write(tmp_path / "a.mp4", videos.plain(range(40, 240, 4)), options={"crf": "1"})  # 2 s
    half = sampled(path, 0.5)
    assert times(half) == ["0.000s", "0.480s", "1.000s", "1.480s"]
    expected = [40 + 4 * number for number in (0, 12, 25, 37)]
    assert np.abs(np.subtract(greys(half), expected)).max() <= 2
    assert times(sampled(path, 5.0)) == ["0.000s"]
    # More often than there are frames: each once.
    assert len(sampled(path, 0.001)) == 50


def test_times_that_are_not_regular(tmp_path: Path) -> None:
    path = videos.write(
        tmp_path / "a.mkv",
        videos.plain([50, 100, 150, 200, 250]),
        rate=1000,
        times=[0, 100, 2050, 2060, 3900],
    )
    found = sampled(path)
    # What is shown at 1 s has been there since 0.1 s.
    assert times(found) == ["0.000s", "0.100s", "2.060s"]
    assert np.abs(np.subtract(greys(found), [50, 100, 200])).max() <= 3
    assert (
        np.abs(
            np.subtract(greys([f"{path}::1.999s", f"{path}::2.05s", f"{path}::3s"]), [100, 150, 200])
        ).max()
        <= 3
    )


@pytest.mark.parametrize("name", videos.KINDS)
def test_a_frame_by_its_time_is_that_of_the_passage(tmp_path: Path, name: str) -> None:
    path = videos.write(tmp_path / name, videos.moving(60), **videos.KINDS[name])
    found = sampled(path, 0.36)
    assert len(found) >= 6
    for frame in found:
        assert np.array_equal(pixels(frame), pixels(str(frame)))
        # Once it was read, it is read again from the file.
        assert np.array_equal(decode(frame), decode(str(frame)))


def test_a_frame_that_is_not_there(clip: Path) -> None:
    for text, status in (
        (f"{clip}::9s", Status.NOT_FOUND),
        (f"{clip.parent}/absent.mp4::1s", Status.NOT_FOUND),
    ):
        with pytest.raises(ImageError) as caught:
            open_rgb(text)
        assert caught.value.status is status


def test_a_file_with_the_name_of_a_frame_comes_first(clip: Path) -> None:
    file = clip.parent / "clip.mp4::1.000s"
    Image.new("RGB", (8, 8), (9, 9, 9)).save(file, "PNG")
    try:
        assert open_rgb(str(file)).size == (8, 8)
    finally:
        file.unlink()
    assert open_rgb(str(file)).size == videos.SIZE


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_upright(tmp_path: Path, rotation: int) -> None:
    picture = videos.moving(1)[0]
    plain = videos.write(tmp_path / "plain.mp4", [picture] * 3)
    turned = videos.write(tmp_path / "turned.mp4", [picture] * 3, rotation=rotation)
    for number in range(3):
        expected = np.rot90(pixels(sampled(plain, 0.04)[number]), rotation // 90)
        assert np.array_equal(pixels(sampled(turned, 0.04)[number]), expected)
        assert np.array_equal(pixels(f"{turned}::{0.04 * number:.3f}s"), expected)


def test_pixels_are_square(tmp_path: Path) -> None:
    path = videos.write(tmp_path / "wide.mp4", videos.plain([50, 100]), shape=2)
    assert open_rgb(sampled(path)[0]).size == (128, 48)
    path = videos.write(tmp_path / "damaged.mp4", videos.plain([50, 100]), shape=9)
    assert open_rgb(sampled(path)[0]).size == (64, 48)


@pytest.mark.parametrize(
    ("size", "matrix", "said"),
    [((64, 48), "smpte170m", ""), ((1280, 720), "bt709", ""), ((64, 48), "bt709", "colormatrix=bt709")],
)
def test_colours_as_players_show_them(tmp_path: Path, size: tuple[int, int], matrix: str, said: str) -> None:
    path = tmp_path / "red.mp4"
    write_frame(path, video_frame(Image.new("RGB", size, (200, 40, 30)), matrix), {"x264-params": said})
    assert np.abs(pixels(sampled(path)[0]).astype(int) - [200, 40, 30]).max() <= 4


def video_frame(picture: Image.Image, matrix: str) -> Any:
    """The picture in YUV by a matrix, without saying which."""
    import av

    kr, kb = {"bt709": (0.2126, 0.0722), "smpte170m": (0.299, 0.114)}[matrix]
    red, green, blue = np.moveaxis(np.asarray(picture) / 255, -1, 0)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    planes = [
        16 + 219 * luma,
        128 + 224 * (blue - luma)[::2, ::2] / 2 / (1 - kb),
        128 + 224 * (red - luma)[::2, ::2] / 2 / (1 - kr),
    ]
    data = np.concatenate([np.rint(plane).astype(np.uint8).ravel() for plane in planes])
    height = picture.height
    frame = av.VideoFrame.from_ndarray(data.reshape(height * 3 // 2, picture.width), format="yuv420p")
    frame.pts = 0
    return frame


def write_frame(path: Path, frame: Any, options: dict[str, str]) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"crf": "1", **options})
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_frames_leave_the_memory(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()
    before = held_frames._memory._held
    found = sampled(clip, 0.2)
    held = held_frames._memory._held
    assert held > before
    first = pixels(found[0])
    assert held_frames._memory._held < held
    del found
    gc.collect()
    assert held_frames._memory._held == before

    # Without room, they are decoded when they are read.
    monkeypatch.setattr(held_frames, "_MOST_HELD_BYTES", before)
    monkeypatch.setattr(frames_module, "_PATIENCE", 0.0)
    found = sampled(clip, 0.2)
    assert held_frames._memory._held == before
    assert np.array_equal(pixels(found[0]), first)


def test_a_frame_can_be_pickled(clip: Path) -> None:
    frame = sampled(clip)[1]
    copy = pickle.loads(pickle.dumps(frame))
    assert copy == frame
    assert np.array_equal(pixels(copy), pixels(frame))


def test_who_reads_the_frames_can_end_them(clip: Path) -> None:
    found = iter_paths([str(clip)], every=0.5)
    first = next(found)
    assert isinstance(first, Located)
    assert isinstance(first.place, Frame)
    assert first.place.clip is not None
    first.place.clip.skip = True
    assert list(found) == []


@pytest.mark.parametrize("name", ["b-frames.mp4", "a.mkv", "a.webm", "a.avi"])
def test_a_cut_file_gives_what_was_before_the_cut(tmp_path: Path, name: str) -> None:
    options = {**videos.KINDS[name]}
    if name.endswith("mp4"):
        # The index in front, as on the web; behind, nothing of a cut file can be read.
        options = {"options": {"movflags": "+faststart"}}
    path = videos.write(tmp_path / name, videos.moving(75), **options)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    whole = sampled(path, 0.2)
    assert fault(whole[-1]) == (Status.TRUNCATED, "the file ends too early")
    assert whole[-1] == str(path)
    if not name.endswith("mp4"):
        assert 2 <= len(whole) < 15
    path.write_bytes(data[:300])
    assert [fault(one)[0] for one in sampled(path)] == [Status.TRUNCATED]


@pytest.mark.parametrize("name", ["b-frames.mp4", "a.mkv", "a.webm", "a.avi", "a.mts"])
def test_damaged_files_end(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = videos.write(tmp_path / name, videos.moving(30), **videos.KINDS[name]).read_bytes()
    capfd.readouterr()
    rng = random.Random(7)
    for number in range(12):
        damaged = bytearray(data[: rng.randrange(len(data))] if number % 3 == 0 else data)
        for _ in range(rng.randrange(1, 30)):
            if damaged:
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        (tmp_path / name).write_bytes(damaged)
        found = sampled(tmp_path / name, 0.1)
        assert found
        for path in found[:-1]:
            assert open_rgb(path).width > 0
        if found[-1] == str(tmp_path / name):
            assert not fault(found[-1])[0].has_score
    assert capfd.readouterr().err == ""


def test_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video" * 99)
    (tmp_path / "folder.mp4").mkdir()
    expected = {"empty": Status.EMPTY, "text": Status.NOT_AN_IMAGE, "absent": Status.NOT_FOUND}
    for name, status in expected.items():
        assert [fault(one)[0] for one in sampled(tmp_path / f"{name}.mp4")] == [status]
    assert sampled(tmp_path / "folder.mp4") == []
    sound = videos.write_sound(tmp_path / "sound.m4a").rename(tmp_path / "sound.mp4")
    assert fault(sampled(sound)[0]) == (Status.NOT_AN_IMAGE, "no pictures in it, as in a file of sound alone")
    both = videos.write(tmp_path / "both.mp4", videos.moving(25), sound=True)
    assert times(sampled(both)) == ["0.000s"]


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{other}'\n",
        "RIFF....AVS {other}",
        '<?xml version="1.0"?><MPD><Period><BaseURL>{other}</BaseURL></Period></MPD>',
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    ],
)
def test_a_file_that_refers_to_others_reads_none(tmp_path: Path, clip: Path, text: str) -> None:
    for name in ("a.mp4", "a.mkv", "a.avi", "a.mts"):
        (tmp_path / name).write_text(text.format(other=clip) + " " * 400)
        assert [fault(one)[0] for one in sampled(tmp_path / name)] == [Status.NOT_AN_IMAGE]


def test_a_reference_within_a_container_is_refused() -> None:
    with pytest.raises(ImageError, match="refers to other files"):
        video_module._refuse("file:/etc/passwd", 1, {})


def test_the_size_of_frames_has_a_limit(clip: Path) -> None:
    found = sampled(clip, max_pixels=64 * 48 - 1)
    assert fault(found[0]) == (Status.TOO_LARGE, "64 x 48 pixels, more than the limit of 3071")
    assert len(sampled(clip, max_pixels=64 * 48)) == 3


def test_the_number_of_frames_has_a_limit(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames_module, "MOST_FRAMES", 2)
    found = sampled(clip)
    assert times(found[:2]) == ["0.000s", "1.000s"]
    assert fault(found[2])[0] is Status.TOO_LARGE


def test_the_time_of_decoding_has_a_limit(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_limits, "_FREE_VIDEO_SECONDS", -1.0)
    monkeypatch.setattr(decode_limits, "_VIDEO_SECONDS_A_SECOND", 0.0)
    assert [fault(one)[0] for one in sampled(clip)] == [Status.TOO_SLOW]
    clock = decode_limits.VideoClock()
    clock.shown = 10**9
    with pytest.raises(decode_limits.TooSlowError):
        clock.check()


def test_without_the_package(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    for path in (sampled(clip)[0], Located("a", Frame(str(clip), 0))):
        status, message = fault(path)
        assert status is Status.UNSUPPORTED
        assert "pip install 'cmfl-export[video]'" in message


def test_containers_by_their_first_bytes() -> None:
    camera = b"".join(bytes(4) + b"G" + bytes(187) for _ in range(3))
    assert container_of(camera[:400]) == "mpegts"
    assert container_of(b"GIF89a" + bytes(394)) is None
    assert container_of(b"") is None
