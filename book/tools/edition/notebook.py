"""The reader's edition of a chapter: a notebook that is complete without the book around it."""

from __future__ import annotations

import json
import platform
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from book.tools.edition import cells
from book.tools.edition.markdown import Code, Heading, Piece
from sam_edu.experiments.provenance import cpu_line

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def notebook(pieces: Iterable[Piece], executed: dict[str, Any], address: str, source: str) -> dict[str, Any]:
    """Text and code as cells; ``executed`` has the code with its outputs, ``source`` names the text's state.

    A cell of text ends where code stands and where a section begins. Cells are named after their section, so
    that a change in one section leaves the names of the others alone.
    """
    made: list[dict[str, Any]] = []
    names = _Names()
    text: list[str] = []

    def end_of_text() -> None:
        if text:
            made.append(text_cell("\n\n".join(text), names.next("text")))
            text.clear()

    for piece in pieces:
        if isinstance(piece, Heading):
            end_of_text()
            names.section = piece.section
            text.append(piece.text)
        elif isinstance(piece, Code):
            cell = executed["cells"][piece.index]
            if not cells.is_kept(cell):
                continue
            end_of_text()
            if not any(other["cell_type"] == "code" for other in made):
                made.append(cells.install(address))
            made.append(cells.edited(cell, names.next("code"), piece.solution))
        else:
            text.append(piece)
    end_of_text()
    _count_executions(made)
    about = {"kernelspec": KERNEL, "language_info": {"name": "python"}, "source": source, "made_on": maker()}
    return {"cells": made, "metadata": about, "nbformat": 4, "nbformat_minor": 5}


def maker() -> str:
    """Who made this machine's processor, by its own account; without one, what kind of machine it is."""
    return cpu_line("vendor_id") or platform.machine()


def text_cell(text: str, name: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


class _Names:
    """Names for cells: section, kind and a number."""

    def __init__(self) -> None:
        self.section = ""
        self._used: Counter[str] = Counter()

    def next(self, kind: str) -> str:
        stem = re.sub(r"[^a-z0-9-]", "-", self.section.lower())[:48].strip("-") + f"-{kind}"
        self._used[stem] += 1
        return f"{stem}-{self._used[stem]}"


def _count_executions(made: list[dict[str, Any]]) -> None:
    """Number the code cells as running them from the top would."""
    code = [cell for cell in made if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, 1):
        cell["execution_count"] = number
        for output in cell["outputs"]:
            if output["output_type"] == "execute_result":
                output["execution_count"] = number


def as_text(made: dict[str, Any]) -> str:
    """The notebook as Jupyter saves it: sources as lists of lines, so that a change is a short difference."""
    lined = json.loads(json.dumps(made))
    for cell in lined["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)
        for output in cell.get("outputs", []):
            if "text" in output:
                output["text"] = "".join(output["text"]).splitlines(keepends=True)
            for kind, data in output.get("data", {}).items():
                if kind.startswith("text/"):
                    output["data"][kind] = "".join(data).splitlines(keepends=True)
    return json.dumps(lined, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def write(made: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_text(made), encoding="utf-8")
