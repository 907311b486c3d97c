"""What the packages give to the outside."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil

import pytest

import cmfl_export
from cmfl_export import CmflError
from cmfl_export.base.options import DetectorOptions, DetectorSettings

PACKAGES = [
    "cmfl_export",
    *(f"cmfl_export.{module.name}" for module in pkgutil.iter_modules(cmfl_export.__path__) if module.ispkg),
]


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_is_there(name: str) -> None:
    package = importlib.import_module(name)
    for public in getattr(package, "__all__", ()):
        assert getattr(package, public) is not None


def test_a_caller_can_branch_on_each_error() -> None:
    names = [name for name in cmfl_export.__all__ if name.endswith("Error")]
    assert len(names) == 8
    assert all(issubclass(getattr(cmfl_export, name), CmflError) for name in names)


def test_settings_are_the_fields_of_the_options() -> None:
    fields = {field.name for field in dataclasses.fields(DetectorOptions)}
    assert set(DetectorSettings.__annotations__) == fields


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"provider": "gpu"}, "unknown provider 'gpu'; choose one of: auto, cpu"),
        ({"threads": 0}, "threads must be at least 1, not 0"),
        ({"batch_size": 0}, "batch size must be at least 1, not 0"),
        ({"threshold": float("nan")}, "the threshold must be within 0 and 1, not nan"),
        ({"align": "most"}, "align must be 'auto', 'all' or 'largest', not 'most'"),
        ({"align": "all", "aligned": False}, "it excludes aligned=False"),
    ],
)
def test_options_are_checked_when_they_are_made(settings: DetectorSettings, message: str) -> None:
    with pytest.raises(cmfl_export.UsageError, match=message):
        DetectorOptions.of(None, settings)


def test_options_are_replaced_by_settings() -> None:
    options = DetectorOptions(threads=2, align=True)
    assert options.align == "largest"
    assert DetectorOptions.of(options, {"align": False}) == DetectorOptions(threads=2, align=None)
