"""A reference to a statement or an equation shows what it refers to: by pointer and by keyboard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from book.tools import ROOT
from tests.book.test_pages import html  # noqa: F401

pytestmark = pytest.mark.browser
SCRIPT = "".join(
    (ROOT / f"book/assets/js/{name}.js").read_text(encoding="utf-8") for name in ("address", "cards")
)
PAGE = """<article>
<p>By <a class="reference internal" href="#thm-a">Theorem 1</a>,
<a class="reference internal" href="#equation-b">(1)</a>,
<a class="prf-card reference internal" href="far.html#thm-c"
 title="Of another page\u2029Then \\(a\\) is b.">Theorem 2</a>
<a class="eq-card reference internal" href="far.html#equation-d" title="c = d">(2)</a>,
<a class="eq-card reference internal" href="far.html#equation-f" title="e \\\\ f">(3)</a>
and <a class="reference internal" href="#plain">a place</a>.</p>
<div class="proof theorem" id="thm-a"><p>All is well.<a class="witness" href="x">4 tests</a></p></div>
<div class="math" id="equation-b">a = b</div><p id="plain">Here.</p></article>"""


@pytest.fixture(scope="module")
def tab(browser: Any) -> Iterator[Any]:
    page = browser.new_page()
    page.goto("about:blank")
    page.set_content(f"<!DOCTYPE html><html><head><script>{SCRIPT}</script></head><body>{PAGE}</body></html>")
    yield page
    page.close()


@pytest.mark.parametrize(
    "link, says",
    [
        ("Theorem 1", "All is well."),
        ("(1)", "a = b"),
        ("Theorem 2", "Of another page\n\nThen \\(a\\) is b."),
        ("(2)", r"\[c = d\]"),  # as it stands where MathJax is absent
        ("(3)", r"\[\begin{split}e \\ f\end{split}\]"),
    ],
)
def test_by_keyboard_and_by_pointer(tab: Any, link: str, says: str) -> None:
    card, reference = tab.locator(".ref-card"), tab.get_by_role("link", name=link)
    for act in (reference.focus, reference.hover):
        act()
        card.wait_for(state="visible")
        assert card.inner_text().strip() == says
        assert reference.get_attribute("aria-describedby") == "ref-card"
        tab.keyboard.press("Escape")
        assert card.is_hidden() and reference.get_attribute("aria-describedby") is None
        tab.mouse.move(0, 300)
        reference.blur()
    assert tab.locator("[id=thm-a]").count() == 1


def test_other_links_have_none(tab: Any) -> None:
    tab.get_by_role("link", name="a place").focus()
    assert tab.locator(".ref-card").is_hidden()


def test_the_formula_of_another_page_is_typeset_and_then_placed_again(tab: Any) -> None:
    tab.evaluate("""() => { window.MathJax = {typesetPromise: async ([box]) => {
        box.querySelector(".math").innerHTML = "<p style='width: 300px'>typeset</p>"; }}; }""")
    tab.get_by_role("link", name="(2)").focus()
    tab.get_by_text("typeset").wait_for()
    assert tab.locator(".ref-card").is_visible()
    tab.keyboard.press("Escape")
    tab.evaluate("delete window.MathJax")


def test_a_statement_of_another_page_is_carried_whole(html: Path) -> None:  # noqa: F811
    """Title, text, formulas, the numbers of what it refers to."""
    links = re.findall(
        r'<a class="prf-card[^>]* title="([^"]+)"', (html / "book/statements.html").read_text("utf-8")
    )
    assert len(links) > 20
    for said in map(unescape, links):
        title, *body = said.split("\N{PARAGRAPH SEPARATOR}")
        assert title and body and "\\(" in said, said
        assert not re.search(r"\$|\{\w+(:\w+)?\}`|\b(thm|prop|cor|eq|exp)-[a-z]", said), said
        assert said.count("\\(") == said.count("\\)") and not re.search(r"\d tests?$", title), said
