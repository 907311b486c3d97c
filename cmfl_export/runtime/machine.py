"""Describes the machine and the libraries that the figures come from."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from ..base.cpu import instruction_sets, usable_cores
from ..base.versions import library_versions
from . import providers

_PACKAGES = ("cmfl-export", "numpy", "pillow", "onnxruntime", "onnxruntime-gpu", "openvino", "torch")


def describe() -> dict[str, Any]:
    """The processor, its instruction sets, cores, load, GPU with driver, and versions, as JSON values."""
    return {
        "cpu": _processor(),
        "instruction_sets": list(instruction_sets()),
        "cores": usable_cores(),
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "gpu": providers.nvidia_driver() or None,
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version()} | library_versions(_PACKAGES),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
