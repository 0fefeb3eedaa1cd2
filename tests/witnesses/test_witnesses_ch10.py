"""One witness per statement of chapter 10: each tries to break it by a route that the proof does not take.

Losses are written out here again, as sums over quadrature nodes or over random samples, and minimised by
general-purpose searches; nothing relies on the library's optima being right. Where an assumption is used, a
test drops it and watches the statement fail.
"""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq, minimize, minimize_scalar
from scipy.special import expit, ndtr, ndtri
from scipy.stats import norm

from sam_edu import toy
from tests.toy import precise

SETS = [(0.95, 0.1, 100), (0.90, 0.2, 10), (0.75, 0.05, 400)]
NODES, MASS = np.polynomial.hermite_e.hermegauss(120)
MASS = MASS / MASS.sum()
models = st.builds(toy.NRFModel, p=st.floats(0.52, 0.97), eta=st.floats(0.05, 0.6), d=st.integers(1, 40))


def softplus(t):
    return np.logaddexp(0, t)


def expected(m, w, loss):
    """E loss(margin) at (a, b), w_j = b/sqrt(d): given s the margin is N(a s + b c, b^2)."""
    a, b = w
    total = 0.0
    for s, share in ((1, m.p), (-1, 1 - m.p)):
        total += share * float(MASS @ loss(a * s + b * (m.c + NODES)))
    return total


def lowest(objective, start):
    found = minimize(
        objective, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14, "maxiter": 4000}
    )
    return minimize(
        objective, found.x, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-15, "maxiter": 4000}
    ).x


def ratio(m, w):
    return w[0] * math.sqrt(m.d) / w[1]


# --- Theorem 14: the logistic loss, standard and adversarial training -----------------------------------


@settings(max_examples=12)
@given(models, st.floats(0, 1.6))
def test_thm_logistic_a_search_finds_these_weights(m, share):
    """Attack of share*eta on the non-robust features; b < 0 is searched as well."""
    eps = share * m.eta

    def objective(w):
        return expected(m, w, lambda t: softplus(-t + eps * math.sqrt(m.d) * abs(w[1])))

    w = lowest(objective, [0.7, 0.4])
    goal = (m.log_odds, 2 * math.sqrt(m.d) * max(m.eta - eps, 0))
    assert objective(goal) <= objective(w) + 1e-12
    assert w == pytest.approx(goal, abs=5e-3)


def test_thm_logistic_unequal_weights_do_not_help():
    """Autograd over all eleven weights of a large sample, where the gradient at the solution vanishes."""
    m = toy.NRFModel(0.9, 0.2, 10)
    x, y = m.sample(400_000, seed=1)
    w = torch.tensor([m.log_odds, *[2 * m.eta] * 10], requires_grad=True)
    loss = torch.nn.functional.softplus(-torch.tensor(x * y[:, None]).float() @ w).mean()
    loss.backward()
    assert w.grad.abs().max() < 4 / math.sqrt(400_000)


def test_thm_logistic_needs_the_attack_to_spare_the_robust_feature():
    m, eps = toy.NRFModel(0.9, 0.2, 10), 0.1

    def objective(w):
        return expected(m, w, lambda t: softplus(-t + eps * (abs(w[0]) + math.sqrt(10) * abs(w[1]))))

    w = lowest(objective, [1.0, 0.5])
    assert ratio(m, w) > 1.005 * m.log_odds / (2 * (m.eta - eps))


# --- Theorem 15: one-step full-batch SAM ---------------------------------------------------------------


def torch_sam(xi, rho, alpha, steps, start, loss):
    w = start.clone()
    far = []
    for _ in range(steps):
        w.requires_grad_()
        (g,) = torch.autograd.grad(loss(xi @ w).mean(), w)
        up = (w + rho * g / g.norm().clamp_min(1e-300)).detach().requires_grad_()
        w = (w - alpha * torch.autograd.grad(loss(xi @ up).mean(), up)[0]).detach()
        far.append(w)
    return torch.stack(far)


def sample(n=300, seed=0, d=3):
    x, y = toy.NRFModel(0.85, 0.3, d).sample(n, seed=seed)
    return torch.tensor(x * y[:, None])


def minimiser(xi, loss, dim):
    w = torch.zeros(dim, dtype=torch.float64)
    for _ in range(50):  # Newton
        h = torch.autograd.functional.hessian(lambda v: loss(xi @ v).mean(), w)
        g = torch.autograd.functional.jacobian(lambda v: loss(xi @ v).mean(), w)
        w = w - torch.linalg.solve(h, g)
    return w


def logistic(t):
    return torch.nn.functional.softplus(-t)


@pytest.mark.parametrize("rho", [0.2, 1.0, 3.0])
def test_thm_logistic_one_step_ends_within_a_multiple_of_the_step(rho):
    xi = sample()
    best = minimiser(xi, logistic, 4)
    start = best + torch.tensor([2.0, -1.0, 1.0, 0.5], dtype=torch.float64)
    far = [
        (torch_sam(xi, rho, alpha, int(60 / alpha), start, logistic)[-50:] - best).norm(dim=1).max().item()
        for alpha in (0.2, 0.05)
    ]
    assert far[0] < 0.5 * rho and far[1] < 0.4 * far[0]


def test_thm_logistic_one_step_needs_small_steps():
    """With long steps the iterates stay far away, at a distance that grows with rho."""
    xi = sample()
    best = minimiser(xi, logistic, 4)
    far = [
        (torch_sam(xi, rho, 4.0, 300, best + 0.1, logistic)[-50:] - best).norm(dim=1).mean()
        for rho in (0.3, 1.0)
    ]
    assert far[1] > far[0] > 0.05


