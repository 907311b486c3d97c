"""The wheel, installed without extras into a new environment, predicts; so it does without CUDA's runtime."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import picture

ROOT = Path(__file__).parents[1]
PIP = (sys.executable, "-m", "pip")


@pytest.fixture(scope="module")
def cmfl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment that holds the wheel and what it needs, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([*PIP, "wheel", "--quiet", "--no-deps", ROOT, "-w", folder], check=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True, timeout=120)
    scripts = environment / ("Scripts" if sys.platform == "win32" else "bin")
    # What is never imported is not compiled.
    done = subprocess.run(
        [*PIP, "--python", scripts / "python", "install", "--quiet", "--no-compile", wheel],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode and not os.environ.get("CMFL_REQUIRE_INDEX"):
        pytest.skip(f"the packages that the wheel needs cannot be installed here: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    return scripts / "cmfl"


def test_predicts_with_the_starter(cmfl: Path, tmp_path: Path) -> None:
    predict(cmfl, tmp_path)


def test_says_which_extra_is_missing(cmfl: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [cmfl, "train", "-o", "run"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 2
    assert "pip install 'cmfl-export[train]'" in done.stderr


def test_has_the_script_for_node(cmfl: Path, tmp_path: Path) -> None:
    code = "from cmfl_export.runtime.web import SCRIPT; print(SCRIPT.is_file(), SCRIPT)"
    done = subprocess.run(
        [cmfl.with_name("python"), "-I", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found, path = done.stdout.strip().split(" ", 1)
    assert found == "True"
    assert "site-packages" in path


def test_has_the_files_of_the_page(cmfl: Path, tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "package.json").write_text('{"name": "onnxruntime-web", "version": "1.2.3"}')
    for name in ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        (tmp_path / "dist" / name).touch()
    done = subprocess.run(
        [cmfl, "web", "starter:int8", "-o", "page.html", "--runtime", "."],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "It does not look for faces: " in done.stdout
    assert "class LocalDetector" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_without_cuda_s_runtime(cmfl: Path, tmp_path: Path) -> None:
    """Comes after the others: it exchanges the runtime of the environment."""
    pip = [*PIP, "--python", str(cmfl.with_name("python")), "--quiet"]
    subprocess.run([*pip, "uninstall", "-y", "onnxruntime-gpu", "onnxruntime"], check=True, timeout=120)
    wanted = ["--no-compile", "-r", str(ROOT / "requirements-cpu.txt")]
    subprocess.run([*pip, "install", *wanted], check=True, timeout=300)
    predict(cmfl, tmp_path)
    doctor = subprocess.run([cmfl, "doctor"], capture_output=True, text=True, check=False, timeout=120)
    assert re.search(r"^ +onnxruntime +onnxruntime \d[\d.]+$", doctor.stdout, re.MULTILINE), doctor.stdout
    assert "runs on cpu" in doctor.stdout


def test_the_packages_without_cuda_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [text.partition(";")[0].strip() for text in project["dependencies"]]
    lines = (ROOT / "requirements-cpu.txt").read_text().splitlines()
    given = [line for line in lines if not line.startswith("#")]
    assert given == [text for text in wanted if not text.startswith("onnxruntime-gpu")]


def predict(cmfl: Path, tmp_path: Path) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [cmfl, "predict", "a.png", "--provider", "cpu"],
        cwd=tmp_path,
        env=environment | {"CMFL_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    header, row = done.stdout.splitlines()
    assert header.startswith("path,p_real,p_real_rgb,p_real_spectrum,")
    assert row.startswith("a.png,0.")
    assert "scored with starter" in done.stderr
