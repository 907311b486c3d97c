"""The files of onnxruntime-web that a page carries, from an installed package or from the npm registry."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from ..base.cache import cache_folder
from ..base.errors import DownloadError, ProviderError, UsageError
from ..base.files import scratch_folder, write_whole
from ..runtime import PACKAGE, PACKAGE_VARIABLE, Trouble, package_folder

# What is fetched where nothing is installed. The integrity is that of the registry.
VERSION = "1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="

_SCRIPT, _GLUE, _WASM = (
    Path("dist", name)
    for name in ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
)
_FILES = (_SCRIPT, _GLUE, _WASM)
_LONGEST_FETCH = 900.0
_SHOWN = 200


class WebAssembly(NamedTuple):
    """onnxruntime-web without its other backends: version, script, what the script imports, and binary."""

    version: str
    script: bytes
    glue: bytes
    wasm: bytes


def find_webassembly(package: str | os.PathLike[str] | None = None) -> WebAssembly:
    """Reads the files of the npm package onnxruntime-web.

    Args:
        package: the folder of the package. None takes what the environment variable CMFL_ONNXRUNTIME_WEB
            names, else node_modules/onnxruntime-web of the working folder or one above it, else a pinned
            version that npm fetches, which is then kept in the cache.

    Raises:
        ProviderError: a folder was named that is not the package, or there is no package and no npm.
        DownloadError: npm fails, or what it fetched is not what was published.
    """
    folder = package_folder(package, _FILES)
    if isinstance(folder, Path):
        version = str(json.loads((folder / "package.json").read_text(encoding="utf-8")).get("version"))
        return WebAssembly(version, *((folder / file).read_bytes() for file in _FILES))
    if package or os.environ.get(PACKAGE_VARIABLE):
        raise ProviderError(f"{folder.cause}; to fix it: {folder.remedy}")
    archive = _fetched(folder)
    with tarfile.open(fileobj=BytesIO(archive)) as packed:
        parts = [packed.extractfile(f"package/{file.as_posix()}") for file in _FILES]
        return WebAssembly(VERSION, *(part.read() for part in parts if part is not None))


def _fetched(trouble: Trouble) -> bytes:
    """The pinned version as npm packs it, checked each time."""
    kept = cache_folder() / f"{PACKAGE}-{VERSION}.tgz"
    with suppress(OSError):
        archive = kept.read_bytes()
        if _integrity(archive) == INTEGRITY:
            return archive
    npm = shutil.which("npm")
    if npm is None:
        raise ProviderError(
            f"{trouble.cause}, and there is no npm to fetch it; to fix it: install Node.js with npm, or give "
            "the package's folder with --runtime"
        )
    archive = _pack(npm)
    if _integrity(archive) != INTEGRITY:
        raise DownloadError(
            f"npm fetched a {PACKAGE} {VERSION} that is not the published one (its SHA-512 differs); look at "
            "the registry that npm is set to (npm config get registry)"
        )
    with suppress(UsageError):  # a cache that cannot be written costs only the next fetch
        write_whole(kept, archive)
    return archive


def _pack(npm: str) -> bytes:
    name = f"{PACKAGE}@{VERSION}"
    with scratch_folder() as folder:
        command = [npm, "pack", name, "--ignore-scripts", "--loglevel=error", f"--pack-destination={folder}"]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=_LONGEST_FETCH, check=False
            )
            said = done.stderr if done.returncode else ""
        except (OSError, subprocess.TimeoutExpired) as error:
            said = str(error)
        archives = list(folder.glob("*.tgz"))
        if said or not archives:
            lines = [line.strip() for line in said.splitlines() if line.strip()]
            reason = next((line for line in lines if "code" not in line.split()[-2:]), "it wrote no file")
            raise DownloadError(
                f"npm cannot fetch {name}: {reason[:_SHOWN]}; to fix it: npm install {PACKAGE}, or give the "
                "package's folder with --runtime"
            )
        return archives[0].read_bytes()


def _integrity(data: bytes) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
