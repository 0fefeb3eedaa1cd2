"""One witness per statement of chapter 7: each tries to break it by a route that the proof does not take.

Nothing here uses the library's closed forms to check themselves: accuracies come from quadrature over
the normal density, from enumeration or from sampling, optima from search. Where a statement needs an
assumption, a second test drops it and watches the statement fail.
"""

from __future__ import annotations

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad, quad
from scipy.optimize import brentq, minimize, minimize_scalar
from scipy.stats import norm

from sam_edu import toy
from tests.toy import precise

SETS = [(0.95, 0.1, 100), (0.90, 0.2, 10), (0.75, 0.05, 400)]
models = st.builds(toy.NRFModel, p=st.floats(0.52, 0.98), eta=st.floats(0.05, 1.0), d=st.integers(1, 60))


def upper(mean, sd):
    """P(N(mean, sd^2) > 0) by quadrature."""
    if sd == 0:
        return float(mean > 0) + 0.5 * (mean == 0)
    z = mean / sd
    if abs(z) > 9:
        return float(z > 0)
    mass = quad(lambda t: math.exp(-t * t / 2), 0, abs(z), epsabs=1e-14)[0] / math.sqrt(2 * math.pi)
    return 0.5 + math.copysign(mass, z)


def linear_accuracy(m, w1, u, eps=0.0, eps1=0.0):
    """Accuracy of sgn(w1 x_1 + u.x) when the attacker moves x_j by eps and x_1 by eps1, by quadrature."""
    mean = m.eta * u.sum() - eps * np.abs(u).sum() - eps1 * abs(w1)
    sd = float(np.linalg.norm(u))
    return m.p * upper(mean + w1, sd) + (1 - m.p) * upper(mean - w1, sd)


def symmetric(m, a, eps=0.0, eps1=0.0):
    return linear_accuracy(m, a, np.ones(m.d), eps, eps1)


def best_symmetric(m, eps=0.0, eps1=0.0, high=None):
    """Search for the best a in [0, high]."""
    high = high or 6 * m.log_odds / (2 * max(m.eta - eps, 1e-9)) + 1
    grid = np.linspace(0, high, 241)
    at = int(np.argmax([symmetric(m, a, eps, eps1) for a in grid]))
    low, top = grid[max(at - 1, 0)], grid[min(at + 1, 240)]
    return minimize_scalar(
        lambda a: -symmetric(m, a, eps, eps1), bounds=(low, top), method="bounded", options={"xatol": 1e-7}
    ).x


def random_linear(m, rng):
    """Weights of every kind: near the optimum, far off, sparse, of mixed sign."""
    kind = rng.integers(4)
    u = {0: 1 + 0.3 * rng.normal(size=m.d), 1: rng.normal(size=m.d), 2: rng.exponential(size=m.d),
         3: (rng.random(m.d) < 0.5).astype(float)}[int(kind)]  # fmt: skip
    scale = np.linalg.norm(u) / math.sqrt(m.d)
    return rng.normal() * 2 * scale * m.log_odds / (2 * m.eta), u


# --- Theorem 1: standard training -----------------------------------------------------------------------


@settings(max_examples=15)
@given(models)
def test_thm_standard_optimum_search_finds_the_standard_optimum(m):
    best = toy.standard_optimum(m)
    found = best_symmetric(m)
    assert symmetric(m, best) >= symmetric(m, found) - 1e-12
    sides = [symmetric(m, best * factor) for factor in (0.6, 0.8, 1.25, 1.6)]
    assert all(side <= symmetric(m, best) + 1e-13 for side in sides)


@settings(max_examples=15)
@given(models, st.integers(0, 10**6))
def test_thm_standard_optimum_no_linear_classifier_does_better(m, seed):
    rng, best = np.random.default_rng(seed), symmetric(m, toy.standard_optimum(m))
    for _ in range(30):
        assert linear_accuracy(m, *random_linear(m, rng)) <= best + 1e-12


