"""From the bytes of a file to its score, against references that share no code with the toolkit.

Committed numbers stand where nothing depends on a random generator; how each was computed is said beside it.
"""

from __future__ import annotations

import base64
import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cmfl_export.detector import Detector
from cmfl_export.export.parity import builtin_images
from cmfl_export.images.decoding import decode
from cmfl_export.predict import read_rows
from cmfl_export.predict.run import predict_to
from cmfl_export.runtime.prediction import Prediction
from tests.cmfl_export.predictions import the_row
from tests.conftest import picture
from training.loss import CrossModalFocalLoss
from training.model import CmflNet
from training.spectrum import LogSpectrum, reference_spectrum
from training.weights import load_weights


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A PNG and a JPEG of 224x224, and a JPEG that has to be resized and cropped."""
    folder = tmp_path_factory.mktemp("golden")
    sizes = {"a.png": (224, 224), "b.jpg": (224, 224), "c.jpg": (300, 264)}
    for seed, (name, (width, height)) in enumerate(sizes.items(), start=40):
        Image.fromarray(picture(seed, 300)[:height, :width]).save(folder / name, quality=90)
    return [folder / name for name in sizes]


@pytest.fixture(scope="module")
def detector(model_file: Path) -> Detector:
    return Detector(model_file, provider="cpu", batch_size=1, align=None)


def scores(row: Prediction) -> tuple[float, float, float]:
    assert row.ok, row
    assert row.p_real is not None
    assert row.p_real_rgb is not None
    assert row.p_real_spectrum is not None
    return row.p_real, row.p_real_rgb, row.p_real_spectrum


def pixels_of(path: Path) -> np.ndarray:
    """Pillow alone: the shorter side to 224 and the middle of the longer one, uint8 [224, 224, 3]."""
    image = Image.open(path).convert("RGB")
    if image.size == (300, 264):
        # 300 * 224 / 264 = 254.5; (254 - 224) / 2 = 15
        image = image.resize((254, 224), Image.Resampling.BILINEAR).crop((15, 0, 239, 224))
    return np.asarray(image)


def textbook_spectrum(pixels: np.ndarray) -> np.ndarray:
    planes = []
    for channel in range(3):
        magnitude = np.abs(np.fft.fft2(pixels[..., channel] / 255.0))
        s = np.log(magnitude + 1e-3)
        low, high = np.percentile(s, 5), np.percentile(s, 95)
        planes.append(np.fft.fftshift(np.clip(2 * ((s - low) / (high - low) - 0.5), -1, 1)))
    return np.stack(planes)


def textbook_scores(net: CmflNet, pixels: np.ndarray) -> tuple[float, float, float]:
    """The method written out in float64; only the layers of the trunks are torch's."""
    net = copy.deepcopy(net).double()

    def embedding(trunk: torch.nn.Module, x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            maps: np.ndarray = trunk(torch.from_numpy(x)[None]).numpy()[0]
        pooled: np.ndarray = 1 / (1 + np.exp(-maps.mean(axis=(1, 2))))
        return pooled

    def head(layer: torch.nn.Linear, x: np.ndarray) -> float:
        logit = float(layer.weight.detach().numpy()[0] @ x + layer.bias.detach().numpy()[0])
        return 1 / (1 + math.exp(-logit))

    normalised = (pixels / 255.0 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    rgb = embedding(net.trunk_rgb, normalised.transpose(2, 0, 1))
    spectrum = embedding(net.trunk_spectrum, textbook_spectrum(pixels))
    joint = head(net.head_joint, np.concatenate([rgb, spectrum]))
    return joint, head(net.head_rgb, rgb), head(net.head_spectrum, spectrum)


def test_against_the_textbook(detector: Detector, weights_file: Path, files: list[Path]) -> None:
    net = load_weights(weights_file).net
    for path in files[1:]:
        np.testing.assert_allclose(
            scores(detector.predict(path)), textbook_scores(net, pixels_of(path)), atol=1e-4, rtol=0
        )


def test_every_way_in_gives_the_same_bits(
    detector: Detector, model_file: Path, files: list[Path], tmp_path: Path
) -> None:
    expected = [scores(detector.predict(path)) for path in files]
    # Pictures that all score alike would make this easy.
    assert len(set(expected)) == 3
    for path, want in zip(files, expected, strict=True):
        assert scores(detector.predict(str(path))) == want
        assert scores(detector.predict(path.read_bytes())) == want
        with Image.open(path) as image:
            assert scores(detector.predict(image)) == want
            assert scores(the_row(detector.predict(np.asarray(image)))) == want
        array = detector.scores(decode(path)[None])
        assert tuple(float(value[0]) for value in array.values()) == want
    mixed: list[Any] = [files[0], files[1].read_bytes(), np.asarray(Image.open(files[2]))]
    assert [scores(row) for row in detector.predict(mixed)] == expected
    assert [scores(row) for row in detector.predict(iter(mixed))] == expected
    predict_to(
        model_file, list(map(str, files)), tmp_path / "rows.csv", provider="cpu", batch_size=1, align=None
    )
    rows = list(read_rows(tmp_path / "rows.csv"))
    assert [row.path for row in rows] == list(map(str, files))
    # The file has the digits of the float32, which is what the network gave.
    assert [tuple(map(np.float32, scores(row))) for row in rows] == [
        tuple(map(np.float32, s)) for s in expected
    ]


def test_the_batch_does_not_matter(detector: Detector, model_file: Path, files: list[Path]) -> None:
    together = Detector(model_file, provider="cpu", batch_size=3, align=None).predict(list(files))
    for path, row in zip(files, together, strict=True):
        np.testing.assert_allclose(scores(row), scores(detector.predict(path)), atol=1e-5, rtol=0)


def pattern() -> np.ndarray:
    """A picture of whole numbers, the same on every machine."""
    y, x = np.mgrid[0:224, 0:224]
    planes = [(x * x * c + 3 * x * y + 5 * y * y) % 256 for c in (1, 2, 3)]
    return np.stack(planes, axis=-1).astype(np.uint8)


# (channel, vertical, horizontal frequency) -> value. By the sum of the DFT's definition (the matrix
# exp(-2 pi i jk / 224) on both sides, in float64; no FFT), sorted values and linear interpolation at
# 0.05 * 50175 and 0.95 * 50175.
SPECTRA = {
    "pattern": {
        (0, 0, 0): 1.0,
        (0, 1, 0): -0.031380733446,
        (0, 3, 5): -1.0,
        (1, 0, 7): 0.764870800735,
        (1, 100, 50): -0.689793996106,
        (2, -112, -112): 0.524296921082,
        (2, -24, 13): 0.257414139787,
    },
    "noise": {
        (0, 0, 0): 1.0,
        (0, 1, 0): 0.291151588639,
        (0, 3, 5): 1.0,
        (1, 0, 7): 0.625344312958,
        (1, 100, 50): 0.365495397322,
        (2, -112, -112): -0.123713212334,
        (2, -24, 13): 0.804422255411,
    },
}


@pytest.mark.parametrize("name", SPECTRA)
def test_spectrum(name: str) -> None:
    image = pattern() if name == "pattern" else builtin_images()[0]
    exact = reference_spectrum(image)
    module = LogSpectrum()(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)[0].numpy()
    for (channel, v, h), value in SPECTRA[name].items():
        # The zero frequency lies at [112, 112].
        assert exact[channel, 112 + v, 112 + h] == pytest.approx(value, abs=1e-10)
        assert module[channel, 112 + v, 112 + h] == pytest.approx(value, abs=1e-4)


# 4x2 pixels in grey, written by a PNG encoder once: 0 80 160 240 / 255 175 95 15.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAQAAAACCAAAAABawyK/AAAAEklEQVR4nGNgCFjwgeH/+nh+ABNgA/0Y4SQCAAAAAElFTkSuQmCC"
)


def test_decoding() -> None:
    """The shorter side of 2 becomes 224, and of the 448 columns the middle 224 remain.

    Enlarged 112 times, output row i lies at (i + 0.5) / 112 - 0.5 in rows of the file, output column j at
    (j + 112.5) / 112 - 0.5 in columns, held to the outermost pixels; between them values are linear.
    """
    found = decode(PNG)
    assert found.shape == (224, 224, 3)
    assert found.dtype == np.uint8
    assert (found == found[..., :1]).all()
    file = np.array([[0, 80, 160, 240], [255, 175, 95, 15]], float)
    for i, j in [(0, 0), (0, 223), (223, 0), (223, 223), (112, 112), (60, 200), (170, 31)]:
        y = min(max((i + 0.5) / 112 - 0.5, 0), 1)
        x = (j + 112.5) / 112 - 0.5
        left = int(x)
        top, bottom = (row[left] + (x - left) * (row[left + 1] - row[left]) for row in file)
        assert found[i, j, 0] == pytest.approx(top + y * (bottom - top), abs=1.01)
    assert decode(PNG)[0, 0, 0] == 40


# p_a, p_b -> loss of one real sample, by the formula in decimal arithmetic of 30 digits. The first by hand:
# w = 2 * 0.5^3 / (0.5 + 0.5) = 1/4, and (3/4)^3 * ln 2 = 0.29242.
LOSSES = {
    ("0.5", "0.5"): 0.292421466506305,
    ("0.9", "0.6"): 0.020793307458980,
    ("0.1", "0.8"): 0.832350988401003,
    ("0.99", "0.99"): 7.92026607664180e-8,
}


@pytest.mark.parametrize("pair", LOSSES)
def test_loss(pair: tuple[str, str]) -> None:
    p_a, p_b = (torch.tensor([float(p)], dtype=torch.float64) for p in pair)
    loss = CrossModalFocalLoss()
    for a, b in ((p_a, p_b), (p_b, p_a)):
        real = loss(torch.logit(a), torch.logit(b), torch.ones(1))
        synthetic = loss(-torch.logit(a), -torch.logit(b), torch.zeros(1))
        assert float(real) == float(synthetic) == pytest.approx(LOSSES[pair], rel=1e-9)


def formula_network() -> CmflNet:
    """A network whose every weight is a formula of its place, the same whatever torch's generator does."""
    net = CmflNet().eval()
    for number, (name, value) in enumerate(net.state_dict().items()):
        if value.dim() == 0:
            continue
        place = torch.arange(value.numel(), dtype=torch.float64)
        wave = torch.sin(1.7 * place + number).reshape(value.shape)
        if value.dim() == 4:  # a convolution
            value.copy_(wave * (2 / value[0].numel()) ** 0.5)
        elif name.startswith("head") and value.dim() == 2:
            value.copy_(wave)
        elif name.endswith(("running_var", "weight")):
            value.copy_(1 + 0.3 * wave)
        else:
            value.copy_(0.1 * wave)
    return net


def test_scores_of_the_formula_network() -> None:
    """The numbers are `textbook_scores(formula_network(), pattern())`."""
    with torch.no_grad():
        logits = formula_network()(torch.from_numpy(pattern())[None])
    found = [float(torch.sigmoid(logit)) for logit in logits if logit is not None]
    np.testing.assert_allclose(found, [0.7096123414, 0.2317827670, 0.6784531990], atol=1e-5, rtol=0)
