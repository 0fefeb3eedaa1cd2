"""Starts a chapter with a live figure, exercises, a statement and their tests, from book/template.

    python -m book.tools.author.new_chapter 15_my_topic        make chapter NAME=15_my_topic

writes the files of the chapter and enters it in _toc.yml (as the last of the last part), in
sam_edu/widgets/__init__.py and in tests/figures.py. Everything passes the checks from the first minute, so
that what fails later is what you have just changed. Needs nothing but Python.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from book.tools.publish import address

NAME = re.compile(r"(\d\d)_([a-z][a-z0-9]*(?:_[a-z0-9]+)*)")
TEMPLATE = Path(__file__).resolve().parents[2] / "template"
# Template -> where it goes; {m} is the topic, {n} the number.
FILES = {
    "chapter.md": "notebooks/{n}_{m}.md",
    "figure_name.py": "sam_edu/widgets/{m}.py",
    "figure_name.js": "sam_edu/widgets/{m}.js",
    "figure_name_math.js": "sam_edu/widgets/{m}_math.js",
    "chapter_exercises.py": "sam_edu/exercises/ch{n}.py",
    "test_figure_name.py": "tests/widgets/test_{m}.py",
    "test_witnesses.py": "tests/witnesses/test_witnesses_ch{n}.py",
}


def fill(text: str, number: str, topic: str) -> str:
    """The template's text with the chapter's number and names in it."""
    words = topic.split("_")
    names = {
        "OWNER/REPO": address.slug(address.address()),
        "NN_figure_name": f"{number}_{topic}",
        "figure_name": topic,
        "figure-name": "-".join(words),
        "FigureName": "".join(word.capitalize() for word in words),
        "parabolaWorst": words[0] + "".join(word.capitalize() for word in words[1:]) + "Worst",
        "chNN": f"ch{int(number)}",
        "ex-NN": f"ex-{int(number)}",
        "NN": str(int(number)),
    }
    for old, new in names.items():
        text = text.replace(old, new)
    return text


def after(text: str, anchor: str, new: str, file: str, before: bool = False) -> str:
    """``text`` with ``new`` behind (or before) the line ``anchor``."""
    if text.count(anchor) != 1:
        raise ValueError(f"{file}: expected one line {anchor.strip()!r}; enter {new.strip()!r} by hand")
    return text.replace(anchor, new + anchor if before else anchor + new)


def entered(text: str, line: str, pattern: str, file: str) -> str:
    """``text`` with ``line`` among the lines that match ``pattern``, in alphabetical order."""
    lines = text.splitlines(keepends=True)
    alike = [i for i, old in enumerate(lines) if re.match(pattern, old)]
    if not alike:
        raise ValueError(f"{file}: no line like {line.strip()!r}; enter it by hand")
    place = next((i for i in alike if lines[i] > line), alike[-1] + 1)
    return "".join([*lines[:place], line, *lines[place:]])


def plan(root: Path, name: str) -> dict[Path, str]:
    """Every file that the new chapter writes or changes, with its text."""
    match = NAME.fullmatch(name)
    if not match or len(match[2]) > 30:
        form = "two digits, a topic of at most 30 small letters"
        raise ValueError(f"the name must be like 15_my_topic ({form}), got {name!r}")
    number, topic = match[1], match[2]
    made = {
        root / to.format(n=number, m=topic): fill((TEMPLATE / source).read_text("utf-8"), number, topic)
        for source, to in FILES.items()
    }
    for path in [*made, *root.glob(f"notebooks/{number}_*")]:
        if path.exists():
            raise ValueError(f"{path.relative_to(root)} exists already; choose another number or topic")
    figure = "".join(word.capitalize() for word in topic.split("_")) + "Explorer"
    toc, widgets, figures = (
        root / part for part in ("_toc.yml", "sam_edu/widgets/__init__.py", "tests/figures.py")
    )
    chapter = f"      - file: notebooks/{name}\n"
    made[toc] = after(toc.read_text("utf-8"), "  - caption: Back matter\n", chapter, "_toc.yml", before=True)
    text = entered(
        widgets.read_text("utf-8"),
        f"from sam_edu.widgets.{topic} import {figure}\n",
        r"from sam_edu\.widgets\.",
        widgets.name,
    )
    made[widgets] = entered(text, f'    "{figure}",\n', r'    "[A-Z]\w*",\n', widgets.name)
    made[figures] = after(
        figures.read_text("utf-8"),
        "MAKE: dict[str, Callable[[], widgets.Explorer]] = {\n",
        f'    "{topic.replace("_", "-")}": widgets.{figure},\n',
        "tests/figures.py",
    )
    return made


def main(arguments: list[str]) -> None:
    if len(arguments) != 1:
        sys.exit("usage: make chapter NAME=15_my_topic")
    try:
        files = plan(address.ROOT, arguments[0])
    except ValueError as error:
        sys.exit(f"No chapter: {error}")
    for path, text in files.items():
        word = "changed" if path.exists() else "wrote"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        print(f"{word:8} {path.relative_to(address.ROOT)}")
    print(f"==> See it with  make page PAGE={arguments[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
