"""inspect(file) -> what the file says about where its picture comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .c2pa_manifest import C2paState, Manifest, read_manifest
from .source_types import term_of
from .statements import Header, Statement, read_header
from .tools import editors, generators


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a file says of its picture. Anybody can write, change or remove all of it, but a valid manifest.

    A file that says nothing is no sign of a real picture: most programs and services remove what was said.

    Attributes:
        source_type: the digital source type that the file states, a term of IPTC such as
            `trainedAlgorithmicMedia` or `digitalCapture`; "" if it states none.
        generator: the generator that the file names, or whose settings it has; "" if none.
        c2pa_state: see `C2paState`.
        signer: who signed the manifest; "" unless it is valid or untrusted.
        camera: make and model in EXIF; "" if none.
        software: the program in EXIF or XMP; "" if none.
        edits: editing programs that the file names, and what the manifest says was done.
        encoder: the quantisation tables of a JPEG file: `75` are the standard ones of quality 75, and
            `~82 #1f3a09` others, nearest to those of 82; "" for other formats.
        colour_profile: name of the ICC profile, as `Display P3`; `damaged` if it cannot be read, "" without
            one. Pictures are scored without converting their colours, see docs/predict.md.
        evidence: the texts that the above comes from.
    """

    source_type: str = ""
    generator: str = ""
    c2pa_state: C2paState = C2paState.ABSENT
    signer: str = ""
    camera: str = ""
    software: str = ""
    edits: tuple[str, ...] = ()
    encoder: str = ""
    colour_profile: str = ""
    evidence: tuple[Statement, ...] = ()


def inspect(data: bytes, *, trust_anchors: str = "") -> Provenance:
    """What a file says about its picture. No pixel is decoded, and no network used.

    A damaged file, or one that is no picture, says as much as can be read.

    Args:
        data: the bytes of the file.
        trust_anchors: certificates in PEM that vouch for those who sign Content Credentials. Without any, a
            manifest can at best be `untrusted`.

    Raises:
        UsageError: the trust anchors cannot be used.
    """
    header = read_header(data)
    manifest = read_manifest(data, trust_anchors)
    statements = [*_of_manifest(manifest), *header.statements]
    sources = [
        (term, one)
        for one in statements
        if one.field.lower() == "digitalsourcetype" and (term := term_of(one.text))
    ]
    makers, changers = list(generators(statements)), list(editors(statements))
    camera, software = _camera(header), _first(header, "Software", "CreatorTool")
    evidence = [one for _, one in (*sources, *makers, *changers)]
    evidence += [one for one in statements if one.field in ("actions", "problem", "provenance")]
    return Provenance(
        source_type=sources[0][0] if sources else "",
        generator=makers[0][0] if makers else "",
        c2pa_state=manifest.state,
        signer=manifest.signer,
        camera=camera,
        software=software,
        edits=tuple(dict.fromkeys([*(name for name, _ in changers), *_changes(manifest)])),
        encoder="" if header.tables is None else str(header.tables),
        colour_profile=header.colour_profile,
        evidence=tuple(dict.fromkeys(evidence)),
    )


def _of_manifest(manifest: Manifest) -> Iterator[Statement]:
    """What a manifest says, as statements; one that is not valid says nothing but why."""
    for text in manifest.source_types:
        yield Statement("C2PA", "digitalSourceType", text)
    for text in manifest.software:
        yield Statement("C2PA", "softwareAgent", text)
    if manifest.claim_generator:
        yield Statement("C2PA", "claim_generator", manifest.claim_generator)
    if manifest.actions:
        yield Statement("C2PA", "actions", ", ".join(manifest.actions))
    if manifest.problem:
        yield Statement("C2PA", "problem", manifest.problem)


def _changes(manifest: Manifest) -> list[str]:
    """The actions of a manifest that change a picture."""
    return [action for action in manifest.actions if action not in ("c2pa.created", "c2pa.opened")]


def _camera(header: Header) -> str:
    make, model = _first(header, "Make", where="EXIF"), _first(header, "Model", where="EXIF")
    if {make[:9].lower(), model[:7].lower()} & {"workflow:", "prompt:"}:
        return ""
    return model if model.lower().startswith(make.lower()) else f"{make} {model}".strip()


def _first(header: Header, *fields: str, where: str = "") -> str:
    return next(
        (one.text for one in header.statements if one.field in fields and where in ("", one.where)), ""
    )
