"""Compares the scores of every file in every runtime of this machine (`cmfl verify --everywhere`)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.errors import CmflError, InputError, ModelError, UsageError
from ..base.files import check_ending, refuse_overwriting, sha256_of, write_whole
from ..base.locks import one_writer
from ..images import ImageError, decode, iter_paths, refuse_inputs
from ..runtime import TOLERANCES, ModelCard
from ..runtime.machine import describe
from ..zoo import Variant, find_variants, is_model
from .differences import Differences
from .matrix import Matrix, Row
from .parity import TOLERANCE, decisions
from .runtimes import UNOPTIMISED, Runtime, runtimes
from .weights import load, looks_like_weights

log = logging.getLogger("cmfl.verify")
BATCH = 8

Scores = dict[str, NDArray[Any]]  # float [images] by head


def sort_arguments(arguments: Sequence[str]) -> tuple[list[str], str | None, list[str]]:
    """Splits `MODEL... [WEIGHTS] INPUT...` into the models, the weights and the inputs.

    Models are the first argument, and those after it that end in .onnx or are names of the zoo. The weights
    are a file or folder of weights right after them.
    """
    models, rest = [arguments[0]], list(arguments[1:])
    while rest and is_model(rest[0]):
        models.append(rest.pop(0))
    weights = rest.pop(0) if rest and looks_like_weights(rest[0]) else None
    return models, weights, rest


@one_writer("out")
def verify_everywhere(
    models: Sequence[str | Path],
    inputs: Sequence[str],
    *,
    weights: str | Path | None = None,
    threads: int | None = None,
    spectra: str | None = None,
    out: str | Path | None = None,
) -> Matrix:
    """Runs the same images through every file in every runtime that loads on this machine.

    Args:
        models: files of one network, or names of the zoo, each of which stands for all of its variants.
        inputs: image files, folders, globs, as for predict.
        weights: the weights that the files were exported from, as for `verify`. The reference is then
            PyTorch in float64, without them the fp32 file in ONNX Runtime unoptimised.
        threads: CPU threads.
        spectra: `rgb` or `fft`, for an official one_stream checkpoint.
        out: JSON file for the matrix.

    Raises:
        UsageError: the files are different networks, none is fp32 and there are no weights, or an output
            that is an input or has another ending than `.json`.
        ModelError: a model or the weights cannot be used, or their architectures differ.
        InputError: no image can be decoded.
        PackageError: PyTorch is missing, with weights.
    """
    out = None if out is None else Path(out)
    refuse_inputs([out], inputs)
    check_ending(out, (".json",), "the matrix")
    variants = find_variants([str(model) for model in models])
    refuse_overwriting([out], [("a model", variant.path) for variant in variants])
    images = _Images(list(iter_paths(inputs)), variants[0].card.aligned)
    found, missing = runtimes()

    @cache
    def scores_of(runtime: Runtime, path: Path) -> Scores:
        session = runtime.open(path, threads)
        return _stacked(runtime.scores(session, images.batches(), BATCH))

    first = variants[0]
    if weights is not None:
        reference, words = _of_weights(weights, spectra, first.card, images)
    elif first.card.precision == "fp32":
        unoptimised = next(runtime for runtime in found if runtime.name == UNOPTIMISED)
        reference, words = scores_of(unoptimised, first.path), f"{first.path.name} in {UNOPTIMISED}"
    else:
        raise UsageError(
            f"{first.path} is {first.card.precision}; give its fp32 file as well, or the weights, to "
            "compare with"
        )
    if not images.paths:
        why = "; ".join(f"{path}: {reason}" for path, reason in list(images.failed.items())[:3])
        raise InputError(f"no image to verify on ({why or 'the inputs contain no image'})")
    rows = []
    for variant in variants:
        own: Scores | None = None
        for runtime in found:
            if variant.card.precision not in runtime.precisions:
                continue
            try:
                scores = scores_of(runtime, variant.path)
            except CmflError as error:
                row = Row(runtime.name, variant.label, _tolerance(variant), error=str(error))
            else:
                row = _row(runtime, variant, scores, reference, own)
                own = scores if runtime.name == UNOPTIMISED else own
            rows.append(row)
            log.info("%s %s: %s", runtime.name, variant.label, row.summary)
    matrix = Matrix(
        describe(),
        words,
        {variant.label: _about(variant) for variant in variants},
        len(images.paths),
        images.failed,
        tuple(rows),
        missing,
    )
    if out is not None:
        write_whole(out, matrix.to_json().encode())
    return matrix


@dataclass
class _Images:
    """The images of a comparison. They are decoded for each runtime anew, so that memory does not grow.

    Attributes:
        paths: those that can be decoded, once all have been.
        failed: the others, with the reason.
    """

    paths: list[str]
    aligned: bool
    failed: dict[str, str] = field(default_factory=dict)

    def batches(self) -> Iterator[NDArray[np.uint8]]:
        """Yields uint8 [n, 224, 224, 3] with n = `BATCH`, but for the last."""
        batch: list[NDArray[np.uint8]] = []
        for path in list(self.paths):
            try:
                batch.append(decode(path, aligned=self.aligned))
            except ImageError as error:
                self.failed[path] = error.message
                self.paths.remove(path)
            if len(batch) == BATCH:
                yield np.stack(batch)
                batch = []
        if batch:
            yield np.stack(batch)


def _of_weights(
    weights: str | Path, spectra: str | None, card: ModelCard, images: _Images
) -> tuple[Scores, str]:
    """The scores of the weights in float64, and what they are in words."""
    loaded = load(weights, spectra)
    if (card.architecture, card.spectra) != (loaded.net.architecture, loaded.net.spectra):
        raise ModelError(
            f"the models are {card.architecture} {card.spectra}, but {loaded.path} is "
            f"{loaded.net.architecture} {loaded.net.spectra}; give the weights that they were exported from"
        )
    from training.deploy import Float64Network

    network = Float64Network(loaded.net)
    words = f"PyTorch in float64, {loaded.path.name}"
    if card.weights_sha256 != loaded.sha256:
        words += " (other weights than the cards name: their SHA-256 differs)"
    return _stacked(network.scores(batch) for batch in images.batches()), words


def _row(runtime: Runtime, variant: Variant, scores: Scores, reference: Scores, own: Scores | None) -> Row:
    """One row of the matrix; `own` are the scores of the same file in ONNX Runtime unoptimised."""
    tolerance = _tolerance(variant)
    if any(len(scores[head]) != len(values) for head, values in reference.items()):
        return Row(runtime.name, variant.label, tolerance, error="images changed during the comparison")
    found = _compared(variant.card, scores, reference)
    row = Row(
        runtime.name,
        variant.label,
        tolerance,
        found.largest,
        found.mean,
        found.quantile(0.999),
        found.flips,
        heads={
            head: float(np.abs(scores[head].astype(np.float64) - values).max())
            for head, values in reference.items()
        },
    )
    if own is None:
        return row
    against = _compared(variant.card, scores, {head: own[head] for head in reference})
    return replace(row, own_max=against.largest, own_flips=against.flips)


def _compared(card: ModelCard, scores: Scores, others: Scores) -> Differences:
    """The differences of all heads, and of the decisions of the joint one."""
    found = Differences()
    for head, values in others.items():
        found.add(scores[head], values)
    found.add_decisions(decisions(card, scores["p_real"]), decisions(card, others["p_real"]))
    return found


def _tolerance(variant: Variant) -> float:
    return TOLERANCES.get(variant.card.precision, TOLERANCE)


def _stacked(parts: Iterator[dict[str, NDArray[Any]]]) -> Scores:
    """The parts in one array per head; empty without images."""
    found: dict[str, list[NDArray[Any]]] = {}
    for part in parts:
        for head, values in part.items():
            found.setdefault(head, []).append(values)
    return {head: np.concatenate(values) for head, values in found.items()}


def _about(variant: Variant) -> dict[str, Any]:
    return {
        "file": variant.path.name,
        "sha256": sha256_of(variant.path),
        "portable": variant.card.portable,
    }
