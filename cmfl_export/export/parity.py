"""Compares an exported file with PyTorch, and both with the definition of the spectrum (`cmfl verify`).

Stage by stage, from image files: the spectrum against float64 NumPy, also where it is standardised, then the
probability of each head against PyTorch, at the optimisation level that runs in production and for several
batch sizes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import InputError, ModelError, UsageError
from ..base.files import check_ending, refuse_overwriting, scratch_folder, write_whole
from ..base.locks import one_writer
from ..base.text import counted
from ..images import SIZE, ImageError, decode, iter_paths, refuse_inputs
from ..runtime import NOT_PORTABLE, SPECTRUM, SPECTRUM_STANDARDISED, TOLERANCES, ModelCard, Session
from ..zoo import resolve
from .differences import Differences, or_none
from .weights import load

if TYPE_CHECKING:
    from training.model import CmflNet

BATCH_SIZES = (1, 2, 7)
TOLERANCE = TOLERANCES["fp32"]
# For the spectrum, whose values span [-1, 1]: bounds on the median and on the largest difference. Photographs
# stay below 1e-6 and 1e-4, and a percentile that is one order statistic off moves the median by 1e-5 or more.
# The bound on the largest is wide because smooth or periodic drawings have bins that are only rounding.
SPECTRUM_MEDIAN_TOLERANCE = 1e-5
SPECTRUM_MAX_TOLERANCE = 0.1
# For a standardised spectrum against that of the file's own spectrum: float32 rounding, of values up to 4.
STANDARDISED_TOLERANCE = 1e-4
INNER = (SPECTRUM, SPECTRUM_STANDARDISED)  # tensors of a graph that verify reads
CHUNK = 14  # images in memory at a time; a multiple of every batch size


@dataclass(frozen=True)
class Check:
    """One comparison over all images: absolute differences, and whether they are small enough."""

    stage: str  # "spectrum", "standardised" or the name of a head's output
    against: str  # the reference
    batch: int
    max: float
    mean: float
    median: float  # accurate to 2 %, as is p999
    p999: float  # 99.9th percentile
    flips: int | None  # images with another decision by the card's rule; None for a spectrum
    ok: bool


@dataclass(frozen=True)
class Report:
    """What `verify` found."""

    model: str
    weights: str
    weights_match_card: bool
    provider: str
    tolerance: float
    images: int
    failed: dict[str, str]  # path -> why it could not be used
    checks: tuple[Check, ...]
    portable: bool  # whether every CPU computes the same scores from the file's 8-bit weights

    @property
    def ok(self) -> bool:
        """Whether all differences are small enough."""
        return all(check.ok for check in self.checks)

    @property
    def max_difference(self) -> float:
        """The largest difference of any probability."""
        # NumPy's max, unlike Python's, is NaN when one of them is.
        return float(np.max([check.max for check in self.checks if check.flips is not None]))

    def lines(self) -> list[str]:
        """The report as text, one line per check or note."""
        columns = ("max |Δ|", "mean |Δ|", "median |Δ|", "99.9 %")
        head = f"{'stage':<16} {'against':<14} {'batch':>5} " + " ".join(f"{name:>10}" for name in columns)
        rows = [
            f"{check.stage:<16} {check.against:<14} {check.batch:>5} {check.max:>10.2e} {check.mean:>10.2e} "
            f"{check.median:>10.2e} {check.p999:>10.2e}  {'ok' if check.ok else 'FAIL'}"
            + ("" if check.flips is None else f"  {check.flips} decision flips")
            for check in self.checks
        ]
        notes = [f"could not be used: {path}: {why}" for path, why in self.failed.items()]
        if not self.weights_match_card:
            notes.append("note: the model's card names other weights than these (their SHA-256 differs)")
        if not self.portable:
            notes.append(f"note: the file is {NOT_PORTABLE}")
        verdict = (
            f"{'parity holds' if self.ok else 'PARITY DOES NOT HOLD'}: {counted(self.images, 'image')} on "
            f"{self.provider}, max |Δp| {self.max_difference:.2e}, tolerance {self.tolerance:g}"
        )
        return [head, *rows, *notes, verdict]

    def to_json(self) -> str:
        """The report as JSON; a figure that is NaN or infinite is null."""
        checks = [{key: or_none(value) for key, value in asdict(check).items()} for check in self.checks]
        figures = {"ok": self.ok, "max_difference": or_none(self.max_difference)} | asdict(self)
        return json.dumps(figures | {"checks": checks}, indent=2, allow_nan=False) + "\n"


def _check(
    differences: Differences, stage: str, against: str, batch: int, largest: float, median: float
) -> Check:
    """The figures, and whether the largest and the median difference are within these bounds."""
    middle = differences.quantile(0.5)
    # Written so that a NaN fails.
    ok = differences.largest <= largest and middle <= median
    figures = (differences.largest, differences.mean, middle, differences.quantile(0.999))
    return Check(stage, against, batch, *figures, differences.flips, ok)


@one_writer("out")
def verify(
    model: str | Path,
    weights: str | Path,
    inputs: Sequence[str],
    *,
    tolerance: float | None = None,
    provider: str = "auto",
    threads: int | None = None,
    spectra: str | None = None,
    out: str | Path | None = None,
) -> Report:
    """Compares an exported model with the weights that it was exported from, on image files.

    Args:
        model: the ONNX file, or a name of the zoo.
        weights: as for `export`.
        inputs: image files, folders, globs, as for predict.
        tolerance: largest allowed difference of a probability, in any head and batch size; the default
            depends on the precision in the card.
        provider: where the ONNX file runs.
        threads: CPU threads of ONNX Runtime.
        spectra: `rgb` or `fft`, for an official one_stream checkpoint.
        out: JSON file for the report.

    Raises:
        UsageError: a tolerance below 0, or an output that is an input or has another ending than `.json`.
        ModelError: the model or the weights cannot be used, or their architectures differ.
        InputError: no image can be decoded.
        ProviderError: the provider does not load or fails.
        PackageError: PyTorch or onnx is missing.
    """
    if tolerance is not None and not tolerance >= 0:
        raise UsageError(f"the tolerance is {tolerance}; it must be a number from 0 up")
    out = None if out is None else Path(out)
    refuse_inputs([out], inputs)
    check_ending(out, (".json",), "the report")
    session = Session.open(resolve(model), provider, threads)
    loaded = load(weights, spectra)
    refuse_overwriting([out], [("the model", session.path), ("the weights", loaded.path)])
    card = session.card
    if tolerance is None:
        tolerance = TOLERANCES.get(card.precision, TOLERANCE)
    if (card.architecture, card.spectra) != (loaded.net.architecture, loaded.net.spectra):
        raise ModelError(
            f"{session.path} is {card.architecture} {card.spectra}, but {loaded.path} is "
            f"{loaded.net.architecture} {loaded.net.spectra}; give the weights that the model "
            "was exported from"
        )
    failed: dict[str, str] = {}
    chunks = decode_chunks(iter_paths(inputs), card.aligned, failed)
    probe = open_spectrum(Path(session.path), provider, threads) if loaded.net.uses_spectrum else None
    if probe is not None and (SPECTRUM_STANDARDISED in probe.outputs) != loaded.net.standardises:
        files = [str(loaded.path), session.path]
        does, does_not = files if loaded.net.standardises else files[::-1]
        raise ModelError(
            f"{does} standardises the spectrum and {does_not} does not; give the weights that the model was "
            "exported from"
        )
    checks, count = compare(session, probe, loaded.net, chunks, tolerance)
    if count == 0:
        why = "; ".join(f"{path}: {reason}" for path, reason in list(failed.items())[:3])
        raise InputError(f"no image to verify on ({why or 'the inputs contain no image'})")
    report = Report(
        session.path,
        str(loaded.path),
        card.weights_sha256 == loaded.sha256,
        session.provider,
        tolerance,
        count,
        failed,
        checks,
        card.portable,
    )
    if out is not None:
        write_whole(out, report.to_json().encode())
    return report


def check_export(path: Path, net: CmflNet) -> dict[str, Any]:
    """Returns the parity figures of a fresh export on built-in images, on the CPU, for its card.

    Raises:
        ModelError: a difference is outside the tolerance.
    """
    session = Session.open(path, "cpu")
    probe = open_spectrum(path, "cpu", None) if net.uses_spectrum else None
    checks, count = compare(session, probe, net, [builtin_images()], TOLERANCE)
    broken = [f"{check.stage} (batch {check.batch}): {check.max:.2e}" for check in checks if not check.ok]
    if broken:
        raise ModelError(
            f"the exported graph disagrees with PyTorch, so nothing was written: {', '.join(broken)}"
        )
    probabilities = [check for check in checks if check.flips is not None]
    figures: dict[str, Any] = {
        "images": f"{count} built-in drawings",
        "provider": "cpu",
        "batches": list(BATCH_SIZES),
        "tolerance": TOLERANCE,
        "max_abs_p": max(check.max for check in probabilities),
        "flips": sum(check.flips or 0 for check in probabilities),
    }
    spectrum = [check.max for check in checks if check.stage.startswith(SPECTRUM)]
    return figures | ({"max_abs_spectrum": max(spectrum)} if spectrum else {})


def builtin_images() -> np.ndarray:
    """Draws images that exercise the graph (noise, waves, edges, one colour, ...): uint8 [7, 224, 224, 3]."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float64) / SIZE
    noise = rng.integers(0, 256, (SIZE, SIZE, 3))
    # Without grain, the waves' small bins would be float32 rounding, which a trained network amplifies.
    grain = rng.normal(0, 6, (SIZE, SIZE, 3))
    waves = [127.5 + 60 * np.sin(40 * x * (c + 1)) + 60 * np.cos(25 * y + c) for c in range(3)]
    ramp = np.stack([255 * x, 255 * y, 255 * (1 - x)], axis=-1)
    disc = np.where(np.hypot(x - 0.4, y - 0.6)[..., None] < 0.3, [220, 160, 130], [40, 60, 90])
    smooth = np.clip(ramp + rng.normal(0, 12, ramp.shape), 0, 255)
    half = np.where((y < 0.5)[..., None], 0, noise)
    constant = np.full((SIZE, SIZE, 3), 128)
    images = [noise, np.stack(waves, axis=-1) + grain, ramp, disc, smooth, half, constant]
    return np.stack([np.clip(image, 0, 255).astype(np.uint8) for image in images])


