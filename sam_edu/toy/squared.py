"""The squared loss (1 - margin)^2 on the toy model: what training converges to.

Coordinates in here: w = (w1, e), every non-robust weight being e/sqrt(d); s = y x_1, g = sum_j y x_j/sqrt(d).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from sam_edu.toy.logistic import check_training
from sam_edu.toy.model import NRFModel
from sam_edu.toy.numerics import Quadratic, newton
from sam_edu.toy.squared_sam import per_sample_squared


def squared_optimum(
    model: NRFModel,
    method: str = "standard",
    radius: float = 0.0,
    attacked: str = "nonrobust",
    input_norm: str = "true",
) -> tuple[float, float]:
    r"""Minimiser (w1, w_nr) of the expected squared loss (1 - margin)^2; w_nr is each non-robust weight.

    With :math:`\mu = 2p-1`, :math:`c^2 = d\eta^2`:

    =================  ==========================================================================
    method             minimiser of
    =================  ==========================================================================
    standard           the loss: :math:`(\mu, \eta(1-\mu^2))/(1+c^2(1-\mu^2))`, ratio
                       :math:`\sinh(L)/2\eta \ge L/2\eta` (Theorem 20)
    adversarial        :math:`E(|1-m|+\epsilon\|w\|_1)^2`, over the attacked weights; w_nr = 0 iff eps >= eta
    per-sample-sam     :math:`E(|1-m|+\rho\|x\|)^2`; w_nr can be 0 (Proposition 22)
    full-batch-sam     max over \|e\|<=rho of the expected loss: the standard minimiser (Theorem 21)
    one-step-sam       the standard minimiser (Theorems 9 and 21)
    =================  ==========================================================================

    Parameters, errors: as :func:`sam_edu.toy.logistic_optimum`.

    Examples
    --------
    >>> w1, w_nr = squared_optimum(NRFModel(p=0.95, eta=0.1, d=100))
    >>> round(w1 / w_nr, 2)
    47.37
    """
    radius = check_training(method, radius, attacked, input_norm)
    unlike = 4 * model.p * (1 - model.p)  # 1 - mu^2
    scale = 1 + model.c**2 * unlike
    standard = ((2 * model.p - 1) / scale, model.eta * unlike / scale)
    if method in ("standard", "full-batch-sam", "one-step-sam") or radius == 0:
        return standard
    root = np.sqrt(model.d)
    if method == "per-sample-sam":
        w1, e = per_sample_squared(model, radius, input_norm)
        return w1, float(e / root)
    w1, e = _adversarial(model, radius, 1.0 if attacked == "all" else 0.0)
    return float(w1), float(e / root)


def _adversarial(model: NRFModel, eps: float, all_attacked: float) -> tuple[float, float]:
    """Minimise E(|1-m| + N)^2, N = eps sqrt(d) e (+ eps w1); the weak features are dropped iff eps >= eta."""
    wear = eps * all_attacked
    if model.eta <= eps:  # w1 alone: an explicit least-squares problem
        gain = model.p * (1 - wear) - (1 - model.p) * (1 + wear)
        return max(gain, 0.0) / (model.p * (1 - wear) ** 2 + (1 - model.p) * (1 + wear) ** 2), 0.0

    def objective(w: NDArray) -> Quadratic:
        return attacked_squared(model, w, wear, eps * np.sqrt(model.d))

    def alone(w: NDArray) -> Quadratic:  # the same with w1 held at 0
        value, gradient, hessian = objective(np.array([0.0, w[1]]))
        return value + w[0] ** 2, np.array([2 * w[0], gradient[1]]), np.diag([2.0, hessian[1, 1]])

    e = float(newton(alone, [0.0, model.c / (1 + model.c**2)])[1])
    if objective(np.array([0.0, e]))[1][0] >= 0:  # not even the first bit of w1 pays
        return 0.0, e
    w1, e = newton(objective, [0.1, e])
    return float(w1), float(e)


def attacked_squared(model: NRFModel, w: NDArray, wear: float, push: float) -> Quadratic:
    r"""Value, gradient, Hessian of :math:`E(|R|+N)^2`, R|s ~ N(1 - w1 s - ec, e^2), N = wear*w1 + push*e.

    It is E R^2 + 2N E|R| + N^2 with the mean of a folded normal,
    :math:`E|R| = 2e\varphi(\mu/e)+\mu(1-2\Phi(-\mu/e))`.
    """
    a, e = w
    n, dn = wear * a + push * e, np.array([wear, push])
    value, gradient, hessian = n**2, 2 * n * dn, 2 * np.outer(dn, dn)
    for s, weight in ((1.0, model.p), (-1.0, 1 - model.p)):
        mean, dmean = 1 - a * s - e * model.c, np.array([-s, -model.c])
        phi = 2 * np.exp(-((mean / e) ** 2) / 2) / np.sqrt(2 * np.pi)
        sign = 1 - 2 * ndtr(-mean / e)
        folded = e * phi + mean * sign
        dfolded = sign * dmean + np.array([0.0, phi])
        turn = dmean - np.array([0.0, mean / e])
        gradient = gradient + weight * (2 * mean * dmean + [0, 2 * e] + 2 * dn * folded + 2 * n * dfolded)
        cross = 2 * (np.outer(dn, dfolded) + np.outer(dfolded, dn)) + 2 * n * phi / e * np.outer(turn, turn)
        hessian = hessian + weight * (2 * np.outer(dmean, dmean) + np.diag([0.0, 2.0]) + cross)
        value = value + weight * (mean**2 + e**2 + 2 * n * folded)
    return float(value), gradient, hessian
