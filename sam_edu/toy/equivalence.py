"""Duality of strengths: the radius rho of SAM that gives the robust weight of adversarial training at eps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from sam_edu import _check
from sam_edu.toy.averages import gaussian_slope
from sam_edu.toy.conventions import check_convention, input_norm_rms, sam_expansion
from sam_edu.toy.logistic import logistic_optimum
from sam_edu.toy.model import NRFModel
from sam_edu.toy.numerics import expand, sign_change
from sam_edu.toy.per_sample import log_slope_ratio, per_sample_optimum
from sam_edu.toy.solutions import adversarial_optimum
from sam_edu.toy.worst import BALLS, ball_limit, worst_side

LOSSES = ("zero-one", "logistic")
# of the largest ball: where the weak features are strong, only the last thousandth of it may be enough
_TIPS = np.geomspace(1e-12, 7e-3, 60)
_SHARES = np.concatenate([_TIPS, np.linspace(0, 1, 130)[1:-1], 1 - _TIPS[::-1]])


def equivalent_rho(
    model: NRFModel,
    eps: float,
    perturbed: str = "robust",
    norm: str = "l2",
    kind: str = "worst",
    loss: str = "zero-one",
) -> float | None:
    r"""The smallest radius rho at which SAM has the ratio w1/w_nr of adversarial training with radius eps.

    Adversarial training attacks the non-robust features, so the target is
    :math:`w_1^{AT} = \frac{L}{2(\eta-\epsilon)}`, for the 0-1 risk and for the logistic loss alike.
    None where no radius does it: for eps >= eta (AT drops the non-robust features), for "one-step" and
    "free-scale" (SAM changes nothing), and wherever SAM's robust weight falls or saturates below the target.

    Parameters
    ----------
    eps : float
        Radius of the attack on the non-robust features, >= 0; eps = 0 gives rho = 0.
    perturbed, norm, kind : str
        The convention of SAM, see :class:`sam_edu.toy.Convention`.
    loss : {"zero-one", "logistic"}
        With "logistic": ``perturbed="all"``, ``norm="l2"`` and kind "per-sample" (true input norm), "worst"
        (exact full batch) or "one-step".

    Raises
    ------
    ValueError
        If eps is negative or NaN, or the convention unknown or not solved.

    Examples
    --------
    >>> m = NRFModel(p=0.95, eta=0.1, d=100)
    >>> round(equivalent_rho(m, 0.05), 4), equivalent_rho(m, 0.05, perturbed="all", kind="one-step")
    (20.3752, None)
    """
    check_convention(perturbed, norm, kind)
    _check.choice("loss", loss, LOSSES)
    if (loss == "logistic" and (perturbed, norm) != ("all", "l2")) or (
        loss == "logistic" and kind not in _LOGISTIC
    ):
        raise ValueError(
            'loss="logistic" is solved for perturbed="all", norm="l2" and kind "per-sample", '
            f'"worst" or "one-step", got {perturbed!r}, {norm!r}, {kind!r}'
        )
    eps = _check.number("eps", eps, low=0, high=np.inf, open_high=True)
    if eps == 0:
        return 0.0
    if eps >= model.eta or kind in ("one-step", "free-scale"):
        return None
    target = adversarial_optimum(model, eps).w1
    if loss == "logistic":
        return _logistic(model, target, _LOGISTIC[kind])
    if kind == "per-sample":
        return model.d * eps if perturbed == "robust" else _per_sample(model, target)
    if kind == "gaussian":
        return _gaussian(model, eps, target, perturbed)
    return _worst_case(model, target, perturbed, norm)


def equivalent_rho_leading(
    model: NRFModel, eps: float, perturbed: str = "robust", norm: str = "l2", kind: str = "worst"
) -> float | None:
    r"""The same radius for the 0-1 risk from the leading-order expansion; None where its sign is wrong.

    From :math:`1 + k\rho^n = \frac{\eta}{\eta-\epsilon}` with k and n of
    :func:`sam_edu.toy.sam_expansion`: :math:`\rho = \sqrt{3d\,\epsilon/(\eta-\epsilon)}` for the worst
    case of the robust weight, :math:`\sqrt{d\epsilon/(\eta-\epsilon)}`, exact, for its Gaussian average. Per
    sample it is linear, :math:`\rho = \frac{\epsilon}{k\eta} \approx \epsilon d/\sqrt{1+d(1+\eta^2)}`.

    Parameters, errors: as :func:`equivalent_rho`.

    Examples
    --------
    >>> from sam_edu.toy import NRFModel
    >>> m = NRFModel(p=0.95, eta=0.1, d=100)
    >>> round(equivalent_rho_leading(m, eps=0.001), 4)
    1.7408
    >>> round(equivalent_rho_leading(m, eps=0.001, kind="gaussian"), 4)
    1.005
    """
    eps = _check.number("eps", eps, low=0, high=np.inf, open_high=True)
    expansion = sam_expansion(model, perturbed, norm, kind)
    if eps == 0:
        return 0.0
    if eps >= model.eta or expansion.coefficient <= 0:
        return None
    if kind == "per-sample":
        return eps / (model.eta * expansion.coefficient)
    return float(np.sqrt(eps / ((model.eta - eps) * expansion.coefficient)))


def reported_equivalent_rho(model: NRFModel, eps: float) -> float | None:
    r"""The radius as it is reported of the workshop paper (arXiv 2305.05392).

    It solves :math:`2 + 3/\rho^2 = 2\eta/\epsilon`, so that :math:`\rho^2 = 3\epsilon/2(\eta-\epsilon)`. It
    rests on the constant 2/3, which no convention of this book has; with 1/(3d), that of the worst case of
    the robust weight, the 3 becomes 6d. None from eps = eta on.

    Examples
    --------
    >>> from sam_edu.toy import NRFModel
    >>> round(reported_equivalent_rho(NRFModel(p=0.95, eta=0.1, d=100), eps=0.05), 4)
    1.2247
    """
    eps = _check.number("eps", eps, low=0, high=np.inf, open_high=True)
    return None if eps >= model.eta else float(np.sqrt(1.5 * eps / (model.eta - eps)))


def _worst_case(model: NRFModel, target: float, perturbed: str, norm: str) -> float | None:
    """SAM's optimum lies above the target while the worst perturbation there gains from a larger w1."""
    w1 = np.asarray(target)

    def below(rho: NDArray) -> NDArray:
        return -worst_side(model, BALLS[perturbed, norm](model, np.broadcast_to(w1, rho.shape), rho))

    if perturbed == "robust":
        return float(sign_change(below, 0.0, expand(below, np.asarray(0.1 * np.sqrt(model.d)))))
    grid = ball_limit(model, perturbed, norm) * _SHARES
    # the first radius that is enough: with t* < sqrt(2) the optimum first falls, and may rise later
    enough = below(grid) < 0
    if not enough.any():
        return None
    at = int(enough.argmax())
    return float(sign_change(below, grid[at - 1] if at else 0.0, grid[at]))


