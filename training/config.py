"""TrainConfig: everything that decides how a run comes out, as one frozen dataclass and one TOML file."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from cmfl_export.base.errors import UsageError
from cmfl_export.base.text_formats import MOST_TOML_BYTES, FormatError, load_toml, read_bytes
from cmfl_export.base.toml import toml_table
from cmfl_export.runtime import ARCHITECTURES

Architecture = Literal["two_stream", "one_stream"]
Spectra = Literal["multi", "rgb", "fft"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class TrainConfig:
    """A training run. The defaults are the paper's method with the precision that the device does best.

    Values and their sources: METHOD "Loss" and "Augmentation" (the official training script); what the
    official script does not have (schedule, clipping, accumulation, early stopping) is off.
    """

    protocol: str = ""  # folder with train.csv and dev.csv
    data_root: str = ""  # what the protocol's filenames are relative to

    architecture: Architecture = "two_stream"
    spectra: Spectra = "multi"
    pretrained: bool = False  # start from ImageNet
    stem: Literal["random", "dct"] = "random"  # what the first convolutions start from, see training.stem
    init: str = ""  # weights to start from, separated by commas; each gives the branches that it has

    loss: Literal["cmfl", "bce"] = "cmfl"
    alpha: float = 1.0
    gamma: float = 3.0
    multiplier: float = 2.0
    beta: float = 0.5
    attack_only: bool = False
    stop_gradient: bool = False

    aligned: bool = True  # 224x224 face crops; otherwise resize to 256 and crop
    align: bool = False  # the images are photographs: find and align the largest face of each
    min_face: int = 20  # smallest face that is looked for, in pixels
    face_scale: float = 0.8  # size of the face in the crop; 1 is ArcFace's framing
    augment: float = 0.5  # probability of blur, and again of JPEG; 0 turns all of it off
    augmentation: Literal["paper", "broad"] = "paper"  # broad: also colour, resizing and noise, as likely
    augment_dev: bool = False
    crop: int = 224  # train on a random square of this size of the 224x224 image; dev sees it whole
    balance: bool = True  # cut the larger training class to the size of the smaller

    epochs: int = 25
    batch_size: int = 8
    accumulate: int = 1  # batches a step
    optimizer: Literal["adam", "adamw"] = "adam"
    lr: float = 1e-4
    weight_decay: float = 1e-5
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    clip: float = 0.0  # largest gradient norm; 0 is no limit
    seed: int = 4
    monitor: Literal["dev_loss", "dev_d_eer"] = "dev_loss"  # what "best" means; lower is better
    early_stop: int = 0  # epochs without a better dev figure before stopping; 0 is never
    save_every: int = 0  # keep the weights of every N-th epoch; 0 keeps best and last only
    average: float = 0.0  # decay a step of the running average of the weights, which dev then sees; 0 is off

    precision: Precision = "auto"
    devices: int = 1
    nodes: int = 1
    workers: int = 2  # loader processes a device

    def __post_init__(self) -> None:
        self._check_types()
        self._check_network()
        self._check_values()

    def _check_types(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            value, hint = getattr(self, field.name), hints[field.name]
            if get_origin(hint) is Literal:
                if value not in get_args(hint):
                    raise UsageError(f"{field.name} is {value!r}; use one of {', '.join(get_args(hint))}")
            elif not (isinstance(value, hint) or (hint is float and type(value) is int)) or (
                hint is not bool and isinstance(value, bool)
            ):
                raise UsageError(f"{field.name} is {value!r}; it must be of type {hint.__name__}")
            elif hint is not str and not (math.isfinite(value) and abs(value) < 2**63):
                raise UsageError(f"{field.name} is {value:g}; it must be a finite number of up to 64 bits")

    def _check_network(self) -> None:
        if self.spectra not in ARCHITECTURES[self.architecture]:
            raise UsageError(
                f"architecture {self.architecture} does not go with spectra {self.spectra}: "
                "use two_stream with multi, or one_stream with rgb or fft"
            )
        if self.architecture == "one_stream" and self.loss == "cmfl":
            raise UsageError("CMFL needs two branches: train one_stream with --loss bce")
        if (bool(self.init), self.pretrained, self.stem == "dct").count(True) > 1:
            raise UsageError(
                "give one of --init, --pretrained and --stem dct: each decides how weights start"
            )
        if not 32 <= self.crop <= 224 or (self.crop < 224 and self.spectra != "rgb"):
            raise UsageError(
                f"crop is {self.crop}; it goes from 32 to 224, and below 224 with spectra rgb alone"
            )

    def _check_values(self) -> None:
        if self.align and not self.aligned:
            raise UsageError("align makes aligned crops, so it does not go with --no-aligned")
        for name in ("protocol", "data_root", "init"):
            try:
                getattr(self, name).encode()
            except UnicodeEncodeError as error:
                text = repr(getattr(self, name))
                raise UsageError(f"{name} {text} is not Unicode text; rename the folder") from error
        for name in ("epochs", "batch_size", "accumulate", "devices", "nodes"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("gamma", "clip", "early_stop", "save_every", "workers", "weight_decay", "seed"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} is {getattr(self, name)}; it must not be negative")
        if self.lr <= 0:
            raise UsageError(f"lr is {self.lr}; it must be greater than 0")
        for name in ("augment", "beta"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must lie between 0 and 1")
        if not 0 <= self.average < 1:
            raise UsageError(f"average is {self.average}; it must lie between 0 and 1, 1 left out")

    def to_toml(self) -> str:
        return toml_table(asdict(self))

    @classmethod
    def from_dict(cls, values: dict[str, Any], source: str = "the configuration") -> TrainConfig:
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise UsageError(f"{source} has unknown keys: {', '.join(unknown)}")
        return cls(**values)

    @classmethod
    def from_toml(cls, path: Path) -> TrainConfig:
        """Reads a configuration file.

        Raises:
            CmflError: no such file, not TOML, an unknown key or a value out of range.
        """
        try:
            values = load_toml(read_bytes(path, MOST_TOML_BYTES, "the configuration"))
        except FormatError as error:
            raise UsageError(f"{path}: {error}") from error
        return cls.from_dict(values, str(path))


# The official training script to the letter: its defaults, with the paper's architecture and loss.
PRESETS = {
    "paper": TrainConfig(
        architecture="two_stream",
        spectra="multi",
        loss="cmfl",
        gamma=3.0,
        epochs=25,
        batch_size=1,
        optimizer="adam",
        lr=1e-4,
        weight_decay=1e-5,
        seed=4,
        augment=0.5,
        save_every=5,
        precision="fp32",
        workers=16,
    )
}


def make_config(preset: str | None = None, file: Path | None = None, **overrides: Any) -> TrainConfig:
    """The configuration from a preset or a file, with the given values on top; None means not given.

    `spectra` and `loss` follow an overridden `architecture` where they are not given themselves.
    """
    if preset is not None and file is not None:
        raise UsageError("give --preset or --config, not both")
    if preset is not None and preset not in PRESETS:
        raise UsageError(f"no preset {preset!r}; there is: {', '.join(PRESETS)}")
    base = TrainConfig.from_toml(file) if file else PRESETS[preset] if preset else TrainConfig()
    given = {key: value for key, value in overrides.items() if value is not None}
    if given.get("architecture") == "one_stream":
        given.setdefault("spectra", "rgb" if base.spectra == "multi" else base.spectra)
        given.setdefault("loss", "bce")
    elif given.get("spectra") in ("rgb", "fft"):
        given.setdefault("architecture", "one_stream")
        given.setdefault("loss", "bce")
    return replace(base, **given)
