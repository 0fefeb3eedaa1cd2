"""The trap of units: the figure's formulas against NumPy, what it refuses, what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam_edu import widgets
from sam_edu.widgets.units import changed_levels
from tests.browser import formulas_tab, settle
from tests.figures import MAKE, units_arguments
from tests.widgets.page import page as page_of


def test_reading_a_curve_equals_numpy(browser: Any) -> None:
    """Golden vectors: random curves at their nodes, between them and beyond their ends."""
    rng, cases, expected = np.random.default_rng(6), [], []
    for _ in range(60):
        grid = np.r_[0, np.cumsum(rng.uniform(0.01, 0.1, rng.integers(1, 12)))]
        values = np.sort(rng.uniform(size=len(grid)))[::-1]
        where = [0.0, float(grid[-1]), float(grid[1]), *rng.uniform(-0.1, 1.2 * grid[-1], 3)]
        cases += [[grid.tolist(), values.tolist(), float(x)] for x in where]
        expected += np.interp(where, grid, values).tolist()
    tab = formulas_tab(browser, "units_math.js")
    found = tab.evaluate("(all) => all.map((v) => window.math.interpolate(...v))", cases)
    tab.close()
    assert len(cases) >= 200
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_rounding_equals_numpys_single_precision(browser: Any) -> None:
    rng = np.random.default_rng(7)
    known = [(0.1307, 0.3081), (0.485, 0.229), (0.4914, 0.2023), (0.5, 0.5), (0.0, 1.0), (0.2860, 0.3530)]
    cases = known + [(float(m), float(s)) for m, s in rng.uniform([0, 0.1], [1, 1], (240, 2))]
    tab = formulas_tab(browser, "units_math.js")
    found = tab.evaluate("(all) => all.map(([m, s]) => window.math.changedLevels(m, s))", cases)
    tab.close()
    assert found == [changed_levels(m, s) for m, s in cases]
    assert found[known.index((0.0, 1.0))] == 0 and found[0] > 20 and len(set(found)) > 20


def changed(**change: Any) -> Callable[[], Any]:
    return lambda: widgets.UnitsExplorer(**(units_arguments() | change))


BAD = {
    "grid": (changed(eps_grid=[0.1, 0.2]), "eps_grid must increase from 0 to at most 1, got [0.1, 0.2]"),
    "shape": (changed(model_names=["SGD"]), "accuracy must have shape (1, 7) and images (1, 7) + (H, W)"),
    "percent": (changed(accuracy=[[98.0] * 7] * 2), "accuracy must lie in [0, 1"),
    "pixels": (changed(images=255 * units_arguments()["images"]), "images must lie in [0, 1]"),
    "rises": (changed(accuracy=[[0.1 * k for k in range(7)]] * 2), "must not rise with eps"),
    "eps": (changed(eps=0.5), "eps must be from 0 to 0.3, got 0.5"),
    "std": (changed(std=0), "std must be a number from 0.1 to 1, got 0"),
    "model": (changed(model=2), "model must be less than 2, got 2"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_values_are_refused_in_one_line(case: str) -> None:
    make, message = BAD[case]
    with pytest.raises(widgets.WidgetValueError) as caught:
        make()
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_sentence_is_right(browser: Any, tmp_path: Path) -> None:
    """The radius that is reached, both accuracies, their difference; ε = 0 and σ = 1."""
    file, figure = tmp_path / "units.html", MAKE["units"]()
    file.write_text(page_of(figure), encoding="utf-8")
    tab = browser.new_page()
    tab.goto(file.as_uri())
    tab.wait_for_function("window.ready")

    def said() -> str:
        settle(tab)
        return tab.locator(".se-live").text_content().replace("\u202f", " ")

    kept, reported = 100 * figure.at(0.1), 100 * figure.at(0.1 * 0.4)
    assert said() == (
        "ε = 0.10, typed for pixels that were divided by σ = 0.400, moves no pixel by more than 0.040. "
        f"The script reports {reported:.1f} % for the SGD network; in pixel units it keeps {kept:.1f} %: "
        f"{reported - kept:.1f} points too many."
    )
    tab.evaluate("model.set('std', 1)")
    assert said().startswith("With σ = 1 both units are the same: at ε = 0.10 the SGD network keeps 55.0 %")
    tab.evaluate("model.set('eps', 0); model.set('std', 0.3081)")
    assert f"changes {changed_levels(0.3, 0.3081)} of the 256 grey levels" in said()
    tab.close()
