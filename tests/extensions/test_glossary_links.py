"""The glossary: each term once, and found in running text in the forms that the book uses."""

from __future__ import annotations

import re

import pytest

from book._ext import glossary_links as links
from book.tools import ROOT

TEXT = (ROOT / "book/glossary.md").read_text(encoding="utf-8")
BODY = re.search(r"^:::\{glossary\}\n(.*?)^:::", TEXT, re.DOTALL | re.MULTILINE)
TERMS = [line for line in BODY[1].splitlines() if line and not line.startswith(" ")] if BODY else []


def test_each_term_stands_once_and_has_an_explanation():
    assert len(TERMS) >= 30 and len(TERMS) == len(set(TERMS))
    assert BODY is not None
    for entry in BODY[1].strip().split("\n\n"):
        *terms, explanation = entry.splitlines()
        assert terms and explanation.startswith("  ") and len(explanation) > 30, entry


def test_no_two_terms_share_a_form():
    seen: dict[str, str] = {}
    for term in TERMS:
        for form in set(links.forms(term)):
            assert form not in seen, f"{form!r} is a form of {term!r} and of {seen[form]!r}"
            seen[form] = term


@pytest.mark.parametrize(
    "term, form, found",
    [
        ("threat model", "threat models", True),
        ("threat model", "Threat model", True),
        ("geometry", "geometries", True),
        ("AT", "ATs", False),
        ("SAM", "Sam", False),
    ],
)
def test_forms(term, form, found):
    assert (form in links.forms(term)) is found


def test_marks_words_and_not_parts_of_words():
    pattern = links.whole_words(["SAM", "m-SAM", "threat model"])
    assert pattern.findall("SAM, m-SAM and a threat\nmodel.") == ["SAM", "m-SAM", "threat\nmodel"]
    assert not pattern.search("SAMOptimizer, sam_edu.SAM and ESAM")
