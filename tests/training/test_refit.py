"""The joint head fitted anew: from a command, at the end of a run, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from cmfl_export.base.errors import CmflError
from cmfl_export.cli import app
from cmfl_export.metrics import d_eer
from protocols import Sample
from tests.training.test_logistic import some_samples
from training import refit as module
from training.config import TrainConfig
from training.fit import train
from training.logistic import Problem
from training.model import WIDTH, CmflNet
from training.refit import CS, refit, refit_head
from training.weights import load_weights, save_weights

TRAIN = some_samples({("", "a"): 60, ("gan", "b"): 40, ("sd", "c"): 40})
DEV = some_samples({("", "x"): 50, ("gan", "y"): 30, ("sd", "z"): 20})


def embeddings_of(samples: Sequence[Sample], resending: int = 0) -> np.ndarray:
    """[N, 768]: number 0 tells all attacks, weakly; number 1 `gan` alone, surely, until it is sent."""
    x = np.full((len(samples), 2 * WIDTH), 0.5)
    for row, sample in zip(x, samples, strict=True):
        row[:20] += np.random.default_rng(list(sample.filename.encode())).normal(0, 0.05, 20)
    x[:, 0] += [0.10 * sample.is_real for sample in samples]
    if not resending:
        x[:, 1] += [0.30 * (sample.attack_type == "gan") for sample in samples]
    return x


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, small_trunk: None) -> CmflNet:
    """A network; what it makes of images is `embeddings_of`."""
    monkeypatch.setattr(
        module,
        "_embeddings",
        lambda _net, _config, samples, number, _progress: embeddings_of(samples, number),
    )
    torch.manual_seed(0)
    return CmflNet()


def test_the_head_scores_as_the_regression_does(known: CmflNet) -> None:
    others = {key: value.clone() for key, value in known.state_dict().items() if "head_joint" not in key}
    found = refit_head(known, TrainConfig(), TRAIN, DEV)
    assert tuple(found.rates) == CS
    assert found.attacks == ("gan", "sd")
    assert found.rates[found.c] < min(found.rates.values()) + 0.05
    assert found.after < 0.25 < found.before
    # In the network itself, float32, as it is saved and exported.
    with torch.no_grad():
        scores = known.head_joint(torch.from_numpy(embeddings_of(DEV)).float())[:, 0].sigmoid().numpy()
    assert d_eer(scores, [sample.is_real for sample in DEV]).rate == pytest.approx(found.after)
    assert all(torch.equal(known.state_dict()[key], value) for key, value in others.items())


def test_c_is_chosen_by_the_attacks_left_out_and_seen(known: CmflNet) -> None:
    found = refit_head(known, TrainConfig(), TRAIN, DEV)
    # By hand, for one C: fit without an attack, judge by it and dev's photographs; fit to all, judge by dev.
    rates = []
    everything = Problem(embeddings_of(TRAIN), TRAIN).fit(1e-2)
    for attack in ("gan", "sd"):
        kept = [n for n, sample in enumerate(TRAIN) if sample.attack_type != attack]
        gone = [n for n, sample in enumerate(TRAIN) if sample.attack_type == attack]
        real = [n for n, sample in enumerate(DEV) if sample.is_real]
        linear = Problem(embeddings_of(TRAIN)[kept], [TRAIN[n] for n in kept]).fit(1e-2)
        scores = linear(np.concatenate([embeddings_of(TRAIN)[gone], embeddings_of(DEV)[real]]))
        labels = np.arange(len(scores)) >= len(gone)
        rates.append(d_eer(1 / (1 + np.exp(-scores)), labels).rate)
        seen = [n for n, sample in enumerate(DEV) if sample.is_real or sample.attack_type == attack]
        scores = everything(embeddings_of(DEV)[seen])
        rates.append(d_eer(1 / (1 + np.exp(-scores)), [DEV[n].is_real for n in seen]).rate)
    assert found.rates[1e-2] == pytest.approx(np.mean(rates), abs=1e-3)


def test_the_smallest_c_that_is_not_clearly_worse() -> None:
    # Against the last one: clearly worse, worse by chance, the best.
    folds = [{0.1: 0.30, 1.0: 0.21, 10.0: 0.20}, {0.1: 0.33, 1.0: 0.19, 10.0: 0.20}]
    rates = {c: sum(fold[c] for fold in folds) / 2 for c in folds[0]}
    assert module._smallest_within_an_error(folds, rates) == 1.0


def test_a_c_that_is_given(known: CmflNet) -> None:
    found = refit_head(known, TrainConfig(), TRAIN, DEV, c=0.02)
    assert (found.c, found.rates, found.attacks) == (0.02, {}, ())
    assert found.lines()[0] == "joint head refitted to 140 images, C 0.02 as given"
    assert found.after < found.before


def test_an_attack_that_dev_lacks_counts_by_what_is_left_out(known: CmflNet) -> None:
    dev = [sample for sample in DEV if sample.attack_type != "sd"]
    assert module._rates_of("sd", {}, embeddings_of(dev), dev) == {}
    assert refit_head(known, TrainConfig(), TRAIN, dev).attacks == ("gan", "sd")


def test_the_heads_of_the_branches(known: CmflNet) -> None:
    found = refit_head(known, TrainConfig(), TRAIN, DEV, c=0.02, branches=True)
    assert set(found.of_branches) == {"rgb", "spectrum"}
    assert [line for line in found.lines() if "refitted" in line][2].startswith(
        "spectrum head refitted to 140"
    )
    for head, part in ((known.head_rgb, slice(WIDTH)), (known.head_spectrum, slice(WIDTH, None))):
        linear = Problem(embeddings_of(TRAIN)[:, part], TRAIN).fit(0.02)
        weight = head.weight[0].detach().numpy()
        np.testing.assert_allclose(weight, linear.weight, rtol=1e-3, atol=1e-6)
    assert found.metrics({"dev_d_eer_rgb": 0.5})["dev_d_eer_rgb"] == found.of_branches["rgb"].after


def test_what_sending_takes_away_counts_less(known: CmflNet) -> None:
    found = refit_head(known, TrainConfig(), TRAIN, DEV, c=0.02)
    firm = refit_head(known, TrainConfig(), TRAIN, DEV, c=0.02, resend=2)
    assert (found.images, firm.images) == (140, 420)
    # Of the images as they are and as they arrive.
    x = np.concatenate([embeddings_of(TRAIN, number) for number in range(3)])
    linear = Problem(x, [*TRAIN] * 3).fit(0.02)
    weight = known.head_joint.weight[0].detach().numpy()
    np.testing.assert_allclose(weight, linear.weight, rtol=1e-3, atol=1e-6)
    before = Problem(embeddings_of(TRAIN), TRAIN).fit(0.02).weight
    assert weight[0] > 0 > weight[1]
    assert weight[1] / weight[0] > 0.7 * before[1] / before[0]


def test_with_one_attack_dev_decides(known: CmflNet) -> None:
    samples = [sample for sample in TRAIN if sample.attack_type != "sd"]
    found = refit_head(known, TrainConfig(), samples, DEV)
    assert found.attacks == ()
    assert found.after == found.rates[found.c] == min(found.rates.values())
    assert "C by the D-EER on dev:" in found.lines()[0]


def test_the_report(known: CmflNet) -> None:
    found = refit_head(known, TrainConfig(), TRAIN, DEV)
    first, *rows, last = found.lines()
    assert first.startswith(
        "joint head refitted to 140 images, C by the mean D-EER of gan, sd, each left out"
    )
    assert len(rows) == len(CS)
    (chosen,) = [row for row in rows if row.endswith("chosen")]
    assert chosen.split() == ["C", f"{found.c:g}", f"{100 * found.rates[found.c]:.1f}", "%", "chosen"]
    assert last == f"dev D-EER {100 * found.before:.1f} % before, {100 * found.after:.1f} % after"


def weights_in(folder: Path, **changes: Any) -> Path:
    config = TrainConfig(protocol="elsewhere", batch_size=5, **changes)
    torch.manual_seed(0)
    net = CmflNet(config.architecture, config.spectra)
    metrics = {"epoch": 2.0, "dev_loss": 0.5, "dev_d_eer": 0.5, "dev_d_eer_rgb": 0.4, "loo_d_eer": 0.3}
    save_weights(net, folder / "best.safetensors", config, metrics)
    return folder / "best.safetensors"


@pytest.mark.usefixtures("small_trunk")
def test_the_command(tiny_data: tuple[Path, Path], tmp_path: Path) -> None:
    (protocol, root), before = tiny_data, weights_in(tmp_path)
    out = tmp_path / "out.safetensors"
    options = ["--protocol", str(protocol), "--data-root", str(root), "--workers", "0", "-o", str(out)]
    result = CliRunner().invoke(app, ["refit", str(tmp_path), *options])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "joint head refitted to 12 images, C by the D-EER on dev:"
    assert lines[-1] == f"weights: {out}"
    old, new = load_weights(before), load_weights(out)
    changed = {
        key for key, value in new.net.state_dict().items() if not value.equal(old.net.state_dict()[key])
    }
    assert changed == {"head_joint.weight", "head_joint.bias"}
    assert new.config == old.config | {"refit_head": True}
    # Figures of the old joint head are gone, those of the branches hold.
    names = {"epoch", "dev_d_eer_rgb", "dev_d_eer", "refit_c", "refit_images", "refit_protocol"}
    assert set(new.metrics) == names
    assert new.metrics["refit_protocol"] == "protocol"


@pytest.mark.usefixtures("small_trunk")
def test_images_that_were_sent(tiny_data: tuple[Path, Path], tmp_path: Path) -> None:
    (protocol, root), before = tiny_data, weights_in(tmp_path)
    data: dict[str, Any] = {"protocol": str(protocol), "data_root": str(root), "c": 0.1}
    for name, resend in (("plain", 0), ("sent", 1), ("again", 1)):
        refit(before, tmp_path / f"{name}.safetensors", resend=resend, workers=0, **data)
    plain, sent, again = (
        load_weights(tmp_path / f"{name}.safetensors").net.head_joint.weight
        for name in ("plain", "sent", "again")
    )
    assert not torch.equal(plain, sent)
    assert torch.equal(sent, again)


@pytest.mark.usefixtures("small_trunk")
def test_a_one_stream_network(tiny_data: tuple[Path, Path], tmp_path: Path) -> None:
    (protocol, root) = tiny_data
    before = weights_in(tmp_path, architecture="one_stream", spectra="rgb", loss="bce")
    out = tmp_path / "out.safetensors"
    refit(before, out, protocol=str(protocol), data_root=str(root), workers=0)
    assert load_weights(out).net.head_joint.weight.shape == (1, WIDTH)


@pytest.mark.usefixtures("small_trunk")
def test_what_cannot_be_refitted(tiny_data: tuple[Path, Path], tmp_path: Path) -> None:
    (protocol, root), before = tiny_data, weights_in(tmp_path)
    data: dict[str, Any] = {"protocol": str(protocol), "data_root": str(root)}
    with pytest.raises(CmflError, match="the weights file itself"):
        refit(tmp_path, before, **data)
    with pytest.raises(CmflError, match=r"\.safetensors"):
        refit(tmp_path, tmp_path / "out.onnx", **data)
    with pytest.raises(CmflError, match="resend must be at least 0, not -1"):
        refit(tmp_path, tmp_path / "out.safetensors", resend=-1, **data)
    with pytest.raises(CmflError, match="C must be above 0, not 0"):
        refit(tmp_path, tmp_path / "out.safetensors", c=0.0, **data)
    with pytest.raises(CmflError, match="no attack 'gan' to leave out; it has: stripes"):
        refit(tmp_path, tmp_path / "out.safetensors", leave_out_attacks="gan", **data)
    net = load_weights(before).net
    names = {"trunk_rgb": "enc_rgb", "trunk_spectrum": "enc_f", "head_joint": "linear"}
    names |= {"head_rgb": "linear_rgb", "head_spectrum": "linear_f"}
    state = {
        names[key.partition(".")[0]] + "." + key.partition(".")[2]: v for key, v in net.state_dict().items()
    }
    torch.save({"state_dict": state}, tmp_path / "official.pth")
    with pytest.raises(CmflError, match="official checkpoint"):
        refit(tmp_path / "official.pth", tmp_path / "out.safetensors", **data)
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.usefixtures("small_trunk")
def test_at_the_end_of_a_run(
    tiny_data: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    protocol, root = tiny_data
    config = TrainConfig(protocol=str(protocol), data_root=str(root), epochs=1, batch_size=4, workers=0)
    plain = train(config, tmp_path / "run", progress=False)
    assert plain.refit is None
    assert not (tmp_path / "run/refitted.safetensors").exists()
    # Also of a run that is over: it is resumed for nothing but the head.
    config = replace(config, refit_head=True)
    run = train(config, tmp_path / "run", resume=True, progress=False)
    assert len(run.rows) == 1
    assert run.refit is not None
    assert run.lines()[-1] == f"refitted weights: {tmp_path}/run/refitted.safetensors"
    refitted, best = (load_weights(path).net for path in (run.folder / "refitted.safetensors", run.best))
    assert not torch.equal(refitted.head_joint.weight, best.head_joint.weight)
    assert torch.equal(refitted.head_rgb.weight, best.head_rgb.weight)
    # The same as the command makes of the run.
    again = refit(
        run.folder, tmp_path / "again.safetensors", protocol=str(protocol), data_root=str(root), workers=0
    )
    assert again.c == run.refit.c
    torch.testing.assert_close(
        load_weights(tmp_path / "again.safetensors").net.head_joint.weight, refitted.head_joint.weight
    )
