"""Checks the files of a model against its manifest (`cmfl zoo verify`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cmfl_export.base.errors import CmflError
from cmfl_export.base.tables import aligned
from cmfl_export.runtime import NOT_PORTABLE, ModelCard, read_card

from . import hub_cache
from .manifest import Manifest, ModelFile


@dataclass(frozen=True)
class Check:
    """The check of one file: its path, "" if it is missing, and its faults."""

    file: ModelFile
    path: str
    faults: tuple[str, ...]
    portable: bool = True  # whether every CPU computes the same scores from its 8-bit weights


@dataclass(frozen=True)
class Report:
    """What `verify` found."""

    name: str
    version: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether all files are right; only weights other than the default may be missing."""
        return not any(check.faults for check in self.checks)

    def lines(self) -> list[str]:
        """The result as text: one line per file, then the verdict."""
        rows = [
            [check.file.name, check.file.variant, "; ".join(check.faults) or _state(check)]
            for check in self.checks
        ]
        verdict = "agrees with its manifest" if self.ok else "DOES NOT AGREE with its manifest"
        return [*aligned(rows, numbers=()), f"{self.name} {self.version} {verdict}"]


def verify(name: str) -> Report:
    """Hashes every file of a model, and reads the card inside its weights.

    Only the weights of the default variant must be here. The card in an ONNX file must have the name,
    precision, threshold and licence of the manifest.

    Raises:
        ModelError: no such model, or a faulty manifest.
    """
    model = hub_cache.get(name)
    manifest = model.manifest
    checks = []
    for file in manifest.files:
        path = model.path_of(file)
        if path is not None:
            checks.append(check_weights(path, manifest, file) if file.variant else Check(file, str(path), ()))
            continue
        damaged = [path for path in model.candidates(file) if path.exists()]
        if damaged:
            checks.append(Check(file, str(damaged[0]), (f"{damaged[0]} has another size or SHA-256",)))
        elif file.variant and file.variant != manifest.default:
            checks.append(Check(file, "", ()))
        else:
            advice = f"; run: cmfl zoo pull {name}" if file.variant else ""
            checks.append(Check(file, "", (f"not here{advice}",)))
    return Report(manifest.name, manifest.version, tuple(checks))


def disagreements(card: ModelCard, manifest: Manifest, file: ModelFile) -> list[str]:
    """Returns the differences between the card inside an ONNX file and the manifest."""
    pairs = {
        "name": (card.name, manifest.name),
        "precision": (card.precision, file.variant),
        "threshold": (card.threshold, file.threshold),
        "licence": (card.licence, manifest.licence),
    }
    return [
        f"{key}: its card says {inside!r}, the manifest {outside!r}"
        for key, (inside, outside) in pairs.items()
        if inside != outside
    ]


def check_weights(path: Path, manifest: Manifest, file: ModelFile) -> Check:
    """Checks the card in an ONNX file against the manifest."""
    try:
        card = read_card(path)
    except CmflError as error:
        return Check(file, str(path), (str(error),))
    return Check(file, str(path), tuple(disagreements(card, manifest, file)), card.portable)


def _state(check: Check) -> str:
    if not check.path:
        return "not here, not needed"
    return f"ok  {check.path}" + ("" if check.portable else f"  {NOT_PORTABLE}")
