"""What the page decodes itself, in Node, and what it refuses where a browser changes pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cmfl_export.images import ImageError, foreign_table, open_rgb
from tests.cmfl_export.pictures import encoded, noise
from tests.cmfl_export.web import in_node

SCRIPTS = ["orientation.js", "png.js", "jpeg.js", "decode.js"]
DECODE = """
  const limits = { most_pixels: 1000000, foreign: job.foreign };
  const answers = [];
  for (const [name, text] of Object.entries(job.files)) {
    try {
      const { width, height, rgb } = await decode(Buffer.from(text, "hex"), name, limits, { exact: false });
      parts.push(Buffer.from(rgb));
      answers.push(`${width} x ${height}`);
    } catch (error) {
      answers.push(`${error.status}: ${error.message}`);
    }
  }
  return answers;
"""


def decoded(files: dict[str, bytes], folder: Path) -> tuple[list[str], bytes]:
    job: dict[str, Any] = {
        "foreign": foreign_table(),
        "files": {name: data.hex() for name, data in files.items()},
    }
    answers, pixels = in_node.run(SCRIPTS, DECODE, job, [], folder)
    return answers, pixels


def test_only_png_is_scored_where_a_browser_changes_pixels(tmp_path: Path) -> None:
    picture = noise(31, 20)
    files = {name: encoded(picture, name) for name in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF")}
    answers, pixels = decoded(files, tmp_path)
    assert answers[0] == "31 x 20"
    assert np.array_equal(np.frombuffer(pixels, np.uint8).reshape(20, 31, 3), np.asarray(picture))
    assert set(answers[1:]) == {
        "unsupported: this browser changes the pixels that a page reads, as a protection against "
        "fingerprinting; save it as PNG"
    }


def test_every_cut_and_changed_png_has_the_status_of_python(tmp_path: Path) -> None:
    whole = encoded(noise(9, 7), "PNG")
    files = {f"cut {place}": whole[:place] for place in range(len(whole) - 12)}
    for place in range(len(whole) - 12):
        changed = bytearray(whole)
        changed[place] ^= 0x41
        files[f"changed {place}"] = bytes(changed)
    answers, _ = decoded(files, tmp_path)
    found = {name: answer.partition(":")[0] for name, answer in zip(files, answers, strict=True)}
    assert found == {name: status_of(data) for name, data in files.items()}


def status_of(data: bytes) -> str:
    try:
        return " x ".join(map(str, open_rgb(data, max_pixels=1_000_000).size))
    except ImageError as error:
        return error.status.value
