"""Fills in what a page lists from the book itself: statements and their witnesses, records, predictions.

A page writes a line such as ``<!-- generated: statements -->``; before the page is read, the build puts a
table made from the notebooks, the tests and the records in its place. So no list is kept by hand.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from book._ext import record_tables
from book._ext.witnesses import of_label, statements_in, witnesses_in

MARK = re.compile(r"^<!-- generated: ([\w-]+) -->$", re.MULTILINE)
QUESTION = re.compile(
    r"^:{3,}\{admonition\}[^\n]*\n:class: predict( answer-(\d+))?\n(.*?)^:{3,}$", re.M | re.S
)


def chapters(root: Path) -> Iterator[tuple[Path, str, str]]:
    """Path, title and text of each chapter, in the order of the book."""
    for path in sorted(root.glob("notebooks/*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
        title = re.search(r"^# (.+)$", text, re.MULTILINE)
        yield path, title[1] if title else path.stem, text


def statements(root: Path, address: str) -> str:
    """A table of the numbered statements of each chapter, with links to them and to their witnesses."""
    files = sorted((root / "tests/witnesses").glob("test_witnesses_ch*.py"))
    tests = [(file.name, name, line) for file in files for name, line in witnesses_in(file)]
    listed = [(title, statements_in(path)) for path, title, _ in chapters(root)]
    labels = [label for _, found in listed for _, label in found if label]
    parts = []
    for title, found in listed:
        rows = [_statement(what, label, tests, labels, address) for what, label in found if label]
        if rows:
            head = "| statement | what it is about | tests that try to break it |\n|---|---|---|"
            parts.append("\n".join([f"## {title}", "", head, *rows]))
    return "\n\n".join(parts)


def _statement(
    what: str, label: str, tests: list[tuple[str, str, int]], labels: list[str], address: str
) -> str:
    mine = [(file, line) for file, name, line in tests if of_label(label, name, labels)]
    link = "none"
    if mine:
        file, line = mine[0]
        link = f"[{len(mine)} in {file}]({address}/blob/main/tests/witnesses/{file}#L{line})"
    return f"| {{prf:ref}}`{label}` | {what} | {link} |"


def questions(text: str) -> list[tuple[int, int]]:
    """(number of choices, the right one or 0) of each "Predict first" of a chapter."""
    return [
        (len(re.findall(r"^- ", match[3], re.MULTILINE)), int(match[2] or 0))
        for match in QUESTION.finditer(text)
    ]


def predictions(root: Path, address: str) -> str:
    """The box in which assets/js/predict.js shows what was guessed in this browser, chapter by chapter."""
    rows = []
    for path, title, text in chapters(root):
        asked = questions(text)
        if asked:
            choices, answers = (",".join(str(pair[i]) for pair in asked) for i in (0, 1))
            link = f'<a href="../notebooks/{path.stem}.html">{html.escape(title)}</a>'
            data = f'data-page="{path.stem}" data-choices="{choices}" data-answers="{answers}"'
            rows.append(
                f'<tr {data}><th scope="row">{link}</th><td>{len(asked)}</td><td>–</td><td>–</td></tr>'
            )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("chapter", "questions", "guessed", "right"))
    table = f'<table class="table"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return f'<div class="predictions"><p class="predictions-sum" role="status"></p>{table}</div>'


LISTS: dict[str, Callable[[Path, str], str]] = {
    "statements": statements,
    "predictions": predictions,
    "records": lambda root, address: record_tables.by_protocol(root),
    "records-made": lambda root, address: record_tables.made(),
    "records-data": lambda root, address: record_tables.data(),
}


def fill(app: Any, docname: str, source: list[str]) -> None:
    """Replace each mark on the page; an unknown name stops the build."""
    address = app.config.html_theme_options.get("repository_url", "")
    source[0] = MARK.sub(lambda mark: LISTS[mark[1]](Path(app.srcdir), address), source[0])


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
