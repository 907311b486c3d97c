"""Makes fp16 and int8 variants of an exported model, and accepts only those that decide like the original."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ModelError, UsageError, need
from ..base.files import whole_file
from ..metrics import d_eer
from ..runtime import PRECISIONS, ModelCard, Session, providers, read_card, write_model
from . import calibration_images
from .calibration_images import CalibrationImages, Images

BATCH = 8


@dataclass(frozen=True)
class Limits:
    """How far a variant may be from the original: share of decisions that differ, and change of D-EER.

    A change of D-EER by one image is always allowed: with 200 images per class it is 0.5 points, and two
    neighbouring scores that change places cause it.
    """

    flips: float = 0.01
    d_eer: float = 0.003


@dataclass(frozen=True)
class Agreement:
    """How a variant compares with the float32 model on the held-out images, on one runtime."""

    provider: str  # "cpu (exact)" is ONNX Runtime when it adds 8-bit products in 32 bits
    images: int
    max_abs_p: float  # over all heads
    mean_abs_p: float
    flips: int  # decisions of the joint head that differ
    d_eer_change: float | None  # of the joint head; None where the classes are not known
    d_eer_step: float | None  # the change that one image of the smaller class causes

    def within(self, limits: Limits) -> bool:
        """Whether the variant is close enough to the original."""
        change, step = abs(self.d_eer_change or 0.0), self.d_eer_step or 0.0
        # Rates are multiples of the step, up to rounding. Written so that a NaN fails.
        allowed = max(limits.d_eer, step * (1 + 1e-9))
        return self.max_abs_p <= 1 and self.flips <= limits.flips * self.images and change <= allowed

    def line(self) -> str:
        """The figures as one line of text."""
        change = "unknown (no classes)"
        if self.d_eer_change is not None and self.d_eer_step is not None:
            change = f"{100 * self.d_eer_change:+.2f} points (one image: {100 * self.d_eer_step:.2f})"
        return (
            f"on {self.provider}: max |Δp| {self.max_abs_p:.1e}, mean {self.mean_abs_p:.1e}, {self.flips} of "
            f"{self.images} decisions differ, D-EER {change}"
        )


def reduce(
    model: str | Path,
    out: Path,
    precision: str,
    calibration: Path | None,
    data_root: Path | None = None,
    *,
    limits: Limits | None = None,
) -> ModelCard:
    """Writes a variant of an exported float32 model; the file appears whole and checked, or not at all.

    A domain in the card stays behind: rounding moves embeddings out of the narrow directions of float32.

    Args:
        model: the exported file.
        out: the file to write.
        precision: `int8` or `fp16`, see `int8.quantise` and `fp16.halve`.
        calibration, data_root: the images, see `calibration_images.read`; fp16 uses them only for the check.
        limits: how far the variant may be from the original, on every CPU runtime that is installed.

    Returns:
        The card in the file, with the figures under `parity["reduced"]`.

    Raises:
        UsageError: an unknown precision, or no images.
        ModelError: not a float32 model, or the variant is outside the limits or not portable.
        InputError, ProtocolError: the images cannot be used.
        PackageError: onnx is missing.
    """
    if precision not in PRECISIONS[1:]:
        raise UsageError(f"unknown precision {precision!r}; there are: {', '.join(PRECISIONS)}")
    if calibration is None:
        raise UsageError(f"--precision {precision} needs --calibration: a folder of images, or a protocol")
    try:
        import onnx
    except ImportError as error:
        raise need("evaluate", f"writing ONNX files ({error.name})") from error
    original = Session.open(model, "onnxruntime")
    if original.card.precision != "fp32":
        raise ModelError(
            f"{original.path} is {original.card.precision}; give the fp32 model that it was made from"
        )
    images = calibration_images.read(calibration, data_root, aligned=original.card.aligned)
    reduced = _reduced(onnx.load(original.path), precision, images.calibration)
    card = replace(original.card, precision=precision, domain={})
    with whole_file(out) as part:
        write_model(reduced, card, part)
        if not read_card(part).portable:
            raise ModelError(
                f"the {precision} model would not give the same scores on every CPU, so nothing was written"
            )
        agreements = judge(original, part, images.held_out)
        card = replace(card, parity=original.card.parity | {"reduced": _figures(agreements, images)})
        limits = limits or Limits()
        broken = [agreement for agreement in agreements if not agreement.within(limits)]
        if broken:
            raise ModelError(
                f"the {precision} model is too far from float32, so nothing was written: {broken[0].line()} "
                f"(limits: {100 * limits.flips:g} % of the decisions, {100 * limits.d_eer:g} points; "
                "--max-flips and --max-d-eer-change set them)"
            )
        write_model(reduced, card, part)
    return card


def judge(original: Session, variant: Path, images: Images) -> list[Agreement]:
    """Compares the variant with the original on each installed CPU runtime, and in exact arithmetic.

    A portable variant never saturates, so the result holds for every CPU.
    """
    expected = _scores(original, images.pixels)
    agreements = []
    runtimes = [("onnxruntime", True), ("onnxruntime", False)]
    for provider, exact in [*runtimes, *([("openvino", False)] if providers.has_openvino() else [])]:
        session = Session.open(variant, provider, exact=exact)
        got = _scores(session, images.pixels)
        differences = np.abs(np.stack([got[name] - expected[name] for name in got]))
        decisions = [_decisions(original.card, scores["p_real"]) for scores in (got, expected)]
        change = step = None
        if images.is_real is not None:
            rates = [d_eer(scores["p_real"], images.is_real).rate for scores in (got, expected)]
            real = sum(images.is_real)
            change, step = rates[0] - rates[1], 1 / min(real, len(images.is_real) - real)
        agreements.append(
            Agreement(
                session.provider + (" (exact)" if exact else ""),
                len(images.pixels),
                float(differences.max()),
                float(differences.mean()),
                int((decisions[0] != decisions[1]).sum()),
                change,
                step,
            )
        )
    return agreements


def _reduced(model: Any, precision: str, images: Images) -> Any:
    if precision == "fp16":
        from .fp16 import halve

        return halve(model)
    from .int8 import quantise

    return quantise(model, images.pixels)


def _figures(agreements: list[Agreement], images: CalibrationImages) -> dict[str, Any]:
    return {
        "source": images.source,
        "calibration_images": len(images.calibration.pixels),
        "runtimes": [asdict(agreement) for agreement in agreements],
    }


def _scores(session: Session, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    parts = [session.run(batch, session.score_outputs) for batch in _batches(pixels)]
    return {name: np.concatenate([part[name] for part in parts]).astype(np.float64) for name in parts[0]}


def _decisions(card: ModelCard, p_real: NDArray[np.float64]) -> NDArray[np.str_]:
    return np.array([card.decide(float(p)) for p in p_real], np.str_)


def _batches(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(pixels), BATCH):
        yield pixels[start : start + BATCH]
