"""Every labelled statement of the book has a witness, and every witness belongs to a statement."""

from __future__ import annotations

from pathlib import Path

from book._ext.witnesses import labels_in, of_label, stem, witnesses_in
from book.tools import ROOT

PAGES = [*sorted((ROOT / "notebooks").glob("*.ipynb")), *sorted((ROOT / "book").glob("*.md"))]
LABELS = [label for page in PAGES for label in labels_in(page)]
FILES = sorted(Path(__file__).parent.glob("test_witnesses_ch*.py"))
TESTS = {name: file.name for file in FILES for name, _ in witnesses_in(file)}


def test_statements_have_labels_and_no_two_the_same():
    assert len(LABELS) >= 9 and None not in LABELS
    assert len(set(LABELS)) == len(LABELS)


def test_every_statement_has_a_witness():
    without = [label for label in LABELS if not any(of_label(label, name, LABELS) for name in TESTS)]
    assert without == [], f"statements without a test named after their label: {without}"


def test_every_witness_has_a_statement():
    stems = tuple(stem(label) for label in LABELS)
    homeless = [f"{file}::{name}" for name, file in TESTS.items() if not name.startswith(stems)]
    assert homeless == [], f"tests that bear no label of the book: {homeless}"


def test_the_search_would_notice(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        ":::{prf:theorem} One\n:label: thm-one\n:::\n\n```{prf:lemma}\nno label\n```\n:::{prf:proof}\n:::\n"
    )
    assert labels_in(page) == ["thm-one", None]
    assert stem("thm-one") == "test_thm_one"
    assert of_label("thm-one", "test_thm_one_by_search", ["thm-one", "thm-one-step"])
    assert not of_label("thm-one", "test_thm_one_step_by_search", ["thm-one", "thm-one-step"])
