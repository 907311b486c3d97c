"""Chooses a temperature and a threshold or a band on a dev split, and writes them into the model's card."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from protocols import Sample, read_split
from protocols.reading import split_file

from .. import metrics
from ..base.errors import InputError, ProtocolError, UsageError, need
from ..base.files import check_ending, refuse_overwriting, sha256_of, write_whole
from ..base.locks import one_writer
from ..base.options import DetectorOptions, DetectorSettings
from ..base.text import counted
from ..detector import Detector
from ..metrics import RESPONSES, percent, response_rates
from ..runtime import (
    BAND_CONVENTION,
    LABEL_CONVENTION,
    METADATA_KEY,
    REAL,
    SCHEMA_VERSION,
    SYNTHETIC,
    ModelCard,
    temper,
)
from .assessment import arrays
from .domain import Embeddings, check_embedding, domain_file, fit_domain, with_limit
from .rules import Rule
from .score_split import one_face, score

# Of each subject's SHA-256: two sets of 100,000 subjects share a hash by chance with probability 0.00004.
_HASH_BYTES = 6
# Bounds of the temperature: a fit on scores that are all right would go to 0, on all wrong to infinity.
_COLDEST, _HOTTEST = 0.05, 20.0
# About the largest logit whose float32 probability differs from 1.
_LARGEST_LOGIT = 16.0


@dataclass(frozen=True)
class Calibration:
    """The result of a calibration.

    `before` and `after` are the metrics of `metrics.summary` on the dev split, each at its own threshold; on
    real images alone `bpcer` is the only one. `nll_before` and `nll_after` are the mean negative
    log-likelihoods (nats), which the temperature lowers; None where it was kept. `responses` are the rates of
    `metrics.response_rates` with the new band, if there is one. `domain` says in one line which domain was
    fitted, if one was.
    """

    out: Path
    card: ModelCard
    images: int
    failed: int
    before: dict[str, float]
    after: dict[str, float]
    nll_before: float | None
    nll_after: float | None
    responses: dict[str, float] | None = None
    domain: str = ""

    def lines(self) -> list[str]:
        """The result as text, for the terminal."""
        old = self.card.history[-1]
        a, b = self.before, self.after
        temperature = f"temperature {old['temperature']:.4g} -> {self.card.temperature:.4g}"
        if self.nll_after is None:
            temperature = f"temperature {self.card.temperature:.4g}, kept"
        lines = [
            f"{counted(self.images, 'image')}; {temperature}, "
            f"threshold {old['threshold']:.4g} -> {self.card.threshold:.4g} ({self.card.threshold_source})"
        ]
        bpcer = f"BPCER {100 * a['bpcer']:.1f} -> {100 * b['bpcer']:.1f} %"
        if self.nll_after is None:
            bound = self.card.calibration["bpcer_upper_95"]
            lines.append(f"on these images: {bpcer}, its upper 95 % bound {100 * bound:.1f} %; APCER unknown")
        else:
            lines.append(
                f"on these images: APCER {100 * a['apcer']:.1f} -> {100 * b['apcer']:.1f} %, {bpcer}, "
                f"ECE {a['ece']:.3f} -> {b['ece']:.3f}, NLL {self.nll_before:.3f} -> {self.nll_after:.3f}"
            )
        if self.responses is not None and self.card.band is not None:
            rates = ", ".join(f"{RESPONSES[key]} {percent(rate)}" for key, rate in self.responses.items())
            low, high = self.card.band
            lines.append(f"uncertain from {low:.4g} to {high:.4g}: {rates}")
        if self.card.minimum_resolution is not None:
            lines.append(f"a face needs {self.card.minimum_resolution} pixels of the image (low_resolution)")
        if self.failed:
            lines.append(f"{counted(self.failed, 'image')} without a score left out")
        lines += [self.domain] if self.domain else []
        return [*lines, f"{self.out}: evaluate it on images of other subjects"]


@one_writer("out")
def calibrate(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    protocol: str | os.PathLike[str],
    data_root: str | os.PathLike[str],
    at: str = "d-eer",
    split: str = "dev",
    domain_split: str | None = None,
    options: DetectorOptions | None = None,
    **settings: Unpack[DetectorSettings],
) -> Calibration:
    """Fits temperature and threshold on a split, and writes a copy of the model with both in its card.

    With `at` `bpcer:X` a split may have real images alone; then the temperature stays as it is, and X limits
    the upper 95 % bound of BPCER (Clopper and Pearson, one-sided). Otherwise both classes are needed.

    The temperature T maximises the likelihood of sigmoid(logit(p_real) / T) on these images, with equal
    weight for both classes (Guo et al., ICML 2017); it changes no ranking. The threshold is then chosen on
    the scores with this temperature. The graph stays the same to the byte; `Detector` applies both values.
    The card's `calibration` describes the data, with hashes of the subjects, so that `evaluate` refuses the
    same subjects. The card's `history` keeps the earlier values.

    Args:
        model: an exported ONNX file, or a name of the zoo.
        out: the new file; not the same as `model`.
        protocol: a CSV file, or a folder with `<split>.csv`.
        data_root: what its file names are relative to, see `cmfl_export.images.DataRoot`.
        at: the rule for the threshold: `d-eer`; `apcer:X`, the lowest BPCER with APCER <= X; or `bpcer:X`,
            the lowest APCER with BPCER <= X; X from 0 to 1. `band:apcer=X,bpcer=Y` chooses a band of scores
            that are uncertain, so that at most X of all attacks are called real and at most Y of all bona
            fide images synthetic; the card's single threshold is then that of the D-EER, within the band.
        split: which file of a protocol folder.
        domain_split: the split that the model was trained on, to fit a domain to (see `runtime.domain`), with
            a limit that leaves at most 1 % of `split` outside; None keeps the card's domain.
        options, settings: of the detector, see `DetectorOptions`. `align` takes the largest face of each
            image; an image without a face has no score and counts in neither class. `minimum_resolution`
            also goes into the card; None keeps the card's.

    Raises:
        UsageError: an option, the rule or the output cannot be used.
        ModelError, ProviderError: the model cannot be used, or has no embedding for a domain.
        ProtocolError: the protocol cannot be used or lacks a class that the rule needs, or its eval split has
            the same subjects.
        InputError: a class has no score, no threshold fulfils the rule, or real images alone are too few.
        PackageError: onnx or scipy is missing.
    """
    try:
        import onnx
    except ImportError as error:
        raise need("evaluate", "writing the model's card (onnx)") from error
    # Asked now, as the fit comes after all the scoring.
    if importlib.util.find_spec("scipy") is None:
        raise need("evaluate", "fitting a temperature (scipy)")
    options = one_face(DetectorOptions.of(options, settings))
    rule = Rule.of(at)
    out = Path(out)
    file = split_file(Path(protocol), split)
    samples = _samples(file, rule)
    pictures = (("one of the images", Path(data_root, sample.filename)) for sample in samples)
    refuse_overwriting([out], chain([("the protocol", file)], pictures))
    check_ending(out, (".onnx",), "a model")
    _refuse_eval_subjects(file, samples)
    trained_on = None if domain_split is None else domain_file(protocol, domain_split, file)
    detector = Detector(model, options)
    source = detector.path
    refuse_overwriting([out], [("the model itself", source)])
    card = detector.card
    embeddings = Embeddings()
    if trained_on is not None:
        check_embedding(detector)
    rows = list(score(detector, samples, data_root, seen=None if trained_on is None else embeddings.add))
    data = arrays(rows)
    alone = all(sample.is_real for sample in samples)
    if not data.is_real.any() or (data.is_real.all() and not alone):
        why = next((f" ({s.sample.filename!r}: {s.row.error})" for s in rows if not s.row.ok), "")
        raise InputError(
            f"{file}: a class has no image with a score, so there is nothing to calibrate on{why}"
        )

    # The scores already include the card's temperature, and temperatures multiply.
    factor = 1.0 if alone else fit_temperature(data.p_real, data.is_real)
    calibrated = scaled(data.p_real, factor)
    chosen = rule.choose_on_photographs(calibrated) if alone else rule.choose(calibrated, data.is_real)
    if chosen.highest > 1.0:
        certain = int((calibrated[~data.is_real] == 1.0).sum())
        raise InputError(
            f"no threshold up to 1 reaches {at}: {certain} synthetic images of {file} score exactly 1; "
            "choose another rule"
        )
    domain, domain_line = card.domain, ""
    if trained_on is not None:
        fit = fit_domain(detector, trained_on, data_root)
        limited, domain_line = with_limit(fit, embeddings.array(), file)
        domain = limited.to_card()
    before = _rates(data.p_real, data.is_real, card.threshold)
    after = _rates(calibrated, data.is_real, chosen.threshold)
    of_data = f"{at} on {file.resolve().parent.name}/{file.stem}"
    new = replace(
        card,
        schema=SCHEMA_VERSION,
        labels=LABEL_CONVENTION if chosen.band is None else BAND_CONVENTION,
        temperature=card.temperature * factor,
        threshold=chosen.threshold,
        band=chosen.band,
        minimum_resolution=(
            card.minimum_resolution if options.minimum_resolution is None else options.minimum_resolution
        ),
        domain=domain,
        threshold_source=f"{of_data}; {chosen.note}" if chosen.note else of_data,
        calibration={
            "at": at,
            "split": f"{file.resolve().parent.name}/{file.stem}",
            "split_sha256": sha256_of(file),
            "images": len(data.is_real),
            "date": datetime.now(UTC).date().isoformat(),
            **{key: after[key] for key in ("d_eer", "apcer", "bpcer", "ece") if key in after},
            **({} if chosen.bound is None else {"bpcer_upper_95": chosen.bound, "temperature": "kept"}),
            "subjects": _packed_subjects(samples),
        },
        history=(*card.history, _replaced_values(card, detector.sha256)),
    )
    graph = onnx.load(source)
    others = {item.key: item.value for item in graph.metadata_props}
    onnx.helper.set_model_props(graph, others | {METADATA_KEY: new.to_json()})
    write_whole(out, graph.SerializeToString())
    decisions = np.array([new.rule.decide(float(p)) for p in calibrated], np.str_)
    return Calibration(
        out,
        new,
        len(data.is_real),
        len(rows) - len(data.is_real),
        before,
        after,
        None if alone else _nll(_logits(data.p_real), data.is_real, 1.0),
        None if alone else _nll(_logits(data.p_real), data.is_real, factor),
        None if new.band is None else response_rates(decisions == REAL, decisions == SYNTHETIC, data.is_real),
        domain_line,
    )


def _samples(file: Path, rule: Rule) -> list[Sample]:
    """Reads a split with the classes that the rule needs.

    Raises:
        ProtocolError: one is missing, or the split cannot be read.
    """
    samples = read_split(file, allow_one_class=True)
    if not any(sample.is_real for sample in samples):
        raise ProtocolError(
            f"{file}: no real image, and attacks alone say nothing of a threshold; an empty attack_type "
            "marks the real ones"
        )
    if all(sample.is_real for sample in samples) and not rule.takes_one_class:
        raise ProtocolError(
            f"{file}: no synthetic image, and {rule.at} needs both classes; on real images alone choose the "
            "threshold with --at bpcer:X"
        )
    return samples


def _rates(p_real: NDArray[np.float64], is_real: NDArray[np.bool_], threshold: float) -> dict[str, float]:
    """Returns the metrics that these classes have."""
    if is_real.all():
        return {"bpcer": metrics.bpcer(p_real, is_real, threshold)}
    return metrics.summary(p_real, is_real, threshold)


def refuse_overlap(card: ModelCard, samples: Sequence[Sample], *, chosen: bool) -> list[str]:
    """Refuses to evaluate a model on subjects that it was calibrated on.

    Args:
        card: the model's card.
        samples: rows of the split that is reported.
        chosen: whether the card's threshold decides.

    Returns:
        Warnings for the report, if another threshold decides.

    Raises:
        ProtocolError: the card's threshold decides, and was chosen on subjects of this split.
    """
    packed = base64.b64decode(card.calibration.get("subjects", ""))
    known = {packed[start : start + _HASH_BYTES] for start in range(0, len(packed), _HASH_BYTES)}
    shared = sorted({sample.subject for sample in samples if _hash(sample.subject) in known})
    if not shared:
        return []
    text = (
        f"{card.name} was calibrated on {len(shared)} subjects of this split, such as {shared[0]!r} "
        f"({card.calibration.get('split', 'unknown split')})"
    )
    if chosen:
        raise ProtocolError(
            f"{text}, so its figures would be too good; evaluate on other subjects, or give --threshold"
        )
    return [f"{text}, so ECE and Brier score are too good"]


def fit_temperature(p_real: NDArray[np.float64], is_real: NDArray[np.bool_]) -> float:
    """Returns the temperature of the least negative log-likelihood, with equal weight for both classes.

    Args:
        p_real: float64 [N] in [0, 1].
        is_real: bool [N], both classes present.

    Returns:
        T within 0.05 and 20; sigmoid(logit(p) / T) is the calibrated probability.
    """
    from scipy.optimize import minimize_scalar

    logits = _logits(p_real)
    # The negative log-likelihood is convex in 1 / T.
    found = minimize_scalar(
        lambda inverse: _nll(logits, is_real, 1.0 / inverse),
        bounds=(1.0 / _HOTTEST, 1.0 / _COLDEST),
        method="bounded",
        options={"xatol": 1e-9, "maxiter": 500},
    )
    return float(1.0 / found.x)


def scaled(p_real: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Returns the scores with a temperature, float64 [N], see `runtime.temper`."""
    return np.array([temper(float(p), temperature) for p in p_real], np.float64)


