"""Reads `NAME=DIR` of the command line, and checks the names of attacks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cmfl_export.base.errors import UsageError


def attack_option(text: str) -> tuple[str, Path]:
    """Splits `NAME=DIR` into name and folder; the folder may contain a `=`.

    Raises:
        UsageError: the name or the folder is missing.
    """
    name, _, folder = text.partition("=")
    if not name.strip() or not folder:
        raise UsageError(f"--attack {text!r} must be NAME=DIR, for example stylegan2=faces/stylegan2")
    return name.strip(), Path(folder)


def check_attacks(names: Iterable[str]) -> None:
    """Refuses names that could be confused with each other or with real images.

    Raises:
        UsageError: a name is empty, unprintable, `real` or has blanks around it, or two names differ only in
            case.
    """
    seen: dict[str, str] = {}
    for name in names:
        if not name or name != name.strip() or not name.isprintable():
            raise UsageError(
                f"the attack name {name!r} must be printable, without blanks around it, and not empty"
            )
        if name.casefold() == "real":
            raise UsageError(f"an attack cannot have the name {name!r}; give the name of its generator")
        first = seen.setdefault(name.casefold(), name)
        if first != name:
            raise UsageError(
                f"the attack names {first!r} and {name!r} differ only in case; write both in the same way"
            )
