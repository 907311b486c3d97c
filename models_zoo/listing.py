"""Prints the models of the zoo, and the facts of one model."""

from __future__ import annotations

from cmfl_export.base.errors import CmflError
from cmfl_export.base.tables import aligned
from cmfl_export.metrics import LABELS, Interval, figure

from . import hub_cache, registry
from .manifest import CARD
from .pull import mirrored


def table() -> list[str]:
    """Returns all models, one per line, with faulty ones, those of the mirror and those of a hub."""
    rows = [["name", "version", "variants", "from", "weights", "description"]]
    names = registry.names()
    for name in names:
        try:
            model = registry.get(name)
        except CmflError as error:
            rows.append([name, "-", "-", "-", "-", f"cannot be used: {error}"])
            continue
        manifest = model.manifest
        weights = "here" if model.path_of(manifest.weights_of(None)) else f"cmfl zoo pull {name}"
        rows.append(
            [
                name,
                manifest.version,
                ", ".join(manifest.weights),
                model.place,
                weights,
                manifest.description,
            ]
        )
    notes = []
    try:
        others = [name for name in mirrored() if name not in names]
    except CmflError as error:
        others, notes = [], [f"the mirror's list of models cannot be read: {error}"]
    rows += [[name, "-", "-", "mirror", f"cmfl zoo pull {name}", ""] for name in others]
    rows += [[name, "-", "-", "hub", "here", ""] for name in hub_cache.names()]
    if len(rows) == 1:
        return ["no models yet: train one and add it with cmfl zoo add, or pull one from a mirror", *notes]
    return [*aligned(rows, numbers=()), *notes]


def facts(name: str) -> list[str]:
    """Returns the manifest of a model as text, and where its files are.

    Raises:
        ModelError: no such model, or a faulty manifest.
    """
    model = hub_cache.get(name)
    manifest = model.manifest
    items = [
        ["name", manifest.name],
        ["version", manifest.version],
        ["description", manifest.description],
        ["licence", manifest.licence],
        ["from", model.place],
        ["card", str(model.folder / CARD)],
    ]
    weights = [["weights", "threshold", "MB", "SHA-256", "file"]]
    for variant, file in manifest.weights.items():
        where = model.path_of(file) or f"not here: cmfl zoo pull {name}:{variant}"
        mark = " (default)" if variant == manifest.default and len(manifest.weights) > 1 else ""
        size = f"{file.size / 1e6:.1f}"
        weights.append([variant + mark, f"{file.threshold:.4g}", size, file.sha256[:12], str(where)])
    lines = [*aligned(items, numbers=()), "", *aligned(weights, numbers=(1, 2))]
    for metrics in manifest.metrics:
        lines += [
            "",
            f"{metrics.split} ({metrics.variant}): {metrics.real} real, {metrics.synthetic} synthetic",
        ]
        lines += aligned(
            [
                [LABELS.get(key, key), figure(key, Interval(*values))]
                for key, values in metrics.figures.items()
            ]
        )
    return lines