def test_thm_logistic_one_step_fails_for_one_perturbation_per_sample():
    m = toy.NRFModel(0.95, 0.1, 100)
    x, y = m.sample(20_000, seed=3)
    xi = x * y[:, None]
    size = np.linalg.norm(xi, axis=1)
    f = np.stack([xi[:, 0], xi[:, 1:].sum(1) / 10], axis=1)
    w = [
        minimize(lambda v, r=r: softplus(r * size - f @ v).mean(), [3.0, 2.0], method="BFGS").x
        for r in (0, 0.3)
    ]
    assert ratio(m, w[1]) > 1.08 * ratio(m, w[0])


# --- Expansion 16: full-batch SAM with the exact maximum -------------------------------------------------


@pytest.mark.parametrize("key", SETS)
def test_exp_logistic_nsam_brute_force_over_directions(key):
    """Minimise over w the largest loss on a circle of 721 directions in the plane, refined by Newton in w."""
    m = toy.NRFModel(*key)
    rho = 0.15
    star = np.array([m.log_odds, 2 * m.c])

    def h_and_t():
        h, t = np.zeros((2, 2)), np.zeros((2, 2, 2))
        for s, share in ((1, m.p), (-1, 1 - m.p)):
            f = np.stack([np.full(120, float(s)), m.c + NODES])
            q = expit(star @ f)
            h += np.einsum("in,jn,n->ij", f, f, share * MASS * q * (1 - q))
            t += np.einsum("in,jn,kn,n->ijk", f, f, f, share * MASS * q * (1 - q) * (1 - 2 * q))
        return h, t

    h, t = h_and_t()
    values, e = np.linalg.eigh(h)
    along = (
        np.einsum("ijk,i,j,k->", t, *[e[:, 1]] * 3),
        np.einsum("ijk,i,j,k->", t, e[:, 0], e[:, 1], e[:, 1]),
    )
    shift = -(rho**2) * (along[0] / (6 * values[1]) * e[:, 1] + along[1] / (2 * values[0]) * e[:, 0])

    def worst(w, radius):
        def at(angle):
            return -expected(
                m, w + radius * np.array([math.cos(angle), math.sin(angle)]), lambda v: softplus(-v)
            )

        top = math.atan2(e[1, 1], e[0, 1])
        return max(
            -minimize_scalar(
                at,
                bounds=(top + k * math.pi - 0.7, top + k * math.pi + 0.7),
                method="bounded",
                options={"xatol": 1e-9},
            ).fun
            for k in (0, 1)
        )

    value = worst(star + shift, rho)
    for angle in np.arange(12) * math.pi / 6:  # the predicted point is the lowest up to its order, rho^3
        away = 0.25 * rho**2 * np.array([math.cos(angle), math.sin(angle)])
        assert worst(star + shift + away, rho) > value
    predicted = shift[0] / star[0] - shift[1] / star[1]
    assert predicted < 0  # it lowers the ratio, in all three models
    assert predicted / rho**2 == pytest.approx(
        toy.logistic_expansion(m, "full-batch-sam").coefficient, rel=1e-3
    )


def test_exp_logistic_nsam_is_positive_where_the_robust_feature_outweighs_all_others():
    strong, weak = toy.NRFModel(0.99, 0.3, 1), toy.NRFModel(0.65, 0.3, 1)
    assert toy.logistic_expansion(strong, "full-batch-sam").coefficient > 0
    assert toy.logistic_expansion(weak, "full-batch-sam").coefficient < 0
    w = toy.logistic_optimum(strong, "full-batch-sam", 0.2)
    assert w[0] / w[1] > toy.standard_optimum(strong)


# --- Theorem 17: SAM per sample, constant norm ------------------------------------------------------------


@settings(max_examples=60)
@given(st.floats(0.51, 0.995), st.floats(0.02, 1.5), st.integers(1, 60))
def test_thm_logistic_1sam_the_log_ratio_rises(p, eta, d):
    """Implicit derivative from quadrature over g, without symmetrising anything."""
    m = toy.NRFModel(p, eta, d)
    h, beta = np.zeros((2, 2)), np.zeros(2)
    g = np.linspace(-12, m.c + 12, 6001)  # the mass times tau lies around 0, not around c; trapezoid rule
    mass = norm.pdf(g - m.c)
    for s, share in ((1, p), (-1, 1 - p)):
        f = np.stack([np.full(len(g), float(s)), g])
        tau = expit(m.log_odds * s + 2 * m.c * g) * expit(-m.log_odds * s - 2 * m.c * g) * share * mass
        h += np.einsum("in,jn,n->ij", f, f, tau)
        beta += f @ tau
    change = np.linalg.solve(h, beta)
    assert change[0] / m.log_odds - change[1] / (2 * m.c) > -1e-9 * np.abs(change).max()
    if p > 0.6 and m.c > 0.2:
        assert change[0] / m.log_odds > change[1] / (2 * m.c)


@pytest.mark.parametrize("key", SETS[:2])
def test_thm_logistic_1sam_a_search_at_small_kappa(key):
    m, kappa = toy.NRFModel(*key), 0.2
    w = lowest(lambda w: expected(m, w, lambda t: softplus(kappa - t)), [m.log_odds, 2 * m.c])
    assert ratio(m, w) > toy.standard_optimum(m) * 1.002


