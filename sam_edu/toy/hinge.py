"""The hinge limit of per-sample SAM with the logistic loss (Proposition 18)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from sam_edu.toy.model import NRFModel
from sam_edu.toy.numerics import Quadratic, newton


def hinge_drops_weak_features(model: NRFModel) -> bool:
    r"""Proposition 18: does the hinge loss E max(0, 1-m) drop the non-robust features?

    Iff :math:`p\,\varphi(z)\ge2(1-p)\,c` with :math:`z=\Phi^{-1}\big(\frac{1-p}p\big)`.

    Examples
    --------
    >>> from sam_edu.toy import NRFModel
    >>> hinge_drops_weak_features(NRFModel(p=0.95, eta=0.1, d=100))
    True
    >>> hinge_drops_weak_features(NRFModel(p=0.75, eta=0.05, d=400))
    False
    """
    z = ndtri((1 - model.p) / model.p)
    return bool(model.p * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) >= 2 * (1 - model.p) * model.c)


def hinge_limit(model: NRFModel) -> tuple[float, float]:
    r"""Where per-sample SAM with the logistic loss goes as rho -> infinity, with a constant input norm.

    As :math:`\kappa=\rho r_x\to\infty`, :math:`\kappa^{-1}\ln(1+e^{\kappa(1-m')})\to\max(0,1-m')`: the
    weights divided by kappa tend to the minimiser of the hinge loss, returned as (w1, w_nr): (1, 0) where
    :func:`hinge_drops_weak_features` holds. With the true norm the limit is another one.

    Examples
    --------
    >>> w1, w_nr = hinge_limit(NRFModel(p=0.75, eta=0.05, d=400))
    >>> round(w1 / w_nr, 3)
    11.208
    """
    if hinge_drops_weak_features(model):
        return 1.0, 0.0
    w1, e = newton(lambda w: _expected_hinge(model, w), [0.5, 0.5])
    return float(w1), float(e / np.sqrt(model.d))


def _expected_hinge(model: NRFModel, w: NDArray) -> Quadratic:
    """E max(0, R), R|s ~ N(mu, e^2): mu Phi(mu/e) + e phi(mu/e), with gradient and Hessian in (w1, e)."""
    a, e = w
    value, gradient, hessian = 0.0, np.zeros(2), np.zeros((2, 2))
    for s, share in ((1.0, model.p), (-1.0, 1 - model.p)):
        mean, dmean = 1 - a * s - e * model.c, np.array([-s, -model.c])
        phi = np.exp(-((mean / e) ** 2) / 2) / np.sqrt(2 * np.pi)
        value += share * float(mean * ndtr(mean / e) + e * phi)
        gradient += share * (ndtr(mean / e) * dmean + np.array([0.0, phi]))
        turn = dmean - np.array([0.0, mean / e])
        hessian += share * phi / e * np.outer(turn, turn)
    return value, gradient, hessian
