"""The report of an evaluation: what its files and cards say stays text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cmfl_export.base.text import visible
from cmfl_export.evaluate import report_page
from cmfl_export.evaluate.outcome import Candidate, Evaluation
from cmfl_export.evaluate.run import evaluate
from cmfl_export.images.status import Status
from tests.cmfl_export import graded, tiny_model
from tests.cmfl_export.report.test_html import HOSTILE, Elements


@pytest.fixture(scope="module")
def measured(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Two candidates with a degradation and a failure, the page without its plots."""
    root = tmp_path_factory.mktemp("graded")
    split = graded.make(root)
    (root / "gan_x/10.png").unlink()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(report_page, "draw", lambda _: {})
        return evaluate(
            [tiny, tiny], root / "out", protocol=split, data_root=root, samples=20, degradations=["blur:2"]
        )


def hostile(candidate: Candidate, name: str) -> Candidate:
    """The candidate with the name wherever a file or a card can bring one."""
    rows = [
        scored._replace(
            sample=replace(scored.sample, filename=name, attack_type=scored.sample.attack_type and name),
            row=replace(scored.row, error=name) if scored.row.status is not Status.OK else scored.row,
        )
        for scored in candidate.rows
    ]
    a = candidate.assessment
    assessment = replace(
        a,
        name=name,
        threshold_source=name,
        attacks=[replace(group, name=name) for group in a.attacks],
        sources=[replace(group, name=name) for group in a.sources],
        failed=[scored for scored in rows if scored.row.status is not Status.OK],
    )
    card = replace(tiny_model.card(), name=name, data=name, threshold_source=name, intended_use=name)
    return replace(candidate, file=name, provider=name, card=card, rows=rows, assessment=assessment)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("candidates", [1, 2])
def test_names_and_cards_stay_text(measured: Evaluation, name: str, candidates: int) -> None:
    innocent = replace(measured, candidates=measured.candidates[:candidates], warnings=["a warning"])
    changed = replace(
        innocent,
        split=replace(measured.split, name=name, path=name),
        candidates=[hostile(candidate, name) for candidate in innocent.candidates],
        settings=measured.settings | {"command": name},
        warnings=[name],
    )
    root = Path("nowhere")
    parsed = Elements(report_page.page(changed, {}, root))
    assert parsed.tags() == Elements(report_page.page(innocent, {}, root)).tags()
    assert "script" not in parsed.tags()
    # At least the title, the heading, the split, four facts of the candidate, and its errors.
    assert "".join(parsed.text).count(visible(name)) > 10 * candidates
