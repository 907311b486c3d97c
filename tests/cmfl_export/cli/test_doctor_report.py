"""cmfl doctor: every part is named, providers are tried, and problems come with what to do."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from typing import Any

import pytest

from cmfl_export.base.errors import CmflError
from cmfl_export.cli import doctor_report
from cmfl_export.runtime import providers

BROKEN = providers.Trouble("libcublasLt.so.13: cannot open", "pip install 'cmfl-export[cuda]'")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without GPU and driver, on which the CPU alone works."""
    monkeypatch.setattr(providers, "nvidia_driver", lambda: "")
    monkeypatch.setattr(providers, "conflict", lambda: None)
    monkeypatch.setattr(providers, "trouble", lambda name: None if name == "cpu" else BROKEN)
    return monkeypatch


def row(report: doctor_report.Report, name: str) -> doctor_report.Row:
    (found,) = [row for row in report.rows if row.name == name]
    return found


def test_here_it_names_every_part_and_agrees_with_the_providers() -> None:
    report = doctor_report.diagnose()
    names = [row.name for row in report.rows]
    for name in ("python", "cmfl-export", "onnxruntime", "numpy", "pillow", "torch", "cpu", "nvidia driver"):
        assert name in names
    assert "cpu" in report.loads
    for name in ("cuda", "tensorrt"):
        assert (name in report.loads) == (providers.trouble(name) is None)
    assert "\n".join(report.lines()).count("loads") >= 1
    assert all("\n" not in line for line in report.lines())


def test_no_gpu_is_nothing_to_repair(machine: pytest.MonkeyPatch) -> None:
    report = doctor_report.diagnose()
    assert report.ok
    assert row(report, "provider cuda").state == "note"
    assert report.loads == ("cpu",)
    assert report.lines()[-1] == "0 problems; --provider auto runs on cpu"


def test_a_gpu_that_cannot_be_used_is_a_problem_with_cause_and_remedy(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(providers, "nvidia_driver", lambda: "NVIDIA H100, 580.1")
    report = doctor_report.diagnose()
    assert not report.ok
    text = "\n".join(report.lines())
    assert BROKEN.cause in text
    assert BROKEN.remedy in text
    assert "NVIDIA H100" in text
    assert report.lines()[-1].startswith("1 problem;")


def test_a_gpu_that_works_is_what_auto_takes(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(providers, "trouble", lambda _name: None)
    report = doctor_report.diagnose()
    assert report.loads == ("tensorrt", "cuda", "cpu")
    assert report.lines()[-1].endswith("runs on cuda")


def test_two_distributions_of_onnxruntime_are_a_problem(machine: pytest.MonkeyPatch) -> None:
    clash = providers.Trouble("both are installed", "uninstall both")
    machine.setattr(providers, "installed", lambda: {"onnxruntime": "1.2", "onnxruntime-gpu": "1.3"})
    machine.setattr(providers, "conflict", lambda: clash)
    report = doctor_report.diagnose()
    assert not report.ok
    found = row(report, "onnxruntime")
    assert "onnxruntime 1.2, onnxruntime-gpu 1.3" in found.value
    assert found.remedy == "uninstall both"


def test_a_missing_onnxruntime_is_reported_and_not_raised(machine: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> None:
        raise CmflError("onnxruntime cannot be imported")

    machine.setattr(providers, "load_onnxruntime", missing)
    machine.setattr(providers, "installed", dict)
    report = doctor_report.diagnose()
    assert not report.ok
    assert report.loads == ()
    assert report.lines()[-1].endswith("no model can run here")


def test_torch_is_looked_up_and_not_imported(machine: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "torch":
            raise PackageNotFoundError(name)
        return "1"

    machine.setattr(doctor_report, "version", version)
    report = doctor_report.diagnose()
    assert report.ok
    assert "cmfl-export[train]" in row(report, "torch").value
    code = (
        "import sys; from cmfl_export.cli.doctor_report import diagnose; "
        "diagnose(); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
