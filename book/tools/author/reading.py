"""How long a chapter takes to read: its words, section by section, without code and folded text."""

from __future__ import annotations

import math
import re
from pathlib import Path

from book.tools.edition import chapter

WORDS_A_MINUTE = 200
_FOLDED = re.compile(
    r"^(:{3,})\{(?:prf:proof\}|(?:admonition|solution|solution-start|exercise)\}[^\n]*\n:class:[^\n]*dropdown)"
    r".*?^\1 *$",
    re.M | re.S,
)
_STOREY = re.compile(r"^(#{2,3}) +([^\n]*)\n+:{3,}\{second-storey\}[^\n]*", re.M)
_UNREAD = re.compile(r"<!--[\s\S]*?-->|^:{3,}.*$|^:[\w-]+:.*$|^\(.*\)=$|^---$", re.M)


def words(text: str) -> int:
    """Words of a text as a reader counts them: a formula or a glued number is one, an address none."""
    text = _FOLDED.sub("", text)
    text = re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$|\{[\w:-]+\}`[^`]*`", "formula", text, flags=re.S)
    text = re.sub(r"\]\([^)]*\)", "]", _UNREAD.sub("", text))
    return len(re.findall(r"[\w’'.,%-]*\w[\w’'.,%-]*", text))


def storeys(path: Path) -> list[tuple[str, int]]:
    """Title and words of the sections marked as second storey (book/_ext/second_storey.py), in order."""
    text = chapter.text_of(path)
    return [(found[2], words(_section(text, found))) for found in _STOREY.finditer(text)]


def _section(text: str, heading: re.Match[str]) -> str:
    """What stands under a heading, up to the next one of its rank."""
    end = re.compile(rf"^#{{2,{len(heading[1])}}} ", re.M).search(text, heading.end())
    return text[heading.end() : end.start() if end else None]


def sections(path: Path) -> dict[str, int]:
    """Words of each section (## ...) of a chapter, less those of its parts (### ...) on the second storey.

    Those before the first section stand under the empty title.
    """
    text = chapter.text_of(path)
    for found in [*_STOREY.finditer(text)][::-1]:
        if found[1] == "###":
            text = text[: found.start()] + text[found.start() :].replace(_section(text, found), "\n\n", 1)
    found = re.split(r"^## +(.*)$", text, flags=re.M)
    return {title: words(text) for title, text in zip(["", *found[1::2]], found[::2], strict=True)}


def first_reading(path: Path) -> list[str]:
    """The sections that the box "First reading" of a chapter names."""
    box = re.search(r"^:{3,}\{first-reading\} *(.*)$", path.read_text("utf-8"), re.M)
    return [title.strip() for title in box[1].split(";")] if box else []


def words_of(path: Path, titles: list[str]) -> int:
    """Words of the opening and of these sections; a title that is not there is an error."""
    known = sections(path)
    missing = [title for title in titles if title not in known]
    if missing:
        there = ", ".join(filter(None, known))
        raise ValueError(f"{path.name} has no section {missing[0]!r}; its sections: {there}")
    return known[""] + sum(known[title] for title in titles)


def minutes(count: int) -> int:
    """Minutes for so many words, at least one."""
    return max(1, math.ceil(count / WORDS_A_MINUTE))
