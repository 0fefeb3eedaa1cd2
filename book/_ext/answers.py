"""Exercises with a number or a choice are answered in the page, by the rules of ``check``.

Where a page has the cell ``answer = ...`` / ``check("4.2", answer)``, the exercise's rules
(sam_edu.exercises, ``to_dict``) go into the page for book/assets/js/answers.js, which puts an input field
there and puts the cell away. Without JavaScript the cell stays. The rules are written in base64, so that a
look at the page's source, or a search in it, does not give the answer away.
"""

from __future__ import annotations

import base64
import json
import re
from functools import cache
from html import escape
from typing import Any

from docutils import nodes

ASKS = re.compile(r'answer = \.\.\.\s*check\("([\d.]+)", answer\)')


@cache
def form(number: str) -> str | None:
    """The form of an exercise as HTML; None for one that asks for a function."""
    from sam_edu import exercises

    exercise = exercises.get(number)
    if isinstance(exercise, exercises.Function):
        return None
    rules = base64.b64encode(json.dumps(exercise.to_dict()).encode()).decode()
    return f'<form class="answer" data-exercise="{escape(number)}" data-rules="{rules}" hidden></form>'


def add_forms(app: Any, document: nodes.document, name: str) -> None:
    """Put a form before each cell that asks for a number or a choice."""
    if app.builder.format != "html":
        return
    for cell in list(document.findall(nodes.container)):
        found = ASKS.search(cell.astext()) if cell.get("nb_element") == "cell_code" else None
        made = form(found.group(1)) if found else None
        if made is not None:
            cell["classes"].append("answer-cell")
            cell.parent.insert(cell.parent.index(cell), nodes.raw("", made, format="html"))


def setup(app: Any) -> dict[str, bool]:
    app.connect("doctree-resolved", add_forms)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
