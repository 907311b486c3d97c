"""Definitions: the paper's protocols, and what a definition of one's own may say."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

import pytest

from cmfl_export.base.errors import CmflError
from protocols import read_protocol
from protocols.definitions import Source, load, names
from protocols.from_definition import build_definition
from protocols.subjects import subjects_of
from tests.protocols.trees import numbered, plant

SMALL = """
name = "small"
[[source]]
folder = "real"
file = "{number:03}.png"
numbers = [0, 19]
train = 8
dev = 4
[[source]]
folder = "./sg/"
attack = "sg"
file = "seed{number}.png"
numbers = [0, 19]
train = 8
dev = 4
[[source]]
folder = "real"
file = "{number:03}.png"
numbers = [20, 29]
eval = 10
[[source]]
folder = "other"
attack = "new"
file = "?.jpg"
eval = 6
"""


def definition(tmp_path: Path, text: str = SMALL) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    seeds = [f"seed{number}.png" for number in range(20)]
    others = [*(f"sub/{number}.jpg" for number in range(9)), "not.png", "10.jpg"]
    return plant(tmp_path / "data", {"real": numbered(30), "sg": seeds, "other": others})


def test_the_papers_three_come_with_the_package() -> None:
    assert names() == ["stylegan2", "stylegan3", "swagan"]
    for name in names():
        assert resources.files("protocols.definitions").joinpath(f"{name}.toml").is_file()
        assert load(name).name == name


@pytest.mark.parametrize(
    ("name", "folder", "first", "last"),
    [
        ("stylegan2", "stylegan2-ada-generated-trunc1-ffhq", "seed0000.png", "seed49999.png"),
        ("stylegan3", "stylegan3-r-alligned-trunc1-ffhq", "seed0000.png", "seed49999.png"),
        ("swagan", "swagan-generated-trunc1-ffhq", "000000.png", "049999.png"),
    ],
)
def test_the_papers_numbers(name: str, folder: str, first: str, last: str) -> None:
    real, synthetic, *evaluation = load(name).sources
    training = {"train": 35_000, "dev": 15_000, "eval": 0}
    assert (real.folder, real.attack, real.counts) == ("ffhq-alligned", "", training)
    assert (synthetic.folder, synthetic.attack, synthetic.counts) == (folder, name, training)
    files = synthetic.numbered_files()
    assert (files[0], files[-1], len(files)) == (f"{folder}/{first}", f"{folder}/{last}", 50_000)
    assert real.numbered_files()[356] == "ffhq-alligned/00356.png"
    assert tuple(evaluation) == load("stylegan2").sources[2:]
    assert [source.attack for source in evaluation] == ["", *names()]
    for source in evaluation:
        assert source.counts == {"train": 0, "dev": 0, "eval": 20_000}
        assert len(source.numbered_files()) == 20_000
    assert evaluation[0].numbered_files()[0] == "ffhq-alligned/50000.png"


@pytest.fixture(scope="module")
def papers_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corner of the paper's data root: some hundred files of 210,000."""
    training = range(0, 50_000, 500)
    testing = range(50_000, 70_000, 1000)
    return plant(
        tmp_path_factory.mktemp("paper"),
        {
            "ffhq-alligned": [f"{n:05}.png" for n in (*training, *testing)],
            "stylegan2-ada-generated-trunc1-ffhq": [f"seed{n:04}.png" for n in (*training, *testing)],
            "stylegan3-r-alligned-trunc1-ffhq": [f"seed{n:04}.png" for n in testing],
            "swagan-generated-trunc1-ffhq": [f"{n:06}.png" for n in testing],
        },
    )


