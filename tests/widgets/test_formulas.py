"""The formulas of the live figures (math.js) against Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from sam_edu import toy, widgets
from sam_edu.toy import landscape
from tests.browser import formulas_tab

N = 240  # golden vectors per formula


@pytest.fixture(scope="module")
def formulas(browser: Any, tmp_path_factory: Any) -> Iterator[Callable[[str, list], list]]:
    """``formulas("m.Phi(x)", [[x], ...])`` evaluates an expression of math.js for many arguments."""
    tab = formulas_tab(browser, "math.js")

    def evaluate(body: str, arguments: list[tuple]) -> list:
        return tab.evaluate(
            f"(all) => all.map((v) => {{ const m = window.math; return {body}; }})",
            [list(map(float, a)) for a in arguments],
        )

    yield evaluate
    tab.close()


def models(n: int, seed: int) -> list[toy.NRFModel]:
    """Random models, the corners of the sliders first."""
    rng = np.random.default_rng(seed)
    corners = [(p, eta, d) for p in (0.55, 0.995) for eta in (0.01, 0.3) for d in (1, 1000)]
    drawn = zip(
        rng.uniform(0.51, 0.999, n),
        10 ** rng.uniform(-2, 0, n),
        np.round(10 ** rng.uniform(0, 3, n)),
        strict=True,
    )
    return [toy.NRFModel(float(p), float(e), int(d)) for p, e, d in [*corners, *drawn]][:n]


def close(found: list, expected: Any, tolerance: float = 1e-9) -> None:
    found, expected = np.array(found, float), np.array(expected, float)
    assert len(found) >= 200
    infinite = np.isinf(expected)
    np.testing.assert_array_equal(np.isinf(found), infinite)
    found, expected = found[~infinite], expected[~infinite]
    error = np.abs(found - expected) / np.maximum(1, np.abs(expected))
    assert error.max(initial=0) < tolerance


MODEL = "{p: v[0], eta: v[1], d: v[2]}"


def test_normal_distribution(formulas: Any) -> None:
    from scipy.special import erfc, ndtr

    x = np.concatenate([np.linspace(-40, 40, 801), np.linspace(-3, 3, 601), [0, 2.2, -2.2]])
    found = np.array(formulas("m.Phi(v[0])", [(v,) for v in x]))
    assert np.abs(found - ndtr(x)).max() < 1e-15
    tail = np.linspace(0, 26, 521)
    found = np.array(formulas("m.erfc(v[0])", [(v,) for v in tail]))
    assert (np.abs(found - erfc(tail)) / erfc(tail)).max() < 1e-12  # relative, deep in the tail


def test_accuracies(formulas: Any) -> None:
    rng = np.random.default_rng(1)
    cases = []
    for i, m in enumerate(models(N, 1)):
        w1 = [0.0, math.inf, -3.0, 1e6][i % 4] if i < 40 else rng.normal() * 3 * np.sqrt(m.d)
        eps = [0.0, m.eta, 2 * m.eta, 0.99][i % 4] if i < 40 else rng.uniform(0, 0.9)
        cases.append((m, w1, min(eps, 0.99)))
    vectors = [(m.p, m.eta, m.d, w1, eps) for m, w1, eps in cases]
    natural = formulas(f"m.naturalAccuracy({MODEL}, v[3])", vectors)
    close(natural, [m.natural_accuracy(w1) for m, w1, _ in cases])
    for attacked in ("nonrobust", "all"):
        found = formulas(f'm.robustAccuracy({MODEL}, v[3], v[4], "{attacked}")', vectors)
        close(found, [m.robust_accuracy(w1, eps, attacked) for m, w1, eps in cases])


@pytest.mark.parametrize("attacked", ["nonrobust", "all"])
def test_optima(formulas: Any, attacked: str) -> None:
    rng = np.random.default_rng(2)
    cases = [(m, min(m.eta * rng.uniform(0, 1.3), 0.99)) for m in models(N, 2)]
    vectors = [(m.p, m.eta, m.d, eps) for m, eps in cases]
    close(formulas(f"m.standardOptimum({MODEL})", vectors), [toy.standard_optimum(m) for m, _ in cases])
    best = [toy.adversarial_optimum(m, eps, attacked) for m, eps in cases]
    call = f'm.adversarialOptimum({MODEL}, v[3], "{attacked}")'
    close(formulas(call + ".w1", vectors), [b.w1 for b in best])
    close(formulas(call + ".robust", vectors), [b.robust_accuracy for b in best])
    close(formulas(call + ".natural", vectors), [b.natural_accuracy for b in best])
    assert formulas(call + ".regime", vectors) == [b.regime for b in best]
    assert {b.regime for b in best} == {"interior", "robust-only"}


def test_jump(formulas: Any) -> None:
    """The radius of the jump lies where Python's optimum changes its regime (Theorem 3)."""
    some = [m for m in models(N, 3) if m.eta < 0.9]
    found = formulas(f'm.jumpRadius({MODEL}, "all")', [(m.p, m.eta, m.d) for m in some])
    assert len(some) >= 200
    for m, radius in zip(some, found, strict=True):
        before = toy.adversarial_optimum(m, radius * (1 - 1e-7), "all")
        after = toy.adversarial_optimum(m, min(radius * (1 + 1e-7), 0.999), "all")
        assert (before.regime, after.regime) == ("interior", "robust-only")
    table = {(0.95, 0.1, 100): 0.047792, (0.90, 0.2, 10): 0.052129, (0.75, 0.05, 400): 0.036323}
    found = formulas(f'm.jumpRadius({MODEL}, "all")', list(table))
    np.testing.assert_allclose(found, list(table.values()), atol=5e-7)


