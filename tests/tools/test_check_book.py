"""The check of the built book finds what is wrong with a page, and passes a good one."""

from __future__ import annotations

import pytest

from book.tools import ROOT
from book.tools.pages import check_book

GOOD = "<html><body><main><h1>A page</h1><p>" + "It says something. " * 20 + "</p>{}</main></body></html>"


def book_of(tmp_path, body="", **files):
    """A built book of one page with `body` in it, and other files beside it."""
    for name, content in {"index.html": "", "a.html": GOOD.format(body), **files}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return check_book.check_book(tmp_path, {"format": "jb-book", "root": "a"}, report=lambda line: None)


def test_a_good_page_passes(tmp_path):
    body = (
        '<a href="https://example.org">a link to click</a><img src="x.png" alt="A rising line.">'
        '<script src="s.js"></script>'
        '<img src="data:image/png;base64,AAAA" alt="" role="presentation">'
    )
    assert book_of(tmp_path, body, **{"x.png": "", "s.js": "let a = 'https://example.org'"}) == []


@pytest.mark.parametrize(
    "body, problem",
    [
        ("<pre>Traceback (most recent call last):</pre>", "a traceback"),
        ("<pre>&lt;class 'ValueError'&gt;</pre>", "an exception"),
        ('<div class="output error">boom</div>', "an error output"),
        ('<script src="https://unpkg.com/x.js"></script>', "another host: https://unpkg.com/x.js"),
        ('<script src="//unpkg.com/x.js"></script>', "another host"),
        ('<link rel="stylesheet" href="https://fonts.example/a.css">', "another host"),
        ('<link rel="preconnect" href="https://fonts.example">', "another host"),
        ('<img src="https://example.org/a.png" alt="A picture of a curve.">', "another host"),
        ("<style>@import 'https://example.org/a.css';</style>", "another host"),
        ('<p style="background: url(https://example.org/a.png)">x</p>', "another host"),
        ('<script type="module">import x from "https://esm.sh/x"</script>', "another host"),
        ('<script>fetch("https://example.org/data.json")</script>', "another host"),
        ('<link rel="stylesheet" href="far.css">', "another host: https://example.org/font.woff2"),
        ('<iframe src="https://example.org"></iframe>', "another host"),
        ('<img src="x.png">', "no useful alt text"),
        ('<img src="x.png" alt=" ">', "no useful alt text"),
        ('<img src="x.png" alt="_images/0123456789abcdef0123.png">', "no useful alt text"),
        ('<script src="missing.js"></script>', "does not exist"),
        ("<p>" + "x" * 1_200_000 + "</p>", "the limit is 1.1 MB"),
    ],
)
def test_a_bad_page_is_caught(tmp_path, body, problem):
    files = {"x.png": "", "far.css": "@font-face { src: url('https://example.org/font.woff2') }"}
    found = book_of(tmp_path, body, **files)
    assert len(found) == 1 and problem in found[0]
    assert "\n" not in found[0]


def test_a_missing_and_an_empty_page_are_caught(tmp_path):
    toc = {"root": "a", "parts": [{"chapters": [{"file": "b", "sections": [{"file": "c"}]}]}]}
    (tmp_path / "a.html").write_text("<html><main>short</main></html>")
    found = check_book.check_book(tmp_path, toc, report=lambda line: None)
    assert [line.split(":")[0] for line in found] == ["index.html", "a", "b", "c"]
    assert "says less than" in found[1] and "missing" in found[2]


def test_pictures_do_not_count_and_mathematics_may_weigh_more(tmp_path):
    mathjax = {"v/tex-chtml.js": "x" * 1_200_000}
    assert book_of(tmp_path, '<script src="v/tex-chtml.js"></script>', **mathjax) == []
    assert book_of(tmp_path, '<img src="x.png" alt="A large picture.">', **{"x.png": "x" * 3_000_000}) == []


def test_the_book_has_its_own_mathjax():
    vendor = ROOT / "book/assets/vendor/mathjax"
    assert (vendor / "tex-chtml.js").stat().st_size > 1_000_000
    assert (vendor / "LICENSE").exists()
    assert len(check_book.mathjax_fonts(vendor / "tex-chtml.js")) == 9
