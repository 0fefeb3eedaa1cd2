"""Every chapter has the frame that helps to learn: goals, a prediction, key ideas, limits, exercises."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from book.tools import ROOT
from sam_edu import exercises

CHAPTERS = sorted(path for path in ROOT.glob("notebooks/*.ipynb") if not path.name.startswith("00_"))
FRAME = [
    "you can\n\n- ", ":class: predict", "**The answer.**", ":class: key-ideas",
    "## Limits", "## Exercises", "## Further reading",
]  # fmt: skip
BLOCK = r"^:{{3,}}\{{{}(?:-start)?\}} *(\S+)?"


def texts(path: Path) -> tuple[str, list[str]]:
    """The chapter's text, and its code cells."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    text = "\n\n".join(source for kind, source in sources if kind == "markdown")
    return text, [source for kind, source in sources if kind == "code"]


@pytest.mark.parametrize("path", CHAPTERS, ids=[path.stem for path in CHAPTERS])
class TestEach:
    def test_has_the_frame(self, path):
        text, _ = texts(path)
        assert [part for part in FRAME if part not in text] == []

    def test_exercises_have_folded_solutions_but_for_open_ones(self, path):
        text, _ = texts(path)
        labels = re.findall(r"^:{3,}\{exercise\}.*\n:label: (\S+)", text, re.MULTILINE)
        solved = re.findall(BLOCK.format("solution"), text, re.MULTILINE)
        folded = re.findall(r"^:{3,}\{solution(?:-start)?\} \S+\n:class: dropdown", text, re.MULTILINE)
        assert len(labels) >= 4 and len(set(labels)) == len(labels)
        assert set(solved) <= set(labels) and len(folded) == len(solved) >= len(labels) - 1

    def test_some_exercises_check_themselves_beginning_with_a_stub(self, path):
        _, code = texts(path)
        cells = [(source, number) for source in code for number in numbers_in(source)]
        assert len({number for _, number in cells}) >= 3
        stubs = [
            number
            for source, number in cells
            if re.search(r"(?:[=:]|return|^) +\.\.\.$", source, re.MULTILINE)
        ]
        assert stubs == list(dict.fromkeys(number for _, number in cells))


def numbers_in(source: str) -> list[str]:
    """Numbers of the exercises that a cell checks."""
    return re.findall(r'\bcheck\("([\d.]+)"', source)


def test_the_library_knows_the_exercises_of_the_chapters_and_no_others():
    written = [n for path in CHAPTERS for source in texts(path)[1] for n in numbers_in(source)]
    assert set(written) == set(exercises.numbers())
