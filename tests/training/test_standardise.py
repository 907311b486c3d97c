"""Standardised spectra: what is measured, where it is stored, and how a run comes by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cmfl_export.base.errors import CmflError
from cmfl_export.images import decode
from protocols import read_split
from training.checkpoint_files import safetensors_header
from training.config import TrainConfig
from training.fit import train
from training.model import CmflNet
from training.spectrum import LogSpectrum
from training.standardise import LEAST_DEVIATION, MOST_DEVIATIONS, Standardise, reference_standardised
from training.weights import load_weights, save_weights, start_from

SHAPE = (3, 224, 224)


def measured(seed: int = 0) -> Standardise:
    module = Standardise()
    module.measure([torch.rand((3, *SHAPE), generator=torch.Generator().manual_seed(seed)) * 2 - 1])
    return module


def test_mean_and_deviation_do_not_depend_on_batches() -> None:
    spectra = torch.rand((5, *SHAPE), generator=torch.Generator().manual_seed(1)) * 2 - 1
    together, one_by_one = Standardise(), Standardise()
    together.measure([spectra])
    one_by_one.measure([spectra[:2], spectra[2:]])
    values = spectra.double().numpy()
    for module in (together, one_by_one):
        np.testing.assert_allclose(module.mean.numpy(), values.mean(axis=0), atol=1e-7)
        expected = np.maximum(values.std(axis=0), LEAST_DEVIATION)
        np.testing.assert_allclose(module.deviation.numpy(), expected, atol=1e-6)


def test_a_constant_frequency_stays_small() -> None:
    spectra = torch.rand((4, *SHAPE), generator=torch.Generator().manual_seed(2)) * 2 - 1
    spectra[:, :, 112, 112] = 1.0
    module = Standardise()
    module.measure([spectra])
    assert (module.deviation[:, 112, 112] == LEAST_DEVIATION).all()
    # As far off as rounding takes a spectrum that is known to 1e-4.
    other = spectra[:1] - 1e-4
    assert module(other)[:, :, 112, 112].abs().max() < 0.01


def test_values_are_cut_and_stay_float32_under_autocast() -> None:
    module = measured()
    spectrum = torch.zeros((1, *SHAPE))
    spectrum[0, 0, 0, 0] = 100.0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = module(spectrum)
    assert found.dtype == torch.float32
    assert found[0, 0, 0, 0] == MOST_DEVIATIONS
    np.testing.assert_allclose(found.numpy(), reference_standardised(module, spectrum.numpy()), atol=1e-5)


@pytest.mark.usefixtures("small_trunk")
def test_it_stands_between_the_spectrum_and_its_trunk() -> None:
    plain, standardising = CmflNet(), CmflNet(standardise=True)
    assert not plain.standardises
    assert standardising.standardises
    standardising.load_state_dict(plain.state_dict(), strict=False)
    images = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8)
    with torch.no_grad():
        # With mean 0 and deviation 1 it changes nothing.
        before = plain(images), standardising(images)
        assert torch.equal(before[0].spectrum, before[1].spectrum)
        standardising.standardise.load_state_dict(measured().state_dict())
        after = standardising(images)
    assert torch.equal(after.rgb, before[0].rgb)
    assert not torch.equal(after.spectrum, before[0].spectrum)


@pytest.mark.usefixtures("small_trunk")
def test_weights_with_and_without_it_are_not_confused(tmp_path: Path) -> None:
    net, path = CmflNet(standardise=True), tmp_path / "best.safetensors"
    net.standardise.load_state_dict(measured().state_dict())
    config = TrainConfig(standardise_spectrum=True)
    save_weights(net, path, config)
    loaded = load_weights(path).net
    assert loaded.standardises
    assert torch.equal(loaded.standardise.mean, net.standardise.mean)
    assert torch.equal(loaded.standardise.deviation, net.standardise.deviation)
    save_weights(net, path, replace(config, standardise_spectrum=False))
    with pytest.raises(CmflError, match="2 unexpected"):
        load_weights(path)
    save_weights(CmflNet(), path, config)
    with pytest.raises(CmflError, match=r"2 missing \(standardise\.mean, standardise\.deviation\)"):
        load_weights(path)


@pytest.mark.usefixtures("small_trunk")
def test_a_deviation_of_zero_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    save_weights(CmflNet(standardise=True), path, TrainConfig(standardise_spectrum=True))
    _, metadata = safetensors_header(path)
    tensors = load_file(path)
    for wrong in (0.0, float("nan")):
        tensors["standardise.deviation"][1, 2, 3] = wrong
        save_file(tensors, path, metadata=metadata)
        with pytest.raises(CmflError, match=r"best\.safetensors: .*deviation"):
            load_weights(path)


@pytest.mark.usefixtures("small_trunk")
def test_a_run_measures_its_training_images_once(tiny_data: tuple[Path, Path], tmp_path: Path) -> None:
    protocol, root = tiny_data
    config = TrainConfig(
        protocol=str(protocol),
        data_root=str(root),
        epochs=1,
        batch_size=5,
        workers=0,
        average=0.5,
        standardise_spectrum=True,
    )
    run = train(config, tmp_path / "run", progress=False)
    images = np.stack([decode(root / sample.filename) for sample in read_split(protocol / "train.csv")])
    spectra = LogSpectrum()(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255).double()
    found = load_weights(run.best).net.standardise
    torch.testing.assert_close(found.mean.double(), spectra.mean(dim=0), rtol=0, atol=1e-5)
    deviation = spectra.std(dim=0, correction=0).clamp_min(LEAST_DEVIATION)
    torch.testing.assert_close(found.deviation.double(), deviation, rtol=0, atol=1e-4)

    with pytest.MonkeyPatch.context() as patch:
        # On resuming they come from the checkpoint.
        patch.setattr(Standardise, "measure", lambda *_: pytest.fail("measured again"))
        resumed = train(replace(config, epochs=2), run.folder, resume=True, progress=False)
    state = torch.load(resumed.folder / "last.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(state["net.standardise.mean"], found.mean)

    # A run that starts from it takes over what its spectrum branch was trained with.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Standardise, "measure", lambda *_: pytest.fail("measured again"))
        second = train(replace(config, init=str(run.folder)), tmp_path / "second", progress=False)
    assert torch.equal(load_weights(second.best).net.standardise.mean, found.mean)


@pytest.mark.usefixtures("small_trunk")
@pytest.mark.parametrize("standardised", [True, False])
def test_a_branch_starts_only_where_it_sees_the_same(standardised: bool, tmp_path: Path) -> None:
    config = TrainConfig(
        architecture="one_stream", spectra="fft", loss="bce", standardise_spectrum=standardised
    )
    branch = CmflNet("one_stream", "fft", standardise=standardised)
    if standardised:
        branch.standardise.load_state_dict(measured().state_dict())
    save_weights(branch, tmp_path / "fft.safetensors", config)
    both = CmflNet(standardise=standardised)
    start_from(both, str(tmp_path / "fft.safetensors"))
    if standardised:
        assert torch.equal(both.standardise.mean, branch.standardise.mean)
    option = "--standardise-spectrum" if standardised else "--no-standardise-spectrum"
    with pytest.raises(CmflError, match=f"give {option} to start from it"):
        start_from(CmflNet(standardise=not standardised), str(tmp_path / "fft.safetensors"))
