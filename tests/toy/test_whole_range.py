"""The toy model over its whole range: extreme, log-spaced models against 50 digits, or a clear error.

Here a sample; :mod:`tests.toy.judge_many` judges as many as one has time for. The routes share no formula
with the library, see :mod:`tests.toy.precise`.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from sam_edu import toy
from tests.toy import precise

COUNTS = {"robust-worst": 100, "l2-worst": 30, "linf-worst": 20}


@pytest.mark.parametrize("key", COUNTS)
@pytest.mark.parametrize("seed", [0, 1])
def test_worst_cases(key, seed):
    rng = np.random.default_rng(seed)
    for _ in range(COUNTS[key]):
        m, share = precise.draw(rng, 1000 if key == "linf-worst" else 10**5)
        rho = share * (1 if key == "linf-worst" else math.sqrt(m.d))
        found = toy.sam_optimum(m, rho, **toy.CONVENTION[key].options)
        assert precise.judge(m, rho, key, found), (m, rho, found)


@pytest.mark.parametrize(
    "m, share",
    [
        (toy.NRFModel(0.9, 0.3, 1000), 0.1),  # all accuracies are 1 to the last bit
        (toy.NRFModel(0.6, 7 / math.sqrt(1000), 1000), 0.3),  # two minima of the rim, hardly apart
        (toy.NRFModel(0.51, 0.1, 1000), 0.1),
        (toy.NRFModel(0.5012, 0.9133, 869), 0.009),  # two minima on the ridge: a change of 1e-11
        (toy.NRFModel(0.5478, 0.9185, 3603), 0.8165),
        (toy.NRFModel(0.50005, 3.0, 2), 0.15),
        (toy.NRFModel(0.99999998, 0.0181, 6), 0.9997),  # t* = 200, next to the largest ball
        (toy.NRFModel(0.5111, 0.00123, 13), 0.9993),  # the worst perturbation is a minimum about to vanish
        (toy.NRFModel(0.9999913, 15.68, 512), 0.912),  # c = 355: two minima beside the ridge
        (toy.NRFModel(0.9999997727861006, 4.546957810991215, 5728), 0.424),
        (toy.NRFModel(0.5003043700179131, 1.607644594435194, 2), 0.0015),  # a rim that is all but level
    ],
)
def test_large_signals(m, share):
    rho = share * math.sqrt(m.d)
    assert precise.judge(m, rho, "l2-worst", toy.sam_optimum(m, rho, "all"))


@pytest.mark.parametrize(
    "m, rho",
    [
        (toy.NRFModel(0.500342354006083, 6.595379004874147, 122), 11.032064811299191),  # c = 73, change -1e-8
        (toy.NRFModel(0.5000059495131166, 22.23711295709916, 156), 12.48857695092073),  # c = 278, -1e-12
    ],
)
def test_beyond_60_the_weight_is_right_to_13_digits(m, rho):
    assert precise.judge(m, rho, "l2-worst", toy.sam_optimum(m, rho, "all"), floor=1e-13)


def test_a_split_that_is_about_to_vanish():
    m, rho = toy.NRFModel(0.9999977205070453, 0.05016764977307147, 1238), 0.9988159076095792
    assert precise.judge(m, rho, "linf-worst", toy.sam_optimum(m, rho, "all", "linf"))


def test_a_robust_weight_next_to_nothing():
    """w1 is then lost in w1 + rho, though its relative change is not."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        p, d = 0.5 + 10 ** rng.uniform(-7, -3), int(10 ** rng.uniform(0, 5))
        m = toy.NRFModel(p, 10 ** rng.uniform(-2, 3) / math.sqrt(d), d)
        rho = 10 ** rng.uniform(-3, 1) * math.sqrt(d)
        assert precise.judge(m, rho, "robust-worst", toy.sam_optimum(m, rho)), (m, rho)


