"""Self-contained HTML pages: one file, no network, light and dark, for screen, paper and screen readers."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

from ..base.text import visible
from ..runtime import ModelCard

# What could end a script element early or open a comment in it.
_IN_JSON = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


class Html(str):
    """Text that is HTML already, and so is not escaped again."""

    __slots__ = ()


def escape(text: object) -> Html:
    """Text as HTML, in an element or between quotes; unseen characters written out, `Html` left as it is."""
    return text if isinstance(text, Html) else Html(html.escape(visible(str(text))))


def data_uri(data: bytes, mime: str) -> str:
    """A `data:` address that holds the bytes."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def json_script(id: str, value: Any) -> Html:
    """Data for a script of the page: `JSON.parse(document.getElementById(id).textContent)`.

    Nothing in `value`, file names of an attacker included, can end the element; the text is ASCII.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).translate(_IN_JSON)
    return Html(f'<script type="application/json" id="{escape(id)}">{text}</script>')


def table(
    header: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    caption: object,
    numeric: Collection[int] = (),
) -> Html:
    """An accessible table: a caption, column headings, and the first cell of each row as its heading.

    Args:
        header, rows: cells, escaped unless they are `Html`.
        numeric: the columns, from 0, that are set right-aligned with figures of one width.
    """
    kinds = [' class="number"' if column in numeric else "" for column in range(len(header))]
    titles = "".join(
        f'<th scope="col"{kind}>{escape(cell)}</th>' for kind, cell in zip(kinds, header, strict=True)
    )
    body = "".join(f"<tr>{_cells(row, kinds)}</tr>\n" for row in rows)
    # The box scrolls where the table is too wide; it takes the focus so that the arrow keys can scroll it.
    return Html(
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}"><table>\n'
        f"<caption>{escape(caption)}</caption>\n"
        f"<thead><tr>{titles}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n"
    )


def _cells(row: Sequence[object], kinds: Sequence[str]) -> str:
    first, *rest = (escape(cell) for cell in row)
    others = (f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds[1:], rest, strict=True))
    return f'<th scope="row"{kinds[0]}>{first}</th>{"".join(others)}'


def definitions(items: Mapping[str, object]) -> Html:
    """Facts by name, as a definition list."""
    pairs = (f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>\n" for name, value in items.items())
    return Html(f'<dl class="facts">\n{"".join(pairs)}</dl>\n')


def badge(text: object, kind: str = "") -> Html:
    """A verdict in a coloured frame. `kind`: good, bad, warn, real, synthetic, failed, or none."""
    return Html(f'<span class="badge {escape(kind)}">{escape(text)}</span>')


def figure(picture: Html, caption: object) -> Html:
    """A picture (an <svg> or <img> of the caller's) with its caption."""
    return Html(f"<figure>\n{picture}\n<figcaption>{escape(caption)}</figcaption>\n</figure>\n")


def card_table(card: ModelCard) -> Html:
    """The whole model card, nested items named with dots."""
    return table(("Item", "Value"), card.items().items(), caption=f"Model card of {card.name}")


def resource(package: str, name: str) -> str:
    """The text of a stylesheet, script or piece of HTML that lies in a package."""
    return resources.files(package).joinpath(name).read_text("utf-8")


def document(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """A whole HTML5 page that loads nothing from anywhere.

    Its content security policy forbids every request, and every script but `script`, so that nothing that
    slipped into the body could run.

    Args:
        title: of the window; plain text.
        body: HTML, with a <main> and an <h1> of its own.
        style: CSS after the base stylesheet.
        script: JavaScript, run at the end of the body.
    """
    # The parser turns \r\n into \n before the browser takes the hash.
    script = f"\n{script}\n".replace("\r\n", "\n") if script else ""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"'sha256-{digest}'" if script else "'none'"
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n'
        # Else some browsers look for /favicon.ico.
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n'
        f"<style>\n{resource(__package__, 'page.css')}{style}</style>\n</head>\n<body>\n{body}"
        + (f"<script>{script}</script>\n" if script else "")
        + "</body>\n</html>\n"
    )
