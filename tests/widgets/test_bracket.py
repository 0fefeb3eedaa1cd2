"""Between proof and attack: lines in the browser are those of Python and of the library; refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sam_edu import certify, widgets
from sam_edu.widgets.bracket import around
from tests.browser import formulas_tab
from tests.figures import bracket_arguments


def test_the_lines_are_pythons_and_the_librarys(browser):
    rng = np.random.default_rng(0)
    low = rng.normal(size=300)
    asked = np.stack([low, low + rng.exponential(size=300) + 1e-3, rng.random(300)], 1)
    tab = formulas_tab(browser, "bracket_math.js")
    found = tab.evaluate("(asked) => asked.map((a) => window.math.around(...a))", asked.tolist())
    tab.close()
    kinds = set()
    for (low, high, slope), there in zip(asked.tolist(), found, strict=True):
        here = around(low, high, slope)
        assert here == pytest.approx(there, abs=1e-12)
        z = np.linspace(low, high, 2001)
        under, over = here["below"] * z, here["above"] * z + here["lift"]
        assert (under <= np.maximum(z, 0) + 1e-12).all() and (over >= np.maximum(z, 0) - 1e-12).all()
        assert here["area"] == pytest.approx(np.trapezoid(over - under, z), abs=1e-9)
        both = certify.lines(torch.tensor([[low]]), torch.tensor([[high]]), torch.tensor([[[slope]]]))
        values = [both.below.item(), both.above.item(), both.lift.item()]
        assert values == pytest.approx([here["below"], here["above"], here["lift"]], abs=1e-5)
        kinds.add((low >= 0, high <= 0))
    assert len(kinds) == 3


def test_brackets_are_compared_by_floor_and_ceiling(browser):
    tab = formulas_tab(browser, "bracket_math.js")
    told = tab.evaluate("(pairs) => pairs.map(([a, b]) => window.math.compare(a, b))",
                        [[[0.9, 0.95], [0.7, 0.8]], [[0.7, 0.8], [0.9, 0.95]], [[0.7, 0.9], [0.8, 0.95]],
                         [[0.8, 0.9], [0.7, 0.8]]])  # fmt: skip
    tab.close()
    assert told == ["above", "below", "overlap", "overlap"]


def test_what_is_shown_follows_the_radii():
    figure = widgets.BracketExplorer(**bracket_arguments())
    assert figure.shown() == [("SGD", 0.7, 0.8), ("SAM ρ=0.4", 0.82, 0.88), ("AT", 0.9, 0.95)]
    figure.rho, figure.eps = 0.1, 0.1
    assert figure.shown()[1] == ("SAM ρ=0.1", 0.2, 0.6)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"eps_grid": [0.1, 0.05, 0.2, 0.3]}, "increasing"),
        ({"eps_grid": [0.1]}, "need 1 numbers"),
        ({"eps": 0.5}, "eps must be one of"),
        ({"rho": 0.3}, "rho must be one of"),
        ({"unit": (1.0, 0.0)}, "reach"),
        ({"rows": [{"name": "a", "kind": "SGD", "proved": [1] * 4}]}, "standing"),
        (
            {"rows": [{"name": "a", "kind": "AT", "proved": [1] * 4, "standing": [0] * 4}]},
            "proved <=",
        ),
        ({"rows": [{"name": "a", "kind": "SGD", "proved": [0] * 4, "standing": [1] * 4}]}, "with rho"),
    ],
)
def test_bad_brackets_are_refused_in_one_line(change, hint):
    with pytest.raises(widgets.WidgetValueError, match=hint) as error:
        widgets.BracketExplorer(**(bracket_arguments() | change))
    assert "\n" not in str(error.value)
