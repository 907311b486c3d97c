"""The properties of an XMP packet that tell of a picture's source."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

_MOST_BYTES = 4 << 20
# Local names; each is used by one schema only.
_FIELDS = frozenset(
    {
        *("DigitalSourceType", "digitalSourceType", "AISystemUsed", "AISystemVersionUsed", "CreatorTool"),
        *("softwareAgent", "Software", "Credit", "UserComment", "description", "provenance"),
    }
)


def xmp_values(packet: object) -> Iterator[tuple[str, str]]:
    """Yields (field, text) in the order of the packet; nothing for a packet that is damaged or too large.

    Args:
        packet: the packet as text or bytes.
    """
    data = packet.encode("utf-8", "replace") if isinstance(packet, str) else packet
    if not isinstance(data, bytes) or len(data) > _MOST_BYTES:
        return
    # XMP has no document type. One could define entities that grow to gigabytes.
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        return
    try:
        root = ElementTree.fromstring(data.strip(b"\0 \t\r\n\xef\xbb\xbf"))
    except (ElementTree.ParseError, ValueError, LookupError):
        return
    for element in root.iter():
        field = _local(element.tag)
        if field in _FIELDS:
            # The text stands in the element, or in the items of a list in it.
            text = " ".join(" ".join(element.itertext()).split())
            yield field, text or _resource(element)
        for name, text in element.attrib.items():
            if _local(name) in _FIELDS:
                yield _local(name), text


def _resource(element: ElementTree.Element) -> str:
    """The address that an element refers to; "" if none."""
    return next((value for name, value in element.attrib.items() if _local(name) == "resource"), "")


def _local(name: object) -> str:
    return str(name).rpartition("}")[2]
