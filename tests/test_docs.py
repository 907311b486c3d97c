"""README and docs/: outputs and tables are what the commands give now, links resolve, the README is short."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "models_zoo" / "README.md"])
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def build() -> ModuleType:
    """docs/build.py, which is a script and no part of a package."""
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["README.md", "docs/predict.md", "docs/zoo.md", "docs/export.md"])
def test_what_is_shown_is_what_commands_give(build: ModuleType, name: str) -> None:
    assert build.check(ROOT / name, quick=True) >= 1


def test_every_marker_has_a_block(build: ModuleType) -> None:
    shown = [block for path in DOCUMENTS for block in build.blocks_of(path.read_text("utf-8"), path.name)]
    assert len(shown) > 20
    assert [str(block) for block in shown if not block.text.strip()] == []


def test_a_block_that_differs_is_named(build: ModuleType, tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text(
        "<!-- output: echo 12 pictures in 3.25 s -->\n\n```\n$ echo 12 pictures in 3.25 s\nold\n```\n\n"
        "<!-- table: starter -->\n<!-- table: end -->\n",
        encoding="utf-8",
    )
    with pytest.raises(build.StaleError, match=r"^a\.md: output 'echo 12 pictures in 3\.25 s' is not what"):
        build.check(document)
    assert build.renew(document) == 2
    assert "in 3.25 s\n12 pictures in 3.25 s\n```" in document.read_text("utf-8")
    assert "| starter2/eval | 302 + 263 | 12.6 % [9.9, 15.6] |" in document.read_text("utf-8")
    assert build.check(document) == 2


def test_a_command_that_fails_is_named(build: ModuleType, tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("<!-- output: echo no; exit 2 -->\n```\n```\n", encoding="utf-8")
    with pytest.raises(build.StaleError, match=r"^a\.md: output 'echo no; exit 2': exit code 2: no$"):
        build.check(document)
    document.write_text("<!-- output: echo -->\ntext\n", encoding="utf-8")
    with pytest.raises(build.StaleError, match="a marker has no fenced block"):
        build.check(document)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("3 images, 1.8 s, 3.3 images/s", "3 images, 12.0 s, 0.5 images/s", True),
        ("version 1.31.1 of 2026-11-24", "version 1.40.0 of 2027-01-01", True),
        ("in /home/a/b.csv", "in /var/c", True),
        ("a.png,0.961111,real", "a.png,0.961114,real", True),
        ("a   b", "a b", True),
        ("a.png,0.96,real", "a.png,0.91,real", False),
        ("3 images", "4 images", False),
        ("real", "synthetic", False),
        ("a", "a\nb", False),
        ("0.5", "0.5 0.5", False),
    ],
)
def test_what_may_differ(build: ModuleType, one: str, other: str, alike: bool) -> None:
    assert build.same(one, other) is alike


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_resolve(document: Path) -> None:
    targets = _LINK.findall(_FENCE.sub("", document.read_text("utf-8")))
    broken = [target for target in targets if "://" not in target and not _resolves(document, target)]
    assert broken == []


def _resolves(document: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    path = (document.parent / name).resolve() if name else document
    if not path.exists():
        return False
    return not anchor or anchor in map(_anchor, _HEADING.findall(_FENCE.sub("", path.read_text("utf-8"))))


def _anchor(heading: str) -> str:
    """A heading as GitHub names it in addresses."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_no_document_asks_an_index_for_this_package() -> None:
    asking = re.compile(r"pip install '?cmfl-export")
    assert [path.name for path in DOCUMENTS if asking.search(path.read_text("utf-8"))] == []
