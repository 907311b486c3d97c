"""Explains why a file is not found: how Windows, Excel, a browser or another root changed its name."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote


class NameAdvice:
    """Finds the file that a missing name probably means. Not thread-safe."""

    def __init__(self, root: Path) -> None:
        """Takes the folder that the names are relative to."""
        self._root = root
        self._folders: dict[Path, dict[str, str]] = {}

    def of(self, name: str) -> str:
        """Returns cause and advice, to append to `not found`; empty if the cause is unknown."""
        if self._is_there(name):
            return ""
        found = next((cause for cause, meant in self._probable_names(name) if self._is_there(meant)), None)
        if found is None and "\\" in name:
            # The most frequent cause, even if something else is wrong too.
            found = _BACKSLASH
        return "" if found is None else f": {found}"

    def _probable_names(self, name: str) -> Iterator[tuple[str, str]]:
        slashed = name.replace("\\", "/")
        if slashed != name:
            yield _BACKSLASH, slashed
        stripped = "/".join(part.strip() for part in name.split("/"))
        if stripped != name:
            yield "the name has blanks around it; remove them", stripped
        decoded = unquote(name, errors="strict") if _is_encoded(name) else name
        if decoded != name:
            yield f"the name is URL-encoded; write {decoded!r}", decoded
        for form in ("NFC", "NFD"):
            if (composed := unicodedata.normalize(form, name)) != name:
                yield f"its letters are composed in another way than those of the file ({form})", composed
        first, _, rest = name.partition("/")
        if rest and first == self._root.resolve().name:
            yield f"the name begins with {first!r}, the data root itself; give the folder above as root", rest
        in_case = self._in_case(stripped)
        if in_case != stripped:
            yield f"the file's name differs in case; write {in_case!r}", in_case
        if slashed != name and (in_case := self._in_case(slashed)) != slashed:
            yield f"{_BACKSLASH}, and the file is {in_case!r}", in_case

    def _in_case(self, name: str) -> str:
        """Returns the name as the folders have it, if they have it in another case."""
        parts: list[str] = []
        for part in name.split("/"):
            there = self._names(self._root.joinpath(*parts))
            parts.append(part if part in there.values() else there.get(part.casefold(), part))
        return "/".join(parts)

    def _names(self, folder: Path) -> dict[str, str]:
        if folder not in self._folders:
            try:
                names = sorted(path.name for path in folder.iterdir())
            except (OSError, ValueError):
                names = []
            self._folders[folder] = {name.casefold(): name for name in names}
        return self._folders[folder]

    def _is_there(self, name: str) -> bool:
        try:
            return (self._root / name).exists()
        except (OSError, ValueError):
            return False


_BACKSLASH = "the name has backslashes, which Windows writes between folders; write / instead"


def _is_encoded(name: str) -> bool:
    try:
        return unquote(name, errors="strict") != name
    except UnicodeDecodeError:
        return False
