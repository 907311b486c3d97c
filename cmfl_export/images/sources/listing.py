"""The objects below an address, page by page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from . import stores
from .names import is_web, scheme_of

_S3 = ("s3", "s3a")
_WILDCARD = re.compile(r"[*?\[]")


def objects(url: str, *, recursive: bool = True) -> Iterator[tuple[str, int]]:
    """Yields address and size of the objects below a folder's address, in order of name.

    S3 sends a thousand at a time, which are yielded as they come; other stores list each folder as a whole.
    Names that begin with a dot are passed over.

    Raises:
        ImageError: the store cannot be asked, or no longer.
        PackageError: the package for this store is missing.
    """
    folder = url if url.endswith("/") else f"{url}/"
    for found, size in _keys(folder, recursive):
        below = found[len(folder) :]
        if below and not below.endswith("/") and not below.startswith(".") and "/." not in below:
            yield found, size


def matches(pattern: str) -> Iterator[tuple[str, int]]:
    """Yields the objects that a pattern with `*`, `?`, `[...]` or `**` matches; see `objects`."""
    plain = _WILDCARD.split(pattern, maxsplit=1)[0]
    folder = plain[: plain.rindex("/") + 1]
    deep = "/" in pattern[len(folder) :]
    matching = re.compile(_regex(pattern), re.DOTALL).fullmatch
    yield from (found for found in objects(folder, recursive=deep) if matching(found[0]))


def is_pattern(url: str) -> bool:
    """Whether an address has a wildcard behind its bucket; a `?` on the web begins a query."""
    rest = url.partition("://")[2].partition("/")[2]
    return not is_web(url) and _WILDCARD.search(rest) is not None


def _keys(folder: str, recursive: bool) -> Iterator[tuple[str, int]]:
    store = stores.store_of(folder)
    if scheme_of(folder) in _S3:
        yield from _pages_of_s3(store, folder, recursive)
        return
    scheme = folder.partition("://")[0]
    root = store._strip_protocol(folder)

    def below(path: str) -> Iterator[tuple[str, int]]:
        found: list[dict[str, Any]] = stores.patiently(lambda: store.ls(path, detail=True))
        for entry in sorted(found, key=lambda entry: str(entry["name"])):
            name = str(entry["name"])
            if entry["type"] != "directory":
                yield f"{scheme}://{name}", int(entry.get("size") or 0)
            elif recursive and name != path:
                yield from below(name)

    yield from below(root)


def _pages_of_s3(store: Any, folder: str, recursive: bool) -> Iterator[tuple[str, int]]:
    scheme, _, rest = folder.partition("://")
    bucket, _, prefix = rest.partition("/")
    asked: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, **store.req_kw}
    if not recursive:
        asked["Delimiter"] = "/"
    while True:
        page = stores.patiently(lambda: store.call_s3("list_objects_v2", **asked))
        for entry in page.get("Contents", ()):
            yield f"{scheme}://{bucket}/{entry['Key']}", int(entry["Size"])
        if not page.get("IsTruncated"):
            return
        asked["ContinuationToken"] = page["NextContinuationToken"]


def _regex(pattern: str) -> str:
    """The regular expression of a pattern: `*` stays within a folder, `**` stands for any folders."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]+\])", pattern)
    kinds = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        kinds.get(part) or (f"[{part[1:-1].replace('!', '^', 1)}]" if _is_set(part) else re.escape(part))
        for part in parts
    )


def _is_set(part: str) -> bool:
    return len(part) > 2 and part[0] == "[" and part[-1] == "]"
