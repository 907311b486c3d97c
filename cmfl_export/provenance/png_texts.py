"""The texts of a PNG file, which may come after its pixels."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_TEXTS = 1000
_MOST_BYTES_IN_ALL = 16 << 20


def png_texts(data: bytes, most: int) -> dict[str, str]:
    """The texts of a PNG file by keyword; of texts with one keyword the first.

    Args:
        data: the file; damaged or missing chunks end the list.
        most: the longest text in bytes, also when it is compressed; the rest is cut.
    """
    texts: dict[str, str] = {}
    held = 0
    for kind, body in _chunks(data):
        if len(texts) >= _MOST_TEXTS or held >= _MOST_BYTES_IN_ALL:
            break
        found = _text(kind, body, most)
        if found is not None and found[0] not in texts:
            texts[found[0]] = found[1]
            held += len(found[1])
    return texts


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = len(_SIGNATURE) if data.startswith(_SIGNATURE) else len(data)
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        if position + 12 + length > len(data) or kind == b"IEND":
            return
        yield kind, data[position + 8 : position + 8 + length]
        position += 12 + length


def _text(kind: bytes, body: bytes, most: int) -> tuple[str, str] | None:
    """Keyword and text of a chunk; None where it is no text, or damaged."""
    keyword, zero, rest = body.partition(b"\0")
    if kind not in (b"tEXt", b"zTXt", b"iTXt") or not zero:
        return None
    compressed, encoding = False, "latin-1"
    if kind == b"zTXt":
        compressed, rest = True, rest[1:]
    elif kind == b"iTXt":
        compressed, encoding = rest[:1] == b"\1", "utf-8"
        # Two bytes on compression, then language and translated keyword, each with a zero behind it.
        _, _, rest = rest[2:].partition(b"\0")
        _, _, rest = rest.partition(b"\0")
    if compressed:
        try:
            rest = zlib.decompressobj().decompress(rest, most)
        except zlib.error:
            return None
    return keyword.decode("latin-1"), rest[:most].decode(encoding, "replace")
