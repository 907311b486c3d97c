"""cmfl verify: holds on a sound export, and catches the mistakes that exports are known for."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from cmfl_export.base.errors import CmflError
from cmfl_export.detector import Detector
from cmfl_export.export import parity
from cmfl_export.export.differences import Differences
from cmfl_export.export.parity import Report
from cmfl_export.runtime.card import METADATA_KEY, ModelCard
from tests.cmfl_export import tiny_model
from training import deploy
from training.config import TrainConfig
from training.model import CmflNet
from training.weights import Weights, save_weights

SCORES = ("p_real", "p_real_rgb", "p_real_spectrum")


@pytest.fixture(scope="module")
def sound(model_file: Path, weights_file: Path, photographs: list[Path]) -> Report:
    return parity.verify(model_file, weights_file, [str(path) for path in photographs[:7]], provider="cpu")


class TestSound:
    def test_holds(self, sound: Report, model_file: Path, weights_file: Path) -> None:
        assert sound.ok
        assert (sound.model, sound.weights) == (str(model_file), str(weights_file))
        assert sound.weights_match_card
        assert (sound.images, sound.failed, sound.provider) == (7, {}, "cpu")
        assert 0 < sound.max_difference < 1e-4
        assert all(check.median <= check.p999 <= check.max for check in sound.checks)

    def test_stages(self, sound: Report) -> None:
        stages = [(check.stage, check.against, check.batch, check.flips) for check in sound.checks]
        assert stages == [
            ("spectrum", "NumPy float64", 14, None),
            ("spectrum (torch)", "NumPy float64", 14, None),
            *((score, "PyTorch", size, 0) for score in SCORES for size in (1, 2, 7)),
        ]

    def test_the_spectrum_of_photographs_is_far_within_its_bounds(self, sound: Report) -> None:
        """So that a machine with other rounding passes, and a wrong percentile does not."""
        for check in sound.checks[:2]:
            assert check.max < parity.SPECTRUM_MAX_TOLERANCE / 50
            assert check.median < parity.SPECTRUM_MEDIAN_TOLERANCE / 5

    def test_lines(self, sound: Report) -> None:
        lines = sound.lines()
        assert len(lines) == 1 + 11 + 1
        assert all(len(line) < 120 for line in lines)
        assert re.fullmatch(r"p_real +PyTorch +2( +\d\.\d\de-\d\d){4}  ok  0 decision flips", lines[4])
        assert re.match(r"parity holds: 7 images on cpu, max \|Δp\| .*, tolerance 0.0001$", lines[-1])

    def test_json(self, sound: Report) -> None:
        data = json.loads(sound.to_json())
        assert data["ok"] is True
        assert data["max_difference"] == sound.max_difference
        assert data["checks"][2]["max"] == sound.checks[2].max
        assert set(data["checks"][0]) >= {"stage", "batch", "max", "mean", "median", "p999", "flips", "ok"}


@pytest.mark.usefixtures("quick")
def test_the_tolerance_decides(model_file: Path, weights_file: Path, photographs: list[Path]) -> None:
    report = parity.verify(model_file, weights_file, [str(photographs[0])], provider="cpu", tolerance=0)
    for check in report.checks:
        assert check.ok is (check.flips is None or check.max == 0)
    assert not report.ok


@pytest.mark.usefixtures("quick")
class TestInputs:
    def test_those_that_cannot_be_decoded_are_listed(
        self, model_file: Path, weights_file: Path, photographs: list[Path], tmp_path: Path
    ) -> None:
        (tmp_path / "bad.png").write_bytes(b"no image")
        bad = [str(tmp_path / "bad.png"), str(tmp_path / "absent.jpg")]
        inputs = [bad[0], str(photographs[0]), bad[1], str(photographs[1])]
        report = parity.verify(model_file, weights_file, inputs, provider="cpu")
        assert report.ok
        assert report.images == 2
        assert list(report.failed) == bad
        assert f"could not be used: {bad[1]}: no such file" in report.lines()

    def test_none_can_be_decoded(self, model_file: Path, weights_file: Path, tmp_path: Path) -> None:
        (tmp_path / "bad.png").write_bytes(b"no image")
        with pytest.raises(CmflError, match=r"no image to verify on \(.*bad\.png: not an image"):
            parity.verify(model_file, weights_file, [str(tmp_path)], provider="cpu")

    def test_an_empty_folder(self, model_file: Path, weights_file: Path, tmp_path: Path) -> None:
        with pytest.raises(CmflError, match=r"no image to verify on \(the inputs contain no image\)"):
            parity.verify(model_file, weights_file, [str(tmp_path)], provider="cpu")

    def test_other_weights_of_the_same_network_are_noted(
        self,
        model_file: Path,
        photographs: list[Path],
        loaded: Weights,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.undo()
        monkeypatch.setattr(parity, "BATCH_SIZES", (1,))
        other = tmp_path / "other.safetensors"
        save_weights(loaded.net, other, TrainConfig(protocol="another run", data_root="."))
        report = parity.verify(model_file, other, [str(photographs[0])], provider="cpu")
        # The numbers agree, so parity holds; but the card speaks of another file.
        assert report.ok
        assert not report.weights_match_card
        assert (
            "note: the model's card names other weights than these (their SHA-256 differs)" in report.lines()
        )

    def test_another_architecture(
        self, model_file: Path, loaded: Weights, photographs: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(parity, "load", lambda *_: replace(loaded, net=CmflNet("one_stream", "fft")))
        with pytest.raises(
            CmflError, match=r"is two_stream multi, but .* is one_stream fft; give the weights"
        ):
            parity.verify(model_file, "w", [str(photographs[0])], provider="cpu")

    def test_a_file_without_a_named_spectrum(self, tmp_path: Path, photographs: list[Path]) -> None:
        model = tiny_model.write(tmp_path / "tiny.onnx")
        with pytest.raises(CmflError, match="no tensor named spectrum; export it again"):
            parity.verify(model, "w", [str(photographs[0])], provider="cpu")

    @pytest.mark.parametrize("tolerance", [-1e-4, float("nan")])
    def test_tolerance(self, model_file: Path, tolerance: float) -> None:
        with pytest.raises(CmflError, match="it must be a number from 0 up"):
            parity.verify(model_file, "w", ["x.png"], tolerance=tolerance)


class _Recorder:
    """A session whose output is the first pixel of each image."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def run(self, batch: np.ndarray, outputs: list[str]) -> dict[str, np.ndarray]:
        self.sizes.append(len(batch))
        return dict.fromkeys(outputs, batch[:, 0, 0, 0].astype(np.float32))


