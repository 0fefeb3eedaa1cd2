"""How the browser tests share the cores: all tests of a page go to one worker, the stop-watch runs alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser import chromium

# Workers take groups of tests, those with most tests first. Tests that open several pages, or look at one for
# long, join the largest group: left to themselves they would be the last, and one worker would still be busy
# with them when the others have nothing left to do.
EARLY = "pocket"


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """One Chromium for all pages of a worker; each page has a context of its own (no shared storage)."""
    with chromium() as started:
        yield started


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        if "name" in params:
            item.add_marker(pytest.mark.xdist_group(params["name"]))
        if item.name.startswith("test_figures_answer_at_once"):
            item.add_marker(pytest.mark.timing)
