"""The page as one HTML text; its content security policy names its script and style by their hashes."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..images import EXTENSIONS
from ..report import heatmaps, sha256_of, source, stream

_STYLES = ("report/page.css", "report/results.css", "web/page/page.css")
_SCRIPTS = (
    "report/results.js",
    "web/page/session.js",
    "web/page/pictures.js",
    "web/page/intake.js",
    "web/page/view.js",
)


@dataclass(frozen=True)
class Page:
    """A page. `pieces` is its HTML, to be taken once; `policy` its content security policy."""

    pieces: Iterator[str]
    policy: str


def render_page(
    title: str,
    detector: str,
    scripts: Sequence[str],
    settings: Mapping[str, Any],
    policy: Mapping[str, str],
    *,
    policy_in_page: bool,
    payload: Iterable[tuple[str, str]] = (),
) -> Page:
    """Returns a page that scores with a detector.

    Args:
        title: of the window.
        detector: a JavaScript class; view.js says what it has. It is made with the settings.
        scripts: the texts that define it, such as `source("web/page/server_detector.js")`.
        settings: what the scripts read. `server` says whether images leave the page; `endings` of image files
            and the `colours` of heatmaps are added.
        policy: more directives of the content security policy, such as `connect-src`; the sources of
            `script-src` come on top of the script's own.
        policy_in_page: whether the page brings its policy with it; else it belongs in a header.
        payload: ids and texts that the scripts read; ASCII without `<`, such as base64. Taken one by one.
    """
    from markupsafe import Markup

    start = f"""
const settings = JSON.parse(element("settings").textContent);
showPage(new {detector}(settings), settings);
"""
    script = "".join([*map(source, _SCRIPTS), *scripts, start])
    style = "".join(map(source, _STYLES))
    directives = {
        "default-src": "'none'",
        "img-src": "blob: data:",
        "style-src": f"'sha256-{sha256_of(style)}'",
        "base-uri": "'none'",
        "form-action": "'none'",
        **policy,
        "script-src": f"'sha256-{sha256_of(script)}' {policy.get('script-src', '')}".strip(),
    }
    text = "; ".join(f"{name} {sources}".strip() for name, sources in directives.items())
    common = {
        "endings": EXTENSIONS,
        "colours": base64.b64encode(heatmaps.colours().tobytes()).decode(),
    }
    pieces = stream(
        "web/page/page.html.jinja",
        title=title,
        policy=text if policy_in_page else "",
        style=Markup(style),
        script=Markup(script),
        settings={**common, **settings},
        payload=payload,
    )
    return Page(pieces, text)
