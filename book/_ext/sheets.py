"""Keeps of the theme's style sheets only the rules that some page can use.

The theme brings Bootstrap whole: thousands of rules for classes that no page of the book has. A selector
goes if it names a class that occurs neither in a page nor in a script, not even as the beginning of one that
a script puts together (``"bs-tooltip-" + side``); a rule goes with its last selector.
"""

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import tinycss2

WORD = re.compile(r"[\w-]+")


class Words:
    """The words of pages and scripts, any of which may be a class."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.words: set[str] = set()
        for text in texts:
            self.words.update(WORD.findall(text))
        self.beginnings = tuple(word for word in self.words if word.endswith("-") and len(word) > 2)

    def __contains__(self, name: str) -> bool:
        return name in self.words or name.startswith(self.beginnings)


def drop_unused(css: str, words: Words) -> str:
    """`css` without the selectors whose classes are not in `words`."""
    return "".join(_rule(rule, words) for rule in tinycss2.parse_stylesheet(css, skip_whitespace=True))


def _rule(rule, words: Words) -> str:
    if rule.type == "qualified-rule":
        kept = [
            tinycss2.serialize(selector).strip()
            for selector in _selectors(rule.prelude)
            if all(name in words for name in _classes(selector))
        ]
        return f"{','.join(kept)}{{{tinycss2.serialize(rule.content)}}}" if kept else ""
    if rule.type == "at-rule" and rule.lower_at_keyword in ("media", "supports") and rule.content:
        inner = "".join(_rule(r, words) for r in tinycss2.parse_rule_list(rule.content, skip_whitespace=True))
        return f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}{{{inner}}}" if inner else ""
    return rule.serialize()


def _selectors(prelude) -> list[list]:
    """The parts between the commas, as tokens; what stands in brackets is one token."""
    parts: list[list] = [[]]
    for token in prelude:
        if token == ",":
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _classes(selector: list) -> list[str]:
    """The classes that an element must have; those in brackets, `:not(.x)`, are left aside."""
    return [name.value for dot, name in pairwise(selector) if dot == "." and name.type == "ident"]


def slim_sheets(outdir: Path) -> None:
    """Cut the theme's style sheets in the HTML site `outdir` down."""
    files = [*outdir.rglob("*.html"), *(f for f in outdir.rglob("*.js") if "vendor" not in f.parts)]
    words = Words(f.read_text(encoding="utf-8", errors="replace") for f in files)
    for name in ("pydata-sphinx-theme", "sphinx-book-theme"):
        sheet = outdir / "_static" / "styles" / f"{name}.css"
        sheet.write_text(drop_unused(sheet.read_text(encoding="utf-8"), words), encoding="utf-8")
