"""A small map at the top of each chapter: the three parts of the book, their chapters, and where this one is.

It is made from _toc.yml, so a new chapter appears in it. In the reader's notebook it is one line of text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes


class place_map(nodes.General, nodes.Element):
    """One line that says where the chapter stands; the page shows the map under it."""


@dataclass
class Part:
    """A part of the book: "Part I", its question, and (page, number, title) of its chapters."""

    name: str
    about: str
    chapters: list[tuple[str, str, str]]


@lru_cache(maxsize=1)  # every page of a build asks
def parts(root: Path) -> list[Part]:
    """The numbered parts of the table of contents."""
    found = []
    for part in yaml.safe_load((root / "_toc.yml").read_text("utf-8"))["parts"]:
        name, _, about = part["caption"].partition(": ")
        if name.startswith("Part "):
            found.append(Part(name, about, [_chapter(root, entry["file"]) for entry in part["chapters"]]))
    return found


def _chapter(root: Path, page: str) -> tuple[str, str, str]:
    heading = re.search(r"^# (\S+) (.+)$", (root / f"{page}.md").read_text("utf-8"), re.M)
    assert heading, f"{page}.md: the title should begin with the chapter's number"
    return page, heading[1], heading[2]


def add_map(app: Any, doctree: nodes.document) -> None:
    """Put the map under the title of a chapter that stands in a numbered part."""
    page = app.env.docname
    for part in parts(Path(app.srcdir)):
        for place, number, _ in part.chapters:
            title = next(iter(doctree.findall(nodes.title)), None)
            if place == page and title is not None:
                end = "" if part.about.endswith("?") else "."
                said = f"You are here: {part.name}, {part.about}{end} Chapter {number}."
                node = place_map("", nodes.paragraph("", said, classes=["no-glossary"]), page=page)
                title.parent.insert(title.parent.index(title) + 1, node)


def drawn(all_parts: list[Part], page: str, address: Any) -> str:
    """The map as a list of parts, each a list of links; ``address`` gives the way to a page."""
    items = []
    for part in all_parts:
        links = []
        for place, number, title in part.chapters:
            here = ' aria-current="page"' if place == page else ""
            label = escape(f"Chapter {number}: {title}")
            about = f'aria-label="{label}" title="{label}"{here}'
            links.append(f'<li><a href="{address(place)}" {about}>{number}</a></li>')
        items.append(f"<li><span>{escape(part.about)}</span><ol>{''.join(links)}</ol></li>")
    return f'<ol class="here-map">{"".join(items)}</ol>'


def visit_html(writer: Any, node: place_map) -> None:
    writer.body.append('<nav class="here" aria-label="Where this chapter stands in the book">')


def depart_html(writer: Any, node: place_map) -> None:
    root, page = Path(writer.builder.env.srcdir), node["page"]
    made = drawn(parts(root), page, lambda place: writer.builder.get_relative_uri(page, place))
    writer.body.append(f"{made}</nav>")


def plain(writer: Any, node: place_map) -> None:
    """Other formats show the line alone."""


def setup(app: Any) -> dict[str, bool]:
    app.add_node(place_map, html=(visit_html, depart_html), latex=(plain, plain), text=(plain, plain))
    app.connect("doctree-read", add_map)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
