"""Formulas as every notebook shows them: the book's macros written out, one line each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Macros = Mapping[str, Any]  # name -> text, or [text, number of arguments], as in mathjax3_config


def expand(tex: str, macros: Macros) -> str:
    """``tex`` without the macros, which only the built pages know.

    >>> expand(r"\\norm{a\\norm{b}}+\\E x", {"norm": [r"\\lVert #1 \\rVert", 1], "E": r"\\mathbb{E}"})
    '\\\\lVert a\\\\lVert b \\\\rVert \\\\rVert+\\\\mathbb{E} x'
    """
    for name, meaning in macros.items():
        text, count = (meaning, 0) if isinstance(meaning, str) else meaning
        found = re.compile(rf"\\{name}(?![A-Za-z])")
        while match := found.search(tex):
            end, filled = match.end(), text
            for number in range(1, count + 1):
                argument, end = _argument(tex, end)
                filled = filled.replace(f"#{number}", argument)
            rest = tex[end:]
            gap = " " if re.search(r"\\[A-Za-z]+$", filled) and rest[:1].isalpha() else ""
            tex = tex[: match.start()] + filled + gap + rest
    return tex


def _argument(tex: str, start: int) -> tuple[str, int]:
    """The argument of a macro that begins at ``start``, and where it ends."""
    while tex[start].isspace():
        start += 1
    if tex[start] != "{":
        match = re.compile(r"\\[A-Za-z]+|\\.|.").match(tex, start)
        assert match
        return match[0], match.end()
    depth = 0
    for end in range(start, len(tex)):
        depth += {"{": 1, "}": -1}.get(tex[end], 0) * (tex[end - 1] != "\\")
        if depth == 0:
            return tex[start + 1 : end], end + 1
    raise ValueError(f"a brace stays open in the formula {tex!r}")


def one_line(tex: str) -> str:
    """A formula without line ends: in a quoted block the next line would begin with a sign of Markdown."""
    return " ".join(tex.split())


def inline(tex: str, macros: Macros, in_table: bool = False) -> str:
    """``$...$``; in a table without the bar, which would end the cell."""
    tex = one_line(expand(tex, macros))
    if in_table:
        tex = tex.replace(r"\|", r"\Vert ").replace("|", r"\vert ")
    return f"${tex}$"


def display(tex: str, macros: Macros, number: str = "") -> str:
    """``$$...$$`` with the page's number."""
    tex = one_line(expand(tex, macros))
    if r"\\" in tex:  # as Sphinx does for the page
        tex = rf"\begin{{split}}{tex}\end{{split}}"
    return f"$${tex}\\tag{{{number}}}$$" if number else f"$${tex}$$"
