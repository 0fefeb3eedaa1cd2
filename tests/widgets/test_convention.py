"""The explorer of conventions: its formulas against sam_edu.toy, its sentence, its speed."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi

from sam_edu import toy, widgets
from sam_edu.toy.worst import BALLS, right_end_better, worst_side
from sam_edu.widgets.convention import PER_WEIGHT
from tests.browser import DATA, DRAW, formulas_tab, settle, slider_times
from tests.toy.precise import draw
from tests.widgets.page import page as page_of

N = 208  # golden vectors per convention
KEYS = tuple(c.key for c in toy.CONVENTIONS)
MODEL = "{p: v[0], eta: v[1], d: v[2]}"


@pytest.fixture(scope="module")
def formulas(browser: Any) -> Iterator[Callable[[str, list], list]]:
    tab = formulas_tab(browser, "convention_math.js")

    def evaluate(body: str, vectors: list) -> list:
        return tab.evaluate(
            f"(all) => all.map((v) => {{ const m = window.math; return {body}; }})",
            [list(map(float, v)) for v in vectors],
        )

    yield evaluate
    tab.close()


def vectors(seed: int) -> list[tuple[toy.NRFModel, float]]:
    """The sliders' ends first, then random models and radii."""
    rng = np.random.default_rng(seed)
    drawn = [(p, 0.1, d, h) for p in (0.55, 0.99) for d in (10, 1000) for h in (0, 0.005, 0.3, 0.5)]
    while len(drawn) < N:
        d = int(10 ** rng.uniform(1, 3))  # eta such that accuracies differ from 1 in double precision
        eta = float(rng.uniform(0.25, 4) / np.sqrt(d))
        drawn.append((float(rng.uniform(0.55, 0.99)), eta, d, float(10 ** rng.uniform(-2.3, -0.31))))
    return [(toy.NRFModel(p, eta, d), h) for p, eta, d, h in drawn]


def rho_of(m: toy.NRFModel, key: str, radius: float) -> float:
    return radius * (1.0 if key in PER_WEIGHT else float(np.sqrt(m.d)))


WORST = ("robust-worst", "l2-worst", "linf-worst")


@pytest.mark.parametrize("key", [key for key in KEYS if key not in WORST])
def test_optima(formulas: Any, key: str) -> None:
    cases, options = vectors(KEYS.index(key)), toy.CONVENTION[key].options
    expected = np.array([toy.sam_optimum(m, rho_of(m, key, h), **options) for m, h in cases])
    found = formulas(f'm.samWeight({MODEL}, "{key}", v[3])', [(m.p, m.eta, m.d, h) for m, h in cases])
    found = np.array([np.inf if v is None else v for v in found])
    np.testing.assert_array_equal(np.isinf(found), np.isinf(expected))
    finite = np.isfinite(expected)
    assert len(found) >= 200 and finite.sum() >= 60
    np.testing.assert_allclose(found[finite], expected[finite], rtol=1e-6)


@functools.cache
def whole_range() -> list[tuple[str, toy.NRFModel, float]]:
    """500 log-spaced models: as extreme as the library's own tests, and over all that the figure accepts."""
    rng, cases = np.random.default_rng(12), []
    for i in range(500):
        m, radius = draw(rng, 1000)
        if i % 2:
            eta, d = 10 ** rng.uniform(np.log10(0.02), np.log10(0.5)), int(10 ** rng.uniform(1, 3))
            m, radius = toy.NRFModel(rng.uniform(0.55, 0.99), eta, d), 0.5 * 10 ** rng.uniform(-2.3, 0)
        cases.append((WORST[i % 3], m, radius))
    return cases


def slopes_beside(m: toy.NRFModel, key: str, rho: float, best: float) -> Any:
    """Python's signs at 1e-6 of the change (and rounding) on either side: much cheaper than its optimum."""
    star = toy.standard_optimum(m)
    w1 = best + (1e-6 * abs(best - star) + 4e-14 * star) * np.array([-1, 1])
    if key == "robust-worst":
        return right_end_better(m, w1, np.array(rho))
    options = toy.CONVENTION[key].options
    return worst_side(m, BALLS[options["perturbed"], options["norm"]](m, w1, np.array(rho)))


