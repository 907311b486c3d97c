from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from cmfl_export.base.errors import CmflError
from protocols import Sample, write_split
from protocols.check import check
from protocols.check_report import CheckReport
from protocols.shortcuts import Level

COUNTS = {"train": 20, "dev": 12}


def scene(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    canvas = np.zeros((64, 64, 3))
    for side in (4, 8, 16, 32):
        layer = Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8))
        canvas += np.asarray(layer.resize((64, 64), Image.Resampling.BICUBIC), np.float64) / 4
    return Image.fromarray(canvas.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def fair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with a protocol in it, both classes made alike."""
    root = tmp_path_factory.mktemp("fair")
    seed = 0
    for split, count in COUNTS.items():
        samples = []
        for attack in ("", "gan"):
            for number in range(count):
                name = f"{split}{attack}{number}.jpg"
                scene(seed := seed + 1).save(root / name)
                samples.append(Sample(f"{attack}{split}{number}", name, attack))
        write_split(samples, root / "p" / f"{split}.csv")
    return root


@pytest.fixture
def root(fair: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(fair, tmp_path / "data"))


def found(root: Path, **options: Any) -> CheckReport:
    return check(root / "p", root, shortcuts=False, **options)


def add(root: Path, split: str, *samples: Sample) -> None:
    path = root / "p" / f"{split}.csv"
    rows = [f"{one.subject},{one.filename},{one.attack_type}\n" for one in samples]
    path.write_text(path.read_text() + "".join(rows))


def test_a_fair_protocol_passes_and_names_its_counts(fair: Path) -> None:
    report = check(fair / "p", fair)
    assert report.ok
    assert report.failures == report.warnings == []
    assert [(one.split, one.real, one.attacks) for one in report.splits] == [
        ("train", 20, {"gan": 20}),
        ("dev", 12, {"gan": 12}),
    ]
    assert report.images == report.audited == 64
    assert report.lines()[-1] == "ok"
    assert {one.level for one in report.shortcuts} == {Level.OK}


def test_one_file_is_a_protocol_of_one_split(fair: Path) -> None:
    report = check(fair / "p" / "dev.csv", fair, shortcuts=False)
    assert report.ok
    assert [one.split for one in report.splits] == ["dev"]


def test_missing_and_broken_files_are_named_and_fail(root: Path) -> None:
    (root / "train3.jpg").unlink()
    (root / "devgan1.jpg").write_bytes((root / "devgan1.jpg").read_bytes()[:300])
    (root / "dev2.jpg").write_text("no image")
    report = found(root)
    assert not report.ok
    assert [(one.split, one.filename) for one in report.problems] == [
        ("train", "train3.jpg"),
        ("dev", "dev2.jpg"),
        ("dev", "devgan1.jpg"),
    ]
    assert "3 files cannot be used" in report.lines()[-1]
    assert any("train3.jpg (no such file)" in line for line in report.lines())


def test_no_file_at_all_is_a_finding_too(fair: Path, tmp_path: Path) -> None:
    report = check(fair / "p", tmp_path)
    assert len(report.problems) == 64
    assert any("and 59 more" in line for line in report.lines())


def one_subject_in_two_splits(root: Path) -> None:
    scene(999).save(root / "elsewhere.jpg")
    add(root, "dev", Sample("train1", "elsewhere.jpg", ""))


SPOILS: dict[str, tuple[Callable[[Path], object], str]] = {
    "identical, two splits": (
        lambda root: shutil.copy(root / "train1.jpg", root / "dev1.jpg"),
        "leakage: 1 picture in two splits",
    ),
    "smaller and re-encoded, two splits": (
        lambda root: Image.open(root / "train1.jpg").resize((48, 48)).save(root / "dev1.jpg", quality=60),
        "leakage: 1 picture in two splits",
    ),
    "mirrored, two splits": (
        lambda root: ImageOps.mirror(Image.open(root / "train1.jpg")).save(root / "devgan1.jpg"),
        "leakage: 1 picture in two splits",
    ),
    "both classes": (
        lambda root: Image.open(root / "train1.jpg").save(root / "traingan4.jpg", quality=60),
        "leakage: 1 picture in both classes of a split",
    ),
    "the same file in two splits": (
        lambda root: add(root, "dev", Sample("another", "train1.jpg", "")),
        "leakage: 1 picture in two splits",
    ),
    "subject": (
        one_subject_in_two_splits,
        "leakage: 1 subject in two splits",
    ),
}


@pytest.mark.parametrize("name", SPOILS)
def test_leakage_fails(root: Path, name: str) -> None:
    spoil, verdict = SPOILS[name]
    spoil(root)
    report = found(root)
    assert report.failures == [verdict]
    assert report.lines()[-1] == f"NOT OK: {verdict}"


def test_a_repetition_within_a_split_and_class_is_a_warning(root: Path) -> None:
    shutil.copy(root / "train1.jpg", root / "train2.jpg")
    shutil.copy(root / "train1.jpg", root / "train5.jpg")
    report = found(root)
    assert report.ok
    assert report.warnings == ["1 picture more than once within a split and class"]
    (group,) = report.duplicates
    assert group.identical
    assert [use.sample.filename for use in group.uses] == ["train1.jpg", "train2.jpg", "train5.jpg"]


def test_another_encoder_for_one_class_fails(root: Path) -> None:
    for path in root.glob("traingan*.jpg"):
        Image.open(path).save(path, quality=80)
    report = check(root / "p", root)
    assert report.failures == ["shortcut: JPEG quality, file properties together"]
    lines = report.lines()
    assert any(line.split()[:3] == ["SHORTCUT", "JPEG", "quality"] and "train" in line for line in lines)
    assert any("(real 75, synthetic 80)" in line and "one encoder" in line for line in lines)


def test_strict_fails_what_is_suspicious(tmp_path: Path) -> None:
    samples = []
    for number in range(80):
        attack = "gan" if number % 2 else ""
        image = scene(number)
        if attack:
            small = image.resize((16, 16), Image.Resampling.BOX)
            image = small.resize(image.size, Image.Resampling.BICUBIC)
        image.save(tmp_path / f"{number}.jpg")
        samples.append(Sample(str(number), f"{number}.jpg", attack))
    write_split(samples, tmp_path / "train.csv")
    lenient, strict = (check(tmp_path / "train.csv", tmp_path, strict=strict) for strict in (False, True))
    assert lenient.ok
    assert lenient.lines()[-1].startswith("ok, but look into what is suspicious: ")
    assert "31 radial spectrum bins" in lenient.lines()[-1]
    assert not strict.ok
    assert "suspicious: " in strict.lines()[-1]
    assert "31 radial spectrum bins" in strict.lines()[-1]


def test_the_sample_is_limited_by_class_and_attack_and_the_seed_decides_it(fair: Path) -> None:
    first, again, other = (check(fair / "p", fair, limit=11, seed=seed) for seed in (0, 0, 1))
    assert first.audited == 4 * 11
    assert first == again
    assert first.shortcuts != other.shortcuts


def test_a_split_too_small_to_audit_is_named(root: Path) -> None:
    dev = (root / "p" / "dev.csv").read_text().splitlines()
    (root / "p" / "dev.csv").write_text("\n".join([*dev[:7], *dev[-9:]]))
    report = check(root / "p", root)
    assert {one.split for one in report.shortcuts} == {"train"}
    assert report.warnings == ["not audited, fewer than 10 images of a class: dev"]


def test_a_class_that_is_missing_fails_train_and_dev_but_not_eval(root: Path) -> None:
    dev = (root / "p" / "dev.csv").read_text().splitlines()
    real = [line for line in dev if line.endswith(",")]
    (root / "p" / "dev.csv").write_text("\n".join([dev[0], *real]))
    assert found(root).failures == ["only one class in dev"]
    (root / "p" / "dev.csv").rename(root / "p" / "eval.csv")
    assert found(root).ok


def test_imbalance_is_a_warning(root: Path) -> None:
    train = (root / "p" / "train.csv").read_text().splitlines()
    (root / "p" / "train.csv").write_text("\n".join(train[:-12]))
    report = found(root)
    assert report.ok
    assert report.warnings == ["train is unbalanced"]


def test_the_json_report_holds_everything(root: Path, tmp_path: Path) -> None:
    shutil.copy(root / "train1.jpg", root / "dev1.jpg")
    report = check(root / "p", root, out=tmp_path / "new" / "report.json")
    data = json.loads((tmp_path / "new" / "report.json").read_text())
    assert data["ok"] is False
    assert data["failures"] == report.failures
    assert data["duplicates"][0]["uses"][1]["sample"]["filename"] == "dev1.jpg"
    assert len(data["shortcuts"]) == len(report.shortcuts)
    assert {"auc", "low", "high", "level", "kind", "advice"} <= set(data["shortcuts"][0])


def test_progress_is_shown_when_asked_for(fair: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found(fair, workers=3)
    assert capsys.readouterr().err == ""
    found(fair, progress=True)
    assert "64/64" in capsys.readouterr().err


def test_a_file_name_cannot_write_to_the_terminal(root: Path) -> None:
    add(root, "train", Sample("s", "\x1b[2Jname.jpg", ""), Sample("t", "ü.jpg", "g\x1b[2Jan"))
    text = "".join(found(root).lines())
    assert "\x1b" not in text
    assert "\\x1b[2Jname.jpg" in text
    assert "ü.jpg" in text


def test_wrong_usage_is_an_error(fair: Path, tmp_path: Path) -> None:
    with pytest.raises(CmflError, match="data root"):
        check(fair / "p", fair / "nowhere")
    with pytest.raises(CmflError, match="limit of 9"):
        check(fair / "p", fair, limit=9)
    with pytest.raises(CmflError, match="none of train"):
        check(tmp_path, fair)
    with pytest.raises(CmflError, match="not found"):
        check(fair / "p" / "other.csv", fair)