@pytest.mark.parametrize("seed", [0, 1])
def test_thresholds_of_the_attack(seed):
    rng = np.random.default_rng(seed)
    for _ in range(60):
        m, _ = precise.draw(rng)
        assert precise.judge_jump(m, toy.attack_thresholds(m).jump), m


@pytest.mark.parametrize("key", [(0.95, 0.003, 1), (0.99, 0.005, 2), (0.999, 0.005, 3), (0.99, 1.2, 1)])
def test_thresholds_far_out(key):
    assert precise.judge_jump(toy.NRFModel(*key), toy.attack_thresholds(toy.NRFModel(*key)).jump)


@pytest.mark.parametrize("d", [9000, 10_000, 40_000])
def test_logistic_optimum_with_many_features(d):
    """With so many features the norm of x hardly fluctuates, and the loss is about exp(-c^2/2)."""
    m = toy.NRFModel(0.95, 0.1, d)
    w1, w_nr = toy.logistic_optimum(m, "per-sample-sam", 0.1)
    assert w1 / w_nr == pytest.approx(toy.standard_optimum(m), rel=1e-4)
    assert w_nr > 2 * m.eta


def test_logistic_optimum_of_a_loss_too_small_for_a_number():
    m = toy.NRFModel(0.95, 0.1, 100_000)
    assert toy.logistic_optimum(m) == (m.log_odds, 0.2)
    for method in ("per-sample-sam", "full-batch-sam"):
        with pytest.raises(ValueError, match=r"eta\*sqrt\(d\) must be at most 30"):
            toy.logistic_optimum(m, method, 0.1)


def test_log_odds_near_one_half():
    p = 0.5 + 2.0**-40
    assert toy.NRFModel(p, 0.1, 10).log_odds == pytest.approx(
        float(precise.log_odds(toy.NRFModel(p, 0.1, 10))), rel=1e-15
    )


def averaged_slope(m, w1, sigma, n=500):
    """Sign of the slope of the average over noise in all weights, on a grid that closes in on what counts."""
    root, k_mid = math.sqrt(m.d), math.sqrt(m.d - 1)
    spans = [(-45.0, 45.0), (max(1e-9, k_mid - 40), k_mid + 40)]
    for _ in range(4):
        g, k = (np.linspace(*span, n) for span in spans)
        along = root + sigma * g[:, None]
        variance = along**2 + sigma**2 * (k**2 + 1)
        law = (m.d - 2) * np.log(k) - (k**2 + g[:, None] ** 2) / 2
        size = law - np.log(variance) / 2 - (w1**2 + (m.c * along) ** 2) / (2 * variance)
        half = m.log_odds / 2 - w1 * m.c * along / variance
        counts = size + np.abs(half)
        kept = counts > counts.max() - 80
        spans = [
            (v[max(at[0] - 1, 0)], v[min(at[-1] + 1, n - 1)])
            for v, at in ((g, np.flatnonzero(kept.any(1))), (k, np.flatnonzero(kept.any(0))))
        ]
    size -= counts.max()
    return float((np.exp(size + half) - np.exp(size - half)).sum())


@pytest.mark.parametrize("seed", [0, 1])
def test_noise_in_all_weights(seed):
    """Right, or a clear error where only noise that all but never happens counts; log-spaced models."""
    rng, right, refused = np.random.default_rng(seed), 0, 0
    for _ in range(40):
        m, sigma = precise.draw(rng)
        if m.d < 4:
            continue
        try:
            found = toy.sam_optimum(m, sigma, "all", kind="gaussian")
        except ValueError as error:
            assert "noise too unlikely" in str(error) and m.c < 0.5
            refused += 1
            continue
        room = 1e-4 * abs(found - toy.standard_optimum(m)) + 1e-10 * found
        assert averaged_slope(m, found - room, sigma) > 0 > averaged_slope(m, found + room, sigma), (m, sigma)
        right += 1
    assert right >= 25 and refused <= 6
