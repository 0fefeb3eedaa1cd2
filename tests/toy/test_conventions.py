"""SAM with the 0-1 risk, convention by convention: printed tables, brute force, simulation, limits."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad, quad
from scipy.optimize import brentq, minimize
from scipy.special import ndtr

from sam_edu import toy
from sam_edu.toy import averages, numerics, per_sample, worst

KEYS = [(0.95, 0.1, 100), (0.90, 0.2, 10), (0.75, 0.05, 400)]
SETS = [toy.NRFModel(*key) for key in KEYS]
STRONG, MIDDLE, WEAK = SETS
CROWD = toy.NRFModel(0.9, 0.05, 2000)  # the worst l2 perturbation leaves the plane already at moderate radii
models = st.builds(toy.NRFModel, p=st.floats(0.52, 0.98), eta=st.floats(0.03, 1.0), d=st.integers(1, 60))


def accuracy(m, w1, u):
    """Accuracy of sgn(w1 x_1 + u.x), written down anew; u has shape (..., d)."""
    mean, size = m.eta * u.sum(-1), np.linalg.norm(u, axis=-1)
    return m.p * ndtr((mean + w1) / size) + (1 - m.p) * ndtr((mean - w1) / size)


def best(m, rho, key):
    return toy.sam_optimum(m, rho, **toy.CONVENTION[key].options)


def value(m, w1, rho, key):
    return toy.perturbed_accuracy(m, w1, rho, **toy.CONVENTION[key].options)


# --- printed tables -------------------------------------------------------------------------------------


INTERVAL = [  # r = 0.5, 1, 2, 5, 10
    (STRONG, (14.7345, 14.7713, 14.9184, 15.9422, 19.3890)),
    (MIDDLE, (5.5388, 5.6755, 6.2083, 8.9599, 13.9590)),
    (WEAK, (10.9884, 10.9953, 11.0228, 11.2166, 11.9277)),
]


@pytest.mark.parametrize("m, row", INTERVAL)
def test_worst_case_of_the_robust_weight(m, row):
    assert best(m, [0.5, 1, 2, 5, 10], "robust-worst") == pytest.approx(row, abs=5.1e-5)
    assert np.array_equal(best(m, [0.5, 5], "robust-uniform"), best(m, [0.5, 5], "robust-worst"))


@pytest.mark.parametrize(
    "m, row",
    [(STRONG, (14.732, 14.903, 15.973)), (MIDDLE, (5.513, 5.738, 6.495)), (WEAK, (10.924, 10.432, 9.489))],
)
def test_worst_case_in_an_l2_ball(m, row):
    radii = np.array([0.1, 0.3, 0.5]) * math.sqrt(m.d)
    assert best(m, radii, "l2-worst") == pytest.approx(row, abs=5.1e-4)


@pytest.mark.parametrize("m, printed, measured, linf", [
    (STRONG, 0.0558, 0.0561, -0.24397), (MIDDLE, 0.3391, 0.3397, 0.22328),
    (WEAK, -0.5661, -0.5661, -0.015262),
])  # fmt: skip
def test_coefficients_of_the_balls(m, printed, measured, linf):
    two = toy.sam_expansion(m, "all", "l2")
    assert two.coefficient * m.d == pytest.approx(printed, abs=5.1e-5) and two.order == 2
    rho = 0.02 * math.sqrt(m.d)
    slope = (best(m, rho, "l2-worst") / two.w1 - 1) / 0.02**2
    assert slope == pytest.approx(measured, abs=2.1e-4)
    assert toy.sam_expansion(m, "all", "linf").coefficient == pytest.approx(linf, abs=5.1e-6)


@pytest.mark.parametrize(
    "m, measured, digits", [(STRONG, -0.24380, 3e-4), (MIDDLE, 0.22399, 1e-3), (WEAK, -0.00342, 1e-4)]
)
def test_measured_coefficient_of_the_l_infinity_ball(m, measured, digits):
    star = toy.standard_optimum(m)
    assert (best(m, 0.02, "linf-worst") / star - 1) / 0.02**2 == pytest.approx(measured, abs=digits)


def test_l_infinity_in_the_mixed_regime_goes_by_the_rounding_of_the_split():
    """Far below 1/d the coefficient has either sign, and it is the one of the expansion."""
    signs = []
    for d in range(40, 60):
        m = toy.NRFModel(0.75, 0.15, d)
        star, k = toy.standard_optimum(m), toy.sam_expansion(m, "all", "linf").coefficient
        assert star * (1 + star) < d
        signs.append(k > 0)
        if d % 5 == 0 and abs(k) > 0.02:
            assert (best(m, 1e-5, "linf-worst") / star - 1) / 1e-10 == pytest.approx(k, rel=0.05)
    assert any(signs) and not all(signs)


@pytest.mark.parametrize(
    "m, exact, leading", [(STRONG, 16.053, 16.074), (MIDDLE, 6.055, 6.057), (WEAK, 11.971, 11.980)]
)
def test_gaussian_average_of_all_weights(m, exact, leading):
    """Printed beside it: the leading order with the norm of x taken for constant."""
    assert best(m, 0.3, "gaussian") == pytest.approx(exact, abs=5.1e-4)
    constant = toy.standard_optimum(m) * (1 + 0.09 * (1 + m.eta**2 + 1 / m.d))
    assert constant == pytest.approx(leading, abs=5.1e-4)


@pytest.mark.parametrize(
    "m, exact, leading", [(STRONG, 16.359, 16.358), (MIDDLE, 6.650, 6.525), (WEAK, 12.203, 12.207)]
)
def test_per_sample(m, exact, leading):
    assert best(m, 0.1, "per-sample") == pytest.approx(exact, abs=5.1e-4)
    assert toy.adversarial_optimum(m, 0.1 / math.sqrt(m.d)).w1 == pytest.approx(leading, abs=5.1e-4)


def test_solutions_of_the_reference_table():
    """All weights, l2, rho = 0.3 sqrt(d): w1, natural accuracy, robust accuracy at eps = eta/2."""
    rows = [(14.903, 0.95954, 0.93594), (5.738, 0.90538, 0.89180), (10.432, 0.87291, 0.75773)]
    for m, (w1, natural, robust) in zip(SETS, rows, strict=True):
        a = best(m, 0.3 * math.sqrt(m.d), "l2-worst")
        assert a == pytest.approx(w1, abs=5.1e-4)
        assert float(m.natural_accuracy(a)) == pytest.approx(natural, abs=5.1e-6)
        assert float(m.robust_accuracy(a, m.eta / 2)) == pytest.approx(robust, abs=5.1e-6)


def test_critical_ratio_of_the_l2_ball_falls_with_the_radius():
    """For c = 1: the t* at which the optimum does not move; sqrt(2) as rho -> 0."""
    d = 100
    for share, critical in ((0.1, 1.407), (0.3, 1.349), (0.5, 1.225)):
        for t, above in ((critical - 0.002, False), (critical + 0.002, True)):
            p = 1 / (1 + math.exp(-2 * t))
            m = toy.NRFModel(p, 0.1, d)
            assert (best(m, share * 10, "l2-worst") > toy.standard_optimum(m)) == above


@pytest.mark.parametrize("m", SETS)
@pytest.mark.parametrize("convention", toy.CONVENTIONS, ids=lambda c: c.key)
def test_each_expansion_is_the_slope_at_zero(m, convention):
    if convention.key == "linf-worst" and m is WEAK:
        return  # a continuum statement: tested above
    expansion = toy.sam_expansion(m, **convention.options)
    # in an l2 ball and per interval lengths count in units of sqrt(d)
    rho = 0.003 * (
        math.sqrt(m.d) if convention.kind in ("worst", "uniform") and convention.norm == "l2" else 1
    )
    measured = (toy.sam_optimum(m, rho, **convention.options) / expansion.w1 - 1) / rho**expansion.order
    if expansion.coefficient == 0:
        assert measured == 0
    else:
        assert measured == pytest.approx(expansion.coefficient, rel=2e-2)


# --- the worst perturbation, by brute force -------------------------------------------------------------


@settings(max_examples=25)
@given(models, st.floats(-5, 40), st.floats(0.01, 0.95), st.integers(0, 10**6))
def test_no_perturbation_in_the_ball_is_worse(m, w1, share, seed):
    rng = np.random.default_rng(seed)
    e = rng.normal(size=(4000, m.d + 1))
    e[::2, 1:] = e[::2, 1:].mean(1, keepdims=True)  # half of them in the plane
    two = share * math.sqrt(m.d) * e / np.linalg.norm(e, axis=1, keepdims=True)
    box = share * np.sign(e)
    for key, rho, moves in (("l2-worst", share * math.sqrt(m.d), two), ("linf-worst", share, box)):
        found = float(value(m, w1, rho, key)[0])
        assert accuracy(m, w1 + moves[:, 0], 1 + moves[:, 1:]).min() >= found - 1e-12


@pytest.mark.parametrize(
    "key", [(0.95, 0.1, 100), (0.9, 0.05, 2000), (0.51, 0.3, 50), (0.8, 1.0, 25), (0.9, 0.5, 1)]
)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_l2_worst_case_by_a_scan_of_the_rim(key, share):
    m = toy.NRFModel(*key)
    w1, rho = 1.1 * toy.standard_optimum(m), share * math.sqrt(m.d)
    length = math.hypot(w1, math.sqrt(m.d))
    angle, top = math.asin(rho / length), math.atan2(w1, math.sqrt(m.d))
    psi = np.linspace(0, math.pi, 20001)[:: 1 if m.d > 1 else 20000]
    x = math.cos(angle) * math.sin(top) + math.sin(angle) * np.cos(psi) * math.cos(top)
    y = math.cos(angle) * math.cos(top) - math.sin(angle) * np.cos(psi) * math.sin(top)
    size = np.sqrt(1 - x**2)
    scan = m.p * ndtr((m.c * y + x) / size) + (1 - m.p) * ndtr((m.c * y - x) / size)
    assert float(value(m, w1, rho, "l2-worst")[0]) == pytest.approx(scan.min(), abs=1e-9)


def test_the_worst_l2_perturbation_can_leave_the_plane():
    """Theorem 10 is about rho -> 0. Here, at 0.3 sqrt(d), unequal non-robust weights do more harm."""
    rho = 0.3 * math.sqrt(CROWD.d)
    w1 = best(CROWD, rho, "l2-worst")
    near = 0.999 * w1  # at the optimum it ties with one of the tilts
    around = worst.l2_ball(CROWD, np.asarray(near), np.asarray(rho))
    tilts = around[:2]
    assert float(value(CROWD, near, rho, "l2-worst")[0]) < tilts.accuracy(CROWD).min() - 1e-7
    assert w1 == pytest.approx(20.8203, abs=1e-3)  # with tilts alone it would be 20.7968


def harm(e, m, w1):
    return float(accuracy(m, w1 + e[0], 1 + e[1:]))


@pytest.mark.parametrize("seed", range(4))
def test_l_infinity_worst_case_is_a_corner(seed):
    """Against a continuous search over the whole box, in few dimensions."""
    rng = np.random.default_rng(seed)
    m = toy.NRFModel(rng.uniform(0.55, 0.95), rng.uniform(0.1, 0.9), 3)
    w1, rho = rng.uniform(0, 2) * toy.standard_optimum(m), rng.uniform(0.1, 0.9)
    found = float(value(m, w1, rho, "linf-worst")[0])
    corners = np.array(list(itertools.product([-rho, rho], repeat=4)))
    assert accuracy(m, w1 + corners[:, 0], 1 + corners[:, 1:]).min() == pytest.approx(found, abs=1e-14)
    for start in rng.uniform(-rho, rho, (12, 4)):
        search = minimize(harm, start, args=(m, w1), bounds=[(-rho, rho)] * 4)
        assert search.fun >= found - 1e-10


# --- averages and survivors, by simulation and quadrature -----------------------------------------------


@pytest.mark.parametrize("key", [(0.95, 0.1, 100), (0.9, 0.2, 10), (0.8, 1.0, 2), (0.9, 0.5, 1)])
def test_gaussian_average_by_simulation(key):
    m, rng = toy.NRFModel(*key), np.random.default_rng(3)
    w1, n = 1.2 * toy.standard_optimum(m), 40_000
    for rho in (0.3, 2.0):
        noise = rho * rng.normal(size=(n, m.d + 1))
        sample = accuracy(m, w1 + noise[:, 0], 1 + noise[:, 1:])
        exact = float(value(m, w1, rho, "gaussian")[0])
        assert abs(sample.mean() - exact) < 4 * sample.std() / math.sqrt(n)


def test_gaussian_average_by_quadrature():
    m, w1, rho = toy.NRFModel(0.8, 0.7, 2), 0.9, 1.5

    def inside(b, a):
        u = np.array([1 + rho * a, 1 + rho * b])
        mean, size = m.eta * u.sum(), math.sqrt(u @ u + rho**2)
        hit = m.p * ndtr((mean + w1) / size) + (1 - m.p) * ndtr((mean - w1) / size)
        return hit * math.exp(-(a * a + b * b) / 2) / (2 * math.pi)

    exact = dblquad(inside, -9, 9, -9, 9, epsabs=1e-9)[0]
    assert float(value(m, w1, rho, "gaussian")[0]) == pytest.approx(exact, abs=1e-7)


@pytest.mark.parametrize("rho", [1e-3, 0.5, 3.0, 12.0, 200.0])
def test_uniform_average_by_quadrature(rho):
    for w1 in (-3.0, 14.7, 40.0):
        top = [14.0] if abs(14.0 - w1) < rho else None
        total = quad(STRONG.natural_accuracy, w1 - rho, w1 + rho, points=top, epsabs=1e-12, limit=200)[0]
        mean = total / (2 * rho)
        assert float(value(STRONG, w1, rho, "robust-uniform")[0]) == pytest.approx(mean, abs=1e-11)


@pytest.mark.parametrize("m", [MIDDLE, toy.NRFModel(0.8, 0.5, 1), toy.NRFModel(0.7, 0.4, 3)])
def test_survivors_by_simulation(m):
    n = 100_000
    x, y = m.sample(n, seed=8)
    for w1, rho in ((0.0, 0.2), (2.0, 0.4), (-1.0, 0.3), (8.0, 0.9)):
        margin = y * (w1 * x[:, 0] + x[:, 1:].sum(1))
        for perturbed, norm in (("all", np.linalg.norm(x, axis=1)), ("robust", np.abs(x[:, 0]))):
            share = (margin > rho * norm).mean()
            exact = float(toy.perturbed_accuracy(m, w1, rho, perturbed, kind="per-sample")[0])
            assert abs(share - exact) < 4 * math.sqrt(exact * (1 - exact) / n) + 1e-12


def test_per_sample_jumps_to_the_robust_feature():
    """As under an attack on all features: far out the share of survivors rises to p again."""
    m = MIDDLE
    low, high = 0.1, 0.4
    assert best(m, low, "per-sample") < math.inf == best(m, high, "per-sample")
    for _ in range(40):
        mid = (low + high) / 2
        low, high = (mid, high) if best(m, mid, "per-sample") < math.inf else (low, mid)
    top = best(m, low, "per-sample")
    assert top < 20 and float(value(m, top, low, "per-sample")[0]) == pytest.approx(m.p, abs=1e-9)
    assert per_sample._lead(m, 60.0, low) < 0  # below p on the way


# --- the optimum is one ---------------------------------------------------------------------------------

SOLVED = [c for c in toy.CONVENTIONS if c.kind not in ("one-step", "free-scale")]


@pytest.mark.parametrize("convention", SOLVED, ids=lambda c: c.key)
@settings(max_examples=12)
@given(m=models, share=st.floats(0.02, 0.9))
def test_optimum_maximises_what_it_says(convention, m, share):
    rho = share * (1 if convention.norm == "linf" or convention.perturbed == "robust" else math.sqrt(m.d))
    rho *= 0.2 if convention.kind == "per-sample" else 1
    try:
        found = toy.sam_optimum(m, rho, **convention.options)
    except ValueError as error:  # test_whole_range knows where; not below t* = 10
        assert convention.key == "gaussian" and "noise too unlikely" in str(error)
        assert toy.standard_optimum(m) > 10 * math.sqrt(m.d)
        return
    tries = toy.standard_optimum(m) * np.linspace(0, 6, 301)
    values = toy.perturbed_accuracy(m, tries, rho, **convention.options)[0]
    if math.isinf(found):
        assert values.max() <= m.p + 1e-12
        return
    top = float(toy.perturbed_accuracy(m, found, rho, **convention.options)[0])
    assert values.max() <= top + 1e-12 and top >= m.p - 1e-12


@pytest.mark.parametrize("convention", [c for c in SOLVED if c.kind == "worst"], ids=lambda c: c.key)
def test_two_perturbations_tie_at_the_optimum(convention):
    for m in SETS:
        rho = 0.3 * (1 if convention.norm == "linf" else math.sqrt(m.d))
        a = toy.sam_optimum(m, rho, **convention.options)
        top, points = toy.perturbed_accuracy(m, a, rho, **convention.options)
        assert np.isfinite(points).all()
        if not (
            convention.key == "linf-worst" and m is WEAK
        ):  # there unequal weights do the harm, not the ratio
            assert points[0, 0] / points[0, 1] < a < points[1, 0] / points[1, 1]
        for shift, side in ((0.9, 0), (1.1, 1)):
            off, points = toy.perturbed_accuracy(m, shift * a, rho, **convention.options)
            assert off < top and np.isfinite(points[side]).all() and np.isnan(points[1 - side]).all()


def test_points_are_perturbed_classifiers_of_the_stated_accuracy():
    for m in SETS:
        a = np.array([0.0, 5.0, 30.0])
        for key, rho in (("robust-worst", 2.0), ("l2-worst", 0.3 * math.sqrt(m.d)), ("one-step", 1.0)):
            found, points = value(m, a, rho, key)
            assert found.shape == (3,) and points.shape == (3, 2, 2)
            for i in range(3):
                w1, v = points[i][np.isfinite(points[i]).all(1)][0]
                assert accuracy(m, w1, np.full(m.d, v)) == pytest.approx(found[i], abs=1e-12)
                assert math.hypot(w1 - a[i], math.sqrt(m.d) * (v - 1)) <= rho * (1 + 1e-12)
        assert np.isnan(value(m, a, 0.1, "per-sample")[1]).all()


def test_one_step_and_free_scale_stay_at_the_standard_optimum():
    for m in SETS:
        assert (best(m, [0.1, 2.0], "one-step") == toy.standard_optimum(m)).all()
        assert best(m, 3.0, "free-scale") == toy.standard_optimum(m)
        # the supremum over the scale: the ball matters less and less
        gaps = []
        for scale in (
            1,
            10,
            100,
        ):  # weights (scale*w1, scale, ...): a ball of radius rho/scale around (w1, 1, ...)
            gaps.append(float(m.natural_accuracy(9.0) - value(m, 9.0, 2.0 / scale, "l2-worst")[0]))
        assert gaps[0] > gaps[1] > gaps[2] > 0 and gaps[2] < 0.05 * gaps[0]


def test_one_step_descends_to_the_standard_optimum():
    """Steps along the gradient at the perturbed weight, only w1 moving: not to the optimum of Theorem 7."""
    m, rho, a = MIDDLE, 2.0, 7.5
    star, exact = toy.standard_optimum(m), best(MIDDLE, 2.0, "robust-worst")
    for step in np.linspace(60.0, 0.1, 4000):
        ascended = a - rho * np.sign(m.accuracy_slope(a))
        a += step * float(m.accuracy_slope(ascended))
    assert abs(a - star) < 0.01 < exact - star


def test_large_balls_leave_only_the_robust_feature():
    for m in SETS:
        assert math.isinf(best(m, math.sqrt(m.d), "l2-worst")) and math.isinf(best(m, 1.0, "linf-worst"))
        assert np.isfinite(best(m, 0.999 * math.sqrt(m.d), "l2-worst")) and np.isfinite(
            best(m, 0.999, "linf-worst")
        )
        assert math.isinf(toy.sam_optimum(m, m.eta * m.d, kind="per-sample"))


def test_average_always_rises_and_the_worst_case_falls_where_the_weak_features_rule():
    """Phi(c) >= p and c < 4.57 imply t* < sqrt(2), so that a small l2 ball lowers w1."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        c = rng.uniform(0.3, 3.0)
        d = int(rng.integers(5, 200))
        p = rng.uniform(0.51, max(0.52, ndtr(c)))
        m = toy.NRFModel(min(p, 0.999), c / math.sqrt(d), d)
        star = toy.standard_optimum(m)
        if ndtr(m.c) >= m.p:
            assert toy.sam_expansion(m, "all", "l2").coefficient < 0
            assert best(m, 0.02 * math.sqrt(d), "l2-worst") < star
        assert best(m, 0.3, "gaussian") > star and best(m, 0.01, "per-sample") > star


