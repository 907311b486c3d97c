"""The parts of self-contained pages: nothing a name holds gets out of its place."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from cmfl_export.report import html
from tests.cmfl_export import tiny_model

HOSTILE = [
    '"><img src=x onerror=alert(1)>.png',
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "a'b\"c&d",
    "photo\u202egnp.exe",
    "line\nbreak\u2028\x00\x7f",
    "not utf-8 \udc80\udcff",
    "\ue000private",
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
    assert html.visible("photo\u202egnp.exe") == "photo\\u202egnp.exe"
    assert html.visible("a\nb\x00\udc80\u200b\ufeff") == "a\\nb\\x00\\udc80\\u200b\\ufeff"
    assert html.visible("Zoë 李 שלום 😀 a b") == "Zoë 李 שלום 😀 a b"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_text_wherever_it_stands(name: str) -> None:
    body = html.table(("Name",), [(name,)], caption=name) + html.definitions({name: name})
    body += html.badge(name, name) + html.figure(html.Html("<svg></svg>"), name)
    parsed = Elements(body)
    assert not {"img", "script"} & set(parsed.tags())
    assert all(
        set(attributes) <= {"class", "scope", "role", "tabindex", "aria-label"}
        for _, attributes in parsed.found
    )
    assert "".join(parsed.text).count(html.visible(name)) == 6
    assert parsed.found[0][1]["aria-label"] == html.visible(name)
    body.encode()


@pytest.mark.parametrize("name", HOSTILE)
def test_data_comes_back_from_its_script_and_cannot_end_it(name: str) -> None:
    text = html.json_script("data", {"name": name})
    assert text.isascii()
    assert Elements(text).tags() == ["script"]
    content = re.fullmatch(r'<script type="application/json" id="data">(.*)</script>', text)
    assert content is not None
    assert json.loads(content[1]) == {"name": name}
    assert "<" not in content[1]


def test_html_is_not_escaped_twice() -> None:
    text = html.table(("A", "B"), [(html.badge("ok", "good"), 1.5)], caption="C", numeric=[1])
    assert '<th scope="row"><span class="badge good">ok</span></th><td class="number">1.5</td>' in text
    assert '<th scope="col">A</th><th scope="col" class="number">B</th>' in text
    assert text.index("<caption>C</caption>") < text.index("<thead>")


def test_a_row_of_another_length_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="zip"):
        html.table(("A", "B"), [(1, 2, 3)], caption="C")


def test_a_document_loads_nothing_and_runs_its_own_script_only() -> None:
    text = html.document("A <b>", "<main><h1>A</h1></main>", style="p{}", script="let a;\r\nlet b")
    parsed = Elements(text)
    policy = next(
        str(attributes["content"])
        for tag, attributes in parsed.found
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    script = text.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}';" in policy
    assert "\r" not in text
    assert "<title>A &lt;b&gt;</title>" in text
    assert "http" not in text.replace("http-equiv", "")
    assert dict(parsed.found)["html"] == {"lang": "en"}
    assert text.index("p{}") > text.index("--paper")


def test_a_document_without_a_script_allows_none() -> None:
    text = html.document("A", "")
    assert "script-src 'none';" in text
    assert "<script" not in text


def test_the_card_is_shown_whole() -> None:
    text = html.card_table(tiny_model.card(threshold=0.25))
    assert "<caption>Model card of tiny</caption>" in text
    assert '<th scope="row">threshold</th><td>0.25</td>' in text
    assert "evidence and not proof" in text


def test_a_data_uri_holds_the_bytes() -> None:
    assert html.data_uri(b"\x00\xff", "image/png") == "data:image/png;base64,AP8="