@pytest.mark.parametrize("p, eta", [(0.9, 0.4), (0.6, 1.0), (0.75, 0.1)])
def test_thm_standard_optimum_no_classifier_of_any_kind_does_better(p, eta):
    """Bayes accuracy by integrating the larger of the two joint densities, for d = 1 and d = 2."""

    def larger(s, x):
        plus = (p if s > 0 else 1 - p) * math.exp(-sum((t - eta) ** 2 for t in x) / 2)
        minus = (p if s < 0 else 1 - p) * math.exp(-sum((t + eta) ** 2 for t in x) / 2)
        return max(plus, minus) / 2 / (2 * math.pi) ** (len(x) / 2)

    one = sum(quad(lambda x, s=s: larger(s, (x,)), -10, 10, limit=200, points=[-5, 0, 5])[0] for s in (-1, 1))
    m = toy.NRFModel(p, eta, 1)
    assert one == pytest.approx(symmetric(m, toy.standard_optimum(m)), abs=1e-7)
    two = sum(dblquad(lambda x, z, s=s: larger(s, (x, z)), -8, 8, -8, 8, epsabs=1e-5)[0] for s in (-1, 1))
    m = toy.NRFModel(p, eta, 2)
    assert two == pytest.approx(symmetric(m, toy.standard_optimum(m)), abs=1e-4)


def test_thm_standard_optimum_needs_independent_features():
    """Two copies of one weak feature count as one: the best w1 doubles."""
    m = toy.NRFModel(0.9, 0.4, 2)

    def accuracy(a):  # margin a s + 2 eta + 2 z
        return m.p * upper(2 * m.eta + a, 2) + (1 - m.p) * upper(2 * m.eta - a, 2)

    found = minimize_scalar(lambda a: -accuracy(a), bounds=(0, 20), method="bounded").x
    assert found == pytest.approx(2 * toy.standard_optimum(m), rel=1e-3)


# --- Theorem 2: the weak features are attacked ----------------------------------------------------------


@settings(max_examples=15)
@given(models, st.floats(0.05, 0.9))
def test_thm_at_nonrobust_search_finds_the_adversarial_optimum(m, share):
    eps = share * m.eta
    found, formula = best_symmetric(m, eps), toy.adversarial_optimum(m, eps)
    assert formula.regime == "interior"
    assert symmetric(m, formula.w1, eps) >= symmetric(m, found, eps) - 1e-12
    assert formula.robust_accuracy == pytest.approx(symmetric(m, formula.w1, eps), abs=1e-10)


@settings(max_examples=15)
@given(models, st.floats(0.05, 3.0), st.integers(0, 10**6))
def test_thm_at_nonrobust_no_linear_classifier_resists_better(m, share, seed):
    rng, eps = np.random.default_rng(seed), share * m.eta
    best = toy.adversarial_optimum(m, eps).robust_accuracy
    for _ in range(30):
        assert linear_accuracy(m, *random_linear(m, rng), eps) <= best + 1e-12


@pytest.mark.parametrize("share", [0.3, 0.9, 1.5])
def test_thm_at_nonrobust_the_attack_is_the_worst_of_all_corners(share):
    """Samples of a small model, every corner of the cube tried: the formula is the minimum."""
    m, rng = toy.NRFModel(0.8, 0.5, 3), np.random.default_rng(0)
    x, y = m.sample(40_000, seed=1)
    corners = share * m.eta * np.array(list(itertools.product([-1, 1], repeat=3)))
    for _ in range(6):
        w1, u = random_linear(m, rng)
        margins = y * (w1 * x[:, 0] + x[:, 1:] @ u)
        worst = margins + np.min(y[:, None] * (corners @ u), axis=1)
        exact = linear_accuracy(m, w1, u, share * m.eta)
        assert abs((worst > 0).mean() - exact) < 4 * math.sqrt(exact * (1 - exact) / 40_000) + 1e-9


def test_thm_at_nonrobust_no_classifier_at_all_resists_better():
    """Against the fixed attack delta_j = -eps y, the Bayes accuracy is what the linear rule keeps (d = 1)."""
    p, eta = 0.8, 0.6
    m = toy.NRFModel(p, eta, 1)
    for eps in (0.2, 0.5, 0.6, 1.0):
        left = eta - min(eps, eta)  # from eps = eta on the attacker stops at eta: the feature is pure noise

        def larger(x, s, left=left):
            return max(
                (p if s > 0 else 1 - p) * norm.pdf(x - left), (p if s < 0 else 1 - p) * norm.pdf(x + left)
            )

        bayes = sum(quad(larger, -10, 10, args=(s,), limit=200)[0] for s in (-1, 1)) / 2
        assert toy.adversarial_optimum(m, eps).robust_accuracy == pytest.approx(bayes, abs=1e-7)


