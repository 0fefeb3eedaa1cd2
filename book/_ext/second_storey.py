"""Sections of the second storey: folded on the page, under their heading and a line that says what is inside.

Write the directive under the heading (## or ###) of the section, with what is inside in a few words::

    ## Traps

    :::{second-storey} four mistakes, each measured
    :::

The number of exercises and the minutes are counted when the page is built. On the page the section is a
``<details>`` with the heading as its summary, closed by the script in it: without JavaScript all is open.
assets/js/storey.js opens it for links, for words that were searched and for paper. In the reader's notebook
it is a section as any other. The box of key ideas stays open: on the page it follows the folded section.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from book.tools.author import reading

OPEN = '<details class="second-storey" open><summary>'
CLOSE = "</summary><script>document.currentScript.parentElement.open = false</script>"


class second_storey(nodes.General, nodes.Element):
    """What the line under the heading says; the first thing in its section."""


class SecondStorey(SphinxDirective):
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        said, _ = self.state.inline_text(self.arguments[0], self.lineno) if self.arguments else ([], [])
        return [second_storey("", *said)]


def count(app: Any, doctree: nodes.document) -> None:
    """Say in each line how many exercises are inside, and how long the text takes to read."""
    lines = [*doctree.findall(second_storey)]
    if not lines:
        return
    known = reading.storeys(Path(app.env.doc2path(app.env.docname)))
    if len(known) != len(lines) or any(not _stands_right(line) for line in lines):
        where = (
            f"{app.env.docname}: {{second-storey}} stands right under the heading (## or ###) of its section"
        )
        raise ValueError(where)
    for line, (_, words) in zip(lines, known, strict=True):
        many, minutes = len(_exercises(line.parent)), reading.minutes(words)
        parts = [f"{many} exercise{'s' * (many > 1)}"] * bool(many)
        parts.append(f"about {minutes} minute{'s' * (minutes > 1)} of text")
        line += nodes.Text((" · " if line.children else "") + " · ".join(parts))


def _stands_right(line: second_storey) -> bool:
    return isinstance(line.parent, nodes.section) and line.parent.index(line) == 1


def _exercises(section: nodes.Element) -> list[nodes.Node]:
    return [
        *section.findall(lambda node: type(node).__name__ in ("exercise_node", "exercise_enumerable_node"))
    ]


def fold(app: Any, doctree: nodes.document, docname: str) -> None:
    """Put the section under its heading into a ``<details>``, after the notebook has been written."""
    for line in [*doctree.findall(second_storey)]:
        section = line.parent
        if app.builder.format != "html":
            section.remove(line)
            continue
        about = nodes.inline("", "", *line.children, classes=["storey-about", "no-glossary"])
        html = [nodes.raw("", text, format="html") for text in (OPEN, CLOSE, "</details>")]
        for ideas in [n for n in section.findall(nodes.admonition) if "key-ideas" in n["classes"]]:
            ideas.parent.remove(ideas)
            section.parent.insert(section.parent.index(section) + 1, ideas)
        section["classes"].append("folded")
        title, rest = section[0], section[2:]
        section.children = []
        section += [html[0], title, about, html[1], *rest, html[2]]


def setup(app: Any) -> dict[str, bool]:
    app.add_node(second_storey)
    app.add_directive("second-storey", SecondStorey)
    app.connect("doctree-read", count)
    app.connect("doctree-resolved", fold, priority=200)  # the edition (100) comes first
    return {"parallel_read_safe": True, "parallel_write_safe": True}
