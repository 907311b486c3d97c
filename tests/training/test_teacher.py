"""Teachers: networks of timm, from their files to the branch that learns from one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from cmfl_export.base.errors import DownloadError, ModelError, PackageError, UsageError
from training import teacher as teacher_module
from training.config import TrainConfig
from training.fit import train
from training.module import CmflModule
from training.teacher import Teacher, asker, load_teacher, make_teacher
from training.weights import load_weights, save_weights

BACKBONE = "test_efficientnet"  # timm's own for tests, 360,000 weights
CONFIG = TrainConfig(architecture="one_stream", spectra="rgb", loss="bce", backbone=BACKBONE)
IMAGES = torch.randint(0, 256, (2, 96, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

pytestmark = pytest.mark.usefixtures("small_trunk")


@pytest.fixture
def teacher() -> Teacher:
    torch.manual_seed(0)
    return Teacher(BACKBONE).eval()


@pytest.fixture
def saved(teacher: Teacher, tmp_path: Path) -> Path:
    path = tmp_path / "teacher.safetensors"
    save_weights(teacher, path, CONFIG)
    return path


def imagenet_file(folder: Path, changes: Mapping[str, torch.Tensor] | None = None) -> Path:
    """A file as timm publishes it, with its classifier."""
    import timm

    torch.manual_seed(1)
    network = timm.create_model(BACKBONE, num_classes=1000)
    path = folder / "imagenet.safetensors"
    save_file(network.state_dict() | dict(changes or {}), path)
    return path


def test_it_sees_pixels_as_timm_normalises_them(teacher: Teacher) -> None:
    about = teacher.backbone.pretrained_cfg
    mean, std = (torch.tensor(about[name]).view(3, 1, 1) for name in ("mean", "std"))
    pixels = (IMAGES.permute(0, 3, 1, 2) / 255 - mean) / std
    with torch.no_grad():
        torch.testing.assert_close(teacher(IMAGES).joint, teacher.backbone(pixels)[:, 0])


def test_the_maps_are_those_of_its_last_two_stages(teacher: Teacher) -> None:
    maps = teacher.teach(IMAGES).maps
    assert [(each.shape[1], each.shape[2]) for each in maps] == [(48, 6), (64, 3)]


def test_training_leaves_its_normalisations_as_they_are(teacher: Teacher) -> None:
    norms = [module for module in teacher.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    teacher.train()
    assert teacher.training
    assert not any(norm.training for norm in norms)
    before = {name: value.clone() for name, value in teacher.named_buffers()}
    teacher(IMAGES).joint.sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in teacher.named_buffers())


def test_it_starts_from_a_file(tmp_path: Path) -> None:
    path = imagenet_file(tmp_path)
    made = make_teacher(BACKBONE, str(path), 96)
    published = load_file(path)
    own = made.backbone.state_dict()
    assert torch.equal(own["conv_stem.weight"], published["conv_stem.weight"])
    assert own["classifier.weight"].shape == (1, published["classifier.weight"].shape[1])
    same = [key for key in own if not key.startswith("classifier.")]
    assert all(torch.equal(own[key], published[key]) for key in same)


def test_a_file_of_another_network(tmp_path: Path) -> None:
    other = imagenet_file(tmp_path, {"conv_stem.weight": torch.zeros(3)})
    with pytest.raises(ModelError, match=r"does not fit test_efficientnet.*shape \(conv_stem.weight\)"):
        make_teacher(BACKBONE, str(other), 96)
    with pytest.raises(ModelError, match="no weights at"):
        make_teacher(BACKBONE, str(tmp_path / "none.safetensors"), 96)
    (tmp_path / "damaged.safetensors").write_bytes(b"no header")
    with pytest.raises(ModelError, match="not a readable safetensors file"):
        make_teacher(BACKBONE, str(tmp_path / "damaged.safetensors"), 96)


def test_unknown_networks() -> None:
    with pytest.raises(UsageError, match="timm has no network 'resnet'"):
        Teacher("resnet")


def test_a_network_for_one_size_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_module, "Teacher", lambda name, **_: Teacher(name))
    with pytest.raises(UsageError, match=r"cannot take squares of 112 pixels \(.*choose another network or"):
        make_teacher("vit_tiny_patch16_224", "", 112)


def test_no_weights_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    def no_network(*_: Any, **__: Any) -> None:
        raise OSError("no such host\nmore lines")

    monkeypatch.setattr(timm, "create_model", no_network)
    with pytest.raises(DownloadError, match=r"cannot be had \(no such host\); give .* --backbone-weights"):
        Teacher(BACKBONE, pretrained=True)


def test_without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(PackageError, match=r"cmfl-export\[teacher\]"):
        Teacher(BACKBONE)


def test_saved_and_loaded(teacher: Teacher, saved: Path) -> None:
    again = load_teacher(saved)
    with torch.no_grad():
        assert torch.equal(again(IMAGES).joint, teacher(IMAGES).joint)


def test_a_teacher_is_no_detector_and_a_detector_no_teacher(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is a teacher \(test_efficientnet\), not a detector"):
        load_weights(saved)
    detector = TrainConfig()
    save_weights(CmflModule(detector).net, tmp_path / "detector.safetensors", detector)
    with pytest.raises(ModelError, match="is a detector, not a teacher"):
        load_teacher(tmp_path / "detector.safetensors")
    with pytest.raises(ModelError, match="no teacher at"):
        load_teacher(tmp_path / "none")
    with pytest.raises(ModelError, match=r"no best\.safetensors"):
        load_teacher(tmp_path)


def test_asking_changes_nothing(saved: Path) -> None:
    ask = asker(saved)
    answer = ask(IMAGES)
    assert not answer.logits.requires_grad
    assert torch.equal(ask(IMAGES).logits, answer.logits)


def test_from_a_teacher_to_a_detector(tiny_data: tuple[Path, Path], tmp_path: Path) -> None:
    protocol, root = tiny_data
    data: dict[str, Any] = {"protocol": str(protocol), "data_root": str(root), "batch_size": 4, "workers": 0}
    first = replace(CONFIG, **data, backbone_weights=str(imagenet_file(tmp_path)), epochs=1, crop=96)
    run = train(first, tmp_path / "teacher", progress=False)
    assert run.figures["dev_d_eer"] >= 0
    second = TrainConfig(**data, teacher=str(run.folder), epochs=2, average=0.5, resend=0.5)
    taught = train(second, tmp_path / "taught", progress=False)
    weights = load_weights(taught.folder)
    assert weights.config["teacher"] == str(run.folder)
    # The detector has nothing of its teacher, and goes on as if it had not stopped.
    assert not [key for key in weights.net.state_dict() if "reader" in key or "backbone" in key]
    once = train(replace(second, epochs=1), tmp_path / "stopped", progress=False)
    again = train(second, once.folder, resume=True, progress=False)
    last, uninterrupted = (
        torch.load(one.folder / "last.ckpt", weights_only=True)["state_dict"] for one in (again, taught)
    )
    assert last.keys() == uninterrupted.keys()
    assert all(torch.equal(last[key], uninterrupted[key]) for key in last)
