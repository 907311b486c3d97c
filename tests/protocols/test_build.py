"""Protocols from folders: who goes where, and what moves nobody."""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import Protocol, read_protocol
from protocols.build import build
from protocols.built import FILES, Built
from protocols.splitting import split_of
from tests.protocols.trees import numbered, plant

SHARES = (0.7, 0.15, 0.15)
SUBJECT = r"(p\d+)"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """60 real images, 60 of one generator and 20 of another."""
    folders = {"real": numbered(60), "fake/sg2": numbered(60), "fake/sg3": numbered(20)}
    return plant(tmp_path / "data", folders)


ATTACKS = [("sg2", "fake/sg2"), ("sg3", "fake/sg3")]


def names(built: Built, split: str, attack: str) -> list[str]:
    return [sample.filename for sample in built.splits[split] if sample.attack_type == attack]


def by_file(built: Built) -> dict[str, str]:
    return {sample.filename: split for split, samples in built.splits.items() for sample in samples}


def test_the_split_is_the_hash_of_the_subject(root: Path) -> None:
    built = build(root, root / "p", real=["real"], attacks=ATTACKS, balance=False)
    where = by_file(built)
    assert len(where) == 140
    assert where == {name: split_of(name.removesuffix(".png"), SHARES, "cmfl") for name in where}
    # Pinned: what is in eval today must be in eval in ten years.
    assert names(built, "eval", "") == [f"real/{n:03}.png" for n in (10, 18, 30, 42, 50)]
    assert names(built, "dev", "sg3") == [f"fake/sg3/{n:03}.png" for n in (5, 9, 12)]
    # And what balance keeps of the larger generator.
    balanced = build(root, root / "q", real=["real"], attacks=ATTACKS)
    assert names(balanced, "eval", "sg2") == [f"fake/sg2/{n:03}.png" for n in (13, 34, 45)]


def test_what_is_written_is_a_protocol_in_the_official_form(root: Path) -> None:
    built = build(root, root / "mine", real=["real"], attacks=ATTACKS)
    assert read_protocol(root / "mine") == Protocol("mine", *(list(built.splits[s]) for s in built.splits))
    for split in ("train", "dev", "eval"):
        with (root / "mine" / f"{split}.csv").open(newline="") as stream:
            header, *rows = csv.reader(stream)
        # The official code takes the columns by place, and a file for real when its third is empty.
        assert header == ["subject", "filename", "attack_type"]
        assert all((root / name).is_file() for _, name, _ in rows)
        assert {attack for _, _, attack in rows} == {"", "sg2", "sg3"}
        assert rows == sorted(rows, key=lambda row: (row[2], row[1]))


def test_balance_is_even_across_generators(root: Path) -> None:
    everything = build(root, root / "a", real=["real"], attacks=ATTACKS, balance=False)
    built = build(root, root / "b", real=["real"], attacks=ATTACKS)
    for split in built.splits:
        real, sg2, sg3 = (len(names(built, split, attack)) for attack in ("", "sg2", "sg3"))
        all_real, all_sg2, all_sg3 = (len(names(everything, split, attack)) for attack in ("", "sg2", "sg3"))
        assert real == sg2 + sg3 == min(all_real, all_sg2 + all_sg3)
        # The smaller type is only cut where the larger is down to its size.
        assert sg3 == all_sg3 or sg2 - sg3 in (0, 1)
        assert sg2 < all_sg2 or real < all_real
    assert by_file(built).items() <= by_file(everything).items()


def test_hold_out_is_in_eval_alone_and_whole(root: Path) -> None:
    built = build(root, root / "p", real=["real"], attacks=ATTACKS, hold_out=["sg3"], balance=False)
    assert names(built, "eval", "sg3") == [f"fake/sg3/{name}" for name in numbered(20)]
    assert names(built, "train", "sg3") == names(built, "dev", "sg3") == []
    assert built.left_out == ()
    # Nobody else has moved for it.
    without = build(root, root / "q", real=["real"], attacks=ATTACKS, balance=False)
    assert [names(built, split, "sg2") for split in built.splits] == [
        names(without, split, "sg2") for split in built.splits
    ]


def test_a_face_and_its_twin_stay_together(tmp_path: Path) -> None:
    people = [f"p{number}" for number in range(60)]
    root = plant(
        tmp_path,
        {
            "real": [f"{person}_{i}.png" for person in people for i in range(2)],
            "swap": [f"to_{person}.png" for person in people],
        },
    )
    built = build(root, root / "p", real=["real"], attacks=[("swap", "swap")], subject=SUBJECT)
    splits_of: dict[str, set[str]] = {}
    for split, samples in built.splits.items():
        for sample in samples:
            splits_of.setdefault(sample.subject, set()).add(split)
    assert set(splits_of) == set(people)
    assert {len(splits) for splits in splits_of.values()} == {1}
    assert all(splits == {split_of(subject, SHARES, "cmfl")} for subject, splits in splits_of.items())