def test_thm_logistic_1sam_needs_the_constant_norm():
    """True norms, a weak robust feature: the ratio falls; from samples, with the same samples for both."""
    m, rho = toy.NRFModel(0.55, 0.1, 100), 0.1
    rng = np.random.default_rng(0)
    g, k2 = m.c + rng.standard_normal(400_000), rng.chisquare(99, 400_000)
    size = np.sqrt(1 + g**2 + k2)

    def objective(w, shift):
        return sum(q * softplus(shift - w[0] * s - w[1] * g).mean() for s, q in ((1, m.p), (-1, 1 - m.p)))

    start = [m.log_odds, 2 * m.c]
    plain, true, constant = (
        minimize(objective, start, (shift,), method="BFGS", options={"gtol": 1e-8}).x
        for shift in (0.0, rho * size, rho * math.sqrt((size**2).mean()))
    )
    assert ratio(m, true) < ratio(m, plain) < ratio(m, constant)
    assert (
        toy.logistic_expansion(m).coefficient
        < 0
        < toy.logistic_expansion(m, input_norm="constant").coefficient
    )


# --- Proposition 18: the hinge ---------------------------------------------------------------------------


@given(st.floats(0.5, 1e4), st.floats(-50, 50))
def test_prop_hinge_the_scaled_loss_is_near_the_hinge(kappa, margin):
    gap = softplus(kappa * (1 - margin)) / kappa - max(1 - margin, 0)
    assert -1e-12 <= gap <= math.log(2) / kappa + 1e-12


def hinge(m, a, b):
    """E(1 - margin)_+ by the normal formula, for b > 0."""
    total = 0.0
    for s, share in ((1, m.p), (-1, 1 - m.p)):
        gap = (1 - a * s - b * m.c) / b
        total += share * b * (gap * ndtr(gap) + norm.pdf(gap))
    return total


@settings(max_examples=25)
@given(st.floats(0.55, 0.99), st.floats(0.02, 1.0), st.integers(1, 80))
def test_prop_hinge_the_criterion_agrees_with_a_search(p, eta, d):
    m = toy.NRFModel(p, eta, d)
    z = ndtri((1 - p) / p)
    excess = p * norm.pdf(z) - 2 * (1 - p) * m.c
    if abs(excess) < 0.01:
        return
    best = min(hinge(m, 1 - x * b, b) for b in (1e-3, 1e-2, 0.1, 0.3) for x in m.c + np.linspace(-8, 8, 161))
    alone = 2 * (1 - p)  # the hinge loss of (1, 0)
    assert (best > alone) == (excess > 0) == toy.hinge_drops_weak_features(m)


# --- Proposition 19: SAM re-weights ----------------------------------------------------------------------


