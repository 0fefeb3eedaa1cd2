"""The two wells of chapter 1: closed forms against brute force, JavaScript against Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_edu import widgets
from sam_edu.toy import wells
from tests.browser import formulas_tab

N = 240  # golden vectors per formula
radii, stretches, floors = st.floats(0, 1.5), st.floats(0.3, 6), st.floats(0, 0.9)


@given(st.floats(-4, 4), radii, stretches, floors)
def test_worst_loss_is_the_maximum_over_the_interval(v, rho, alpha, floor):
    inside = np.unique(np.r_[np.linspace(v - rho, v + rho, 2001), 0.0 if abs(v) < rho else v])
    brute = wells.loss(inside, alpha, floor).max()
    assert wells.worst_loss(v, rho, alpha, floor) == pytest.approx(brute, abs=1e-9)


@given(radii, stretches, floors)
def test_the_prices_are_the_lowest_worst_losses_of_the_two_sides(rho, alpha, floor):
    a, b = wells.prices(rho, alpha, floor)
    left = wells.worst_loss(np.linspace(-2.5 * alpha * 0.3, 0, 4001), rho, alpha, floor).min()
    right = wells.worst_loss(np.linspace(0, 3, 4001), rho, alpha, floor).min()
    assert (left, right) == (pytest.approx(float(a), abs=4e-3), pytest.approx(float(b), abs=4e-3))
    assert a <= left + 1e-12 and b <= right + 1e-12
    best = wells.flattest(rho, alpha, floor)
    assert wells.worst_loss(best, rho, alpha, floor) <= min(a, b) + 1e-9


@given(stretches, st.floats(0.01, 0.9))
def test_the_jump_lies_where_the_prices_cross(alpha, floor):
    jump = wells.critical_rho(alpha, floor)
    if alpha >= wells.B_WIDTH / wells.A_WIDTH:
        assert jump == math.inf
        a, b = wells.prices(np.linspace(0, 2, 301), alpha, floor)
        assert (a <= b + 1e-12).all()
    else:
        at, before, after = (wells.prices(jump * factor, alpha, floor) for factor in (1, 0.99, 1.01))
        assert at[0] == pytest.approx(float(at[1]), abs=1e-9)
        assert before[0] < before[1] and after[0] > after[1] - 1e-15


@given(st.floats(-4, 4), st.floats(0.3, 6), floors)
def test_the_ruler_changes_no_value(w, alpha, floor):
    v = w * alpha if w < 0 else w
    assert wells.loss(v, alpha, floor) == pytest.approx(float(wells.loss(w, 1.0, floor)), abs=1e-12)


def test_bad_values_are_named():
    with pytest.raises(ValueError, match="alpha must be > 0"):
        wells.loss(0.0, alpha=0)
    with pytest.raises(ValueError, match="floor must be >= 0 and < 1"):
        wells.prices(0.1, floor=1)
    with pytest.raises(ValueError, match="rho must be >= 0, got -1"):
        wells.worst_loss(0.0, -1)
    with pytest.raises(widgets.WidgetValueError, match=r"alpha must be a number from 0\.5 to 5, got 9"):
        widgets.FlatnessExplorer(alpha=9)


# ---- JavaScript ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def formulas(browser: Any) -> Iterator[Callable[[str, Any], np.ndarray]]:
    tab = formulas_tab(browser, "flatness_math.js")

    def evaluate(body: str, arguments: Any) -> np.ndarray:
        found = tab.evaluate(
            f"(all) => all.map((v) => {{ const m = window.math; return {body}; }})",
            [list(map(float, a)) for a in arguments],
        )
        return np.array(found, float)

    yield evaluate
    tab.close()


def vectors() -> np.ndarray:
    """(v, rho, alpha, floor): the corners of the sliders, then random ones."""
    corners = [
        (v, r, a, f) for v in (-3.2, 0.0, 1.2) for r in (0, 1.2) for a in (0.5, 4, 5) for f in (0, 0.6)
    ]
    rng = np.random.default_rng(0)
    drawn = rng.uniform([-4, 0, 0.5, 0], [4, 1.2, 5, 0.6], (N - len(corners), 4))
    return np.vstack([corners, drawn])


def test_formulas_against_python(formulas: Any) -> None:
    cases = vectors()
    assert len(cases) >= 200
    expected = {
        "m.wellLoss(v[0], v[2], v[3])": [wells.loss(v, a, f) for v, _, a, f in cases],
        "m.wellWorst(v[0], v[1], v[2], v[3])": [wells.worst_loss(*v) for v in cases],
        "m.wellPrices(v[1], v[2], v[3])[0]": [wells.prices(*v[1:])[0] for v in cases],
        "m.wellPrices(v[1], v[2], v[3])[1]": [wells.prices(*v[1:])[1] for v in cases],
        "m.criticalRho(v[2], v[3])": [wells.critical_rho(*v[2:]) for v in cases],
        "m.flattest(v[1], v[2], v[3])": [wells.flattest(*v[1:]) for v in cases],
    }
    for body, values in expected.items():
        np.testing.assert_allclose(
            formulas(body, cases), np.array(values, float), rtol=1e-12, atol=1e-14, err_msg=body
        )
    jumps = formulas("m.criticalRho(v[2], v[3])", cases)
    assert np.isinf(jumps).any() and np.isfinite(jumps).any()
