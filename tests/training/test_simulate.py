"""`simulate_folder`: what lies in the output, that it is reproducible, and what bad files do."""

from __future__ import annotations

import io
import json
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

import training.simulate
from cmfl_export.base.errors import CmflError
from cmfl_export.images.decoding import decode, open_rgb
from protocols import missing_files, read_protocol
from training.simulate import simulate_folder
from training.upsampling import Pixels

NAMES = ["a.png", "b.png", "one/c.png", "one/d.png", "two/c.jpg", "two/e e.png", "f.png"]


def draw(path: Path, seed: int, size: tuple[int, int] = (80, 60)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    for seed, name in enumerate(NAMES):
        draw(folder / name, seed)
    return folder


def pixels(path: Path) -> Pixels:
    return np.asarray(Image.open(path))


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_writes_a_data_root_and_a_protocol_that_train_at_once(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    calls: list[tuple[int, int]] = []
    summary = simulate_folder(photographs, out, progress=lambda done, total: calls.append((done, total)))

    protocol = read_protocol(summary.protocol)
    splits = {"train": protocol.train, "dev": protocol.dev, "eval": protocol.eval}
    assert summary.written == 7
    assert summary.failed == []
    assert (
        summary.splits
        == {name: len(rows) for name, rows in splits.items()}
        == {"train": 10, "dev": 2, "eval": 2}
    )
    assert calls == [(done, 7) for done in range(1, 8)]
    everything = protocol.train + protocol.dev + protocol.eval
    assert missing_files(everything, out, decode=open_rgb) == []
    assert len(list(out.rglob("*.png"))) == len(everything) == 14
    assert (out / "real" / "two" / "e e.png").is_file()
    for rows in splits.values():
        assert {row.subject for row in rows if row.is_real} == {
            row.subject for row in rows if not row.is_real
        }
    assert {row.attack_type for row in everything} == {"", "simulated"}

    record = json.loads((out / "simulate.json").read_text())
    assert record["seed"] == 0
    assert record["strength"] == 1.0
    assert record["encoding"] == "PNG"
    assert record["photographs"] == 7
    assert record["failed"] == []


def test_the_classes_differ_in_the_traces_alone(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    simulate_folder(photographs, out)
    for real_path in (out / "real").rglob("*.png"):
        name = real_path.relative_to(out / "real")
        source = next(photographs / n for n in NAMES if Path(n).with_suffix("") == name.with_suffix(""))
        real, synthetic = pixels(real_path), pixels(out / "synthetic" / name)
        assert np.array_equal(real, decode(source))
        assert not np.array_equal(real, synthetic)
        assert np.abs(real.astype(float) - synthetic).mean() < 5
        with Image.open(real_path) as a, Image.open(out / "synthetic" / name) as b:
            assert (a.format, a.size, a.mode) == (b.format, b.size, b.mode)


def test_jpeg_has_one_quality_for_both_classes(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    simulate_folder(photographs, out, quality=80)
    tables = set()
    for path in (*(out / "real").rglob("*.jpg"), *(out / "synthetic").rglob("*.jpg")):
        with Image.open(path) as image:
            tables.add(str(getattr(image, "quantization", None)))
    reference = io.BytesIO()
    Image.new("RGB", (8, 8)).save(reference, "JPEG", quality=80)
    with Image.open(reference) as image:
        assert tables == {str(getattr(image, "quantization", None))}


def test_a_twin_depends_on_the_seed_and_its_name_alone(photographs: Path, tmp_path: Path) -> None:
    simulate_folder(photographs, tmp_path / "first", workers=1)
    simulate_folder(photographs, tmp_path / "again", workers=4)
    first = files(tmp_path / "first")
    assert first == files(tmp_path / "again")

    (photographs / "a.png").unlink()
    draw(photographs / "0new.png", 99)
    simulate_folder(photographs, tmp_path / "changed")
    changed = files(tmp_path / "changed")
    common = {name for name in first if name.startswith(("real/", "synthetic/")) and "/a." not in name}
    assert len(common) == 12
    assert all(changed[name] == first[name] for name in common)

    simulate_folder(photographs, tmp_path / "seeded", seed=1)
    seeded = files(tmp_path / "seeded")
    assert all(seeded[name] == changed[name] for name in changed if name.startswith(("real/", "protocol/")))
    assert all(seeded[name] != changed[name] for name in changed if name.startswith("synthetic/"))


def test_bad_files_are_reported_and_do_not_end_the_run(photographs: Path, tmp_path: Path) -> None:
    (photographs / "text.png").write_text("no image")
    (photographs / "empty.jpg").touch()
    draw(photographs / "b.bmp", 50)  # b.png comes later and would take the same place
    (photographs / "folder.png").mkdir()
    (photographs / "notes.txt").write_text("left alone")
    summary = simulate_folder(photographs, tmp_path / "out")
    assert {Path(path).name for path, _ in summary.failed} == {"text.png", "empty.jpg", "b.png", "folder.png"}
    assert all(reason for _, reason in summary.failed)
    assert summary.written == 7
    record = json.loads((tmp_path / "out" / "simulate.json").read_text())
    assert [(entry["path"], entry["reason"]) for entry in record["failed"]] == summary.failed


def test_names_that_no_protocol_can_hold(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(photographs / " blank .png", 61)
    # Not every file system can hold such a name, so it is only listed.
    paths = [*map(str, sorted(photographs.rglob("*.*"))), str(photographs / "caf\udce9.png")]
    monkeypatch.setattr(training.simulate, "iter_paths", Mock(return_value=paths))
    summary = simulate_folder(photographs, tmp_path / "out")
    assert [reason for _, reason in summary.failed] == [
        "the name is not valid Unicode, so no protocol can list it"
    ]
    protocol = read_protocol(summary.protocol)
    names = {row.filename for row in protocol.train + protocol.dev + protocol.eval}
    assert "real/ blank .png" in names


def test_a_folder_named_like_an_image_is_walked(photographs: Path, tmp_path: Path) -> None:
    folder = photographs.rename(tmp_path / "album.jpg")
    assert simulate_folder(folder, tmp_path / "out").written == 7


def test_refuses_before_writing(photographs: Path, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "old.png").touch()
    (tmp_path / "none").mkdir()
    cases = [
        (tmp_path / "missing", tmp_path / "out", None, "is not a folder"),
        (tmp_path / "none", tmp_path / "out", None, "no image in it"),
        (photographs, full, None, "not an empty folder"),
        (photographs, photographs / "a.png", None, "not an empty folder"),
        (photographs, tmp_path / "out", 0, "1 to 100"),
        (photographs, tmp_path / "out", -5, "1 to 100"),
        (photographs, tmp_path / "out", 101, "1 to 100"),
    ]
    for real_dir, out_dir, quality, expected in cases:
        with pytest.raises(CmflError, match=expected):
            simulate_folder(real_dir, out_dir, quality=quality)
    for strength in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(CmflError, match="greater than 0"):
            simulate_folder(photographs, tmp_path / "out", strength=strength)
    assert not (tmp_path / "out").exists()
    assert list(full.iterdir()) == [full / "old.png"]


def test_too_few_photographs_for_three_splits(tmp_path: Path) -> None:
    for seed in range(2):
        draw(tmp_path / "in" / f"{seed}.png", seed)
    with pytest.raises(CmflError, match="2 usable photographs"):
        simulate_folder(tmp_path / "in", tmp_path / "out")
