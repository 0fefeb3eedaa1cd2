"""The frontier of price and prize: its choice in the browser is Python's choice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from sam_edu import widgets
from tests.browser import formulas_tab
from tests.figures import frontier_rows


@pytest.fixture(scope="module")
def choose(browser: Any) -> Iterator[Any]:
    tab = formulas_tab(browser, "frontier_math.js")
    yield lambda rows, asked: tab.evaluate(
        """([rows, asked]) => { const sgd = rows.find((r) => r.method === "SGD");
        return asked.map(([k, budget, loss]) => window.math.bestRow(rows, sgd, k, budget, loss)); }""",
        [rows, asked],
    )
    tab.close()


def test_the_choice_is_pythons(choose):
    rng, checked, labels = np.random.default_rng(0), 0, set()
    for _ in range(30):
        rows = frontier_rows(rng, n=int(rng.integers(2, 12)))
        figure = widgets.FrontierExplorer(rows)
        limits = [*figure.rows[0]["eps"][1:]]
        columns = (
            rng.integers(1, 3, 12),
            rng.choice([0.05, 1, 2, 2.5, 6], 12),
            rng.choice([0, 1, 4.5, 10], 12),
        )
        asked = [[int(k), *map(float, terms)] for k, *terms in np.transpose(columns)]
        for (k, budget, loss), found in zip(asked, choose(figure.rows, asked), strict=True):
            expected = figure.best(limits[k - 1], budget, loss)
            assert (figure.rows[found]["label"] if found >= 0 else None) == expected
            checked, labels = checked + 1, labels | {expected}
    assert checked >= 200 and None in labels and len(labels) > 5


def test_bad_rows_are_refused_in_one_line():
    rows = frontier_rows(np.random.default_rng(1))
    for change, hint in (
        ([r for r in rows if r["method"] != "SGD"], "SGD"),
        ([{**r, "cost": 0} for r in rows], "cost"),
        ([{k: v for k, v in r.items() if k != "cost"} for r in rows], "cost"),
        ([{**r, "eps": [0.1, 0.2, 0.3]} for r in rows], "eps must be 0"),
    ):
        with pytest.raises(widgets.WidgetValueError, match=hint) as error:
            widgets.FrontierExplorer(change)
        assert "\n" not in str(error.value)
    with pytest.raises(widgets.WidgetValueError, match="eps must be one of"):
        widgets.FrontierExplorer(rows, eps=0.9)
