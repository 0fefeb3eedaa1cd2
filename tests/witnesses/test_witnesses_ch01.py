"""One witness per statement of chapter 1: each tries to break it by a route that the proof does not take.

The bounds are tried on a world small enough to be computed exactly: linear classifiers of a few points in
the plane. Where a statement needs an assumption, a test drops it and watches the statement fail.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter1d
from scipy.special import logsumexp
from scipy.stats import binom, chi2
from torch import nn
from torch.func import functional_call, hessian
from torch.nn.functional import cross_entropy

from sam_edu import attacks, sharpness, toy

# --- prop-rescaling ------------------------------------------------------------------------------------


def relu_net(seed, activation=nn.ReLU):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 5), activation(), nn.Linear(5, 3)).double().eval()


def rescaled(net, alpha):
    """A new net with the first layer times alpha and the second divided by it; no deepcopy, no in-place."""
    twin = nn.Sequential(nn.Linear(4, 5), type(net[1])(), nn.Linear(5, 3)).double().eval()
    w1, b1, w2, b2 = (p.detach() for p in net.parameters())
    twin.load_state_dict({"0.weight": alpha * w1, "0.bias": alpha * b1, "2.weight": w2 / alpha, "2.bias": b2})
    return twin


def batch(seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.rand(30, 4, generator=g, dtype=torch.float64), torch.randint(3, (30,), generator=g)


def full_hessian(net, x, y):
    """Dense Hessian over all weights, by torch.func (forward over reverse)."""
    names, shapes = zip(*((n, p.shape) for n, p in net.named_parameters()), strict=True)
    flat = torch.cat([p.detach().flatten() for p in net.parameters()])

    def loss(v):
        cut = v.split([s.numel() for s in shapes])
        return cross_entropy(
            functional_call(net, {n: c.view(s) for n, c, s in zip(names, cut, shapes, strict=True)}, (x,)),
            y,
        )

    return hessian(loss)(flat), flat


@settings(max_examples=25)
@given(st.integers(0, 999), st.floats(0.05, 20))
def test_prop_rescaling_a_same_function_same_robustness(seed, alpha):
    net, (x, y) = relu_net(seed), batch(seed)
    twin = rescaled(net, alpha)
    torch.testing.assert_close(twin(x), net(x), rtol=1e-9, atol=1e-9)
    attack = attacks.PGD(eps=0.1, steps=5, random_start=False)
    gap = [cross_entropy(m(attack(m, x, y)), y).item() for m in (net, twin)]
    assert gap[0] == pytest.approx(gap[1], rel=1e-6)


@settings(max_examples=15)
@given(st.integers(0, 999), st.sampled_from([0.1, 0.5, 2.0, 10.0]))
def test_prop_rescaling_b_the_curvature_is_at_least_the_rescaled_diagonal(seed, alpha):
    net, (x, y) = relu_net(seed), batch(seed)
    before, _ = full_hessian(net, x, y)
    after, _ = full_hessian(rescaled(net, alpha), x, y)
    top = float(torch.linalg.eigvalsh(after)[-1])
    into, out = before.diagonal()[:25], before.diagonal()[25:40]  # W1 and b1; W2
    assert top >= alpha**2 * float(out.max()) * (1 - 1e-9)
    assert top >= float(into.max()) / alpha**2 * (1 - 1e-9)
    scale = torch.cat([torch.full((25,), alpha), torch.full((15,), 1 / alpha), torch.ones(3)]).double()
    torch.testing.assert_close(after, before / scale / scale[:, None], rtol=1e-6, atol=1e-9)


@settings(max_examples=10)
@given(st.integers(0, 999), st.floats(0.1, 10))
def test_prop_rescaling_c_the_adaptive_measures_stay(seed, alpha):
    net, (x, y) = relu_net(seed), batch(seed)
    twin = rescaled(net, alpha)
    found = [sharpness.worst_loss_in_ball(m, x, y, 0.5, 30, adaptive=True).sharpness for m in (net, twin)]
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    exact = []
    for m in (net, twin):
        h, w = full_hessian(m, x, y)
        exact.append(float(torch.linalg.eigvalsh(w.abs() * h * w.abs()[:, None])[-1]))
    assert exact[0] == pytest.approx(exact[1], rel=1e-8)


@pytest.mark.parametrize("exponent", [-6, -3, 3, 6])
def test_prop_rescaling_extreme_factors(exponent):
    """From a millionth to a million: the same function, curvature like the square of the factor."""
    net, (x, y), alpha = relu_net(exponent + 6), batch(exponent + 6), 10.0**exponent
    twin = rescaled(net, alpha)
    torch.testing.assert_close(twin(x), net(x), rtol=1e-9, atol=1e-9)
    before, w = full_hessian(net, x, y)
    after, moved = full_hessian(twin, x, y)
    top = float(torch.linalg.eigvalsh(after)[-1])
    assert top >= alpha**2 * float(before.diagonal()[25:40].max()) * (1 - 1e-9)
    assert top >= float(before.diagonal()[:25].max()) / alpha**2 * (1 - 1e-9)
    first, second = (v.abs() * h * v.abs()[:, None] for h, v in ((before, w), (after, moved)))
    torch.testing.assert_close(first, second, rtol=1e-6, atol=1e-9)


def test_prop_rescaling_needs_relu_a_positive_factor_and_the_adaptive_ball():
    x, y = batch()
    tanh = relu_net(0, nn.Tanh)
    assert (rescaled(tanh, 4.0)(x) - tanh(x)).abs().max() > 0.01
    net = relu_net(0)
    assert (rescaled(net, -1.0)(x) - net(x)).abs().max() > 0.01
    plain = [sharpness.worst_loss_in_ball(m, x, y, 0.5, 30).sharpness for m in (net, rescaled(net, 8.0))]
    assert plain[1] > 2 * plain[0]


# --- a world that can be computed: linear classifiers of twelve points in the plane ----------------------

ANGLES = np.linspace(0, 2 * np.pi, 720, endpoint=False) + 1e-3


class SmallWorld:
    """Twelve points with random labels; the error of w depends on its angle alone."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        points, labels = rng.normal(size=(12, 2)), rng.choice([-1, 1], 12)
        directions = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)
        self.wrong = (labels * (directions @ points.T) < 0).astype(float)  # (angles, points)
        self.chance = rng.dirichlet(np.ones(12))
        self.expected = self.wrong @ self.chance
        self.rng = rng

    def sample(self, n):
        """Error of every angle on a sample of size n."""
        return self.wrong @ (self.rng.multinomial(n, self.chance) / n)

    @staticmethod
    def worst(error, w_norm, rho):
        """Highest error within rho of a w of this length, per angle (on the grid: at most the true one)."""
        half = math.pi if rho >= w_norm else math.asin(rho / w_norm)
        return maximum_filter1d(error, 2 * int(half / (ANGLES[1] - ANGLES[0])) + 1, mode="wrap")

    def in_noise(self, w_norm, sigma):
        """Mean expected error at w + sigma z, per angle: the angle of w + sigma z, by sampling."""
        z = np.random.default_rng(1).normal(size=(4000, 2))
        turned = np.arctan2(sigma * z[:, 1], w_norm + sigma * z[:, 0])
        steps = np.round(turned / (ANGLES[1] - ANGLES[0])).astype(int)
        counted = zip(*np.unique(steps, return_counts=True), strict=True)
        return np.sum([np.roll(self.expected, -step) * count for step, count in counted], axis=0) / len(z)


