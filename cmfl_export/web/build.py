"""Builds the page that detects in the browser: one HTML file with the model, its runtime and its script."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ..base.errors import PackageError
from ..base.files import check_ending, refuse_overwriting, whole_file, writing
from ..base.locks import one_writer
from ..base.versions import own_version
from ..faces import network_files
from ..images import DEFAULT_MAX_PIXELS, foreign_table
from ..report import source
from ..runtime import ARRAYS, PACKAGE, ModelCard, Session
from ..zoo import resolve
from .domain_part import domain_part
from .page_html import render_page
from .self_test import goldens
from .webassembly import WebAssembly, find_webassembly

# The scripts of the Worker, after onnxruntime-web's own.
_WORKER = (
    "self_test.js",
    "orientation.js",
    "png.js",
    "jpeg.js",
    "decode.js",
    "resample.js",
    "mtcnn.js",
    "align.js",
    "domain.js",
    "rows.js",
    "model.js",
    "worker.js",
)
# The page opens no connection: all it needs is in it. Its Worker is made of a Blob and inherits the policy;
# in the Worker, onnxruntime-web imports its second script, also a Blob, and compiles WebAssembly.
_POLICY = {"connect-src": "'none'", "worker-src": "blob:", "script-src": "blob: 'wasm-unsafe-eval'"}
_TURNED = 6
_GZIP_LEVEL = 6  # 9 takes longer and saves 0.4 %


@dataclass(frozen=True)
class BuiltPage:
    """A page that was written.

    Attributes:
        path: the file.
        size: its bytes.
        card: of the model in it.
        runtime: onnxruntime-web's name and version.
        no_faces: why it cannot look for faces, or "".
    """

    path: Path
    size: int
    card: ModelCard
    runtime: str
    no_faces: str

    def lines(self) -> list[str]:
        """The result as text."""
        what = f"{self.card.name} ({self.card.precision}), {self.runtime}"
        lines = [f"{self.path}: {self.size / 1e6:.1f} MB, {what}; open it in a browser"]
        return [*lines, f"It does not look for faces: {self.no_faces}"] if self.no_faces else lines


@one_writer("out")
def build_page(
    model: str | os.PathLike[str] | None,
    out: str | os.PathLike[str],
    runtime: str | os.PathLike[str] | None = None,
) -> BuiltPage:
    """Writes a page that scores images in the browser and opens no connection.

    The same model, runtime and versions give the same bytes. With the extra `faces`, the page finds faces.

    Args:
        model: an exported file, or a name of the zoo; None is the starter.
        out: the page, .html.
        runtime: the folder of the npm package onnxruntime-web; None finds or fetches it, see
            `find_webassembly`.

    Raises:
        UsageError: the page cannot be written, or is the model itself.
        ModelError: the model cannot be used.
        ProviderError: there is no onnxruntime-web, the model does not run here, or the package with the
            networks that find faces has other files.
        DownloadError: onnxruntime-web cannot be fetched.
    """
    path, page = resolve(model), Path(out)
    check_ending(page, (".html", ".htm"), "the page")
    refuse_overwriting([page], [("the model", path)])
    wasm = find_webassembly(runtime)
    networks, no_faces = _networks()
    session = Session.open(path, "onnxruntime", exact=True)
    domain, arrays = domain_part(session)
    name = f"{PACKAGE} {wasm.version}"
    pieces = render_page(
        "Detection of synthetic faces",
        "LocalDetector",
        [source("web/page/local_detector.js")],
        _settings(session, f"{name}, WebAssembly, one thread", domain, aligns=bool(networks)),
        _POLICY,
        policy_in_page=True,
        payload=_parts({**_files(path, wasm), **networks, **arrays}),
    ).pieces
    with whole_file(page) as part, writing(page), part.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(pieces)
    return BuiltPage(page, page.stat().st_size, session.card, name, no_faces)


def _settings(
    session: Session, runtime: str, domain: Mapping[str, Any] | None, *, aligns: bool
) -> dict[str, Any]:
    """What local_detector.js and the Worker read."""
    card = json.loads(session.card.to_json())
    card["calibration"].pop("subjects", None)  # hashes that only `evaluate` uses
    card["domain"].pop(ARRAYS, None)  # they are a part of the page
    return {
        "server": False,
        "card": card,
        "threshold": session.card.threshold,
        "band": session.card.band,
        "aligned": session.card.aligned,
        "minimum_resolution": session.card.needed_resolution,
        "aligns": aligns,
        "domain": domain,
        "version": own_version(),
        "sha256": session.sha256,
        "runtime": runtime,
        "self_test": goldens(session),
        "limits": {"most_pixels": DEFAULT_MAX_PIXELS, "foreign": foreign_table()},
    }


def _networks() -> tuple[dict[str, bytes], str]:
    """The networks that find faces, and why there are none, else ""."""
    try:
        return network_files(), ""
    except PackageError as error:
        return {}, str(error)


def _files(model: Path, wasm: WebAssembly) -> dict[str, bytes]:
    """What every page unpacks, by name."""
    own = "".join(source(f"web/page/{name}") for name in _WORKER)
    return {
        "worker": wasm.script + b"\n" + own.encode(),
        "glue": wasm.glue,
        "wasm": wasm.wasm,
        "model": model.read_bytes(),
        "probe": _turned_jpeg(),
    }


def _parts(files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Yields the id and the text of each part of the page."""
    for name, data in files.items():
        yield f"part-{name}", base64.b64encode(gzip.compress(data, _GZIP_LEVEL, mtime=0)).decode()


def _turned_jpeg() -> bytes:
    """A JPEG file that is wider than high as stored, with the EXIF orientation that it lies on its side."""
    exif = Image.Exif()
    exif[0x0112] = _TURNED
    stream = io.BytesIO()
    Image.new("L", (16, 8), 128).save(stream, "JPEG", exif=exif)
    return stream.getvalue()
