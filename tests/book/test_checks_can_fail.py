"""The checks of the pages, tried on pages with one fault each: a check that cannot fail is no check."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from book.tools import ROOT
from tests.book import checks
from tests.book.conftest import group
from tests.browser import Visit
from tests.figures import MAKE

pytestmark = pytest.mark.browser
HOST = (ROOT / "book/assets/js/afm-host.js").read_text(encoding="utf-8")
PREDICT = "".join(
    (ROOT / f"book/assets/js/{name}.js").read_text(encoding="utf-8") for name in ("address", "predict")
)
DOT = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"  # one pixel
WORDS = "<p>" + "It says something. " * 20 + "</p>"


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Visit]]:
    """``visit(body)`` opens a page of the book's kind with that body."""
    opened = []

    def make(body: str = "", head: str = "", **settings: Any) -> Visit:
        path = tmp_path / "page.html"
        path.write_text(
            '<!doctype html><html lang="en" data-theme="light"><meta charset="utf-8">'
            f"<title>page</title>{head}<body><main><h1>A page</h1>{WORDS}{body}</main></body></html>",
            encoding="utf-8",
        )
        opened.append(Visit(browser, **settings).open(path))
        return opened[-1]

    yield make
    for page in opened:
        page.close()


def figure(name: str = "nrf", change: Callable[[str], str] = lambda esm: esm, copies: int = 1) -> str:
    """A live figure as myst-nb writes it into a page, its module changed by ``change``."""
    widget = MAKE[name]()
    hidden = {"layout", "comm", "tabbable", "tooltip"}
    state = {k: v for k, v in widget.get_state().items() if k not in hidden}
    state["_esm"] = change(state["_esm"])
    kind = "application/vnd.jupyter.widget"
    states = json.dumps({"state": {"m": {"state": state}}}).replace("</", "<\\/")
    view = f'<div><script type="{kind}-view+json">{{"model_id": "m"}}</script></div>' * copies
    return f'{view}<script type="{kind}-state+json">{states}</script><script>{HOST}</script>'


def changed(old: str, new: str) -> Callable[[str], str]:
    def change(esm: str) -> str:
        assert old in esm, f"the figure's module has no {old!r} any more"
        return esm.replace(old, new)

    return change


def test_a_good_page_has_no_problems(visit: Any) -> None:
    page = visit(figure(copies=2) + f'<img src="{DOT}" alt="A point.">')
    assert checks.page(page) == [] and checks.too_heavy(page) == [] and checks.overflow(page) == []
    assert checks.figures(page) == []
    number, faint = checks.faint(page)
    assert number > 20 and faint == []


