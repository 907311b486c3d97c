"""The names of attacks: what `NAME=DIR` on the command line says, and which names can stand in a protocol."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cmfl_export.base.errors import UsageError


def attack_option(text: str) -> tuple[str, Path]:
    """`NAME=DIR` as name and folder; the folder may hold a `=`.

    Raises:
        CmflError: no name or no folder.
    """
    name, _, folder = text.partition("=")
    if not name.strip() or not folder:
        raise UsageError(f"--attack {text!r} must be NAME=DIR, for example stylegan2=faces/stylegan2")
    return name.strip(), Path(folder)


def check_attacks(names: Iterable[str]) -> None:
    """Refuses names that a protocol cannot tell from each other, or from real images.

    Raises:
        CmflError: an empty or unprintable name, blanks around one, `real`, or two that differ in case alone.
    """
    seen: dict[str, str] = {}
    for name in names:
        if not name or name != name.strip() or not name.isprintable():
            raise UsageError(
                f"the attack name {name!r} must be printable, without blanks around it, and not empty"
            )
        if name.casefold() == "real":
            raise UsageError(f"an attack cannot be called {name!r}; give its generator's name")
        first = seen.setdefault(name.casefold(), name)
        if first != name:
            raise UsageError(
                f"the attack names {first!r} and {name!r} differ in case alone; write both in one way"
            )