def test_the_papers_protocol_on_a_part_of_its_data(papers_root: Path, tmp_path: Path) -> None:
    refused = build_definition("stylegan2", papers_root, tmp_path / "p")
    assert not refused.ok
    assert not (tmp_path / "p").exists()
    folder = "stylegan2-ada-generated-trunc1-ffhq"
    assert f"missing    49,900 of 50,000 in {folder}: seed0001.png, seed0002.png, seed0003.png, …" in (
        refused.lines()
    )
    assert refused.lines()[-1].startswith("NOTHING WRITTEN: 179,720 files are missing")

    built = build_definition("stylegan2", papers_root, tmp_path / "p", allow_missing=True)
    assert built.ok
    assert (
        built.counts[""]["eval"] == built.counts["stylegan3"]["eval"] == built.counts["swagan"]["eval"] == 20
    )
    for attack in ("", "stylegan2"):
        counts = built.counts[attack]
        assert counts["train"] + counts["dev"] == 100
        assert 60 <= counts["train"] <= 80
    # Pinned: the same photographs in ten years.
    dev = [sample.filename for sample in built.splits["dev"] if sample.is_real]
    assert dev[:4] == [f"ffhq-alligned/{n:05}.png" for n in (1500, 2000, 3000, 4500)]
    assert read_protocol(tmp_path / "p").eval == built.splits["eval"]


def test_small(root: Path, tmp_path: Path) -> None:
    built = build_definition(definition(tmp_path), root, tmp_path / "p")
    assert built.lines() == [
        "attack type     train      dev     eval      all",
        "real                8        4       10       22",
        "new                 0        0        6        6",
        "sg                  8        4        0       12",
        "all                16        8       16       40",
        "subjects           16        8       16       40",
        f"wrote train.csv, dev.csv, eval.csv, protocol.toml to {tmp_path / 'p'}",
    ]
    for sample in built.splits["train"]:
        assert sample.subject == sample.filename.removesuffix(".png")
    record = tomllib.loads((tmp_path / "p" / "protocol.toml").read_text(encoding="utf-8"))
    assert record["definition"] == "small"
    assert record["salt"] == "cmfl"
    assert record["missing"] == []
    assert record["counts"] == {"real": [8, 4, 10], "new": [0, 0, 6], "sg": [8, 4, 0]}


def test_another_salt_draws_others(root: Path, tmp_path: Path) -> None:
    first = build_definition(definition(tmp_path), root, tmp_path / "a")
    other = build_definition(definition(tmp_path, 'salt = "x"' + SMALL), root, tmp_path / "b")
    assert first.counts == other.counts
    assert first.splits["train"] != other.splits["train"]


def test_a_missing_file_moves_no_other(root: Path, tmp_path: Path) -> None:
    whole = build_definition(definition(tmp_path), root, tmp_path / "a")
    (gone,) = [s for s in whole.splits["train"] if s.is_real][:1]
    (root / gone.filename).unlink()
    (root / gone.filename).mkdir()
    refused = build_definition(definition(tmp_path), root, tmp_path / "b")
    assert not refused.ok
    name = gone.filename.removeprefix("real/")
    assert f"missing         1 of 12 in real: {name}" in refused.lines()
    built = build_definition(definition(tmp_path), root, tmp_path / "b", allow_missing=True)
    assert built.splits["train"] == [s for s in whole.splits["train"] if s != gone]
    assert (built.splits["dev"], built.splits["eval"]) == (whole.splits["dev"], whole.splits["eval"])
    assert f'missing = ["1 of 12 in real: {name}"]' in (tmp_path / "b" / "protocol.toml").read_text()


def test_too_few_for_a_pattern_and_no_folder_at_all(root: Path, tmp_path: Path) -> None:
    for number in range(5):
        (root / "other" / "sub" / f"{number}.jpg").unlink()
    (root / "other").rename(root / "elsewhere")
    lines = build_definition(definition(tmp_path), root, tmp_path / "p").lines()
    assert "missing         6 of 6 in other" in lines
    with pytest.raises(CmflError, match=r"eval has 10 real and 0 synthetic; add the missing files"):
        build_definition(definition(tmp_path), root, tmp_path / "p", allow_missing=True)
    (root / "elsewhere").rename(root / "other")
    built = build_definition(definition(tmp_path), root, tmp_path / "p", allow_missing=True)
    assert "missing         2 of 6 in other" in built.lines()
    assert built.counts["new"]["eval"] == 4


def test_existing_protocols_are_kept(root: Path, tmp_path: Path) -> None:
    build_definition(definition(tmp_path), root, tmp_path / "p")
    with pytest.raises(CmflError, match="already has a protocol"):
        build_definition(definition(tmp_path), root, tmp_path / "p")
    assert build_definition(definition(tmp_path), root, tmp_path / "p", force=True).ok