@pytest.mark.parametrize("key", WORST)
def test_worst_cases_over_the_whole_range(formulas: Any, key: str) -> None:
    ends = [case for case in vectors(KEYS.index(key))[:16] if case[1] > 0]
    cases = ends + [(m, h) for k, m, h in whole_range() if k == key]
    found = formulas(f'm.samWeight({MODEL}, "{key}", v[3])', [(m.p, m.eta, m.d, h) for m, h in cases])
    for (m, h), best in zip(cases, found, strict=True):
        below, above = slopes_beside(m, key, rho_of(m, key, h), best)
        assert below > 0 > above, (m, h, best)
    (still,) = formulas(f'm.samWeight({MODEL}, "{key}", v[3])', [(0.9, 0.1, 100, 0)])
    assert still == toy.standard_optimum(toy.NRFModel(0.9, 0.1, 100))


@pytest.mark.parametrize("key", KEYS)
def test_what_sam_maximises(formulas: Any, key: str) -> None:
    cases, rng = vectors(20 + KEYS.index(key)), np.random.default_rng(1)
    at = [toy.standard_optimum(m) * rng.uniform(0.3, 2) for m, _ in cases]
    call = f'm.objective({MODEL}, "{key}", v[3])(v[4])'
    found = formulas(call, [(m.p, m.eta, m.d, h, a) for (m, h), a in zip(cases, at, strict=True)])
    if key == "one-step":  # Python perturbs all weights by it; the figure moves w1 alone
        expected = [
            m.natural_accuracy(a + np.sign(a - toy.standard_optimum(m)) * rho_of(m, key, h))
            for (m, h), a in zip(cases, at, strict=True)
        ]
    else:
        options = toy.CONVENTION[key].options
        expected = [
            toy.perturbed_accuracy(m, a, rho_of(m, key, h), **options)[0]
            for (m, h), a in zip(cases, at, strict=True)
        ]
    assert len(found) >= 200
    np.testing.assert_allclose(np.array(found, float), expected, atol=1e-6)


@pytest.mark.parametrize("key", WORST)
def test_worst_points(formulas: Any, key: str) -> None:
    """At the optimum two perturbed classifiers tie; both are those of Python."""
    cases = [case for case in vectors(KEYS.index(key)) if case[1] > 0]
    best = formulas(f'm.samWeight({MODEL}, "{key}", v[3])', [(m.p, m.eta, m.d, h) for m, h in cases])
    sides = formulas(
        f'm.worst({MODEL}, "{key}", v[3], v[4]).sides.map((w) => w ? [m.worst({MODEL}, "{key}", v[3], v[4]).'
        "accuracy - v[0] - w.lead, w.x / w.v] : null)",
        [(m.p, m.eta, m.d, h, a) for (m, h), a in zip(cases, best, strict=True)],
    )
    both = 0
    for (m, h), a, found in zip(cases, best, sides, strict=True):
        points = toy.perturbed_accuracy(m, a, rho_of(m, key, h), **toy.CONVENTION[key].options)[1]
        if np.isfinite(points).all() and abs(m.natural_accuracy(a) - m.p) > 1e-5 and h < 0.3:
            both += 1
            assert abs(found[0][0]) < 1e-8 and abs(found[1][0]) < 1e-8
            ratios = [side[1] for side in found]
            np.testing.assert_allclose(ratios, points[:, 0] / points[:, 1], rtol=1e-4)
    assert both >= 60