def test_a_held_out_twin_of_a_known_face_is_left_out(tmp_path: Path) -> None:
    people = [f"p{number}" for number in range(60)]
    strangers = [f"p{number}" for number in range(60, 90)]
    root = plant(
        tmp_path,
        {
            "real": [f"{person}.png" for person in people],
            "swap": [f"{person}.png" for person in people],
            "new": [f"{person}.png" for person in people + strangers],
        },
    )
    attacks = [("swap", "swap"), ("new", "new")]
    built = build(
        root,
        root / "p",
        real=["real"],
        attacks=attacks,
        hold_out=["new"],
        subject=SUBJECT,
        balance=False,
    )
    seen = [person for person in people if split_of(person, SHARES, "cmfl") != "eval"]
    expected = sorted({*people, *strangers} - set(seen))
    assert names(built, "eval", "new") == [f"new/{person}.png" for person in expected]
    assert [(item.count, item.reason) for item in built.left_out] == [
        (len(seen), "new is held out, and other images of these subjects are in train or dev")
    ]
    read_protocol(root / "p")


_images = st.lists(
    st.tuples(st.sampled_from(["real", "sg2", "sg3"]), st.integers(0, 25), st.integers(0, 2)),
    max_size=40,
    unique=True,
)


@settings(deadline=None, max_examples=20)
@given(
    first=_images,
    more=_images,
    hold_out=st.sampled_from([[], ["sg3"]]),
    subject=st.sampled_from([None, SUBJECT]),
    balance=st.booleans(),
)
def test_more_images_and_folders_move_nobody(
    first: list[tuple[str, int, int]],
    more: list[tuple[str, int, int]],
    hold_out: list[str],
    subject: str | None,
    balance: bool,
) -> None:
    def add_and_build(images: Iterable[tuple[str, int, int]], *attacks: str) -> dict[str, str]:
        for kind, person, image in images:
            plant(data, {kind: [f"p{person}_{image}.png"]})
        built = build(
            data,
            data / "p",
            real=["real"],
            attacks=[(name, name) for name in attacks],
            subject=subject,
            hold_out=hold_out,
            balance=balance,
            force=True,
        )
        return by_file(built)

    with tempfile.TemporaryDirectory() as folder:
        # Enough of each kind that no split lacks a class.
        base = {kind: [f"p{person}_9.png" for person in range(100, 140)] for kind in ("real", "sg2")}
        data = plant(Path(folder), base | {"sg3": ["p200_9.png"]})
        before = add_and_build(first, "sg2", "sg3")
        after = add_and_build(more, "sg2", "sg3")
        in_the_end = add_and_build([("sg4", 3, 0), ("sg4", 150, 0)], "sg2", "sg3", "sg4")
    for earlier, later in ((before, after), (after, in_the_end), (before, in_the_end)):
        assert all(earlier[name] == later[name] for name in earlier if name in later)
    if not balance and not hold_out:
        assert before.items() <= after.items() <= in_the_end.items()


