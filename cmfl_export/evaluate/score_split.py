"""Scores the images of a protocol's split with a model, for evaluation and calibration."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath

from protocols import Sample
from protocols.name_advice import NameAdvice

from ..base.errors import UsageError
from ..base.options import DetectorOptions
from ..detector import Detector
from ..images import DataRoot, Degradation, Status
from ..runtime import Prediction
from .labelled_scores import Scored


def one_face(options: DetectorOptions) -> DetectorOptions:
    """Returns the options if they give one score per image. By default the images are crops: no "auto".

    Raises:
        UsageError: they give one score per face.
    """
    if options.align == "all":
        raise UsageError("a row of a protocol has one score: use align 'largest'")
    return replace(options, align=None) if options.align == "auto" else options


def score(
    detector: Detector,
    samples: Sequence[Sample],
    data_root: str | os.PathLike[str],
    damage: Degradation | None = None,
    advance: Callable[[int], None] = lambda _: None,
    seen: Callable[[Prediction], None] | None = None,
) -> Iterator[Scored]:
    """Scores the images of a split, in order; yields one row per image, whatever is wrong with it.

    Args:
        detector: the model.
        samples: rows of a split.
        data_root: what their file names are relative to, see `DataRoot`.
        damage: degradation of each decoded image; None leaves them as they are.
        advance: called with 0 after each row (see `progress.bar`).
        seen: called with each row of the detector, which then has its extras.

    Raises:
        InputError: there is no such data root.
        ProviderError: the model failed to run.
    """
    root = DataRoot.of(data_root)
    paths = [root.path(sample.filename) for sample in samples]
    if damage is None:
        rows = detector.stream(iter(paths), extras=seen is not None)
    else:
        # Noise depends on the name within the data root, not on where the data are.
        names = dict(zip(paths, (PurePath(sample.filename).as_posix() for sample in samples), strict=True))
        rows = detector.stream(
            iter(paths),
            extras=seen is not None,
            change=lambda image, of: damage.apply(image, names[str(of)]),
        )
    advice = None if root.folder is None else NameAdvice(root.folder)
    for sample, row in zip(samples, rows, strict=True):
        advance(0)
        if seen is not None:
            seen(row)
        error = row.error
        if advice is not None and row.status is Status.NOT_FOUND:
            error += advice.of(sample.filename)
        yield Scored(sample, replace(row, path=sample.filename, error=error, extras={}))
