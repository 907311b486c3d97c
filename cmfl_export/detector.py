"""Detector, the entry point from Python: loads a model and scores pictures."""

from __future__ import annotations

import copy
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Self, Unpack, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .base.cpu import usable_cores
from .base.errors import CmflError, ModelError
from .base.options import Align, DetectorOptions, DetectorSettings
from .faces import Aligner, InputGeometry, ModelInputs, is_available
from .images import ImageError, ImageLike, Pixels, Status, shown
from .runtime import EMBEDDING, SCORE_OUTPUTS, DecisionRule, Domain, Prediction, Session, pipeline, stability
from .zoo import fetch, resolve

# The CPU is as fast with small batches, and rows appear sooner; a GPU needs large batches to be busy.
_CPU_BATCH, _CONCURRENT_BATCH, _GPU_BATCH = 8, 4, 64
_MOST_WORKERS = 16
_PATH = (str, os.PathLike)

_ACCEPTED = (
    "a path, the bytes of an image file, a Pillow image, a uint8 array [H, W, 3] or [H, W], "
    "or a list or an iterator of these, or a uint8 array [N, H, W, 3]"
)


class Detector:
    """A model that scores pictures.

    Safe to share between threads: nothing in it changes after it is made.

    Attributes:
        options: the options as given; the attributes below resolve those that are None.
        path: the model's file.
        sha256: of the model that runs, in hexadecimal.
        card: the model's card.
        provider: where it really runs: "cpu" (ONNX Runtime), "openvino", "cuda", "cuda-graph" or "tensorrt".
        passed_over: why a faster way to run was not used (see `Session`), else "".
        rule: what decides on p_real: that of the card, or the threshold of the options alone.
        threshold, band: of the rule, see `DecisionRule`; without a band there are two decisions.
        aligned: the geometry, see `cmfl_export.images.fit`.
        align: which faces are found and aligned first, see `DetectorOptions`: "auto" (where this detector
            looks for faces), "all", "largest", or None.
        minimum_resolution: faces with fewer pixels get the status `low_resolution`: the limit of the options,
            else of the card, else 60.
        batch_size, workers, max_pixels, stability: the values in use, see `DetectorOptions`.
        concurrent_batches: how many batches of a stream run at once.
        full_batches: whether batches are filled up to one size, see `Session`.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        options: DetectorOptions | None = None,
        **settings: Unpack[DetectorSettings],
    ) -> None:
        """Loads an exported model.

        Args:
            model: the ONNX file, a name of the zoo such as `starter:int8`, or the address of a model that was
                pulled from a hub; the starter by default.
            options: how to run, see `DetectorOptions`.
            settings: fields of `DetectorOptions`, which replace those of `options`.

        Raises:
            UsageError: an option is out of its range.
            ModelError: the model cannot be used.
            ProviderError: the provider does not load.
            PackageError: the package for finding faces is missing.
        """
        options = DetectorOptions.of(options, settings)
        self._session = Session.open(resolve(model), options.provider, options.threads)
        self.path = Path(self._session.path)
        self.sha256 = self._session.sha256
        self.card = self._session.card
        has_embedding = EMBEDDING in self._session.outputs
        self._domain = Domain.from_card(self.card.domain) if self.card.domain and has_embedding else None
        self.provider = self._session.provider
        self.passed_over = self._session.passed_over
        self.rule = self.card.rule if options.threshold is None else DecisionRule(options.threshold)
        self.threshold, self.band = self.rule
        self.concurrent_batches = self._session.concurrent_batches
        self.full_batches = self._session.full_batches
        size = (
            _GPU_BATCH
            if self.full_batches
            else _CONCURRENT_BATCH
            if self.concurrent_batches > 1
            else _CPU_BATCH
        )
        self.batch_size = options.batch_size or size
        self.workers = options.workers or min(usable_cores(), _MOST_WORKERS)
        asked = options.minimum_resolution
        self.minimum_resolution = self.card.needed_resolution if asked is None else asked
        self.max_pixels = options.max_pixels
        self.stability = options.stability
        self._look_for_faces(options)

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str],
        options: DetectorOptions | None = None,
        **settings: Unpack[DetectorSettings],
    ) -> Self:
        """Loads a model by name, after pulling it if it is not on this machine.

        What is here already needs no network. `Detector(...)` itself never uses one.

        >>> detector = Detector.from_pretrained("starter", provider="cpu")
        >>> detector.card.name
        'starter'

        Args:
            model: `owner/name`, `owner/name@revision` or `hf://owner/name@revision/file.onnx` of a hub
                (HF_ENDPOINT and HF_TOKEN as in `cmfl zoo pull`); a name of the zoo; a model's folder; a file.
                A commit as the revision always means the same file.
            options, settings: as in `Detector`.

        Raises:
            DownloadError: a model that is not here cannot be pulled.
            CmflError: as in `Detector`.
        """
        return cls(fetch(model), options, **settings)

    def _look_for_faces(self, options: DetectorOptions) -> None:
        """Sets what depends on whether faces are found and aligned first."""
        self.options = options
        takes_crops = self.card.aligned if options.aligned is None else options.aligned
        # Rows say how their pictures became inputs even where the package is missing.
        self._checked = options.align is not None
        self.align = options.align
        if options.align == "auto":
            self._checked = takes_crops and options.aligned is None
            self.align = "auto" if self._checked and is_available() else None
        self.aligned = self.align is not None or takes_crops
        aligner = (
            None
            if self.align is None
            else Aligner(
                largest=self.align != "all",
                face_scale=options.face_scale,
                minimum=options.minimum_face,
                provider=self.provider,
            )
        )
        self._inputs = ModelInputs(
            aligner,
            auto=self.align == "auto",
            aligned=self.aligned,
            checked=self._checked,
            max_pixels=self.max_pixels,
        )

    def aligning(self, align: Align | None) -> Detector:
        """Returns a detector with this model, loaded once for both, that looks for faces as `align` says.

        Args:
            align: see `DetectorOptions`; None takes the geometry of `options.aligned`.

        Raises:
            UsageError: faces are looked for, and the options say that the pictures are no crops.
            PackageError: the package for finding faces is missing.
        """
        other = copy.copy(self)
        other._look_for_faces(replace(self.options, align=align))
        return other

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of columns that its rows have, see `cmfl_export.runtime.columns`."""
        there = {
            "faces": self._checked,
            "geometry": self._checked,
            "domain": self._domain is not None,
            "stability": self.stability,
        }
        return tuple(name for name, is_there in there.items() if is_there)

    @overload
    def predict(
        self, x: str | os.PathLike[str] | bytes | Image.Image, *, extras: bool = False
    ) -> Prediction: ...
    @overload
    def predict(self, x: NDArray[np.uint8], *, extras: bool = False) -> Prediction | list[Prediction]: ...
    @overload
    def predict(self, x: list[Any] | tuple[ImageLike, ...], *, extras: bool = False) -> list[Prediction]: ...
    @overload
    def predict(self, x: Iterator[ImageLike], *, extras: bool = False) -> Iterator[Prediction]: ...
    def predict(
        self,
        x: ImageLike | Sequence[ImageLike] | Iterator[ImageLike],
        *,
        extras: bool = False,
    ) -> Prediction | list[Prediction] | Iterator[Prediction]:
        """Scores one picture or many.

        Args:
            x: one picture: a path, the bytes of an image file, a Pillow image, a uint8 array [H, W, 3] RGB or
                [H, W] grey. Or a list or tuple of pictures, or a uint8 array [N, H, W, 3]. Or an iterator of
                pictures, which is read lazily.
            extras: also put the model's optional outputs (embedding, heatmaps, spectrum) into
                `Prediction.extras`, and `image`, the model's input uint8 [224, 224, 3].

        Returns:
            For one picture a Prediction, for many a list in order, for an iterator an iterator in order. A
            picture that cannot be scored gets a status and an error text instead of scores. `path` is "" for
            pictures without one. With `align` "all", many pictures give one Prediction per face, but a single
            picture gives only that of its largest face.

        Raises:
            TypeError: `x`, or a picture in it, has another type.
            ProviderError: the model failed to run, for instance for lack of GPU memory.
        """
        if isinstance(x, list | tuple) or (isinstance(x, np.ndarray) and x.ndim == 4):
            return list(self.stream(x, extras=extras))
        if isinstance(x, str | os.PathLike | bytes | Image.Image | np.ndarray):
            # Unpadded: a full batch for one picture would be up to 64 times the work.
            size = 1 + len(stability.CHANGES) if self.stability else 1
            return next(
                self._rows([x], extras, None, batch_size=size, workers=1, pad=False, concurrent_batches=1)
            )
        # An open file is an iterator, too, but of lines.
        if isinstance(x, Iterator) and not isinstance(x, io.IOBase):
            return self.stream(x, extras=extras)
        raise TypeError(f"predict takes {_ACCEPTED}, not {type(x).__name__}")

    def stream(
        self,
        pictures: Iterable[ImageLike],
        *,
        extras: bool = False,
        change: Callable[[Pixels, ImageLike], Pixels] | None = None,
    ) -> Iterator[Prediction]:
        """Scores pictures lazily, in order and in bounded memory, decoding and aligning while the model runs.

        Args:
            pictures: see `predict`; a few batches are read ahead.
            extras: as in `predict`.
            change: a function that the decoding threads apply to each image, uint8 [224, 224, 3], and its
                source picture before scoring; returns an image of the same shape and dtype (see
                `cmfl_export.images.Degradation`).

        Raises:
            TypeError: a picture has the wrong type; raised after the rows of the pictures before it.
            ProviderError: the model failed to run.
        """
        one_batch = isinstance(pictures, Sized) and len(pictures) <= self.batch_size
        return self._rows(
            pictures,
            extras,
            change,
            batch_size=self.batch_size,
            workers=self.workers,
            pad=self.full_batches,
            concurrent_batches=1 if one_batch else self.concurrent_batches,
        )

    def scores(self, batch: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """The scores of images that already have the model's geometry.

        Args:
            batch: uint8 [n, 224, 224, 3], RGB, n >= 1.

        Returns:
            P(real) by name, float32 [n] in [0, 1]: `p_real` and, for two-stream models, `p_real_rgb` and
            `p_real_spectrum`. These are the graph's scores, without the card's temperature.

        Raises:
            ValueError: the batch has another dtype or shape.
            ProviderError: the model failed to run.
        """
        return self._session.run(batch, self._session.score_outputs)

    def _rows(
        self,
        pictures: Iterable[ImageLike],
        extras: bool,
        change: Callable[[Pixels, ImageLike], Pixels] | None,
        *,
        batch_size: int,
        workers: int,
        pad: bool,
        concurrent_batches: int,
    ) -> Iterator[Prediction]:
        def images_of(picture: ImageLike) -> list[pipeline.Decoded]:
            images = self.images_of(picture)
            if change is not None:
                images = [image._replace(image=change(image.image, picture)) for image in images]
            if self.stability:
                images = [variant for image in images for variant in stability.with_variants(image)]
            return images

        outcomes = pipeline.run(
            pictures,
            images_of,
            lambda batch: self.outputs_of(batch, extras=extras, low_latency=concurrent_batches == 1),
            batch_size=batch_size,
            workers=workers,
            pad=pad,
            concurrent_batches=concurrent_batches,
        )
        for outcome in outcomes:
            # As text alone: a source may hold the bytes of its picture.
            path = shown(str(os.fspath(source))) if isinstance(source := outcome.source, _PATH) else ""
            row = self.row_of(path, outcome, extras=extras)
            if self.stability and outcome.outputs is not None:
                variants = islice(outcomes, len(stability.CHANGES))
                row = stability.judged(row, [self.row_of(path, variant) for variant in variants])
            yield row

    # The three steps of a prediction, for those who bring batches together themselves.

    def images_of(self, picture: ImageLike) -> list[pipeline.Decoded]:
        """Decodes a picture: the model's inputs for it, each with its aligned face if faces are looked for.

        Raises:
            ImageError: the picture cannot be scored.
            TypeError: `picture` has another type.
            ProviderError: a network that looks for faces failed to run.
        """
        return self._inputs(picture)

    def outputs_of(
        self, batch: NDArray[np.uint8], *, extras: bool, low_latency: bool
    ) -> dict[str, NDArray[np.float32]]:
        """Runs a batch of `images_of`; `extras` as in `predict`, the rest as in `Session.run`."""
        names = self._session.outputs if extras else self._session.score_outputs
        if self._domain is not None and not extras:
            names = (*names, EMBEDDING)
        return self._session.run(batch, names, low_latency=low_latency)

    def row_of(self, path: str, outcome: pipeline.Outcome[Any], *, extras: bool = False) -> Prediction:
        """Returns the row of an image with its outputs, or with the error of `images_of`.

        Args:
            path: of the row.
            outcome: the result.
            extras: as in `predict`.

        Raises:
            TypeError, CmflError: the outcome is such an error, which is not about the picture's content.
        """
        if outcome.outputs is not None and outcome.image is not None:
            outputs = outcome.outputs | ({"image": outcome.image} if extras else {})
            # Asked for by the domain alone, it is no extra of the row.
            embedding = outputs.get(EMBEDDING) if extras else outputs.pop(EMBEDDING, None)
            return self._placed(self._judged(_unscored(path, outcome.about), outputs), embedding)
        if isinstance(outcome.error, ImageError):
            return Prediction(path, status=outcome.error.status, error=outcome.error.message)
        if isinstance(outcome.error, TypeError):
            raise TypeError(f"{outcome.error}; predict takes {_ACCEPTED}") from outcome.error
        if isinstance(outcome.error, CmflError):
            raise outcome.error
        # An unexpected error in one picture must not end a run over a million.
        text = " ".join(f"{type(outcome.error).__name__}: {outcome.error}".split())
        return Prediction(path, status=Status.UNREADABLE, error=text)

    def _placed(self, row: Prediction, embedding: NDArray[Any] | None) -> Prediction:
        """Returns the row with its place in the domain of the model."""
        if self._domain is None or embedding is None or not row.ok:
            return row
        try:
            distance = float(self._domain.distance(embedding[None])[0])
        except ValueError as error:
            raise ModelError(f"{self.path}: its domain is of another model: {error}") from error
        return replace(
            row, domain=self._domain.percentile(distance), out_of_domain=self._domain.is_outside(distance)
        )

    def _judged(self, row: Prediction, outputs: dict[str, NDArray[Any]]) -> Prediction:
        scores = {name: float(outputs[name]) for name in SCORE_OUTPUTS if name in outputs}
        for name, score in scores.items():
            # Written so that a NaN fails.
            if not 0.0 <= score <= 1.0:
                error = f"the model's {name} is {score:.6g}, not a finite number within 0 and 1"
                return replace(row, status=Status.UNREADABLE, error=error)
        scores["p_real"] = self.card.calibrated(scores["p_real"])
        least = self.minimum_resolution
        if row.face_size is not None and row.face_size < least:
            error = f"the face has {row.face_size:g} pixels in the picture, fewer than {least}"
            row = replace(row, status=Status.LOW_RESOLUTION, error=error)
        return replace(
            row,
            p_real=scores["p_real"],
            p_real_rgb=scores.get("p_real_rgb"),
            p_real_spectrum=scores.get("p_real_spectrum"),
            decision=self.rule.decide(scores["p_real"]),
            # Copied, because a view of one row would keep the whole batch in memory.
            extras={name: value.copy() for name, value in outputs.items() if name not in SCORE_OUTPUTS},
        )


def _unscored(path: str, about: InputGeometry | None) -> Prediction:
    """The row of an input without its scores."""
    if about is None:
        return Prediction(path)
    row = Prediction(path, geometry=about.geometry, face_size=about.size, faces_found=about.found)
    face = about.face
    return row if face is None else replace(row, face=face.number, faces=face.of, box=face.box)
