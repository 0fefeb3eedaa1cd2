"""How SAM with the logistic loss leaves the standard ratio w1/w_nr, for small radii."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from sam_edu import _check
from sam_edu.toy.conventions import Expansion, input_norm_rms
from sam_edu.toy.model import NRFModel
from sam_edu.toy.numerics import chi_rule, normal_panels


def logistic_expansion(
    model: NRFModel, method: str = "per-sample-sam", input_norm: str = "true"
) -> Expansion:
    r"""Relative change of the ratio w1/w_nr of :func:`sam_edu.toy.logistic_optimum`, leading order in rho.

    With :math:`\xi=(s,g)`, :math:`H=E[\ell''\xi\xi^\top]` and :math:`T=E[\ell'''\xi\xi\xi]` at the standard
    optimum:

    * per-sample-sam, first order: :math:`\dot w = H^{-1}E[\ell''\|x\|\xi]`. With a constant norm the
      coefficient is positive for every model (Theorem 17); with the true one it is negative where the
      robust feature is weak (p = 0.6, eta = 0.1, d = 100).
    * full-batch-sam, second order (Expansion 16): with :math:`\lambda_1>\lambda_2` the eigenvalues of H and
      :math:`e_1, e_2` its eigenvectors, :math:`w-w^* = -\rho^2\big(\frac{T_{111}}{6\lambda_1}e_1 +
      \frac{T_{211}}{2\lambda_2}e_2\big)`.
    * one-step-sam: 0 (Theorem 15).

    Returns
    -------
    Expansion
        Its ``w1`` is the standard ratio L/(2 eta).

    Examples
    --------
    >>> m = NRFModel(p=0.95, eta=0.1, d=100)
    >>> round(logistic_expansion(m).coefficient, 3)
    0.413
    >>> round(logistic_expansion(m, "full-batch-sam").coefficient, 4)
    -0.0331
    """
    _check.choice("method", method, ("per-sample-sam", "full-batch-sam", "one-step-sam"))
    _check.choice("input_norm", input_norm, ("true", "constant"))
    ratio = model.log_odds / (2 * model.eta)
    if method == "one-step-sam":
        return Expansion(0.0, 2, ratio)
    features, weight, slope = _at_standard(model)
    hessian = np.einsum("isg,jsg,sg->ij", features, features, weight * slope[0])
    if method == "per-sample-sam":
        k, wk = chi_rule(model.d - 1)
        norm = np.sqrt(1 + features[1][..., None] ** 2 + k**2) @ wk
        size = norm if input_norm == "true" else input_norm_rms(model)
        change = np.linalg.solve(hessian, np.einsum("isg,sg->i", features, weight * slope[0] * size))
    else:
        values, e = np.linalg.eigh(hessian)
        third = np.einsum("isg,jsg,ksg,sg->ijk", features, features, features, weight * slope[1])
        third = np.einsum("ijk,j,k->i", third, e[:, 1], e[:, 1])  # T(., e1, e1)
        change = (
            -(third @ e[:, 1] / (6 * values[1])) * e[:, 1] - (third @ e[:, 0] / (2 * values[0])) * e[:, 0]
        )
    relative = change[0] / model.log_odds - change[1] / (2 * model.c)
    return Expansion(float(relative), 1 if method == "per-sample-sam" else 2, ratio)


def _at_standard(model: NRFModel) -> tuple[NDArray, NDArray, tuple[NDArray, NDArray]]:
    """Features (2, s, g), weights and l'', l''' at the standard minimiser (L, 2c)."""
    s = np.array([[1.0], [-1.0]])
    near = -model.log_odds * s / (2 * model.c) + np.array([-8.0, 0.0, 8.0]) / (2 * model.c)
    g, weights = normal_panels(model.c, near)
    features = np.stack(np.broadcast_arrays(s, g))
    right = expit(model.log_odds * features[0] + 2 * model.c * g)
    second = right * (1 - right)
    return features, np.where(s > 0, model.p, 1 - model.p) * weights, (second, second * (1 - 2 * right))
