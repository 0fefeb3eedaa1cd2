"""Equal radii and SAM for each sample over their whole range: right in fifty digits, or a clear error."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import log_expit

from sam_edu import toy
from tests.toy import precise


def drawn(rng, key, wide=False):
    """A log-spaced model and attack: eps from 1e-8 of eta to 1 - 1e-6 of it."""
    m, _ = precise.draw(rng, 1000 if key == "linf-worst" else 10**5, wide)
    share = 10 ** rng.uniform(-8, 0) if rng.random() < 0.7 else 1 - 10 ** rng.uniform(-6, -0.3)
    return m, m.eta * share


def above(m, key, eps, rho):
    """Does SAM with this radius lie above the weight of the attack? In 50 digits."""
    with mp.workdps(precise.DIGITS):
        target = precise.log_odds(m) / (2 * (mp.mpf(m.eta) - mp.mpf(eps)))
        return precise.WORST[key](m, target, mp.mpf(rho)).gains()


LIMIT = {"robust-worst": lambda m: math.inf, "l2-worst": lambda m: math.sqrt(m.d), "linf-worst": lambda m: 1}


def check_radius(m, key, eps):
    """SAM's weight passes that of the attack at this radius, within a millionth of it, and nowhere before."""
    rho, limit = toy.equivalent_rho(m, eps, **toy.CONVENTION[key].options), LIMIT[key](m)
    if rho is None:
        for share in (1e-3, 0.5, 0.99, 0.9999):
            assert not above(m, key, eps, share * limit), (m, key, eps)
        return
    assert not above(m, key, eps, rho * (1 - 1e-6)), (m, key, eps, rho)
    assert rho * (1 + 1e-6) > limit or above(m, key, eps, rho * (1 + 1e-6)), (m, key, eps, rho)
    for share in (0.1, 0.9):
        assert not above(m, key, eps, rho * share), (m, key, eps, rho)


@pytest.mark.parametrize("key", LIMIT)
@pytest.mark.parametrize("wide", [False, True])
def test_equal_radii(key, wide):
    rng = np.random.default_rng(5)
    for _ in range(20 if key == "robust-worst" else 2):
        m, eps = drawn(rng, key, wide)
        check_radius(m, key, eps)


@pytest.mark.parametrize(
    "key, m, share",
    [
        ("l2-worst", toy.NRFModel(0.95, 0.1, 100_000), 0.1),  # eta*sqrt(d) = 31.6
        ("l2-worst", toy.NRFModel(0.6, 0.3, 100_000), 0.5),
        # only the last hundredth or thousandth of the largest ball is enough
        ("l2-worst", toy.NRFModel(0.9920054933335544, 0.13980141066787255, 38591), 3.2e-8),
        ("l2-worst", toy.NRFModel(0.5212718017005451, 2.5153269677168897, 26), 0.17378831263764),
        ("linf-worst", toy.NRFModel(0.8483014428748162, 0.6975331497065894, 867), 8.15e-4),
    ],
)
def test_equal_radii_of_strong_weak_features(key, m, share):
    check_radius(m, key, share * m.eta)
    if share in (3.2e-8, 0.17378831263764, 8.15e-4):
        assert 0.98 < toy.equivalent_rho(m, share * m.eta, **toy.CONVENTION[key].options) / LIMIT[key](m) < 1


# --- 1-SAM with the 0-1 risk ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_one_perturbation_for_each_sample(seed):
    rng, judged = np.random.default_rng(seed), 0
    while not judged:
        m, share = precise.draw(rng, wide=seed % 2 == 1)
        rho = share * min(m.c, 1) * math.sqrt(m.d)
        try:
            found = toy.sam_optimum(m, rho, "all", kind="per-sample")
        except ValueError as error:
            assert "norm too rare" in str(error) and m.c > 5
            continue
        if math.isinf(found):
            continue
        with mp.workdps(40):
            star, found = precise.star(m), mp.mpf(found)
            room = 1e-6 * abs(found - star) + 4e-15 * found
            low, high = (precise.survivors_rate(m, found + side * room, mp.mpf(rho)) for side in (-1, 1))
        assert low > 0 > high, (m, rho, found)
        judged += 1


