"""The façade: every kind of input, the same score for all of them, one row for each."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import cmfl_export
from cmfl_export.base.errors import CmflError
from cmfl_export.detector import Detector
from cmfl_export.images.status import Status
from cmfl_export.runtime.prediction import Prediction
from tests.cmfl_export import tiny_model
from tests.cmfl_export.predictions import the_row

NO_HEAVY_IMPORTS = """
import sys
import cmfl_export
loaded = {"numpy", "onnxruntime", "PIL", "torch"} & set(sys.modules)
assert not loaded, loaded
assert cmfl_export.__version__
import cmfl_export.detector, cmfl_export.predict
from cmfl_export import Detector
assert Detector(sys.argv[1], provider="cpu").predict(sys.argv[2]).ok
cmfl_export.predict.predict_to(sys.argv[1], [sys.argv[2]], sys.argv[3], provider="cpu", progress=False)
loaded = {"torch", "lightning", "scipy", "training"} & set(sys.modules)
assert not loaded, loaded
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.write(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def detector(model: Path) -> Detector:
    return Detector(model, provider="cpu", batch_size=4, workers=2, align=None)


def picture(seed: int, height: int = 224, width: int = 224) -> NDArray[np.uint8]:
    """A picture of one colour with noise on it: seeds differ in their scores by much."""
    random = np.random.default_rng(seed)
    colour = random.integers(20, 236, 3)
    return (colour + random.integers(-20, 20, (height, width, 3))).astype(np.uint8)


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "a face.png"
    Image.fromarray(picture(1)).save(path)
    return path


def test_scores_and_decision_are_those_computed_by_hand(detector: Detector) -> None:
    found = detector.predict(picture(1))
    assert isinstance(found, Prediction)
    got = (found.p_real, found.p_real_rgb, found.p_real_spectrum)
    np.testing.assert_allclose(np.array(got, float), tiny_model.expected(picture(1)), atol=1e-5)
    assert (found.status, found.error, found.path, dict(found.extras)) == (Status.OK, "", "", {})
    assert found.decision == ("real" if tiny_model.expected(picture(1))[0] >= 0.5 else "synthetic")


def test_path_bytes_pillow_and_array_score_alike(detector: Detector, png: Path) -> None:
    from_path = detector.predict(png)
    assert from_path.path == str(png)
    assert detector.predict(str(png)) == from_path
    with Image.open(png) as opened:
        others = [png.read_bytes(), opened, picture(1)]
        one_by_one = [
            detector.predict(png.read_bytes()),
            detector.predict(opened),
            detector.predict(picture(1)),
        ]
        for found in [*one_by_one, *detector.predict(others)]:
            assert found == Prediction(
                "", from_path.p_real, from_path.p_real_rgb, from_path.p_real_spectrum, from_path.decision
            )


def test_many_pictures_come_back_in_order_as_what_they_were_given(detector: Detector) -> None:
    pictures = [picture(seed) for seed in range(11)]
    one_by_one = [detector.predict(image) for image in pictures]
    assert detector.predict(pictures) == one_by_one
    assert detector.predict(tuple(pictures)) == one_by_one
    assert detector.predict(np.stack(pictures)) == one_by_one
    lazy = detector.predict(iter(pictures))
    assert not isinstance(lazy, list)
    assert list(lazy) == one_by_one
    assert detector.predict([]) == []


def test_an_iterator_is_read_lazily(detector: Detector) -> None:
    pulled = 0

    def endless() -> Iterator[NDArray[np.uint8]]:
        nonlocal pulled
        while True:
            pulled += 1
            yield picture(1)

    rows = detector.predict(endless())
    assert pulled == 0
    assert next(rows).ok
    assert pulled <= 2 * 4 + 2 * 4 + 2


def broken_files(folder: Path) -> list[tuple[Path, Status]]:
    whole = io.BytesIO()
    Image.fromarray(picture(3)).save(whole, "PNG")
    files = {
        "empty.png": (b"", Status.EMPTY),
        "text.png": (b"this is no image", Status.NOT_AN_IMAGE),
        "cut.png": (whole.getvalue()[:20_000], Status.TRUNCATED),
    }
    cases = []
    for name, (content, status) in files.items():
        (folder / name).write_bytes(content)
        cases.append((folder / name, status))
    (folder / "folder.jpg").mkdir()
    (folder / "link.png").symlink_to(folder / "gone.png")
    Image.new("RGB", (1200, 1000)).save(folder / "huge.png")
    return [
        *cases,
        (folder / "absent.png", Status.NOT_FOUND),
        (folder / "folder.jpg", Status.NOT_A_FILE),
        (folder / "link.png", Status.NOT_FOUND),
        (folder / "huge.png", Status.TOO_LARGE),
    ]


@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_every_kind_of_failure_is_one_row_in_its_place(
    model: Path, tmp_path: Path, png: Path, batch_size: int
) -> None:
    detector = Detector(
        model, provider="cpu", batch_size=batch_size, workers=3, max_pixels=1_000_000, align=None
    )
    inputs: list[Path] = []
    statuses: list[Status] = []
    for path, status in broken_files(tmp_path):
        inputs += [path, png, path]
        statuses += [status, Status.OK, status]
    rows = detector.predict(inputs)
    assert [row.path for row in rows] == [str(path) for path in inputs]
    assert [row.status for row in rows] == statuses
    for row in rows:
        assert row.ok == (row.p_real is not None) == (row.decision is not None) == (row.error == "")
        assert "\n" not in row.error


def recorded(detector: Detector, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """The batch size and `low_latency` of every run from now on."""
    run = detector._session.run
    calls: list[tuple[int, bool]] = []

    def recording(
        batch: NDArray[np.uint8], names: Sequence[str], *, low_latency: bool
    ) -> dict[str, NDArray[np.float32]]:
        calls.append((len(batch), low_latency))
        return run(batch, names, low_latency=low_latency)

    monkeypatch.setattr(detector._session, "run", recording)
    return calls


def test_padded_and_unpadded_batches_score_alike(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = Detector(model, provider="cpu", batch_size=4, align=None)
    pictures = [picture(seed) for seed in range(6)]
    unpadded = detector.predict(pictures)
    calls = recorded(detector, monkeypatch)
    monkeypatch.setattr(detector, "full_batches", True)
    assert detector.predict(pictures) == unpadded
    assert [size for size, _ in calls] == [4, 4]
    assert detector.predict(pictures[0]) == unpadded[0]
    assert [size for size, _ in calls[2:]] == [1]


def test_many_pictures_share_the_threads_and_few_have_them_all(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = Detector(model, provider="openvino", threads=2, align=None)
    assert (detector.batch_size, detector.concurrent_batches) == (4, 2)
    pictures = [picture(seed) for seed in range(10)]
    one_by_one = [the_row(detector.predict(image)).p_real for image in pictures]
    calls = recorded(detector, monkeypatch)
    assert [row.p_real for row in detector.predict(pictures)] == one_by_one
    assert sorted(calls) == [(2, False), (4, False), (4, False)]
    calls.clear()
    assert [row.p_real for row in detector.predict(pictures[:4])] == one_by_one[:4]
    assert calls == [(4, True)]
    calls.clear()
    assert [row.p_real for row in detector.predict(iter(pictures[:1]))] == one_by_one[:1]
    assert calls == [(1, False)]


@pytest.mark.parametrize(
    "x", [5, None, {"a": 1}, {1, 2}, io.BytesIO(b"x"), np.zeros((224, 224, 3), np.float32)]
)
def test_other_types_are_a_type_error_that_says_what_is_accepted(detector: Detector, x: Any) -> None:
    with pytest.raises(TypeError, match=r"path.*bytes.*Pillow.*array"):
        detector.predict(x)


def test_a_wrong_type_in_an_iterator_comes_after_the_rows_before_it(detector: Detector) -> None:
    mixed: list[Any] = [picture(1), 5]
    rows = detector.predict(iter(mixed))
    assert next(rows).ok
    with pytest.raises(TypeError, match="not int"):
        next(rows)


def test_threshold_and_geometry_come_from_the_card_unless_given(tmp_path: Path) -> None:
    path = tiny_model.write(tmp_path / "m.onnx", threshold=0.25, aligned=False)
    grey = np.full((224, 224, 3), 102, np.uint8)  # scores 0.4
    detector = Detector(path, provider="cpu")
    assert (detector.threshold, detector.aligned) == (0.25, False)
    assert detector.predict([grey])[0].decision == "real"
    other = Detector(path, provider="cpu", threshold=0.75, aligned=True)
    assert (other.threshold, other.aligned) == (0.75, True)
    assert other.predict([grey])[0].decision == "synthetic"
    exact = Detector(path, provider="cpu", threshold=detector.predict([grey])[0].p_real)
    assert exact.predict([grey])[0].decision == "real"


def test_the_geometry_reaches_the_decoder(model: Path) -> None:
    framed = np.zeros((256, 256, 3), np.uint8)
    framed[16:240, 16:240] = 255
    assert Detector(model, provider="cpu", aligned=False).predict([framed])[0].p_real == pytest.approx(
        1, abs=1e-5
    )
    assert Detector(model, provider="cpu", aligned=True).predict([framed])[0].p_real == pytest.approx(
        0.77, abs=0.02
    )


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": 1.5},
        {"threshold": -0.1},
        {"threshold": float("nan")},
        {"batch_size": 0},
        {"workers": 0},
        {"max_pixels": 0},
        {"threads": -1},
    ],
)
def test_numbers_out_of_range_are_refused(model: Path, options: dict[str, Any]) -> None:
    with pytest.raises(CmflError):
        Detector(model, provider="cpu", **options)


@pytest.mark.parametrize("name", tiny_model.SCORES)
@pytest.mark.parametrize("score", [-0.1, 1.0000002, np.inf, -np.inf, np.nan])
def test_a_score_outside_its_range_is_no_decision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, score: float
) -> None:
    detector = Detector(tiny_model.write(tmp_path / "m.onnx"), provider="cpu")
    right = detector._session.run

    def second_is_wrong(*given: Any, **options: Any) -> dict[str, Any]:
        found = right(*given, **options)
        found[name] = found[name].copy()
        found[name][1] = score
        return found

    monkeypatch.setattr(detector._session, "run", second_is_wrong)
    first, second = detector.predict([picture(1), picture(2)])
    assert first.ok
    assert (second.status, second.p_real, second.decision) == (Status.UNREADABLE, None, None)
    assert f"the model's {name} is " in second.error


def test_a_score_that_is_not_a_number_is_no_decision(tmp_path: Path) -> None:
    detector = Detector(tiny_model.write(tmp_path / "m.onnx", nan_when_black=True), provider="cpu")
    black, grey = detector.predict([np.zeros((224, 224, 3), np.uint8), picture(1)])
    assert (black.status, black.p_real, black.decision) == (Status.UNREADABLE, None, None)
    assert "finite" in black.error
    assert grey.ok


def test_extras_are_fetched_only_when_asked_for(tmp_path: Path) -> None:
    path = tiny_model.write(tmp_path / "m.onnx", outputs=(*tiny_model.SCORES, "embedding"))
    detector = Detector(path, provider="cpu")
    plain, extra = detector.predict([picture(1)])[0], detector.predict([picture(1)], extras=True)[0]
    assert dict(plain.extras) == {}
    np.testing.assert_allclose(extra.extras["embedding"], picture(1).mean((0, 1)) / 255, atol=1e-5)
    assert extra.extras["embedding"].base is None
    assert plain == extra
    assert list(detector.scores(picture(1)[None])) == list(tiny_model.SCORES)


def test_a_one_stream_model_has_one_score(tmp_path: Path) -> None:
    detector = Detector(tiny_model.write(tmp_path / "m.onnx", outputs=("p_real",)), provider="cpu")
    (row,) = detector.predict([picture(1)])
    assert row.ok
    assert (row.p_real_rgb, row.p_real_spectrum) == (None, None)


def test_threads_share_a_detector(detector: Detector) -> None:
    pictures = [picture(seed) for seed in range(10)]
    expected = detector.predict(pictures)
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(3):
            if detector.predict(pictures[number:]) != expected[number:]:
                wrong.append(number)
            if detector.predict(pictures[number]) != expected[number]:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_names_at_the_top_of_the_package() -> None:
    assert cmfl_export.Detector is Detector
    assert cmfl_export.__version__[0].isdigit()
    with pytest.raises(AttributeError, match="nothing"):
        _ = cmfl_export.nothing


def test_no_torch_and_nothing_heavy_is_imported(model: Path, png: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", NO_HEAVY_IMPORTS, str(model), str(png), str(tmp_path / "rows.csv")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