def violations(world, n, draws, term, condition=True):
    """In how many samples some w (720 angles, three lengths) breaks L_D <= max L_S + term(length, rho)."""
    broken = 0
    cases = [(length, rho) for length in (0.5, 1.0, 3.0) for rho in (0.05, 0.3)]
    allowed = {}
    for length, rho in cases:
        sigma = rho / (math.sqrt(2) + math.sqrt(math.log(n)))
        holds = world.expected <= world.in_noise(length, sigma) + 1e-9
        allowed[length, rho] = holds if condition else np.ones_like(holds)
        assert allowed[length, rho].any()
    for _ in range(draws):
        error = world.sample(n)
        broken += any(
            (world.expected > world.worst(error, length, rho) + term(length, rho))[allowed[length, rho]].any()
            for length, rho in cases
        )
    return broken


# --- thm-pac-bayes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_thm_pac_bayes_many_samples_of_a_small_world(seed):
    n, delta, world = 1500, 0.1, SmallWorld(seed)

    def term(length, rho):
        return float(toy.pac_bayes_bound(0.0, length, rho, 2, n, delta))

    assert term(3.0, 0.05) < 0.4  # it says something here
    assert violations(world, n, 150, term) <= delta * 150
    assert violations(world, n, 150, lambda *_: 0.0) > 15  # and without the second term it would be false


