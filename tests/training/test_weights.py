"""Weights: our files, official checkpoints of both architectures, and what is neither."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from cmfl_export.base.errors import CmflError
from cmfl_export.base.files import sha256_of
from tests.conftest import lively_network
from training.config import Spectra, TrainConfig
from training.model import CmflNet
from training.weights import load_weights, save_weights, start_from

OFFICIAL = {
    "trunk_rgb.": "enc_rgb.",
    "trunk_spectrum.": "enc_f.",
    "head_joint.": "linear.",
    "head_rgb.": "linear_rgb.",
    "head_spectrum.": "linear_f.",
}


def official_names(net: CmflNet) -> dict[str, torch.Tensor]:
    """A state dict as METHOD describes the official implementation's."""
    names = dict(OFFICIAL)
    if net.architecture == "one_stream":
        names |= {"trunk_spectrum.": "enc_rgb.", "head_joint.": "linear_rgb."}
    state = {}
    for key, value in net.state_dict().items():
        prefix = next(ours for ours in names if key.startswith(ours))
        state[names[prefix] + key.removeprefix(prefix)] = value
    return state


def save_official(net: CmflNet, path: Path, **changes: Any) -> Path:
    torch.save(
        {"epoch": 3, "iteration": 100, "loss": [0.5, 0.4], "state_dict": official_names(net)} | changes, path
    )
    return path


def assert_same(net: torch.nn.Module, other: torch.nn.Module) -> None:
    ours, theirs = net.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_round_trip(tmp_path: Path) -> None:
    net = lively_network()
    config = TrainConfig(protocol="p", aligned=False, lr=0.01)
    path = tmp_path / "best.safetensors"
    save_weights(net, path, config, {"dev_loss": 0.25})
    for source in (path, tmp_path):  # a file, and the run folder that holds it
        loaded = load_weights(source)
        assert_same(net, loaded.net)
        assert not loaded.net.training
        assert TrainConfig(**loaded.config) == config
        assert loaded.metrics == {"dev_loss": 0.25}
        assert loaded.aligned is False
        assert loaded.sha256 == sha256_of(path)


def test_official_two_stream(tmp_path: Path) -> None:
    net = lively_network()
    loaded = load_weights(save_official(net, tmp_path / "25.pth"))
    assert_same(net, loaded.net)
    assert loaded.config == {}
    assert loaded.aligned


@pytest.mark.parametrize("spectra", ["rgb", "fft"])
def test_official_one_stream(tmp_path: Path, spectra: Spectra) -> None:
    net = CmflNet("one_stream", spectra)
    path = save_official(net, tmp_path / "25.pth")
    loaded = load_weights(path, spectra=spectra)
    assert_same(net, loaded.net)
    assert load_weights(path).net.spectra == "rgb"


def test_keys_are_named(tmp_path: Path) -> None:
    state = official_names(CmflNet())
    del state["linear_f.bias"]
    state["linear_g.bias"] = torch.zeros(1)
    state["linear.weight"] = torch.zeros(1, 384)
    path = save_official(CmflNet(), tmp_path / "odd.pth", state_dict=state)
    with pytest.raises(CmflError) as caught:
        load_weights(path)
    text = str(caught.value)
    assert "\n" not in text
    for part in (
        "odd.pth",
        "1 missing (head_spectrum.bias)",
        "1 unexpected (linear_g.bias)",
        "(head_joint.weight)",
    ):
        assert part in text


class Harmful:
    """Unpickled without care, it would make a folder."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("harm",)


def test_no_code_from_a_checkpoint_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = save_official(CmflNet(), tmp_path / "evil.pth", loss=Harmful())
    with pytest.raises(CmflError, match="loaded safely"):
        load_weights(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 half a zip"])
def test_not_a_checkpoint(tmp_path: Path, content: bytes) -> None:
    for suffix in (".pth", ".safetensors"):
        path = tmp_path / f"x{suffix}"
        path.write_bytes(content)
        with pytest.raises(CmflError, match=r"x\.(pth|safetensors)") as caught:
            load_weights(path)
        assert "\n" not in str(caught.value)


def test_other_things(tmp_path: Path) -> None:
    with pytest.raises(CmflError, match="no weights at"):
        load_weights(tmp_path / "none.pth")
    with pytest.raises(CmflError, match=r"no best\.safetensors"):
        load_weights(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(CmflError, match="not written by cmfl train"):
        load_weights(tmp_path / "other.safetensors")
    torch.save([1, 2, 3], tmp_path / "list.pth")
    with pytest.raises(CmflError, match="no state_dict"):
        load_weights(tmp_path / "list.pth")


def test_two_streams_start_from_branches_that_were_trained_alone(tmp_path: Path) -> None:
    branches: dict[Spectra, CmflNet] = {}
    seeds: dict[Spectra, int] = {"rgb": 1, "fft": 2}
    for spectra, seed in seeds.items():
        branches[spectra] = lively_network("one_stream", spectra, seed=seed)
        config = TrainConfig(architecture="one_stream", spectra=spectra, loss="bce")
        save_weights(branches[spectra], tmp_path / f"{spectra}.safetensors", config)
    net, untouched = CmflNet(), CmflNet()
    untouched.load_state_dict(net.state_dict())
    start_from(net, f"{tmp_path / 'rgb.safetensors'}, {tmp_path / 'fft.safetensors'}")
    for name, source in (("rgb", branches["rgb"]), ("spectrum", branches["fft"])):
        assert_same(getattr(net, f"trunk_{name}"), getattr(source, f"trunk_{name}"))
        assert_same(getattr(net, f"head_{name}"), source.head_joint)
    assert_same(net.head_joint, untouched.head_joint)


def test_a_network_starts_from_one_of_its_form(tmp_path: Path) -> None:
    source = lively_network(seed=3)
    save_weights(source, tmp_path / "best.safetensors", TrainConfig())
    net = CmflNet()
    start_from(net, str(tmp_path))
    assert_same(net, source)
    start_from(net, "")
    assert_same(net, source)


@pytest.mark.parametrize(("spectra", "name"), [("rgb", "rgb"), ("fft", "spectrum")])
def test_one_stream_starts_from_its_branch_of_two(tmp_path: Path, spectra: Spectra, name: str) -> None:
    source = lively_network(seed=3)
    save_weights(source, tmp_path / "best.safetensors", TrainConfig())
    net = CmflNet("one_stream", spectra)
    start_from(net, str(tmp_path))
    assert_same(getattr(net, f"trunk_{name}"), getattr(source, f"trunk_{name}"))
    assert_same(net.head_joint, getattr(source, f"head_{name}"))


def test_one_stream_does_not_start_from_the_other_branch(tmp_path: Path) -> None:
    config = TrainConfig(architecture="one_stream", spectra="fft", loss="bce")
    save_weights(CmflNet("one_stream", "fft"), tmp_path / "best.safetensors", config)
    with pytest.raises(CmflError, match="is one_stream fft, which one_stream rgb cannot start from"):
        start_from(CmflNet("one_stream", "rgb"), str(tmp_path))
