"""The grid over batch sizes and radii: JavaScript reads it as NumPy does, and refuses what is no grid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from sam_edu import toy, widgets
from tests.browser import formulas_tab
from tests.figures import batch_grid


@pytest.fixture(scope="module")
def evaluate(browser: Any) -> Iterator[Any]:
    tab = formulas_tab(browser, "batch_math.js")
    yield lambda body, cases: tab.evaluate(
        f"(all) => all.map((v) => {{ const m = window.math; return {body}; }})", cases
    )
    tab.close()


def test_straight_lines_are_numpys(evaluate):
    rng, cases = np.random.default_rng(0), []
    for i in range(260):
        xs = np.cumsum(rng.uniform(0.01, 1, rng.integers(2, 8)))
        x = rng.uniform(xs[0] - 1, xs[-1] + 1) if i % 3 else rng.choice(xs)
        cases.append([xs.tolist(), rng.normal(size=len(xs)).tolist(), float(x)])
    found = evaluate("m.interpolate(v[0], v[1], v[2])", cases)
    np.testing.assert_allclose(found, [np.interp(x, xs, ys) for xs, ys, x in cases], atol=1e-12)


def test_readings_are_those_of_the_python_side(evaluate):
    grid, rng, cases, expected = batch_grid(), np.random.default_rng(1), [], []
    for i in range(240):
        state = {
            "batch": int(rng.choice(grid["batches"])),
            "loss": str(rng.choice(["logistic", "squared"])),
            "parameters": int(rng.integers(2)),
            "rho": float(rng.uniform(0, 0.3)) if i % 4 else 0.1,
        }
        figure = widgets.BatchExplorer(grid, **state)
        rows = grid["lost"][state["parameters"]][state["loss"]][grid["batches"].index(state["batch"])]
        cases.append([grid["rhos"], rows, state["rho"]])
        expected.append([*figure.reading(), state["rho"] == 0.1])
    found = evaluate("m.reading(v[0], v[1], v[2])", cases)
    got = [[f["mean"], f["low"], f["high"], f["measured"]] for f in found]
    np.testing.assert_allclose(np.array(got, float), np.array(expected, float), atol=1e-12)


def test_a_measured_grid_has_zero_where_the_theorems_say_so():
    model = toy.NRFModel(0.9, 0.2, 10)
    grid = widgets.BatchExplorer.measure([model], [1, 16], [0, 0.1], n=1024, seeds=(0, 1))
    lost = np.array([grid["lost"][0][loss] for loss in ("logistic", "squared")])
    assert lost.shape == (2, 3, 2, 2) and (lost[:, :, 0] == 0).all() and (lost[:, 2] == 0).all()
    assert (lost[1, :2, 1] > lost[0, :2, 1]).all() and grid["batches"] == [1, 16, 1024]  # squared: more
    figure = widgets.BatchExplorer(grid)
    assert (figure.batch, figure.rho) == (1, 0.0) and len(figure.still()) < 32_768


def test_bad_grids_are_refused_in_one_line():
    good = batch_grid()
    for change, hint in (
        ({"batches": [4, 1, 16, 4096]}, "batches must increase"),
        ({"rhos": [0.1, 0.2, 0.3]}, "rhos must begin with 0"),
        ({"lost": [{"logistic": [[[0.0]]]}] * 2}, r"\(4, 3\) x samples"),
    ):
        with pytest.raises(widgets.WidgetValueError, match=hint) as error:
            widgets.BatchExplorer({**good, **change})
        assert "\n" not in str(error.value)
    with pytest.raises(widgets.WidgetValueError, match="needs 'lost'"):
        widgets.BatchExplorer({k: v for k, v in good.items() if k != "lost"})
    for state, hint in (
        ({"batch": 3}, "one of the measured"),
        ({"rho": 0.5}, "at most 0.3"),
        ({"parameters": 2}, "less than 2"),
        ({"loss": "hinge"}, "loss must be one of"),
    ):
        with pytest.raises(widgets.WidgetValueError, match=hint):
            widgets.BatchExplorer(good, **state)
