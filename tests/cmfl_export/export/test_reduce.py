"""Variants in less precision: made from an export, judged, and refused when they decide otherwise."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from cmfl_export.base.errors import CmflError
from cmfl_export.detector import Detector
from cmfl_export.export import int8
from cmfl_export.export.reduce import Agreement, Limits, reduce
from cmfl_export.export.run import export, summary
from cmfl_export.runtime import write_model
from cmfl_export.runtime.domain import fitted
from cmfl_export.runtime.session import Session, read_card
from tests.cmfl_export.export.conftest import Variant, few_images
from tests.conftest import picture


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    few_images(monkeypatch)


# Measured with AVX2: int8 at most 0.020 to 0.080 and on average 0.005 to 0.010; with 6 bits instead of 8
# 0.135 and 0.037; fp16 0.017 and 0.005.
@pytest.mark.parametrize(
    ("precision", "furthest", "average", "size"), [("int8", 0.12, 0.025, 0.4), ("fp16", 0.04, 0.012, 0.6)]
)
def test_a_variant_of_an_export(
    precision: str,
    furthest: float,
    average: float,
    size: float,
    model_file: Path,
    pictures: Path,
    request: pytest.FixtureRequest,
) -> None:
    variant: Variant = request.getfixturevalue(f"{precision}_variant")
    before, card = read_card(model_file), read_card(variant.path)
    assert (card.precision, card.weights_sha256, card.name) == (precision, before.weights_sha256, before.name)
    reduced = card.parity.pop("reduced")
    assert card.parity == before.parity
    assert [figures["provider"] for figures in reduced["runtimes"]] == ["cpu (exact)", "cpu", "openvino"]
    for figures in reduced["runtimes"]:
        assert figures["images"] == 8
        assert figures["flips"] <= 1
        assert 0 < figures["mean_abs_p"] <= figures["max_abs_p"] < furthest
        assert figures["mean_abs_p"] < average
        assert f"against fp32 on {figures['provider']}: max |Δp|" in variant.printed
    assert variant.path.stat().st_size < size * model_file.stat().st_size

    detector = Detector(variant.path, provider="cpu")
    assert detector.provider == "openvino"
    row, whole = (one.predict(pictures / "0.png") for one in (detector, Detector(model_file)))
    assert row.p_real == pytest.approx(whole.p_real, abs=furthest)


@pytest.mark.usefixtures("few")
def test_a_domain_stays_behind(
    model_file: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain = fitted(np.random.default_rng(0).random((50, 768)), 3).to_card()
    source = tmp_path / "source.onnx"
    write_model(onnx.load(model_file), replace(read_card(model_file), domain=domain), source)
    assert Detector(source).card.domain
    monkeypatch.setattr(int8, "quantise", lambda model, _: model)
    card = reduce(source, tmp_path / "variant.onnx", "int8", pictures)
    assert card.domain == read_card(tmp_path / "variant.onnx").domain == {}
    said = "without a domain; cmfl calibrate --domain-split train"
    assert (said in "\n".join(summary(card, "variant.onnx"))) == ("embedding" in card.outputs)
    assert said in "\n".join(summary(replace(card, outputs=(*card.outputs, "embedding")), "variant.onnx"))
    assert said not in "\n".join(summary(replace(card, domain=domain), "variant.onnx"))


def inverted(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with 1 - p_real for p_real: every decision is another one, on every CPU."""
    out = copy.deepcopy(model)
    last = next(node for node in out.graph.node if "p_real" in node.output)
    negated = onnx.helper.make_node("Neg", [last.input[0]], ["negated"])
    last.input[0] = "negated"
    out.graph.node.insert(list(out.graph.node).index(last), negated)
    return out


@pytest.mark.usefixtures("few")
def test_what_decides_otherwise_is_refused(
    model_file: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "quantise", lambda model, _: inverted(model))
    out = tmp_path / "variant.onnx"
    refusal = "too far from float32, so nothing was written: .*8 of 8 decisions differ"
    with pytest.raises(CmflError, match=refusal):
        reduce(model_file, out, "int8", pictures)
    assert not list(tmp_path.iterdir())


def test_limits() -> None:
    limits = Limits(flips=0.01, d_eer=0.003)
    assert Agreement("cpu", 100, 0.1, 0.01, 1, 0.003, 0.001).within(limits)
    assert Agreement("cpu", 100, 0.1, 0.01, 1, None, None).within(limits)
    assert Agreement("cpu", 100, 0.1, 0.01, 1, 0.02, 0.02).within(limits)
    assert not Agreement("cpu", 100, 0.1, 0.01, 1, -0.04, 0.02).within(limits)
    assert not Agreement("cpu", 100, 0.1, 0.01, 2, 0.0, 0.001).within(limits)
    assert not Agreement("cpu", 100, 0.1, 0.01, 0, -0.004, 0.001).within(limits)
    assert not Agreement("cpu", 100, float("nan"), float("nan"), 0, 0.0, 0.001).within(limits)


def test_wrong_usage(model_file: Path, weights_file: Path, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    wrong: list[tuple[str, Path, dict[str, Any]]] = [
        ("unknown precision", weights_file, {"precision": "int4"}),
        ("needs --calibration", model_file, {"precision": "int8"}),
        ("is already exported", model_file, {}),
        ("keeps the outputs and the card", model_file, {"precision": "int8", "name": "other"}),
        ("not a folder of images", model_file, {"precision": "fp16", "calibration": model_file}),
        ("no such", tmp_path / "absent.onnx", {"precision": "fp16", "calibration": pictures}),
    ]
    for message, source, options in wrong:
        with pytest.raises(CmflError, match=message):
            export(source, out, **options)
    assert not out.exists()


def test_a_variant_of_a_variant_is_refused(
    model_file: Path, fp16_variant: Variant, pictures: Path, tmp_path: Path
) -> None:
    half = fp16_variant.path
    with pytest.raises(CmflError, match="is fp16; give the fp32 model"):
        reduce(half, tmp_path / "again.onnx", "int8", pictures)
    # The spectrum of a half-precision file is computed in float32 on both runtimes.
    images = np.stack([picture(number) for number in range(3)])
    whole = Session.open(model_file, "onnxruntime").run(images, ["spectrum"])["spectrum"]
    for provider in ("onnxruntime", "openvino"):
        spectrum = Session.open(half, provider).run(images, ["spectrum"])["spectrum"]
        assert np.abs(spectrum - whole).max() < 2e-4
