"""Writes the facts in card.md, a model card for Hugging Face; its author writes the prose."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from cmfl_export.metrics import LABELS
from cmfl_export.runtime import ModelCard

from .manifest import Metrics

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
# Licences with an identifier of Hugging Face; others get a name in lower case with hyphens.
_LICENCES = {"apache-2.0", "mit", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"}
_FRONT_MATTER = re.compile(r"\A---\n.*?^---\n", re.DOTALL | re.MULTILINE)
_FIGURES = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)


def draft(card: ModelCard, description: str) -> str:
    """Returns a card.md without front matter, with the facts of the exported file's card."""
    return (
        f"# {card.name}\n\n{description}\n\n"
        f"## Use\n\n{card.intended_use}\n\n"
        f"## Data\n\n{card.data or 'Not stated.'}\n\n"
        f"## Training\n\n`cmfl train --config recipe.toml` reproduces it.\n\n"
        f"## Figures\n\n{BEGIN}\n{END}\n"
    )


def filled(text: str, card: ModelCard, metrics: Sequence[Metrics], tables: str | None) -> str:
    """Returns the card.md with new front matter and, if `tables` is given, new figures between the markers.

    All else stays as it is.
    """
    body = _FRONT_MATTER.sub("", text.replace("\r\n", "\n"))
    if tables is not None:
        body = _FIGURES.sub(lambda _: f"{BEGIN}\n{tables}\n{END}", body)
    return front_matter(card, metrics) + body


def front_matter(card: ModelCard, metrics: Sequence[Metrics]) -> str:
    """Returns the front matter that Hugging Face reads, with the results as its model index."""
    licence = card.licence.lower()
    lines = ["---"]
    lines += (
        [f"license: {licence}"]
        if licence in _LICENCES
        else ["license: other", f"license_name: {_yaml(re.sub(r'[^a-z0-9.]+', '-', licence).strip('-'))}"]
    )
    lines += [
        "library_name: onnx",
        "pipeline_tag: image-classification",
        "tags: [deepfake-detection, synthetic-face-detection, presentation-attack-detection, onnx]",
        "model-index:",
        f"- name: {_yaml(card.name)}",
        "  results:" if metrics else "  results: []",
    ]
    for one in metrics:
        lines += [
            "  - task: {type: image-classification, name: synthetic face detection}",
            f"    dataset: {{type: {_yaml(one.split)}, name: {_yaml(f'{one.split} ({one.variant})')}}}",
            "    metrics:",
        ]
        for key, (value, low, high) in one.figures.items():
            label = f"{LABELS.get(key, key)}, 95 % interval {low:.4f} to {high:.4f}"
            lines.append(f"    - {{type: {key}, name: {_yaml(label)}, value: {value:.4f}}}")
    return "\n".join([*lines, "---", ""])


def _yaml(text: str) -> str:
    """Returns a quoted text, which YAML reads as JSON does."""
    return json.dumps(text, ensure_ascii=False)
