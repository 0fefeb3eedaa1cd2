"""Every Greek letter of the chapters is on the page of notation, and letters with two meanings are listed."""

from __future__ import annotations

import re

import pytest

from book.tools import ROOT
from book.tools.edition import chapter

PAGE = (ROOT / "book/notation.md").read_text("utf-8")
GREEK = (
    "alpha beta gamma delta varepsilon zeta eta theta kappa lambda mu nu xi rho sigma tau chi omega "
    "Delta Phi varphi ell"
).split()
IN_TEXT = dict(zip("αβγδεζηθκλμνξρστχω", GREEK, strict=False))


def letters(text: str) -> set[str]:
    named = set(re.findall(r"\\([A-Za-z]+)", text)) & set(GREEK)
    return named | {IN_TEXT[letter] for letter in IN_TEXT if letter in text}


@pytest.mark.parametrize("path", chapter.chapters(ROOT), ids=lambda path: path.stem)
def test_every_greek_letter_is_on_the_page_of_notation(path):
    assert letters(chapter.text_of(path)) - letters(PAGE) == set()


@pytest.mark.parametrize("symbol", [
    r"$a_{AT}$", r"$t^* =", r"$G =", r"$\kappa =", r"$L_\varepsilon =", r"$\varepsilon_g$", r"$\tau$", r"$N$",
])  # fmt: skip
def test_symbols_of_the_theorems_are_there(symbol):
    assert f"| {symbol}" in PAGE


def clashes() -> list[tuple[str, str, int]]:
    """(letter, its meaning, chapter) of the table of letters with several meanings."""
    section = PAGE.split("## One letter, several things")[1].split("\n## ")[0]
    found = []
    for letter, *meanings in re.findall(r"^\| \$([^|]+)\$ \| (.+) \| (.+) \|$", section, re.M):
        for meaning in meanings:
            for group in re.findall(r"\(?chapters? ([\d, b]+(?:(?:to|and) \d+)?)", meaning):
                numbers = re.findall(r"\d+b?", group)
                if " to " in group:
                    numbers = [str(n) for n in range(int(numbers[0]), int(numbers[1]) + 1)]
                found += [(letter, meaning, number) for number in numbers]
    return found


@pytest.mark.parametrize("letter, meaning, number", clashes())
def test_each_meaning_is_found_in_its_chapters(letter, meaning, number):
    (path,) = [p for p in chapter.chapters(ROOT) if re.match(rf"0?{number}_", p.name)]
    text = path.read_text("utf-8")
    sign = next((s for s, name in IN_TEXT.items() if f"\\{name}" == letter), letter)
    formula = rf"(?<![\\A-Za-z]){re.escape(letter)}(?![A-Za-z])"
    assert re.search(formula, text) or sign in text


def test_the_table_of_clashes_is_read():
    assert len(clashes()) > 30 and ("L", "4") in {(letter, number) for letter, _, number in clashes()}
