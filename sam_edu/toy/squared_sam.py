"""Per-sample SAM with the squared loss: least squares plus least absolute deviations (Proposition 22)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri

from sam_edu.toy.conventions import input_norm_rms
from sam_edu.toy.model import NRFModel
from sam_edu.toy.numerics import chi_rule, normal_panels


def per_sample_squared(model: NRFModel, rho: float, input_norm: str) -> tuple[float, float]:
    r"""Minimiser (w1, e) of :math:`E(|1-m|+\rho\|x\|)^2 = E(1-m)^2 + 2\rho E\|x\||1-m| + \rho^2E\|x\|^2`.

    Near (1, 0) the objective has a kink, where Newton's method is lost. So: for each e the best w1, as
    w1 = 1 - b e, is where the derivative in w1 vanishes; the best e is where the one in e does.
    """
    if weak_features_vanish(model, rho, input_norm):
        return 1.0, 0.0

    def slope(b: float, e: float) -> NDArray:
        return squared_and_absolute_slope(model, 1 - b * e, e, rho, input_norm)

    def best(e: float) -> float:
        low, high = -10.0 - model.c, 10.0 + model.c
        while slope(low, e)[0] < 0:
            low *= 2
        while slope(high, e)[0] > 0:
            high *= 2
        return float(brentq(lambda b: slope(b, e)[0], low, high, xtol=1e-13, rtol=1e-14))

    def outer(e: float) -> float:
        return float(slope(best(e), e)[1])

    low = high = model.c / (1 + model.c**2)
    while outer(high) < 0:
        low, high = high, 2 * high
    while outer(low) > 0:
        low, high = low / 2, low
    e = float(brentq(outer, low, high, xtol=1e-15, rtol=1e-13))
    return 1 - best(e) * e, e


def critical_norm_shift(model: NRFModel) -> float:
    r"""Proposition 22: the shift kappa = rho*r_x from which per-sample SAM drops the non-robust features.

    With a constant input norm, w = (1, 0, ..., 0) minimises :math:`E(|1-m|+\kappa)^2` iff
    :math:`q = (1-p)(1+2/\kappa) < p` and :math:`p\,\varphi(\zeta)\ge q\,c` where
    :math:`\Phi(\zeta) = \frac12(1+\frac qp)`. Infinite where no shift is enough.

    Examples
    --------
    >>> round(critical_norm_shift(NRFModel(p=0.95, eta=0.1, d=100)), 4)
    0.3446
    """
    p, c = model.p, model.c

    def excess(q: float) -> float:  # falls as q rises, that is as kappa falls
        zeta = ndtri((1 + q / p) / 2)
        return float(p * np.exp(-(zeta**2) / 2) / np.sqrt(2 * np.pi) - q * c)

    if excess(1 - p) <= 0:
        return np.inf
    q = float(brentq(excess, 1 - p, p * (1 - 1e-16), xtol=1e-16, rtol=1e-14))
    return 2 / (q / (1 - p) - 1)


def weak_features_vanish(model: NRFModel, rho: float, input_norm: str = "true") -> bool:
    """Is (1, 0, ..., 0) the minimiser? The objective is convex: no direction from there may lead down.

    Along (x, 1) in (w1, e) the slope is 2 rho p E||x|||x + g| + [4 + 2 rho E||x||](1-p) x minus a constant, a
    convex function of x, least where the weight of ||x|| on g < -x equals half of what the other terms ask.
    """
    g, k, weights = _rule(model, np.array([]), input_norm)
    norm = _norm(model, g, k, input_norm)
    size, along = float((weights * norm).sum()), float((weights * norm * g).sum())
    pull = (4 + 2 * rho * size) * (1 - model.p)
    if pull >= 2 * rho * model.p * size:  # already w1 itself wants to shrink
        return False

    def slope(x: float) -> float:
        g, k, weights = _rule(model, np.array([-x]), input_norm)
        return float(
            2 * rho * model.p * (weights * _norm(model, g, k, input_norm) * np.sign(x + g)).sum() + pull
        )

    x = brentq(slope, -model.c - 10, -model.c + 10, xtol=1e-13)
    g, k, weights = _rule(model, np.array([-x]), input_norm)
    norm = _norm(model, g, k, input_norm)
    least = 2 * rho * model.p * (weights * norm * np.abs(x + g)).sum() + pull * x
    return bool(least >= (1 - model.p) * (4 * model.c + 2 * rho * along))


def squared_and_absolute_slope(model: NRFModel, w1: float, e: float, rho: float, input_norm: str) -> NDArray:
    """Gradient of the objective in (w1, e); |1-m| bends where g = (1 - w1 s)/e."""
    gradient = np.zeros(2)
    for s, share in ((1.0, model.p), (-1.0, 1 - model.p)):
        g, k, weights = _rule(model, np.array([(1 - w1 * s) / e]), input_norm)
        r = 1 - w1 * s - e * g
        pull = share * weights * (2 * r + 2 * rho * _norm(model, g, k, input_norm) * np.sign(r))
        gradient -= [s * pull.sum(), (g * pull).sum()]
    return gradient


def _rule(model: NRFModel, breaks: NDArray, input_norm: str) -> tuple[NDArray, NDArray, NDArray]:
    """g (1, Q), k (K, 1) and weights (K, Q)."""
    k, wk = chi_rule(model.d - 1 if input_norm == "true" else 0)
    g, wg = normal_panels(model.c, breaks)
    return np.broadcast_to(g, (len(k), len(g))), k[:, None], wk[:, None] * wg


def _norm(model: NRFModel, g: NDArray, k: NDArray, input_norm: str) -> NDArray:
    if input_norm == "constant":
        return np.full(np.broadcast(g, k).shape, input_norm_rms(model))
    return np.sqrt(1 + g**2 + k**2)
