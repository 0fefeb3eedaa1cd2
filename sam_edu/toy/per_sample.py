"""Each sample has its own worst perturbation of the weights: 1-SAM with the 0-1 risk."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_ndtr, logsumexp, ndtr

from sam_edu.toy.model import NRFModel
from sam_edu.toy.numerics import chi_panels, chi_rule


def per_sample_accuracy(model: NRFModel, w1: NDArray, rho: NDArray, perturbed: str) -> NDArray:
    r"""Share of samples whose margin survives, :math:`m > \rho\|x\|_2` (only x_1 counts if only w_1 moves).

    Given the norm k of the part of :math:`x_{2:}` across (1, ..., 1), chi with d-1 degrees of freedom, a
    sample survives iff :math:`g=\sum_j yx_j/\sqrt d` exceeds

    .. math:: T_s = \frac{-w_1 s\sqrt d + \rho\sqrt{w_1^2+(d-\rho^2)(1+k^2)}}{d-\rho^2}, \qquad s = yx_1,

    for :math:`\rho<\sqrt d`. With only w_1 moving the threshold is :math:`(\rho - w_1s)/\sqrt d`, and the
    share is :math:`A_{\eta-\rho/d}(w_1)`.
    """
    if perturbed == "robust":
        return model.robust_accuracy(w1, rho / model.d)
    k, weights = chi_rule(model.d - 1)
    survive = [
        ndtr(model.c - _threshold(model, w1[..., None], rho[..., None], k, s)[0]) @ weights for s in (1, -1)
    ]
    return np.asarray(model.p * survive[0] + (1 - model.p) * survive[1])


def per_sample_optimum(model: NRFModel, rho: float, perturbed: str) -> float:
    r"""The best robust weight; ``inf`` where sgn(x_1) is best.

    Only w_1 moves: :math:`\frac{L}{2(\eta-\rho/d)}`, exactly, for rho < eta*d. All weights move: near
    :math:`\frac{L}{2(\eta-\rho/\sqrt d)}` for small rho and large d. As with an attack on all features, far
    out the share rises again to p, so that the best weight *jumps* to infinity.
    """
    if perturbed == "robust":
        left = model.eta - rho / model.d
        return model.log_odds / (2 * left) if left > 0 else np.inf
    top = _local_optimum(model, rho)
    if top is not None and not _in_reach(model, top, rho):
        raise ValueError(
            f"1-SAM with rho = {rho:.3g} for {model} is decided by samples of a norm too rare for this "
            "quadrature: take a smaller rho, or a smaller eta*sqrt(d)"
        )
    return top if top is not None and _lead(model, top, rho) > 0 else np.inf


def _local_optimum(model: NRFModel, rho: float) -> float | None:
    """The first top of the share of survivors at a finite w1 > 0, or None."""
    if rho >= np.sqrt(model.d):
        return None
    low, high = 0.0, model.log_odds / (2 * model.eta)
    while log_slope_ratio(model, high, rho) > 0:
        if log_slope_ratio(model, 2 * high, rho) > log_slope_ratio(model, high, rho):  # the dip lies between
            dip = minimize_scalar(
                lambda a: log_slope_ratio(model, a, rho), bounds=(low, 2 * high), method="bounded"
            )
            if dip.fun > 0:
                return None
            high = float(dip.x)
            break
        low, high = high, 2 * high
    return float(brentq(lambda a: log_slope_ratio(model, a, rho), low, high, xtol=1e-16 * high, rtol=1e-14))


def log_slope_ratio(model: NRFModel, w1: float, rho: float) -> float:
    """Positive where the share of survivors rises with w1: log of (gain at s = 1) / (loss at s = -1)."""
    ratio, loss = _slopes(model, w1, rho)
    if np.abs(ratio).max() < 1:  # a weak robust feature: nothing may cancel
        return float(model.log_odds + np.log1p(np.exp(loss - logsumexp(loss)) @ np.expm1(ratio)))
    return float(model.log_odds + logsumexp(loss + ratio) - logsumexp(loss))


def _slopes(model: NRFModel, w1: float, rho: float) -> tuple[NDArray, NDArray]:
    """For each norm, logarithms: how much more is gained at s = 1 than lost at s = -1, and the loss.

    The squares in the two densities differ by (T_1 - T_-1)(2c - T_1 - T_-1).
    """
    k, law = _norms(model)
    root, left = np.sqrt(model.d), (np.sqrt(model.d) - rho) * (np.sqrt(model.d) + rho)
    size = np.sqrt(w1**2 + left * (1 + k**2))
    lean = rho * w1 / size / root
    ratio = -2 * w1 * root / left * (model.c - rho * size / left) + np.log1p(-lean) - np.log1p(lean)
    threshold, slope = _threshold(model, np.asarray(w1), np.asarray(rho), k, -1)
    return ratio, law - (model.c - threshold) ** 2 / 2 + np.log(slope)


def _in_reach(model: NRFModel, w1: float, rho: float) -> bool:
    """False where norms beyond the outermost panels may decide."""
    k, _ = _norms(model)
    far = np.abs(k - np.sqrt(max(model.d - 2, 0))) > 30  # of 38
    ratio, loss = _slopes(model, w1, rho)
    return all(share[far].max(initial=-np.inf) < share.max() - 40 for share in (loss, loss + ratio))


def _lead(model: NRFModel, w1: float, rho: float) -> float:
    """Has the sign of (share of survivors) - p, compared on the log scale of two tails."""
    k, law = _norms(model)
    gain = log_ndtr(model.c - _threshold(model, np.asarray(w1), np.asarray(rho), k, -1)[0])
    loss = log_ndtr(_threshold(model, np.asarray(w1), np.asarray(rho), k, 1)[0] - model.c)
    return float(logsumexp(law + gain) - model.log_odds - logsumexp(law + loss))


@lru_cache(maxsize=64)
def _norms(model: NRFModel) -> tuple[NDArray, NDArray]:
    """Norms k and the logarithms of their shares: survivors may be samples of a norm that is very rare."""
    return chi_panels(model.d - 1)


def _threshold(model: NRFModel, w1: NDArray, rho: NDArray, k: NDArray, s: int) -> tuple[NDArray, NDArray]:
    """T_s and its derivative in w1."""
    d = model.d
    left = (np.sqrt(d) - rho) * (np.sqrt(d) + rho)
    root = np.sqrt(w1**2 + left * (1 + k**2))
    return (rho * root - w1 * s * np.sqrt(d)) / left, (rho * w1 / root - s * np.sqrt(d)) / left
