"""How the browser tests share the cores: all tests of a page go to one worker, the stop-watch runs alone."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        if "name" in params:
            item.add_marker(pytest.mark.xdist_group(params["name"]))
        if item.name.startswith("test_figures_answer_at_once"):
            item.add_marker(pytest.mark.timing)