# --- adversary's variants, trade-off ----------------------------------------------------------------------


@given(models, st.floats(-20, 20), st.floats(0, 0.99))
def test_reading_the_sign_of_the_robust_feature_undoes_the_attack_on_it(m, w1, eps):
    same = m.robust_accuracy(w1, eps, attacked="all", rounded=True)
    assert same == m.robust_accuracy(w1, eps) and same >= m.robust_accuracy(w1, eps, attacked="all")
    assert toy.adversarial_optimum(m, eps, "all", rounded=True) == toy.adversarial_optimum(m, eps)


@settings(max_examples=30)
@given(models, st.floats(0.01, 0.99))
def test_pareto_interval(m, share):
    eps = share * m.eta
    low, high = toy.pareto_interval(m, eps)
    inside = np.linspace(low, high, 9)
    assert (np.diff(m.natural_accuracy(inside)) <= 1e-15).all()
    assert (np.diff(m.robust_accuracy(inside, eps)) >= -1e-15).all()
    for outside in (np.linspace(0, low, 9), np.linspace(high, high + 5, 9)[::-1]):
        assert (np.diff(m.natural_accuracy(outside)) >= -1e-15).all()
        assert (np.diff(m.robust_accuracy(outside, eps)) >= -1e-15).all()
    assert toy.pareto_interval(m, m.eta)[1] == math.inf


