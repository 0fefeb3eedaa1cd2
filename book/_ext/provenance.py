"""Under every figure, folded: what made it, when, in how many seconds, and the command that makes it again.

The commit is that of the tree at the time of the build; date, environment and seconds are those of the
execution (book/tools/pages/made.py), whose results may have been kept since. Figures made from run records
name them.
"""

from __future__ import annotations

import datetime
import html
import json
import re
from pathlib import Path
from typing import Any

from docutils import nodes

from book.tools.edition import chapter
from book.tools.pages import made
from sam_edu.experiments import protocols

RECORDS = re.compile(r"<!-- records: (\[.*?\]) -->")  # in a drawing (sam_edu.plots.show)
LIVE = re.compile(r"<script[^>]*>\s*(\{.*?\})\s*</script>", re.DOTALL)  # of a live figure
VIEW = 'type="application/vnd.jupyter.widget-view+json"'


def details(number: int, lines: list[str]) -> str:
    """The folded lines; the number is the figure's on its page."""
    items = "".join(f"<li>{line}</li>" for line in lines)
    return (
        f'<details class="se-made" data-figure="{number}"><summary>How this figure was made</summary>'
        f"<ul>{items}</ul></details>"
    )


def code(text: str) -> str:
    return f"<code>{html.escape(text)}</code>"


def duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s" if seconds >= 0.1 else "less than 0.1 s"
    )


def lines_for(
    page: str,
    number: int,
    commit: str,
    execution: dict[str, Any],
    cell: int,
    records: list[tuple[str, int, int]],
) -> list[str]:
    """What stands under figure ``number`` of ``page``, made by the page's code cell ``cell``."""
    when = f"executed on {execution['date']}" if "date" in execution else "execution date not recorded"
    seconds = execution.get("seconds", [])
    if cell < len(seconds) and seconds[cell] is not None:
        when += f", this cell in {duration(seconds[cell])}"
    if execution.get("page_seconds"):
        when += f", the page in {duration(execution['page_seconds'])}"
    lines = [f"Commit {code(commit)}, {when}."]
    if "python" in execution:
        env = html.escape(f"Python {execution['python']}, torch {execution['torch']}, {execution['machine']}")
        lines.append(f"{env}; packages: lock {code(execution['lock'])}.")
    for protocol, count, seeds in records:
        command = f"python -m sam_edu.experiments sweep {protocol}{_seeds(protocol, seeds)}"
        lines.append(f"From {count} run records, which {code(command)} wrote.")
    lines.append(f"Again: {code(f'python -m book.tools.author.figure {page} {number}')}")
    return lines


def _seeds(protocol: str, seeds: int) -> str:
    """The option of the command, unless the seeds are those of the plan (it has fewer of some rows)."""
    return "" if seeds == max(map(len, protocols.plan(protocol).values())) else f" --seeds {seeds}"


def execution_of(app: Any, docname: str, notebook: dict[str, Any]) -> dict[str, Any]:
    """What is known of the execution whose results the page shows."""
    known = made.read(chapter.cache_of(app), notebook)
    data = getattr(app.env, "nb_metadata", {}).get(docname, {}).get("exec_data") or {}
    if data.get("mtime") and "date" not in known:
        known["date"] = datetime.datetime.fromtimestamp(data["mtime"], datetime.UTC).strftime("%Y-%m-%d")
    return {**known, "page_seconds": data.get("runtime")}


def records_of(text: str) -> list[tuple[str, int, int]]:
    """Protocol, number of records and of seeds, as the figure itself says."""
    found = RECORDS.search(text)
    if found:
        return [tuple(source) for source in json.loads(found[1])]
    live = LIVE.search(text)
    return [tuple(source) for source in json.loads(live[1]).get("records", [])] if live else []


def add_lines(app: Any, doctree: nodes.document, docname: str) -> None:
    """Put the lines under each figure of a page."""
    path = Path(app.env.doc2path(docname))
    if not chapter.is_chapter(path):
        return
    notebook = chapter.read(path)
    execution, number = execution_of(app, docname, notebook), 0
    kinds = [cell["cell_type"] == "code" for cell in notebook["cells"]]
    for container in doctree.findall(nodes.container):
        if container.get("nb_element") != "cell_code":
            continue
        index = container["cell_index"]
        for node in container.findall(nodes.raw):
            text = node.astext()
            live, static = VIEW in text, 'class="se-figure"' in text
            if "html" not in node.get("format", "") or not (live or static):
                continue
            number += 1
            lines = lines_for(
                docname, number, app.provenance_commit, execution, sum(kinds[:index]), records_of(text)
            )
            folded = details(number, lines)
            head, end, rest = text.rpartition("</figure>") if static else (text, "", "")
            node[:] = [nodes.Text(f"{head}{folded}{end}{rest}")]  # with .children = it would have no parent
            node.rawsource = ""


def setup(app: Any) -> dict[str, bool]:
    app.provenance_commit = made.commit(Path(app.srcdir))
    app.connect("doctree-resolved", add_lines)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
