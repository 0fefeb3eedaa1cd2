"""No typed result: the linter of book/tools finds what is planted, and nothing on the book's pages."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from book.tools import ROOT
from book.tools.author import prose


def code(source, printed="", tags=()):
    outputs = [{"output_type": "stream", "name": "stdout", "text": [printed]}] if printed else []
    return {"cell_type": "code", "source": source, "outputs": outputs, "metadata": {"tags": list(tags)}}


@pytest.fixture
def lint(tmp_path):
    """Lint a chapter made of texts and code cells, or a page without code."""

    def run(*cells, page="chapter.md"):
        path, text = tmp_path / page, "".join(c for c in cells if isinstance(c, str))
        if page == "chapter.md":
            parts = [c if isinstance(c, str) else f"```{{code-cell}}\n{c['source']}\n```" for c in cells]
            text = "---\nfile_format: mystnb\n---\n" + "\n\n".join(parts) + "\n"
            edition = {"cells": [c for c in cells if not isinstance(c, str)]}
            path.with_suffix(".ipynb").write_text(json.dumps(edition), encoding="utf-8")
        path.write_text(text, encoding="utf-8")
        return prose.lint(path)

    return run


def open_words(found):
    return [word for finding in found if not finding.reason for word in finding.words]


# --- the book


@pytest.mark.parametrize("page", prose.pages(), ids=lambda page: page.stem)
def test_the_page_types_no_result(page):
    assert "\n".join(str(finding) for finding in prose.lint(page) if not finding.reason) == ""


@pytest.mark.timing
def test_the_linter_is_fast():
    start = time.process_time()
    assert [prose.lint(page) for page in prose.pages()]
    assert time.process_time() - start < 3


def test_markers_stay_rare():
    excused = [finding for page in prose.pages() for finding in prose.lint(page) if finding.reason]
    assert len(excused) <= 40, "so many excuses are a rule that is missing"


# --- what must be found

PLANTED = {
    "SAM keeps 67.3 % under attack.": "67.3 %",
    "SAM keeps 67 per cent under attack.": "67 per cent",
    "SAM gains 15 points.": "15 points",
    "The loss ends at 0.037.": "0.037",
    "The loss ends at $0.037$.": "0.037",
    "It is right on $95\\%$ of the images.": "95%",
    "A step takes 27 seconds.": "27 seconds",
    "AT takes 11 times as long.": "11 times",
    "The gain is 3 to 5 points.": "3 to 5 points",
    "The attack breaks 17 of the 20 images.": "17 of the 20",
    "A step is 2.3-fold the price.": "2.3-fold",
    "It needs 3× the passes.": "3×",
    "At ρ = 0.2 the accuracy is 0.67.": "0.67",
    "At ρ = 0.2 SAM keeps 12,5 %, or 1,024 %.": "12,5 %",
    "Early stopping gives about half of the gain.": "about half",
    "AT costs nearly three times the compute.": "nearly three times",
    "SAM is more robust than SGD.": "more",
    "The robust accuracy of SAM is higher.": "higher",
    "AT *loses* natural accuracy.": "loses",
    "Most of the gain of SAM is early stopping.": "Most of",
    "SAM is as accurate as AT.": "as accurate as",
    "Of the three, SAM is worst.": "worst",
    "| SAM | beats SGD |": "beats",
    "- **Price.** SAM costs twice what SGD costs.": "twice",
}


@pytest.mark.parametrize("sentence", PLANTED, ids=lambda text: text[:40])
@pytest.mark.parametrize("page", ["chapter.md", "page.md"])
def test_a_typed_result_is_found(lint, sentence, page):
    found = lint(f"Before it.\n\n{sentence}\n\nAfter it.", page=page)
    assert PLANTED[sentence] in open_words(found) and len(found) == 1


def test_a_finding_says_where_what_and_what_to_do(lint):
    (found,) = lint("# Title\n\nSome words.\nSAM keeps 67.3 % here.")
    first, second, third = str(found).splitlines()
    assert "chapter.md, line 6: 67.3 %" in first
    assert second.strip() == "SAM keeps 67.3 % here." and "glue" in third


def test_a_typed_number_beside_a_glued_one_is_found(lint):
    assert open_words(lint("SAM keeps {glue:text}`a:.1f` % and SGD 51.6 %.")) == ["51.6 %"]


def test_boxes_and_answers_to_questions_are_read(lint):
    box = ":::{admonition} What happens\n:class: reveal\nSAM keeps 67.3 %.\n:::\n"
    assert open_words(lint(box)) == ["67.3 %"]
    question = "SGD keeps 51.6 %. How much does SAM keep?\n\n- 60 %\n- 70 %\n"
    box = f":::{{admonition}} Predict\n:class: predict\n{question}:::\n"
    assert open_words(lint(box)) == ["51.6 %"]


# --- what backs a sentence

BACKED = [
    "SAM keeps {glue:text}`a:.1f` %, more than SGD.",
    "SGD keeps {glue:text}`a:.1f` %. SAM is more robust.",
    "SGD keeps {fact}`fashion-mnist: SGD at 8/255` %. SAM is more robust.",
    "At ρ = 0.1, 0.2 and 0.4 and ε = 8/255 we train with momentum 0.9 and weight decay 0.0005.",
    "SAM is reported to gain 15 points.",
    "SAM is more robust {cite:p}`wei2023sam`.",
    "By {prf:ref}`thm-pareto` SAM is more robust.",
    "SAM is more robust ([chapter 12](12_replication_on_two_cores.ipynb)).",
    "Is SAM more robust?",
    "SAM may be more robust.",
    "The code is `0.123` long, exercise 3.6 and section 2.1 say so, with Python 3.11 and pip 26.3.1.",
    'The note says "SAM gains 15 %".',
    "After this chapter you can\n\n- say why SAM is more robust.",
    ":::{prf:theorem} T\n:label: t\nThe robust accuracy is higher, by 0.25.\n:::",
    ":::{admonition} Proof of Theorem 3\n:class: dropdown proof\nThe error is lower.\n:::",
    ":::{exercise} 7.2\n:label: e\nA classifier has 98 % accuracy. Which is better?\n:::",
    "```python\nloss = 0.123  # SAM is better\n```",
    "$$\na = 0.123\n$$",
    "The 95 % interval, and at least 100 % of it.",
]


@pytest.mark.parametrize("text", BACKED, ids=lambda text: text[:40])
def test_a_backed_sentence_passes(lint, text):
    assert lint(text) == []


def test_what_a_cell_beside_prints_is_backed_to_its_digits(lint):
    cell = code("print(kept)", "SAM 0.6730, loss 0.0371\n")
    assert lint(cell, "SAM keeps 67 % and 67.3 %; the loss is 0.037.") == []
    assert lint("SAM keeps 67 %.", cell) == []
    assert open_words(lint(cell, "SAM keeps 68 %, and the loss is 0.038.")) == ["68 %", "0.038"]
    assert open_words(lint(cell, "## A new section\n\nSAM keeps 67 %.")) == ["67 %"]
    untested = code("print(kept)", "SAM 0.6730\n", tags=["nbval-ignore-output"])
    assert open_words(lint(untested, "SAM keeps 67 %.")) == ["67 %"]


def test_a_number_of_the_code_is_a_setting_but_not_as_a_percentage(lint):
    cell = code("model = train(noise=0.25)")
    assert lint("## A\n\nThe noise is 0.25.", "## B", cell) == []
    assert open_words(lint("## A\n\nThe accuracy is 25 %.", "## B", cell)) == ["25 %"]


def test_an_assertion_beside_backs_words_and_no_numbers(lint):
    cell = code("assert sam > sgd")
    assert lint(cell, "SAM is more robust than SGD.") == []
    assert open_words(lint(cell, "SAM keeps 67 %.")) == ["67 %"]
    assert open_words(lint(cell, "# Next\n\nSAM is more robust than SGD.")) == ["more"]


def test_a_glossary_defines_with_comparisons_and_without_numbers(lint):
    text = "```{glossary}\nSAM\n  Makes the loss lower. It keeps 67 %.\n```"
    assert open_words(lint(text, page="page.md")) == ["67 %"]


def test_solutions_may_span_cells(lint):
    start, end = (
        ":::{solution-start} ex-7-1\n:class: dropdown\n:::\nThe error is 0.123.",
        ":::{solution-end}\n:::",
    )
    assert lint(start, code("1"), f"{end}\n\nIt ends.") == []
    assert open_words(lint(start, code("1"), f"{end}\n\nThe loss is 0.123.")) == ["0.123"]


# --- markers


def test_a_marker_with_a_reason_excuses_its_own_sentence_only(lint):
    found = lint("SAM is better. SAM is worse.<!-- ok: an example of words --> SAM is faster.")
    assert open_words(found) == ["better", "faster"]
    assert [f.reason for f in found if f.reason] == ["ok: an example of words"]


@pytest.mark.parametrize("marker", ["<!-- ok -->", "<!-- ok: -->", "<!-- ok: yes -->"])
def test_a_marker_without_a_reason_excuses_nothing(lint, marker):
    found = lint(f"SAM is better.{marker}")
    assert any("say why" in finding.advice for finding in found if not finding.reason)


def test_a_marker_that_excuses_nothing_must_go(lint):
    (found,) = lint("SAM has two steps.<!-- ok: by definition of it -->")
    assert "remove it" in found.advice and not found.reason


def test_a_marker_that_names_an_assertion_is_checked(lint):
    text = "## Answer\n\nSAM is more robust.<!-- asserted: gain-8 -->"
    holds = code('assert gain > 0\nfor e in (8, 16):\n    glue(f"gain-{e}", gain)')
    assert open_words(lint(holds, text)) == []
    (found,) = [f for f in lint(code('glue("gain-8", gain)'), text) if not f.reason]
    assert "asserts nothing" in found.advice
    (found,) = [f for f in lint(code('assert gain\nglue("other", gain)'), text) if not f.reason]
    assert "no cell of this page glues 'gain-8'" in found.advice


# --- the command


def test_the_command_lists_and_exits_with_one(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("SAM keeps 67.3 %.\n\nSAM is better.<!-- ok: said for once -->\n")
    command = [sys.executable, "-m", "book.tools.author.prose", str(page)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout.endswith("1 to mend, 1 excused by a marker\n")
    marked = subprocess.run([*command, "--marked"], cwd=ROOT, capture_output=True, text=True)
    assert "said for once" in marked.stdout
    page.write_text("SAM has two steps.\n")
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0
    missing = subprocess.run([*command[:3], "no.md"], cwd=ROOT, capture_output=True, text=True)
    assert missing.returncode == 2 and missing.stderr.count("\n") == 1 and "no.md" in missing.stderr