@pytest.mark.parametrize("key", KEYS)
def test_leading_orders(formulas: Any, key: str) -> None:
    """toy.sam_expansion, in units of sqrt(d); two of them sharper, with the fluctuation of ||x||."""
    cases = vectors(60 + KEYS.index(key))
    found = formulas(f'm.leading({MODEL}, "{key}").coefficient', [(m.p, m.eta, m.d) for m, _ in cases])
    for (m, _), k in zip(cases, found, strict=True):
        expansion, t2 = toy.sam_expansion(m, **toy.CONVENTION[key].options), m.log_odds**2 / (4 * m.c**2)
        expected = expansion.coefficient * rho_of(m, key, 1.0) ** expansion.order
        if key == "gaussian":
            expected = 1 + (t2 - 2) / m.d
        if key == "per-sample":
            square = 1 + t2 + chi.ppf((np.arange(4000) + 0.5) / 4000, m.d - 1) ** 2
            expected = float(np.mean((square - 1) / np.sqrt(square)) / m.c)
        assert k == pytest.approx(expected, rel=2e-4, abs=1e-12)


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    tabs = []

    def make(**state: Any) -> Any:
        file = tmp_path / f"{len(tabs)}.html"
        file.write_text(page_of(widgets.ConventionExplorer(**state)), encoding="utf-8")
        tabs.append(browser.new_page(viewport={"width": 760, "height": 900}))
        tabs[-1].goto(file.as_uri())
        tabs[-1].wait_for_function("window.ready")
        settle(tabs[-1])
        return tabs[-1]

    yield make
    for tab in tabs:
        tab.close()


def said(tab: Any) -> str:
    return tab.locator(".se-live").text_content().replace("\u202f", " ").replace("\u2212", "-")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("state", [(0.95, 0.1, 100), (0.75, 0.05, 400)])
def test_the_sentence_is_right(show: Any, key: str, state: tuple) -> None:
    p, eta, d = state
    tab = show(convention=key, radius=0.1, p=p, eta=eta, d=d)
    m = toy.NRFModel(p, eta, d)
    best = toy.sam_optimum(m, rho_of(m, key, 0.1), **toy.CONVENTION[key].options)
    star = toy.standard_optimum(m)
    text = said(tab)
    assert f"t* = {star / np.sqrt(d):.2f}" in text
    if best == np.inf:
        assert "robust feature alone" in text
    elif best == star:
        assert "no change" in text
    else:
        verb = "raises" if best > star else "lowers"
        percent = float(re.search(rf"{verb} w₁ by ([\d.]+) %", text)[1])
        assert percent == pytest.approx(abs(100 * (best / star - 1)), rel=0.01, abs=6e-4)


def test_at_radius_0_no_convention_does_anything(show: Any) -> None:
    tab = show(radius=0)
    for i, _ in enumerate(KEYS):
        tab.locator("select").select_option(index=i)
        settle(tab)
        assert "SAM is standard training" in said(tab)


def test_a_still_picture_where_the_library_has_no_answer() -> None:
    """Next to worthless weak features and much noise: what is known is drawn."""
    figure = widgets.ConventionExplorer(convention="gaussian", p=0.95, eta=0.02, d=10, radius=0.5)
    with pytest.raises(ValueError, match="noise too unlikely"):
        toy.sam_optimum(toy.NRFModel(0.95, 0.02, 10), 0.5, "all", kind="gaussian")
    assert figure.still().startswith(b"\x89PNG")


def test_python_reads_the_radius_as_the_page_does(formulas: Any) -> None:
    for key in KEYS:
        figure = widgets.ConventionExplorer(convention=key, radius=0.2, d=400)
        (in_page,) = formulas(f'm.rhoOf({MODEL}, "{key}", v[3])', [(0.9, 0.1, 400, 0.2)])
        assert figure.rho == pytest.approx(in_page)


@pytest.mark.timing
@pytest.mark.parametrize("key", KEYS)
def test_every_convention_draws_fast(show: Any, key: str) -> None:
    tab = show(convention=key)
    seen = set()
    for i in range(tab.locator("input[type=range]").count()):
        draw, _ = slider_times(tab.locator("input[type=range]").nth(i))
        print(f"{key} slider {i}: {draw:.2f} ms")
        assert draw < DRAW
        seen.add(tab.locator(".sam-edu").evaluate(DATA))
    assert len(seen) > 1
