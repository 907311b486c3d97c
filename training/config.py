"""TrainConfig: everything that decides how a run comes out, as one frozen dataclass and one TOML file."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from cmfl_export.base.errors import UsageError
from cmfl_export.base.networks import ARCHITECTURES
from cmfl_export.base.options import DetectorOptions
from cmfl_export.base.text_formats import MOST_TOML_BYTES, FormatError, load_toml, read_bytes
from cmfl_export.base.toml import toml_table

Architecture = Literal["two_stream", "one_stream"]
Spectra = Literal["multi", "rgb", "fft"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Preset = Literal["paper"]


# The headings under which `cmfl train --help` lists the fields, in their order.
DATA, NETWORK, LOSS, OPTIMISATION, HARDWARE, OUTPUT = HEADINGS = (
    "Data",
    "Network",
    "Loss",
    "Optimisation",
    "Hardware",
    "Output",
)


@dataclass(frozen=True)
class Setting:
    """What the command line says of a field of `TrainConfig`.

    Attributes:
        heading: one of HEADINGS.
        help: one line.
        is_path: the text is a path, or an address in a store.
    """

    heading: str
    help: str
    is_path: bool = False


@dataclass(frozen=True)
class TrainConfig:
    """A training run. The defaults are the paper's method with the precision that the device does best.

    Each field is an option of `cmfl train`, which takes its name, type, default, heading and help from here.

    Values and their sources: METHOD "Loss" and "Augmentation" (the official training script); what the
    official script does not have (schedule, clipping, accumulation, early stopping) is off.
    """

    protocol: Annotated[str, Setting(DATA, "Folder with train.csv and dev.csv.", is_path=True)] = ""
    data_root: Annotated[
        str,
        Setting(
            DATA,
            "What the file names of the protocol start from: a folder, an archive (.tar, .zip), a folder of "
            ".tar shards, or an address in a store.",
            is_path=True,
        ),
    ] = ""
    aligned: Annotated[
        bool,
        Setting(DATA, "The images are 224x224 face crops; otherwise they are resized to 256 and cropped."),
    ] = True
    align: Annotated[
        bool, Setting(DATA, "The images are photographs: find and align the largest face in each.")
    ] = False
    min_face: Annotated[int, Setting(DATA, "Side of the smallest face to find, in pixels.")] = (
        DetectorOptions.minimum_face
    )
    face_scale: Annotated[
        float, Setting(DATA, "Size of the face in the crop; 1 is the framing of ArcFace.")
    ] = DetectorOptions.face_scale
    augment: Annotated[
        float, Setting(DATA, "Probability of blur, and of JPEG compression; 0 turns both off.")
    ] = 0.5
    augmentation: Annotated[
        Literal["paper", "broad"],
        Setting(DATA, "broad adds changes of colour, resizing and noise, each with the same probability."),
    ] = "paper"
    resend: Annotated[
        float,
        Setting(
            DATA,
            "Probability of one more JPEG, WebP or resizing at the end, as when a picture is sent.",
        ),
    ] = 0.0
    band_gain: Annotated[
        float,
        Setting(
            DATA,
            "Deviation of a random gain per band of the spectrum, on its scale of -1 to 1; 0 is off.",
        ),
    ] = 0.0
    augment_dev: Annotated[bool, Setting(DATA, "Also degrade the images of dev.")] = False
    crop: Annotated[
        int,
        Setting(DATA, "Side of a random square to train on, 32 to 224; below 224 with spectra rgb alone."),
    ] = 224
    leave_out: Annotated[
        str,
        Setting(
            DATA,
            "Attacks of train, separated by commas, to choose the epoch by and not to train on; "
            "ATTACK/FOLDER is the part in that folder.",
        ),
    ] = ""
    balance: Annotated[bool, Setting(DATA, "Cut the larger training class to the size of the smaller.")] = (
        True
    )

    architecture: Annotated[
        Architecture, Setting(NETWORK, "Two branches with a joint head, or one branch alone.")
    ] = "two_stream"
    spectra: Annotated[
        Spectra, Setting(NETWORK, "What the network sees: multi with two_stream; rgb or fft with one_stream.")
    ] = "multi"
    pretrained: Annotated[
        bool, Setting(NETWORK, "Start from ImageNet weights, which are downloaded once.")
    ] = False
    stem: Annotated[
        Literal["random", "dct"],
        Setting(NETWORK, "First convolutions to start from: random, or the cosine basis (dct)."),
    ] = "random"
    init: Annotated[
        str,
        Setting(NETWORK, "Weights to start from, separated by commas; each gives the branches that it has."),
    ] = ""

    standardise_spectrum: Annotated[
        bool,
        Setting(NETWORK, "Standardise each frequency of the spectrum by its mean and deviation over train."),
    ] = False

    teacher: Annotated[
        str,
        Setting(
            NETWORK,
            "Run folder of a teacher (--backbone): the RGB branch learns its maps and scores besides the "
            "labels.",
            is_path=True,
        ),
    ] = ""
    backbone: Annotated[
        str, Setting(NETWORK, "Train a teacher instead of a detector: a network of timm, by its name.")
    ] = ""
    backbone_weights: Annotated[
        str,
        Setting(
            NETWORK,
            "ImageNet weights of that network (.safetensors, with timm's names); else timm downloads them.",
            is_path=True,
        ),
    ] = ""

    loss: Annotated[
        Literal["cmfl", "bce"], Setting(LOSS, "Cross Modal Focal Loss, or cross-entropy (bce).")
    ] = "cmfl"
    alpha: Annotated[float, Setting(LOSS, "Factor of the CMFL term.")] = 1.0
    gamma: Annotated[float, Setting(LOSS, "Focusing exponent of CMFL.")] = 3.0
    multiplier: Annotated[
        float, Setting(LOSS, "Factor of the weights in CMFL; up to 2 they stay between 0 and 1.")
    ] = 2.0
    beta: Annotated[float, Setting(LOSS, "Weight of CMFL against cross-entropy on the joint head.")] = 0.5
    attack_only: Annotated[
        bool, Setting(LOSS, "Apply CMFL to synthetic images alone; real ones get cross-entropy.")
    ] = False
    label_smoothing: Annotated[
        float, Setting(LOSS, "Share of the label that goes to both classes alike, in training alone.")
    ] = 0.0
    stop_gradient: Annotated[
        bool, Setting(LOSS, "Treat the probability of the other branch as a constant.")
    ] = False

    epochs: Annotated[int, Setting(OPTIMISATION, "Epochs to train.")] = 25
    batch_size: Annotated[int, Setting(OPTIMISATION, "Images per batch and device.")] = 8
    accumulate: Annotated[int, Setting(OPTIMISATION, "Batches per optimizer step.")] = 1
    optimizer: Annotated[Literal["adam", "adamw"], Setting(OPTIMISATION, "Optimizer.")] = "adam"
    lr: Annotated[float, Setting(OPTIMISATION, "Learning rate; the highest one of a schedule.")] = 1e-4
    spectrum_lr: Annotated[
        float,
        Setting(OPTIMISATION, "Learning rate of the spectrum's trunk and head; 0 is that of the others."),
    ] = 0.0
    weight_decay: Annotated[float, Setting(OPTIMISATION, "Weight decay.")] = 1e-5
    schedule: Annotated[
        Literal["constant", "cosine", "one_cycle"],
        Setting(OPTIMISATION, "How the learning rate changes from step to step."),
    ] = "constant"
    clip: Annotated[float, Setting(OPTIMISATION, "Largest norm of the gradient; 0 is no limit.")] = 0.0
    average: Annotated[
        float,
        Setting(
            OPTIMISATION,
            "Decay per step of a running average of the weights, as 0.995, which dev then sees; 0 is off.",
        ),
    ] = 0.0
    monitor: Annotated[
        Literal["auto", "dev_loss", "dev_d_eer", "loo_d_eer"],
        Setting(
            OPTIMISATION,
            "Figure that decides which epoch is the best; lower is better. auto is loo_d_eer with "
            "--leave-out, else dev_loss.",
        ),
    ] = "auto"
    early_stop: Annotated[
        int, Setting(OPTIMISATION, "Stop after this many epochs without a better figure; 0 is never.")
    ] = 0
    refit_head: Annotated[
        bool,
        Setting(
            OPTIMISATION,
            "Afterwards fit the joint head anew to the embeddings of the best epoch, as cmfl refit does.",
        ),
    ] = False
    seed: Annotated[int, Setting(OPTIMISATION, "Seed of everything that is random.")] = 4

    precision: Annotated[
        Precision, Setting(HARDWARE, "auto is the fastest that the device has units for.")
    ] = "auto"
    devices: Annotated[int, Setting(HARDWARE, "GPUs, or processes on a CPU.")] = 1
    nodes: Annotated[int, Setting(HARDWARE, "Machines; start the command on each with torchrun.")] = 1
    workers: Annotated[int, Setting(HARDWARE, "Loader processes per device.")] = 2

    save_every: Annotated[
        int, Setting(OUTPUT, "Keep the weights of every N-th epoch; 0 keeps the best and the last alone.")
    ] = 0

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

        if self.standardise_spectrum and self.spectra == "rgb":
            raise UsageError("standardise_spectrum needs a spectrum branch: two_stream, or spectra fft")

        if self.band_gain and self.spectra == "rgb":
            raise UsageError("band_gain needs a spectrum branch: two_stream, or spectra fft")
        if self.spectrum_lr and self.architecture == "one_stream":
            raise UsageError("spectrum_lr needs two branches; set the rate of one_stream with lr")
        self._check_teacher()

    def _check_teacher(self) -> None:
        if self.teacher and self.spectra == "fft":
            raise UsageError("teacher needs an RGB branch: two_stream, or spectra rgb")
        if self.backbone_weights and not self.backbone:
            raise UsageError("backbone_weights needs the name of the network: give it with --backbone")
        if not self.backbone:
            return
        if self.spectra != "rgb":
            raise UsageError("a teacher sees the image alone: train it with --spectra rgb")
        others = ("teacher", "init", "pretrained", "refit_head")
        given = [name for name in others if getattr(self, name)] + ["stem"] * (self.stem != "random")
        if given:
            raise UsageError(
                f"{', '.join(given)} does not go with backbone, which is a network of another form"
            )

    def _check_values(self) -> None:
        if self.align and not self.aligned:
            raise UsageError("align makes aligned crops, so it does not go with --no-aligned")
        for name, value in asdict(self).items():
            try:
                str(value).encode()
            except UnicodeEncodeError as error:
                raise UsageError(f"{name} {value!r} is not Unicode text; rename the folder") from error
        for name in ("epochs", "batch_size", "accumulate", "devices", "nodes"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in (
            "gamma",
            "clip",
            "early_stop",
            "save_every",
            "workers",
            "weight_decay",
            "spectrum_lr",
            "band_gain",
            "seed",
        ):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} is {getattr(self, name)}; it must not be negative")
        if self.lr <= 0:
            raise UsageError(f"lr is {self.lr}; it must be greater than 0")
        for name in ("augment", "resend", "beta", "label_smoothing"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must lie between 0 and 1")
        if self.monitor == "loo_d_eer" and not self.attacks_left_out:
            raise UsageError("monitor loo_d_eer needs attacks to leave out; name them with --leave-out")
        if not 0 <= self.average < 1:
            raise UsageError(f"average is {self.average}; it must lie between 0 and 1, 1 left out")

    @property
    def network(self) -> str:
        """What is trained, in words."""
        return f"the teacher {self.backbone}" if self.backbone else f"{self.architecture} ({self.spectra})"

    @property
    def attacks_left_out(self) -> list[str]:
        """The names in `leave_out`."""
        return [name.strip() for name in self.leave_out.split(",") if name.strip()]

    @property
    def best_by(self) -> str:
        """The figure that decides which epoch is the best: `monitor`, never `auto`."""
        if self.monitor != "auto":
            return self.monitor
        return "loo_d_eer" if self.attacks_left_out else "dev_loss"

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
PRESETS: dict[Preset, TrainConfig] = {
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


def make_config(preset: Preset | None = None, file: Path | None = None, **overrides: Any) -> TrainConfig:
    """The configuration from a preset or a file, with the given values on top; None means not given.

    `spectra` and `loss` follow an overridden `architecture` where they are not given themselves, which
    follows `backbone`.
    """
    if preset is not None and file is not None:
        raise UsageError("give --preset or --config, not both")
    if preset is not None and preset not in PRESETS:
        raise UsageError(f"no preset {preset!r}; there is: {', '.join(PRESETS)}")
    base = TrainConfig.from_toml(file) if file else PRESETS[preset] if preset else TrainConfig()
    given = {key: value for key, value in overrides.items() if value is not None}
    if given.get("backbone"):
        given.setdefault("architecture", "one_stream")
    if given.get("architecture") == "one_stream":
        given.setdefault("spectra", "rgb" if base.spectra == "multi" else base.spectra)
        given.setdefault("loss", "bce")
    elif given.get("spectra") in ("rgb", "fft"):
        given.setdefault("architecture", "one_stream")
        given.setdefault("loss", "bce")
    return replace(base, **given)
