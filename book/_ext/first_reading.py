"""The box at the top of a chapter that says what to read first, and how long that takes.

Write the titles of the sections, with semicolons between them; what is behind them may follow as text::

    :::{first-reading} A picture first; What a step costs
    The rest is for the second time: ...
    :::

The minutes are counted when the page is built (book/tools/author/reading.py), so they cannot go stale, and a
title that the chapter does not have ends the build.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from book.tools.author import reading


class FirstReading(SphinxDirective):
    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        titles = [title.strip() for title in self.arguments[0].split(";")]
        try:
            count = reading.words_of(Path(self.env.doc2path(self.env.docname)), titles)
        except ValueError as error:
            raise self.error(str(error)) from None
        many = reading.minutes(count)
        about = f"First reading: about {many} minute{'s' if many > 1 else ''} of text"
        box = nodes.admonition("", nodes.title("", about), classes=["first-reading"])
        way = nodes.paragraph()
        for i, title in enumerate(titles):
            inside, _ = self.state.inline_text(title, self.lineno)
            way += [nodes.Text(", then " if i else "")] * bool(i)
            way += nodes.reference("", "", *inside, refid=nodes.make_id(title), internal=True)
        way += nodes.Text("" if titles[-1].endswith("?") else ".")
        box += way
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("first-reading", FirstReading)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
