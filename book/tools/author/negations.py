"""Counts what makes prose heavy: negations per 1,000 words, and numbers in one paragraph or box.

    python -m book.tools.author.negations                    every page in one line
    python -m book.tools.author.negations notebooks/07*.md   these pages, with every place

Counted is what prose_text.read takes as prose, less the rows of tables: paragraphs, list items and
definitions, folded ones and exercises too. A formula, a glued number, a piece of code and a quotation
(somebody else's words) are one word each.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from book.tools.author import prose
from book.tools.author.prose_text import Passage, plain, read

MOST_NEGATIONS, MOST_NUMBERS = 10, 12  # per 1,000 words; in a paragraph or box
NEGATION = re.compile(
    r"\b(?:not|no|never|nothing|none|neither|nor|without|cannot|nobody|nowhere|unless|\w+n[’']t)\b", re.I
)
_WORD = re.compile(r"⟦\w+⟧|[\w’'.,%-]*\w[\w’'.,%-]*")
_COMMENT = re.compile(r"<!--.*?-->", re.S)
_QUOTE = re.compile(r'["“][^"“”]*["”]')
_BOX = re.compile(
    r"^:::\{admonition\}[^\n]*\n((?::[\w-]+:[^\n]*\n)*?):class:([^\n]*)\n(.*?)^:::\s*$", re.M | re.S
)
_TABLE = re.compile(r"^\|.*$", re.M)
_NUMBER = re.compile(r"⟦glue⟧|(?<![\w.,/-])[+−-]?\d[\d.,]*(?:/\d+)?(?![\w-])")
_POINTER = re.compile(r"\b(?:chapters?|theorem|exercises?)\s+\d[\w.]*(?:(?:, | and | to )\d[\w.]*)*", re.I)


def passages(path: Path) -> Iterator[Passage]:
    """The paragraphs of a page, without tables and without what only the author sees."""
    for passage in read(path).passages:
        passage.text = _QUOTE.sub("⟦quote⟧", _COMMENT.sub("", passage.text))
        if not passage.text.startswith("|"):
            yield passage


def words(text: str) -> int:
    """Words of a passage."""
    return len(_WORD.findall(text))


def negations(text: str) -> list[str]:
    """The negations of a passage."""
    return NEGATION.findall(text)


def numbers(text: str) -> int:
    """Glued and written numbers of a passage; the number of a chapter or of an exercise is a name."""
    return len(_NUMBER.findall(_POINTER.sub("", text)))


def boxes(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the text of each box that is no proof; tables in it do not count."""
    text = path.read_text(encoding="utf-8")
    for box in _BOX.finditer(text):
        if "proof" not in box[2]:
            inside = _QUOTE.sub("⟦quote⟧", plain(_COMMENT.sub("", _TABLE.sub("", box[3]))))
            yield text.count("\n", 0, box.start()) + 1, inside


def count(path: Path) -> tuple[int, int, int]:
    """Words, negations, and the numbers of the paragraph or box that has most."""
    found = list(passages(path))
    total = sum(words(passage.text) for passage in found)
    texts = [*(passage.text for passage in found), *(text for _, text in boxes(path))]
    return total, sum(len(negations(p.text)) for p in found), max(map(numbers, texts), default=0)


def per_thousand(words: int, negations: int) -> float:
    """Negations per 1,000 words."""
    return 1000 * negations / max(words, 1)


def main(arguments: list[str]) -> int:
    """Print the counts; of named pages also the places."""
    chosen = [Path(argument).resolve() for argument in arguments]
    totals = [0, 0]
    for path in chosen or prose.pages():
        count_words, count_negations, most = count(path)
        totals = [totals[0] + count_words, totals[1] + count_negations]
        rate = per_thousand(count_words, count_negations)
        print(f"{path.stem:32} {count_words:6} words {rate:6.1f} negations per 1,000, at most {most} numbers")
        for passage in passages(path) if chosen else ():
            for sentence in prose.sentences(passage.text):
                if negations(sentence):
                    print(f"  {passage.line}: {sentence}")
        places = [*((p.line, p.text) for p in passages(path)), *boxes(path)] if chosen else []
        for line, text in places:
            if numbers(text) > MOST_NUMBERS:
                print(f"  {line}: {numbers(text)} NUMBERS: {text.strip()[:90]}")
    print(f"{'all':32} {totals[0]:6} words {per_thousand(*totals):6.1f} negations per 1,000")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
