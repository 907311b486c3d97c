"""Self-contained HTML pages from Jinja2 templates: one file, no network; for screens, paper and readers."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from ..base.text import visible

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def render(template: str, **values: Any) -> str:
    """The page that a template makes of the values.

    Args:
        template: its path in this package, such as `evaluate/report_page.html.jinja`.
        values: what the template names; one that is missing is an error, not empty text.
    """
    return environment().get_template(template).render(values)


def stream(template: str, **values: Any) -> Iterator[str]:
    """As `render`, piece by piece: what the template loops over is taken only as it is written."""
    return environment().get_template(template).generate(values)


@cache
def environment() -> Environment:
    """How templates become HTML: every value is escaped, and its unseen characters are written out.

    `source(NAME)` in a template is the text of a stylesheet or script; `zip` wants equal lengths.
    """
    # Here, so that nothing but writing a page takes the time to import it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("cmfl_export", "."),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    # The text is ASCII, and nothing in it can end a script element.
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    made.filters |= {"sha256": sha256_of, "thousands": "{:,}".format}
    made.globals |= {"source": source, "zip": partial(zip, strict=True)}
    return made


def data_uri(data: bytes, mime: str) -> str:
    """A `data:` address that holds the bytes."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def _finalize(value: object) -> object:
    """What stands between {{ and }} is seen as it is; HTML of a macro has been through this already."""
    return value if hasattr(value, "__html__") else visible(str(value))


def source(name: str) -> Markup:
    """The text of a stylesheet or script of this package, whose braces are no template's.

    With \\n as the ends of lines: the browser's parser turns \\r\\n into \\n before the hash is taken.
    """
    from markupsafe import Markup

    loader = environment().loader
    assert loader is not None
    return Markup(loader.get_source(environment(), name)[0].replace("\r\n", "\n"))


def sha256_of(text: str) -> str:
    """The hash of a script or style as a content security policy names it."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
