"""A program that exports, predicts on each CPU runtime, measures and trains, all in its one process.

Run with a folder as its argument. Its networks are small, as what meets in the process are the libraries.
"""

from __future__ import annotations

import faulthandler
import gc
import signal
import sys
from pathlib import Path

import pytest
from PIL import Image
from torch import nn

from cmfl_export.bench.worker import make, timed
from cmfl_export.export.run import export
from cmfl_export.images.decoding import decode, open_rgb
from cmfl_export.predict.run import predict_to
from cmfl_export.runtime import providers
from cmfl_export.runtime.session import Session
from protocols import read_protocol
from training import dataset, model
from training.config import TrainConfig
from training.demo_data import make_demo_data
from training.fit import train
from training.weights import save_weights

RUNTIMES = ("onnxruntime", *(["openvino"] if providers.has_openvino() else []))
held: list[Session] = []


def make_trunk(pretrained: bool = False) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, model.WIDTH, 16, stride=16), nn.BatchNorm2d(model.WIDTH))


def dropping(path: Path) -> Image.Image:
    """Opens a picture in a loader process, after that has dropped what it may have of the models."""
    held.clear()
    gc.collect()
    return open_rgb(path)


def main(folder: Path) -> None:
    model.make_trunk = make_trunk
    protocol = make_demo_data(folder, train=2, dev=1, evaluation=1)
    config = TrainConfig(protocol=str(protocol), data_root=str(folder), epochs=1, batch_size=2)
    save_weights(model.CmflNet(), folder / "first.safetensors", config)
    file = folder / "first.onnx"
    export(folder / "first.safetensors", file)
    pictures = [str(folder / sample.filename) for sample in read_protocol(protocol).eval]
    for runtime in RUNTIMES:
        rows = folder / f"{runtime}.csv"
        assert not predict_to(str(file), pictures, rows, provider=runtime, progress=False).failed
        options = {
            "model": str(file),
            "provider": runtime,
            "threads": None,
            "images": pictures,
            "compared": 2,
        }
        timed(make("model", options).unit("batch 2", 0.0), 0.0)
        session = Session.open(file, runtime)
        session.run(decode(pictures[0])[None])
        held.append(session)
    pytest.MonkeyPatch().setattr(dataset, "opener", lambda _config: dropping)
    with (folder / "trace").open("w+") as trace:
        # A handler that Python's own signal module knows nothing of, as that of crashes.
        faulthandler.register(signal.SIGURG, trace)
        train(config, folder / "run", progress=False)
        signal.raise_signal(signal.SIGURG)
        assert "whole_process.py" in (folder / "trace").read_text()
    export(folder / "run", folder / "second.onnx")


if __name__ == "__main__":
    faulthandler.enable()
    main(Path(sys.argv[1]))
    print("done")
