"""What the pages list from the book itself is complete: statements, records, predictions, the index."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from book._ext import generated, library_pages, minus, record_tables
from tests.figure_data import ROOT

CHAPTERS = list(generated.chapters(ROOT))


def test_every_mark_on_a_page_is_known_and_every_list_stands_somewhere():
    used = [mark[1] for page in ROOT.glob("book/*.md") for mark in generated.MARK.finditer(page.read_text())]
    assert sorted(used) == sorted(generated.LISTS)


def test_a_misspelt_mark_stops_the_build():
    options = {"repository_url": "https://example.org"}
    app = SimpleNamespace(srcdir=ROOT, config=SimpleNamespace(html_theme_options=options))
    with pytest.raises(KeyError, match="statemnts"):
        generated.fill(app, "page", ["<!-- generated: statemnts -->"])
    source = ["before <!-- generated: records --> stays"]
    generated.fill(app, "page", source)
    assert source == ["before <!-- generated: records --> stays"]


def test_every_statement_is_listed_with_its_witnesses():
    table = generated.statements(ROOT, "https://example.org")
    labels = [label for path, _, _ in CHAPTERS for _, label in generated.statements_in(path)]
    assert len(labels) >= 30
    assert re.findall(r"^\| \{prf:ref\}`([^`]+)`", table, re.MULTILINE) == labels
    assert "| none |" not in table
    links = re.findall(r"\[\d+ in (\S+)\]\(https://example\.org/\S+/witnesses/(\S+)#L\d+\)", table)
    assert len(links) == len(labels) and all(a == b for a, b in links)


def test_every_shipped_record_is_in_the_table():
    from sam_edu.experiments import load_records

    shipped = {record.config.run_id for record in load_records()}
    groups = record_tables.shipped()
    listed = {r.config.run_id for group in groups.values() for records in group.values() for r in records}
    assert listed == shipped
    rows = re.findall(
        r"^\| `([\w-]+)` \|.*\| (\d+) \|[^|]*\|$", record_tables.by_protocol(ROOT), re.MULTILINE
    )
    assert {name: int(n) for name, n in rows} == {
        name: sum(map(len, group.values())) for name, group in groups.items()
    }
    counted = re.findall(r"\| (\d+) \|$", record_tables.data(), re.MULTILINE)
    assert sum(map(int, counted)) == len(shipped)
    assert record_tables.made().startswith(f"The book ships {len(shipped)} records.")


def test_hours_count_every_training_and_every_search_once():
    """Weights that several protocols attack were trained once; a search that went on began with another's."""
    from sam_edu.experiments import load_records

    shown = re.findall(r"\| ([\d.]+) \|$", record_tables.by_protocol(ROOT), re.MULTILINE)
    records = load_records()
    trainings = {(r.config.training_id, r.seconds["train"]) for r in records}
    assert len(trainings) < len(records)
    seconds = sum(took for _, took in trainings) + sum(r.seconds["evaluate"] for r in records)
    for later in (r for r in records if "begun" in r.origin):
        (first,) = (r for r in records if r.config.run_id == later.origin["begun"])
        seconds -= first.seconds["evaluate"]
    assert sum(map(float, shown)) == pytest.approx(seconds / 3600, abs=0.005 * len(shown))


@pytest.mark.parametrize(
    "code, asked",
    [
        ('protocols.configs("digits", seeds=range(3))', True),
        ('data.load("digits")', False),
        ('configs("digits-family", seeds=range(3))', False),
        ('NAME = "digits"; configs(NAME, range(3))', True),
        ('data.load("digits"); configs(NAME, range(3))', False),
    ],
)
def test_which_code_asks_for_a_protocol(code, asked):
    assert record_tables.asks(code, "digits") is asked


def test_a_protocol_may_be_asked_for_by_its_ending():
    assert record_tables.asks('configs(f"{name}-autoattack", seeds=[0])', "digits-autoattack")


def test_the_span_of_seeds():
    assert record_tables._span([5, 3, 5]) == "3 to 5"
    assert record_tables._span([3, 3]) == "3" and record_tables._span([]) == ""


@pytest.mark.parametrize("path, title, text", CHAPTERS, ids=[path.stem for path, _, _ in CHAPTERS])
def test_every_question_says_which_of_its_choices_is_right(path, title, text):
    asked = generated.questions(text)
    assert len(asked) == text.count(":class: predict") and (asked or path.stem == "00_welcome")
    for choices, answer in asked:
        assert choices >= 2 and 1 <= answer <= choices


def test_where_the_answer_is_told_by_its_place_the_mark_agrees():
    words = {"first": 1, "second": 2, "third": 3}
    told = 0
    for path, _, text in CHAPTERS:
        places = [match.end() for match in generated.QUESTION.finditer(text)]
        for end, (_, answer) in zip(places, generated.questions(text), strict=True):
            reveal = re.search(r":class: reveal\n(The (\w+) answer)?", text[end:])
            if reveal and reveal[2] in words:
                assert answer == words[reveal[2]], (path.stem, reveal[1])
                told += 1
    assert told >= 5


def test_statements_stand_in_the_index_in_words():
    title = library_pages.index_title
    assert title("(Accuracy against robustness (Tsipras et al., 2019))") == (
        "Accuracy against robustness (Tsipras et al., 2019)"
    )
    assert title(r"(Worst case in an $\ell_2$ ball)") == "Worst case in an ℓ₂ ball"
    assert title(r"(Worst case in an $\ell_\infty$ ball)") == "Worst case in an ℓ∞ ball"


@pytest.mark.parametrize("text, expected", [
    ("-3.8 points (-0.4), -1", "\N{MINUS SIGN}3.8 points (\N{MINUS SIGN}0.4), \N{MINUS SIGN}1"),
    ("1.5 ± 0.2 of 3 %, 4 and 5", "1.5 ± 0.2 of 3 %, 4 and 5".replace(" ±", "\xa0±").replace("± ", "±\xa0")
     .replace(" %", "\xa0%")),
    ("SAM (ρ = 0.2, d ≥ 9) = 3", "SAM (ρ\xa0=\xa00.2, d\xa0≥\xa09) = 3"),
    ("Chapter 4b, chapter 12 and a chapter", "Chapter\xa04b, chapter\xa012 and a chapter"),
    ("PGD-10 on 2026-11-28, 1e-9, seeds 0-4, x-1 and Fashion-MNIST", None),
])  # fmt: skip
def test_negative_numbers_in_the_text_have_a_true_minus_sign(text, expected):
    from docutils import frontend, nodes, utils

    document = utils.new_document("page", frontend.get_default_settings())
    document += nodes.paragraph("", "", nodes.Text(text), nodes.literal("", "-1"), nodes.math("", "-1"))
    document += nodes.literal_block("", "x = -1")
    minus.TrueMinus(document).run()
    assert document.astext() == f"{expected or text}-1-1\n\nx = -1"