def _gaussian(model: NRFModel, eps: float, target: float, perturbed: str) -> float | None:
    if perturbed == "robust":
        return float(np.sqrt(model.d * eps / (model.eta - eps)))

    def below(rho: NDArray) -> NDArray:
        return -gaussian_slope(model, np.full_like(rho, target), rho)

    start = equivalent_rho_leading(model, eps, "all", "l2", "gaussian")
    high = expand(below, np.asarray(start))
    return float(sign_change(below, 0.0, high)) if np.isfinite(high) else None


def _per_sample(model: NRFModel, target: float) -> float | None:
    """The radius at which the share of survivors is level at the target, if that is its best weight."""
    grid = np.linspace(0, np.sqrt(model.d), 130)[1:-1]
    enough = [rho for rho in grid if log_slope_ratio(model, target, rho) > 0]
    if not enough:
        return None
    rho = float(
        brentq(
            lambda r: log_slope_ratio(model, target, r),
            enough[0] - grid[0],
            enough[0],
            xtol=1e-14,
            rtol=1e-13,
        )
    )
    best = per_sample_optimum(model, rho, "all")
    return rho if abs(best - target) < 1e-6 * target else None  # not best: it has jumped to sgn(x_1)


_LOGISTIC = {"per-sample": "per-sample-sam", "worst": "full-batch-sam", "one-step": "one-step-sam"}


def _logistic(model: NRFModel, target: float, method: str) -> float | None:
    """The first crossing: per sample up to a shift of the margin of 500, where the loss is a hinge, over the
    full batch, which takes seconds for each radius, up to rho = 10.
    """

    def lead(rho: float) -> float:
        w1, w_nr = logistic_optimum(model, method, rho)
        return w1 / w_nr / target - 1

    if method == "full-batch-sam":
        return _first_crossing(lead, 0.05, 10.0, 2.0)
    high = 500 / input_norm_rms(model)
    return _first_crossing(lead, 1e-4 * high, high, 1.5)


def _first_crossing(lead: Callable[[float], float], low: float, high: float, factor: float) -> float | None:
    if lead(low) >= 0:
        return float(brentq(lead, 0.0, low, xtol=1e-14, rtol=1e-12))
    while low < high:
        up = min(factor * low, high)
        if lead(up) >= 0:
            return float(brentq(lead, low, up, xtol=1e-12, rtol=1e-11))
        low = up
    return None
