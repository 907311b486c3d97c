"""Resolves the name of a model: a file of this name, or else a model of the zoo."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from models_zoo import hub_cache, registry
from models_zoo.hub_address import is_address
from models_zoo.manifest import MANIFEST, Manifest
from models_zoo.names import is_model_name, split_variant

from .base.errors import ModelError, UsageError
from .runtime import ModelCard, read_card

STARTER = "starter"
_REPOSITORY = re.compile(r"[^/\\@:]+/[^/\\@:]+(@[^/\\]+)?")  # of a hub, without hf://


class Variant(NamedTuple):
    """One precision of a network: its file, its card, and its label in a table."""

    path: Path
    card: ModelCard
    label: str


def resolve(model: str | os.PathLike[str] | None) -> Path:
    """The file that a model's name stands for.

    Args:
        model: a path, or `NAME` or `NAME:VARIANT` of the zoo if no file has this name, or the address in a
            hub of a model that was pulled; None is the starter model. A path object is never a name.

    Returns:
        The path. For a model of the zoo, its SHA-256 has been checked.

    Raises:
        ModelError: the name is neither a file nor a model of the zoo, or the model's weights are missing or
            damaged.
    """
    if model is None:
        return _starter().path_of_weights()
    text = os.fspath(model)
    path = Path(text)
    if isinstance(model, str) and is_address(text):
        return hub_cache.path_of_weights(text)
    if isinstance(model, str) and not path.is_file():
        name, variant = split_variant(text)
        found = registry.find(name)
        if found is not None:
            return found.path_of_weights(variant)
        if is_model_name(name) and not path.exists():
            raise ModelError(f"{text}: no such model file or model of the zoo; {registry.known()}")
    if not path.exists():
        raise ModelError(f"{text}: no such model file")
    return path


def fetch(model: str | os.PathLike[str]) -> Path:
    """The file that a model's name stands for, pulled if it is not on this machine.

    Args:
        model: as in `resolve`; or `owner/name` in a hub if there is no such file or folder here; or a model's
            folder, whose manifest says which file is the default, or with one .onnx file.

    Raises:
        DownloadError: a model that is not here cannot be pulled.
        ModelError: there is no such model, or it is damaged.
        UsageError: a file cannot be written.
    """
    from models_zoo.pull import pull

    text, path = os.fspath(model), Path(model)
    if path.is_dir():
        return _in_folder(path)
    if isinstance(model, str) and not path.is_file():
        if _REPOSITORY.fullmatch(text) and not text.endswith(".onnx"):
            text = f"hf://{text}"
        if is_address(text) or registry.find(split_variant(text)[0]) is not None:
            return pull(text).path
    return resolve(model)


def is_model(text: str) -> bool:
    """Whether an argument is a model and not an image: it ends in .onnx or is of the zoo or in a hub."""
    name, _ = split_variant(text)
    if text.lower().endswith(".onnx") or is_address(text):
        return True
    return registry.find(name) is not None and not Path(text).exists()


def card_of(model: str | os.PathLike[str] | None) -> ModelCard:
    """The model card of the file that `model` stands for, without preparing the model to run.

    Raises:
        ModelError: as in `resolve`, or the file is not an exported model.
    """
    return read_card(resolve(model))


def model_and_inputs(arguments: Sequence[str], model: str | None) -> tuple[str | None, list[str]]:
    """Splits the arguments of `cmfl predict [MODEL] INPUT...` into the model and the inputs.

    The first argument is the model if it ends in .onnx, is a model of the zoo or is an address in a hub. If
    `model` (--model) is given, it is the model, and all arguments are inputs. Else the model is None, the
    starter.

    Raises:
        UsageError: the first argument is both a name of the zoo and a file or folder, or it is neither a
            model nor an input, or no input is left.
    """
    if model is not None:
        return model, list(arguments)
    first, rest = arguments[0], list(arguments[1:])
    name, _ = split_variant(first)
    there = Path(first).exists()
    if first.lower().endswith(".onnx") or is_address(first):
        chosen: str | None = first
    elif registry.find(name) is None:
        if is_model_name(name) and not Path(first).suffix and not there:
            raise UsageError(
                f"{first}: neither an image, nor a folder, nor a model of the zoo; {registry.known()}"
            )
        return None, [first, *rest]
    elif there:
        raise UsageError(
            f"{first} is a model of the zoo and also a file or folder here; give --model {first} or ./{first}"
        )
    else:
        chosen = first
    if not rest:
        raise UsageError(f"{first} is the model; give images to score after it")
    return chosen, rest


def find_variants(names: Sequence[str]) -> list[Variant]:
    """The exported files of one network that the names stand for, those in fp32 first.

    A name of the zoo without a variant stands for all of its variants that are on this machine.

    Raises:
        ModelError: as in `resolve`, or a file is not an exported model.
        UsageError: the files are different networks.
    """
    paths = list(dict.fromkeys(path for name in names for path in _files_of(name)))
    cards = [read_card(path) for path in paths]
    networks = {(card.architecture, card.spectra, card.aligned) for card in cards}
    if len(networks) > 1:
        raise UsageError("the models are different networks; give the variants of one network")
    twice = Counter(card.precision for card in cards)
    variants = [
        Variant(path, card, card.precision if twice[card.precision] == 1 else f"{card.precision} {path.stem}")
        for path, card in zip(paths, cards, strict=True)
    ]
    return sorted(variants, key=lambda variant: variant.card.precision != "fp32")


def starter_label() -> str:
    """The starter's name, version and variant as text.

    Raises:
        ModelError: there is no starter.
    """
    manifest = _starter().manifest
    return f"{manifest.name} {manifest.version} ({manifest.default})"


def _in_folder(folder: Path) -> Path:
    if (folder / MANIFEST).is_file():
        return registry.Model(Manifest.read(folder / MANIFEST), folder, registry.OWN).path_of_weights()
    files = sorted(folder.glob("*.onnx"))
    if len(files) != 1:
        raise ModelError(f"{folder} has no {MANIFEST} and {len(files)} .onnx files; give the file itself")
    return files[0]


def _starter() -> registry.Model:
    model = registry.find(STARTER)
    if model is None:
        raise ModelError(
            "no starter model is packaged with this version; name a model: an .onnx file (see cmfl train and "
            f"cmfl export), or one of the zoo; {registry.known()}"
        )
    return model


def _files_of(name: str) -> list[Path]:
    """The files of a path, or of a model of the zoo."""
    model, variant = split_variant(name)
    if variant is None and not Path(name).is_file() and (found := registry.find(model)) is not None:
        here = [path for file in found.manifest.weights.values() if (path := found.path_of(file))]
        return here or [found.path_of_weights()]
    return [resolve(name)]
