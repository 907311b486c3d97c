"""Text for a person: what is not seen, or changes how other text is seen, is written out."""

from __future__ import annotations

import unicodedata

# Characters that are not seen, or that change how others are seen: control, format (among them the
# right-to-left overrides), lone surrogates (bytes of a file name that are not UTF-8), private, unassigned,
# and the separators of lines and paragraphs.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str) -> str:
    """The text with every unseen character written out as `\\n`, `\\u202e` or `\\udc80`: a name as it is."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        letter.encode("unicode_escape").decode() if unicodedata.category(letter) in _UNSEEN else letter
        for letter in text
    )
