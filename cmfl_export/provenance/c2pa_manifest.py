"""Content Credentials: what the C2PA manifest of a file says, and whether its signature holds."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ..base.errors import UsageError
from ..base.text_formats import FormatError, load_json

# The type of the box that a manifest lies in, in every file format.
_BOX = b"c2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"
_MOST_JSON = 16 << 20
# Nothing is fetched: neither manifests that lie elsewhere nor the state of certificates.
_OFFLINE = {"remote_manifest_fetch": False, "ocsp_fetch": False}
_STATES = {"Trusted": "valid", "Valid": "untrusted", "Invalid": "invalid"}


class C2paState(StrEnum):
    """What is known of a file's manifest.

    `VALID`: file and signature agree, and one of the trust anchors vouches for the signer. `UNTRUSTED`: they
    agree, but anybody may have signed. `INVALID`: file and manifest do not agree, or the manifest is damaged.
    `UNREAD`: there is one, but the extra `provenance` is not installed. `ABSENT`: there is none.
    """

    VALID = "valid"
    UNTRUSTED = "untrusted"
    INVALID = "invalid"
    UNREAD = "unread"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says; empty texts where it says nothing, or is not valid.

    Attributes:
        state: see `C2paState`.
        signer: the organisation that signed, as in its certificate.
        claim_generator: the program that wrote the manifest.
        source_types: addresses of the digital source types, the picture's own first.
        software: the programs that its actions name.
        actions: what was done, such as `c2pa.created`.
        problem: why it is invalid.
    """

    state: C2paState
    signer: str = ""
    claim_generator: str = ""
    source_types: tuple[str, ...] = ()
    software: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    problem: str = ""


def has_manifest(data: bytes) -> bool:
    """Whether a file has a manifest, valid or not."""
    return _BOX in data


def read_manifest(data: bytes, trust_anchors: str = "") -> Manifest:
    """Reads the manifest of a file without using the network.

    Args:
        data: the file.
        trust_anchors: certificates in PEM that vouch for signers.

    Raises:
        UsageError: the trust anchors cannot be used.
    """
    if not has_manifest(data):
        return Manifest(C2paState.ABSENT)
    try:
        import c2pa
    except ImportError:
        return Manifest(C2paState.UNREAD)
    settings: dict[str, Any] = {"verify": {**_OFFLINE, "verify_trust": True}}
    if trust_anchors:
        check_anchors(trust_anchors)
        settings["trust"] = {"trust_anchors": trust_anchors}
    context = c2pa.Context(settings=c2pa.Settings.from_dict(settings))
    try:
        with c2pa.Reader(None, io.BytesIO(data), context=context) as reader:
            return _manifest(load_json(reader.json(), _MOST_JSON))
    except (c2pa.C2paError, FormatError) as error:
        return Manifest(C2paState.INVALID, problem=_line(error))


def check_anchors(pem: str) -> None:
    """Refuses a text that is no list of certificates, which the library would take for an empty one.

    Raises:
        UsageError: it is none.
    """
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        raise UsageError("the trust anchors are no certificates in PEM") from error


def _manifest(store: Any) -> Manifest:
    state = C2paState(_STATES.get(str(store.get("validation_state")), "invalid"))
    if state is C2paState.INVALID:
        codes = [str(entry.get("code")) for entry in _mappings(store.get("validation_status"))]
        # That nobody vouches for the signer is the state `untrusted`.
        why = [code for code in codes if code != "signingCredential.untrusted"]
        return Manifest(state, problem=", ".join(why))
    manifests = store.get("manifests", {})
    active = manifests.get(store.get("active_manifest"), {})
    # Those of pictures that it was made of come after its own.
    ordered = [active, *(one for one in _mappings(list(manifests.values())) if one is not active)]
    actions = [action for one in ordered for action in _actions(one)]
    generators = list(_mappings(active.get("claim_generator_info")))
    return Manifest(
        state,
        signer=str(active.get("signature_info", {}).get("issuer") or ""),
        claim_generator=str(
            generators[0].get("name", "") if generators else active.get("claim_generator") or ""
        ),
        source_types=_texts(action.get("digitalSourceType") for action in actions),
        software=_texts(_name(action.get("softwareAgent")) for action in actions),
        actions=_texts(action.get("action") for action in actions),
    )


def _actions(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for assertion in _mappings(manifest.get("assertions")):
        data = assertion.get("data")
        if str(assertion.get("label")).startswith("c2pa.actions") and isinstance(data, Mapping):
            yield from _mappings(data.get("actions"))


def _name(agent: object) -> object:
    """The name of a program: a text in the first version of the standard, a table since the second."""
    return agent.get("name") if isinstance(agent, Mapping) else agent


def _texts(values: Any) -> tuple[str, ...]:
    """Those that are texts, each once, in order."""
    return tuple(dict.fromkeys(value for value in values if isinstance(value, str) and value))


def _mappings(values: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(values, list):
        yield from (value for value in values if isinstance(value, Mapping))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