@pytest.mark.parametrize("rho", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("key", SETS[:2])
def test_prop_reweights_per_sample_the_slope_at_zero_is_negative(rho, key):
    """One non-robust weight 0, the others anything: slope from samples, in units of its standard error."""
    m = toy.NRFModel(*key)
    x, y = m.sample(200_000, seed=1)
    xi = x * y[:, None]
    rng = np.random.default_rng(0)
    for _ in range(2):
        w = rng.normal(size=m.d + 1)
        w[1] = 0
        pull = -expit(rho * np.linalg.norm(xi, axis=1) - xi @ w) * xi[:, 1]
        assert pull.mean() < -4 * pull.std() / math.sqrt(len(pull))


def test_prop_reweights_full_batch_the_exact_optimum_keeps_them():
    m = toy.NRFModel(0.95, 0.1, 20)
    for rho in (0.1, 0.5, 2.0):
        w1, w_nr = toy.logistic_optimum(m, "full-batch-sam", rho)
        assert w1 > 0 and w_nr > 0.005
        assert toy.logistic_optimum(m, "per-sample-sam", rho)[1] > 0
    assert toy.logistic_optimum(m, "adversarial", m.eta)[1] == 0  # what adversarial training does


FALLING = {  # value and slope: convex or not, all with a bounded negative slope
    "logistic": (lambda m: softplus(-m), lambda m: -expit(-m)),
    "square root": (lambda m: np.sqrt(1 + m * m) - m, lambda m: m / np.sqrt(1 + m * m) - 1),
    "sigmoid": (lambda m: expit(-m), lambda m: -expit(m) * expit(-m)),
    "arcus tangens": (lambda m: -np.arctan(m), lambda m: -1 / (1 + m * m)),
}
CONVEX = ("logistic", "square root")


def plane(eta):
    """Two weak features on a grid of panels: (n, 3) of signed features, shares to be split by s."""
    t, share = np.polynomial.legendre.leggauss(40)
    x = np.concatenate([eta + c + t for c in (-7, -5, -3, -1, 1, 3, 5, 7)])
    q = np.tile(share, 8) * norm.pdf(x - eta)
    one, two = (v.ravel() for v in np.meshgrid(x, x))
    return one, two, np.outer(q, q).ravel()


@pytest.mark.parametrize("name", FALLING)
@pytest.mark.parametrize("seed", range(4))
def test_prop_reweights_per_sample_the_first_step_away_from_zero_pays(name, seed):
    """The objective itself, with the true norm and the second weak weight 0, against the slope that pairs
    the two signs of x_j: minus E |x_j| tanh(eta |x_j|) |l'|. It needs no convexity."""
    rng = np.random.default_rng(seed)
    value, slope = FALLING[name]
    eta, rho, p = 10 ** rng.uniform(-2, 0.3), 10 ** rng.uniform(-2, 1), rng.uniform(0.51, 0.99)
    a, b = rng.normal(size=2) * 10 ** rng.uniform(-1, 0.7)
    one, two, mass = plane(eta)
    lost = rho * np.sqrt(1 + one**2 + two**2)

    def objective(h):
        return sum(q * (mass @ value(a * s + b * one + h * two - lost)) for s, q in ((1, p), (-1, 1 - p)))

    paired = sum(
        q * (mass @ (np.abs(two) * np.tanh(eta * np.abs(two)) * slope(a * s + b * one - lost)))
        for s, q in ((1, p), (-1, 1 - p))
    )
    h = 1e-4
    assert paired < 0
    assert (objective(h) - objective(-h)) / (2 * h) == pytest.approx(paired, rel=1e-4)


@pytest.mark.parametrize("name", CONVEX)
@pytest.mark.parametrize("seed", range(5))
def test_prop_reweights_full_batch_the_first_step_away_from_zero_pays(name, seed):
    """The worst of a fine sphere of shared perturbations, one of two weak weights 0, the others anything:
    it has e_j <= 0, and a little of the feature lowers it, by the proof's bound or more."""
    rng = np.random.default_rng(seed)
    value, slope = FALLING[name]
    eta, rho, p = 10 ** rng.uniform(-1.3, 0.3), 10 ** rng.uniform(-1.5, 0.7), rng.uniform(0.51, 0.99)
    start = np.array([*(rng.normal(size=2) * 10 ** rng.uniform(-1, 0.5)), 0.0])

    def loss(w, f=value):  # given s the margin is normal: w (..., 3)
        mean, size = w[..., 1:].sum(-1) * eta, np.linalg.norm(w[..., 1:], axis=-1)
        noise = mean[..., None] + size[..., None] * NODES
        return p * f(w[..., :1] + noise) @ MASS + (1 - p) * f(noise - w[..., :1]) @ MASS

    around, up = np.meshgrid(np.linspace(0, 2 * np.pi, 121), np.linspace(-np.pi / 2, np.pi / 2, 61))
    e = rho * np.stack([np.cos(around) * np.cos(up), np.sin(around) * np.cos(up), np.sin(up)], -1)
    e = e.reshape(-1, 3)
    for _ in range(3):  # closer in around the worst
        best = e[np.argmax(loss(start + e))]
        near = best + rho * 0.05 * 0.2**_ * rng.normal(size=(1500, 3))
        e = np.concatenate([e, rho * near / np.linalg.norm(near, axis=1, keepdims=True)])
    worst = e[np.argmax(loss(start + e))]
    assert worst[2] <= 0.02 * rho
    h = 1e-3 * rho
    here, there = (loss(start + e + [0, 0, step]).max() for step in (0.0, h))
    rest = np.array([*(start + worst)[:2], 0.0])
    assert there - here < 0.8 * h * eta * loss(rest, slope) < 0


@pytest.mark.parametrize("key", [(0.95, 0.3, 3), (0.6, 0.5, 2), (0.9, 0.2, 10)])
def test_prop_reweights_the_library_keeps_what_the_objective_keeps(key):
    """At the library's weights a weak feature less raises the worst loss; an attack drops it: three goals
    searched by value alone."""
    m = toy.NRFModel(*key)
    for rho in (0.1, 1.0):
        a, b = toy.logistic_optimum(m, "per-sample-sam", rho, input_norm="constant")
        lost = rho * toy.input_norm_rms(m)
        w = lowest(lambda w, lost=lost: expected(m, w, lambda t: softplus(lost - t)), [1.0, 0.5])
        assert w[1] > 1e-3
        assert b * math.sqrt(m.d) == pytest.approx(w[1], rel=1e-4) and a == pytest.approx(w[0], rel=1e-4)
    attack = m.eta * 1.05 * math.sqrt(m.d)
    w = lowest(lambda w: expected(m, w, lambda t: softplus(attack * abs(w[1]) - t)), [1.0, 0.5])
    assert abs(w[1]) < 1e-4 and toy.logistic_optimum(m, "adversarial", 1.05 * m.eta)[1] == 0


def test_prop_reweights_needs_an_objective_that_is_finite():
    """l(m) = exp(-m) + exp((-m - 9)_+^2 / 2) falls and is convex, yet with rho = 1 it has an end only where
    the weak weight is 0: its tail grows with (1 + |b|)^2 g^2 / 2 against g^2 / 2 of the density."""
    eta, a = 0.5, 1.0

    def counted(b, reach):
        g = np.linspace(-reach, reach, 400_001)
        tail = np.maximum(np.sqrt(1 + g * g) + a - b * g - 9, 0)  # s = -1
        return np.trapezoid(np.exp(tail**2 / 2 - (g - eta) ** 2 / 2), g)

    assert counted(0.0, 60.0) == pytest.approx(counted(0.0, 30.0), rel=1e-6)
    for b in (-0.2, 0.2):
        few, more, most = (counted(b, reach) for reach in (45, 60, 75))
        assert most > 1e30 * more > 1e30 * few


def test_prop_reweights_needs_a_loss_that_always_falls():
    """The squared loss rises beyond margin 1: per-sample SAM removes the features."""
    m = toy.NRFModel(0.95, 0.1, 100)
    rho = 0.1

    def objective(b, a):
        return expected(m, (a, b), lambda t: (np.abs(1 - t) + rho * 10.1) ** 2)

    assert all(
        objective(0.0, 1.0) < objective(b, 1 - x * b)
        for b in (0.003, 0.03, 0.3)
        for x in np.linspace(-2, 4, 25)
    )


# --- Theorems 20, 21: the squared loss ---------------------------------------------------------------------


@settings(max_examples=40)
@given(models)
def test_thm_squared_solves_the_normal_equations_of_all_features(m):
    """Second moments of all d+1 features, solved as one linear system; no symmetry is used."""
    mean = np.r_[2 * m.p - 1, np.full(m.d, m.eta)]
    second = np.outer(mean, mean) + np.diag(np.r_[1 - mean[0] ** 2, np.ones(m.d)])
    w = np.linalg.solve(second, mean)
    weak = m.eta * (1 - mean[0] ** 2) / (1 + m.c**2 * (1 - mean[0] ** 2))
    np.testing.assert_allclose(w[1:], weak, rtol=1e-8)
    assert w[0] / w[1] == pytest.approx(math.sinh(m.log_odds) / (2 * m.eta), rel=1e-8)
    assert w[0] / w[1] > toy.standard_optimum(m)
    assert toy.squared_optimum(m) == pytest.approx((w[0], w[1]), rel=1e-8)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.floats(0.05, 3.0), st.sampled_from(["l1", "l2", "linf"]))
