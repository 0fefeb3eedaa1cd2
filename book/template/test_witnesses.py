"""One witness per statement of chapter NN: each tries to break it by a route that the proof does not take."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

# --- prop-figure-name-worst -----------------------------------------------------------------------------


@given(st.floats(-3, 3), st.floats(0, 2), st.floats(0.1, 5))
def test_prop_figure_name_worst_no_search_finds_more(w, rho, curvature):
    claimed = curvature / 2 * (abs(w) + rho) ** 2
    for low, high in ((w - rho, w), (w, w + rho)):
        found = minimize_scalar(
            lambda v: -curvature / 2 * v * v, bounds=(low, high), method="bounded"
        )
        assert -found.fun <= claimed + 1e-9
    assert (
        curvature / 2 * max((w - rho) ** 2, (w + rho) ** 2) >= claimed - 1e-9
    )  # it is reached


def test_prop_figure_name_worst_needs_a_positive_curvature():
    """With h < 0 the formula would be the lowest value, not the highest."""
    h, w, rho = -1.0, 1.0, 0.5
    highest = max(h / 2 * v * v for v in (w - rho, w, w + rho))
    assert highest > h / 2 * (abs(w) + rho) ** 2
