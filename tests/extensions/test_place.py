"""The map at the top of a chapter: every chapter of the three parts, and the current one marked."""

from __future__ import annotations

import re
from types import SimpleNamespace

from docutils import nodes, utils

from book._ext import place
from book.tools import ROOT
from book.tools.edition import chapter


def test_every_numbered_chapter_is_in_the_map():
    known = [page for part in place.parts(ROOT) for page, *_ in part.chapters]
    assert known == [
        f"notebooks/{path.stem}" for path in chapter.chapters(ROOT) if not path.stem.startswith("00")
    ]
    assert [part.name for part in place.parts(ROOT)] == ["Part I", "Part II", "Part III"]


def test_the_current_chapter_is_marked_and_the_others_are_named_links():
    made = place.drawn(
        place.parts(ROOT), "notebooks/08_sam_solved", lambda page: page.split("/")[1] + ".html"
    )
    links = re.findall(
        r'<a href="([^"]+)" aria-label="([^"]+)" title="[^"]+"( aria-current="page")?>([^<]+)</a>', made
    )
    assert len(links) == made.count("<a ") == 15
    assert [address for address, _, current, _ in links if current] == ["08_sam_solved.html"]
    assert all(label.startswith(f"Chapter {number}: ") for _, label, _, number in links)


def test_the_line_stands_under_the_title():
    page = utils.new_document("page")
    page += nodes.section(
        "", nodes.title("", "4b The trap of units"), nodes.paragraph("", "Text."), ids=["top"]
    )
    app = SimpleNamespace(srcdir=str(ROOT), env=SimpleNamespace(docname="notebooks/04b_units"))
    place.add_map(app, page)
    section = page[0]
    assert [type(node).__name__ for node in section] == ["title", "place_map", "paragraph"]
    assert section[1].astext() == "You are here: Part I, Two perturbations. Chapter 4b."
    app.env.docname = "book/glossary"
    place.add_map(app, page)
    assert len(section) == 3
