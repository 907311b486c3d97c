"""The parts of self-contained pages: nothing a name holds gets out of its place."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError, nodes

from cmfl_export.base.text import visible
from cmfl_export.report import html
from tests.cmfl_export import tiny_model

PARTS: Any = html.environment().get_template("report/parts.html.jinja").module
TEMPLATES = html.environment().list_templates(["jinja"])
HOSTILE = [
    '"><img src=x onerror=alert(1)>.png',
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "a'b\"c&d",
    "photo\u202egnp.exe",
    "line\nbreak\u2028\x00\x7f",
    "not utf-8 \udc80\udcff",
    "\ue000private",
    "<script>alert(1)</script>\u202e.png",
    "{{ 7*7 }}{% raw %}{# </script>",
]


class Elements(HTMLParser):
    """The elements of a document in order, with the text inside them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def tags(self) -> list[str]:
        return [tag for tag, _ in self.found]


def test_unseen_characters_are_written_out_and_others_kept() -> None:
    assert visible("photo\u202egnp.exe") == "photo\\u202egnp.exe"
    assert visible("a\nb\x00\udc80\u200b\ufeff") == "a\\nb\\x00\\udc80\\u200b\\ufeff"
    assert visible("Zoë 李 שלום 😀 a b") == "Zoë 李 שלום 😀 a b"


def filled(template: str, **values: Any) -> str:
    """What a template of the test's own makes of the values."""
    return html.environment().from_string(template).render(values)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_text_wherever_it_stands(name: str) -> None:
    figure = (
        "{% from 'report/parts.html.jinja' import figure %}{% call figure(name) %}<svg></svg>{% endcall %}"
    )
    parts = [PARTS.table(name, ("Name",), [(name,)]), PARTS.fact(name, name), PARTS.badge(name, name)]
    body = "".join([*parts, filled(figure, name=name)])
    parsed = Elements(body)
    assert not {"img", "script"} & set(parsed.tags())
    assert all(
        set(attributes) <= {"class", "scope", "role", "tabindex", "aria-label"}
        for _, attributes in parsed.found
    )
    assert "".join(parsed.text).count(visible(name)) == 6
    assert parsed.found[0][1]["aria-label"] == visible(name)
    body.encode()


@pytest.mark.parametrize("name", HOSTILE)
def test_data_comes_back_from_its_script_and_cannot_end_it(name: str) -> None:
    template = '<script type="application/json" id="data">{{ value|tojson }}</script>'
    text = filled(template, value={"name": name})
    assert text.isascii()
    assert Elements(text).tags() == ["script"]
    content = re.fullmatch(template.replace("{{ value|tojson }}", "(.*)"), text)
    assert content is not None
    assert json.loads(content[1]) == {"name": name}
    assert "<" not in content[1]


def test_numbers_that_json_lacks_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="JSON"):
        filled("{{ value|tojson }}", value=float("nan"))


def test_html_is_not_escaped_twice() -> None:
    text = PARTS.table("C", ("A", "B"), [(PARTS.badge("ok", "good"), 1.5)], numeric=[1])
    assert '<th scope="row"><span class="badge good">ok</span></th><td class="number">1.5</td>' in text
    assert '<th scope="col">A</th><th scope="col" class="number">B</th>' in text
    assert text.index("<caption>C</caption>") < text.index("<thead>")


def test_a_row_of_another_length_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="zip"):
        PARTS.table("C", ("A", "B"), [(1, 2, 3)])


def test_a_value_that_is_missing_is_a_mistake() -> None:
    for template in ("{{ missing }}", "{% if missing %}{% endif %}", "{{ card.missing }}"):
        with pytest.raises(UndefinedError):
            filled(template, card=tiny_model.card())


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_value_gets_around_the_escaping(name: str) -> None:
    """{{ }} writes unseen characters out and escapes; `~` and some filters would escape alone."""
    loader = html.environment().loader
    assert loader is not None
    source, _, _ = loader.get_source(html.environment(), name)
    parsed = html.environment().parse(source)
    assert not list(parsed.find_all((nodes.Concat, nodes.ScopedEvalContextModifier)))
    used = {filter.name for filter in parsed.find_all(nodes.Filter)}
    assert used <= {"format", "int", "join", "length", "round", "safe", "sha256", "thousands", "tojson"}
    # The plots, which matplotlib escapes.
    safe = [filter.node for filter in parsed.find_all(nodes.Filter) if filter.name == "safe"]
    assert [getattr(node, "name", "") for node in safe] == (["svg"] if name.startswith("evaluate/") else [])