def decode_chunks(paths: Iterable[str], aligned: bool, failed: dict[str, str]) -> Iterator[np.ndarray]:
    """Yields decoded images, uint8 [n, 224, 224, 3]; files that fail go into `failed`, with the reason."""
    chunk: list[np.ndarray] = []
    for path in paths:
        try:
            chunk.append(decode(path, aligned=aligned))
        except ImageError as error:
            failed[path] = error.message
        if len(chunk) == CHUNK:
            yield np.stack(chunk)
            chunk = []
    if chunk:
        yield np.stack(chunk)


def compare(
    session: Session, probe: Session | None, net: CmflNet, chunks: Iterable[np.ndarray], tolerance: float
) -> tuple[tuple[Check, ...], int]:
    """Returns all checks over all chunks, and the number of images; `probe` gives the graph's spectrum."""
    import torch

    from training.deploy import DeployNet
    from training.spectrum import reference_spectrum
    from training.standardise import reference_standardised

    reference = DeployNet(net)
    heads = [name for name in reference.names if name.startswith("p_real")]
    card = session.card
    found = {(head, size): Differences() for head in heads for size in BATCH_SIZES}
    spectra = {name: Differences() for name in ("onnx", "torch", "standardised")}
    count = 0
    for images in chunks:
        count += len(images)
        with torch.no_grad():
            values = reference.named(torch.from_numpy(images))
        expected = {name: values[name].numpy().astype(np.float64) for name in heads}
        for size in BATCH_SIZES:
            got = run_in_batches(session, images, size, heads)
            for head in heads:
                differences = found[head, size]
                differences.add(got[head], expected[head])
                differences.add_decisions(decisions(card, got[head]), decisions(card, expected[head]))
        if probe is not None:
            exact = np.stack([reference_spectrum(image) for image in images])
            got = probe.run(images, [name for name in INNER if name in probe.outputs])
            spectra["onnx"].add(got[SPECTRUM], exact)
            spectra["torch"].add(values[SPECTRUM].numpy(), exact)
            if net.standardises:
                # Of the same spectrum, whose own differences are judged above.
                exact = reference_standardised(net.standardise, got[SPECTRUM])
                spectra["standardised"].add(got[SPECTRUM_STANDARDISED], exact)
    if count == 0:
        return (), 0
    checks = []
    if probe is not None:
        bounds = (SPECTRUM_MAX_TOLERANCE, SPECTRUM_MEDIAN_TOLERANCE)
        checks.append(_check(spectra["onnx"], "spectrum", "NumPy float64", CHUNK, *bounds))
        checks.append(_check(spectra["torch"], "spectrum (torch)", "NumPy float64", CHUNK, *bounds))
        if net.standardises:
            bounds = (STANDARDISED_TOLERANCE, STANDARDISED_TOLERANCE)
            checks.append(_check(spectra["standardised"], "standardised", "NumPy float64", CHUNK, *bounds))
    checks += [
        _check(differences, head, "PyTorch", size, tolerance, tolerance)
        for (head, size), differences in found.items()
    ]
    return tuple(checks), count


