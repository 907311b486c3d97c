"""Rows as a detector gives them, and a report of them, without a model that has to be run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from cmfl_export.detector import Detector
from cmfl_export.images.status import Status
from cmfl_export.predict.report_page import open_report
from cmfl_export.runtime.card import ModelCard
from cmfl_export.runtime.decision import DecisionRule
from cmfl_export.runtime.prediction import Prediction
from tests.cmfl_export import tiny_model

PICTURES = ("heatmap_rgb", "heatmap_spectrum", "spectrum")
CARD = tiny_model.card((*tiny_model.SCORES, *PICTURES))


@dataclass
class Scorer:
    """What a report asks of its Detector."""

    card: ModelCard = CARD
    threshold: float = 0.5
    provider: str = "cpu"
    passed_over: str = ""
    aligned: bool = True
    align: str | None = None
    groups: tuple[str, ...] = ()
    band: tuple[float, float] | None = None
    path: Path = Path("model.onnx")
    sha256: str = hashlib.sha256(b"model").hexdigest()

    @property
    def rule(self) -> DecisionRule:
        return DecisionRule(self.threshold, self.band)


def extras(seed: int, outputs: Iterable[str] = PICTURES) -> dict[str, np.ndarray]:
    """A grey image with a light square, heatmaps with their peak in the upper right, a noisy spectrum."""
    rng = np.random.default_rng(seed)
    image = np.full((224, 224, 3), 40 + seed % 150, np.uint8)
    image[60:120, 60:120] = 230
    heatmap = rng.uniform(0, 0.01, (14, 14)).astype(np.float32)
    heatmap[1, 12] = 0.02 + 0.001 * (seed % 10)
    values = {
        "heatmap_rgb": heatmap,
        "heatmap_spectrum": heatmap,
        "spectrum": rng.uniform(-1, 1, (3, 224, 224)).astype(np.float32),
    }
    return {"image": image} | {name: values[name] for name in outputs}


def row(path: str, p_real: float, *branches: float, threshold: float = 0.5, **more: Any) -> Prediction:
    rgb, spectrum = branches or (None, None)
    decision = "real" if p_real >= threshold else "synthetic"
    return Prediction(path, p_real, rgb, spectrum, decision, **more)


def failure(path: str, status: Status = Status.NOT_AN_IMAGE, error: str = "not an image") -> Prediction:
    return Prediction(path, status=status, error=error)


def many(count: int, pictures: int = 0) -> list[Prediction]:
    """Rows with scores from 1/count up in a mixed order; every seventh's branches disagree."""
    step = next(step for step in range(7, 99) if np.gcd(step, count) == 1)
    rows = []
    for place in range(count):
        rank = place * step % count
        p = (rank + 1) / (count + 1)
        branches = (p, 1 - p) if rank % 7 == 0 else (p, p)
        rows.append(row(f"folder/{rank:05d}.png", p, *branches))
    return [replace(one, extras=extras(place)) if place < pictures else one for place, one in enumerate(rows)]


def write(page: Path, rows: Iterable[Prediction], *, pictures: int = 100, **scorer: Any) -> Path:
    """A report of the rows, as `predict_to` makes it."""
    detector = cast(Detector, Scorer(path=page.with_name("model.onnx"), **scorer))
    with open_report(page, detector, pictures=pictures) as report:
        for one in rows:
            report.add(one)
    return page


def data(page: Path) -> dict[str, Any]:
    """What the page's script reads."""
    found = re.search(r'<script type="application/json" id="report">(.*)</script>', page.read_text())
    assert found is not None
    content: dict[str, Any] = json.loads(found[1])
    return content


def pictures(page: Path) -> dict[int, dict[str, Any]]:
    """The pictures in the page by the number of their row."""
    found = re.findall(r'<script type="application/json" id="picture-(\d+)">(.*)</script>', page.read_text())
    return {int(number): json.loads(text) for number, text in found}