def test_sam_optimum(formulas: Any) -> None:
    rng = np.random.default_rng(4)
    cases = [
        (m, [0, 0.01, 25.0][i % 3] if i < 30 else float(10 ** rng.uniform(-1, 1.4)))
        for i, m in enumerate(models(N, 4))
    ]
    found = formulas(f"m.samOptimum({MODEL}, v[3])", [(m.p, m.eta, m.d, r) for m, r in cases])
    close(found, [toy.sam_optimum(m, rho) for m, rho in cases], tolerance=1e-6)


def test_landscape(formulas: Any) -> None:
    rng = np.random.default_rng(5)
    w = np.vstack([rng.uniform(-2, 2, (N - 2, 2)), [landscape.SHARP_MINIMUM, (1, 0)]])
    close(formulas("m.valleyLoss(v[0], v[1])", list(w)), landscape.loss(w))
    close(formulas("m.valleyCurvature(v[0])", list(w)), landscape.curvature(w[:, 0]))
    for axis in (0, 1):
        found = formulas(f"m.valleyGradient(v[0], v[1])[{axis}]", list(w))
        close(found, landscape.gradient(w)[:, axis])
    radii = np.where(np.arange(N) % 4 == 0, 0, rng.uniform(0, 1, N))
    vectors = np.column_stack([w, radii])
    for axis in (0, 1):
        found = formulas(f"m.valleyStep([v[0], v[1]], v[2], 0.08)[{axis}]", list(vectors))
        expected = [landscape.step(v[:2], v[2], 0.08)[axis] for v in vectors]
        close(found, expected)


def test_landscape_gradient_matches_autograd() -> None:
    torch = pytest.importorskip("torch")
    w = torch.linspace(-1.5, 1.5, 40, dtype=torch.float64).reshape(20, 2).requires_grad_()
    (by_autograd,) = torch.autograd.grad(landscape.loss(w).sum(), w)
    torch.testing.assert_close(landscape.gradient(w), by_autograd)
    with pytest.raises(ValueError, match=r"shape \(\.\.\., 2\), got \(3,\)"):
        landscape.loss(np.zeros(3))


def test_landscape_tells_the_story() -> None:
    """Both minima have loss 0; SGD stays in the narrow one, SAM leaves it from some rho on."""
    assert landscape.loss(np.array([landscape.SHARP_MINIMUM, landscape.FLAT_MINIMUM])).max() == 0
    end = {rho: widgets.SAMStepExplorer().trail(rho)[-1, 0] for rho in (0.0, 0.1, 0.3, 0.5)}
    assert end[0.0] < -0.9 and end[0.1] < -0.9
    assert end[0.3] > 0.5 and end[0.5] > 0.9
