"""The server against its own OpenAPI document: requests that follow it, and some that do not."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode

from cmfl_export.serve.app import build
from tests.cmfl_export import pictured_model
from tests.cmfl_export.serve.servers import service

EXAMPLES = 60
PATHS = ("/v1/predict", "/v1/model", "/openapi.json", "/metrics", "/livez", "/readyz")


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> Any:
    served = service(pictured_model.write(tmp_path_factory.mktemp("model") / "m.onnx"), host="0.0.0.0")
    served.ready = True
    yield schemathesis.openapi.from_asgi("/openapi.json", build(served))
    served.close()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("path", PATHS)
def test_answers_are_as_documented(operations: Any, path: str, mode: GenerationMode) -> None:
    operation = operations[path]["POST" if path == "/v1/predict" else "GET"]

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def check(case: Case) -> None:
        case.call_and_validate(base_url="http://localhost")

    check()
