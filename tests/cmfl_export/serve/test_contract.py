"""The server against its own OpenAPI document: requests that follow it, and some that do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

from cmfl_export.serve.app import build
from tests.cmfl_export import pictured_model
from tests.cmfl_export.serve.servers import service

PREDICT, EXAMPLES = "/v1/predict", 40


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    # The requests name another host than loopback.
    served = service(pictured_model.write(tmp_path_factory.mktemp("model") / "m.onnx"), host="0.0.0.0")
    served.ready = True
    yield schemathesis.openapi.from_asgi("/openapi.json", build(served))
    served.close()


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        (PREDICT, GenerationMode.POSITIVE),
        (PREDICT, GenerationMode.NEGATIVE),
        *(
            (path, GenerationMode.POSITIVE)
            for path in ("/v1/model", "/openapi.json", "/metrics", "/livez", "/readyz")
        ),
    ],
    ids=str,
)
def test_answers_are_as_documented(document: Any, path: str, mode: GenerationMode) -> None:
    operation = document[path]["POST" if path == PREDICT else "GET"]
    # Any bytes are an image to the document, so that what is wrong with them is for the row to say.
    excluded = [schemathesis.checks.CHECKS.get_one("negative_data_rejection")]
    seen = []

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        # A failure is shown as it was found.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        seen.append(case.call_and_validate(excluded_checks=excluded).status_code)

    check()
    # It is shown that requests were refused, and that none of those that follow the document were.
    codes = set(seen)
    assert 200 in codes
    assert 400 in codes if mode == GenerationMode.NEGATIVE else codes == {200}