@pytest.mark.parametrize(
    "m, rho",
    [
        (toy.NRFModel(0.5063533049873867, 0.7076036950259905, 2), 0.21686855125725152),  # a chi law of 1
        (toy.NRFModel(0.5000955653674279, 0.04407685883362188, 2), 0.051229842233098434),
        (toy.NRFModel(0.50000453440879, 8.262666259172942, 101), 0.1408655098358696),  # c = 83, L = 2e-5
    ],
)
def test_one_perturbation_for_each_sample_where_little_is_left(m, rho):
    found = toy.sam_optimum(m, rho, "all", kind="per-sample")
    with mp.workdps(40):
        room = 1e-6 * abs(found - precise.star(m)) + 4e-15 * found
        low, high = (precise.survivors_rate(m, found + side * room, mp.mpf(rho)) for side in (-1, 1))
    assert low > 0 > high


def test_one_perturbation_for_each_sample_refuses_norms_out_of_reach():
    with pytest.raises(ValueError, match="samples of a norm too rare"):
        toy.sam_optimum(toy.NRFModel(0.9029866, 4.28188, 5248), 20.91289, "all", kind="per-sample")


def moments(m, w1, e, rho, size, s):
    """Logarithms of density x slope and of density x bend on many short panels, and their nodes g."""

    def shift(g):
        return rho * size(g) - w1 * s - e * g

    grid = np.linspace(m.c - 40, m.c + 40, 100_001)
    turns = np.flatnonzero(shift(grid[:-1]) * shift(grid[1:]) <= 0)
    roots = [brentq(shift, grid[i], grid[i + 1]) for i in turns]
    near = [z + sign * far for z in roots for sign in (-1, 1) for far in np.geomspace(1e-9, 40, 200)]
    ends = np.unique(np.clip([*np.linspace(m.c - 40, m.c + 40, 401), *roots, *near], m.c - 40, m.c + 40))
    t, weights = np.polynomial.legendre.leggauss(20)
    half = np.diff(ends)[:, None] / 2
    g = ends[:-1, None] + half * (1 + t)
    slope = np.log(half * weights) - (g - m.c) ** 2 / 2 + log_expit(shift(g))
    return slope, slope + log_expit(-shift(g)), g


@pytest.mark.parametrize(
    "p, eta, d, rho, norm",
    [
        (0.9999922086481541, 0.3136191146285279, 1155, 11.63, "constant"),
        (0.5037559551784029, 0.005143409762311216, 1, 159.4, "true"),
        (0.6, 0.2, 900, 3.0, "constant"),
        (0.99996, 3.0, 1, 245.0, "true"),
    ],
)
def test_the_logistic_loss_of_each_sample_where_a_far_tail_decides(p, eta, d, rho, norm):
    """By other panels the slope vanishes at the optimum: a Newton step moves the ratio less."""
    m = toy.NRFModel(p, eta, d)
    w1, w_nr = toy.logistic_optimum(m, "per-sample-sam", rho, input_norm=norm)
    e = w_nr * math.sqrt(d)

    def size(g):
        return np.sqrt(1 + g * g) if norm == "true" else math.sqrt(1 + d * (1 + eta**2))

    parts = [(s, share, *moments(m, w1, e, rho, size, s)) for s, share in ((1, p), (-1, 1 - p))]
    top = max(slope.max() for _, _, slope, _, _ in parts)
    gradient, hessian = np.zeros(2), np.zeros((2, 2))
    for s, share, slope, bend, g in parts:
        x = np.stack(np.broadcast_arrays(float(s), g))
        gradient -= share * np.einsum("ng,ing->i", np.exp(slope - top), x)
        hessian += share * np.einsum("ng,ing,jng->ij", np.exp(bend - top), x, x)
    step = np.linalg.solve(hessian, gradient)
    assert abs(step[0] / w1 - step[1] / e) < 1e-6 * abs(w1 / w_nr / toy.standard_optimum(m) - 1)