@pytest.mark.parametrize(
    "m, density, cost, gain",
    [
        (STRONG, 0.017843, 3.8e-6, 6.0e-4),
        (MIDDLE, 0.021675, 4.1e-6, 5.0e-4),
        (WEAK, 0.090104, 2.7e-6, 4.0e-4),
    ],
)
def test_small_shift_is_first_order_gain_second_order_cost(m, density, cost, gain):
    assert m.tie_density == pytest.approx(density, abs=5.1e-7)
    star = toy.standard_optimum(m)
    eps, h = m.eta / 2, 0.01 * star
    price = float(m.natural_accuracy(star) - m.natural_accuracy(star + h))
    prize = float(m.robust_accuracy(star + h, eps) - m.robust_accuracy(star, eps))
    assert price == pytest.approx(cost, abs=5.1e-8) and prize == pytest.approx(gain, abs=6e-6)
    rates = toy.small_shift(m, eps)
    assert rates.cost * h**2 == pytest.approx(price, rel=0.03) and rates.gain * h == pytest.approx(
        prize, rel=0.03
    )


def test_kept_features():
    assert toy.kept_features(WEAK, 0.04) == (True, True) and toy.kept_features(WEAK, 0.05) == (True, False)
    assert toy.kept_features(WEAK, 0.5) == (False, False)
    assert toy.kept_features(toy.NRFModel(0.55, 0.5, 10), 0.2) == (False, True)


