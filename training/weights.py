"""Weights in and out: our safetensors, run folders, and the official implementation's checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cmfl_export.base.errors import CmflError, ModelError, UsageError
from cmfl_export.base.files import sha256_of, whole_file
from cmfl_export.base.text_formats import load_json

from .checkpoint_files import Shapes, check_pth, safetensors_header
from .config import Spectra, TrainConfig
from .exported_weights import read_exported
from .model import CmflNet

METADATA_KEY = "cmfl"

# The official implementation's names (METHOD: "Checkpoints of the official implementation") and ours.
OFFICIAL_PREFIXES = {
    "enc_rgb.": "trunk_rgb.",
    "enc_f.": "trunk_spectrum.",
    "linear.": "head_joint.",
    "linear_rgb.": "head_rgb.",
    "linear_f.": "head_spectrum.",
}


@dataclass(frozen=True)
class Weights:
    """A network in eval mode and what is known of where it comes from."""

    net: CmflNet
    path: Path
    sha256: str
    config: dict[str, Any] = field(default_factory=dict)  # of the training; empty for official checkpoints
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def aligned(self) -> bool:
        return bool(self.config.get("aligned", True))


def save_weights(
    net: nn.Module, path: Path, config: TrainConfig, metrics: Mapping[str, Any] | None = None
) -> None:
    """Writes a safetensors file, whole or not at all, with the configuration in its metadata."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    about = json.dumps({"config": asdict(config), "metrics": dict(metrics or {})})
    with whole_file(path) as part:
        try:
            save_file(tensors, part, metadata={METADATA_KEY: about})
        except SafetensorError as error:
            raise UsageError(f"cannot write {path}: {error}") from error


def load_weights(path: Path, *, spectra: Spectra | None = None) -> Weights:
    """Loads WEIGHTS: a `.safetensors` file of ours, a run folder (its best), an exported fp32 `.onnx`, or an
    official `.pth`.

    Args:
        path: file or run folder.
        spectra: what an official one_stream checkpoint was trained on, `rgb` (the default) or `fft`: its
            file does not say. Ignored where the file says it.

    Raises:
        CmflError: no such file, not a checkpoint, or keys that do not fit, named.
    """
    if path.is_dir():
        path = best_of(path)
    if not path.is_file():
        raise ModelError(f"no weights at {path}; give a run folder, a .safetensors file or an official .pth")
    if path.suffix == ".onnx":
        net, card = read_exported(path)
        # The card's hash is that of the weights file that was exported.
        return Weights(net, path, card.weights_sha256, {**card.training}, {**card.metrics})
    if path.suffix == ".safetensors":
        net, tensors, about = _read_safetensors(path)
        config, metrics = about["config"], about["metrics"]
    else:
        tensors, config, metrics = _read_official(path), {}, {}
        two_stream = any(key.startswith("trunk_spectrum.") for key in tensors)
        net = CmflNet("two_stream") if two_stream else CmflNet("one_stream", spectra or "rgb")
        if not two_stream:
            tensors = {_one_stream_name(key, net): value for key, value in tensors.items()}
    _load_strictly(net, tensors, path)
    if net.standardises and not net.standardise.is_usable:
        raise ModelError(
            f"{path}: the mean and deviation of its spectra are none that training writes; it is damaged"
        )
    return Weights(net.eval(), path, sha256_of(path), config, metrics)


def start_from(net: CmflNet, init: str) -> None:
    """Copies trained weights into `net`: all of a network of its form, or one branch.

    Two streams take a branch from a one-stream network, whose head becomes the head of that branch. One
    stream takes its branch from two streams. A spectrum branch brings the mean and deviation of the spectra
    that it was trained with.

    Args:
        net: changed in place; what no file gives stays as it is.
        init: WEIGHTS as `load_weights` takes them, separated by commas; empty for none.

    Raises:
        CmflError: what `load_weights` raises, a network of another form, or a spectrum branch that was
            trained on standardised spectra for a network that does not standardise them, or the reverse.
    """
    for path in filter(None, map(str.strip, init.split(","))):
        source = load_weights(Path(path)).net
        tensors = source.state_dict()
        if net.architecture == "two_stream" and source.architecture == "one_stream":
            own = "head_rgb." if source.uses_rgb else "head_spectrum."
            tensors = {key.replace("head_joint.", own): value for key, value in tensors.items()}
        elif net.architecture == "one_stream" and source.architecture == "two_stream":
            own, other = ("rgb", "spectrum") if net.uses_rgb else ("spectrum", "rgb")
            tensors = {
                key.replace(f"head_{own}.", "head_joint."): value
                for key, value in tensors.items()
                if not key.startswith((f"trunk_{other}.", f"head_{other}.", "head_joint."))
            }
        elif (net.architecture, net.spectra) != (source.architecture, source.spectra):
            raise ModelError(
                f"{path} is {source.architecture} {source.spectra}, which {net.architecture} {net.spectra} "
                "cannot start from"
            )
        if net.uses_spectrum and source.uses_spectrum and net.standardises != source.standardises:
            how, option = ("standardised", "--") if source.standardises else ("plain", "--no-")
            raise ModelError(
                f"the spectrum branch of {path} was trained on {how} spectra; give "
                f"{option}standardise-spectrum to start from it"
            )
        net.load_state_dict(tensors, strict=False)


