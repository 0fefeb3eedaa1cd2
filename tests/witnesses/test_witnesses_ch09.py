"""One witness per statement of chapter 9: each tries to break it by a route that the proof does not take.

Worst cases come from vertices, random search and gradient ascent, optima from quadrature and search. Where
a statement needs an assumption, another test drops it and watches the statement fail.
"""

from __future__ import annotations

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq, minimize, minimize_scalar
from scipy.stats import chi2, norm

from sam_edu import toy
from tests.toy import precise

SETS = [(0.95, 0.1, 100), (0.90, 0.2, 10), (0.75, 0.05, 400)]
LOSSES = {
    "logistic": lambda m: np.logaddexp(0, -m),
    "hinge": lambda m: np.maximum(0, 1 - m),
    "zero-one": lambda m: (np.asarray(m) <= 0).astype(float),
    "exponential": lambda m: np.exp(-m),
}
seeds = st.integers(0, 10**6)


def ball(rng, n, radius, norm_, count=4000):
    """Points of the ball: vertices or axes where it has them, and random points on its surface."""
    v = rng.normal(size=(count, n))
    if norm_ == "linf":
        v = np.sign(v) if n > 8 else np.array(list(itertools.product([-1.0, 1.0], repeat=n)))
        return radius * v
    if norm_ == "l1":
        return radius * np.vstack([np.eye(n), -np.eye(n), v / np.abs(v).sum(1, keepdims=True)])
    return radius * v / np.linalg.norm(v, axis=1, keepdims=True)


# --- thm-margins ----------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(seeds, st.sampled_from(["l1", "l2", "linf"]), st.floats(0, 3), st.sampled_from(sorted(LOSSES)))
def test_thm_margins_no_perturbation_does_more_harm(seed, q, radius, loss):
    rng = np.random.default_rng(seed)
    n, y = int(rng.integers(1, 7)), rng.choice([-1, 1])
    w, x = rng.normal(size=(2, n)) * 2
    margin, value = y * w @ x, LOSSES[loss]
    points = ball(rng, n, radius, q)
    assert value(y * (x + points) @ w).max() <= value(margin - toy.margin_shift(w, radius, q)) + 1e-9
    if q == "l2":
        assert value(y * (w + points) @ x).max() <= value(margin - toy.margin_shift(x, radius)) + 1e-9