def decisions(card: ModelCard, scores: np.ndarray) -> np.ndarray:
    """Returns the card's decision on each score of a head, as if that head decided: texts [n]."""
    return np.array([card.decide(float(score)) for score in scores], np.str_)


def run_in_batches(
    session: Session, images: np.ndarray, size: int, outputs: Sequence[str]
) -> dict[str, np.ndarray]:
    """Returns the outputs for all images, run `size` at a time; the last batch repeats its own images."""
    parts = []
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        parts.append(session.run(np.resize(batch, (size, *batch.shape[1:])), outputs))
    return {name: np.concatenate([part[name] for part in parts])[: len(images)] for name in outputs}


def open_spectrum(model: Path, provider: str, threads: int | None) -> Session:
    """Opens the model with its inner tensors `spectrum` and, if there, `spectrum_standardised` as outputs.

    Raises:
        ModelError: the model has no tensor `spectrum`.
    """
    import onnx

    proto = onnx.load(model)
    made = {name for node in proto.graph.node for name in node.output}
    if SPECTRUM not in made:
        raise ModelError(f"{model} has no tensor named spectrum; export it again with this version")
    shape: list[str | int | None] = ["batch", 3, SIZE, SIZE]
    for name in INNER:
        if name in made and all(output.name != name for output in proto.graph.output):
            output = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
            proto.graph.output.append(output)
    with scratch_folder() as folder:
        path = folder / "with_spectrum.onnx"
        path.write_bytes(proto.SerializeToString())
        return Session.open(path, provider, threads)
