"""cmfl predict, as a user runs it: what is printed where, inputs, formats, interruptions."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmfl_export.predict import read_rows
from tests.cmfl_export import tiny_model, videos
from tests.cmfl_export.command import CMFL, ENVIRONMENT, cmfl, the_error

# Starts a program that can be interrupted even where the tests run in the background of a shell.
INTERRUPTIBLE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


class TestPredict:
    def test_rows_on_standard_output_and_the_rest_on_standard_error(self, tiny: Path, faces: Path) -> None:
        result = cmfl("predict", tiny, faces, "--provider", "cpu", "--align", "none")
        # One input could not be scored.
        assert result.returncode == 1
        header, *rows = result.stdout.splitlines()
        assert header == "path,p_real,p_real_rgb,p_real_spectrum,decision,status,error"
        assert rows == [
            f"{faces}/a.png,0.2,0.2,0.2,synthetic,ok,",
            f"{faces}/b.png,0.4,0.4,0.4,synthetic,ok,",
            f"{faces}/bad.jpg,,,,,not_an_image,not an image of a known format",
            f"{faces}/sub folder/c.png,0.8,0.8,0.8,real,ok,",
        ]
        first, second = result.stderr.splitlines()
        assert first == "4 images: 1 real, 2 synthetic, 1 failed (1 not_an_image)"
        assert re.fullmatch(r"\d+\.\d s, \d+\.\d images/s on cpu", second)

    def test_exit_code_zero_when_every_input_has_a_score(self, tiny: Path, faces: Path) -> None:
        result = cmfl("predict", tiny, faces / "a.png", faces / "b.png", "--provider", "cpu")
        assert result.returncode == 0

    def test_a_video(self, tiny: Path, tmp_path: Path) -> None:
        clip = videos.write(tmp_path / "clip.mp4", videos.plain([200] * 50))
        result = cmfl("predict", tiny, clip, "--every", "500ms", "--align", "none", "--provider", "cpu")
        assert result.returncode == 0
        paths = [line.partition(",")[0] for line in result.stdout.splitlines()[1:]]
        assert paths == [f"{clip}::{half}s" for half in ("0.000", "0.480", "1.000", "1.480")] + [str(clip)]
        assert result.stderr.startswith("1 video of 4 frames: 1 real, 0 synthetic, 0 failed\n")
        result = cmfl("predict", tiny, clip, "--every", "soon")
        assert "'soon' is no interval" in the_error(result)

    def test_not_recursive(self, tiny: Path, faces: Path) -> None:
        result = cmfl("predict", tiny, faces, "--no-recursive", "--provider", "cpu")
        assert "c.png" not in result.stdout

    @pytest.mark.parametrize("format", ["csv", "jsonl", "json", "parquet"])
    def test_formats(self, tiny: Path, faces: Path, tmp_path: Path, format: str) -> None:
        out = tmp_path / "new" / f"rows.{format}"
        result = cmfl("predict", tiny, faces, "-o", out, "--provider", "cpu")
        assert result.returncode == 1
        assert result.stdout == ""
        assert result.stderr.startswith("4 images: ")
        if format == "parquet":
            import pyarrow.parquet as pq

            scores = pq.read_table(out)["p_real"].to_pylist()
        else:
            scores = [row.p_real for row in read_rows(out)]
        expected = [0.2, 0.4, None, 0.8]
        assert [score and float(np.float32(score)) for score in scores] == [
            score and float(np.float32(score)) for score in expected
        ]

    def test_format_on_standard_output(self, tiny: Path, faces: Path) -> None:
        result = cmfl("predict", tiny, faces / "a.png", "--format", "json", "--provider", "cpu")
        (row,) = json.loads(result.stdout)
        assert (row["p_real"], row["decision"]) == (0.2, "synthetic")

    def test_threshold(self, tiny: Path, faces: Path) -> None:
        result = cmfl("predict", tiny, faces, "--threshold", "0.3", "--provider", "cpu")
        decisions = Counter(line.split(",")[4] for line in result.stdout.splitlines()[1:])
        assert decisions == {"synthetic": 1, "real": 2, "": 1}

    def test_paths_from_standard_input(self, tiny: Path, faces: Path) -> None:
        text = f"{faces}/sub folder/c.png\n{faces}/absent.png\n{faces}/a.png\n"
        result = cmfl("predict", tiny, "-", "--provider", "cpu", "--align", "none", text=text)
        assert result.returncode == 1
        statuses = [line.split(",")[-2] for line in result.stdout.splitlines()[1:]]
        assert statuses == ["ok", "not_found", "ok"]

    def test_paths_with_newlines_from_standard_input(self, tiny: Path, tmp_path: Path) -> None:
        name = tmp_path / "two\nlines.png"
        Image.new("RGB", (224, 224), "white").save(name)
        out = tmp_path / "rows.csv"
        result = cmfl(
            "predict", tiny, "-", "--null", "-o", out, "--provider", "cpu", text=f"{name}\0{name}\0"
        )
        assert result.returncode == 0
        assert [(row.path, row.p_real) for row in read_rows(out)] == [(str(name), 1.0)] * 2

    def test_resume(self, tiny: Path, faces: Path, tmp_path: Path) -> None:
        out = tmp_path / "rows.csv"
        cmfl("predict", tiny, faces / "a.png", faces / "b.png", "-o", out, "--provider", "cpu")
        whole = out.read_bytes()
        out.write_bytes(whole[:-3])
        result = cmfl("predict", tiny, faces, "-o", out, "--resume", "--provider", "cpu")
        assert "1 skipped: they already have their rows" in result.stderr
        assert out.read_bytes().startswith(whole)
        assert [Path(row.path).name for row in read_rows(out)] == ["a.png", "b.png", "bad.jpg", "c.png"]

    def test_a_provider_that_does_not_load(self, tiny: Path, faces: Path, tmp_path: Path) -> None:
        # Hides the GPU of a machine that has one.
        result = cmfl("predict", tiny, faces, "--provider", "cuda", CUDA_VISIBLE_DEVICES="-1")
        assert re.fullmatch(r"cmfl: cuda does not load: .{10,}; to fix it: .{10,}", the_error(result))

    def test_auto_then_says_where_it_runs(self, tiny: Path, faces: Path) -> None:
        result = cmfl("predict", tiny, faces / "a.png", CUDA_VISIBLE_DEVICES="-1")
        assert result.returncode == 0
        assert "images/s on cpu" in result.stderr

    def test_into_head(self, tiny: Path, faces: Path) -> None:
        many = [str(faces / "a.png")] * 2000
        pipe = 'set -o pipefail; "$@" | head -1'
        options = ("--provider", "cpu", "--align", "none")
        command = ["bash", "-c", pipe, "bash", CMFL, "predict", str(tiny), *many, *options]
        result = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
        assert result.returncode == 0
        assert result.stdout.startswith("path,")
        # The summary says how far it came; nothing says "Broken pipe".
        assert re.match(r"\d+ images: 0 real, \d+ synthetic, 0 failed\n", result.stderr)
        assert len(result.stderr.splitlines()) == 2
        assert int(result.stderr.split()[0]) < 2000

    def test_interrupt(self, faces: Path, tmp_path: Path) -> None:
        slow = tiny_model.write(tmp_path / "slow.onnx", burden=8)
        many = [str(faces / "a.png")] * 4000
        options = ("--provider", "cpu", "--batch-size", "1", "--align", "none")
        command = [CMFL, "predict", str(slow), *many, *options]
        process = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTIBLE, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        assert process.stdout is not None
        rows = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=60)
        assert process.returncode == 130
        assert said == "cmfl: interrupted\n"
        rows += rest.splitlines(keepends=True)
        assert len(rows) < 4000
        # What is there is whole.
        assert set(rows[1:]) == {f"{faces}/a.png,0.2,0.2,0.2,synthetic,ok,\n"}
