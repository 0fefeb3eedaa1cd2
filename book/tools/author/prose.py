"""Finds results that somebody typed: numbers and comparisons in prose with no computation behind them.

    python -m book.tools.author.prose                    all pages; exit status 1 if anything is found
    python -m book.tools.author.prose notebooks/07*      these pages
    python -m book.tools.author.prose --marked           also what markers excuse, with their reasons

Looked for, sentence by sentence: a **number** (decimal, percentage, points, "times", seconds, gigabytes; in
words, "about half") and a **comparison** ("higher", "most of", "twice", "loses") in a sentence that names a
result or a method (the lists are in prose_words.py).

A number is backed if it is

1. glued: then it is no digit in the source at all;
2. printed: the text output of a code cell beside it shows it, and `make notebooks` compares that output;
3. a setting: written ``symbol = number`` with the symbol or the name of an input (ρ, ε, learning rate), or,
   for a decimal without a unit, a number in the code of its page;
4. somebody else's: its sentence cites ({cite}, a link to another site, "reported").

A comparison is backed if

1. its paragraph has a glued number, with which the reader can compare the words;
2. its sentence cites, refers to a statement or formula ({prf:ref}, {eq}),
   or links to the page of the book where it is shown;
3. a code cell beside its paragraph (no heading between) asserts something or prints what is compared;
4. it asks, says what may be, or stands in the glossary, where words are defined.

Nothing is looked for in theorems, proofs, definitions, exercises and solutions, in learning goals, in the
choices of a question, in quotations, formulas and code. The rest bears a marker behind its sentence, which
no reader sees::

    <!-- asserted: NAME -->     the cell of this page that glues NAME asserts it (checked)
    <!-- ok: REASON -->         why this needs no computation: at least two words
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from book.tools import ROOT
from book.tools.author.prose_text import CodeCell, Page, Passage, read
from book.tools.author.prose_words import ABOUT, COMPARISON, MODAL, NUMBER, PHRASES, RESULT, SETTING
from book.tools.edition import chapter

STATEMENTS = {"theorem", "lemma", "proposition", "corollary", "expansion", "definition", "proof"}
GIVEN = {*STATEMENTS, *(f"prf:{name}" for name in STATEMENTS), "exercise", "solution", "guess", "goal"}
MARKER = re.compile(r"<!--\s*(ok|asserted)\b\s*:?\s*(.*?)\s*-->", re.DOTALL)
_ASSERT = re.compile(r"^\s*assert\b|;\s*assert\b", re.MULTILINE)
_CITED = re.compile(r"⟦cite⟧|\breport(?:s|ed)?\b")
_LITERAL = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:[eE]-?\d+)?")


@dataclass
class Finding:
    """A sentence that needs something, or (``reason``) one that a marker excuses."""

    path: Path
    passage: Passage
    sentence: str
    words: list[str]
    advice: str
    reason: str = ""

    def __str__(self) -> str:
        path = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path
        head = f"{path}, line {self.passage.line}: {', '.join(self.words)}"
        return f"{head}\n    {self.sentence}\n    -> {self.reason or self.advice}"


def lint(path: Path) -> list[Finding]:
    """What the sentences of a page need, and what its markers excuse."""
    page = read(path)
    literals = {float(value) for cell in page.cells for value in _LITERAL.findall(cell.source)}
    return [finding for passage in page.passages for finding in _judge(passage, page, literals)]


def sentences(text: str) -> list[str]:
    """The sentences of a passage, each with the markers behind it; a row of a table is one."""
    if text.startswith("|"):
        return [re.sub(r'["“][^"“”]*["”]', "⟦quote⟧", text)]
    text = re.sub(r'["“][^"“”]*["”]', "⟦quote⟧", text)
    text = re.sub(r"\b(e\.g|i\.e|cf|vs|al|Eq|approx)\.", "\\1\u2024", text)
    text = re.sub(r"([.!?][)”\"]?)((?:\s*<!--.*?-->)+)", r"\2\1", text)
    return [part.strip() for part in re.split(r"(?<=[.!?])[)”\"]*\s+(?=[^a-z\s])", text) if part.strip()]


def _judge(passage: Passage, page: Page, literals: set[float]) -> Iterator[Finding]:
    for whole in sentences(passage.text):
        markers, sentence = MARKER.findall(whole), re.sub(r"\s+", " ", MARKER.sub("", whole))
        words, advice = _numbers(sentence, passage, literals), "glue the number, or mark the sentence"
        if not words:
            words, advice = _comparisons(sentence, passage), "glue, cite or assert it, or mark the sentence"
        for kind, reason in markers:
            wrong = _wrong(kind, reason, words, page)
            if wrong:
                yield Finding(page.path, passage, sentence, [f"<!-- {kind}: {reason} -->"], wrong)
        if words:
            reason = "; ".join(f"{kind}: {reason}" for kind, reason in markers)
            yield Finding(page.path, passage, sentence, words, advice, reason)


def _numbers(sentence: str, passage: Passage, literals: set[float]) -> list[str]:
    """Numbers in the sentence that nothing backs."""
    if GIVEN & set(passage.inside) or _CITED.search(sentence):
        return []
    sentence = _without_phrases(SETTING.sub(" ", sentence))
    printed = [float(value) for cell in passage.beside for value in _LITERAL.findall(_visible(cell.printed))]
    found = []
    for match in NUMBER.finditer(sentence):
        text = (match["share"] or match["unit"] or match["decimal"]).replace(",", "").lstrip("+-−")
        setting = bool(match["decimal"]) and float(text) in literals
        if not setting and not _shown(text, printed, bool(match["share"])):
            found.append(match[0].strip())
    if RESULT.search(sentence) and not re.search(r"⟦(?:glue|ref|math)⟧|\?$", sentence):
        found += [match[0] for match in ABOUT.finditer(sentence)]
    return found


def _comparisons(sentence: str, passage: Passage) -> list[str]:
    """Comparisons in the sentence if it speaks of a result and nothing backs it."""
    if {*GIVEN, "glossary"} & set(passage.inside) or "⟦glue⟧" in passage.text:
        return []
    if sentence.endswith("?") or MODAL.search(sentence):
        return []
    if _CITED.search(sentence) or re.search(r"⟦(?:ref|page)⟧", sentence):
        return []
    if any(_ASSERT.search(cell.source) or cell.printed.strip() for cell in passage.beside):
        return []
    sentence = _without_phrases(sentence)
    return [match[0] for match in COMPARISON.finditer(sentence)] if RESULT.search(sentence) else []


def _wrong(kind: str, reason: str, words: list[str], page: Page) -> str:
    """What is wrong with a marker, or nothing."""
    if not words:
        return "this marker excuses nothing: remove it"
    if kind == "ok":
        return "" if len(reason.split()) > 1 else "say why: <!-- ok: REASON -->"
    cells = [cell for cell in page.cells if _glues(cell, reason)]
    if not cells:
        return f"no cell of this page glues {reason!r}"
    asserted = any(_ASSERT.search(cell.source) for cell in cells)
    return "" if asserted else f"the cell that glues {reason!r} asserts nothing"


def _glues(cell: CodeCell, name: str) -> bool:
    """Whether the cell has glue("NAME", ...), also as glue(f"...{x}...", ...)."""
    for template in re.findall(r"""\bglue\(\s*f?["']([^"']+)["']""", cell.source):
        if re.fullmatch(re.sub(r"\\\{.*?\\\}", ".+", re.escape(template)), name):
            return True
    return False


def _without_phrases(sentence: str) -> str:
    for phrase in PHRASES:
        sentence = re.sub(phrase, "⟦phrase⟧", sentence, flags=re.I)
    return sentence


def _visible(output: str) -> str:
    return re.sub(r"<[^>]*>", " ", output).replace(",", "")


def _shown(text: str, printed: list[float], share: bool) -> bool:
    """Whether a printed value rounds to the typed one; a share may be printed as a part of 1."""
    digits, typed = len(text.partition(".")[2]), float(text)
    values = printed + [100 * value for value in printed] if share else printed
    return any(abs(round(value, digits) - typed) < 1e-9 for value in values)


def pages() -> list[Path]:
    """All pages of the book."""
    return [*chapter.chapters(ROOT), *sorted(ROOT.glob("book/*.md"))]


def main(arguments: list[str]) -> int:
    chosen = [Path(a).resolve() for a in arguments if not a.startswith("--") and not a.endswith(".ipynb")]
    absent = [path for path in chosen if path.suffix != ".md" or not path.is_file()]
    if absent:
        print(f"{absent[0]} is no page of text (.md)", file=sys.stderr)
        return 2
    found = [finding for path in chosen or pages() for finding in lint(path)]
    open_ones = [finding for finding in found if not finding.reason]
    for finding in found if "--marked" in arguments else open_ones:
        print(finding)
    print(f"{len(open_ones)} to mend, {len(found) - len(open_ones)} excused by a marker")
    return bool(open_ones)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
