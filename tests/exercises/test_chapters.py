"""Every chapter has the frame that helps to learn: goals, a prediction, key ideas, limits, exercises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from book.tools import ROOT
from book.tools.edition import chapter
from sam_edu import exercises

CHAPTERS = [path for path in chapter.chapters(ROOT) if not path.name.startswith("00_")]
SHORT = {"00b_playground"}  # five minutes and five tasks: read as a whole
FRAME = [
    "you can\n\n- ", "{first-reading} ", ":class: predict", "**The answer.**", ":class: key-ideas",
    "## Limits", "## Exercises", "## Further reading",
]  # fmt: skip
BLOCK = r"^:{{3,}}\{{{}(?:-start)?\}} *(\S+)?"


def texts(path: Path) -> tuple[str, list[str]]:
    """The chapter's text, and its code cells."""
    return chapter.text_of(path), chapter.code_of(path)


@pytest.mark.parametrize("path", CHAPTERS, ids=[path.stem for path in CHAPTERS])
class TestEach:
    def test_has_the_frame(self, path):
        text, _ = texts(path)
        wanted = [part for part in FRAME if part[:4] != "{fir" or path.stem not in SHORT]
        assert [part for part in wanted if part not in text] == []

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
