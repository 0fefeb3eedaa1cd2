"""SAM solved for the 0-1 risk, exactly, under every convention of chapter 8."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam_edu.toy.averages import gaussian_slope, noise_in_reach
from sam_edu.toy.conventions import check_convention
from sam_edu.toy.model import NRFModel
from sam_edu.toy.numerics import expand, sign_change
from sam_edu.toy.per_sample import per_sample_optimum
from sam_edu.toy.solutions import standard_optimum
from sam_edu.toy.worst import BALLS, ball_limit, right_end_better, worst_side


def sam_optimum(
    model: NRFModel, rho: Any, perturbed: str = "robust", norm: str = "l2", kind: str = "worst"
) -> Any:
    r"""The robust weight that maximises the accuracy of the worst (or average) perturbed classifier.

    The weights are (w1, 1, ..., 1): without a fixed scale a ball means nothing to the 0-1 risk.

    ``perturbed="robust"``: only w_1 moves, by at most rho.

    * worst (Theorem 7): the only maximiser of :math:`\min_{|e|\le\rho} A(w_1+e)`. It solves
      :math:`A(w_1+\rho) = A(w_1-\rho)`, lies in :math:`(w_1^*, w_1^*+\rho)` and equals
      :math:`w_1^*(1+\frac{\rho^2}{3d}) + O(\rho^4)`. The l2 and the l-infinity ball are the same interval.
    * uniform (Proposition 8a): the same optimum. gaussian (8b): :math:`w_1^*(1+\rho^2/d)`, exactly.
    * per-sample: :math:`\frac{L}{2(\eta-\rho/d)}`, exactly; infinite from rho = eta*d on.

    ``perturbed="all"``:

    * worst, l2 (Theorem 10) and l-infinity (Expansion 11): for every radius, also where the worst
      perturbation makes the non-robust weights unequal. In log-spaced models with eta*sqrt(d) up to 60 the
      relative change agrees with 50 digits to 1e-6, or the weight to the last digits of double precision;
      beyond, the weight to 13 digits (changes below a millionth then have fewer than six digits).
      From rho = sqrt(d), or 1, on the ball can reverse all of them: nothing is better than sgn(x_1), ``inf``.
    * gaussian: root of the averaged slope. per-sample: the best of the first top and sgn(x_1), ``inf``.

    one-step (Theorem 9) and free-scale: :math:`w_1^*` for every rho; for free-scale the best accuracy is
    a supremum that no finite scale reaches.

    Parameters
    ----------
    rho : float or array_like
        Radius >= 0 (standard deviation for "gaussian").

    Returns
    -------
    float, or ndarray of the shape of ``rho``

    Raises
    ------
    ValueError
        If rho is negative, infinite or NaN, or the convention is unknown or not solved; or if the Gaussian
        average over all weights is decided by noise that all but never happens (weak features that say
        next to nothing, large rho), or 1-SAM by samples of such a norm (eta*sqrt(d) above 5, large rho).

    Examples
    --------
    >>> from sam_edu.toy import NRFModel
    >>> m = NRFModel(p=0.95, eta=0.1, d=100)
    >>> round(sam_optimum(m, rho=2.0), 4)
    14.9184
    >>> round(sam_optimum(m, rho=2.0, kind="gaussian"), 4)
    15.3111
    >>> round(sam_optimum(m, rho=2.0, perturbed="all", kind="one-step"), 4)
    14.7222
    """
    check_convention(perturbed, norm, kind)
    radius = np.asarray(rho, dtype=float)
    if not ((radius >= 0) & (radius < np.inf)).all():
        raise ValueError(f"rho must be >= 0 and finite, got {rho!r}")
    best = _solve(model, radius, perturbed, norm, kind)
    best = np.where(radius == 0, standard_optimum(model), best)
    return float(best) if best.ndim == 0 else best


def _solve(model: NRFModel, rho: NDArray, perturbed: str, norm: str, kind: str) -> NDArray:
    star = standard_optimum(model)
    if kind in ("one-step", "free-scale"):
        return np.full_like(rho, star)
    if kind == "per-sample":
        each = [per_sample_optimum(model, float(r), perturbed) for r in rho.ravel()]
        return np.reshape(each, rho.shape)
    if kind == "gaussian":
        return star * (1 + rho**2 / model.d) if perturbed == "robust" else _averaged(model, rho)
    return _worst_case(model, rho, perturbed, norm)


def _worst_case(model: NRFModel, rho: NDArray, perturbed: str, norm: str) -> NDArray:
    """Where the worst perturbation changes sides; the uniform average has the same top (Prop. 8a)."""
    star = standard_optimum(model)
    if perturbed == "robust":
        better = partial(right_end_better, model, rho=rho[..., None])
        bits = 55 + int(np.ceil(np.log2(1 + rho.max(initial=0.0) / star)))  # of the answer, not of rho
        return sign_change(better, np.full_like(rho, star), star + rho, bits=bits)
    beyond = rho >= ball_limit(model, perturbed, norm)
    rho = np.where(beyond, 0.0, rho)

    def rising(w1: NDArray) -> NDArray:
        return worst_side(model, BALLS[perturbed, norm](model, w1, rho[..., None]))

    found = sign_change(rising, np.zeros_like(rho), expand(rising, np.full_like(rho, 2 * star)), parts=32)
    return np.where(beyond, np.inf, found)


def _averaged(model: NRFModel, rho: NDArray) -> NDArray:
    if rho.size > 1:  # one after the other: thousands of nodes of one radius fit a processor's cache
        return np.reshape([_averaged(model, one) for one in rho.ravel()], rho.shape)

    def slope(w1: NDArray) -> NDArray:
        return gaussian_slope(model, w1, rho[..., None])

    high = expand(slope, np.full_like(rho, 2 * standard_optimum(model)))
    lost = np.isinf(high)
    found = sign_change(slope, np.zeros_like(rho), np.where(lost, 1.0, high))
    if not noise_in_reach(model, found, rho)[~lost].all():
        raise ValueError(
            f"the Gaussian average for {model} is decided by noise too unlikely for this quadrature: "
            f"take a smaller rho than {rho.max():.3g}, or weak features that say more (a larger eta*sqrt(d))"
        )
    return np.where(lost, np.inf, found)
