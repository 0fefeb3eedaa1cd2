"""No reference to a statement prints a blank: each has a number or words of its own."""

from __future__ import annotations

import re

import pytest

from tests.witnesses.test_every_statement_has_one import PAGES

STATEMENT = re.compile(r":::+\{prf:(?!proof)\w+\}[^\n]*\n((?::[\w-]+:[^\n]*\n)*)")
REFERENCE = re.compile(r"\{prf:ref\}`([^`]+)`")


def text_of(page):
    source = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return source
    import json

    return "\n\n".join(
        "".join(c["source"]) for c in json.loads(source)["cells"] if c["cell_type"] == "markdown"
    )


def labels(text):
    """Label to whether the statement has a number."""
    found = {}
    for options in STATEMENT.findall(text):
        if label := re.search(r":label: (\S+)", options):
            found[label[1]] = ":nonumber:" not in options
    return found


NUMBERED = {label: has for page in PAGES for label, has in labels(text_of(page)).items()}


def blank(text, numbered):
    """Bare references to statements without a number, or to none at all."""
    return [ref for ref in REFERENCE.findall(text) if "<" not in ref and not numbered.get(ref, False)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_reference_prints_a_number_or_a_title(page):
    assert blank(text_of(page), NUMBERED) == []
    targets = re.findall(r"\{prf:ref\}`[^`<]+ <([^`>]+)>`", text_of(page))
    assert [t for t in targets if t not in NUMBERED] == []


def test_a_blank_reference_would_be_seen():
    text = ":::{prf:lemma} A\n:label: a\n:nonumber:\n:::\n:::{prf:lemma} B\n:label: b\n:::\n"
    assert labels(text) == {"a": False, "b": True}
    assert blank("{prf:ref}`a` {prf:ref}`b` {prf:ref}`the lemma <a>` {prf:ref}`c`", labels(text)) == [
        "a",
        "c",
    ]
