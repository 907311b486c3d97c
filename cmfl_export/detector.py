"""Detector, the entry point from Python: loads a model and scores pictures."""

from __future__ import annotations

import copy
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .base.cpu import usable_cores
from .base.errors import CmflError
from .base.options import Align, DetectorOptions, DetectorSettings
from .faces import AlignedFace, Aligner
from .images import ImageError, ImageLike, Pixels, Status, decode, open_rgb, shown
from .runtime import SCORE_OUTPUTS, DecisionRule, Prediction, Session, pipeline
from .zoo import resolve

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
        align: whether faces are found and aligned first: "all" of a picture, the "largest", or None.
        batch_size, workers, max_pixels: the values in use, see `DetectorOptions`.
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
            model: the ONNX file, or a name of the zoo such as `starter:int8`; the starter by default.
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
        self.max_pixels = options.max_pixels
        self._look_for_faces(options)

    def _look_for_faces(self, options: DetectorOptions) -> None:
        """Sets what depends on whether faces are found and aligned first."""
        self.options = options
        self.align = options.align
        self.aligned = self.align is not None or (
            self.card.aligned if options.aligned is None else options.aligned
        )
        self._aligner = (
            None
            if self.align is None
            else Aligner(
                largest=self.align == "largest",
                face_scale=options.face_scale,
                minimum=options.minimum_face,
                provider=self.provider,
            )
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
            return next(
                self._rows([x], extras, None, batch_size=1, workers=1, pad=False, concurrent_batches=1)
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
            return [
                decoded if change is None else decoded._replace(image=change(decoded.image, picture))
                for decoded in self.images_of(picture)
            ]

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
            yield self.row_of(path, outcome, extras=extras)

    # The three steps of a prediction, for those who bring batches together themselves.

    def images_of(self, picture: ImageLike) -> list[pipeline.Decoded]:
        """Decodes a picture: the model's inputs for it, each with its aligned face if faces are looked for.

        Raises:
            ImageError: the picture cannot be scored.
            TypeError: `picture` has another type.
            ProviderError: a network that looks for faces failed to run.
        """
        if self._aligner is None:
            return [pipeline.Decoded(decode(picture, aligned=self.aligned, max_pixels=self.max_pixels))]
        faces = self._aligner(open_rgb(picture, max_pixels=self.max_pixels))
        return [pipeline.Decoded(np.array(face.crop.image), face) for face in faces]

    def outputs_of(
        self, batch: NDArray[np.uint8], *, extras: bool, low_latency: bool
    ) -> dict[str, NDArray[np.float32]]:
        """Runs a batch of `images_of`; `extras` as in `predict`, the rest as in `Session.run`."""
        names = self._session.outputs if extras else self._session.score_outputs
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
            face: AlignedFace | None = outcome.about
            row = Prediction(path)
            if face is not None:
                row = replace(row, face=face.number, faces=face.of, box=face.box)
            return self._judged(row, outputs)
        if isinstance(outcome.error, ImageError):
            return Prediction(path, status=outcome.error.status, error=outcome.error.message)
        if isinstance(outcome.error, TypeError):
            raise TypeError(f"{outcome.error}; predict takes {_ACCEPTED}") from outcome.error
        if isinstance(outcome.error, CmflError):
            raise outcome.error
        # An unexpected error in one picture must not end a run over a million.
        text = " ".join(f"{type(outcome.error).__name__}: {outcome.error}".split())
        return Prediction(path, status=Status.UNREADABLE, error=text)

    def _judged(self, row: Prediction, outputs: dict[str, NDArray[Any]]) -> Prediction:
        scores = {name: float(outputs[name]) for name in SCORE_OUTPUTS if name in outputs}
        for name, score in scores.items():
            # Written so that a NaN fails.
            if not 0.0 <= score <= 1.0:
                error = f"the model's {name} is {score:.6g}, not a finite number within 0 and 1"
                return replace(row, status=Status.UNREADABLE, error=error)
        scores["p_real"] = self.card.calibrated(scores["p_real"])
        return replace(
            row,
            p_real=scores["p_real"],
            p_real_rgb=scores.get("p_real_rgb"),
            p_real_spectrum=scores.get("p_real_spectrum"),
            decision=self.rule.decide(scores["p_real"]),
            # Copied, because a view of one row would keep the whole batch in memory.
            extras={name: value.copy() for name, value in outputs.items() if name not in SCORE_OUTPUTS},
        )
