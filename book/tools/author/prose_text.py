"""Reads the prose of a page: its paragraphs, without what a reader does not read as a statement of the book.

``read(path)`` gives every paragraph, list item, row of a table and definition of a page, with the directives
around it and the code cells beside it; what these print stands in the chapter's notebook. Left out are code,
displayed mathematics, headings, raw HTML and what stands in a foreign language. In the text that is kept,
roles, links, code and formulas become short tokens (⟦glue⟧, ⟦cite⟧, ⟦ref⟧, ⟦page⟧, ⟦code⟧, ⟦math⟧).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from book.tools.edition import cells, chapter

_FOREIGN = re.compile(r"<blockquote lang=.*?</blockquote>", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_FENCE = re.compile(r"^\s*(:{3,}|`{3,}|~{3,})\s*(?:\{([\w:-]+)\})?(.*)$")
_OPTION = re.compile(r"^:([\w-]+):\s*(.*)$")
_ITEM = re.compile(r"^\s*(?:[-*+]|\d+\.|:)\s+")
_REFERENCES = {"prf:ref": "ref", "eq": "ref", "ref": "ref", "numref": "ref", "doc": "page"}
_LITERAL = {"code-cell", "code-block", "code", "raw", "math", "mermaid", "bibliography", "image"}
_PLAIN_NUMBER = re.compile(r"^[-+]?\d+(?:\.\d+)?\s*(?:\\?%)?$")


@dataclass
class CodeCell:
    """A code cell: its source, and the text that it prints and that `make notebooks` compares."""

    source: str
    printed: str


@dataclass
class Passage:
    """A paragraph, a list item, a row of a table or a definition."""

    line: int
    text: str
    inside: tuple[str, ...] = ()
    beside: list[CodeCell] = field(default_factory=list)


@dataclass
class Page:
    """What the linter looks at."""

    path: Path
    passages: list[Passage]
    cells: list[CodeCell]


def read(path: Path) -> Page:
    """A page of text, or a chapter: text with code cells."""
    reader = _Reader()
    if not chapter.is_chapter(path):
        return Page(path, [thing for thing in reader.read(1, path.read_text(encoding="utf-8")) if thing], [])
    printed = _printed_by(chapter.edition_of(path))
    sequence: list[Passage | CodeCell | None] = []
    for part in chapter.parts(path):
        if part.is_code:
            sequence.append(CodeCell(part.source, printed.get(part.source, "")))
        else:
            sequence += reader.read(part.line, part.source)
    _put_beside(sequence)
    _put_beside(sequence[::-1])
    passages = [thing for thing in sequence if isinstance(thing, Passage)]
    return Page(path, passages, [thing for thing in sequence if isinstance(thing, CodeCell)])


def _put_beside(sequence: list[Passage | CodeCell | None]) -> None:
    """Give each passage the run of code cells before it in its section (None marks a heading)."""
    run: list[CodeCell] = []
    last: Passage | CodeCell | None = None
    for thing in sequence:
        if isinstance(thing, CodeCell):
            run = [*run, thing] if isinstance(last, CodeCell) else [thing]
        elif thing is None:
            run = []
        else:
            thing.beside = [*thing.beside, *run]
        last = thing


def _printed_by(edition: Path) -> dict[str, str]:
    """What each code cell prints, by its source; nothing before the first `make outputs`."""
    if not edition.is_file():
        return {}
    saved = cells.written(json.loads(edition.read_text(encoding="utf-8")))
    return {cells.source_of(cell): _printed(cell) for cell in saved}


def _printed(cell: dict) -> str:
    if "nbval-ignore-output" in cell["metadata"].get("tags", []):
        return ""
    texts = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        texts.append(output.get("text") or data.get("text/html") or data.get("text/plain") or "")
    return cells.drawn("\n".join("".join(text) for text in texts))


class _Reader:
    """Goes through the lines of a page; directives may begin in one cell and end in another."""

    def __init__(self) -> None:
        self.open: list[tuple[str, str, set[str]]] = []  # fence, name and classes of the directives around
        self.goals = False  # whether the list of what the reader can do is running

    def read(self, first: int, text: str) -> list[Passage | None]:
        """Passages of text whose first line has the number ``first``; None where a heading stands."""
        self.begin, self.item = 0, False
        self.found: list[Passage | None] = []
        self.buffer: list[str] = []
        text = _FOREIGN.sub(lambda quoted: "\n" * quoted[0].count("\n"), text)
        literal = ""
        for number, line in enumerate(text.split("\n"), first):
            if literal:
                if line.strip().startswith(literal) or (literal == "$$" and "$$" in line):
                    literal = ""
                continue
            literal = self._line(number, line)
        self._flush()
        return self.found

    def _line(self, number: int, line: str) -> str:
        """Take one line; return the end of a literal block if one begins here."""
        fence = _FENCE.match(line)
        if fence and self._directive(fence):
            return fence[1] if fence[2] in _LITERAL or (fence[1][0] in "`~" and not fence[2]) else ""
        if line.lstrip(": ").startswith("$$"):
            self._flush()
            return "" if line.count("$$") > 1 else "$$"
        option = _OPTION.match(line) if self.open and not self.buffer else None
        if option:
            if option[1] == "class":
                self.open[-1][2].update(option[2].split())
        elif re.match(r"#{1,6} |\(.*\)=$", line):
            self._flush()
            self.found.append(None)
        elif not line.strip() or line.startswith(("% ", "|--", "|:-")):
            self._flush()
        else:
            if _ITEM.match(line) or line.startswith("|"):
                self._flush()
            if not self.buffer:
                self.begin, self.item = number, bool(_ITEM.match(line))
            self.buffer.append(_ITEM.sub("", line).strip())
        return ""

    def _directive(self, fence: re.Match) -> bool:
        """Open or close a directive; whether the line is one."""
        self._flush()
        marks, name, rest = fence.groups()
        if name in ("solution-end", "exercise-end"):
            self.open = [entry for entry in self.open if entry[1] != name[:-4]]
            self.open.append((marks, name, set()))
        elif name:
            shape = name.removesuffix("-start")
            if shape != name:  # lasts until its -end; the directive itself closes at once
                self.open.append(("", shape, set()))
            if name not in _LITERAL:
                self.open.append((marks, name, set()))
        elif any(entry[0] == marks for entry in self.open) and not rest.strip():
            while self.open.pop()[0] != marks:
                pass
        return True

    def _flush(self) -> None:
        """The lines so far are a passage."""
        text, self.buffer, begin = plain(" ".join(self.buffer)), [], self.begin
        if re.search(r"\w", _COMMENT.sub("", text)):
            inside = [w for _, name, classes in self.open for w in (name, *sorted(classes))]
            if self.item and "predict" in inside:
                inside.append("guess")
            if self.item and self.goals:
                inside.append("goal")
            self.goals = text.endswith("you can") or (self.item and self.goals)
            self.found.append(Passage(begin, text, tuple(inside)))
        elif text.strip() and self.found and self.found[-1] is not None:  # a marker on a line of its own
            self.found[-1].text += " " + text.strip()


def plain(text: str) -> str:
    """The text as a reader sees it, with tokens for roles, links, code and formulas."""
    text = re.sub(r"\{([\w:]+)\}`[^`]*`", _role, text)
    text = re.sub(r"`+[^`]*`+", "⟦code⟧", text)
    text = re.sub(r"\$\$.*?\$\$", "⟦math⟧", text)
    text = re.sub(r"\$([^$]+)\$", lambda m: m[1] if _PLAIN_NUMBER.match(m[1]) else "⟦math⟧", text)
    text = re.sub(r"!\[[^]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^]]*)\]\(([^)]*)\)", _link, text)
    text = re.sub(r"<(?!!--)/?\w[^>]*>", "", text).replace("\\%", "%")
    return re.sub(r"\*+|(?<!\w)_|_(?!\w)", "", text)


def _role(match: re.Match) -> str:
    name = match[1]
    if name.startswith("glue") or name == "fact":
        return "⟦glue⟧"
    if name.startswith("cite"):
        return "⟦cite⟧"
    return f"⟦{_REFERENCES.get(name, 'code')}⟧"


def _link(match: re.Match) -> str:
    address = match[2]
    return f"{match[1]} ⟦{'cite' if '://' in address else 'page'}⟧"
