"""Accuracy averaged over perturbations of the weights, and its slope in the robust weight."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray
from scipy.special import ndtr

from sam_edu.toy.model import NRFModel
from sam_edu.toy.numerics import chi_rule, legendre_rule, normal_panels


def uniform_accuracy(model: NRFModel, w1: NDArray, rho: NDArray) -> NDArray:
    r"""Average of A over [w1-rho, w1+rho] (Proposition 8a).

    With :math:`I(z) = z\Phi(z)+\varphi(z)`, whose derivative is Phi, the average of Phi over [l, h] is
    (I(h) - I(l))/(h - l). Short intervals, where this difference cancels, take a Gauss rule instead.
    """
    root = np.sqrt(model.d)
    nodes, weights = legendre_rule(20)
    short = model.natural_accuracy(w1[..., None] + rho[..., None] * nodes) @ weights / 2
    half = np.maximum(rho, root) / root
    up, down = model.c + w1 / root, model.c - w1 / root
    long = (
        model.p * (_integral(up + half) - _integral(up - half))
        + (1 - model.p) * (_integral(down + half) - _integral(down - half))
    ) / (2 * half)
    return np.where(rho < root, short, long)


def _integral(z: NDArray) -> NDArray:
    return z * ndtr(z) + np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def gaussian_accuracy(model: NRFModel, w1: NDArray, rho: NDArray, perturbed: str) -> NDArray:
    r"""Average of the accuracy of w + rho*g, g standard normal (Proposition 8b; section on all weights).

    Noise in w_1 adds :math:`\rho^2` to the variance of the margin. Noise in the non-robust weights u
    is integrated over its component along (1, ..., 1) and over the norm of the rest.
    """
    mean, square, weights = _noisy_weights(model, rho, perturbed)
    spread, w1 = np.sqrt(square + rho[..., None] ** 2), w1[..., None]
    average = model.p * ndtr((mean + w1) / spread) + (1 - model.p) * ndtr((mean - w1) / spread)
    return np.asarray(average @ weights)


def gaussian_slope(model: NRFModel, w1: NDArray, rho: NDArray, perturbed: str = "all") -> NDArray:
    """Has the sign of the derivative of :func:`gaussian_accuracy` in w1, on a scale that does not underflow.

    Each term is Lemma 0 with d replaced by square + rho^2 and d*kappa by mean.
    """
    mean, square, weights = _noisy_weights(model, rho, perturbed)
    variance, w1 = square + rho[..., None] ** 2, w1[..., None]
    half = model.log_odds / 2 - w1 * mean / variance
    power = -(w1**2 + mean**2) / (2 * variance) + np.abs(half)
    power = np.exp(power - power.max(-1, keepdims=True))
    return np.asarray((power * -np.expm1(-2 * np.abs(half)) * np.sign(half) / np.sqrt(variance)) @ weights)


def noise_in_reach(model: NRFModel, w1: NDArray, rho: NDArray) -> NDArray:
    """False where noise beyond the nodes decides the slope of the average over all weights at w1.

    There the accuracy hardly differs from p or 1, and the slope is made of noise that all but never happens.
    """
    mean, square, weights = _noisy_weights(model, rho, "all")
    variance, w1 = square + rho[..., None] ** 2, w1[..., None]
    power = np.abs(model.log_odds / 2 - w1 * mean / variance) - (w1**2 + mean**2) / (2 * variance)
    with np.errstate(divide="ignore", under="ignore"):
        size = np.log(weights) - np.log(variance) / 2 + power
        share = np.exp(size - size.max(-1, keepdims=True))
    along, across, _ = _noise_rule(model.d)
    far = np.abs(along) > (7.0 if model.d >= 20 else 36.0)  # of 8.1 and 38
    if model.d > 1:
        far = far | (across >= np.unique(across)[-2])
    return np.asarray(share @ far < 0.3 * share.sum(-1))


def _noisy_weights(model: NRFModel, rho: NDArray, perturbed: str) -> tuple[NDArray, NDArray, NDArray]:
    """For each noise (..., Q): mean of the non-robust part of the margin, ||u||^2; and weights (Q,)."""
    d, rho = model.d, rho[..., None]
    if perturbed == "robust":
        return np.full_like(rho, d * model.eta), np.full_like(rho, d), np.ones(1)
    g, k, weights = _noise_rule(d)
    along, across = np.sqrt(d) + rho * g, rho * k
    return model.c * along, along**2 + across**2, weights


@lru_cache(maxsize=64)
def _noise_rule(d: int) -> tuple[NDArray, NDArray, NDArray]:
    """Nodes for the noise along (1, ..., 1) and the norm of the rest, and their weights.

    In few dimensions ||u|| can come close to 0, where Gauss-Hermite nodes lie too far apart.
    """
    if d >= 20:
        g, wg = hermegauss(24)
        k, wk = chi_rule(d - 1, 16)
    else:
        g, wg = normal_panels(0.0, np.array([-8.0, -6, -4.5, -2, -1, 1, 2, 4.5, 6, 8]), 12)
        k, wk = chi_rule(d - 1, 48)
    rule = np.repeat(g, len(k)), np.tile(k, len(g)), np.outer(wg, wk).ravel() / wg.sum()
    for part in rule:
        part.flags.writeable = False  # shared by all callers
    return rule
