"""Witnesses of chapter 6: the closed forms of the accuracy against sampling, autograd and random weights."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from sam_edu import toy
from tests.toy import precise

models = st.builds(toy.NRFModel, p=st.floats(0.52, 0.98), eta=st.floats(0.05, 1.0), d=st.integers(1, 60))


def accuracy(m, w1, u):
    """Formula (1), written down again."""
    tau, gamma = w1 / np.linalg.norm(u), m.eta * u.sum() / np.linalg.norm(u)
    return m.p * norm.cdf(gamma + tau) + (1 - m.p) * norm.cdf(gamma - tau)


@settings(max_examples=40)
@given(models, st.floats(-4, 4), st.integers(0, 10**6))
def test_prop_equal_weights_no_other_direction_does_better(m, tau, seed):
    rng = np.random.default_rng(seed)
    best = accuracy(m, tau * math.sqrt(m.d), np.ones(m.d))
    for u in (rng.normal(size=m.d), 1 + 0.2 * rng.normal(size=m.d), rng.exponential(size=m.d)):
        value = accuracy(m, tau * np.linalg.norm(u), u)
        assert value <= best + 1e-12
        # strictly worse where the weights differ: 1 - cos is the share of the mean that is lost
        if (1 - u.sum() / (math.sqrt(m.d) * np.linalg.norm(u))) * m.c > 1e-3 and abs(tau) + m.c < 4:
            assert value < best


def test_prop_equal_weights_the_formula_is_the_share_of_right_answers():
    m, rng = toy.NRFModel(0.8, 0.3, 6), np.random.default_rng(0)
    x, y = m.sample(200_000, seed=1)
    for _ in range(5):
        w1, u = rng.normal(), rng.normal(size=m.d)
        expected = accuracy(m, w1, u)
        hits = (y * (w1 * x[:, 0] + x[:, 1:] @ u) > 0).mean()
        assert abs(hits - expected) < 4 * math.sqrt(expected * (1 - expected) / len(y))


def test_prop_equal_weights_needs_independent_features_of_equal_strength():
    """With one twin of a weak feature, or one stronger feature, unequal weights are better."""
    m = toy.NRFModel(0.6, 0.4, 4)
    covariance = np.eye(4)
    covariance[0, 1] = covariance[1, 0] = 0.95  # features 2 and 3 say nearly the same

    def gamma(u, mean, covariance):
        return u @ mean / math.sqrt(u @ covariance @ u)

    mean = np.full(4, m.eta)
    assert gamma(np.linalg.solve(covariance, mean), mean, covariance) > 1.05 * gamma(
        np.ones(4), mean, covariance
    )
    stronger = np.array([2.0, 1, 1, 1]) * m.eta
    assert gamma(stronger, stronger, np.eye(4)) > 1.03 * gamma(np.ones(4), stronger, np.eye(4))


@pytest.mark.parametrize("seed", range(20))
def test_prop_equal_weights_extreme_models_in_fifty_digits(seed):
    """Weights that differ by 1e-20 to 1e8, some or all but one: worse at the same tau, whatever tau."""
    rng = np.random.default_rng(seed)
    m, _ = precise.draw(rng, wide=seed % 2 == 1)
    while m.d == 1 or m.c > 8:
        m, _ = precise.draw(rng, wide=seed % 2 == 1)
    with mp.workdps(300):
        d, other = mp.mpf(m.d), int(rng.integers(1, m.d))  # so many weights are 1 + x, the others 1
        for x in (10 ** rng.uniform(-20, 8), -(10 ** rng.uniform(-20, -1)), -2.0):
            total, size = d + other * mp.mpf(x), mp.sqrt(d - other + other * (1 + mp.mpf(x)) ** 2)
            for tau in (0, 10 ** rng.uniform(-6, 1), -(10 ** rng.uniform(-6, 1))):
                equal = precise.Classifier(m, mp.mpf(tau) * mp.sqrt(d), d, mp.sqrt(d))
                unequal = precise.Classifier(m, mp.mpf(tau) * size, total, size)
                assert equal.better_than(unequal) > 0 > unequal.better_than(equal)


@settings(max_examples=50)
@given(models, st.floats(-40, 40), st.floats(-2, 2))
def test_lem_slope_the_derivative_against_autograd(m, a, kappa):
    at = torch.tensor(a, dtype=torch.float64, requires_grad=True)
    root = math.sqrt(m.d)
    accuracy = m.p * torch.special.ndtr((at + m.d * kappa) / root) + (1 - m.p) * torch.special.ndtr(
        (m.d * kappa - at) / root
    )
    (slope,) = torch.autograd.grad(accuracy, at)
    assert float(m.accuracy_slope(a, shift=kappa)) == pytest.approx(float(slope), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("seed", range(20))
def test_lem_slope_extreme_models_in_fifty_digits(seed):
    """Log-spaced models: the sign and the size of a difference quotient of the accuracy as it is defined."""
    rng = np.random.default_rng(seed)
    m, _ = precise.draw(rng)
    with mp.workdps(120):
        kappa = mp.mpf(m.eta * rng.uniform(-1, 1))
        a = mp.mpf(float(rng.uniform(0, 2))) * precise.log_odds(m) / (2 * mp.mpf(m.eta))
        p, root, h = mp.mpf(m.p), mp.sqrt(m.d), mp.mpf(10) ** -40

        def rise(low, high):  # of the accuracy, each term where it is small
            up = precise.difference((m.d * kappa + high) / root, (m.d * kappa + low) / root)
            return p * up + (1 - p) * precise.difference(
                (m.d * kappa - high) / root, (m.d * kappa - low) / root
            )

        half = precise.log_odds(m) / 2
        formula = 2 * mp.sqrt(p * (1 - p)) / mp.sqrt(2 * mp.pi * m.d)
        formula *= mp.exp(-(a**2 + (m.d * kappa) ** 2) / (2 * m.d)) * mp.sinh(half - a * kappa)
        assert abs(rise(a - h, a + h) / (2 * h) / formula - 1) < mp.mpf(10) ** -12