@pytest.mark.parametrize("n", [2, 3, 10, 60, 400])
def test_thm_pac_bayes_step_1_the_moment(n):
    """E_S exp(2 (n-1) max(L_D - L_S, 0)^2) <= n, summed over the binomial law."""
    hits = np.arange(n + 1)
    for p in np.linspace(0.01, 0.99, 50):
        gap = np.maximum(p - hits / n, 0)
        assert logsumexp(binom.logpmf(hits, n, p) + 2 * (n - 1) * gap**2) <= math.log(n)


@settings(max_examples=200)
@given(st.integers(1, 10**6), st.integers(2, 10**6), st.floats(1e-3, 1e3), st.floats(0.001, 0.5))
def test_thm_pac_bayes_step_2_some_prior_is_close_enough(k, n, length, delta):
    """The best of the listed priors (found by search, divergence by torch) stays below the formula."""
    rho = 1.0
    claimed = float(toy.pac_bayes_bound(0.0, length, rho, k, n, delta))
    sigma = rho / (math.sqrt(k) + math.sqrt(math.log(n)))
    if claimed > 1:
        return  # the bound says nothing
    top = 2 * math.log(sigma) + np.logaddexp(0, 4 * n / k)  # log variance of the first prior
    wanted = math.log(sigma**2 + length**2 / k)
    guess = 1 + int(k * (top - wanted))
    terms = []
    for j in {max(1, guess + i) for i in range(-2, 3)}:
        prior = torch.distributions.Normal(
            torch.zeros((), dtype=torch.float64), math.exp((top + (1 - j) / k) / 2)
        )
        here = torch.distributions.Normal(
            torch.tensor(length / math.sqrt(k), dtype=torch.float64), torch.tensor(sigma, dtype=torch.float64)
        )
        divergence = k * float(torch.distributions.kl_divergence(here, prior))
        terms.append(divergence + math.log(n * math.pi**2 * j**2 / (6 * delta)))
    assert n**-0.5 + math.sqrt(min(terms) / (2 * (n - 1))) <= claimed * (1 + 1e-9)


@pytest.mark.parametrize("k", [1, 2, 5, 50, 1000, 10**6])
def test_thm_pac_bayes_step_3_noise_stays_in_the_ball(k):
    for n in (2, 10, 1000, 10**6):
        assert chi2.sf((math.sqrt(k) + math.sqrt(math.log(n))) ** 2, k) <= n**-0.5