FAULTS = {
    "console error": ("<script>console.error('ouch')</script>", "console: ouch"),
    "exception": ("<script>throw new Error('ouch')</script>", "uncaught: ouch"),
    "rejected promise": ("<script>Promise.reject(new Error('ouch'))</script>", "uncaught: ouch"),
    "other host": ('<script src="https://unpkg.com/x.js"></script>', "request to another host: https://unp"),
    "other host, later": ("<script>fetch('https://a.example/x').catch(() => 0)</script>", "another host"),
    "missing file": ('<script src="missing.js"></script>', "failed request: file:"),
    "second title": ("<h1>Another</h1>", "one h1"),
    "raw formula": ("<p>so $$x^2$$ it is</p>", "raw formula"),
    "formula not typeset": ('<span class="math notranslate">x</span>', "formula not typeset"),
    "bad formula": ("<mjx-merror>\\foo</mjx-merror>", "MathJax finds an error"),
    "no alt": (f'<img src="{DOT}">', "picture without a description"),
    "alt": (f'<img alt="a.png" src="{DOT}">', "picture without a description"),
    "no picture": ('<img alt="A rising line." src="gone.png">', "picture not shown"),
    "drawing": ('<svg><rect width="9" height="9"/></svg>', "drawing without a description"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_page_is_found(visit: Any, fault: str) -> None:
    body, problem = FAULTS[fault]
    assert any(problem in found for found in checks.page(visit(body)))


def test_a_figure_that_does_not_start_is_found(visit: Any) -> None:
    broken = "export default {render() { throw new Error('no') }}"
    found = checks.page(visit(figure(change=lambda esm: broken)))
    assert any("1 live figures in the page, 0 started" in line for line in found)
    assert any("console: afm-host" in line for line in found)


LISTEN, SPEAK, UPDATE = 'input.addEventListener("input", ', "say(live, text);", "text = update(read(), now);"
FIGURE_FAULTS = {
    "dead slider": (LISTEN, "(() => 0)(", "plotted data do not change"),
    "dead sentence": (SPEAK, "say(live, 'It never changes at all.');", "the sentence does not change"),
    "silent": (SPEAK, "say(live, '');", "its sentence is ''"),
    "frozen data": (UPDATE, f"text = text || {UPDATE[7:]}", "plotted data do not change"),
    "NaN": ("x.toFixed(2)", "(0 / 0).toFixed(2)", "'NaN' in what is drawn"),
    "unrounded": (UPDATE, f"{UPDATE} text += ' ' + 1 / 3;", "the unrounded number 0.3333333"),
    "no keyboard": (
        LISTEN,
        f'input.addEventListener("keydown", (e) => e.preventDefault()); {LISTEN}',
        "the keyboard does not move it",
    ),
    "exception": (UPDATE, f"if (text) throw new Error('stop'); {UPDATE}", "uncaught: stop"),
}


@pytest.mark.parametrize("fault", FIGURE_FAULTS)
def test_a_fault_of_a_figure_is_found(visit: Any, fault: str) -> None:
    old, new, problem = FIGURE_FAULTS[fault]
    found = checks.figures(visit(figure("teaser", changed(old, new))))
    assert any(problem in line for line in found), found


def test_a_dead_menu_is_found(visit: Any) -> None:
    change = changed('input.addEventListener("change", ', "(() => 0)(")
    assert any("menu attacked" in line for line in checks.figures(visit(figure("nrf", change))))


def test_a_slow_figure_is_found(visit: Any) -> None:
    wait = f"const t0 = performance.now(); while (performance.now() - t0 < 6); {UPDATE}"
    times, problems = checks.slow(visit(figure("teaser", changed(UPDATE, wait))))
    assert len(times) == len(problems) == 2


BARRIERS = {
    "label": '<input type="range">',
    "color-contrast": '<p style="color: #bbb; background: #fff">Hard to read.</p>',
    "link-in-text-block": '<p style="color: #222">Words and <a href="#x" style="color: #225; '
    'text-decoration: none">a link</a> among <span id="x">other words</span> of a sentence.</p>',
    "empty-table-header": "<table><tr><th></th><th>a</th></tr><tr><td>1</td><td>2</td></tr></table>",
}


@pytest.mark.parametrize("rule", BARRIERS)
def test_a_barrier_is_found(visit: Any, rule: str) -> None:
    assert checks.barriers(visit(figure())) == []
    found = checks.barriers(visit(BARRIERS[rule]))
    assert [line.split(" ")[0] for line in found] == [rule]
    assert checks.barriers(visit(BARRIERS[rule]), [rule]) == found


def test_a_faint_formula_is_found(visit: Any) -> None:
    """As MathJax writes it: the letter is drawn by a style sheet, the words are for screen readers."""
    formula = '<p><mjx-container{}><mjx-c></mjx-c><span style="font-size: 0">x</span></mjx-container></p>'
    letter = "<style>mjx-c::before { content: 'x' }</style>"
    assert checks.barriers(visit(formula.format(""), letter)) == []
    (found,) = checks.barriers(visit(formula.format(' style="color: #bbb"'), letter))
    assert found.startswith("contrast 1.9")


def test_faint_code_is_found(visit: Any) -> None:
    code = '<pre tabindex="0"><span>import</span> <span style="color: {}">torch</span></pre>'
    assert checks.barriers(visit(code.format("#222"))) == []
    assert checks.barriers(visit(code.format("#bbb"))) == ['contrast 1.92: "torch"']


ENTRY = '<dl><dt class="sig"><span style="color: {}">f</span></dt><dd>It is called.</dd></dl>'


@pytest.mark.parametrize("page", ['<p>Call <code style="color: {}">f</code>.</p>', ENTRY])
@pytest.mark.parametrize("only", [None, ["color-contrast"]])
def test_a_faint_name_is_found(visit: Any, page: str, only: list[str] | None) -> None:
    """In a line of text and as the heading of an entry; with the rule on links and without it."""
    assert checks.barriers(visit(page.format("#222")), only) == []
    assert 'contrast 1.92: "f"' in checks.barriers(visit(page.format("#bbb")), only)


@pytest.mark.parametrize("rule", checks.COLOURS)
def test_barriers_of_colour_are_found_beside_entries(visit: Any, rule: str) -> None:
    (found,) = checks.barriers(visit(BARRIERS[rule] + ENTRY.format("#222")))
    assert found.startswith(rule)


def test_a_faint_number_in_a_table_is_found(visit: Any) -> None:
    head = '<table><tr><th scope="col">a</th></tr><tr><td>1</td></tr>'
    cells = head + '<tr{}><td style="color: {}">2</td></tr></table>'
    assert checks.barriers(visit(cells.format("", "#222"))) == []
    assert checks.barriers(visit(cells.format("", "#bbb"))) == ['contrast 1.92: "2"']
    (found,) = checks.barriers(visit(cells.format(' style="background: #000"', "#222")))
    assert found.startswith("contrast 1.3")


def test_a_barrier_inside_a_formula_is_found(visit: Any) -> None:
    """On the page that is looked at whole; on the others formulas are empty boxes, and come back."""
    page = visit('<p><mjx-container><span role="nonsense">x</span></mjx-container></p>')
    assert checks.barriers(page) == []
    (found,) = checks.barriers(page, whole=True)
    assert found.startswith("aria-roles")


MADE = (
    '<details class="se-made" data-figure="1">Commit a, executed on b: python -m book.tools.author.figure'
    "</details>"
)


def drawing(alt: str = "It falls to 0.1.", made: str = MADE, two: str = "#0072B2 -- s") -> str:
    looks = ("#D55E00 - s", two)
    lines = [
        {"name": n, "x": [0, 1], "y": [1, i], "look": look, "labelled": False}
        for i, (n, look) in enumerate(zip("ab", looks, strict=True))
    ]
    data = json.dumps([{"title": "", "x": "", "y": "", "ticks": {}, "series": lines}])
    return (
        f'<figure class="se-figure"><svg role="img" viewBox="0 0 9 9" aria-label="{alt}">'
        f"<metadata>{data}</metadata></svg><button>Save as SVG</button>"
        '<div class="se-table"><table><tbody><tr><td>1</td></tr></tbody></table></div>'
        f"{made}</figure>"
    )


WORD_FAULTS = {
    "no description": drawing(alt=""),
    "no number in its description": drawing(alt="It falls."),
    "no table of its numbers": drawing().replace("<tr><td>1</td></tr>", ""),
    "no button to save it": drawing().replace("Save as SVG", "Save"),
    "lacks ['executed on', 'author.figure']": drawing(made='<p class="se-made" data-figure="1">Commit</p>'),
    "the right number": drawing(made=MADE.replace('"1"', '"2"')),
    "only colour tells 'a' from 'b'": drawing(two="#0072B2 - s"),
}


@pytest.mark.parametrize("fault", WORD_FAULTS)
def test_a_figure_without_its_words_is_found(visit: Any, fault: str) -> None:
    number, problems = checks.words(visit(WORD_FAULTS[fault]))
    assert number == 1 and len(problems) == 1 and fault in problems[0]


def test_a_complete_figure_has_its_words(visit: Any) -> None:
    assert checks.words(visit(drawing())) == (1, [])
    page = visit(figure().replace("</script></div>", f"</script>{MADE}</div>", 1))
    checks.open_all(page)
    assert checks.words(page) == (1, [])


def test_what_moves_is_found(visit: Any) -> None:
    calm = "@media (prefers-reduced-motion: reduce) { .calm { transition: none } }"
    style = "p { transition: color 1s } " + calm
    page = visit('<p class="calm">Calm.</p>', head=f"<style>{style}</style>", still=True)
    assert checks.moving(page) == ["style of P.null"]  # the other paragraph of the page
    assert checks.moving(visit(head="", still=True)) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_faint_letters_are_found(visit: Any, theme: str) -> None:
    """Ink that does not follow the theme: black letters on the dark ground, white ones on the light."""
    ground, ink = {"light": ("#ffffff", "#dddddd"), "dark": ("#14181e", "#222832")}[theme]
    style = f"<style>body {{ background: {ground}; color: {ink}; }}</style>"
    page = visit(figure("teaser"), head=style)
    page.tab.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
    number, found = checks.faint(page)
    assert number > 10 and len(found) > 5


def test_a_picture_that_vanishes_in_the_dark_is_found(visit: Any) -> None:
    line = '<path d="M0,0L90,90" stroke="{}" stroke-width="4"/>'
    svg = "<svg xmlns='http://www.w3.org/2000/svg' width='90' height='90'>{}</svg>"
    for colour, count in (("#222", 1), ("#ddd", 0)):
        source = svg.format(line.format(colour)).replace('"', "'").replace("#", "%23")
        body = f'<figure><img alt="A line." src="data:image/svg+xml,{source}"></figure>'
        page = visit(body, head="<style>body { background: #14181e }</style>")
        assert len(checks.dark_pictures(page)) == count


def test_a_wide_page_is_found(visit: Any) -> None:
    found = checks.overflow(visit('<p style="width: 700px">wide</p>', width=390))
    assert len(found) == 1 and "px wide in a window of 390 px" in found[0]
    scrolls = '<div style="overflow: auto"><p style="width: 700px">x</p></div>'
    assert checks.overflow(visit(scrolls, width=390)) == []


def test_a_heavy_page_is_found(visit: Any, tmp_path: Path) -> None:
    (tmp_path / "large.js").write_text("//" + "x" * 1_200_000)
    assert "the limit is 1.1 MB" in checks.too_heavy(visit('<script src="large.js"></script>'))[0]


QUESTION = '<div class="predict admonition"><p>Which?</p><ul><li>This.</li><li>That.</li></ul></div>'
ANSWER = '<div class="reveal"><p>That.</p></div>'


def test_questions(visit: Any) -> None:
    script = f"<script>{PREDICT}</script>"
    assert checks.questions(visit(QUESTION + ANSWER, head=script)) == (1, [])
    assert "no choices or no answer" in checks.questions(visit(QUESTION, head=script))[1][0]
    tempting = QUESTION.replace("This.", '<p>This.</p><div class="predict-why">Why not.</div>')
    page = visit(tempting + ANSWER, head=script).tab
    assert page.locator(".predict-why").is_hidden()
    page.get_by_label("This.").check()
    assert page.locator(".predict-why").is_visible() and page.locator("label").first.inner_text() == "This."
    dead = f"<script>{PREDICT.replace('answer.hidden = !shown', 'answer.hidden = false')}</script>"
    problems = checks.questions(visit(QUESTION + ANSWER, head=dead))[1]
    assert "before any choice, its answer is shown" in problems[0]


def test_an_open_and_an_unopenable_solution_are_found(visit: Any) -> None:
    box = '<div class="solution"><p class="admonition-title">Solution{}</p><section>x</section></div>'
    boxes = box.format("") + box.format('<button class="toggle-button">open</button>')
    number, found = checks.solutions(visit(boxes))
    assert number == 2 and len(found) == 2
    assert "cannot be folded" in found[0] and "open when the page opens" in found[1]


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<p id="x"><a href="b.html#y">1</a><a href="#x">2</a><a href="https://example.org/z">3</a>'
        '<a href="b.html#no">4</a><a href="gone.html">5</a><a href="#gone">6</a></p>'
    )
    (tmp_path / "b.html").write_text('<p id="y"></p>')
    assert checks.broken_links(tmp_path, ["a", "b", "c"]) == [
        "a: b.html#no has no such anchor",
        "a: gone.html leads nowhere",
        "a: #gone has no such anchor",
        "c: missing",
    ]


def test_tests_that_share_a_page_share_a_worker() -> None:
    of = "tests/book/test_pages.py::test_"
    assert group(f"{of}weighs_little[book/note]") == group(f"{of}can_be_read_in_the_dark[book/note]")
    assert group(f"{of}weighs_little[book/note]") != group(f"{of}weighs_little[notebooks/04b_units]")
    assert group(f"{of}search_and_index_have_no_barriers[dark]") == "tests/book/test_archive.py"
    assert group("tests/book/test_cards.py::test_other_links_have_none") == "tests/book/test_cards.py"