def best_of(folder: Path) -> Path:
    """The best weights of a run folder.

    Raises:
        ModelError: there are none.
    """
    best = folder / "best.safetensors"
    if not best.is_file():
        raise ModelError(
            f"{folder} has no best.safetensors; is it a run folder, and has its first epoch ended?"
        )
    return best


def _read_safetensors(path: Path) -> tuple[CmflNet, dict[str, Tensor], dict[str, Any]]:
    shapes, read, about = weights_metadata(path)
    if read.backbone:
        raise ModelError(
            f"{path} is a teacher ({read.backbone}), not a detector; give it to cmfl train with --teacher"
        )
    net = CmflNet(read.architecture, read.spectra, standardise=read.standardise_spectrum)
    refuse_others(net, shapes, path, f"{net.architecture} {net.spectra}")
    return net, read_tensors(path), about


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, whose header has been looked at before.

    Raises:
        ModelError: it is damaged.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} is not a readable safetensors file ({error})") from error


def weights_metadata(path: Path) -> tuple[Shapes, TrainConfig, dict[str, Any]]:
    """What a `.safetensors` file of ours says.

    Returns:
        The shapes of its tensors, the configuration, and the tables `config` and `metrics` as they are.

    Raises:
        ModelError: it is damaged, or not ours.
    """
    shapes, metadata = safetensors_header(path)
    try:
        about = load_json(metadata[METADATA_KEY], lenient=True)
        config, metrics = about["config"], about.get("metrics", {})
        if not isinstance(config, dict) or not isinstance(metrics, dict):
            raise TypeError("no tables")
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{path} does not say which network it is for; it was not written by cmfl train"
        ) from error
    known = {field.name for field in fields(TrainConfig)}
    try:
        # Whatever version wrote it, what this one knows has the right types and ranges.
        read = TrainConfig(**{key: value for key, value in config.items() if key in known})
    except CmflError as error:
        raise ModelError(f"{path}: the configuration in it: {error}") from error
    return shapes, read, {"config": config, "metrics": metrics}


def _read_official(path: Path) -> dict[str, Tensor]:
    """The state dict of an official checkpoint, under our names. Runs no code from the file."""
    check_pth(path)
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a hostile file provokes there
        raise ModelError(
            f"{path} is not a checkpoint that can be loaded safely: PyTorch cannot read its tensors; save "
            "its state_dict again with torch.save"
        ) from error
    state = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict) or not all(map(_is_plain, state.items())):
        raise ModelError(
            f"{path} holds no state_dict of tensors; expected a checkpoint of the official implementation"
        )
    return {_our_name(key): value for key, value in state.items()}


def _is_plain(item: tuple[Any, Any]) -> bool:
    """Whether it is a name and a tensor of real numbers in memory."""
    name, value = item
    return (
        isinstance(name, str)
        and isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not (value.is_complex() or value.is_quantized)
    )


def _our_name(key: str) -> str:
    for official, ours in OFFICIAL_PREFIXES.items():
        if key.startswith(official):
            return ours + key.removeprefix(official)
    return key


def _one_stream_name(key: str, net: CmflNet) -> str:
    # The official one_stream calls its trunk enc_rgb and its head linear_rgb, whatever they see.
    key = key.replace("head_rgb.", "head_joint.")
    return key.replace("trunk_rgb.", "trunk_spectrum.") if net.spectra == "fft" else key


def _load_strictly(net: CmflNet, tensors: dict[str, Tensor], path: Path) -> None:
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    refuse_others(net, shapes, path, f"{net.architecture} {net.spectra}")
    net.load_state_dict(tensors)


def refuse_others(net: nn.Module, shapes: Shapes, path: Path, network: str) -> None:
    """Refuses tensors that are not those of `net`, by name and shape; `network` says what it is.

    Raises:
        ModelError: names those that differ.
    """
    expected = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    problems = [
        ("missing", [key for key in expected if key not in shapes]),
        ("unexpected", [key[:80] for key in shapes if key not in expected]),
        ("of another shape", [key for key, shape in expected.items() if shapes.get(key, shape) != shape]),
    ]
    found = [f"{len(keys)} {what} ({_some(keys)})" for what, keys in problems if keys]
    if found:
        raise ModelError(f"{path} does not fit {network}: keys {'; '.join(found)}")


def _some(keys: list[str], most: int = 6) -> str:
    return ", ".join(keys[:most]) + (f" and {len(keys) - most} more" if len(keys) > most else "")