@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize("count", [1, 3, 7, 10])
def test_every_batch_is_whole(size: int, count: int) -> None:
    """A batch of seven is tested as one even when there are three images."""
    images = np.zeros((count, 224, 224, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(count)
    recorder: Any = _Recorder()
    found = parity.run_in_batches(recorder, images, size, ["p"])
    assert set(recorder.sizes) == {size}
    np.testing.assert_array_equal(found["p"], np.arange(count))


class _OtherScores:
    """A session that gives the same score to every image, with a card of its own."""

    def __init__(self, score: float, card: ModelCard) -> None:
        self.card = card
        self._score = score

    def run(self, batch: np.ndarray, outputs: list[str]) -> dict[str, np.ndarray]:
        return {name: np.full(len(batch), self._score, np.float32) for name in outputs}


@pytest.mark.parametrize(
    ("temperature", "threshold", "flips"),
    [
        # 0.6 is real as it is, and at temperature 0.5 it is 0.69; 0.8 is 0.94.
        (1.0, 0.5, 0),
        (1.0, 0.7, 1),
        (0.5, 0.7, 1),
        (0.5, 0.65, 0),
        (0.5, 0.9, 1),
        # At temperature 4 they are 0.525 and 0.586: both below 0.7, which the scores themselves are not.
        (4.0, 0.7, 0),
        (4.0, 0.55, 1),
    ],
)
def test_flips_are_those_of_the_decision_after_the_temperature(
    temperature: float, threshold: float, flips: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = replace(tiny_model.card(), temperature=temperature, threshold=threshold)

    class Reference:
        names = ("p_real",)

        def __init__(self, net: Any) -> None:
            pass

        def named(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"p_real": torch.full((len(images),), 0.8)}

    monkeypatch.setattr(deploy, "DeployNet", Reference)
    session: Any = _OtherScores(0.6, card)
    net: Any = None
    checks, count = parity.compare(session, None, net, [np.zeros((3, 224, 224, 3), np.uint8)], 1.0)
    assert count == 3
    assert [check.flips for check in checks] == [3 * flips] * len(parity.BATCH_SIZES)


@pytest.mark.parametrize(("temperature", "threshold"), [(0.3, 0.9), (5.0, 0.55), (1.0, 0.4)])
def test_the_card_decides_as_the_detector_does(temperature: float, threshold: float, tmp_path: Path) -> None:
    proto = tiny_model.build()
    card = replace(tiny_model.card(), temperature=temperature, threshold=threshold)
    onnx.helper.set_model_props(proto, {METADATA_KEY: card.to_json()})
    onnx.save(proto, tmp_path / "m.onnx")
    detector = Detector(tmp_path / "m.onnx", provider="onnxruntime")
    images = np.stack([np.full((224, 224, 3), grey, np.uint8) for grey in range(0, 256, 15)])
    raw = detector.scores(images)["p_real"]
    decided = [row.decision for row in detector.predict(list(images))]
    assert [card.decide(float(score)) for score in raw] == decided
    assert set(decided) == {"real", "synthetic"}


def test_images_come_in_chunks(photographs: list[Path], tmp_path: Path) -> None:
    failed: dict[str, str] = {}
    paths = [str(photographs[0])] * 13 + [str(tmp_path / "absent")] + [str(photographs[1])] * 3
    chunks = list(parity.decode_chunks(paths, True, failed))
    assert [chunk.shape for chunk in chunks] == [(14, 224, 224, 3), (2, 224, 224, 3)]
    assert list(failed) == [str(tmp_path / "absent")]


@pytest.mark.parametrize(("value", "ok"), [(0.0, True), (1e-12, True), (50.0, False), (np.inf, False)])
def test_a_check_of_values_outside_the_histogram(value: float, ok: bool) -> None:
    differences = Differences()
    differences.add(np.full(3, value), np.zeros(3))
    check = parity._check(differences, "s", "a", 1, 1e-4, 1e-4)
    assert (check.max, check.median, check.p999, check.ok) == (value, value, value, ok)


def test_a_check_finds_one_nan_among_many() -> None:
    differences = Differences()
    differences.add(np.array([0.0, np.nan]), np.zeros(2))
    differences.add(np.zeros(10_000), np.zeros(10_000))
    check = parity._check(differences, "s", "a", 1, 1e-4, 1e-4)
    assert np.isnan(check.max)
    assert not check.ok


def test_builtin_images() -> None:
    images = parity.builtin_images()
    assert images.shape == (7, 224, 224, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, parity.builtin_images())
    # One of them has no spectrum at all, one has bins that are zero.
    assert [len(np.unique(image)) == 1 for image in images].count(True) == 1
