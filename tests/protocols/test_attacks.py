"""Names of attacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmfl_export.base.errors import CmflError
from protocols.attacks import attack_option, check_attacks


def test_option() -> None:
    assert attack_option("sg2=faces/sg2") == ("sg2", Path("faces/sg2"))
    assert attack_option(" sg2 =a=b") == ("sg2", Path("a=b"))


@pytest.mark.parametrize("text", ["faces/sg2", "=faces", " =faces", "sg2=", ""])
def test_option_needs_both(text: str) -> None:
    with pytest.raises(CmflError, match="must be NAME=DIR"):
        attack_option(text)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["sg2", "SG2"], "'sg2' and 'SG2' differ only in case"),
        (["Real"], "cannot have the name 'Real'"),
        ([""], "not empty"),
        ([" sg2"], "without blanks"),
        (["a\nb"], "printable"),
    ],
)
def test_refused_names(names: list[str], expected: str) -> None:
    with pytest.raises(CmflError) as caught:
        check_attacks(names)
    assert expected in str(caught.value)


def test_one_name_may_come_again() -> None:
    check_attacks(["sg2", "sg3", "sg2", "realistic"])