def test_thm_squared_nsam_no_other_point_has_a_lower_worst_case(seed, rho, norm_name):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(3, 3))
    h = a @ a.T + 0.1 * np.eye(3)
    e = rng.normal(size=(4000, 3))
    order = {"l1": 1, "l2": 2, "linf": np.inf}[norm_name]
    e = rho * e / np.linalg.norm(e, ord=order, axis=1, keepdims=True)
    e = np.concatenate([e, -e])  # a symmetric set: the proof needs nothing else of the ball

    def worst(x):
        return (((x + e) @ h) * (x + e)).sum(1).max()

    base = worst(np.zeros(3))
    for size in (1e-3, 0.1, 2.0):
        for _ in range(5):
            assert worst(size * rng.normal(size=3)) > base


def test_thm_squared_nsam_one_step_reaches_the_minimum_too():
    xi = sample()

    def squared(t):
        return (1 - t) ** 2

    best = minimiser(xi, squared, 4)
    far = [
        (torch_sam(xi, 0.5, a, 600, best + 1.0, squared)[-20:] - best).norm(dim=1).max() for a in (0.1, 0.02)
    ]
    assert far[1] < 0.3 * far[0] and far[1] < 0.05


def test_thm_squared_nsam_needs_the_symmetry_of_the_quadratic():
    """exp(z) - z has its minimum at 0, the flattest worst case lies elsewhere."""
    found = minimize_scalar(
        lambda z: max(math.exp(z + r) - z - r for r in (-0.5, 0.5)), bounds=(-1, 1), method="bounded"
    )
    assert found.x < -0.02


# --- Proposition 22: squared loss, SAM per sample -----------------------------------------------------------


@settings(max_examples=25)
@given(st.floats(0.55, 0.99), st.floats(0.02, 0.8), st.integers(1, 60), st.floats(0.02, 30))
def test_prop_squared_1sam_the_criterion_agrees_with_a_search(p, eta, d, kappa):
    m = toy.NRFModel(p, eta, d)
    q = (1 - p) * (1 + 2 / kappa)
    excess = p * norm.pdf(ndtri((1 + q / p) / 2)) - q * m.c if q < p else -1.0
    if abs(excess) < 0.01:
        return
    critical = toy.critical_norm_shift(m)
    assert (excess > 0) == (kappa > critical)

    def objective(a, b):  # E (1-m)^2 + 2 kappa E|1-m| by the folded normal
        total = 0.0
        for s, share in ((1, p), (-1, 1 - p)):
            mean = 1 - a * s - b * m.c
            fold = 2 * b * norm.pdf(mean / b) + mean * (1 - 2 * ndtr(-mean / b))
            total += share * (mean**2 + b**2 + 2 * kappa * fold)
        return total

    alone = (1 - p) * (4 + 4 * kappa)
    tilts = m.c + np.r_[np.linspace(-6, 12, 181), np.geomspace(12, 1e3, 40)]
    best = min(objective(1 - x * b, b) for b in (1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.5) for x in tilts)
    assert (best >= alone) == (excess > 0)


