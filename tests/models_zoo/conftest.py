"""What the tests of the zoo share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models_zoo.folders import model_folder
from tests.models_zoo.server import Server, serving


@pytest.fixture
def mirror(zoo: Path, tmp_path: Path) -> Path:
    """A folder laid out like models_zoo/, with the model `mine` in two variants."""
    model_folder(tmp_path / "mirror", "mine", int8=True)
    return tmp_path / "mirror"


@pytest.fixture
def server(mirror: Path) -> Iterator[Server]:
    """The mirror on the web."""
    with serving(mirror) as running:
        yield running
