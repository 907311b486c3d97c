"""What MODEL means: the file of this name, or else a model of the zoo."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from models_zoo import registry
from models_zoo.names import is_model_name, split_variant

from .base.errors import ModelError, UsageError
from .runtime import ModelCard, read_card

STARTER = "starter"


def resolve(model: str | os.PathLike[str] | None) -> Path:
    """The file that a model's name stands for.

    Args:
        model: a path; or `NAME` or `NAME:VARIANT` of the zoo, where no file has this name; None is the
            starter model. A path object is never a name of the zoo.

    Returns:
        The path. Of a model of the zoo the SHA-256 has been checked.

    Raises:
        CmflError: neither a file nor a model of the zoo; or its weights are not here, or damaged.
    """
    if model is None:
        return _starter().path_of_weights()
    text = os.fspath(model)
    path = Path(text)
    if isinstance(model, str) and not path.is_file():
        name, variant = split_variant(text)
        found = registry.find(name)
        if found is not None:
            return found.path_of_weights(variant)
        if is_model_name(name) and not path.exists():
            raise ModelError(f"{text}: no such model file, and no model of the zoo; {registry.known()}")
    if not path.exists():
        raise ModelError(f"{text}: no such model file")
    return path


def card_of(model: str | os.PathLike[str] | None) -> ModelCard:
    """The model card of what `model` stands for, without preparing the model to run.

    Raises:
        CmflError: as of `resolve`; or the file is no exported model.
    """
    return read_card(resolve(model))


def model_and_inputs(arguments: Sequence[str], model: str | None) -> tuple[str | None, list[str]]:
    """Which of the arguments of `cmfl predict [MODEL] INPUT...` is the model.

    The first one is, if it ends in .onnx or is a model of the zoo; `model` (--model) overrides that, and all
    arguments are inputs. Without either the model is None, which stands for the starter.

    Raises:
        CmflError: the first argument is a name of the zoo and a file or folder as well; or it is nothing at
            all; or no input is left.
    """
    if model is not None:
        return model, list(arguments)
    first, rest = arguments[0], list(arguments[1:])
    name, _ = split_variant(first)
    there = Path(first).exists()
    if first.lower().endswith(".onnx"):
        chosen: str | None = first
    elif registry.find(name) is None:
        if is_model_name(name) and not Path(first).suffix and not there:
            raise UsageError(
                f"{first}: neither an image, nor a folder, nor a model of the zoo; {registry.known()}"
            )
        return None, [first, *rest]
    elif there:
        raise UsageError(
            f"{first} is a model of the zoo and also a file or folder here; say which with "
            f"--model {first}, or ./{first}"
        )
    else:
        chosen = first
    if not rest:
        raise UsageError(f"{first} is the model; give images to score after it")
    return chosen, rest


def starter_label() -> str:
    """The starter's name, version and variant, for a person.

    Raises:
        CmflError: there is no starter.
    """
    manifest = _starter().manifest
    return f"{manifest.name} {manifest.version} ({manifest.default})"


def _starter() -> registry.Model:
    model = registry.find(STARTER)
    if model is None:
        raise ModelError(
            "no starter model is packaged with this version, so a model must be named: an .onnx file (see "
            f"cmfl train and cmfl export), or one of the zoo; {registry.known()}"
        )
    return model