@pytest.mark.parametrize("key", SETS)
def test_thm_at_nonrobust_needs_eps_below_eta(key):
    """Beyond eta the formula is negative and marks the worst classifier, while sgn(x_1) keeps p."""
    m = toy.NRFModel(*key)
    eps = 1.5 * m.eta
    formula = m.log_odds / (2 * (m.eta - eps))
    assert formula < 0
    around = [symmetric(m, formula + h, eps) for h in (-5, -1, 0, 1, 5)]
    assert min(around) == around[2]
    climb = [symmetric(m, a, eps) for a in np.linspace(0, 4 * math.sqrt(m.d), 9)]
    assert all(a < b for a, b in itertools.pairwise(climb)) and climb[-1] < m.p
    assert toy.adversarial_optimum(m, eps).robust_accuracy == m.p


def test_thm_at_nonrobust_needs_a_weight_that_points_the_right_way():
    """Left of 0 the accuracy may fall with a, down to the formula's weight, which is negative here."""
    for key in ((0.6, 0.5, 2), (0.9, 0.2, 10)):
        m = toy.NRFModel(*key)
        eps = 1.5 * m.eta
        formula = m.log_odds / (2 * (m.eta - eps))
        left, right = (np.linspace(*ends, 7) for ends in ((1.4 * formula, formula), (0, -formula)))
        assert all(symmetric(m, a, eps) > symmetric(m, b, eps) for a, b in itertools.pairwise(left))
        assert all(symmetric(m, a, eps) < symmetric(m, b, eps) for a, b in itertools.pairwise(right))


# --- Theorem 3: every feature is attacked ---------------------------------------------------------------


@pytest.mark.parametrize("key", SETS)
@pytest.mark.parametrize("share", [0.05, 0.2, 0.24, 0.3, 0.45, 0.5, 0.7, 0.95])
def test_thm_at_all_search_over_both_humps(key, share):
    m = toy.NRFModel(*key)
    eps = share * m.eta
    # dense where the interior optimum can be, sparse up to where only x_1 counts
    grid = np.concatenate([np.linspace(0, 6 * toy.standard_optimum(m), 600), np.geomspace(1e2, 1e5, 60)])
    values = [symmetric(m, a, eps, eps) for a in grid]
    best, found = grid[int(np.argmax(values))], toy.adversarial_optimum(m, eps, attacked="all")
    assert found.robust_accuracy >= max(values) - 1e-12
    assert found.robust_accuracy == pytest.approx(max(*values, m.p), abs=2e-6)
    if found.regime == "interior":
        assert best == pytest.approx(found.w1, abs=6 * toy.standard_optimum(m) / 600 + 0.05 * found.w1)


def test_thm_at_all_no_linear_classifier_resists_better():
    rng = np.random.default_rng(0)
    for key in SETS[1:]:
        m = toy.NRFModel(*key)
        for share in (0.2, 0.5, 1.2):
            best = toy.adversarial_optimum(m, share * m.eta, attacked="all").robust_accuracy
            for _ in range(40):
                w1, u = random_linear(m, rng)
                assert linear_accuracy(m, w1, u, share * m.eta, share * m.eta) <= best + 1e-12


@pytest.mark.parametrize("key", SETS)
def test_thm_at_all_the_optimum_jumps(key):
    """Just below the threshold the best w1 is moderate, just above it is infinite: no value in between."""
    m = toy.NRFModel(*key)
    low, high = 0.0, m.eta
    for _ in range(60):
        middle = (low + high) / 2
        interior = toy.adversarial_optimum(m, middle, attacked="all").regime == "interior"
        low, high = (middle, high) if interior else (low, middle)
    last = toy.adversarial_optimum(m, low, attacked="all")
    assert last.w1 < m.log_odds / (m.eta - low) and math.isinf(toy.adversarial_optimum(m, high, "all").w1)
    assert last.robust_accuracy == pytest.approx(m.p, abs=1e-6) and 0 < low < m.eta


