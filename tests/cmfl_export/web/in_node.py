"""The page's scripts in Node, for comparison with Python."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cmfl_export

PAGE = Path(cmfl_export.__file__).parent / "web" / "page"

# The scripts are loaded as a page loads them: one after the other, into one global scope.
_START = """
const fs = require('node:fs');
const vm = require('node:vm');
const [jobFile, pixelFile, outFile, ...scripts] = process.argv.slice(1);
for (const script of scripts) vm.runInThisContext(fs.readFileSync(script, 'utf8'), script);
const job = JSON.parse(fs.readFileSync(jobFile, 'utf8'));
const bytes = new Uint8Array(fs.readFileSync(pixelFile));
const parts = [];
let place = 0;
// The next picture of the job.
function next(width, height) {
  place += 3 * width * height;
  return bytes.subarray(place - 3 * width * height, place);
}
async function main() {
  %s
}
main().then((answer) => {
  fs.writeFileSync(outFile, Buffer.concat(parts));
  process.stdout.write(JSON.stringify(answer ?? null));
});
"""


def run(
    scripts: Sequence[str], code: str, job: Any, pictures: Sequence[np.ndarray], folder: Path
) -> tuple[Any, bytes]:
    """Runs JavaScript after the page's scripts.

    Args:
        scripts: names of the scripts in page/, in their order.
        code: the body of an async function. It has `job` and `next(width, height)`, the next of the pictures;
            it may push Uint8Arrays on `parts`.
        job: its argument, as JSON.
        pictures: uint8 [height, width, 3].
        folder: for the files between the two.

    Returns:
        What the code returned, and the bytes of `parts`.
    """
    if shutil.which("node") is None:
        pytest.skip("needs Node.js")
    files = [folder / name for name in ("job.json", "pixels", "out")]
    files[0].write_text(json.dumps(job))
    files[1].write_bytes(b"".join(np.ascontiguousarray(picture).tobytes() for picture in pictures))
    command = ["node", "-e", _START % code, "--", *map(str, files), *(str(PAGE / name) for name in scripts)]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout), files[2].read_bytes()
