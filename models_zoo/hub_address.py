"""Addresses of models in repositories laid out like those of Hugging Face: hf://owner/name@revision/file.onnx."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from cmfl_export.base.errors import UsageError

from .names import is_file_name

ENDPOINT_VARIABLE, TOKEN_VARIABLE = "HF_ENDPOINT", "HF_TOKEN"
DEFAULT_ENDPOINT = "https://huggingface.co"
DEFAULT_REVISION = "main"

_ADDRESS = re.compile(r"hf://(?P<owner>[^/@]+)/(?P<name>[^/@]+)(?:@(?P<revision>[^/@]+))?(?:/(?P<file>.+))?")
_REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
# What stands in place of an owner where an address is of another kind of repository.
_OTHER_KINDS = {"buckets", "datasets", "kernels", "spaces"}


@dataclass(frozen=True)
class Address:
    """A model: its repository, its revision (branch, tag or commit) and its file ("" is the default)."""

    owner: str
    name: str
    revision: str = DEFAULT_REVISION
    file: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Reads an address.

        Raises:
            UsageError: it is none.
        """
        found = _ADDRESS.fullmatch(text)
        if found is not None:
            address = cls(
                found["owner"],
                found["name"],
                unquote(found["revision"] or DEFAULT_REVISION),
                found["file"] or "",
            )
            if address._is_safe():
                return address
        raise UsageError(
            f"{text!r} is no model in a hub; write hf://owner/name@revision or "
            "hf://owner/name@revision/file.onnx, with %2F for / in a revision"
        )

    @property
    def repository(self) -> str:
        """Owner and name."""
        return f"{self.owner}/{self.name}"

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit, which never means another content."""
        return is_commit(self.revision)

    def at(self, commit: str) -> str:
        """The text of the address with this commit as its revision."""
        return f"hf://{self.repository}@{commit}" + (f"/{self.file}" if self.file else "")

    def _is_safe(self) -> bool:
        return (
            self.owner not in _OTHER_KINDS
            and is_file_name(self.owner)
            and is_file_name(self.name)
            and _REVISION.fullmatch(self.revision) is not None
            and (not self.file or is_weights(self.file))
        )


def is_address(text: str) -> bool:
    """Whether a text is meant as a model in a hub: no other kind of repository, and no file but .onnx."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return False
    return found["owner"] not in _OTHER_KINDS and (not found["file"] or found["file"].endswith(".onnx"))


def is_weights(path: str) -> bool:
    """Whether a path in a repository is an .onnx file whose name and folders are safe on every system."""
    return path.endswith(".onnx") and len(path) <= 255 and all(map(is_file_name, path.split("/")))


def is_commit(text: str) -> bool:
    """Whether a text is the SHA-1 of a commit."""
    return _COMMIT.fullmatch(text) is not None


def hub_endpoint(given: str | None = None) -> str:
    """Returns the address of the hub: `given`, else HF_ENDPOINT, else that of Hugging Face.

    Raises:
        UsageError: it is no https or http address.
    """
    text = given or os.environ.get(ENDPOINT_VARIABLE) or DEFAULT_ENDPOINT
    try:
        parts = urlsplit(text)
        valid = (
            parts.scheme in ("https", "http") and bool(parts.hostname) and not parts.query + parts.fragment
        )
    except ValueError:
        valid = False
    if not valid:
        origin = "" if given else f"{ENDPOINT_VARIABLE}: "
        raise UsageError(f"{origin}not the address of a hub; give one like {DEFAULT_ENDPOINT}")
    return text.rstrip("/")


def hub_token(place: str) -> str:
    """Returns the token in HF_TOKEN for a hub; "" without, and where others could read it on its way.

    Raises:
        UsageError: the variable holds no token.
    """
    text = os.environ.get(TOKEN_VARIABLE, "").strip()
    if text and not (text.isascii() and text.isprintable() and " " not in text):
        raise UsageError(f"{TOKEN_VARIABLE} is not a token: it has spaces or other characters that none has")
    parts = urlsplit(place)
    return text if parts.scheme == "https" or _is_loopback(parts.hostname or "") else ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
