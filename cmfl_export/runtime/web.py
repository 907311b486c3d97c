"""A model on onnxruntime-web, the WebAssembly that runs it in browsers, here in a process of Node."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ProviderError
from .node import NodeProcess
from .providers import Trouble
from .session import Session, read_checked

PACKAGE_VARIABLE = "CMFL_ONNXRUNTIME_WEB"
PACKAGE = "onnxruntime-web"
PROVIDER = "web"
_BUILD = Path("dist", "ort.wasm.min.mjs")  # what web_session.mjs imports
_INSTALL = f"npm install {PACKAGE}"
SCRIPT = Path(__file__).with_name("web_session.mjs")


class WebModel:
    """An exported file on WebAssembly, with one thread. Safe to share between threads, which take turns.

    Attributes:
        concurrent_batches: 1.
        version: that of onnxruntime-web.
    """

    concurrent_batches = 1

    def __init__(
        self,
        path: str | os.PathLike[str],
        data: bytes,
        package: str | os.PathLike[str],
        script: str | os.PathLike[str] = SCRIPT,
    ) -> None:
        """Starts Node and loads the model there.

        Args:
            path: the ONNX file, for errors.
            data: its content.
            package: the folder of the npm package, see `find_package`.
            script: what Node runs.

        Raises:
            ProviderError: Node does not start, or onnxruntime-web cannot load the model.
        """
        self._process = NodeProcess(f"{path}: {PACKAGE}", [os.fspath(script), os.fspath(package)])
        answer, _ = self._process.ask({}, data)
        self.version = str(answer.get("version"))

    def run(
        self, names: Sequence[str], batch: NDArray[np.uint8], *, low_latency: bool = True
    ) -> list[NDArray[np.float32]]:
        """The outputs of these names, float32, for a batch uint8 [n, 224, 224, 3]; see `Engine.run`.

        Raises:
            ProviderError: the run failed, or Node has ended.
        """
        header = {"dims": batch.shape, "outputs": list(names)}
        answer, content = self._process.ask(header, np.ascontiguousarray(batch).data.cast("B"))
        return _arrays(answer["outputs"], content)


def open_web(model: str | os.PathLike[str], *, package: str | os.PathLike[str] | None = None) -> Session:
    """Opens an exported model on onnxruntime-web's WebAssembly, as browsers run it, with one thread.

    Args:
        model: the ONNX file.
        package: the folder of the npm package; None is that of `find_package`.

    Returns:
        The session, with "web" as its provider. Its process ends when the session is collected.

    Raises:
        ModelError: the file is not an exported model.
        ProviderError: Node or the package is missing, or the model does not load there.
    """
    checked, card = read_checked(model)
    found = _look(package)
    if isinstance(found, Trouble):
        raise ProviderError(f"{PACKAGE} does not load: {found.cause}; to fix it: {found.remedy}")
    return Session(WebModel(checked.path, checked.data, found), checked, card, PROVIDER, "", threads=1)


def find_package() -> Path | None:
    """The folder of the npm package onnxruntime-web, or None where it or Node is missing.

    It is what the environment variable CMFL_ONNXRUNTIME_WEB names, or else node_modules/onnxruntime-web of
    the working folder or one of its parents.
    """
    found = _look(None)
    return None if isinstance(found, Trouble) else found


def web_trouble() -> Trouble | None:
    """Why `find_package` finds nothing, and what to do; None where it finds the package."""
    found = _look(None)
    return found if isinstance(found, Trouble) else None


def package_folder(
    package: str | os.PathLike[str] | None = None, files: Sequence[Path] = (_BUILD,)
) -> Path | Trouble:
    """The folder of the npm package onnxruntime-web, or why there is none; Node.js is not needed for this.

    Args:
        package: the folder; None looks where `find_package` does.
        files: files of the package that the caller needs.
    """
    named = package or os.environ.get(PACKAGE_VARIABLE)
    if named:
        folder = Path(named).absolute()
        again = f"{_INSTALL}, and let {PACKAGE_VARIABLE} name its folder node_modules/{PACKAGE}"
        if _name_in(folder) != PACKAGE:
            return Trouble(f"{named} is not the folder of the npm package {PACKAGE}", again)
    else:
        here = Path.cwd()
        folders = (parent / "node_modules" / PACKAGE for parent in (here, *here.parents))
        first = next((folder for folder in folders if _name_in(folder) == PACKAGE), None)
        if first is None:
            cause = f"the npm package {PACKAGE} is not in node_modules of {here} or of a folder above it"
            return Trouble(cause, f"{_INSTALL}, or let {PACKAGE_VARIABLE} name its folder")
        folder = first
    missing = next((file for file in files if not (folder / file).is_file()), None)
    if missing is not None:
        return Trouble(f"{folder} has no {missing.as_posix()}", f"npm install {PACKAGE}@latest")
    return folder


def _look(package: str | os.PathLike[str] | None) -> Path | Trouble:
    if shutil.which("node") is None:
        return Trouble("Node.js is not installed (no node on PATH)", f"install Node.js, then: {_INSTALL}")
    return package_folder(package)


def _name_in(folder: Path) -> str | None:
    """The name in a folder's package.json."""
    try:
        found = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found.get("name") if isinstance(found, dict) else None


def _arrays(described: Sequence[dict[str, Any]], content: bytes) -> list[NDArray[Any]]:
    """The tensors in an answer, which stand there one after the other."""
    arrays, start = [], 0
    for tensor in described:
        kind, shape = np.dtype(tensor["type"]), tuple(tensor["dims"])
        count = int(np.prod(shape, dtype=np.int64))
        # Copies, which can be written to, as those of the other runtimes.
        arrays.append(np.frombuffer(content, kind, count, start).reshape(shape).copy())
        start += count * kind.itemsize
    return arrays
