"""The (rho, eps) plane: its formulas against sam_edu.toy, its sentence against the radii that it names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam_edu import toy, widgets
from sam_edu.widgets.plane import CONVENTIONS
from sam_edu.widgets.plane import DATA as PARAMETERS
from tests.browser import DATA, DRAW, PAINT, formulas_tab, settle, slider_times
from tests.widgets.page import page as page_of

N = 216  # golden vectors per convention
MOVING = [key for key in CONVENTIONS if key != "one-step"]


@pytest.fixture(scope="module")
def formulas(browser: Any) -> Iterator[Callable[[str, list], list]]:
    tab = formulas_tab(browser, "plane_math.js")

    def evaluate(body: str, arguments: list[tuple]) -> list:
        return tab.evaluate(
            f"(all) => all.map((v) => {{ const m = window.math; return {body}; }})", arguments
        )

    yield evaluate
    tab.close()


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    tabs = []

    def make(**state: Any) -> Any:
        file = tmp_path / f"{len(tabs)}.html"
        file.write_text(page_of(widgets.RhoEpsPlane(**state)), encoding="utf-8")
        tabs.append(browser.new_page(viewport={"width": 760, "height": 900}))
        tabs[-1].goto(file.as_uri())
        tabs[-1].wait_for_function("window.ready")
        settle(tabs[-1])
        return tabs[-1]

    yield make
    for tab in tabs:
        tab.close()


def models(seed: int, convention: str = "") -> list[toy.NRFModel]:
    """The three data sets of the figure and fifteen random models, none much easier than they are.

    The browser knows the worst tilts in the plane of e_1 and (1, ..., 1) only. For the three data sets they
    are the worst of the whole l2 ball up to 0.65 sqrt(d); that convention gets these three.
    """
    if convention == "l2-worst":
        return list(PARAMETERS.values())
    rng = np.random.default_rng(seed)
    drawn = [
        toy.NRFModel(float(rng.uniform(0.6, 0.97)), float(rng.uniform(0.4, 1.2) / np.sqrt(d)), int(d))
        for d in rng.integers(5, 500, 15)
    ]
    return [*PARAMETERS.values(), *drawn]


def radii(model: toy.NRFModel, convention: str, rng: Any) -> np.ndarray:
    """Radii at which the convention does something, but not the extreme."""
    root = np.sqrt(model.d)
    low, high = {
        "robust-worst": (0.05 * root, 8 * root),
        "robust-gaussian": (0.05 * root, 8 * root),
        "gaussian": (0.05, 3.0),
        "per-sample": (0.01 * model.c, 0.9 * model.c),
        "l2-worst": (0.01 * root, 0.65 * root),
    }[convention]
    count = N // len(models(0, convention))
    return low * (high / low) ** rng.uniform(size=count)


def vectors(model: toy.NRFModel, values: np.ndarray) -> list[tuple]:
    return [(model.p, model.eta, model.d, float(v)) for v in values]


def agree(found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Relative differences are small; infinities stand at the same places."""
    assert len(found) >= 200
    np.testing.assert_array_equal(np.isinf(found), np.isinf(expected))
    finite = np.isfinite(expected)
    assert finite.sum() >= 100
    assert np.abs(found[finite] / expected[finite] - 1).max() < tolerance


MODEL = "{p: v[0], eta: v[1], d: v[2]}"


@pytest.mark.parametrize("convention", MOVING)
def test_optima_of_sam(formulas: Any, convention: str) -> None:
    rng, options = np.random.default_rng(1), toy.CONVENTION[convention].options
    found, expected = [], []
    for m in models(1, convention):
        rho = radii(m, convention, rng)
        found += formulas(f'm.samWeight({MODEL}, v[3], "{convention}")', vectors(m, rho))
        expected.append(toy.sam_optimum(m, rho, **options))
    # an infinite weight comes back from the browser as None
    agree(np.array([np.inf if v is None else v for v in found]), np.concatenate(expected), 2e-5)


@pytest.mark.parametrize("convention", MOVING)
def test_equivalent_radii(formulas: Any, convention: str) -> None:
    """At the radius found, Python's SAM has the attack's weight; none is found where Python finds none."""
    rng, options = np.random.default_rng(2), toy.CONVENTION[convention].options
    weights, targets, missing = [], [], 0
    for m in PARAMETERS.values():
        eps = m.eta * rng.uniform(0.005, 0.6, 68)
        found = formulas(f'm.equivalentRho({MODEL}, v[3], "{convention}")', vectors(m, eps))
        some = np.array([v is not None for v in found])
        missing += (~some).sum()
        if some.any():
            weights.append(toy.sam_optimum(m, np.array(found, dtype=float)[some], **options))
            targets.append(m.log_odds / (2 * (m.eta - eps[some])))
        for i in (0, 1):  # the smallest one, or none, like Python's
            expected = toy.equivalent_rho(m, float(eps[i]), **options)
            if convention == "l2-worst" and expected is not None and expected > 0.65 * np.sqrt(m.d):
                expected = None  # the figure does not look there
            assert (expected is None) == (found[i] is None)
            assert expected is None or found[i] == pytest.approx(expected, rel=1e-4)
    gap = np.abs(np.concatenate(weights) / np.concatenate(targets) - 1)
    assert gap.max() < 2e-5 and len(gap) + missing >= 200
    assert (missing > 0) == (convention in ("per-sample", "l2-worst"))


