"""What several test files need: a small data set, a network with a life of its own, and its export."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cmfl_export.base.cache import CACHE_VARIABLE
from cmfl_export.base.locks import locked
from cmfl_export.export.run import export
from cmfl_export.runtime import providers
from models_zoo import places
from protocols import Sample, write_split
from training import model
from training.config import Architecture, Spectra, TrainConfig
from training.model import CmflNet
from training.weights import save_weights

MakeOnce = Callable[[str, Callable[[Path], object]], Path]

# As a terminal starts a command, even where the suite runs in the background or under nohup: a command leaves
# alone what was ignored when it started.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """One thread of PyTorch and NumPy in each process of `pytest -n` and in what it starts."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what is marked `gpu` on machines without one that works."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    why = without_gpu() if marked else ""
    for item in marked if why else ():
        item.add_marker(pytest.mark.skip(reason=why))


def without_gpu() -> str:
    """Why the GPU cannot be tested, or ""."""
    if not torch.cuda.is_available():
        return "PyTorch finds no NVIDIA GPU"
    trouble = providers.trouble("cuda")
    return f"cuda does not load: {trouble.cause}" if trouble else ""


def lively_network(
    architecture: Architecture = "two_stream", spectra: Spectra = "multi", seed: int = 0
) -> CmflNet:
    """A network whose scores depend on everything: no BatchNorm is the identity, and the heads reach out.

    Freshly initialised, all scores lie within 1e-3 of each other and no fault would show.
    """
    torch.manual_seed(seed)
    net = CmflNet(architecture, spectra)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.7, 1.3)
            module.bias.data.normal_(0, 0.1)
    net.eval()
    with torch.no_grad():
        logits = net(torch.from_numpy(np.stack([picture(seed) for seed in range(8)])))
        for name, values in logits._asdict().items():
            if values is not None:
                head = getattr(net, f"head_{name}")
                head.weight /= values.std()
                head.bias.copy_((head.bias - values.mean()) / values.std())
    return net


def picture(seed: int, size: int = 224) -> np.ndarray:
    """A smooth coloured scene with some noise, uint8 [size, size, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / size
    channels = []
    for _ in range(3):
        fx, fy, phase = rng.uniform(1, 9), rng.uniform(1, 9), rng.uniform(0, 6)
        channels.append(128 + 70 * np.sin(fx * x + phase) * np.cos(fy * y) + rng.normal(0, 8, x.shape))
    image: np.ndarray = np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8)
    return image


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is compiled or pulled goes neither into the user's cache nor out of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    """What sets PyTorch's threads in a test leaves the rounding of the next ones alone."""
    before = torch.get_num_threads()
    yield
    if torch.get_num_threads() != before:
        torch.set_num_threads(before)


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Nine 224x224 files, JPEG and PNG."""
    folder = tmp_path_factory.mktemp("photographs")
    paths = [folder / f"{number}.{'png' if number % 3 == 0 else 'jpg'}" for number in range(9)]
    for number, path in enumerate(paths):
        Image.fromarray(picture(number)).save(path)
    return paths


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(protocol folder, data root): 6 + 6 images to train on and 3 + 3 for dev; attacks are striped."""
    root = tmp_path_factory.mktemp("tiny")
    for split, count in (("train", 6), ("dev", 3)):
        samples = []
        for number in range(count):
            for attack in ("", "stripes"):
                pixels = picture(100 * len(split) + number + (50 if attack else 0))
                if attack:
                    pixels[:, ::4] //= 2
                name = f"{split}-{attack or 'real'}-{number}.png"
                Image.fromarray(pixels).save(root / name)
                samples.append(Sample(f"{split}-{attack}-{number}", name, attack))
        write_split(samples, root / "protocol" / f"{split}.csv")
    return root / "protocol", root


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """Gives the folder of a name, filled by a function; the processes of `pytest -n` share it."""
    base = tmp_path_factory.getbasetemp()
    # The folder of a worker is in that of the session.
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made-once"

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        folder, filled = place / name, place / f"{name}.filled"
        with locked(place / f"{name}.lock"):
            if not filled.exists():
                folder.mkdir(exist_ok=True)
                fill(folder)
                filled.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def weights_file(make_once: MakeOnce) -> Path:
    """Weights of the lively two-stream network."""

    def fill(folder: Path) -> None:
        config = TrainConfig(protocol="somewhere/tiny", data_root="somewhere")
        save_weights(lively_network(), folder / "best.safetensors", config)

    return make_once("weights", fill) / "best.safetensors"


@pytest.fixture(scope="session")
def model_file(make_once: MakeOnce, weights_file: Path) -> Path:
    """Its export with every optional output. Takes some 20 s, once a session."""

    def fill(folder: Path) -> None:
        export(weights_file, folder / "lively.onnx", outputs=["embedding", "heatmap", "spectrum"])

    return make_once("model", fill) / "lively.onnx"


@pytest.fixture
def zoo(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zoo with nothing in it: the folder that stands for the packaged models. The user's own are beside."""
    folder = tmp_path_factory.mktemp("zoo")
    (folder / "packaged").mkdir()
    monkeypatch.setenv(CACHE_VARIABLE, str(folder / "cache"))
    monkeypatch.delenv(places.MIRROR_VARIABLE, raising=False)
    monkeypatch.setattr(places, "packaged", lambda: folder / "packaged")
    return folder / "packaged"


@pytest.fixture
def small_trunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of one convolution per branch, where what is trained does not matter."""

    def make_trunk(_pretrained: bool = False) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(3, model.WIDTH, 16, stride=16))

    monkeypatch.setattr(model, "make_trunk", make_trunk)
