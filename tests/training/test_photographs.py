"""Training on photographs: every image is its largest face, and one without a face is named."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cmfl_export.base.errors import CmflError
from cmfl_export.faces.aligner import Aligner
from protocols import Sample, read_split, write_split
from tests.cmfl_export.photographs import coffee, group
from training.config import TrainConfig
from training.dataset import Draw, ProtocolData
from training.fit import train
from training.photographs import LargestFace, opener


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """Two photographs of each class and split, each with two faces."""
    root = tmp_path_factory.mktemp("photographs")
    for split in ("train", "dev"):
        samples = []
        for number in range(2):
            for attack in ("", "gan"):
                name = f"{split}{attack}{number}.png"
                side = 130 + 10 * number + (5 if attack else 0)
                group((side, 20, 20), (90, 200, 60), size=(320, 200)).save(root / name)
                samples.append(Sample(name, name, attack))
        write_split(samples, root / "protocol" / f"{split}.csv")
    return TrainConfig(
        protocol=str(root / "protocol"),
        data_root=str(root),
        architecture="one_stream",
        spectra="rgb",
        loss="bce",
        crop=32,
        epochs=1,
        batch_size=4,
        workers=1,
        align=True,
    )


def test_samples_are_the_largest_faces(config: TrainConfig) -> None:
    samples = read_split(Path(config.protocol) / "dev.csv")
    images = ProtocolData(config, samples, samples).val_dataloader().dataset
    aligner = Aligner(largest=True, provider="cpu")
    for position, sample in enumerate(samples):
        image, _, _ = images[Draw(0, position)]
        with Image.open(Path(config.data_root) / sample.filename) as photograph:
            expected = np.asarray(aligner(photograph)[0].crop.image)
        assert torch.equal(image, torch.from_numpy(expected.copy()))


def test_loader_processes_have_networks_of_their_own(config: TrainConfig) -> None:
    """What is sent to them holds no session, which could not be sent."""
    opened = pickle.loads(pickle.dumps(opener(config)))
    assert opened == LargestFace(20, 0.8)
    name = Path(config.data_root) / "dev0.png"
    assert opened(name).size == (224, 224)


def test_a_run_and_a_photograph_without_a_face(config: TrainConfig, tmp_path: Path) -> None:
    run = train(config, tmp_path / "run", progress=False)
    assert len(run.rows) == 1
    coffee().save(Path(config.data_root) / "train0.png")
    with pytest.raises(CmflError, match=r"1 of 4 files cannot be used .*'train0\.png' \(no face found\)"):
        train(config, tmp_path / "other", progress=False)


def test_aligning_makes_aligned_images(config: TrainConfig) -> None:
    with pytest.raises(CmflError, match="does not go with --no-aligned"):
        replace(config, aligned=False)