# --- shapes, speed, bad input -----------------------------------------------------------------------------


@pytest.mark.parametrize("convention", toy.CONVENTIONS, ids=lambda c: c.key)
def test_arrays_and_scalars_agree(convention):
    m = MIDDLE
    radii = np.array([[0.0, 0.1, 0.2], [0.3, 0.4, 0.5]])
    table = toy.sam_optimum(m, radii, **convention.options)
    one = toy.sam_optimum(m, 0.3, **convention.options)
    assert isinstance(one, float) and table.shape == (2, 3) and table[1, 0] == pytest.approx(one, rel=1e-12)
    assert table[0, 0] == toy.standard_optimum(m)
    grid, points = toy.perturbed_accuracy(m, np.ones((4, 1)), radii[0], **convention.options)
    assert grid.shape == (4, 3) and points.shape == (4, 3, 2, 2)
    assert grid[0, 0] == pytest.approx(float(m.natural_accuracy(1.0)), abs=1e-12)
    assert toy.CONVENTION[convention.key] is convention


@pytest.mark.timing
def test_a_grid_of_the_closed_forms_is_fast():
    w1, rho, eps = np.linspace(0, 30, 200)[:, None], np.linspace(0, 9, 200), np.linspace(0, 0.2, 200)
    start = time.process_time()
    for key in ("robust-worst", "robust-gaussian"):
        assert value(STRONG, w1, rho, key)[0].shape == (200, 200)
    assert STRONG.robust_accuracy(w1, eps, "all").shape == (200, 200)
    best(STRONG, rho, "robust-worst")
    assert time.process_time() - start < 1.0