def test_thm_at_all_drops_the_robust_feature_where_it_is_the_weaker_one():
    """2p-1 <= eps < eta: a = 0 is the local maximum, with accuracy Phi(sqrt(d)(eta-eps))."""
    m, eps = toy.NRFModel(0.55, 0.5, 4), 0.2
    found = toy.adversarial_optimum(m, eps, attacked="all")
    assert found.w1 == 0 and found.robust_accuracy == pytest.approx(upper(4 * 0.3, 2), abs=1e-10)
    assert all(symmetric(m, a, eps, eps) < found.robust_accuracy for a in (-1, -0.1, 0.1, 1, 1e4))


def test_thm_at_all_the_formula_of_theorem_2_is_wrong_here_unless_the_sign_of_x1_is_used():
    m = toy.NRFModel(*SETS[1])
    eps = 0.3 * m.eta
    naive = m.log_odds / (2 * (m.eta - eps))
    assert symmetric(m, naive, eps, eps) < m.p  # worse than ignoring every weak feature
    # sgn(a sgn(x_1 + delta_1) + ...) does not notice an attack on x_1 with eps < 1
    x, y = m.sample(100_000, seed=0)
    moved = x - eps * y[:, None]
    hits = (y * (naive * np.sign(moved[:, 0]) + moved[:, 1:].sum(1)) > 0).mean()
    exact = symmetric(m, naive, eps)
    assert abs(hits - exact) < 4 * math.sqrt(exact * (1 - exact) / 100_000)


# --- The error of the simple formula --------------------------------------------------------------------


@pytest.mark.parametrize("key", SETS)
def test_exp_at_error_the_slope_is_that_of_the_search(key):
    """The optimum under a small attack on everything, found by a root finder on numerical slopes."""
    m = toy.NRFModel(*key)
    predicted = m.log_odds / (2 * m.c**2) - 2 / m.log_odds

    def error(eps):
        simple = m.log_odds / (2 * (m.eta - eps))

        def slope(a):
            return symmetric(m, 1.0001 * a, eps, eps) - symmetric(m, 0.9999 * a, eps, eps)

        return brentq(slope, 0.8 * simple, 1.2 * simple, xtol=1e-10) / simple - 1

    eps = 0.02 * m.eta
    fitted = (4 * error(eps) - error(2 * eps)) / (2 * eps)  # the second order cancels
    assert fitted == pytest.approx(predicted, rel=0.05)


def test_exp_at_error_is_about_small_attacks():
    """At 0.2 eta the size is already off, at 0.3 eta the optimum is gone (set 2)."""
    m = toy.NRFModel(*SETS[1])
    slope = m.log_odds / (2 * m.c**2) - 2 / m.log_odds
    exact, eps = toy.adversarial_optimum(m, 0.2 * m.eta, attacked="all").w1, 0.2 * m.eta
    assert exact / (m.log_odds / (2 * (m.eta - eps))) - 1 > 1.5 * slope * eps > 0
    assert math.isinf(toy.adversarial_optimum(m, 0.3 * m.eta, attacked="all").w1)


# --- Theorem 4: what a small shift costs and gains ------------------------------------------------------


@settings(max_examples=15)
@given(models, st.floats(0.1, 0.8))
def test_thm_pareto_the_trade_off_is_exactly_the_interval_between_the_optima(m, share):
    eps = share * m.eta
    low, high = toy.standard_optimum(m), toy.adversarial_optimum(m, eps).w1
    inside = np.linspace(low, min(high, low + 3 * math.sqrt(m.d)), 7)
    natural = [symmetric(m, a) for a in inside]
    robust = [symmetric(m, a, eps) for a in inside]
    assert all(a >= b - 1e-13 for a, b in itertools.pairwise(natural)) and natural[0] > natural[-1] - 1e-13
    assert all(a <= b + 1e-13 for a, b in itertools.pairwise(robust))
    for outside in ([high, 1.2 * high, 1.5 * high], [low, 0.7 * low, 0.0, -low]):
        for curve in ([symmetric(m, a) for a in outside], [symmetric(m, a, eps) for a in outside]):
            assert all(a >= b - 1e-13 for a, b in itertools.pairwise(curve))


