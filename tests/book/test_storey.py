"""Folded sections: closed at first, opened by the keyboard and by all that leads into them, open on paper."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from book._ext.second_storey import CLOSE, OPEN
from book.tools import ROOT
from tests.browser import rest

pytestmark = pytest.mark.browser
SCRIPT = "".join(
    (ROOT / f"book/assets/js/{name}.js").read_text(encoding="utf-8") for name in ("address", "storey")
)
STYLE = (ROOT / "book/assets/css/print.css").read_text(encoding="utf-8")
FIGURE = "se-tide-1--rho_0d4"
PAGE = f"""<!DOCTYPE html><html><head>
<script>{SCRIPT}</script><style media="print">{STYLE}</style></head><body><main>
<section id="top"><h2>Top</h2><p style="height: 3000px">Tall.
<a href="#deep">to the section</a> <a href="#pearl">to the pearl</a>
<a href="#{FIGURE}">to the figure</a></p></section>
<section id="deep">{OPEN}<h2>Deep</h2><span>a pearl</span>{CLOSE}
<p id="pearl">A pearl in a shell.</p><section id="cave"><h3>Cave</h3>
<div style="height: 400px" class="sam-edu" data-se-name="tide">A figure.</div></section></details></section>
</main></body></html>"""


@pytest.fixture
def address(tmp_path: Path) -> str:
    (tmp_path / "page.html").write_text(PAGE, encoding="utf-8")
    return (tmp_path / "page.html").as_uri()


@pytest.fixture
def tab(browser: Any, address: str) -> Iterator[Any]:
    page = browser.new_page()
    page.goto(address)
    yield page
    page.close()


def is_open(tab: Any) -> bool:
    return tab.evaluate("document.querySelector('details').open")


def in_view(tab: Any, selector: str) -> bool:
    return tab.evaluate(
        "(s) => { const r = document.querySelector(s).getBoundingClientRect();"
        "return r.bottom > 0 && r.top < innerHeight && r.height > 0; }",
        selector,
    )


def test_is_closed_until_enter(tab: Any) -> None:
    assert not is_open(tab) and tab.get_by_role("heading", name="Deep").is_visible()
    tab.locator("summary").focus()
    tab.keyboard.press("Enter")
    assert is_open(tab) and tab.locator("#pearl").is_visible()


@pytest.mark.parametrize("name, target", [("section", "#deep"), ("pearl", "#pearl"), ("figure", ".sam-edu")])
def test_a_link_opens_it_also_a_second_time(tab: Any, name: str, target: str) -> None:
    for _ in range(2):  # the second click changes no address
        tab.get_by_role("link", name=f"to the {name}").click()
        assert is_open(tab)
        assert name == "figure" or in_view(tab, target)  # a live figure comes into view by itself
        tab.evaluate("document.querySelector('details').open = false; scrollTo(0, 0)")


@pytest.mark.parametrize("hash, target", [("deep", "#deep"), ("pearl", "#pearl"), (FIGURE, ".sam-edu")])
def test_an_address_opens_it(tab: Any, address: str, hash: str, target: str) -> None:
    tab.goto("about:blank")
    tab.goto(f"{address}#{hash}")
    assert is_open(tab) and in_view(tab, target)
    tab.evaluate("document.querySelector('details').open = false; scrollTo(0, 0); location.hash = 'top'")
    tab.go_back()
    tab.wait_for_function("document.querySelector('details').open")


def test_an_address_that_was_cut_off_is_no_error(browser: Any, address: str) -> None:
    tab, errors = browser.new_page(), []
    tab.on("pageerror", lambda error: errors.append(error))
    tab.goto(f"{address}#deep%")
    tab.evaluate("location.hash = '%E0%A4%A'")
    tab.get_by_role("link", name="to the pearl").click()
    assert is_open(tab) and errors == []
    tab.close()


def test_a_figure_that_comes_later_is_found(browser: Any, tmp_path: Path) -> None:
    late = PAGE.replace("sam-edu", "host").replace(
        "</body>",
        "<script>setTimeout(() => (document.querySelector('.host').innerHTML ="
        ' \'<div class="sam-edu" data-se-name="tide">Here.</div>\'), 100)</script></body>',
    )
    (tmp_path / "page.html").write_text(late, encoding="utf-8")
    tab = browser.new_page()
    tab.goto(f"{(tmp_path / 'page.html').as_uri()}#{FIGURE}")
    # the figure first: before the page's script has folded it, the section is open, too
    tab.wait_for_selector(".sam-edu", state="attached")
    tab.wait_for_function("document.querySelector('details').open")
    rest(tab)
    assert in_view(tab, ".sam-edu")
    tab.close()


def test_a_word_that_was_searched_opens_it(tab: Any) -> None:
    tab.evaluate("document.querySelector('#pearl').innerHTML = 'A <span class=\"highlighted\">pearl</span>.'")
    tab.wait_for_function("document.querySelector('details').open")


def test_paper_shows_all_and_the_screen_is_as_before(tab: Any) -> None:
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert is_open(tab)
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not is_open(tab)
    printed = "".join(page.extract_text() for page in PdfReader(io.BytesIO(tab.pdf())).pages)
    assert "A pearl in a shell." in printed and not is_open(tab)


def test_without_scripts_all_is_open(browser: Any, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(address)
    assert tab.locator("#pearl").is_visible()
    context.close()