def test_sources_must_not_share_files(root: Path, tmp_path: Path) -> None:
    for more, expected in (
        ("folder='real'\nattack='x'\nfile='{number:03}.png'\nnumbers=[0, 19]\ndev=20", "into dev"),
        ("folder='real'\nattack='x'\nfile='*.png'\neval=30", "into eval"),
        ("folder='real'\nfile='{number:03}.png'\nnumbers=[20, 29]\neval=1", "into eval and into eval"),
    ):
        path = definition(tmp_path, f"{SMALL}\n[[source]]\n{more}")
        with pytest.raises(CmflError, match=f"the definition small puts 'real/.*{expected}; no two sources"):
            build_definition(path, root, tmp_path / "p")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('name = "small"', "", ": name: missing"),
        ('name = "small"', "name = 3", ": name: 3 must be a text"),
        ('name = "small"', 'name = ""', ": name: empty"),
        ('name = "small"', 'name = "a"\nsalted = "b"', ": salted: unknown key; the keys are description"),
        ('name = "small"', 'name = "a', ": not TOML"),
        ("train = 8", "train = -1", ": source 1 (real): train: -1 must be a whole number"),
        ("train = 8", "train = true", ": source 1 (real): train: True must be a whole number"),
        ("train = 8", 'train = "8"', ": source 1 (real): train: '8' must be a whole number"),
        ("train = 8", "train = 17", ": source 1 (real): numbers: 20 files, but the splits take 21"),
        ("train = 8\ndev = 4", "", ": source 1 (real): no images for any split"),
        ("train = 8", "", ": train: no source gives it real images"),
        ("eval = 6", "dev = 6", ": eval: no source gives it synthetic images"),
        ('folder = "real"', "", ": source 1: folder: missing"),
        ('folder = "real"', 'folder = "/real"', ": source 1: folder: '/real' must be relative"),
        ('folder = "real"', 'folder = "a/../../real"', "must be relative to the data root"),
        ('folder = "real"', "folder = 'C:\\real'", "must be relative to the data root"),
        (
            "numbers = [0, 19]",
            "numbers = [19, 0]",
            ": source 1 (real): numbers: [19, 0] must be [first, last]",
        ),
        ("numbers = [0, 19]", "numbers = [0]", ": numbers: [0] must be [first, last]"),
        ("numbers = [0, 19]", "numbers = 20", ": numbers: 20 must be [first, last]"),
        (
            '"{number:03}.png"',
            '"*.png"',
            ": source 1 (real): file: '*.png' must be one name with one {number:05}",
        ),
        ('"{number:03}.png"', '"x/{number}.png"', "must be one name with one"),
        ('"{number:03}.png"', '"{number.real}.png"', "must be one name with one"),
        ('file = "{number:03}.png"', "", ": source 1 (real): file: missing"),
        ('attack = "new"', 'attack = "SG"', ": attack: the attack names 'sg' and 'SG' differ only in case"),
        ('attack = "new"', 'attack = "real"', ": attack: an attack cannot have the name 'real'"),
        ('attack = "new"', 'atack = "new"', ": source 4: atack: unknown key; the keys are attack, dev"),
    ],
)
def test_faults_name_the_file_and_the_key(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in SMALL
    path = definition(tmp_path, SMALL.replace(old, new, 1))
    with pytest.raises(CmflError) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_faults(tmp_path: Path) -> None:
    with pytest.raises(CmflError, match=r"stylegan4 cannot be read: .* one of stylegan2, stylegan3, swagan"):
        load("stylegan4")
    for text in ('name = "a"', 'name = "a"\nsource = []', 'name = "a"\nsource = 3', 'source = ["a"]'):
        with pytest.raises(CmflError, match=r"small\.toml: source: it needs at least one"):
            load(definition(tmp_path, text))
    (tmp_path / "small.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(CmflError, match=r"small\.toml: not UTF-8"):
        load(tmp_path / "small.toml")


def test_numbered_files_in_the_root_itself() -> None:
    source = Source(".", "", "a{number}b.png", (9, 11), {"train": 1})
    assert source.numbered_files() == ["a9b.png", "a10b.png", "a11b.png"]
    assert set(subjects_of(source.numbered_files()).values()) == {"a9b", "a10b", "a11b"}