@pytest.mark.parametrize(
    "key, cost, gain", [(SETS[0], 3.8e-6, 6.0e-4), (SETS[1], 4.1e-6, 5.0e-4), (SETS[2], 2.7e-6, 4.0e-4)]
)
def test_thm_pareto_first_order_gain_second_order_cost(key, cost, gain):
    m = toy.NRFModel(*key)
    best, eps = toy.standard_optimum(m), m.eta / 2

    def both(h):
        return symmetric(m, best) - symmetric(m, best + h), symmetric(m, best + h, eps) - symmetric(
            m, best, eps
        )

    one_per_cent = both(0.01 * best)
    assert one_per_cent == pytest.approx((cost, gain), rel=0.02)
    h = 0.04 * best
    for place, power in ((0, 4), (1, 2)):  # halving the shift quarters the cost and halves the gain
        assert both(h)[place] / both(h / 2)[place] == pytest.approx(power, rel=0.05)


@pytest.mark.parametrize("key", SETS)
def test_thm_pareto_is_about_small_shifts(key):
    """Three times w1* costs far more than the quadratic rule near w1* gains, and can gain nothing."""
    m = toy.NRFModel(*key)
    best, eps = toy.standard_optimum(m), 0.05 * m.eta
    assert symmetric(m, 3 * best, eps) < symmetric(m, best, eps)
    # without an attack there is nothing to gain at all
    assert symmetric(m, 1.01 * best, 0.0) < symmetric(m, best, 0.0)


# --- Theorem 5: accuracy and robustness are at odds -----------------------------------------------------


