"""Exercises are answered in the page, by the rules and with the words of ``check``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from book._ext.answers import form
from book.tools import ROOT
from sam_edu import exercises
from sam_edu.exercises import Choice, Exercise, Function
from tests.book import checks
from tests.book.test_pages import html, none  # noqa: F401
from tests.browser import Visit

pytestmark = pytest.mark.browser

JUDGE = """answers => [...document.querySelectorAll("form.answer")].map(form => {
    const number = form.dataset.exercise;
    return [number, answers[number].map(answer => window.judgeAnswer(form, answer))];
})"""


def tried(exercise: Exercise) -> list[str]:
    """Answers of readers: right ones, slips, near misses, and what is no number."""
    if isinstance(exercise, Choice):
        return list(exercise.feedback)
    value = exercise.solution()
    slips = [slip() for slip in exercise.mistakes.values()]
    numbers = [value, 1.003 * value, 0.985 * value, 3 * value + 1, -value, value * 1e-7, value * 1e9, *slips]
    return [
        *map(repr, map(float, numbers)),
        f"{value:.{exercise.digits - 1}e}",
        "abc",
        "1.2.3",
        "1/0",
        "1e999",
        "nan",
    ]


WANTED = {n: e for n in exercises.numbers() if not isinstance(e := exercises.get(n), Function)}


def test_each_number_and_choice_is_judged_as_check_does(browser: Any) -> None:
    answers = {n: tried(exercise) for n, exercise in WANTED.items()}
    script = (ROOT / "book/assets/js/answers.js").read_text(encoding="utf-8")
    forms = "".join(form(number) or "" for number in WANTED)
    tab = browser.new_page()
    tab.set_content(f"<!doctype html><body>{forms}<script>{script}</script></body>")
    found = dict(tab.evaluate(JUDGE, answers))
    tab.close()
    assert list(found) == list(WANTED) and len(found) > 40
    for number, verdicts in found.items():
        for answer, (right, message) in zip(answers[number], verdicts, strict=True):
            assert (right, message) == exercises.get(number).judge(answer), f"{number}: {answer}"


def test_every_such_exercise_of_the_book_has_its_form(html: Path) -> None:  # noqa: F811
    pages = [path.read_text(encoding="utf-8") for path in (html / "notebooks").glob("*.html")]
    found = [number for text in pages for number in re.findall(r'data-exercise="([\d.]+)"', text)]
    assert sorted(found) == sorted(WANTED)


def test_answers_by_keyboard_are_kept(browser: Any, html: Path) -> None:  # noqa: F811
    page = Visit(browser)
    try:
        page.open(html / "notebooks/04_adversarial_examples.html")
        checks.open_storeys(page)
        form = page.tab.locator('form.answer[data-exercise="4.2"]')
        assert page.tab.locator(".answer-cell").first.is_hidden()  # its cell cannot be run here
        field, status = form.get_by_label("Your answer to exercise 4.2"), form.get_by_role("status")
        assert status.inner_text() == "" and "0.2857" not in page.tab.content()
        field.focus()
        page.tab.keyboard.press("Enter")
        assert status.inner_text() == "Give an answer first."
        page.tab.keyboard.type("2/3")
        page.tab.keyboard.press("Enter")
        assert status.inner_text().startswith("Not yet. Take the absolute values first")
        field.fill("0,286")
        page.tab.keyboard.press("Enter")
        assert re.match(r"Correct\. Each pixel moves", status.inner_text())
        choice = page.tab.locator('form.answer[data-exercise="4.1"]')
        choice.locator("input").first.focus()
        page.tab.keyboard.press("Space")
        choice.get_by_role("button", name="Check").focus()
        page.tab.keyboard.press("Enter")
        assert choice.get_by_role("status").inner_text().startswith("Correct. The budget is per pixel")
        page.open(html / "notebooks/04_adversarial_examples.html")
        checks.open_storeys(page)
        assert field.input_value() == "0,286" and status.inner_text().startswith("Correct.")
        assert choice.get_attribute("data-state") == "right"
        none(page.log)
    finally:
        page.close()
