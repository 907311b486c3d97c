"""The options of a detector, with their defaults and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypedDict, get_args

from .errors import UsageError

# `cpu` stands for the faster of the installed CPU runtimes; `onnxruntime` and `openvino` name one of them.
ProviderName = Literal["auto", "cpu", "onnxruntime", "openvino", "cuda", "cuda-graph", "tensorrt"]
PROVIDERS: tuple[str, ...] = get_args(ProviderName)

Align = Literal["auto", "all", "largest"]

# Where neither the options nor the model's card say which resolution a face needs.
USUAL_RESOLUTION = 60


def check_provider(name: str) -> None:
    """Checks the name of a provider, not whether it loads here.

    Raises:
        UsageError: there is no such provider.
    """
    if name not in PROVIDERS:
        raise UsageError(f"unknown provider {name!r}; choose one of: {', '.join(PROVIDERS)}")


class DetectorSettings(TypedDict, total=False):
    """The fields of `DetectorOptions` as keyword arguments. A test checks that both agree."""

    provider: str
    threads: int | None
    batch_size: int | None
    workers: int | None
    threshold: float | None
    aligned: bool | None
    align: Align | bool | None
    minimum_face: int
    minimum_resolution: int | None
    face_scale: float
    max_pixels: int
    stability: bool


@dataclass(frozen=True, kw_only=True)
class DetectorOptions:
    """The options of a detector, checked when they are made.

    Attributes:
        provider: "auto", "cpu", "onnxruntime", "openvino", "cuda", "cuda-graph" or "tensorrt"; see
            `Session.open`.
        threads: CPU threads of the model; None means all cores that this process may use.
        batch_size: pictures per run; None means 8 on the CPU, 4 on OpenVINO, which runs several batches
            concurrently, and 64 on a GPU.
        workers: decoding threads; None means one per core, 16 at most.
        threshold: in [0, 1]; None means what is in the model card. With it there is no band, so that no
            decision is `uncertain`.
        aligned: whether the pictures are aligned face crops; None means as in the model's training.
        align: which faces of a picture are found and aligned first: its "largest" (or True), "all", or none
            (None or False). A picture without a face gets the status `no_face`. "auto" scores a crop that is
            aligned already as it is, and takes the largest face of any other picture. It is as None where
            `aligned` is given, the model takes no aligned faces, or the package for finding faces is missing.
        minimum_face: side of the smallest face to look for, in pixels of the picture.
        minimum_resolution: a face whose box has a shorter side than this, in pixels of the picture, gets the
            status `low_resolution` with its score; 0 is no limit. None means what is in the model card, else
            60.
        face_scale: size of the face in the crop; see `crop.template`.
        max_pixels: pictures with more pixels get the status `too_large`.
        stability: also score each image after eight small changes, which takes nine times as long; see
            `cmfl_export.runtime.stability`.

    Raises:
        UsageError: an option is unknown or out of its range.
    """

    provider: ProviderName = "auto"
    threads: int | None = None
    batch_size: int | None = None
    workers: int | None = None
    threshold: float | None = None
    aligned: bool | None = None
    align: Align | bool | None = "auto"
    minimum_face: int = 20
    minimum_resolution: int | None = None
    face_scale: float = 0.8
    max_pixels: int = 100_000_000
    stability: bool = False

    def __post_init__(self) -> None:
        check_provider(self.provider)
        for name in ("threads", "batch_size", "workers", "max_pixels"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name.replace('_', ' ')} must be at least 1, not {value}")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UsageError(f"the threshold must be within 0 and 1, not {self.threshold}")
        if isinstance(self.align, bool):
            object.__setattr__(self, "align", "largest" if self.align else None)
        if self.align not in (None, *get_args(Align)):
            raise UsageError(f"align must be 'auto', 'all' or 'largest', not {self.align!r}")
        if self.minimum_resolution is not None and self.minimum_resolution < 0:
            raise UsageError(f"the smallest resolution must be at least 0, not {self.minimum_resolution}")
        if self.align in ("all", "largest") and self.aligned is False:
            raise UsageError("align makes aligned crops, so it excludes aligned=False; leave one of them out")

    @classmethod
    def of(cls, options: DetectorOptions | None, settings: Mapping[str, Any]) -> DetectorOptions:
        """The options (None: the defaults) with those in `settings` replaced.

        Raises:
            UsageError: an option is unknown or out of its range.
        """
        return replace(cls() if options is None else options, **settings)
