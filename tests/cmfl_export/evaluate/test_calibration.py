"""Calibration: the temperature, the threshold's rules, the card, and who may not be measured with it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from cmfl_export import Detector
from cmfl_export.base.errors import CmflError
from cmfl_export.evaluate.calibration import Calibration, calibrate, fit_temperature, refuse_overlap, scaled
from cmfl_export.runtime.card import SCHEMA_VERSION
from cmfl_export.runtime.session import read_card
from protocols import read_split, write_split
from tests.cmfl_export import graded


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    return graded.make(tmp_path, split="dev")


def run(tiny: Path, dev: Path, out: Path | None = None, **options: Any) -> Calibration:
    root = dev.parent.parent
    return calibrate(tiny, out or root / "new.onnx", protocol=dev, data_root=root, **options)


class TestTemperature:
    def test_finds_the_one_that_the_scores_were_made_with(self) -> None:
        rng = np.random.default_rng(0)
        logits = rng.normal(0, 2, 200_000)
        is_real = rng.random(200_000) < 1 / (1 + np.exp(-logits))
        for temperature in (0.5, 1.0, 3.0):
            p = 1 / (1 + np.exp(-logits * temperature))
            assert fit_temperature(p, is_real) == pytest.approx(temperature, rel=0.03)

    def test_the_mix_of_classes_does_not_matter(self) -> None:
        p = np.array([0.9, 0.8, 0.3, 0.2, 0.6])
        is_real = np.array([True, True, True, False, False])
        more_fakes = np.r_[p, np.tile(p[3:], 9)], np.r_[is_real, np.zeros(18, bool)]
        assert fit_temperature(*more_fakes) == pytest.approx(fit_temperature(p, is_real), rel=1e-4)

    @pytest.mark.parametrize(
        ("p", "temperature"),
        [([1.0, 0.0], 0.05), ([0.9, 0.1], 0.05), ([0.0, 1.0], 20.0), ([0.1, 0.9], 20.0)],
    )
    def test_stays_within_bounds_where_the_data_set_none(self, p: list[float], temperature: float) -> None:
        found = fit_temperature(np.array(p), np.array([True, False]))
        assert found == pytest.approx(temperature, rel=1e-3)

    def test_scaling_is_of_logits(self) -> None:
        found = scaled(np.array([0.0, 0.2, 0.8, 1.0]), 2.0)
        np.testing.assert_allclose(found, [0.0, 1 / 3, 2 / 3, 1.0])


class TestRules:
    def test_d_eer(self, tiny: Path, dev: Path) -> None:
        """Two reals (90, 100) and two fakes (160, 205) overlap: 20 % at a threshold between 100 and 160."""
        found = run(tiny, dev)
        assert found.after["apcer"] == found.after["bpcer"] == pytest.approx(0.2)

    def test_apcer(self, tiny: Path, dev: Path) -> None:
        """At most 1 of 10 attacks: a threshold above 160; of the reals 90 and 100 are lost."""
        found = run(tiny, dev, at="apcer:0.1")
        assert found.after["apcer"] == pytest.approx(0.1)
        assert found.after["bpcer"] == pytest.approx(0.2)
        found = run(tiny, dev, at="apcer:0")
        assert found.after["apcer"] == 0.0
        assert found.after["bpcer"] == pytest.approx(0.5)

    def test_bpcer(self, tiny: Path, dev: Path) -> None:
        found = run(tiny, dev, at="bpcer:0")
        assert found.after["apcer"] == pytest.approx(0.2)
        assert found.after["bpcer"] == 0.0

    def test_no_threshold_turns_a_certain_error_away(self, tiny: Path, dev: Path) -> None:
        """A white attack scores 1, and only a threshold above 1 would call it synthetic."""
        Image.new("RGB", (224, 224), "white").save(dev.parent.parent / "gan_y/205.png")
        with pytest.raises(CmflError, match=r"no threshold up to 1 reaches apcer:0: 1 synthetic image"):
            run(tiny, dev, at="apcer:0")

    @pytest.mark.parametrize("at", ["eer", "apcer", "apcer:", "apcer:x", "apcer:1.5", "bpcer:nan", "d-eer:1"])
    def test_refuses_others(self, at: str, tiny: Path, dev: Path) -> None:
        with pytest.raises(CmflError, match="use d-eer, apcer:X, bpcer:X or band:apcer=X,bpcer=Y"):
            run(tiny, dev, at=at)


class TestFile:
    def test_a_minimum_resolution(self, tiny: Path, dev: Path, tmp_path: Path) -> None:
        first = run(tiny, dev, minimum_resolution=80)
        assert read_card(first.out).minimum_resolution == 80
        assert "a face needs 80 pixels of the image (low_resolution)" in first.lines()
        again = run(first.out, dev, tmp_path / "again.onnx")
        assert again.card.minimum_resolution == 80
        none = run(first.out, dev, tmp_path / "none.onnx", minimum_resolution=0)
        assert none.card.minimum_resolution == 0
        assert none.card.history[-1]["minimum_resolution"] == 80

    def test_the_detector_decides_by_it(self, tiny: Path, dev: Path) -> None:
        found = run(tiny, dev, at="bpcer:0")
        old, new = Detector(tiny), Detector(found.out)
        image = dev.parent.parent / "real_b/90.png"
        before, after = old.predict(image), new.predict(image)
        assert (before.decision, after.decision) == ("synthetic", "real")
        assert found.card.temperature != 1.0
        assert before.p_real is not None
        logit = math.log(before.p_real / (1 - before.p_real)) / found.card.temperature
        assert after.p_real == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-6)
        # The branches have no say in the decision; their scores stay as they are.
        assert (after.p_real_rgb, after.p_real_spectrum) == (before.p_real_rgb, before.p_real_spectrum)

    def test_graph_and_other_metadata_are_untouched(self, tiny: Path, dev: Path, tmp_path: Path) -> None:
        model = onnx.load(tiny)
        model.metadata_props.add(key="owner", value="a lab")
        onnx.save(model, tmp_path / "owned.onnx")
        found = run(tmp_path / "owned.onnx", dev)
        before, after = onnx.load(tmp_path / "owned.onnx"), onnx.load(found.out)
        assert before.graph == after.graph
        assert {item.key: item.value for item in after.metadata_props}["owner"] == "a lab"

    def test_the_card_says_on_what_and_remembers(self, tiny: Path, dev: Path) -> None:
        first = run(tiny, dev)
        second = run(first.out, dev, dev.parent / "second.onnx", at="apcer:0.1")
        card = read_card(second.out)
        assert card == second.card
        assert card.schema == SCHEMA_VERSION
        assert card.threshold_source == "apcer:0.1 on protocol/dev"
        assert card.calibration["images"] == 20
        assert [entry["threshold_source"] for entry in card.history] == [
            "made up for a test",
            "d-eer on protocol/dev",
        ]
        assert card.history[1]["threshold"] == first.card.threshold
        # The data are the same, so the second fit finds nothing to add to the first.
        assert card.temperature == pytest.approx(first.card.temperature, rel=1e-3)
        assert "subjects" not in " ".join(card.lines())

    def test_makes_the_scores_more_likely(self, tiny: Path, dev: Path) -> None:
        found = run(tiny, dev)
        assert found.nll_before is not None
        assert found.nll_after is not None
        assert found.nll_after < found.nll_before
        assert found.after["auc"] == pytest.approx(found.before["auc"])

    def test_not_over_itself(self, tiny: Path, dev: Path) -> None:
        with pytest.raises(CmflError, match="is the model itself, which would be overwritten"):
            run(tiny, dev, tiny)

    def test_images_without_a_score_are_left_out(self, tiny: Path, dev: Path) -> None:
        (dev.parent.parent / "gan_x/10.png").unlink()
        found = run(tiny, dev)
        assert (found.images, found.failed) == (19, 1)
        assert "1 image without a score left out" in found.lines()

    def test_a_class_without_a_score(self, tiny: Path, dev: Path) -> None:
        for folder in ("gan_x", "gan_y"):
            for path in (dev.parent.parent / folder).iterdir():
                path.unlink()
        with pytest.raises(CmflError, match="a class has no image with a score"):
            run(tiny, dev)


class TestOverlap:
    def test_not_on_the_split_that_is_reported(self, tiny: Path, dev: Path) -> None:
        with pytest.raises(CmflError, match="is the split that will be reported"):
            run(tiny, dev.rename(dev.with_name("eval.csv")))

    def test_not_on_people_of_the_split_that_is_reported(self, tiny: Path, dev: Path) -> None:
        write_split(read_split(dev)[4:6], dev.with_name("eval.csv"))
        with pytest.raises(CmflError, match=r"2 subjects of .*, such as 'real_a-210', are in .*eval"):
            run(tiny, dev)

    def test_an_evaluation_on_the_same_people_is_refused(self, tiny: Path, dev: Path) -> None:
        card = run(tiny, dev).card
        with pytest.raises(CmflError, match=r"20 subjects of this split, .* evaluate on other subjects"):
            refuse_overlap(card, read_split(dev), chosen=True)
        (warning,) = refuse_overlap(card, read_split(dev), chosen=False)
        assert "too good" in warning

    def test_other_people_are_no_matter(self, tiny: Path, dev: Path, tmp_path: Path) -> None:
        card = run(tiny, dev).card
        others = read_split(graded.make(tmp_path / "other", prefix="other-"))
        assert refuse_overlap(card, others, chosen=True) == []
        assert refuse_overlap(read_card(tiny), read_split(dev), chosen=True) == []


class TestBand:
    def test_both_wishes_hold_and_the_rest_is_uncertain(self, tiny: Path, dev: Path) -> None:
        """Of the attacks 205 may pass, so real begins between 205 and 210; of the reals 90 may be refused, so
        synthetic ends between 90 and 100: 160 and 205, 100, 180, 190 and 200 are uncertain at 0 of both."""
        found = run(tiny, dev, at="band:apcer=0,bpcer=0")
        card = found.card
        assert card.band is not None
        assert card.band[0] <= card.threshold <= card.band[1]
        detector = Detector(found.out)
        root = dev.parent.parent
        decided = {
            sample.filename: detector.predict(root / sample.filename).decision for sample in read_split(dev)
        }
        assert {name for name, decision in decided.items() if decision == "uncertain"} == {
            *("real_b/90.png", "real_b/100.png", "real_b/180.png", "real_b/190.png", "real_b/200.png"),
            *("gan_y/160.png", "gan_y/205.png"),
        }
        assert detector.rule == card.rule
        assert found.responses is not None
        assert found.responses["attacks_called_real"] == found.responses["real_called_synthetic"] == 0
        assert found.responses["apnrr"] == pytest.approx(0.2)
        assert found.responses["bpnrr"] == pytest.approx(0.5)
        text = "\n".join(found.lines())
        assert "APNRR 20.0 %, BPNRR 50.0 %, images answered 65.0 %, APCER of the answered 0.0 %" in text
        assert "else uncertain" in card.labels

    def test_limits_are_of_all_images_of_a_class(self, tiny: Path, dev: Path) -> None:
        """No attack lies between 90 and 100, so that to refuse 90 would win nothing."""
        found = run(tiny, dev, at="band:bpcer=0.1,apcer=0.1")
        assert found.responses is not None
        assert found.responses["attacks_called_real"] == pytest.approx(0.1)
        assert found.responses["real_called_synthetic"] == 0
        assert found.responses["apnrr"] == pytest.approx(0.1)

    def test_where_one_threshold_is_enough_there_is_no_band(self, tiny: Path, dev: Path) -> None:
        found = run(tiny, dev, at="band:apcer=0.3,bpcer=0.3")
        assert found.card.band is None
        assert found.responses is None
        assert found.after["apcer"] <= 0.3
        assert found.after["bpcer"] <= 0.3
        assert "no band, as one threshold keeps both limits" in found.card.threshold_source

    def test_the_next_calibration_takes_it_away_and_remembers(self, tiny: Path, dev: Path) -> None:
        first = run(tiny, dev, at="band:apcer=0,bpcer=0")
        second = run(first.out, dev, dev.parent / "second.onnx")
        assert read_card(second.out).band is None
        assert second.card.history[-1]["band"] == first.card.band
        assert second.card.labels == read_card(tiny).labels

    @pytest.mark.parametrize(
        "at",
        [
            *("band", "band:", "band:0.1", "band:apcer=0.1", "band:apcer=0.1,apcer=0.2"),
            *("band:apcer=0.1,bpcer=2", "band:apcer=0.1,bpcer=0.1,d-eer=1", "apcer:0.1,0.2"),
        ],
    )
    def test_refuses_others(self, at: str, tiny: Path, dev: Path) -> None:
        with pytest.raises(CmflError, match="use d-eer, apcer:X, bpcer:X or band:apcer=X,bpcer=Y"):
            run(tiny, dev, at=at)


class TestPhotographsAlone:
    @pytest.fixture
    def alone(self, dev: Path) -> Path:
        write_split([sample for sample in read_split(dev) if sample.is_real], dev)
        return dev

    def test_the_upper_bound_of_bpcer_keeps_the_limit(self, tiny: Path, alone: Path) -> None:
        """Of 10 images one error has the bound 0.39 and two 0.51: so 90 alone is refused."""
        found = run(tiny, alone, at="bpcer:0.4")
        assert 90 / 255 < found.card.threshold < 100 / 255
        assert found.after == {"bpcer": pytest.approx(0.1)}
        assert found.card.temperature == read_card(tiny).temperature
        bound = found.card.calibration["bpcer_upper_95"]
        assert bound == pytest.approx(0.394, abs=1e-3)
        assert found.card.calibration["temperature"] == "kept"
        assert "on real images alone, by the upper 95 % bound" in found.card.threshold_source
        assert "Clopper-Pearson, one-sided" in found.card.threshold_source
        text = "\n".join(found.lines())
        assert "temperature 1, kept" in text
        assert "its upper 95 % bound 39.4 %; APCER unknown" in text
        assert read_card(found.out) == found.card
        with pytest.raises(CmflError, match="evaluate on other subjects"):
            refuse_overlap(found.card, read_split(alone, allow_one_class=True), chosen=True)

    def test_too_few_of_them(self, tiny: Path, alone: Path) -> None:
        with pytest.raises(
            CmflError, match=r"10 real images are too few for bpcer:0\.01: .* give 299 or more"
        ):
            run(tiny, alone, at="bpcer:0.01")
        with pytest.raises(CmflError, match="no number of them can show a BPCER of 0"):
            run(tiny, alone, at="bpcer:0")

    @pytest.mark.parametrize("at", ["d-eer", "apcer:0.1", "band:apcer=0.1,bpcer=0.1"])
    def test_other_rules_need_attacks(self, at: str, tiny: Path, alone: Path) -> None:
        with pytest.raises(
            CmflError, match=f"{at} needs both classes.*choose the threshold with --at bpcer:X"
        ):
            run(tiny, alone, at=at)

    @pytest.mark.parametrize("at", ["d-eer", "bpcer:0.4"])
    def test_attacks_alone_are_refused(self, at: str, tiny: Path, dev: Path) -> None:
        write_split([sample for sample in read_split(dev) if not sample.is_real], dev)
        with pytest.raises(CmflError, match="no real image, and attacks alone say nothing"):
            run(tiny, dev, at=at)

    def test_attacks_without_a_score_are_no_photographs_alone(self, tiny: Path, dev: Path) -> None:
        for folder in ("gan_x", "gan_y"):
            for path in (dev.parent.parent / folder).iterdir():
                path.unlink()
        with pytest.raises(CmflError, match="a class has no image with a score"):
            run(tiny, dev, at="bpcer:0.4")
