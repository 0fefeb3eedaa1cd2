"""Gradient descent on samples of the toy: against autograd, scikit-learn and the exact optima."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.nn.functional import softplus

from sam_edu import toy
from sam_edu.toy import descent
from sam_edu.toy.stationary import lost_weight, stationary

M = toy.NRFModel(0.9, 0.2, 10)
XI = descent.samples(M, 512, [0, 1])


def loss_of(margin, loss):
    return softplus(-margin) if loss == "logistic" else (1 - margin) ** 2


def gradient_by_autograd(w, xi, rho, batch, loss):
    """Mean over batches of the gradient at w + rho*g/|g|, one batch after the other."""
    total = torch.zeros(len(w), dtype=torch.float64)
    parts = torch.tensor(xi).split(batch)
    for part in parts:
        at = torch.tensor(w, requires_grad=True)
        (g,) = torch.autograd.grad(loss_of(part @ at, loss).mean(), at)
        at = (at + rho * g / g.norm()).detach().requires_grad_()
        total += torch.autograd.grad(loss_of(part @ at, loss).mean(), at)[0]
    return (total / len(parts)).numpy()


@pytest.mark.parametrize("loss", descent.LOSSES)
@pytest.mark.parametrize("batch", [1, 4, 64, 512])
def test_one_step_is_that_of_autograd(loss, batch):
    rng = np.random.default_rng(batch)
    w = rng.normal(size=(2, 11)) * 0.3
    found = descent._sam_gradient(w, XI, 0.2, batch, loss)
    for k in range(2):
        np.testing.assert_allclose(found[k], gradient_by_autograd(w[k], XI[k], 0.2, batch, loss), atol=1e-12)


@pytest.mark.parametrize("loss", descent.LOSSES)
@pytest.mark.parametrize("attacked", ["nonrobust", "all"])
def test_adversarial_training_finds_the_minimum_of_the_attacked_loss(loss, attacked):
    eps, xi = 0.1, XI[0]
    weight = np.full(11, eps)
    weight[0] = eps if attacked == "all" else 0

    def objective(w):
        m, wear = xi @ w, np.abs(w) @ weight
        return (
            np.logaddexp(0, wear - m).mean() if loss == "logistic" else ((np.abs(1 - m) + wear) ** 2).mean()
        )

    w = descent.train(XI, "adversarial", eps, loss=loss, attacked=attacked, steps=1500).weights[0]
    best = minimize(objective, w, method="Powell", options={"xtol": 1e-8, "ftol": 1e-13, "maxiter": 20000})
    assert objective(w) <= best.fun + 2e-6


@pytest.mark.parametrize("loss", descent.LOSSES)
def test_standard_training_is_the_minimum_of_the_sample(loss):
    w = descent.train(XI, loss=loss, steps=1500).weights[0]
    if loss == "squared":
        np.testing.assert_allclose(w, np.linalg.lstsq(XI[0], np.ones(512), rcond=None)[0], atol=1e-6)
    else:
        from sklearn.linear_model import LogisticRegression

        signs = np.where(np.arange(512) % 2, 1.0, -1.0)  # both classes: xi and -xi say the same
        fitted = LogisticRegression(C=1e9, fit_intercept=False, tol=1e-10, max_iter=1000)
        np.testing.assert_allclose(w, fitted.fit(XI[0] * signs[:, None], signs).coef_[0], atol=2e-4)


@pytest.mark.parametrize("loss", descent.LOSSES)
def test_one_batch_a_step_goes_where_the_average_step_goes(loss):
    """With small steps the order of the batches averages out."""
    xi = descent.samples(M, 1024, [5])
    standard = descent.train(xi, loss=loss).ratio
    both = [
        descent.train(xi, "sam", 0.2, 4, loss, steps=steps, step_size=size, one_batch_a_step=one).ratio
        / standard
        for one, steps, size in ((True, 256 * 60, 0.1), (False, 800, 1.0))
    ]
    assert both[0] == pytest.approx(both[1], rel=0.05) and both[1] > 1.02


@pytest.mark.parametrize("loss", descent.LOSSES)
@pytest.mark.parametrize("batch", [1, 16, 256])
def test_a_stationary_point_is_where_the_symmetric_step_vanishes(loss, batch):
    xi, rho = XI[0], 0.05
    w1, w_nr = stationary(xi, rho, batch, loss)
    step = gradient_by_autograd(np.array([w1, *[w_nr] * 10]), xi, rho, batch, loss)
    jump = 5e-3 if (loss, batch) == ("squared", 1) else 1e-6  # |1 - margin| bends once per sample
    assert abs(step[0]) < jump and abs(step[1:].mean()) < jump


def test_the_exact_optimum_of_per_sample_sam_is_met():
    xi = descent.samples(M, 60_000, [3])[0]
    w = stationary(xi, 0.2, 1)
    standard = stationary(xi, 0.0)
    exact = toy.logistic_optimum(M, "per-sample-sam", 0.2)
    gain, expected = w[0] / w[1] / (standard[0] / standard[1]), exact[0] / exact[1] / toy.standard_optimum(M)
    assert gain == pytest.approx(expected, abs=6e-3) and expected > 1.04


def test_shares_lost_are_reproducible_and_negative_for_nobody_at_radius_0():
    one, two = (lost_weight(M, "logistic", [1, 8, 256], [0, 0.1], 256, [7]) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.shape == (3, 2, 1) and (one[:, 0] == 0).all() and (one[2] == 0).all() and one[0, 1] != 0


def test_steps_that_jump_are_followed_until_the_weights_vanish():
    """Squared loss, one perturbation per sample, large rho: the non-robust features go (Proposition 22)."""
    xi = descent.samples(toy.NRFModel(0.95, 0.1, 100), 2048, [0])[0]
    w1, w_nr = stationary(xi, 0.1, 1, "squared")
    standard = stationary(xi, 0.0, None, "squared")
    assert w1 == pytest.approx(1, abs=0.01) and 0 <= w_nr / w1 < 0.02 * standard[1] / standard[0]


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="batch must divide the number of samples, 512; got 7"):
        descent.train(XI, "sam", 0.1, 7)
    with pytest.raises(ValueError, match=r"xi must have shape \(runs, n, d\+1\)"):
        descent.train(XI[0])
    with pytest.raises(ValueError, match=r"xi must have shape \(n, d\+1\)"):
        stationary(XI, 0.1)
    with pytest.raises(ValueError, match="loss"):
        descent.train(XI, loss="hinge")
    with pytest.raises(ValueError, match="method"):
        descent.train(XI, "SAM")
    with pytest.raises(ValueError, match="radius"):
        descent.train(XI, "sam", -0.1)