def test_sign_change_finds_jumps_and_zeros():
    low, high = np.zeros(3), np.full(3, 10.0)
    at = np.array([1.0, math.pi, 9.99])
    assert numerics.sign_change(lambda x: at[:, None] - x, low, high) == pytest.approx(at, rel=1e-14)
    jump = numerics.sign_change(lambda x: np.where(x < at[:, None], 1e-300, -1.0), low, high)
    assert jump == pytest.approx(at, rel=1e-14)


@pytest.mark.parametrize("df", [1, 2, 9, 99, 5000])
def test_chi_rule_integrates(df):
    k, weights = numerics.chi_rule(df)
    assert weights.sum() == pytest.approx(1) and weights @ k**2 == pytest.approx(df)
    assert weights @ k**4 == pytest.approx(df * (df + 2))


@settings(max_examples=20)
@given(models, st.floats(0.1, 5.0), st.floats(0.5, 2.0))
def test_gaussian_slope_has_the_sign_of_the_difference(m, rho, factor):
    w1 = factor * best(m, rho, "gaussian")
    if not math.isfinite(w1) or abs(factor - 1) < 0.02:
        return
    h = 1e-4 * w1
    rise = float(value(m, w1 + h, rho, "gaussian")[0] - value(m, w1 - h, rho, "gaussian")[0])
    slope = float(averages.gaussian_slope(m, np.asarray(w1), np.asarray(rho)))
    assert abs(rise) < 1e-12 or np.sign(rise) == np.sign(slope) == np.sign(1 - factor)