def test_equivalent_attacks(formulas: Any) -> None:
    """The attack that gives a weight is AT read backwards."""
    rng = np.random.default_rng(3)
    shares = rng.uniform(0, 0.99, (18, 12))
    cases = [(m, float(m.eta * v)) for m, row in zip(models(3), shares, strict=True) for v in row]
    given = [(m.p, m.eta, m.d, toy.adversarial_optimum(m, e).w1) for m, e in cases]
    found = formulas(f"m.equivalentEps({MODEL}, v[3])", given)
    np.testing.assert_allclose(found, [e for _, e in cases], atol=1e-12)
    assert len(found) >= 200
    edge = formulas(
        "m.equivalentRho({p: 0.9, eta: 0.2, d: 10}, v[0], v[1])",
        [(0.2, "robust-worst"), (0.0, "gaussian"), (0.1, "one-step")],
    )
    assert edge == [None, 0, None]


def test_one_step_stays_at_the_standard_optimum(formulas: Any) -> None:
    rhos = np.linspace(0, 50, 12)
    given = [vector for m in models(4) for vector in vectors(m, rhos)]
    found = formulas(f'm.samWeight({MODEL}, v[3], "one-step")', given)
    expected = [toy.standard_optimum(m) for m in models(4) for _ in rhos]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert len(found) >= 200


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("data", PARAMETERS)
def test_the_sentence_names_the_equivalent_radius(show: Any, convention: str, data: str) -> None:
    model, options = PARAMETERS[data], toy.CONVENTION[convention].options
    said = show(convention=convention, data=data, rho=0.1, share=0.1).locator(".se-live").text_content()
    rho = toy.equivalent_rho(model, 0.1 * model.eta, **options)
    if rho is None or (convention == "l2-worst" and rho > 0.65 * np.sqrt(model.d)):
        assert said.startswith("No ρ")
    else:
        assert float(re.match(r"ρ = ([\d.]+) gives", said).group(1)) == pytest.approx(rho, rel=6e-4)
    weight = float(re.search(r"gives w₁ = ([\d.]+)", said).group(1))
    assert weight == pytest.approx(toy.sam_optimum(model, 0.1, **options), rel=6e-4)


def test_on_the_curve_both_optima_agree(show: Any) -> None:
    model = PARAMETERS["strong"]
    rho = toy.equivalent_rho(model, 0.5 * model.eta, kind="gaussian")
    said = show(convention="robust-gaussian", rho=rho, share=0.5).locator(".se-say").text_content()
    shares = re.findall(r"([\d.]+)\u202f%", said)
    assert shares[0] == shares[2] and shares[1] == shares[3]


def test_every_menu_entry_draws(show: Any) -> None:
    tab = show()
    seen = set()
    for label in ("SAM moves", "p, η, d"):
        menu = tab.get_by_label(label)
        for i in range(menu.locator("option").count()):
            menu.select_option(index=i)
            settle(tab, 60)
            seen.add(tab.locator(".sam-edu").evaluate(DATA))
    assert len(seen) == len(CONVENTIONS) + len(PARAMETERS) - 1


@pytest.mark.timing
@pytest.mark.parametrize("convention", ["gaussian", "l2-worst"])
def test_the_slow_conventions_still_draw_in_time(show: Any, convention: str) -> None:
    tab = show(convention=convention, data="few")
    for i in range(2):
        drawn, painted = slider_times(tab.locator("input[type=range]").nth(i))
        assert drawn < DRAW and painted < PAINT


def test_bad_values() -> None:
    for bad, message in (
        ({"rho": -1}, "rho must be a number from 0 to 200, got -1"),
        ({"share": 1.5}, "share must be a number from 0 to 1, got 1.5"),
        ({"convention": "sam"}, "convention must be one of 'robust-worst'"),
        ({"data": "mnist"}, "data must be one of 'strong', 'few', 'weak', got 'mnist'"),
    ):
        with pytest.raises(widgets.WidgetValueError, match=re.escape(message)):
            widgets.RhoEpsPlane(**bad)
