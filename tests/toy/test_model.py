"""The toy model: closed forms against simulation, quadrature and printed tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import bisect, minimize_scalar
from scipy.stats import norm

from sam_edu import toy
from sam_edu.toy import landscape

SETS = {"strong": (0.95, 0.1, 100), "middle": (0.90, 0.2, 10), "weak": (0.75, 0.05, 400)}
KEYS = list(SETS.values())

models = st.builds(
    toy.NRFModel,
    p=st.floats(0.51, 0.99),
    eta=st.floats(0.02, 1.5),
    d=st.integers(1, 400),
)


def one_line(error, *hints):
    message = str(error.value)
    assert "\n" not in message
    for hint in hints:
        assert hint in message, message


# --- printed tables -------------------------------------------------------------------------------------

CONSTANTS = {  # L, a*, t*, c, A(a*), Phi(c)
    KEYS[0]: (2.944439, 14.722195, 1.472219, 1.000000, 0.959541, 0.841345),
    KEYS[1]: (2.197225, 5.493061, 1.737059, 0.632456, 0.905451, 0.736455),
    KEYS[2]: (1.098612, 10.986123, 0.549306, 1.000000, 0.872983, 0.841345),
}
ROBUST = {  # rows a = 0, a*, 2a*: natural; non-robust attacked at eta/2, eta, 2 eta; all at eta/2, 2 eta
    KEYS[0]: [
        (0.841345, 0.691462, 0.500000, 0.158655, 0.691462, 0.158655),
        (0.959541, 0.935196, 0.886567, 0.647870, 0.930023, 0.542164),
        (0.951258, 0.950091, 0.948544, 0.925377, 0.949775, 0.866760),
    ],
    KEYS[1]: [
        (0.736455, 0.624085, 0.500000, 0.263545, 0.624085, 0.263545),
        (0.905451, 0.889748, 0.867049, 0.779691, 0.878466, 0.593224),
        (0.900206, 0.900012, 0.899795, 0.897982, 0.899764, 0.834076),
    ],
    KEYS[2]: [
        (0.841345, 0.691462, 0.500000, 0.158655, 0.691462, 0.158655),
        (0.872983, 0.759820, 0.604301, 0.259742, 0.756067, 0.243503),
        (0.851737, 0.777464, 0.682016, 0.408939, 0.772852, 0.375036),
    ],
}
SIX_DIGITS = 5.0000001e-7


@pytest.mark.parametrize("key", KEYS)
def test_constants(key):
    m = toy.NRFModel(*key)
    best = toy.standard_optimum(m)
    got = (m.log_odds, best, best / math.sqrt(m.d), m.c, m.natural_accuracy(best), m.natural_accuracy(0.0))
    assert got == pytest.approx(CONSTANTS[key], abs=SIX_DIGITS)


@pytest.mark.parametrize("row", range(3))
@pytest.mark.parametrize("key", KEYS)
def test_table_of_robust_accuracies(key, row):
    m = toy.NRFModel(*key)
    a = row * toy.standard_optimum(m)
    got = [m.natural_accuracy(a)]
    got += [m.robust_accuracy(a, factor * m.eta) for factor in (0.5, 1, 2)]
    got += [m.robust_accuracy(a, factor * m.eta, attacked="all") for factor in (0.5, 2)]
    assert [float(g) for g in got] == pytest.approx(ROBUST[key][row], abs=SIX_DIGITS)


SOLUTIONS = [  # key, method, w1, natural, robust (non-robust features attacked by eta/2)
    (KEYS[0], "standard", 14.722, 0.95954, 0.93520),
    (KEYS[1], "standard", 5.493, 0.90545, 0.88975),
    (KEYS[2], "standard", 10.986, 0.87298, 0.75982),
    (KEYS[0], 2, 14.918, 0.95953, 0.93600),
    (KEYS[1], 2, 6.208, 0.90492, 0.89479),
    (KEYS[2], 2, 11.023, 0.87298, 0.75995),
    (KEYS[0], 5, 15.942, 0.95931, 0.93963),
    (KEYS[1], 5, 8.960, 0.90115, 0.89986),
    (KEYS[2], 5, 11.217, 0.87297, 0.76065),
    (KEYS[0], "adversarial", 29.444, 0.95126, 0.95009),
    (KEYS[1], "adversarial", 10.986, 0.90021, 0.90001),
    (KEYS[2], "adversarial", 21.972, 0.85174, 0.77746),
]


@pytest.mark.parametrize("key, method, w1, natural, robust", SOLUTIONS)
def test_table_of_solutions(key, method, w1, natural, robust):
    m = toy.NRFModel(*key)
    if method == "standard":
        a = toy.standard_optimum(m)
    elif method == "adversarial":
        a = toy.adversarial_optimum(m, m.eta / 2).w1
    else:
        a = toy.sam_optimum(m, method)
    assert a == pytest.approx(w1, abs=5.1e-4)
    assert float(m.natural_accuracy(a)) == pytest.approx(natural, abs=5.1e-6)
    assert float(m.robust_accuracy(a, m.eta / 2)) == pytest.approx(robust, abs=5.1e-6)


ALL_ATTACKED = [  # key, eps/eta, value of the formula for the other attack, exact optimum (None: robust only)
    (KEYS[0], 0.05, 15.4970, 15.5720),
    (KEYS[0], 0.20, 18.4027, 19.0610),
    (KEYS[0], 0.30, 21.0317, 22.8384),
    (KEYS[0], 0.50, 29.4444, None),
    (KEYS[1], 0.05, 5.7822, 5.9136),
    (KEYS[1], 0.20, 6.8663, 8.3659),
    (KEYS[1], 0.30, 7.8472, None),
    (KEYS[2], 0.05, 11.5643, 11.5292),
    (KEYS[2], 0.30, 15.6945, 15.5241),
    (KEYS[2], 0.50, 21.9722, 22.2047),
]


@pytest.mark.parametrize("key, share, other, exact", ALL_ATTACKED)
def test_table_with_all_features_attacked(key, share, other, exact):
    m = toy.NRFModel(*key)
    assert toy.adversarial_optimum(m, share * m.eta).w1 == pytest.approx(other, abs=5.1e-5)
    found = toy.adversarial_optimum(m, share * m.eta, attacked="all")
    if exact is None:
        assert found == toy.AdversarialOptimum(math.inf, "robust-only", m.p, m.p)
    else:
        assert found.regime == "interior" and found.w1 == pytest.approx(exact, abs=5.1e-5)


@pytest.mark.parametrize(
    "key, jump, vanishes",
    [(KEYS[0], 0.047792, 0.047809), (KEYS[1], 0.052129, 0.052195), (KEYS[2], 0.036323, 0.036346)],
)
def test_threshold_of_the_jump(key, jump, vanishes):
    m = toy.NRFModel(*key)

    def interior(eps):
        return 1.0 if toy.adversarial_optimum(m, eps, attacked="all").regime == "interior" else -1.0

    def discriminant(eps):
        return (m.eta - eps) ** 2 - 2 * eps * (m.log_odds - 2 * math.atanh(eps)) / m.d

    assert bisect(interior, 0, m.eta, xtol=1e-9) == pytest.approx(jump, abs=6e-7)
    assert bisect(discriminant, 0, m.eta, xtol=1e-9) == pytest.approx(vanishes, abs=6e-7)


@pytest.mark.parametrize(
    "key, row",
    [
        (KEYS[0], (14.7345, 14.7713, 14.9184, 15.9422, 19.3890)),
        (KEYS[1], (5.5388, 5.6755, 6.2083, 8.9599, 13.9590)),
        (KEYS[2], (10.9884, 10.9953, 11.0228, 11.2166, 11.9277)),
    ],
)
def test_table_of_sam(key, row):
    m = toy.NRFModel(*key)
    assert [toy.sam_optimum(m, r) for r in (0.5, 1, 2, 5, 10)] == pytest.approx(row, abs=5.1e-5)


# --- simulation and quadrature --------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("key", KEYS)
def test_accuracies_against_simulation(key, share):
    """Attack every sampled point by hand; agree within four standard errors."""
    m = toy.NRFModel(*key)
    n = 200_000 if m.d <= 10 else 20_000
    x, y = m.sample(n, seed=11)
    eps = share * m.eta
    for a in (-3.0, 0.0, toy.standard_optimum(m), 2 * toy.standard_optimum(m)):
        w = np.concatenate([[a], np.ones(m.d)])
        weak = np.concatenate([[0.0], np.ones(m.d)])
        for attacked, mask in (("nonrobust", weak), ("all", np.ones(m.d + 1))):
            moved = x - eps * y[:, None] * np.sign(w) * mask
            hits = (y * (moved @ w) > 0).mean()
            exact = float(m.robust_accuracy(a, eps, attacked))
            error = math.sqrt(exact * (1 - exact) / n)
            assert abs(hits - exact) < 4 * error + 1e-12, (a, attacked, hits, exact)


@given(models, st.floats(-30, 30), st.floats(0, 0.9), st.sampled_from(["nonrobust", "all"]))
def test_accuracies_against_quadrature(m, a, eps, attacked):
    """The margin given s = y x_1 is normal: integrate its density above zero."""

    def mass(s):
        mean = m.d * (m.eta - eps) + a * s - (eps * abs(a) if attacked == "all" else 0.0)
        low = max(-mean / math.sqrt(m.d), -12.0)
        return 0.0 if low > 12 else quad(norm.pdf, low, 12.0, epsabs=1e-12, limit=200)[0]

    expected = m.p * mass(1) + (1 - m.p) * mass(-1)
    assert float(m.robust_accuracy(a, eps, attacked)) == pytest.approx(expected, abs=1e-9)


def test_sample_has_the_stated_distribution():
    m = toy.NRFModel(0.8, 0.3, 4)
    x, y = m.sample(200_000, seed=5)
    assert x.shape == (200_000, 5) and y.shape == (200_000,) and set(np.unique(y)) == {-1.0, 1.0}
    four = 4 / math.sqrt(len(y))
    assert abs(y.mean()) < four and abs((x[:, 0] == y).mean() - 0.8) < four
    centred = y[:, None] * x[:, 1:] - 0.3
    assert np.abs(centred.mean(0)).max() < four
    assert np.abs(np.cov(centred.T) - np.eye(4)).max() < 4 * math.sqrt(2) / math.sqrt(len(y))
    assert np.abs((x[:, 0] * y) @ centred / len(y)).max() < four  # independent of the robust feature


def test_sample_is_seeded_and_leaves_numpy_alone():
    m = toy.NRFModel(0.8, 0.3, 4)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = m.sample(10, seed=3), m.sample(10, seed=3)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(m.sample(10, seed=4)[0], first[0])
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# --- shape, limits, invariants --------------------------------------------------------------------------


def test_broadcasting():
    m = toy.NRFModel(*KEYS[0])
    w1, eps = np.linspace(-5, 30, 7)[:, None], np.linspace(0, 0.2, 3)
    table = m.robust_accuracy(w1, eps, attacked="all")
    assert table.shape == (7, 3) and m.natural_accuracy(w1).shape == (7, 1)
    assert np.ndim(m.natural_accuracy(1.0)) == 0
    for i in range(7):
        for j in range(3):
            assert table[i, j] == m.robust_accuracy(w1[i, 0], eps[j], attacked="all")
    assert m.accuracy_slope(w1, eps).shape == (7, 3)


@given(models, st.floats(0, 0.99), st.sampled_from(["nonrobust", "all"]))
def test_limits_at_infinity(m, eps, attacked):
    both = m.robust_accuracy([math.inf, -math.inf], eps, attacked)
    assert np.allclose(both, [m.p, 1 - m.p], atol=1e-15)
    far = 1e8 * (1 + m.d)
    assert np.allclose(m.robust_accuracy([far, -far], eps, attacked), both, atol=1e-12)


@given(models, st.floats(-50, 50))
def test_attack_of_radius_zero_is_no_attack(m, a):
    for attacked in toy.model.ATTACKED:
        assert m.robust_accuracy(a, 0.0, attacked) == m.natural_accuracy(a)
    assert toy.adversarial_optimum(m, 0.0).w1 == toy.standard_optimum(m)
    assert toy.adversarial_optimum(m, 0.0, attacked="all").w1 == pytest.approx(toy.standard_optimum(m))
    assert toy.sam_optimum(m, 0.0) == toy.standard_optimum(m)


@given(models, st.floats(-50, 50), st.floats(0, 0.9), st.floats(0, 0.9))
def test_robust_accuracy_falls_with_the_radius(m, a, one, two):
    small, large = sorted([one, two])
    natural = m.natural_accuracy(a)
    for attacked in toy.model.ATTACKED:
        weak, strong = m.robust_accuracy(a, small, attacked), m.robust_accuracy(a, large, attacked)
        assert strong <= weak + 1e-15 and weak <= natural + 1e-15
    more = m.robust_accuracy(a, large, "all")
    assert more <= m.robust_accuracy(a, large, "nonrobust") + 1e-15  # whoever moves more does more harm


@given(models, st.floats(0, 1.6), st.sampled_from(["nonrobust", "all"]))
def test_adversarial_optimum_is_consistent(m, share, attacked):
    eps = min(share * m.eta, 0.99) if attacked == "all" else share * m.eta
    found = toy.adversarial_optimum(m, eps, attacked)
    assert (found.regime == "robust-only") == math.isinf(found.w1)
    assert found.w1 >= 0  # never the negative number that the formula gives beyond eta
    assert found.robust_accuracy == pytest.approx(
        float(m.robust_accuracy(found.w1, eps, attacked)), abs=1e-15
    )
    assert found.natural_accuracy == pytest.approx(float(m.natural_accuracy(found.w1)), abs=1e-15)
    tries = np.concatenate([np.linspace(-5, 5, 101), np.geomspace(5, 1e4, 400)])
    assert m.robust_accuracy(tries, eps, attacked).max() <= found.robust_accuracy + 1e-12


def test_no_information_left_at_eps_equal_eta():
    m = toy.NRFModel(*KEYS[0])
    assert toy.adversarial_optimum(m, m.eta).regime == "robust-only"
    assert toy.adversarial_optimum(m, np.nextafter(m.eta, 0)).regime == "interior"
    assert toy.adversarial_optimum(m, 5 * m.eta).robust_accuracy == m.p


def test_slope_far_out_is_zero_not_nan():
    m = toy.NRFModel(*KEYS[0])
    slopes = m.accuracy_slope([-1e6, -1e3, 1e3, 1e6], shift=-2.0)
    assert np.isfinite(slopes).all()


@pytest.mark.parametrize("kind", ["worst", "uniform", "gaussian"])
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("rho", [0.01, 1.0, 7.0])
def test_sam_optimum_maximises_what_it_says(key, kind, rho):
    m = toy.NRFModel(*key)
    found = toy.sam_optimum(m, rho, kind=kind)

    def objective(a):
        if kind == "worst":
            return -float(min(m.natural_accuracy(a + rho), m.natural_accuracy(a - rho)))
        if kind == "uniform":
            nodes, weights = np.polynomial.legendre.leggauss(60)
            return -float(weights @ m.natural_accuracy(a + rho * nodes)) / 2
        nodes, weights = np.polynomial.hermite_e.hermegauss(80)
        return -float(weights @ m.natural_accuracy(a + rho * nodes)) / math.sqrt(2 * math.pi)

    best = toy.standard_optimum(m)
    # The flat tail far out would mislead the search: end not far beyond where the optimum can be.
    last = 2 * best * (1 + rho**2 / m.d) if kind == "gaussian" else best + 2 * rho
    brute = minimize_scalar(objective, method="bounded", options={"xatol": 1e-10}, bounds=(0.5 * best, last))
    assert objective(found) <= brute.fun + 1e-13
    # a flat top: the place is known to the root of the precision of the value
    assert found == pytest.approx(brute.x, abs=2e-2 if kind != "worst" else 1e-3, rel=1e-3)


def test_sam_optimum_at_a_huge_radius_stays_finite():
    m = toy.NRFModel(*KEYS[0])
    for rho in (30.0, 100.0, 300.0):
        a = toy.sam_optimum(m, rho)
        assert toy.standard_optimum(m) < a < toy.standard_optimum(m) + rho
        left = brute_left_branch(m)
        assert a - rho == pytest.approx(left, abs=1e-3 if rho > 50 else 2.0)


def brute_left_branch(m):
    return bisect(lambda a: float(m.natural_accuracy(a)) - m.p, -50, toy.standard_optimum(m), xtol=1e-10)


# --- bad input ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, hint",
    [
        ((0.5, 0.1, 10), "p must be > 0.5"),
        ((1.0, 0.1, 10), "< 1"),
        ((math.nan, 0.1, 10), "p must be"),
        ((0.9, 0.0, 10), "eta must be > 0"),
        ((0.9, -0.1, 10), "eta"),
        ((0.9, math.inf, 10), "eta"),
        ((0.9, 0.1, 0), "d must be >= 1"),
        ((0.9, 0.1, 2.5), "whole number"),
        (("high", 0.1, 10), "p must be a number"),
    ],
)
def test_bad_model(arguments, hint):
    with pytest.raises((ValueError, TypeError)) as error:
        toy.NRFModel(*arguments)
    one_line(error, hint)


M = toy.NRFModel(0.9, 0.2, 10)


@pytest.mark.parametrize(
    "call, hint",
    [
        (lambda: M.robust_accuracy(1.0, -0.1), "eps must be >= 0"),
        (lambda: M.robust_accuracy(1.0, [0.1, math.nan]), "not NaN"),
        (lambda: M.robust_accuracy(1.0, 1.0, attacked="all"), "eps must be < 1"),
        (lambda: M.robust_accuracy(1.0, 0.1, attacked="everything"), "'nonrobust', 'all'"),
        (lambda: M.natural_accuracy(math.nan), "w1 must not be NaN; use inf"),
        (lambda: M.sample(0), "n must be >= 1"),
        (lambda: M.sample(2.5), "whole number"),
        (lambda: toy.adversarial_optimum(M, -1), "eps must be >= 0"),
        (lambda: toy.adversarial_optimum(M, math.nan), "eps"),
        (lambda: toy.adversarial_optimum(M, 1.0, "all"), "eps must be >= 0 and < 1"),
        (lambda: toy.adversarial_optimum(M, 0.1, "some"), "'nonrobust', 'all'"),
        (lambda: toy.sam_optimum(M, -0.1), "rho must be >= 0"),
        (lambda: toy.sam_optimum(M, math.inf), "rho"),
        (lambda: toy.sam_optimum(M, 0.1, perturbed="every"), "perturbed must be one of"),
        (lambda: toy.sam_optimum(M, 0.1, norm="l7"), "'l2', 'linf'"),
        (lambda: toy.sam_optimum(M, 0.1, kind="best"), "kind must be one of"),
        (lambda: landscape.loss([1.0, 2.0, 3.0]), "shape (..., 2)"),
    ],
)
def test_bad_input(call, hint):
    with pytest.raises((ValueError, TypeError)) as error:
        call()
    one_line(error, hint)


def test_large_eps_is_allowed_where_only_weak_features_are_attacked():
    assert float(M.robust_accuracy(0.0, 1.5)) == pytest.approx(
        norm.cdf(math.sqrt(10) * (0.2 - 1.5)), rel=1e-9
    )


# --- the two-valley landscape of chapter 2 --------------------------------------------------------------


def test_landscape_gradient_is_autograds():
    import torch

    w = torch.randn(
        50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True
    )
    auto = torch.autograd.grad(landscape.loss(w).sum(), w)[0]
    assert torch.allclose(landscape.gradient(w.detach()), auto, rtol=1e-12, atol=1e-14)
    assert np.allclose(landscape.gradient(w.detach().numpy()), auto.numpy(), rtol=1e-12, atol=1e-14)


def test_landscape_minima_have_loss_zero_and_the_stated_curvature():
    for point, curvature in ((landscape.SHARP_MINIMUM, 11.5), (landscape.FLAT_MINIMUM, 1.5)):
        assert landscape.loss(point) == 0 and not landscape.gradient(point).any()
        assert landscape.curvature(point[0]) == pytest.approx(curvature, abs=0.03)
        assert np.array_equal(landscape.step(point, 0.3, 0.1), point)  # zero gradient: nowhere to climb


def test_landscape_step_at_rho_zero_is_gradient_descent():
    w = np.random.default_rng(0).normal(size=(20, 2))
    assert np.array_equal(landscape.step(w, 0.0, 0.1), w - 0.1 * landscape.gradient(w))
