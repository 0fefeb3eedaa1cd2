"""Every page of the built book, opened from disk in Chromium with the network refused.

The book is looked for in _build/html, or where BOOK_HTML says.
"""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from book.tools import ROOT
from tests.book import checks
from tests.browser import REST, Visit, rest

pytestmark = pytest.mark.browser
HTML = Path(os.environ.get("BOOK_HTML") or ROOT / "_build/html")
PAGES = checks.check_book.toc_pages(yaml.safe_load((ROOT / "_toc.yml").read_text()))
MARK = 'type="application/vnd.jupyter.widget-view+json"'  # of a live figure
TASK_LINKS = 7  # links of the book's tasks that set a figure, at least
LIVE = 5  # pages with live figures that the book has at least


@pytest.fixture(scope="module")
def html() -> Path:
    if not (HTML / "index.html").is_file():
        message = f"no book in {HTML}: build it (make pages), or set BOOK_HTML to its folder"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return HTML


@pytest.fixture(scope="module", params=PAGES)
def name(request: Any) -> str:
    return request.param


@pytest.fixture(scope="module")
def visit(browser: Any, html: Path, name: str, tmp_path_factory: Any) -> Iterator[Visit]:
    """The page on a desk. The tests below use it in their order: first as it opens, then unfolded."""
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        by = tmp_path_factory.getbasetemp().parent / f"{name.replace('/', '.')}.worker"  # all workers see it
        assert not by.exists() or by.read_text() == worker, "two workers have opened the same page"
        by.write_text(worker)
    path = html / f"{name}.html"
    assert path.is_file(), f"{name} stands in _toc.yml and is not in the book"
    page = Visit(browser).open(path)
    yield page
    page.close()


@pytest.fixture(scope="module")
def pocket(browser: Any, html: Path, name: str) -> Iterator[Visit]:
    """The page in a dark pocket: a phone, colours for the night, nothing may move. Also used in order."""
    page = Visit(browser, width=390, height=844, dark=True, still=True).open(html / f"{name}.html")
    yield page
    page.close()


def none(problems: list[str]) -> None:
    assert not problems, "\n" + "\n".join(problems)


def test_opens_complete_and_quiet(visit: Visit) -> None:
    none(checks.page(visit))


def test_weighs_little(visit: Visit, name: str) -> None:
    total, pictures, math = checks.weight(visit)
    print(f"{name}: {total / 1e6:.2f} MB, pictures {pictures / 1e6:.2f} MB{', formulas' if math else ''}")
    none(checks.too_heavy(visit))


def test_is_no_longer_than_fifteen_screens(visit: Visit, name: str) -> None:
    """A chapter with its folds closed; book/_ext/second_storey.py folds what is for a second reading."""
    if not name.startswith("notebooks/"):
        return
    screens, problems = checks.too_long(visit)
    print(f"{name}: {screens:.1f} screens")
    none(problems)


def test_folded_sections_open_by_keyboard_and_by_link(visit: Visit, name: str) -> None:
    number, problems = checks.storeys(visit)
    print(f"{name}: {number} folded sections")
    none(problems)


def test_predict_then_reveal_by_keyboard(visit: Visit, name: str) -> None:
    number, problems = checks.questions(visit)
    print(f"{name}: {number} questions")
    none(problems)


def test_solutions_are_folded(visit: Visit, name: str) -> None:
    number, problems = checks.solutions(visit)
    print(f"{name}: {number} solutions")
    none(problems)


def test_can_be_read_in_the_light(visit: Visit) -> None:
    assert visit.tab.locator("html").get_attribute("data-theme") == "light"
    checks.open_all(visit)
    none(contrasts(visit) + checks.barriers(visit) + visit.log)


def test_every_control_of_every_figure(visit: Visit) -> None:
    checks.open_all(visit)
    none(checks.figures(visit))


def test_every_figure_has_its_words(visit: Visit, name: str) -> None:
    checks.open_all(visit)
    number, problems = checks.words(visit)
    print(f"{name}: {number} figures")
    none(problems)


def test_figures_answer_at_once(html: Path, name: str, request: Any) -> None:
    if MARK not in (html / f"{name}.html").read_text(encoding="utf-8"):
        return  # nothing to move, and so nothing to load: this test runs alone
    visit = request.getfixturevalue("visit")
    checks.open_all(visit)
    times, problems = checks.slow(visit)
    for line in times:
        print(f"{name}: {line}")
    none(problems)


def test_fits_a_phone_and_stays_still(pocket: Visit) -> None:
    folded = checks.overflow(pocket)
    checks.open_all(pocket)
    none(checks.moving(pocket))
    none(folded or checks.overflow(pocket))
    none(pocket.log)


def test_can_be_read_in_the_dark(pocket: Visit) -> None:
    """On a desk: the phone's page is made as wide as that, instead of being loaded once more."""
    pocket.tab.set_viewport_size({"width": 1280, "height": 900})
    assert pocket.tab.locator("html").get_attribute("data-theme") == "dark"
    checks.open_all(pocket)
    none(contrasts(pocket) + checks.barriers(pocket, ["color-contrast"]) + pocket.log)


def contrasts(visit: Visit) -> list[str]:
    """Letters of figures and pictures that can hardly be seen on their ground."""
    number, problems = checks.faint(visit)
    assert number or not visit.tab.locator(".sam-edu").count()
    return problems + checks.dark_pictures(visit)


