"""The questions of "Predict first": no answer stands open under its question."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from book.tools import ROOT
from book.tools.edition import chapter

CHAPTERS = chapter.chapters(ROOT)
BOX = re.compile(
    r"^(:{3,})\{admonition\}[^\n]*\n:class: (predict|reveal)\b[^\n]*\n.*?^\1$|^#+ [^\n]*$", re.M | re.S
)
SHOWN = {"print", "display", "plots.show", "plots.show_table"}


def shows(code: str) -> bool:
    """Whether a cell has something to show: it prints, draws, or ends with a value."""
    tree = ast.parse(code)
    last = tree.body[-1] if tree.body else None
    value = last.value if isinstance(last, ast.Expr) else None
    if value and not (isinstance(value, ast.Call) and ast.unparse(value.func) in ("glue", "check")):
        return True
    return any(isinstance(node, ast.Call) and ast.unparse(node.func) in SHOWN for node in ast.walk(tree))


def blocks(path: Path) -> list[tuple[str, bool, int]]:
    """(question, answer, heading or cell; whether it shows something; line), from top to bottom."""
    found = []
    for part in chapter.parts(path):
        if part.is_code:
            kind = "answer" if "reveal" in part.tags else "cell"
            found.append((kind, kind == "cell" and shows(part.source), part.line))
            continue
        for match in BOX.finditer(part.source):
            kind = {"predict": "question", "reveal": "answer", None: "heading"}[match[2]]
            found.append((kind, False, part.line + part.source.count("\n", 0, match.start())))
    return found


def leaks(found: list[tuple[str, bool, int]]) -> list[int]:
    """Lines of cells that stand open and show something between a question and the end of its answer.

    book/assets/js/predict.js hides the first answer and those that follow it without a break, so a cell
    between two answers would leave the second one open.
    """
    open_cells = []
    for i, (kind, *_) in enumerate(found):
        if kind != "question":
            continue
        end = next(
            (j for j in range(i + 1, len(found)) if found[j][0] in ("question", "heading")), len(found)
        )
        answers = [j for j in range(i + 1, end) if found[j][0] == "answer"]
        for j in range(i + 1, answers[-1] if answers else i + 1):
            if found[j][0] == "cell" and (j > answers[0] or found[j][1]):
                open_cells.append(found[j][2])
    return open_cells


@pytest.mark.parametrize("path", CHAPTERS, ids=[path.stem for path in CHAPTERS])
def test_no_answer_stands_open_under_its_question(path):
    assert leaks(blocks(path)) == []


def options(path: Path) -> list[tuple[bool, int]]:
    """(whether it is the right one, lines that say why it tempts) of each option of each question."""
    found = []
    for match in BOX.finditer(chapter.text_of(path)):
        if match[2] == "predict":
            right = int(re.findall(r"answer-(\d+)", match[0])[0])
            items = re.split(r"^- ", match[0], flags=re.M)[1:]
            found += [
                (i == right, len(re.findall(r"^  - \S", item, re.M))) for i, item in enumerate(items, 1)
            ]
    return found


@pytest.mark.parametrize("path", CHAPTERS, ids=[path.stem for path in CHAPTERS])
def test_each_wrong_option_says_why_it_tempts(path):
    assert [pair for pair in options(path) if pair != (True, 0) and pair != (False, 1)] == []
    assert options(path) or path.stem == "00_welcome"


def test_an_open_answer_would_be_seen():
    question, answer, cell, output = (
        ("question", False, 1),
        ("answer", False, 2),
        ("cell", False, 3),
        ("cell", True, 4),
    )
    assert leaks([question, cell, answer, answer, output]) == []
    assert leaks([question, output, answer]) == [4]
    assert leaks([question, answer, cell, answer]) == [3]
    assert leaks([question, answer, ("heading", False, 5), output, answer]) == []
    assert shows("a = 1\nprint(a)") and shows("a") and not shows("a = 1\nglue('x', a)")