def _nll(logits: NDArray[np.float64], is_real: NDArray[np.bool_], temperature: float) -> float:
    losses = np.logaddexp(0.0, np.where(is_real, -logits, logits) / temperature)
    return float(0.5 * losses[is_real].mean() + 0.5 * losses[~is_real].mean())


def _logits(p_real: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        logits = np.log(p_real) - np.log1p(-p_real)
    return logits.clip(-_LARGEST_LOGIT, _LARGEST_LOGIT)


def _refuse_eval_subjects(file: Path, samples: Sequence[Sample]) -> None:
    """Refuses subjects that eval.csv, the split that will be reported, has too."""
    reported = file.with_name("eval.csv")
    if not reported.is_file():
        return
    if reported.samefile(file):
        raise UsageError(f"{file} is the split that will be reported; choose the threshold on dev.csv")
    shared = {s.subject for s in samples} & {s.subject for s in read_split(reported, allow_one_class=True)}
    if shared:
        raise ProtocolError(
            f"{len(shared)} subjects of {file}, such as {min(shared)!r}, are in {reported} too; "
            "calibrate on other subjects"
        )


def _packed_subjects(samples: Sequence[Sample]) -> str:
    hashes = sorted({_hash(sample.subject) for sample in samples})
    return base64.b64encode(b"".join(hashes)).decode("ascii")


def _hash(subject: str) -> bytes:
    return hashlib.sha256(subject.encode("utf-8", "surrogateescape")).digest()[:_HASH_BYTES]


def _replaced_values(card: ModelCard, sha256: str) -> dict[str, Any]:
    """Returns the card's values that a calibration replaces, without the subjects of an earlier one."""
    return {
        "threshold": card.threshold,
        "threshold_source": card.threshold_source,
        "temperature": card.temperature,
        **({} if card.band is None else {"band": card.band}),
        **({} if card.minimum_resolution is None else {"minimum_resolution": card.minimum_resolution}),
        "calibration": {key: value for key, value in card.calibration.items() if key != "subjects"},
        "sha256": sha256,
    }