def test_thm_pac_bayes_the_step_with_the_average_needs_the_noise_condition():
    """A needle at w = 1: the expected loss there is 1, its average in noise 0, and so is the sample's."""
    n, delta, rho, width = 10_000, 0.05, 0.1, 1e-9
    sigma = rho / (1 + math.sqrt(math.log(n)))

    def loss(w):  # the same for every sample, so L_D = L_S
        return (np.abs(w - 1) < width).astype(float)

    around = float(loss(1 + sigma * np.random.default_rng(0).normal(size=100_000)).mean())
    second = float(toy.pac_bayes_bound(0.0, 1.0, rho, 1, n, delta))
    assert loss(np.array(1.0)) > around + second  # the bound by the average is broken
    assert loss(np.array(1.0)) > around  # and the condition is what fails
    assert float(toy.pac_bayes_bound(1.0, 1.0, rho, 1, n, delta)) >= 1  # the maximum sees the needle


def test_thm_pac_bayes_needs_a_bounded_loss():
    """One sample in a million costs a million: nearly every sample misses it."""
    n, rare, cost = 1000, 1e-6, 1e6
    missed = (1 - rare) ** n
    expected = rare * cost
    assert missed > 0.99
    assert expected > float(toy.pac_bayes_bound(0.0, 1.0, 1.0, 2, n, 0.05))  # fails with probability > 0.99


# --- prop-pac-cover --------------------------------------------------------------------------------------


def cover_term(length, rho, k, n, delta):
    return math.sqrt(((k + 1) * math.log1p(8 * length / rho) + math.log(2 / delta)) / (2 * n))


@pytest.mark.parametrize("seed", range(3))
def test_prop_pac_cover_many_samples_of_a_small_world(seed):
    n, delta, world = 300, 0.1, SmallWorld(seed)

    def term(length, rho):
        return cover_term(length, rho, 2, n, delta)

    assert term(3.0, 0.05) < 0.25
    assert violations(world, n, 150, term, condition=False) <= delta * 150
    assert violations(world, n, 150, lambda *_: 0.0, condition=False) > 15


@settings(max_examples=200)
@given(st.integers(1, 10**6), st.floats(0, 1e4), st.floats(0.001, 0.9))
def test_prop_pac_cover_every_level_stays_below_the_formula(k, length, delta):
    """The level that holds w, its number of cells and its share of delta, against C'."""
    rho = 1.0
    r, j = rho / 2, 0
    while length > 2**j * r:
        j += 1
    cells = 0.0 if j == 0 else k * math.log1p(2 ** (j + 1))
    needed = cells + (j + 1) * math.log(2) + math.log(1 / delta)
    assert needed <= 2 * cover_term(length, rho, k, 1, delta) ** 2 * (1 + 1e-12)


def test_prop_pac_cover_so_many_cells_suffice():
    """Points of a disc that keep a distance r from each other: there are at most (1 + 2R/r)^2 of them."""
    rng = np.random.default_rng(0)
    for level in (1, 2, 3):
        kept = np.empty((0, 2))
        for point in rng.uniform(-(2**level), 2**level, (20_000, 2)):
            if point @ point <= 4**level and (np.linalg.norm(kept - point, axis=1) > 1).all():
                kept = np.vstack([kept, point])
        assert len(kept) <= (1 + 2 ** (level + 1)) ** 2


def test_prop_pac_cover_needs_the_maximum():
    """A weight whose binary digits are its losses remembers the sample: zero on it, one elsewhere."""
    n, kinds, rho, delta = 200, 4000, 0.25, 0.05
    sample = set(np.random.default_rng(0).integers(0, kinds, n).tolist())
    w = sum(Fraction(0 if z in sample else 1, 2 ** (z + 1)) for z in range(kinds))  # digits 0 and 1

    def loss(v, z):
        return int(v * 2 ** (z + 1)) % 2

    on_sample = sum(loss(w, z) for z in sample)
    expected = sum(loss(w, z) for z in range(kinds)) / kinds
    assert on_sample == 0 and 0 < w < 1
    assert expected > cover_term(float(w), rho, 1, n, delta)  # without the maximum the bound is broken
    other = w + sum(Fraction(1, 2 ** (z + 1)) for z in sample if z >= 3)  # within rho, and wrong there
    assert abs(other - w) <= Fraction(1, 4)
    assert sum(loss(other, z) for z in sample) >= n - 30