# --- the book as a whole


def test_the_front_door_leads_to_the_first_page(browser: Any, html: Path) -> None:
    page = Visit(browser)
    try:
        page.tab.goto((html / "index.html").resolve().as_uri(), wait_until="commit")
        page.tab.wait_for_url(f"**/{PAGES[0]}.html")
        none(page.log)
    finally:
        page.close()


def test_search_finds_a_word_offline(browser: Any, html: Path) -> None:
    page = Visit(browser).open(html / "search.html", "?q=perturbation")
    try:
        found = page.tab.locator("#search-results li a")
        found.first.wait_for()
        found.nth(1).wait_for()
        rest(page.tab, 500)
        none(page.log)
        found.first.click()
        page.tab.wait_for_url(re.compile(r"/(notebooks|book)/"))
        page.tab.wait_for_selector("main h1", state="attached")
        none(page.log)
    finally:
        page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_search_and_index_have_no_barriers(browser: Any, html: Path, theme: str) -> None:
    for name in ("search", "genindex", "prf-prf"):
        if (html / f"{name}.html").is_file():
            page = Visit(browser, dark=theme == "dark").open(html / f"{name}.html")
            none([f"{name}: {problem}" for problem in checks.barriers(page)])
            page.close()


def test_formulas_and_code_have_no_barriers(browser: Any, html: Path) -> None:
    """Inside each of them, on one page that has both; elsewhere axe-core takes them as boxes."""
    page = Visit(browser).open(html / "notebooks/02_sam_step_by_step.html")
    assert page.tab.locator("mjx-container").count() > 50 and page.tab.locator("pre span").count() > 50
    none(checks.barriers(page, whole=True))
    page.close()


def test_a_drawing_is_saved_for_slides(browser: Any, html: Path) -> None:
    """From a dark page, by keyboard: one file, black on white, with the numbers inside."""
    page = Visit(browser, dark=True).open(html / "notebooks/07_standard_and_adversarial_optima.html")
    try:
        checks.open_storeys(page)
        figure = page.tab.locator("figure.se-figure").first
        figure.get_by_role("button", name="Save as SVG").focus()
        with page.tab.expect_download() as started:
            page.tab.keyboard.press("Enter")
        assert started.value.suggested_filename == "07_standard_and_adversarial_optima-2.svg"
        text = Path(started.value.path()).read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)
        svg = "{http://www.w3.org/2000/svg}"
        assert (
            "currentColor" not in text
            and "#000000" in text
            and root.find(f"{svg}rect").get("fill") == "#ffffff"
        )
        assert root.find(f"{svg}title").text == figure.locator("> svg").get_attribute("aria-label")
        assert json.loads(root.find(f"{svg}metadata").text)[0]["series"]
        assert float(root.get("width").removesuffix("pt")) > 300 and root.get("style") is None
        none(page.log)
    finally:
        page.close()


def test_a_task_s_link_sets_its_figure_and_brings_it_into_view(browser: Any, html: Path) -> None:
    """Each link in the text that names a state of a figure: a click, and the controls show what it names."""
    linked = r'<a href="(#se-[\w-]+--[\w-]+)"'
    pages = {n: re.findall(linked, (html / f"{n}.html").read_text(encoding="utf-8")) for n in PAGES}
    assert sum(map(len, pages.values())) >= TASK_LINKS
    for name, links in pages.items():
        if not links:
            continue
        page = Visit(browser).open(html / f"{name}.html")
        for link in links:
            checks.close_storeys(page)
            checks.open_storeys(page, f'a[href="{link}"]')
            key, *pairs = link[1:].split("--")
            figure = page.tab.locator(f".sam-edu[data-se-name={key[3:].rpartition('-')[0]}]")
            figure = figure.nth(int(key.rpartition("-")[2]) - 1)
            assert pairs and figure.count(), f"{name}: {link} names no figure of this page"
            page.tab.locator(f'a[href="{link}"]').first.click()
            rest(page.tab, REST + 100)
            state = figure.get_by_role("link", name="Link to this state").get_attribute("href")
            reached = dict(pair.split("_", 1) for pair in state.split("--")[1:])
            for trait, value in (pair.split("_", 1) for pair in pairs):
                assert reached[trait] == re.sub(r"d0+$", "", value), (name, link, state)
                if re.fullmatch(r"n?\d+(d\d+)?", value):
                    row = figure.locator(f".se-row:has([data-trait={trait}])")
                    shown = row.locator("output").text_content().replace("\u2212", "-")
                    number = float(value.replace("n", "-").replace("d", "."))
                    assert float(shown) == number, (name, link, trait, shown)
            box = figure.bounding_box()
            top, bottom = box["y"], box["y"] + box["height"]
            height = page.tab.viewport_size["height"]
            assert min(bottom, height) - max(top, 0) > height / 2, (name, link, top, bottom)
        none(page.log)
        page.close()


def test_links_inside_the_book_lead_somewhere(html: Path) -> None:
    extra = [n for n in ("genindex", "search", "prf-prf") if (html / f"{n}.html").is_file()]
    none(checks.broken_links(html, PAGES + extra))


def test_the_book_has_live_figures(html: Path) -> None:
    files = [path for n in PAGES if (path := html / f"{n}.html").is_file()]
    live = [path.stem for path in files if MARK in path.read_text(encoding="utf-8")]
    assert len(live) >= LIVE, live
