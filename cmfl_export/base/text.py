"""Text for a terminal or a page, with invisible characters written out."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

# Characters that are invisible or change how others look: control, format (such as right-to-left overrides),
# lone surrogates (bytes of a file name that are not UTF-8), private, unassigned, and separators of lines and
# paragraphs.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str) -> str:
    """The text with every invisible character written out, such as `\\n`, `\\u202e` or `\\udc80`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        letter.encode("unicode_escape").decode() if unicodedata.category(letter) in _UNSEEN else letter
        for letter in text
    )


def counted(number: int, noun: str) -> str:
    """The number with its noun, such as `1 image` or `12 images`; the plural ends in s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def failures(by_status: Mapping[str, int], what: str) -> str:
    """How many inputs failed, and why, such as `3 failed (1 empty, 2 truncated)`."""
    reasons = ", ".join(f"{count} {status}" for status, count in sorted(by_status.items()))
    return f"{sum(by_status.values())} {what}" + (f" ({reasons})" if reasons else "")