def test_prop_squared_1sam_is_the_worst_case_over_weights():
    """(|1-m| + rho |x|)^2 against the largest of many random perturbations, and the one that attains it."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        w, x, rho = rng.normal(size=5), rng.normal(size=5), rng.uniform(0, 2)
        e = rng.normal(size=(2000, 5))
        e = rho * e / np.linalg.norm(e, axis=1, keepdims=True)
        top = (abs(1 - w @ x) + rho * np.linalg.norm(x)) ** 2
        assert ((1 - (w + e) @ x) ** 2).max() <= top + 1e-12
        push = -np.sign(1 - w @ x) * rho * x / np.linalg.norm(x)
        assert (1 - (w + push) @ x) ** 2 == pytest.approx(top)


# --- extremes -------------------------------------------------------------------------------------------


def second_and_third(t, c):
    """H and T of the expected logistic loss at its minimiser, by adaptive quadrature of the definition."""
    odds = 2 * c * t
    p = 1 / (1 + math.exp(-odds))

    def moment(powers, bend):
        total = 0.0
        for s, share in ((1, p), (-1, 1 - p)):

            def density(g, s=s):
                q = expit(odds * s + 2 * c * g)
                second = q * (1 - q)
                weight = second if bend == 2 else second * (1 - 2 * q)
                return (
                    math.exp(-((g - c) ** 2) / 2)
                    / math.sqrt(2 * math.pi)
                    * weight
                    * s ** powers[0]
                    * g ** powers[1]
                )

            total += share * quad(density, c - 12, c + 12, points=[0, c, -t, t], epsabs=1e-15, epsrel=1e-9)[0]
        return total

    pairs = [[(2 - i - j, i + j) for j in (0, 1)] for i in (0, 1)]
    h = np.array([[moment(q, 2) for q in row] for row in pairs])
    third = np.array(
        [[[moment((3 - i - j - k, i + j + k), 3) for k in (0, 1)] for j in (0, 1)] for i in (0, 1)]
    )
    return h, third


def turn(t, c):
    """Relative change of the ratio per rho^2 by Expansion 16."""
    h, third = second_and_third(t, c)
    values, v = np.linalg.eigh(h)
    one, two = v[:, 1], v[:, 0]
    pull = np.einsum("ijk,j,k->i", third, one, one)
    shift = -(pull @ one) / (6 * values[1]) * one - (pull @ two) / (2 * values[0]) * two
    return shift[0] / (2 * c * t) - shift[1] / (2 * c)


def test_exp_logistic_nsam_the_sign_is_not_of_t_alone():
    """At t* = 1.9 it is up for c = 1/2 and down for c = 1; the places where it turns climb with c."""
    assert turn(1.9, 0.5) > 0 > turn(1.9, 1.0)
    turns = [brentq(turn, 1.3, 3.5, args=(c,), xtol=1e-4) for c in (0.2, 1.0, 3.0)]
    assert turns == pytest.approx([1.78, 1.95, 2.89], abs=0.01)
    for t, c in ((1.9, 0.5), (1.9, 1.0), (0.3, 2.5), (4.0, 0.1)):
        m = precise.of(t, c, 30)
        assert toy.logistic_expansion(m, "full-batch-sam").coefficient == pytest.approx(turn(t, c), rel=1e-4)


@pytest.mark.parametrize("seed", range(10))
def test_thm_logistic_1sam_extreme_models(seed):
    """lambda M' > M for log-spaced L and c, the law of Y by quadrature on the log scale."""
    rng = np.random.default_rng(seed)
    c, odds = 10 ** rng.uniform(-2, 1.3), 10 ** rng.uniform(-3, 1.3)
    s0 = 2 * c
    lam = odds / s0**2
    center = min(max(odds - s0**2 / 2, 0.0), odds)
    y = np.linspace(center - 12 * s0 - 40, center + 12 * s0 + 40, 400_001)
    log_density = -(y**2) / (2 * s0**2) - np.logaddexp(y / 2, -y / 2) + lam * y
    weight = np.exp(log_density - log_density.max())
    mean = (weight * y).sum() / weight.sum()
    variance = (weight * (y - mean) ** 2).sum() / weight.sum()
    assert lam * variance > mean > 0
    m = toy.NRFModel(1 / (1 + math.exp(-odds)), c / math.sqrt(50), 50)
    assert toy.logistic_expansion(m, "per-sample-sam", "constant").coefficient > 0


@pytest.mark.parametrize("key, drop", [(SETS[0], 0.6525), (SETS[1], 0.2313), (SETS[2], 0.8722)])
def test_prop_reweights_needs_a_goal_that_falls_with_every_margin(key, drop):
    """The accuracy does not: 1-SAM drops all weak features in one jump, before the attack like it."""
    m = toy.NRFModel(*key)
    below, above = (toy.sam_optimum(m, drop * f, "all", kind="per-sample") for f in (0.999, 1.001))
    assert math.isfinite(below) and math.isinf(above)
    assert drop / math.sqrt(m.d) < m.eta


# --- extremes in fifty digits ---------------------------------------------------------------------------


def gaussian_nodes(mean):
    """Nodes g and shares of N(mean, 1) for the trapezoidal rule: exact to 1e-25 for |b| up to 6 below."""
    steps = [mp.mpf(i) / 20 for i in range(-260, 261)]
    return [(mean + z, mp.npdf(z) / 20) for z in steps]


def sides(m):
    return ((1, mp.mpf(m.p)), (-1, 1 - mp.mpf(m.p)))


def drawn(seed, most=3.0):
    """A log-spaced model: L from 1e-3 to 20, c from 1e-2 to ``most``."""
    rng = np.random.default_rng(seed)
    odds, c, d = (
        10 ** rng.uniform(-3, 1.3),
        10 ** rng.uniform(-2, math.log10(most)),
        int(10 ** rng.uniform(0, 4)),
    )
    return toy.NRFModel(1 / (1 + math.exp(-odds)), c / math.sqrt(d), d), rng


@pytest.mark.parametrize("seed", range(6))
def test_thm_logistic_extreme_models_in_fifty_digits(seed):
    """A millionth away from the library's weights, in any of four directions, the loss is higher."""
    m, rng = drawn(seed)
    share = rng.uniform(0, 0.99)
    w1, weak = toy.logistic_optimum(m, "adversarial", share * m.eta)
    with mp.workdps(40):
        root, c = mp.sqrt(m.d), mp.mpf(m.eta) * mp.sqrt(m.d)
        nodes, b = gaussian_nodes(c - mp.mpf(share * m.eta) * root), mp.mpf(weak) * root

        def loss(a, b):
            return sum(
                q * mp.fsum(w * mp.log1p(mp.exp(-a * s - b * g)) for g, w in nodes) for s, q in sides(m)
            )

        here = loss(mp.mpf(w1), b)
        for one, two in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            assert loss(w1 * (1 + mp.mpf(one) / 10**6), b * (1 + mp.mpf(two) / 10**6)) > here


