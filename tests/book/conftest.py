"""How the browser tests share the cores: all tests of a page go to one worker, the stop-watch runs alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser import chromium

# Tests that open several pages, or look at one for long. Workers take groups of tests, those with most tests
# first; left to themselves these would be the last, and one worker would still be busy with them when the
# others have nothing left to do.
EARLY = (
    "test_search_finds_a_word_offline",
    "test_search_and_index_have_no_barriers",
    "test_formulas_and_code_have_no_barriers",
    "test_a_drawing_is_saved_for_slides",
    "test_a_task_s_link_sets_its_figure_and_brings_it_into_view",
    "test_links_inside_the_book_lead_somewhere",
    "test_answers_by_keyboard_are_kept",
    "test_guesses_are_counted_where_next",
)


def group(nodeid: str) -> str:
    """Tests of one group run in one worker: those of a page, which they load once, or of a file."""
    file, _, test = nodeid.partition("::")
    if test.partition("[")[0] in EARLY:
        return "tests/book/test_archive.py"  # many tests, with one archive and one PDF for all
    page = re.search(r"\[([\w/]+)\]$", test) if file.endswith("test_pages.py") else None
    return page[1] if page else file


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist nobody asks
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Groups by name: pytest-xdist 3.8's marks of groups have no effect under pytest 9.2, without a word."""
    from xdist.scheduler import LoadScopeScheduling

    class ByPage(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    return ByPage(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """One Chromium for all pages of a worker; each page has a context of its own (no shared storage)."""
    with chromium() as started:
        yield started


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.name.startswith("test_figures_answer_at_once"):
            item.add_marker(pytest.mark.timing)