def test_every_page_is_a_template() -> None:
    assert {"evaluate/report_page.html.jinja", "predict/report_page.html.jinja"} < set(TEMPLATES)
    html_in_python = [
        path.name
        for package in ("report", "predict", "evaluate", "web", "serve")
        for path in (Path(html.__file__).parents[1] / package).glob("*.py")
        if re.search(r"""['"](</?(p|h\d|dl|div|span|section|table|td|li|img|script)\b)""", path.read_text())
    ]
    assert html_in_python == []


def test_what_a_page_loops_over_is_taken_as_it_is_written() -> None:
    taken = []

    def pictures() -> Iterator[int]:
        for number in range(3):
            taken.append(number)
            yield number

    template = html.environment().from_string(
        '{% extends "report/document.html.jinja" %}{% block title %}A{% endblock %}'
        "{% block body %}{% for picture in pictures %}picture {{ picture }}\n{% endfor %}{% endblock %}"
    )
    seen = [list(taken) for piece in template.generate(pictures=pictures()) if piece.strip().isdigit()]
    assert seen == [[0], [0, 1], [0, 1, 2]]


DOCUMENT = """{% extends "report/document.html.jinja" %}
{% block title %}{{ title }}{% endblock %}
{% block style %}p{}{% endblock %}
{% block script %}{{ script }}{% endblock %}
{% block body %}<main><h1>A</h1></main>{% endblock %}
"""


def test_a_document_loads_nothing_and_runs_its_own_script_only() -> None:
    text = filled(DOCUMENT, title="A <b>", script=PARTS.badge("let a;"))
    parsed = Elements(text)
    policy = next(
        str(attributes["content"])
        for tag, attributes in parsed.found
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    script = text.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "let a;" in script
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}';" in policy
    assert "<title>A &lt;b&gt;</title>" in text
    assert "http" not in text.replace("http-equiv", "")
    assert dict(parsed.found)["html"] == {"lang": "en"}
    assert text.index("p{}") > text.index("--paper")


def test_a_document_without_a_script_allows_none() -> None:
    text = filled(DOCUMENT, title="A", script="")
    assert "script-src 'none';" in text
    assert "<script" not in text


def test_a_script_is_no_template_and_its_lines_end_as_in_the_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_source(self: object, environment: object, name: str) -> tuple[str, None, None]:
        return f"'{name} {{{{ 7*7 }}}}' < 1;\r\nlet b;", None, None

    monkeypatch.setattr("jinja2.PackageLoader.get_source", get_source)
    assert filled("{{ source('a.js') }}") == "'a.js {{ 7*7 }}' < 1;\nlet b;"


def test_the_card_is_shown_whole() -> None:
    text = PARTS.card_table(tiny_model.card(threshold=0.25))
    assert "<caption>Model card of tiny</caption>" in text
    assert '<th scope="row">threshold</th><td>0.25</td>' in text
    assert "evidence and not proof" in text


def test_a_data_uri_holds_the_bytes() -> None:
    assert html.data_uri(b"\x00\xff", "image/png") == "data:image/png;base64,AP8="


@pytest.mark.parametrize(
    "code",
    [
        "import cmfl_export, cmfl_export.report, cmfl_export.predict, cmfl_export.evaluate",
        "from cmfl_export.cli import main; sys.argv = ['cmfl', '--help']; main()",
    ],
)
def test_only_a_page_needs_jinja(code: str) -> None:
    watched = f"import atexit, sys; atexit.register(lambda: print('jinja2' in sys.modules)); {code}"
    done = subprocess.run([sys.executable, "-c", watched], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("False\n"), done.stderr