@pytest.mark.parametrize("seed", range(8))
def test_thm_logistic_one_step_extreme_models_in_fifty_digits(seed):
    """Distances from 1e-12 to 3, radii from 1e-6 to 3: the perturbed gradient still leads down."""
    m, rng = drawn(seed)
    with mp.workdps(40):
        c = mp.mpf(m.eta) * mp.sqrt(m.d)
        nodes = gaussian_nodes(c)

        def slope(a, b):
            pulls = [(s, g, -q * w / (1 + mp.exp(a * s + b * g))) for s, q in sides(m) for g, w in nodes]
            return mp.fsum(s * pull for s, _, pull in pulls), mp.fsum(g * pull for _, g, pull in pulls)

        for far in 10 ** rng.uniform(-12, 0.5, 2):
            angle, rho = mp.mpf(rng.uniform(0, 6.28)), mp.mpf(10 ** rng.uniform(-6, 0.5))
            a, b = precise.log_odds(m) + far * mp.cos(angle), 2 * c + far * mp.sin(angle)
            g = slope(a, b)
            size = mp.hypot(*g)
            ahead = slope(a + rho * g[0] / size, b + rho * g[1] / size)
            assert g[0] * ahead[0] + g[1] * ahead[1] > size**2 > 0
    assert toy.logistic_optimum(m, "one-step-sam", 1.0) == toy.logistic_optimum(m)


def least(f, low, high):
    """The least value of a convex function, by golden sections: from values alone."""
    part = (mp.sqrt(5) - 1) / 2
    one, two = high - part * (high - low), low + part * (high - low)
    at_one, at_two = f(one), f(two)
    for _ in range(70):
        if at_one < at_two:
            high, two, at_two = two, one, at_one
            at_one = f(one := high - part * (high - low))
        else:
            low, one, at_one = one, two, at_two
            at_two = f(two := low + part * (high - low))
    return min(at_one, at_two)


@pytest.mark.parametrize("seed", range(12))
def test_prop_hinge_extreme_models_in_fifty_digits(seed):
    """p to 1 - 1e-8, c next to where the answer turns: from (1, 0), does the loss fall in any direction?"""
    rng = np.random.default_rng(seed)
    p, near, d = 1 - 10 ** rng.uniform(-8, -0.4), 10 ** rng.uniform(-9, -1), int(10 ** rng.uniform(0, 5))
    turn = p * norm.pdf(ndtri((1 - p) / p)) / (2 * (1 - p))
    for c, dropped in ((turn * (1 - near), True), (turn * (1 + near), False)):
        m = toy.NRFModel(p, c / math.sqrt(d), d)
        with mp.workdps(50):
            b, center = mp.mpf(10) ** -20, mp.mpf(m.eta) * mp.sqrt(d)

            def loss(
                x, m=m, b=b, center=center
            ):  # E(1 - margin)_+ at (1 - x b, b), in units of b above (1, 0)
                gaps = [(q, (1 - (1 - x * b) * s) / b - center) for s, q in sides(m)]
                total = sum(q * (gap * mp.ncdf(gap) + mp.npdf(gap)) for q, gap in gaps)
                return total - 2 * (1 - mp.mpf(m.p)) / b

            falls = least(loss, center - 12, center + 12) < 0
        assert falls != dropped and toy.hinge_drops_weak_features(m) == dropped


@pytest.mark.parametrize("seed", range(15))
def test_thm_squared_extreme_models_in_fifty_digits(seed):
    """All second moments, one linear system; p to 1 - 1e-12, eta from 1e-6 to 1000."""
    rng = np.random.default_rng(seed)
    p = 1 - 10 ** rng.uniform(-12, -0.4) if seed % 2 else 0.5 + 10 ** rng.uniform(-9, -0.4)
    m = toy.NRFModel(p, 10 ** rng.uniform(-6, 3), int(rng.integers(1, 7)))
    with mp.workdps(60):
        mean = mp.matrix([2 * mp.mpf(p) - 1, *[mp.mpf(m.eta)] * m.d])
        second = mean * mean.T
        for i in range(m.d + 1):
            second[i, i] = 1 if i == 0 else 1 + mp.mpf(m.eta) ** 2
        w = mp.lu_solve(second, mean)
        w1, weak = toy.squared_optimum(m)
        assert abs(w1 / w[0] - 1) < 1e-13 and all(abs(weak / w[j] - 1) < 1e-13 for j in range(1, m.d + 1))
        assert w[0] / w[1] > precise.star(m)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("norm_name", ["l1", "l2", "linf"])