@settings(max_examples=40)
@given(st.floats(0.51, 0.99), st.floats(0.05, 1.5), st.integers(0, 10**6))
def test_thm_tsipras_random_classifiers_obey_the_bound(p, eta, seed):
    """Arbitrary sign tables over (x_1, cell of x_2): exact errors, the attack delta_2 = -2 eta y."""
    rng = np.random.default_rng(seed)
    edges = np.concatenate([[-np.inf], np.sort(rng.normal(size=rng.integers(1, 9)) * 2), [np.inf]])
    for trial in range(10):
        table = rng.choice([-1, 1], size=(2, len(edges) - 1))  # rows: x_1 = -1, +1
        if trial == 0:  # the Bayes rule on this grid
            centre = np.clip((edges[:-1] + edges[1:]) / 2, -9, 9)
            table = np.sign(np.array([[-1], [1]]) * math.log(p / (1 - p)) + 2 * eta * centre + 1e-12).astype(
                int
            )

        def accuracy(shift, table=table):
            total = 0.0
            for y, x1 in itertools.product((-1, 1), repeat=2):
                cells = np.diff(norm.cdf(edges - y * shift))
                total += 0.5 * (p if x1 == y else 1 - p) * cells[table[(x1 + 1) // 2] == y].sum()
            return total

        error, robust = 1 - accuracy(eta), accuracy(-eta)
        assert robust <= p / (1 - p) * error + 1e-12


def test_thm_tsipras_is_attained_by_ignoring_the_weak_features():
    """sgn(x_1) has error 1-p and robust accuracy p: equality."""
    for p in (0.6, 0.9, 0.99):
        assert p / (1 - p) * (1 - p) == pytest.approx(toy.NRFModel(p, 0.3, 5).robust_accuracy(math.inf, 0.6))


def test_thm_tsipras_needs_an_attack_of_2_eta():
    m = toy.NRFModel(0.95, 0.5, 100)
    error = 1 - symmetric(m, toy.standard_optimum(m))
    bound = m.p / (1 - m.p) * error
    assert symmetric(m, toy.standard_optimum(m), m.eta) > bound  # at eps = eta the bound is broken
    assert symmetric(m, toy.standard_optimum(m), 2 * m.eta) <= bound


# --- Theorem 6: adversarial training selects features by their mean -------------------------------------

LOSSES = {
    "logistic": (lambda z: np.logaddexp(0, -z), lambda z: -1 / (1 + np.exp(z))),
    "exponential": (lambda z: np.exp(-z), lambda z: -np.exp(-z)),
}


def train_adversarially(points, weights, eps, loss):
    """Minimise E l(w.x - eps |w|_1) over w = v_+ - v_-, both >= 0, to high accuracy."""
    value, slope = LOSSES[loss]
    d = points.shape[1]

    def objective(v):
        margin = points @ (v[:d] - v[d:]) - eps * v.sum()
        outer = weights * slope(margin)
        inner = points.T @ outer
        return float(weights @ value(margin)), np.concatenate([inner, -inner]) - eps * outer.sum()

    found = minimize(
        objective,
        np.full(2 * d, 0.1),
        jac=True,
        bounds=[(0, None)] * 2 * d,
        method="L-BFGS-B",
        options={"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-11},
    )
    return found.x[:d] - found.x[d:]


@settings(max_examples=25)
@given(
    st.lists(st.floats(-0.85, 0.85), min_size=2, max_size=4),
    st.floats(0.05, 0.7),
    st.sampled_from(sorted(LOSSES)),
)
def test_thm_feature_selection_features_survive_iff_their_mean_exceeds_eps(means, eps, loss):
    """Independent signs with these means, all combinations enumerated."""
    means = np.array([mu for mu in means if abs(abs(mu) - eps) > 0.02])
    if not len(means):
        return
    points = np.array(list(itertools.product([-1.0, 1.0], repeat=len(means))))
    weights = np.prod((1 + points * means) / 2, axis=1)
    w = train_adversarially(points, weights, eps, loss)
    for mu, weight in zip(means, w, strict=True):
        if abs(mu) < eps:
            assert abs(weight) < 1e-5
        else:
            assert weight * np.sign(mu) > 1e-4


def test_thm_feature_selection_in_the_toy_model():
    """Gauss-Hermite nodes in place of the normal features: dropped from eta on, the robust one later."""
    m = toy.NRFModel(0.8, 0.3, 2)
    nodes, mass = np.polynomial.hermite_e.hermegauss(15)
    rows = [
        (s, m.eta + a, m.eta + b, (m.p if s > 0 else 1 - m.p) * wa * wb / (2 * math.pi))
        for s in (-1.0, 1.0)
        for a, wa in zip(nodes, mass, strict=True)
        for b, wb in zip(nodes, mass, strict=True)
    ]
    table = np.array(rows)
    for eps, kept in (
        (0.28, [True, True]),
        (0.32, [True, False]),
        (0.58, [True, False]),
        (0.62, [False, False]),
    ):
        w = train_adversarially(table[:, :3], table[:, 3], eps, "logistic")
        assert [abs(w[0]) > 1e-4, abs(w[1]) > 1e-4] == kept and w[1] == pytest.approx(w[2], abs=1e-4)


def test_thm_feature_selection_needs_independence():
    """A feature of mean 0 that carries the other one's noise is kept: it cancels that noise."""
    noise = np.array([-1.0, 0.0, 1.0])
    points = np.array([(0.5 + n, n) for n in noise])
    w = train_adversarially(points, np.array([0.3, 0.4, 0.3]), 0.05, "logistic")
    assert points[:, 1] @ [0.3, 0.4, 0.3] == 0 and w[1] < -0.1


def test_thm_feature_selection_needs_a_loss_that_falls_with_every_margin():
    """The squared loss, attacked, drops a weak feature of mean 0.12 already at eps = 0.115."""
    p, eps, mu = 0.95, 0.115, np.array([0.3, 0.12])

    def attacked(w):  # E(|1 - m| + eps |w|_1)^2: given s, 1 - m is normal
        total, budget = 0.0, eps * np.abs(w).sum()
        size = np.linalg.norm(w[1:])
        for s, share in ((1, p), (-1, 1 - p)):
            mean = 1 - w[0] * s - w[1:] @ mu
            fold = 2 * size * norm.pdf(mean / size) + mean * (1 - 2 * norm.cdf(-mean / size))
            total += share * (mean**2 + size**2 + 2 * budget * fold + budget**2)
        return total

    without = minimize(lambda v: attacked(np.array([*v, 0.0])), [0.9, 0.02], method="Nelder-Mead").x
    best = attacked(np.array([*without, 0.0]))
    for more in (1e-4, 1e-3, 0.01, -1e-4, -1e-3):
        again = minimize(lambda v, more=more: attacked(np.array([*v, more])), without, method="Nelder-Mead")
        assert again.fun > best
    # a loss that falls with the margin keeps it: the slope at 0 is (mean - eps) E l' < 0
    assert mu[1] > eps


def test_thm_feature_selection_needs_an_expectation_that_exists():
    """With exp(-m) and the tails of Student's t the loss of w != 0 has no end: the more of the tail is
    counted, the larger it gets, though the mean, 1, is above eps. At w = 0 it is 1."""

    def counted(w, reach, eps=0.5):
        t = -np.geomspace(1, reach, 200_001)
        density = 2 / (np.pi * np.sqrt(3)) / (1 + t**2 / 3) ** 2
        return np.trapezoid(density * np.exp(-w * (1 + t) + eps * w), -t)

    for w in (0.01, 0.1):
        few, more, most = (counted(w, reach / w) for reach in (50, 150, 450))
        assert more > 1e20 and most > 1e100 * more > 1e100 * few


def test_thm_feature_selection_keeps_a_feature_whose_mean_is_just_above_eps():
    """At |mean| = eps the slope at 0 is 0: enumerated, for a strictly convex loss."""
    points, weights = np.array([[1.0], [-1.0]]), np.array([0.75, 0.25])  # mean 1/2
    for eps, kept in ((0.5, False), (0.5 - 1e-3, True)):
        w = np.linspace(-0.01, 0.01, 2001)
        loss = sum(
            q * np.logaddexp(0, -(w * x[0] - eps * np.abs(w))) for x, q in zip(points, weights, strict=True)
        )
        assert (abs(w[loss.argmin()]) > 1e-4) == kept


@pytest.mark.parametrize("seed", range(25))
def test_thm_at_all_extreme_models_in_fifty_digits(seed):
    """Log-spaced models, c up to 60, eta beyond 1: the maximum is where the theorem has it."""
    m, _ = precise.draw(np.random.default_rng(seed))
    jump = toy.attack_thresholds(m).jump
    assert precise.judge_jump(m, jump)
    with mp.workdps(50):
        eps = mp.mpf(min(jump, m.eta, 1.0)) / 3
        a, lead = precise.best_under_attack(m, eps)
        tries = [a * (1 + s * mp.mpf(10) ** -k) for s in (-1, 1) for k in (1, 3, 8)]
        assert all(precise.robust_rise(m, x, a, eps) > 0 for x in tries if x != a) and lead > 0


@pytest.mark.parametrize("key", [(0.6, 3, 1), (0.95, 5, 100), (0.6, 1.5, 4)])
def test_thm_at_all_needs_weak_features_that_an_attack_can_beat(key):
    """eta > 1 and enough of them: the weak features alone beat sgn(x_1) at every eps < 1, no threshold."""
    m = toy.NRFModel(*key)
    assert norm.cdf(math.sqrt(m.d) * (m.eta - 1)) > m.p and toy.attack_thresholds(m).jump == math.inf
    for eps in (0.5, 0.9, 0.999):
        assert symmetric(m, 0.0, eps, eps) > m.p
        assert toy.adversarial_optimum(m, eps, "all").regime == "interior"


@pytest.mark.parametrize("seed", range(20))
def test_thm_standard_optimum_extreme_models_in_fifty_digits(seed):
    m, _ = precise.draw(np.random.default_rng(seed))
    with mp.workdps(50):
        best = precise.star(m)
        top = precise.Classifier(m, best, mp.mpf(m.d), mp.sqrt(m.d))
        for shift in (-0.1, -1e-6, 1e-6, 0.1, 3):
            other = precise.Classifier(m, best * (1 + mp.mpf(shift)), mp.mpf(m.d), mp.sqrt(m.d))
            assert top.better_than(other) > 0
        assert abs(toy.standard_optimum(m) / best - 1) < 1e-14


@pytest.mark.parametrize("seed", range(20))
def test_thm_at_nonrobust_extreme_models_in_fifty_digits(seed):
    """Robust accuracy is that of the model with eta - eps; on either side of the formula it is lower."""
    rng = np.random.default_rng(seed)
    m, share = precise.draw(rng)
    with mp.workdps(50):
        left = mp.mpf(m.eta) * (1 - mp.mpf(share))
        best, size = precise.log_odds(m) / (2 * left), mp.sqrt(m.d)
        top = precise.Classifier(m, best, m.d * left / mp.mpf(m.eta), size)
        for shift in (-0.1, -1e-6, 1e-6, 0.1):
            other = precise.Classifier(m, best * (1 + mp.mpf(shift)), m.d * left / mp.mpf(m.eta), size)
            assert top.better_than(other) > 0
        assert abs(toy.adversarial_optimum(m, m.eta * share).w1 / best - 1) < 1e-11


@pytest.mark.parametrize("seed", range(20))
def test_exp_at_error_extreme_models_in_fifty_digits(seed):
    m, _ = precise.draw(np.random.default_rng(seed))
    with mp.workdps(60):
        odds, c2 = precise.log_odds(m), mp.mpf(m.eta) ** 2 * m.d
        eps = mp.mpf(10) ** -20 * mp.mpf(m.eta)
        a, _lead = precise.best_under_attack(m, eps)
        measured = (a / (odds / (2 * (mp.mpf(m.eta) - eps))) - 1) / eps
        assert abs(measured - (odds / (2 * c2) - 2 / odds)) < mp.mpf(10) ** -8 * (odds / c2 + 1 / odds)


@pytest.mark.parametrize("seed", range(15))
def test_thm_pareto_extreme_models_in_fifty_digits(seed):
    """Gain of first order for every eps, also beyond eta; cost of second order; log-spaced models."""
    rng = np.random.default_rng(seed)
    m, _ = precise.draw(rng)
    with mp.workdps(80):
        best, eps, h = precise.star(m), mp.mpf(m.eta) * mp.mpf(10 ** rng.uniform(-2, 0.5)), mp.mpf(10) ** -25
        size, weak = mp.sqrt(m.d), m.d * (1 - eps / mp.mpf(m.eta))

        def pair(total):
            here = precise.Classifier(m, best, total, size)
            return precise.Classifier(m, best + h, total, size).better_than(here)

        p, t, c = mp.mpf(m.p), best / size, mp.mpf(m.eta) * size
        cost = p * mp.exp(-((c + t) ** 2) / 2) / mp.sqrt(2 * mp.pi) * mp.mpf(m.eta) / size * h**2
        assert abs(-pair(mp.mpf(m.d)) / cost - 1) < 1e-6 and pair(weak) > 0


def test_thm_tsipras_extreme_models():
    """Linear classifiers of log-spaced models, in 50 digits, against the bound."""
    for seed in range(20):
        m, share = precise.draw(np.random.default_rng(seed))
        with mp.workdps(50):
            p, a, root = mp.mpf(m.p), precise.star(m) * mp.mpf(3 * share), mp.sqrt(m.d)
            up, down = (m.d * mp.mpf(m.eta) + a) / root, (m.d * mp.mpf(m.eta) - a) / root
            error = p * mp.ncdf(-up) + (1 - p) * mp.ncdf(-down)
            robust = p * mp.ncdf(-down) + (1 - p) * mp.ncdf(-up)
            assert robust <= p / (1 - p) * error


@pytest.mark.parametrize("seed", range(10))
def test_thm_feature_selection_extreme_models_in_fifty_digits(seed):
    """A weak feature beside a robust one of any weight: a bit of it pays iff its mean is above eps, however
    near. The exponential loss as a sum over the noise (the trapezoidal rule is exact to e^-300)."""
    rng = np.random.default_rng(seed)
    mean, near = mp.mpf(10 ** rng.uniform(-4, 1)), mp.mpf(10 ** rng.uniform(-10, -0.3))
    p, first = 1 - 10 ** rng.uniform(-8, -0.4), mp.mpf(10 ** rng.uniform(-2, 1))
    with mp.workdps(50):
        noise = [mp.mpf(i) / 4 for i in range(-100, 101)]
        law = [mp.npdf(g) / 4 for g in noise]
        rest = sum(q * mp.exp(-first * s) for s, q in ((1, mp.mpf(p)), (-1, 1 - mp.mpf(p))))

        def loss(weight, eps):
            each = [mp.exp(-weight * (mean + g) + eps * abs(weight)) for g in noise]
            return rest * mp.fdot(law, each)

        for eps, kept in ((mean * (1 + near), False), (mean * (1 - near), True)):
            none = loss(mp.mpf(0), eps)
            bits = [mean * near * mp.mpf(10) ** -k * way for k in (0, 3) for way in (-1, 1)]
            better = [loss(bit, eps) < none for bit in bits]
            assert better == ([False, True, False, True] if kept else [False] * 4)
            m = toy.NRFModel(p, float(mean), 3)
            if near > 1e-9 and eps < 1:
                assert toy.kept_features(m, float(eps))[1] == kept
    for share, kept in ((1 - 1e-9, True), (1 + 1e-9, False)):
        assert toy.kept_features(toy.NRFModel(p, float(mean), 3), (2 * p - 1) * share)[0] == kept
