"""Guesses are kept in the browser, and the page "Where next" counts how many were right."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.book.test_pages import html, none  # noqa: F401
from tests.browser import Visit, rest

pytestmark = pytest.mark.browser


def test_guesses_are_counted_where_next(browser: Any, html: Path) -> None:  # noqa: F811
    """The first guess on a question counts, not a second one, and no look at the answer; by keyboard."""
    page = Visit(browser)

    def tally() -> tuple[list[str], str]:
        page.open(html / "book/where_next.html")
        row = page.tab.locator('.predictions tr[data-page="02_sam_step_by_step"] td')
        return row.all_inner_texts()[1:], page.tab.locator(".predictions-sum").inner_text()

    def reaches(holds: Callable[[], bool]) -> None:
        for _ in range(20):  # what one page keeps reaches the next in the browser's own time
            if holds():
                return
            rest(page.tab, 500)
        raise AssertionError(tally())

    def press(selector: str, number: int = 0) -> None:
        page.tab.locator(selector).nth(number).focus()
        page.tab.keyboard.press("Space")

    try:
        assert tally() == (["–", "–"], "No guess is kept in this browser yet.")
        page.open(html / "notebooks/02_sam_step_by_step.html")
        right = [
            int(re.findall(r"answer-(\d+)", box.get_attribute("class"))[0])
            for box in page.tab.locator(".predict").all()
        ]
        press("input[name=predict-0]", right[0] - 1)
        status = page.tab.locator(".predict-status").first.inner_text()
        assert status.startswith(f"You chose {right[0]} of 3. It is {right[0]},")
        press("input[name=predict-1]", right[1] % 3)  # a wrong one, then the right one
        press("input[name=predict-1]", right[1] - 1)
        page.tab.locator(".predict").nth(2).get_by_role("button", name="Show me").click()
        press("input[name=predict-2]", right[2] - 1)
        reaches(
            lambda: (
                tally() == (["2", "1"], "2 guessed, 1 right. Drawing lots would get 0.7 right on average.")
            )
        )
        forget = page.tab.get_by_role("button", name="Forget my guesses")
        forget.focus()
        page.tab.keyboard.press("Enter")
        assert forget.is_hidden() and "No guess" in page.tab.evaluate("document.activeElement.textContent")
        reaches(lambda: tally()[0] == ["–", "–"])
        page.open(html / "notebooks/02_sam_step_by_step.html")
        assert page.tab.locator(".predict").first.get_attribute("data-state") == "asking"
        none(page.log)
    finally:
        page.close()
