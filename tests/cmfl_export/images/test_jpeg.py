"""JPEG markers: holes in the data are `truncated`, flat and padded pictures are not."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from cmfl_export.images import jpeg
from cmfl_export.images.decoding import decode
from cmfl_export.images.status import ImageError, Status
from tests.cmfl_export.pictures import noise

OPTIONS = [{}, {"optimize": True}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}]


def encoded(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90, **options)
    return stream.getvalue()


def smooth() -> Image.Image:
    ramp = np.tile(np.linspace(0, 255, 300, dtype=np.uint8), (300, 1))
    return Image.fromarray(np.dstack([ramp, ramp.T, ramp]))


PICTURES = {
    "noise": noise(300, 300, seed=3),
    "smooth": smooth(),
    "black": Image.new("RGB", (400, 300)),
    "grey": Image.new("L", (300, 400), 117),
    "white border": Image.new("RGB", (300, 900), "white"),
}
PICTURES["white border"].paste(PICTURES["noise"], (0, 300))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", PICTURES)
def test_whole_pictures_are_whole(name: str, options: dict[str, object]) -> None:
    data = encoded(PICTURES[name], **options)
    expected = decode(data)
    for padded in (data + bytes(5000), data + b"\xff" * 100):
        assert np.array_equal(decode(padded), expected)
    survey = jpeg.survey(data)
    assert survey.whole
    assert survey.progressive == ("progressive" in options)
    assert survey.scans == (len(re.findall(rb"\xff\xda", data)))


@pytest.mark.parametrize("options", OPTIONS[:4], ids=str)
@pytest.mark.parametrize("name", ["noise", "white border"])
def test_data_that_is_missing_is_truncated(name: str, options: dict[str, object]) -> None:
    data = encoded(PICTURES[name], **options)
    for keep in (0.5, 0.7, 0.9):
        kept = int(len(data) * keep)
        filled = data[:kept] + bytes(len(data) - kept)
        for damaged in (filled, filled[:-2] + b"\xff\xd9"):
            with pytest.raises(ImageError) as caught:
                decode(damaged)
            assert caught.value.status in (Status.TRUNCATED, Status.UNREADABLE), keep


def test_many_scans_are_refused_from_the_markers() -> None:
    data = encoded(PICTURES["noise"], progressive=True)
    start = [match.start() for match in re.finditer(rb"\xff\xda", data)][-1]
    scan = data[start : data.index(b"\xff\xd9", start)]
    header = scan[: 2 + int.from_bytes(scan[2:4], "big")]
    bomb = data[:-2] + header * 1500 + b"\xff\xd9"
    assert jpeg.survey(bomb).scans > 1000
    with pytest.raises(ImageError, match="scans of 90000 pixels") as caught:
        decode(bomb)
    assert caught.value.status is Status.TOO_SLOW
