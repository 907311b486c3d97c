"""Fits the domain of a model: a description of its training images, and the distance that is too far."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols import Sample, read_split
from protocols.reading import split_file

from ..base.errors import InputError, ModelError, UsageError
from ..detector import Detector
from ..runtime import EMBEDDING, Domain, Prediction
from ..runtime.domain import fitted
from .score_split import score

COMPONENTS = 64  # measured, see docs/evidence.md
INSIDE = 0.99  # of the images that the limit is chosen on
_MOST_IMAGES = 4000
_FEWEST_IMAGES = 10


class Embeddings:
    """Collects the embeddings of the rows that have a score."""

    def __init__(self) -> None:
        self._found: list[NDArray[np.float32]] = []

    def add(self, row: Prediction) -> None:
        """Takes the embedding of a row that was made with its extras."""
        if row.ok and EMBEDDING in row.extras:
            self._found.append(row.extras[EMBEDDING])

    def array(self) -> NDArray[np.float32]:
        """Those so far, float32 [N, D]."""
        return np.stack(self._found) if self._found else np.zeros((0, 0), np.float32)


def domain_file(protocol: str | os.PathLike[str], split: str, calibration: Path) -> Path:
    """Returns the file of the split that the domain is fitted to.

    Args:
        protocol: a protocol folder.
        split: the name of the training split.
        calibration: the file of the split that the limit is chosen on.

    Raises:
        UsageError: both are the same, or it is the split that will be reported.
    """
    file = split_file(Path(protocol), split)
    if file.is_file() and file.samefile(calibration):
        raise UsageError(
            f"the domain and its limit cannot both come from {file}; give a protocol folder, and as domain "
            "split the one that the model was trained on"
        )
    if file.stem == "eval":
        raise UsageError(
            f"{file} is the split that will be reported; give the one that the model was trained on"
        )
    return file


def check_embedding(detector: Detector) -> None:
    """Refuses a model that cannot have a domain.

    Raises:
        ModelError: the graph has no embedding among its outputs.
    """
    if EMBEDDING not in detector.card.outputs:
        raise ModelError(
            f"{detector.path} has no {EMBEDDING} among its outputs, which a domain needs; export it again "
            f"with: cmfl export WEIGHTS -o MODEL.onnx --outputs {EMBEDDING}"
        )


def fit_domain(detector: Detector, file: Path, data_root: str | os.PathLike[str]) -> Domain:
    """Fits the domain to the images of a training split, at most 4,000 of them, drawn with a fixed seed.

    Args:
        detector: the model.
        file: the split.
        data_root: what its file names are relative to, see `cmfl_export.images.DataRoot`.

    Raises:
        ProtocolError: the split cannot be used.
        InputError: fewer than 10 images have a score.
    """
    samples = read_split(file)
    found = Embeddings()
    for _ in score(detector, _drawn(samples), data_root, seen=found.add):
        pass
    embeddings = found.array()
    if len(embeddings) < _FEWEST_IMAGES:
        raise InputError(
            f"{file}: {len(embeddings)} images have a score; a domain needs {_FEWEST_IMAGES} or more"
        )
    about = {"split": _name(file), "images": len(embeddings), "split_images": len(samples)}
    # The RGB branch's half comes first.
    used = embeddings.shape[1] // (2 if detector.card.architecture == "two_stream" else 1)
    return replace(fitted(embeddings, COMPONENTS, used), about=about)


def with_limit(domain: Domain, embeddings: NDArray[Any], file: Path) -> tuple[Domain, str]:
    """Chooses the limit so that at most 1 % of the images of another split are out of domain.

    Args:
        domain: the domain.
        embeddings: float [N, D] of these images.
        file: their split.

    Returns:
        The domain, and one line that says what was chosen.
    """
    distances = domain.distance(embeddings)
    limit = float(np.quantile(distances, INSIDE, method="inverted_cdf"))
    share = float((distances > limit).mean())
    about = {**domain.about, "limit_split": _name(file), "limit_images": len(distances), "outside": share}
    line = (
        f"domain of {domain.about['images']} images of {domain.about['split']}; {100 * share:.2g} % of these "
        "images are out of it"
    )
    return replace(domain, limit=limit, about=about), line


def _drawn(samples: Sequence[Sample]) -> Sequence[Sample]:
    if len(samples) <= _MOST_IMAGES:
        return samples
    places = sorted(random.Random("domain").sample(range(len(samples)), _MOST_IMAGES))
    return [samples[place] for place in places]


def _name(file: Path) -> str:
    return f"{file.resolve().parent.name}/{file.stem}"