def test_thm_squared_nsam_extreme_quadratics_in_fifty_digits(seed, norm_name):
    """Eigenvalues, radii and distances over 16 powers of ten: the minimum has the least worst case."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    e = rng.normal(size=(25, 3))
    order = {"l1": 1, "l2": 2, "linf": np.inf}[norm_name]
    e = 10 ** rng.uniform(-8, 8) * e / np.linalg.norm(e, ord=order, axis=1, keepdims=True)
    with mp.workdps(60):
        roots = mp.diag([mp.mpf(x) for x in 10 ** rng.uniform(-4, 4, 3)]) * mp.matrix(basis.tolist())

        def worst(x):
            return max(mp.norm(roots * (x + way * mp.matrix(row))) for row in e.tolist() for way in (-1, 1))

        base = worst(mp.matrix(3, 1))
        for size in 10 ** rng.uniform(-8, 8, 3):
            assert worst(mp.matrix((size * rng.normal(size=3)).tolist())) > base


@pytest.mark.parametrize("seed", range(12))
def test_prop_squared_1sam_extreme_models_in_fifty_digits(seed):
    """A millionth below and above the critical shift: does the loss fall from (1, 0) in any direction?"""
    rng = np.random.default_rng(seed)
    p = 1 - 10 ** rng.uniform(-8, -0.4)
    turn = p * norm.pdf(ndtri((1 + (1 - p) / p) / 2)) / (1 - p)  # from this c on no shift is enough
    c, d = turn * 10 ** rng.uniform(-4, -0.01), int(10 ** rng.uniform(0, 5))
    m = toy.NRFModel(p, c / math.sqrt(d), d)
    critical = toy.critical_norm_shift(m)
    for kappa, dropped in ((critical * (1 - 1e-6), False), (critical * (1 + 1e-6), True)):
        with mp.workdps(60):
            b, center, k = mp.mpf(10) ** -20, mp.mpf(m.eta) * mp.sqrt(d), mp.mpf(kappa)

            def loss(x, b=b, center=center, k=k):  # E(|1 - margin| + k)^2 at (1 - x b, b) above (1, 0)
                total = -(1 - mp.mpf(m.p)) * (4 + 4 * k)
                for s, q in sides(m):
                    mean = 1 - (1 - x * b) * s - b * center
                    fold = 2 * b * mp.npdf(mean / b) + mean * (1 - 2 * mp.ncdf(-mean / b))
                    total += q * (mean**2 + b**2 + 2 * k * fold)
                return total / b

            assert (least(loss, center - 12, center + 12) >= 0) == dropped
    assert math.isinf(toy.critical_norm_shift(toy.NRFModel(p, 1.001 * turn / math.sqrt(d), d)))


@pytest.mark.parametrize("seed", range(3))
def test_exp_logistic_nsam_extreme_models_in_fifty_digits(seed):
    """At the predicted weights the two worst perturbations tie, and both lie along the first eigenvector."""
    m, _ = drawn(seed, most=1.5)
    while m.log_odds > 6:
        m, _ = drawn(seed := seed + 100, most=1.5)
    with mp.workdps(60):
        nodes = gaussian_nodes(mp.mpf(m.eta) * mp.sqrt(m.d))
        terms = [(s, g, q * w) for s, q in sides(m) for g, w in nodes]
        star = (precise.log_odds(m), 2 * mp.mpf(m.eta) * mp.sqrt(m.d))

        def moments(order, at):  # E of the order-th derivative of the loss times s^i g^j
            found = [mp.mpf(0)] * (order + 1)
            for s, g, w in terms:
                q = 1 / (1 + mp.exp(at[0] * s + at[1] * g))
                weight = w * (-q, q * (1 - q), -q * (1 - q) * (1 - 2 * q))[order - 1]
                for j in range(order + 1):
                    found[j] += weight * s ** (order - j) * g**j
            return found

        h, third = moments(2, star), moments(3, star)
        values, vectors = mp.eigsy(mp.matrix([[h[0], h[1]], [h[1], h[2]]]))
        (l2, l1), v2, v1 = values, vectors[:, 0], vectors[:, 1]

        def cubic(a, b, c):
            return sum(
                third[i + j + k] * (a[i] * b[j] * c[k]) for i in (0, 1) for j in (0, 1) for k in (0, 1)
            )

        pull, turn_ = cubic(v1, v1, v1), cubic(v2, v1, v1)
        rho = mp.mpf(10) ** -3 * l2 / l1
        w = [star[i] - rho**2 * (pull / (6 * l1) * v1[i] + turn_ / (2 * l2) * v2[i]) for i in (0, 1)]
        losses, leans = [], []
        for side in (1, -1):
            e = [side * rho * v1[i] for i in (0, 1)]
            for _ in range(4):  # uphill on the circle
                g = moments(1, [w[0] + e[0], w[1] + e[1]])
                e = [rho * x / mp.hypot(*g) for x in g]
            losses.append(
                mp.fsum(q * mp.log1p(mp.exp(-(w[0] + e[0]) * s - (w[1] + e[1]) * g)) for s, g, q in terms)
            )
            leans.append(side * (e[0] * v2[0] + e[1] * v2[1]) / rho)
        size = abs(pull) + abs(turn_) * l1 / l2
        assert abs(losses[0] - losses[1]) < 0.02 * rho**3 * size
        assert max(map(abs, leans)) < 0.02 * rho * size / (l1 - l2)
    assert toy.logistic_expansion(m, "full-batch-sam").coefficient == pytest.approx(
        float((w[0] / star[0] - w[1] / star[1]) / rho**2), rel=1e-5
    )


@pytest.mark.parametrize("seed", range(15))
def test_prop_reweights_extreme_models_in_fifty_digits(seed):
    """eta from 1e-6 to 10, radii from 1e-6 to 1e6, the rest of the sample of any size: still downhill."""
    rng = np.random.default_rng(seed)
    eta, rho = mp.mpf(10 ** rng.uniform(-6, 1)), mp.mpf(10 ** rng.uniform(-6, 6))
    with mp.workdps(50):
        rest, margin = mp.mpf(10 ** rng.uniform(-6, 6)), mp.mpf(rng.normal() * 10 ** rng.uniform(-6, 6))
        grid = [eta + mp.mpf(i) / 40 for i in range(-480, 481)]
        pulls = [x * mp.npdf(x - eta) / (1 + mp.exp(margin - rho * mp.hypot(rest, x))) for x in grid]
        assert mp.fsum(pulls) > 0  # minus the slope of the loss in a weight that is 0