def test_order_and_place_do_not_matter(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "else where" / "copy"
    # The same files, made in another order, behind a link.
    for path in sorted((path for path in root.rglob("*.png")), reverse=True):
        plant(elsewhere, {path.parent.relative_to(root).as_posix(): [path.name]})
    link = tmp_path / "link"
    link.symlink_to(elsewhere)

    build(root, tmp_path / "a", real=["real"], attacks=ATTACKS, hold_out=["sg3"])
    folders: list[tuple[str, str | Path]] = [("sg3", link / "fake" / "sg3"), ("sg2", elsewhere / "fake/sg2/")]
    build(
        link,
        tmp_path / "b",
        real=[elsewhere / "real", link / "real"],
        attacks=folders,
        hold_out=["sg3", "sg3"],
    )
    monkeypatch.chdir(elsewhere / "fake")
    build(
        "..", tmp_path / "c", real=["../real"], attacks=[("sg2", "sg2"), ("sg3", "./sg3")], hold_out=["sg3"]
    )
    for name in FILES:
        first = (tmp_path / "a" / name).read_bytes()
        assert first == (tmp_path / "b" / name).read_bytes() == (tmp_path / "c" / name).read_bytes()
        assert str(tmp_path).encode() not in first


def test_a_relative_folder_is_looked_for_here_and_then_in_the_root(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, {"real": ["stray.png"]})
    plant(root, {"sg2": ["stray.png"]})
    monkeypatch.chdir(tmp_path)
    # The one here is outside the data root.
    built = build("data", "p", real=["real"], attacks=[("sg2", "data/fake/sg2")])
    assert "stray.png" not in str(built.splits)
    assert (tmp_path / "p" / "train.csv").is_file()
    monkeypatch.chdir(root / "fake")
    assert build(root, tmp_path / "q", real=["real"], attacks=[("sg2", "sg2")]).splits == built.splits


def test_the_record_is_enough_to_build_it_again(root: Path) -> None:
    who = root / "who.csv"
    files = [path.relative_to(root).as_posix() for path in root.rglob("*.png")]
    who.write_text("filename,subject\n" + "".join(f"{name},{name[-7:-4]}\n" for name in files))
    built = build(
        root,
        root / "p",
        real=["real"],
        attacks=ATTACKS,
        subject_table=who,
        shares=(0.5, 0.2, 0.3),
        hold_out=["sg3"],
        salt="other",
    )
    with (root / "p" / "protocol.toml").open("rb") as stream:
        record = tomllib.load(stream)
    assert record["format"] == 1
    assert record["made_with"].startswith("cmfl-export ")
    assert record["splits"] == ["train", "dev", "eval"]
    assert record["counts"]["sg3"] == [0, 0, len(names(built, "eval", "sg3"))]
    assert record["counts"]["real"][0] == len(names(built, "train", "")) > 0
    assert len(record["subject_table_sha256"]) == 64
    build(
        root,
        root / "again",
        real=record["real"],
        attacks=[(name, folder) for name, folders in record["attacks"].items() for folder in folders],
        subject_table=root / record["subject_table"],
        shares=record["shares"],
        hold_out=record["hold_out"],
        balance=record["balance"],
        salt=record["salt"],
    )
    for name in FILES:
        assert (root / "p" / name).read_bytes() == (root / "again" / name).read_bytes()


def test_the_record_takes_any_name(root: Path) -> None:
    shutil.move(root / "fake" / "sg2", root / 'a "b" ü\x7f')
    build(root, root / "p", real=["real"], attacks=[('s "g" ü', 'a "b" ü\x7f')], subject=r"(\d+)")
    with (root / "p" / "protocol.toml").open("rb") as stream:
        record = tomllib.load(stream)
    assert record["attacks"] == {'s "g" ü': ['a "b" ü\x7f']}
    assert record["subject"] == r"(\d+)"
    assert record["counts"]['s "g" ü'] == record["counts"]["real"]


def test_a_file_counts_once(root: Path) -> None:
    plant(root, {"real/inner": ["x.png"]})
    (root / "real" / "zz.png").symlink_to(root / "real" / "000.png")
    os.link(root / "real" / "001.png", root / "real" / "zzz.png")
    (root / "real" / "gone.png").symlink_to(root / "nowhere.png")
    (root / "real" / "a\\b.png").touch()
    (root / "real" / "bad\udcff.png").touch()
    (root / "real" / "notes.txt").touch()
    (root / "real" / "folder.png").mkdir()
    built = build(root, root / "p", real=["real", "real/inner", "real"], attacks=ATTACKS, balance=False)
    real = [name for split in built.splits for name in names(built, split, "")]
    assert sorted(real) == [f"real/{name}" for name in (*numbered(60), "inner/x.png")]
    assert [(item.count, item.reason) for item in built.left_out] == [
        (
            1,
            "a backslash in the name, which separates folders on other systems, such as 'real/a\\\\b.png'",
        ),
        (1, "no such file or directory, such as 'real/gone.png'"),
        (1, "not a file, such as 'real/folder.png'"),
        (1, "the name is not valid Unicode, such as 'real/bad\\udcff.png'"),
        (2, "the same file under another name, such as 'real/zz.png'"),
    ]


def test_odd_folders(tmp_path: Path) -> None:
    """A data root like a pattern, a folder like an image, a link out of the data root."""
    root = plant(tmp_path / "[x]*", {"real.png": numbered(40)})
    outside = plant(tmp_path / "outside", {"fakes": numbered(40)})
    (root / "link").symlink_to(outside / "fakes")
    built = build(root, tmp_path / "p", real=["real.png"], attacks=[("a", root / "link")])
    assert names(built, "train", "")[0].startswith("real.png/0")
    assert names(built, "train", "a")[0].startswith("link/0")


def test_lines(root: Path) -> None:
    built = build(root, root / "p", real=["real"], attacks=ATTACKS, hold_out=["sg3"])
    assert built.ok
    assert built.lines() == [
        "attack type     train      dev     eval      all",
        "real               42        7        5       54",
        "sg2                42        7        2       51",
        "sg3                 0        0        3        3",
        "all                84       14       10      108",
        "subjects           84       14       10      108",
        "left out        6 real in train, which now has 42 of each class",
        "left out       26 synthetic in eval, which now has 5 of each class",
        f"wrote train.csv, dev.csv, eval.csv, protocol.toml to {root / 'p'}",
    ]
