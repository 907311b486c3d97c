"""The page's place of an image in the domain of its model: that of Python."""

from __future__ import annotations

import base64
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cmfl_export import Detector
from cmfl_export.runtime import Session
from cmfl_export.runtime.domain import fitted
from cmfl_export.web import build_page
from cmfl_export.web.domain_part import domain_part
from tests.cmfl_export import pictured_model, tiny_model
from tests.cmfl_export.web import in_node, inputs
from tests.cmfl_export.web.conftest import LocalPage
from tests.cmfl_export.web.pages import saved

PLACE = """
  const array = (text) => new Uint8Array(Buffer.from(text, 'base64')).buffer;
  const domain = new Domain(job.settings, array(job.part));
  return job.embeddings.map((text) => domain.place(new Float32Array(array(text))));
"""


def embeddings(count: int, size: int, seed: int) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(count, 8)) @ np.random.default_rng(1).normal(size=(8, size))
    return np.asarray(1 / (1 + np.exp(-mixed - random.normal(size=(count, size)))), np.float32)


def with_domain(path: Path, train: NDArray[np.float32], components: int, used: int) -> Path:
    """A model with the output `embedding` and a domain of which a tenth of these embeddings is outside."""
    domain = fitted(train, components, used)
    domain = replace(domain, limit=float(domain.quantiles[90]), about={"images": len(train)})
    return pictured_model.write(path, (*tiny_model.SCORES, "embedding"), domain=domain.to_card())


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose embeddings are the means of the channels."""
    train = np.random.default_rng(0).normal((0.5, 0.4, 0.3), (0.1, 0.1, 0.05), (200, 3))
    return with_domain(tmp_path_factory.mktemp("domain") / "m.onnx", train.astype(np.float32), 1, 3)


def test_the_numbers_of_python(tmp_path: Path) -> None:
    model = with_domain(tmp_path / "m.onnx", embeddings(300, 96, 0), 16, 64)
    settings, part = domain_part(Session.open(model, "onnxruntime"))
    domain = fitted(embeddings(300, 96, 0), 16, 64)
    limit = float(domain.quantiles[90])
    others = [*embeddings(200, 96, 2), *np.linspace(0, 1, 20)[:, None] * np.ones(96), np.full(96, np.nan)]
    others = [np.asarray(other, np.float32) for other in (*others, domain.mean.repeat(2)[:96])]
    job = {
        "settings": settings,
        "part": base64.b64encode(part["domain"]).decode(),
        "embeddings": [base64.b64encode(other.tobytes()).decode() for other in others],
    }
    found, _ = in_node.run(["domain.js"], PLACE, job, [], tmp_path)
    distances = domain.distance(np.stack(others))
    expected = [domain.percentile(float(distance)) for distance in distances]
    assert {value < 100 for value in expected} == {True, False}
    np.testing.assert_allclose([row["domain"] for row in found], expected, rtol=0, atol=1e-3)
    assert [row["out_of_domain"] for row in found] == [not distance <= limit for distance in distances]


def test_a_model_without_it_has_no_part(pictured: Path, placed: Path, tmp_path: Path) -> None:
    assert domain_part(Session.open(pictured, "onnxruntime")) == (None, {})
    domain = Session.open(placed, "onnxruntime").card.domain
    no_output = pictured_model.write(tmp_path / "m.onnx", domain=domain)
    assert domain_part(Session.open(no_output, "onnxruntime")) == (None, {})


def test_rows_cards_and_csv(local: LocalPage, placed: Path, package: Path, tmp_path: Path) -> None:
    colours = {"a.png": (128, 100, 77), "b.png": (150, 110, 70), "c.png": (20, 200, 30), "d.png": (0, 0, 0)}
    for name, colour in colours.items():
        Image.new("RGB", (224, 224), colour).save(tmp_path / name)
    files = [tmp_path / name for name in colours] + inputs.write({"e.png": b"no image"}, tmp_path)
    local.open(build_page(placed, tmp_path / "page.html", package).path)
    assert local.trouble == ""
    expected = Detector(placed, provider="onnxruntime", align=None).predict(list(files))
    places = [(row.domain, row.out_of_domain) for row in expected]
    assert {outside for _, outside in places} == {True, False, None}
    local.give(files)
    local.until(lambda: local.browser.one("#count-images").text == "5")
    records = list(csv.DictReader(saved(local.browser, tmp_path).decode().splitlines()))
    assert [(record["domain"], record["out_of_domain"]) for record in records] == [
        ("" if domain is None else str(domain), "" if outside is None else str(outside).lower())
        for domain, outside in places
    ]
    outside = [row.path for row in expected if row.out_of_domain]
    assert local.browser.one("#count-outside").text == str(len(outside))
    marked = local.browser.run("""
      return Array.from(document.querySelectorAll("#cards .card"))
        .filter((card) => card.textContent.includes("Out of domain")).map((card) => card.row.name);
    """)
    assert sorted(marked) == [Path(path).name for path in outside]
    local.browser.one("#outside").click()
    assert len(local.browser.all("#cards .card")) == len(outside)
    local.browser.one("#cards button").click()
    assert " domain 100" in local.browser.one("#detail-place").text
    assert local.browser.complaints() == []
    assert local.browser.requests() == []


def test_a_page_without_a_domain_says_nothing_of_it(local: LocalPage, page: Path, tmp_path: Path) -> None:
    Image.new("RGB", (224, 224), "grey").save(tmp_path / "a.png")
    local.open(page)
    (row,) = local.rows([tmp_path / "a.png"])
    assert "domain" not in row
    local.until(lambda: local.browser.one("#count-images").text == "1")
    assert not local.browser.one("#outside-box").is_displayed()
    assert not any(place.is_displayed() for place in local.browser.all(".of-domain"))
    assert b"domain" not in saved(local.browser, tmp_path)
