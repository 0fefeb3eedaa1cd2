"""The figure of chapter NN: its formula against brute force, JavaScript against Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_edu import widgets
from sam_edu.widgets.figure_name import worst_loss
from tests.browser import formulas_tab


@given(st.floats(-3, 3), st.floats(0, 2), st.floats(0.1, 5))
def test_worst_loss_is_the_maximum_over_the_interval(w, rho, curvature):
    inside = np.linspace(w - rho, w + rho, 2001)
    assert worst_loss(w, rho, curvature) == pytest.approx(
        (curvature / 2 * inside**2).max(), abs=1e-9
    )


def test_bad_values_are_named():
    with pytest.raises(ValueError, match="rho must be >= 0, got -1"):
        worst_loss(0.0, -1)
    with pytest.raises(ValueError, match="curvature must be > 0, got 0"):
        worst_loss(0.0, 1, 0)
    with pytest.raises(
        widgets.WidgetValueError, match=r"rho must be a number from 0 to 1, got 2"
    ):
        widgets.FigureNameExplorer(rho=2)


def test_formulas_against_python(browser):
    corners = [
        (w, rho, h) for w in (-1.5, 0.0, 1.5) for rho in (0, 1) for h in (0.2, 4)
    ]
    drawn = np.random.default_rng(0).uniform(
        [-2, 0, 0.2], [2, 1, 4], (240 - len(corners), 3)
    )
    cases = np.vstack([corners, drawn])
    tab = formulas_tab(browser, "figure_name_math.js")
    found = tab.evaluate(
        "(all) => all.map((v) => window.math.parabolaWorst(...v))", cases.tolist()
    )
    tab.close()
    assert len(cases) >= 200
    np.testing.assert_allclose(
        found, [worst_loss(*case) for case in cases], rtol=1e-12, atol=1e-14
    )
