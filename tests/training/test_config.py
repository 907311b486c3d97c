"""TrainConfig: TOML round trip, refusals, presets, and how options lie over a base."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmfl_export.base.errors import CmflError
from training.config import PRESETS, TrainConfig, make_config

ONE_STREAM = {"architecture": "one_stream", "spectra": "rgb", "loss": "bce"}


def test_paper_preset_is_the_official_script() -> None:
    """METHOD, "Values in the official training script", and its argument defaults."""
    paper = PRESETS["paper"]
    assert (paper.optimizer, paper.lr, paper.weight_decay) == ("adam", 1e-4, 1e-5)
    assert (paper.epochs, paper.seed, paper.save_every, paper.best_by) == (25, 4, 5, "dev_loss")
    assert (paper.alpha, paper.gamma, paper.multiplier, paper.beta) == (1.0, 3.0, 2.0, 0.5)
    assert (paper.augment, paper.augment_dev, paper.batch_size, paper.workers) == (0.5, False, 1, 16)
    assert (paper.precision, paper.schedule, paper.clip, paper.accumulate) == ("fp32", "constant", 0.0, 1)
    assert (paper.architecture, paper.spectra, paper.loss, paper.pretrained) == (
        "two_stream",
        "multi",
        "cmfl",
        False,
    )
    assert not paper.standardise_spectrum


@given(
    protocol=st.text(),
    lr=st.floats(1e-12, 10, allow_nan=False),
    epochs=st.integers(1, 10**6),
    clip=st.floats(0, 1e9),
    pretrained=st.booleans(),
)
def test_toml_round_trip(protocol: str, lr: float, epochs: int, clip: float, pretrained: bool) -> None:
    config = TrainConfig(protocol=protocol, lr=lr, epochs=epochs, clip=clip, pretrained=pretrained)
    assert config == _through_toml(config)


def _through_toml(config: TrainConfig) -> TrainConfig:
    import tomllib

    return TrainConfig.from_dict(tomllib.loads(config.to_toml()))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"architecture": "three_stream"}, "two_stream"),
        ({"architecture": "one_stream", "loss": "bce"}, "does not go with"),
        ({"spectra": "rgb", "architecture": "one_stream"}, "two branches"),
        ({"epochs": 0}, "at least 1"),
        ({"lr": -1.0}, "greater than 0"),
        ({"augment": 1.5}, "between 0 and 1"),
        ({"beta": -0.1}, "between 0 and 1"),
        ({"label_smoothing": 1.1}, "between 0 and 1"),
        ({"seed": -1}, "not be negative"),
        ({"epochs": 2.5}, "of type int"),
        ({"epochs": True}, "of type int"),
        ({"aligned": 1}, "of type bool"),
        ({"data_root": "faces\udcff"}, "rename the folder"),
        ({"crop": 112}, "with spectra rgb alone"),
        ({"crop": 16, "spectra": "rgb", "architecture": "one_stream", "loss": "bce"}, "from 32 to 224"),
        ({"init": "runs/a", "pretrained": True}, "give one of"),
        ({"spectrum_lr": -1.0}, "not be negative"),
        ({"band_gain": -1.0}, "not be negative"),
        (
            {"band_gain": 0.1, "spectra": "rgb", "architecture": "one_stream", "loss": "bce"},
            "needs a spectrum branch",
        ),
        (
            {"spectrum_lr": 0.1, "spectra": "fft", "architecture": "one_stream", "loss": "bce"},
            "needs two branches",
        ),
        ({"monitor": "loo_d_eer"}, "needs attacks to leave out"),
        ({"monitor": "loo_d_eer", "leave_out": " ,"}, "needs attacks to leave out"),
        (
            {"standardise_spectrum": True, "spectra": "rgb", "architecture": "one_stream", "loss": "bce"},
            "needs a spectrum branch",
        ),
        *(
            ({name: value}, f"{name} is {value}; it must be a finite number")
            for name in (
                "lr",
                "alpha",
                "multiplier",
                "gamma",
                "clip",
                "weight_decay",
                "average",
                "face_scale",
            )
            for value in (float("nan"), float("inf"))
        ),
        ({"resend": 1.5}, "resend is 1.5; it must lie between"),
        ({"teacher": "runs/t", **ONE_STREAM, "spectra": "fft"}, "teacher needs an RGB branch"),
        ({"backbone_weights": "file"}, "needs the name of the network"),
        ({"backbone": "resnet18"}, "sees the image alone"),
        (
            {"backbone": "resnet18", **ONE_STREAM, "init": "a", "refit_head": True},
            "init, refit_head does not go",
        ),
        ({"backbone": "resnet18", **ONE_STREAM, "stem": "dct"}, "stem does not go with backbone"),
        ({"epochs": 10**30}, "finite number of up to 64 bits"),
    ],
)
def test_refusals_name_the_field(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(CmflError, match=word):
        replace(TrainConfig(), **changes)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a." * 20_000 + "a = 1", "config.toml: not TOML: a key has more than 8 parts"),
        ("lr = nan", "lr is nan; it must be a finite number"),
        ("lr = 1e999", "lr is inf; it must be a finite number"),
        ("epochs = ", "not TOML"),
        ("epoch = 3\n", "unknown keys: epoch"),
        ('epochs = "3"\n', "of type int"),
    ],
)
def test_unusable_files(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(CmflError, match=word):
        TrainConfig.from_toml(path)
    with pytest.raises(CmflError, match="cannot be read"):
        TrainConfig.from_toml(tmp_path / "none.toml")


def test_options_lie_over_the_base(tmp_path: Path) -> None:
    assert make_config("paper", epochs=3, lr=None) == replace(PRESETS["paper"], epochs=3)
    path = tmp_path / "config.toml"
    path.write_text("epochs = 7\nlr = 1\n")
    assert make_config(file=path, seed=9) == TrainConfig(epochs=7, lr=1, seed=9)
    with pytest.raises(CmflError, match="not both"):
        make_config("paper", path)
    with pytest.raises(CmflError, match="there is: paper"):
        make_config(cast(Any, "papers"))


def test_baselines_need_one_option() -> None:
    fft = make_config(spectra="fft")
    assert (fft.architecture, fft.spectra, fft.loss) == ("one_stream", "fft", "bce")
    for rgb in (make_config("paper", architecture="one_stream"), make_config(backbone="resnet18")):
        assert (rgb.architecture, rgb.spectra, rgb.loss) == ("one_stream", "rgb", "bce")


def test_what_the_best_epoch_is_chosen_by() -> None:
    assert TrainConfig().best_by == "dev_loss"
    assert TrainConfig(leave_out="a, b/c").best_by == "loo_d_eer"
    assert TrainConfig(leave_out="a, b/c").attacks_left_out == ["a", "b/c"]
    assert TrainConfig(leave_out="a", monitor="dev_d_eer").best_by == "dev_d_eer"


def test_every_field_has_a_default_and_a_plain_type() -> None:
    assert {type(getattr(TrainConfig(), field.name)) for field in fields(TrainConfig)} <= {
        str,
        int,
        float,
        bool,
    }