@pytest.mark.parametrize(
    "call, hint",
    [
        (lambda: toy.sam_optimum(MIDDLE, 0.1, "all", kind="uniform"), 'perturbed="robust" only'),
        (lambda: toy.sam_optimum(MIDDLE, 0.1, "all", "linf", "per-sample"), 'norm="l2" only'),
        (lambda: toy.sam_optimum(MIDDLE, [0.1, math.nan]), "rho must be >= 0"),
        (lambda: toy.sam_expansion(MIDDLE, "none"), "perturbed must be one of"),
        (lambda: toy.perturbed_accuracy(MIDDLE, math.inf, 0.1), "w1 must be finite"),
        (lambda: toy.perturbed_accuracy(MIDDLE, 1.0, -0.1), "rho must be >= 0"),
        (lambda: toy.perturbed_accuracy(MIDDLE, 1.0, 3.2, "all"), "rho must be < sqrt(d) = 3.16228"),
        (lambda: toy.perturbed_accuracy(MIDDLE, 1.0, 1.0, "all", "linf"), "rho must be < 1"),
        (lambda: toy.pareto_interval(MIDDLE, -1), "eps must be >= 0"),
        (lambda: toy.small_shift(MIDDLE, math.nan), "eps"),
        (lambda: toy.kept_features(MIDDLE, 1.0), "eps must be >= 0 and < 1"),
        (lambda: MIDDLE.robust_accuracy(1.0, 1.0, "all", rounded=True), "eps must be < 1"),
    ],
)
def test_bad_input(call, hint):
    with pytest.raises(ValueError) as error:
        call()
    assert hint in str(error.value) and "\n" not in str(error.value)


def test_large_radius_limit_of_the_interval():
    """a_r - r tends to the point of the left branch where the accuracy is p (Theorem 7)."""
    for m in (STRONG, MIDDLE):
        left = brentq(lambda a, m=m: float(m.natural_accuracy(a)) - m.p, -30, toy.standard_optimum(m))
        assert best(m, 300.0, "robust-worst") - 300 == pytest.approx(left, abs=1e-4)
