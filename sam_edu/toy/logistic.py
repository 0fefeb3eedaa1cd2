"""The logistic loss on the toy model: what standard, adversarial and sharpness-aware training converge to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import log_expit

from sam_edu import _check
from sam_edu.toy.conventions import input_norm_rms
from sam_edu.toy.full_batch import full_batch_optimum
from sam_edu.toy.model import ATTACKED, NRFModel, check_eps
from sam_edu.toy.numerics import newton
from sam_edu.toy.softplus import expected_softplus
from sam_edu.toy.solutions import standard_optimum

METHODS = ("standard", "adversarial", "per-sample-sam", "full-batch-sam", "one-step-sam")
INPUT_NORMS = ("true", "constant")
_MOST = 30.0  # of c: the loss is about exp(-c^2/2)


def logistic_optimum(
    model: NRFModel,
    method: str = "standard",
    radius: float = 0.0,
    attacked: str = "nonrobust",
    input_norm: str = "true",
) -> tuple[float, float]:
    r"""Minimiser (w1, w_nr) of the expected logistic loss ln(1+exp(-margin)); w_nr is each non-robust weight.

    Compare ratios w1/w_nr, not w1: methods change the scale of all weights.

    =================  ==========================================================================
    method             minimiser of
    =================  ==========================================================================
    standard           the loss. (L, 2 eta), ratio w1* of Theorem 1 (Theorem 14)
    adversarial        the loss under the worst l-infinity attack of ``radius`` (= eps). Attack on
                       the non-robust features: (L, 2(eta-eps)), and (L, 0) from eps = eta on (Theorem
                       14). On all: numerical; w_nr = 0 iff eps >= eta, w1 = 0 iff eps >= 2p-1 (Theorem 6)
    per-sample-sam     E max over \|e\|<=rho for each sample: E ln(1+exp(rho\|x\| - margin)). Ratio
                       rises for a constant norm (Theorem 17); w_nr never 0 (Proposition 19)
    full-batch-sam     max over \|e\|<=rho of the expected loss, exact (Expansion 16)
    one-step-sam       the limit of the one-step full-batch algorithm for small steps: the standard
                       minimiser, whatever rho (Theorem 15)
    =================  ==========================================================================

    Parameters
    ----------
    method : str
        One of the above.
    radius : float
        eps of the attack or rho of SAM, >= 0; ignored by "standard".
    attacked : {"nonrobust", "all"}
        Of the method "adversarial"; all features: eps < 1.
    input_norm : {"true", "constant"}
        Of "per-sample-sam": \|x\| itself, or its root mean square :math:`\sqrt{1+d(1+\eta^2)}` for every x.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, or eta*sqrt(d) > 30 where the optimum is not in closed form.

    Examples
    --------
    >>> w1, w_nr = logistic_optimum(NRFModel(p=0.95, eta=0.1, d=100), "per-sample-sam", radius=0.1)
    >>> round(w1, 4), round(w_nr, 5), round(w1 / w_nr, 3)
    (3.8729, 0.25157, 15.395)
    """
    radius = check_training(method, radius, attacked, input_norm)
    standard = (model.log_odds, 2 * model.eta)
    if method in ("standard", "one-step-sam") or radius == 0:
        return standard
    if method == "adversarial":
        if attacked == "all":
            return _all_attacked(model, radius)
        return model.log_odds, max(2 * (model.eta - radius), 0.0)
    check_visible(model)
    start = np.array([model.log_odds, 2 * model.c])
    if method == "full-batch-sam":
        w1, e = full_batch_optimum(model, radius, start)
    else:
        margin = model.log_odds * (2 * model.p - 1) + 2 * model.c**2  # on average, before SAM
        start = start * (1 + radius * input_norm_rms(model) / margin)
        w1, e = _per_sample(model, radius, input_norm, start)
    return float(w1), float(e / np.sqrt(model.d))


def _per_sample(model: NRFModel, rho: float, input_norm: str, start: NDArray) -> NDArray:
    """The minimiser by few nodes for the norm of x; by many where these would move the ratio any further."""
    w = newton(lambda w: expected_softplus(model, w, rho, input_norm), start)
    if input_norm == "constant" or model.d == 1:
        return w
    _, gradient, hessian = expected_softplus(model, w, rho, fine=True)
    step = np.linalg.solve(hessian, gradient) / w
    change = w[0] / w[1] * np.sqrt(model.d) / standard_optimum(model) - 1
    if abs(step[0] - step[1]) > 1e-8 * abs(change):
        w = newton(lambda w: expected_softplus(model, w, rho, fine=True), w)
    return w


def check_visible(model: NRFModel) -> None:
    """Raise ValueError where the weak features are so good that the loss is too small for a double."""
    if model.c > _MOST:
        raise ValueError(
            f"eta*sqrt(d) must be at most {_MOST:g} where the logistic loss is minimised by quadrature, got "
            f"{model.c:.4g}: the loss is too small for a number there; take fewer or weaker features"
        )


def check_training(method: str, radius: float, attacked: str, input_norm: str) -> float:
    """The radius, if all four arguments of an optimum for a training loss make sense."""
    _check.choice("method", method, METHODS)
    _check.choice("attacked", attacked, ATTACKED)
    _check.choice("input_norm", input_norm, INPUT_NORMS)
    radius = _check.number("radius", radius, low=0, high=np.inf, open_high=True)
    if method == "adversarial":
        check_eps(radius, attacked)
    return radius


def _all_attacked(model: NRFModel, eps: float) -> tuple[float, float]:
    """Adversarial training, all features attacked: features of mean at most eps are dropped (Theorem 6)."""
    robust, weak = 2 * model.p - 1 > eps, model.eta > eps
    if robust and weak:
        check_visible(model)
        start = np.array([model.log_odds, 2 * np.sqrt(model.d) * (model.eta - eps)])
        w1, e = newton(lambda w: expected_softplus(model, w, eps=eps), start)
        return float(w1), float(e / np.sqrt(model.d))
    return _robust_alone(model, eps) if robust else 0.0, max(2 * (model.eta - eps), 0.0)


def _robust_alone(model: NRFModel, eps: float) -> float:
    """w1 > 0 that minimises p l((1-eps) w1) + (1-p) l(-(1+eps) w1): where the two slopes balance."""
    log_odds = model.log_odds - 2 * np.arctanh(eps)

    def balance(w1: float) -> float:
        return float(log_odds + log_expit(-w1 * (1 - eps)) - log_expit(w1 * (1 + eps)))

    return float(brentq(balance, 0.0, log_odds / (1 - eps), xtol=1e-15, rtol=1e-14))
