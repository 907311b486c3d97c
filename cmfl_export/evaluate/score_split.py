"""Scores the images of a protocol's split with a model, for evaluation and calibration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from protocols import Sample
from protocols.name_advice import NameAdvice

from ..base.errors import InputError, UsageError
from ..base.options import DetectorOptions
from ..detector import Detector
from ..images import Degradation, ImageLike, Pixels, Status
from .labelled_scores import Scored


def one_face(options: DetectorOptions) -> DetectorOptions:
    """Returns the options if they give one score per image.

    Raises:
        UsageError: they give one score per face.
    """
    if options.align == "all":
        raise UsageError("a row of a protocol has one score: use align 'largest'")
    return options


def score(
    detector: Detector,
    samples: Sequence[Sample],
    data_root: Path,
    damage: Degradation | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Iterator[Scored]:
    """Scores the images of a split, in order; yields one row per image, whatever is wrong with it.

    Args:
        detector: the model.
        samples: rows of a split.
        data_root: the folder that their file names are relative to.
        damage: degradation of each decoded image; None leaves them as they are.
        advance: called with 0 after each row (see `progress.bar`).

    Raises:
        InputError: the data root is not a folder.
        ProviderError: the model failed to run.
    """
    if not data_root.is_dir():
        raise InputError(
            f"the data root {data_root} is not a folder; give what the protocol's file names are relative to"
        )

    def change(image: Pixels, source: ImageLike) -> Pixels:
        assert damage is not None
        # The name within the data root, so that noise does not depend on where the data are.
        return damage.apply(image, Path(str(source)).relative_to(data_root).as_posix())

    paths = (str(data_root / sample.filename) for sample in samples)
    rows = detector.stream(paths, change=None if damage is None else change)
    advice = NameAdvice(data_root)
    for sample, row in zip(samples, rows, strict=True):
        advance(0)
        error = row.error + ("" if row.status is not Status.NOT_FOUND else advice.of(sample.filename))
        yield Scored(sample, replace(row, path=sample.filename, error=error))