@settings(max_examples=25)
@given(seeds, st.sampled_from(["l1", "l2", "linf"]), st.floats(0.1, 3))
def test_thm_margins_are_attained(seed, q, radius):
    """Vertices reach the bound for l1 and l-infinity, a constrained solver for l2."""
    rng = np.random.default_rng(seed)
    n, y = int(rng.integers(1, 6)), rng.choice([-1, 1])
    w, x = rng.normal(size=(2, n)) + 0.1
    lowest = y * w @ x - toy.margin_shift(w, radius, q)
    if q != "l2":
        found = (y * (x + ball(rng, n, radius, q)) @ w).min()
    else:
        inside = {"type": "ineq", "fun": lambda d: radius**2 - d @ d, "jac": lambda d: -2 * d}
        found = minimize(
            lambda d: y * (x + d) @ w,
            -1e-2 * y * w,
            jac=lambda d: y * w,
            constraints=[inside],
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        ).fun
    assert found == pytest.approx(lowest, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("q", ["l1", "l2", "linf"])
def test_thm_margins_extreme_sizes_in_fifty_digits(seed, q):
    """Entries and radii from 1e-250 to 1e250: the vertices (for l2 many directions) against the shift."""
    rng = np.random.default_rng(seed)
    n, y = int(rng.integers(1, 6)), int(rng.choice([-1, 1]))
    middle = rng.uniform(-200, 200)
    w = rng.choice([-1, 1], n) * 10 ** (middle + rng.uniform(-30, 30, n))
    radius = 10 ** rng.uniform(-40, 40)
    shift = float(toy.margin_shift(w, radius, q))
    with mp.workdps(50):
        exact, r = [mp.mpf(float(x)) for x in w], mp.mpf(radius)
        points = ball(rng, n, 1.0, q, 200)
        falls = [-y * mp.fdot(exact, [r * mp.mpf(float(x)) for x in point]) for point in points]
        if q == "l2":  # against the gradient; random points of the sphere fall short of it
            length = mp.sqrt(mp.fdot(exact, exact))
            falls.append(mp.fdot(exact, [r * x / length for x in exact]))
        assert max(falls) <= mp.mpf(shift) * (1 + mp.mpf(10) ** -14)
        assert abs(max(falls) / mp.mpf(shift) - 1) < 1e-14


def test_thm_margins_one_step_of_sam_is_exact_for_one_sample_and_not_for_two():
    rng = np.random.default_rng(1)
    for count in (1, 2):
        w, x = torch.tensor(rng.normal(size=5)), torch.tensor(rng.normal(size=(count, 5)))
        w.requires_grad_(True)
        loss = torch.nn.functional.softplus(-(x @ w)).mean()
        (g,) = torch.autograd.grad(loss, w)
        rho, n = 2.0, 5
        stepped = float(torch.nn.functional.softplus(-(x @ (w.detach() + rho * g / g.norm()))).mean())
        margins = np.asarray((x @ w).detach())
        alone = LOSSES["logistic"](margins - toy.margin_shift(x.numpy(), rho)).mean()
        points = ball(rng, n, rho, "l2", 100_000)
        best = LOSSES["logistic"](margins[:, None] + x.numpy() @ points.T).mean(0).max()
        if count == 1:
            assert stepped == pytest.approx(alone, rel=1e-12)
        else:  # n-SAM lies strictly below the mean of the samples' own maxima
            assert best <= alone + 1e-12 and stepped < alone - 0.1


def test_thm_margins_need_a_loss_that_falls_with_the_margin():
    w, x, eps = np.array([1.0, -2.0]), np.array([2.0, 0.2]), 0.3
    margin, shift = w @ x, toy.margin_shift(w, eps, "linf")
    worst = max((1 - w @ (x + np.array(d))) ** 2 for d in itertools.product([-eps, eps], repeat=2))
    assert margin > 1 and worst > (1 - (margin - shift)) ** 2 + 1


# --- prop-squared-margins -------------------------------------------------------------------------------


@settings(max_examples=50)
@given(seeds, st.floats(0, 3), st.sampled_from(["l1", "linf"]))
def test_prop_squared_margins(seed, radius, q):
    """The squared loss is convex in the input: a vertex of the ball is worst."""
    rng = np.random.default_rng(seed)
    n, y = int(rng.integers(1, 6)), rng.choice([-1, 1])
    w, x = rng.normal(size=(2, n)) * 1.5
    vertices = ball(rng, n, radius, q, 1)
    found = ((1 - y * (x + vertices) @ w) ** 2).max()
    expected = (abs(1 - y * w @ x) + toy.margin_shift(w, radius, q)) ** 2
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("q", ["l1", "linf"])
def test_prop_squared_margins_extreme_sizes_in_fifty_digits(seed, q):
    """Entries over sixty powers of ten, also beyond margin 1, where the worst way is up."""
    rng = np.random.default_rng(seed)
    n, y = int(rng.integers(1, 6)), int(rng.choice([-1, 1]))
    with mp.workdps(80):
        w, x = ([mp.mpf(float(v)) for v in rng.normal(size=n) * 10 ** rng.uniform(-15, 15, n)] for _ in "wx")
        radius = 10 ** rng.uniform(-15, 15)
        shift = radius * (sum(map(abs, w)) if q == "linf" else max(map(abs, w)))
        vertices = ball(rng, n, 1.0, q, 1)
        losses = [
            (1 - y * mp.fdot(w, [a + mp.mpf(radius) * mp.mpf(float(b)) for a, b in zip(x, v, strict=True)]))
            ** 2
            for v in (vertices if q == "linf" else vertices[: 2 * n])
        ]
        expected = (abs(1 - y * mp.fdot(w, x)) + shift) ** 2
        assert abs(max(losses) / expected - 1) < mp.mpf(10) ** -13


# --- prop-sam-order -------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(seeds, st.sampled_from(sorted(LOSSES)))
def test_prop_sam_order(seed, loss):
    """Maxima over one dense set of perturbations, for 1, 2, 4 and 8 samples that share one."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(8, 3)), rng.normal(size=3)
    points = np.vstack([np.zeros(3), ball(rng, 3, rng.uniform(0.1, 2), "l2")])
    values = LOSSES[loss](x @ (w + points).T)
    levels = [values.reshape(8 // k, k, -1).mean(1).max(1).mean() for k in (1, 2, 4, 8)]
    assert all(a >= b - 1e-12 for a, b in itertools.pairwise(levels))


@pytest.mark.parametrize("seed", range(10))
def test_prop_sam_order_extreme_sizes_in_fifty_digits(seed):
    """Samples and radii over many powers of ten; exponential losses that no float would hold."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(8, 3)) * 10 ** rng.uniform(-6, 3, (8, 1))
    points = np.vstack([np.zeros(3), 10 ** rng.uniform(-6, 2) * ball(rng, 3, 1.0, "l2", 60)])
    w = rng.normal(size=3) * 10 ** rng.uniform(-3, 2)
    with mp.workdps(50):
        values = [[mp.exp(-mp.mpf(float(v))) for v in row] for row in x @ (w + points).T]
        levels = []
        for size in (1, 2, 4, 8):
            batches = [values[i : i + size] for i in range(0, 8, size)]
            tops = [max(mp.fsum(column) for column in zip(*batch, strict=True)) for batch in batches]
            levels.append(mp.fsum(tops) / 8)
    assert all(a >= b for a, b in itertools.pairwise(levels))  # one sample may outweigh all others by e100


def test_prop_sam_order_is_strict_where_samples_disagree_and_equal_where_they_agree():
    points = ball(np.random.default_rng(0), 2, 1.0, "l2", 20_000)

    def gap(x):
        values = LOSSES["logistic"](x @ points.T)
        return values.max(1).mean() - values.mean(0).max()

    assert gap(np.array([[1.0, 0.0], [-1.0, 0.0]])) > 0.1
    assert gap(np.array([[1.0, 0.5], [1.0, 0.5]])) == pytest.approx(0, abs=1e-12)


# --- thm-first-layer ------------------------------------------------------------------------------------


def network(rng, n, hidden):
    torch.manual_seed(int(rng.integers(10**6)))
    return torch.nn.Sequential(
        torch.nn.Linear(n, hidden),
        torch.nn.Tanh(),
        torch.nn.Linear(hidden, 4),
        torch.nn.ReLU(),
        torch.nn.Linear(4, 3),
    ).double()


def with_layer(net, change, x):
    first = net[0]
    return net[1:](x @ (first.weight + change).T + first.bias)


@settings(max_examples=30)
@given(seeds)
def test_thm_first_layer_moving_the_layer_is_moving_the_input(seed):
    rng = np.random.default_rng(seed)
    n, hidden = int(rng.integers(1, 8)), int(rng.integers(1, 10))
    net = network(rng, n, hidden)
    x, delta = torch.tensor(rng.normal(size=(2, n)))
    W = net[0].weight.detach().numpy()
    change = toy.first_layer_perturbation(W, delta.numpy(), x.numpy())
    torch.testing.assert_close(with_layer(net, torch.tensor(change), x), net(x + delta), rtol=1e-9, atol=1e-9)
    size = np.sqrt((change**2).sum())
    assert size <= np.linalg.norm(W, 2) * delta.norm() / x.norm() + 1e-9
    # no matrix with the same effect is shorter: the least-norm solution of the linear system for Delta
    rows = np.kron(np.eye(hidden), x.numpy())
    shortest = np.linalg.lstsq(rows, W @ delta.numpy(), rcond=None)[0]
    assert np.linalg.norm(shortest) == pytest.approx(size, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("seed", range(15))
def test_thm_first_layer_extreme_sizes_in_fifty_digits(seed):
    """Layers, inputs and attacks of log-spaced sizes, rows of very different length."""
    rng = np.random.default_rng(seed)
    n, hidden = int(rng.integers(1, 7)), int(rng.integers(1, 7))
    W = rng.normal(size=(hidden, n)) * 10 ** rng.uniform(-40, 40, (hidden, 1))
    x = rng.normal(size=n) * 10 ** rng.uniform(-200, 200)
    delta = rng.normal(size=n) * np.abs(x).max() * 10 ** rng.uniform(-20, 20)
    change = toy.first_layer_perturbation(W, delta, x)
    with mp.workdps(50):
        layer, moved, at, attack = (mp.matrix(v.tolist()) for v in (W, change, x, delta))
        effect, wanted = moved * at, layer * attack
        for i in range(hidden):  # to the rounding of each row's products
            room = sum(abs(layer[i, j] * attack[j]) for j in range(n))
            assert abs(effect[i] - wanted[i]) <= 1e-14 * room
        size = mp.mnorm(moved, "f")
        assert size <= mp.mnorm(layer, "f") * mp.norm(attack) / mp.norm(at) * (1 + mp.mpf(10) ** -14)
        assert abs(size - mp.norm(wanted) / mp.norm(at)) <= 1e-13 * mp.mnorm(layer, "f") * mp.norm(
            attack
        ) / mp.norm(at)


@settings(max_examples=10)
@given(seeds, st.floats(0.1, 1.0))
def test_thm_first_layer_inclusion_of_the_worst_cases(seed, eps):
    """Random search over attacks never beats projected ascent over layers, started at its own image."""
    rng = np.random.default_rng(seed)
    net, n = network(rng, 4, 6), 4
    x, label = torch.tensor(rng.normal(size=n) + 0.2), torch.tensor([0])
    W = net[0].weight.detach()
    attacks = torch.tensor(ball(rng, n, eps, "l2", 2000))
    attacked = torch.nn.functional.cross_entropy(
        net(x + attacks), label.expand(len(attacks)), reduction="none"
    )
    best = attacks[attacked.argmax()].numpy()
    rho = float(eps * torch.linalg.matrix_norm(W, 2) / x.norm())
    change = torch.tensor(toy.first_layer_perturbation(W.numpy(), best, x.numpy()))
    assert change.norm() <= rho + 1e-12
    highest = -math.inf
    for _ in range(30):
        change.requires_grad_(True)
        loss = torch.nn.functional.cross_entropy(with_layer(net, change, x)[None], label)
        highest = max(highest, float(loss))
        (g,) = torch.autograd.grad(loss, change)
        change = change.detach() + 0.2 * rho * g / (g.norm() + 1e-12)
        change *= min(1.0, rho / float(change.norm()))
    assert highest >= float(attacked.max()) - 1e-9


def test_thm_first_layer_fails_for_a_change_that_two_samples_share():
    """x and -x under the same attack: Delta x = W delta and -Delta x = W delta cannot both hold."""
    rng = np.random.default_rng(3)
    W, x, delta = rng.normal(size=(5, 4)), rng.normal(size=4), rng.normal(size=4)
    pair, target = np.stack([x, -x]), np.stack([W @ delta] * 2)
    best = np.linalg.lstsq(pair, target, rcond=None)[0]
    assert np.abs(pair @ best - target).max() > 0.1


def test_thm_first_layer_fails_for_convolutions():
    """The best change of a shared kernel leaves most of an attack's effect unreproduced."""
    rng = np.random.default_rng(4)
    x, delta, kernel = rng.normal(size=30), rng.normal(size=30), rng.normal(size=3)
    rows = np.stack([x[i : i + 3] for i in range(28)])
    effect = np.stack([delta[i : i + 3] for i in range(28)]) @ kernel
    best, *_ = np.linalg.lstsq(rows, effect, rcond=None)
    assert ((rows @ best - effect) ** 2).sum() > 0.5 * (effect**2).sum()


def test_thm_first_layer_needs_an_input_that_is_not_zero():
    with pytest.raises(ValueError, match="x must not be zero"):
        toy.first_layer_perturbation(np.ones((2, 2)), np.ones(2), np.zeros(2))


# --- prop-equal-w1 --------------------------------------------------------------------------------------


def accuracy(m, a, kappa=None):
    kappa, root = m.eta if kappa is None else kappa, math.sqrt(m.d)
    return m.p * norm.cdf((m.d * kappa + a) / root) + (1 - m.p) * norm.cdf((m.d * kappa - a) / root)


def attacked_weight(m, eps):
    """AT's optimum by search, not by its formula."""
    star = toy.standard_optimum(m)
    return minimize_scalar(
        lambda a: -accuracy(m, a, m.eta - eps),
        bounds=(0.5 * star, 3 * star),
        method="bounded",
        options={"xatol": 1e-10},
    ).x


@pytest.mark.parametrize("key", SETS)
@pytest.mark.parametrize("share", [0.01, 0.1, 0.4])
def test_prop_equal_w1_worst_case_balances_at_the_attacked_weight(key, share):
    m = toy.NRFModel(*key)
    eps = share * m.eta
    r, a = toy.equivalent_rho(m, eps), attacked_weight(m, eps)
    assert accuracy(m, a + r) == pytest.approx(accuracy(m, a - r), abs=2e-7)
    below, above = (min(accuracy(m, a + s - r), accuracy(m, a + s + r)) for s in (-0.3, 0.3))
    assert min(accuracy(m, a - r), accuracy(m, a + r)) > max(below, above)  # the max-min is there


@pytest.mark.parametrize("key", SETS)
def test_prop_equal_w1_leading_order_of_the_worst_case(key):
    m = toy.NRFModel(*key)
    errors = []
    for share in (1e-2, 1e-3):
        eps = share * m.eta
        a = m.log_odds / (2 * (m.eta - eps))
        r = brentq(
            lambda r, a=a: accuracy(m, a + r) - accuracy(m, a - r),
            a - toy.standard_optimum(m),
            3 * math.sqrt(m.d),
        )
        errors.append(abs(r / math.sqrt(3 * m.d * eps / (m.eta - eps)) - 1))
        assert toy.equivalent_rho(m, eps) == pytest.approx(r, rel=1e-6)
    assert errors[1] < 0.2 * errors[0] + 1e-6 and errors[1] < 2e-3


@settings(max_examples=25)
@given(st.floats(0.55, 0.97), st.floats(0.1, 1.0), st.integers(1, 60), st.floats(0.05, 0.6))
def test_prop_equal_w1_gaussian_is_exact(p, eta, d, share):
    """At the attacked weight the average over noise in w1, by quadrature, is stationary and highest."""
    m, root = toy.NRFModel(p, eta, d), math.sqrt(d)
    eps = share * eta
    sigma, a = math.sqrt(d * eps / (eta - eps)), m.log_odds / (2 * (eta - eps))

    def average(at):
        return quad(lambda t: norm.pdf(t) * accuracy(m, at + sigma * t), -8.5, 8.5, epsabs=1e-13, limit=200)[
            0
        ]

    step = 0.05 * math.hypot(root, sigma)
    low, here, high = average(a - step), average(a), average(a + step)
    assert here >= max(low, high) - 1e-12
    assert toy.equivalent_rho(m, eps, kind="gaussian") == pytest.approx(sigma, rel=1e-9)


def test_prop_equal_w1_needs_an_attack_below_eta():
    m = toy.NRFModel(*SETS[1])
    for kind in ("worst", "gaussian"):
        assert toy.equivalent_rho(m, m.eta, kind=kind) is None
        assert toy.equivalent_rho(m, 0.0, kind=kind) == 0
        assert toy.equivalent_rho(m, 0.9999 * m.eta, kind=kind) > 10 * math.sqrt(m.d)


def test_prop_equal_w1_the_reported_relation_is_too_small_by_the_root_of_2d():
    for key in SETS:
        m = toy.NRFModel(*key)
        eps = 1e-3 * m.eta
        reported = math.sqrt(3 / (2 * m.eta / eps - 2))
        assert toy.equivalent_rho(m, eps) / reported == pytest.approx(math.sqrt(2 * m.d), rel=2e-3)
        way = (toy.sam_optimum(m, reported) / toy.standard_optimum(m) - 1) / (eps / (m.eta - eps))
        assert way == pytest.approx(1 / (2 * m.d), rel=0.01)


# --- exp-equal-radii ------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", SETS)
@pytest.mark.parametrize("convention", ["gaussian", "per-sample"])
def test_exp_equal_radii_leading_order(key, convention):
    """The optimum at the predicted radius comes close to the attack's, the closer the smaller the attack."""
    m, options = toy.NRFModel(*key), toy.CONVENTION[convention].options
    errors = []
    for share in (0.1, 0.01):
        eps = share * m.eta
        rho = toy.equivalent_rho_leading(m, eps, **options)
        gain = toy.sam_optimum(m, rho, **options) / toy.standard_optimum(m) - 1
        errors.append(abs(gain / (eps / (m.eta - eps)) - 1))
    assert errors[1] < 0.08 and errors[1] < errors[0] + 0.02


def test_exp_equal_radii_per_sample_is_linear_and_the_others_are_not():
    m = toy.NRFModel(*SETS[0])
    for convention, power in (("per-sample", 1), ("gaussian", 0.5), ("robust-worst", 0.5)):
        low, high = (
            toy.equivalent_rho(m, eps * m.eta, **toy.CONVENTION[convention].options) for eps in (0.01, 0.04)
        )
        assert math.log(high / low) / math.log(4) == pytest.approx(power, abs=0.03)


def test_exp_equal_radii_shared_worst_case_has_no_small_radius_below_the_root_of_two():
    m, options = toy.NRFModel(*SETS[2]), toy.CONVENTION["l2-worst"].options
    assert toy.standard_optimum(m) / math.sqrt(m.d) < math.sqrt(2)
    assert toy.equivalent_rho_leading(m, 0.1 * m.eta, **options) is None
    for share in (0.05, 0.2, 0.5, 0.7):
        assert toy.sam_optimum(m, share * math.sqrt(m.d), **options) < toy.standard_optimum(m)
    found = toy.equivalent_rho(m, 0.1 * m.eta, **options)
    assert found is None or found > 0.8 * math.sqrt(m.d)
    strong = toy.NRFModel(*SETS[0])
    assert toy.equivalent_rho(strong, 0.01 * strong.eta, **options) < 0.5 * math.sqrt(strong.d)


def test_exp_equal_radii_one_step_has_none():
    for key in SETS:
        m = toy.NRFModel(*key)
        assert toy.equivalent_rho(m, 0.1 * m.eta, **toy.CONVENTION["one-step"].options) is None


@pytest.mark.parametrize("seed", range(2))
def test_exp_equal_radii_extreme_models_in_fifty_digits(seed):
    """A ten-millionth of eta: the balance tips at the predicted radius; below the root of two nowhere."""
    rng = np.random.default_rng(seed)
    c, d = 10 ** rng.uniform(-2, 0.5), int(10 ** rng.uniform(0, 5))
    for t in (math.sqrt(2) + 10 ** rng.uniform(-0.5, 0.7), math.sqrt(2) * 10 ** rng.uniform(-2, -0.1)):
        m = precise.of(min(t, 15 / c), c, d)
        with mp.workdps(precise.DIGITS):
            share = mp.mpf(10) ** -7 * min(1, m.c**2) * mp.mpf(t) ** 2
            target = precise.star(m) / (1 - share)
            if t < math.sqrt(2):
                small = [mp.mpf(10) ** e * min(t, 1, 1 / c) * mp.sqrt(d) for e in (-5, -2)]
                assert not any(precise.l2_worst(m, target, rho).gains() for rho in small)
                continue
            t2 = precise.star(m) ** 2 / d
            predicted = mp.sqrt(3 * d / (t2 - 2) * share / (1 - share))
            sides = [precise.l2_worst(m, target, predicted * (1 + e)).gains() for e in (-0.02, 0.02)]
        assert sides == [False, True]


@pytest.mark.parametrize("seed", range(2))
def test_exp_equal_radii_per_sample_with_many_features_in_fifty_digits(seed):
    """d from 1e4 to 1e5, eta up to 1/10: linear in eps, by the root of d to a few per mille."""
    rng = np.random.default_rng(seed)
    c, d = (10 ** rng.uniform(-1, 0.3), 31.6)[seed], int(10 ** rng.uniform(4, 5))
    m = precise.of(10 ** rng.uniform(-1, 0.3) / (1, 30)[seed], c, d)
    with mp.workdps(40):
        share = mp.mpf(10) ** -6
        target, predicted = precise.star(m) / (1 - share), share * m.eta * math.sqrt(d)
        low, high = (precise.survivors_rate(m, target, predicted * (1 + e)) for e in (-0.005, 0.005))
    assert low < 0 < high


def test_exp_equal_radii_of_noise_are_those_of_the_accuracy():
    """On the logistic loss noise in all weights (true norms) lowers the ratio of a poor robust feature."""
    z, mass = np.polynomial.hermite_e.hermegauss(40)
    mass = mass / mass.sum()
    for (p, eta, d), way in (((0.95, 0.1, 100), 1), ((0.6, 0.1, 100), -1), ((0.55, 0.5, 2), -1)):
        m, sigma = toy.NRFModel(p, eta, d), 0.05 if d > 10 else 0.2
        k = np.sqrt(chi2.ppf((np.arange(30) + 0.5) / 30, d - 1))
        g, size = m.c + z[:, None], np.sqrt(1 + (m.c + z[:, None]) ** 2 + k**2)

        def noisy(w, sigma, m=m, g=g, size=size):
            total = 0.0
            for s, share in ((1, m.p), (-1, 1 - m.p)):
                margin = (w[0] * s + w[1] * g)[..., None] + sigma * size[..., None] * z
                total += share * float(mass @ (np.logaddexp(0, -margin) @ mass).mean(1))
            return total

        start = [m.log_odds, 2 * m.c]
        plain, shaken = (
            minimize(noisy, start, (s,), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-15}).x
            for s in (0.0, sigma)
        )
        assert way * (shaken[0] / shaken[1] - plain[0] / plain[1]) > 1e-5
        assert toy.sam_expansion(m, "all", kind="gaussian").coefficient > 0  # the accuracy: up


@pytest.mark.parametrize("seed", range(15))
def test_prop_equal_w1_exactly_one_radius(seed):
    """A(a + r) - A(a - r) over ten decades of r, 80 digits: first negative, then positive, one change."""
    rng = np.random.default_rng(seed)
    m, _ = precise.draw(rng)
    with mp.workdps(80):
        share = mp.mpf(10 ** rng.uniform(-3, -0.01))
        a, root, d = precise.star(m) / (1 - share), mp.sqrt(m.d), mp.mpf(m.d)
        # 1000 radii around those that matter: from far below a - a* to far beyond the tails
        radii = [a * mp.mpf(10) ** e for e in np.linspace(-4, 2, 600)]
        radii += [root * mp.mpf(10) ** e for e in np.linspace(-4, 3, 600)]
        signs = []
        for r in sorted(radii):
            ends = [precise.Classifier(m, a + s * r, d, root) for s in (1, -1)]
            signs.append(ends[0].better_than(ends[1]) > 0)
        assert not signs[0] and signs[-1] and sum(x != y for x, y in itertools.pairwise(signs)) == 1
        found = mp.mpf(toy.equivalent_rho(m, float(share) * m.eta))
        sides = []
        for room in (-1e-5, 1e-5):
            ends = [precise.Classifier(m, a + s * found * (1 + room), d, root) for s in (1, -1)]
            sides.append(ends[0].better_than(ends[1]) > 0)
        assert sides == [False, True]
