"""The glossary: each term once, and found in running text in the forms that the book uses."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from docutils import nodes

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


@pytest.mark.parametrize(
    "form, page, sense",
    [
        ("η", "notebooks/02_sam_step_by_step", False),  # a learning rate
        ("η", "notebooks/06_robust_and_nonrobust_features", True),
        ("δ", "notebooks/01_flat_minima", False),  # the probability with which a bound fails
        ("δ", "notebooks/04b_units", True),
        ("jump", "notebooks/01_flat_minima", False),
        ("jumps", "notebooks/07_standard_and_adversarial_optima", True),
        ("expansion", "notebooks/01_flat_minima", False),  # Taylor's
        ("brackets", "notebooks/04_adversarial_examples", False),
        ("brackets", "notebooks/12_replication_on_two_cores", True),
        ("Restart", "notebooks/13_papers_protocol", False),
        ("conventions", "notebooks/02_sam_step_by_step", False),
        ("threat model", "notebooks/01_flat_minima", True),
    ],
)
def test_a_word_in_another_sense_is_left_alone(form, page, sense):
    assert links.meant(form, page) is sense


def test_the_words_with_two_senses_are_terms_and_their_pages_exist():
    pages = [path.stem for folder in ("notebooks", "book") for path in (ROOT / folder).glob("*.md")]
    for term, starts in links.MEANT_ON.items():
        assert term in TERMS
        assert all(any(page.startswith(start) for page in pages) for start in starts), (term, starts)


def table(*rows: tuple[str, str]) -> nodes.Element:
    """A table of notation: ``$...$`` is a formula."""

    def cell(text: str) -> nodes.entry:
        parts = [
            nodes.math("", p[1:-1]) if p[:1] == "$" else nodes.Text(p)
            for p in re.split(r"(\$.*?\$)", text)
            if p
        ]
        return nodes.entry("", nodes.paragraph("", "", *parts))

    return nodes.tbody(
        "", *(nodes.row("", cell(symbol), cell("code"), cell(meaning)) for symbol, meaning in rows)
    )


def test_the_symbols_of_the_toy_model_come_from_the_table_of_notation():
    found = links.symbols(
        table(
            ("$c = \\eta\\sqrt d$", "toy: how well <they> separate"),
            ("$w_1$ or $a$", "toy: the weight; $a$ where it varies"),
            ("$\\tau$, $\\gamma$", "toy: two symbols, two meanings"),
            ("$w$", "all weights"),
        )
    )
    assert list(found) == ["c", "w_1", "a"] and found["a"] == found["w_1"]
    assert found["c"].endswith("</span>: how well &lt;they&gt; separate")
    assert (
        found["a"] == 'the weight; <span class="math notranslate nohighlight">\\(a\\)</span> where it varies'
    )


def test_a_symbol_that_stands_alone_is_linked_once_and_on_pages_of_the_toy_model_only():
    def page() -> nodes.Element:
        return nodes.paragraph("", "", *(nodes.math("", tex) for tex in ("c", "c^2", "c")))

    notation = table(("$c = 1$", "toy: a number"))
    env = SimpleNamespace(found_docs={links.SYMBOLS_PAGE}, get_doctree=lambda name: notation)
    builder = SimpleNamespace(get_relative_uri=lambda here, there: "notation.html")
    app = SimpleNamespace(env=env, builder=builder)
    toy, other = page(), page()
    links.mark_symbols(app, toy, "notebooks/06_robust_and_nonrobust_features", 4)
    links.mark_symbols(app, other, "notebooks/01_flat_minima", 4)
    marked = list(toy.findall(links.glossed))
    assert [(node.astext(), node["refuri"], node["number"]) for node in marked] == [
        ("c", "notation.html#symbols", 5)
    ]
    assert not list(other.findall(links.glossed)) and len(list(toy.findall(nodes.math))) == 3
