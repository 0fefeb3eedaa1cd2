r"""Where the best classifier under attack changes abruptly (Theorem 3, all features attacked).

Two radii matter. Up to ``vanish`` the robust accuracy, as a function of the robust weight, has a local
maximum at a finite weight. Up to ``jump`` that maximum is also the best of all; from there on the
classifier sgn(x_1) is better. In between, a search that climbs from small weights stops at the wrong one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from sam_edu.toy.model import NRFModel
from sam_edu.toy.solutions import beats_robust_feature


@dataclass(frozen=True)
class AttackThresholds:
    r"""Radii at which the optimum under attack on all features changes its kind.

    Attributes
    ----------
    jump : float
        :math:`\epsilon_g`, 0 < jump < min(eta, 1): below it the best linear classifier has a finite robust
        weight, from it on it is sgn(x_1). Infinity where :math:`\Phi(\sqrt d(\eta-1))\ge p`: there the
        non-robust features alone beat sgn(x_1) at every radius below 1.
    vanish : float or None
        :math:`\epsilon_c`, jump < vanish < eta: the smallest radius at which the interior maximum is
        gone. None where there is no such radius (possible only if eta >= 2p-1: then the maximum moves to
        w_1 = 0 instead).
    """

    jump: float
    vanish: float | None


def attack_thresholds(model: NRFModel) -> AttackThresholds:
    r"""The two radii of Theorem 3, by bisection.

    ``vanish`` is the first zero of the discriminant
    :math:`D(\epsilon) = (\eta-\epsilon)^2 - \frac{2\epsilon}{d}(L - 2\,\mathrm{artanh}\,\epsilon)`, which
    is convex on (0, 2p-1) and positive at 0. ``jump`` is the only radius at which the interior
    maximum of the robust accuracy equals p.

    Examples
    --------
    >>> t = attack_thresholds(NRFModel(p=0.95, eta=0.1, d=100))
    >>> round(t.jump, 6), round(t.vanish, 6)
    (0.047792, 0.047809)
    """
    vanish = _vanish(model)
    if vanish is None and ndtr(np.sqrt(model.d) * (model.eta - 1)) >= model.p:
        return AttackThresholds(np.inf, None)
    high = min(model.eta, 1.0) if vanish is None else vanish
    return AttackThresholds(_bisect(lambda eps: _lead(eps, model), 0.0, high), vanish)


def _bisect(f: Callable[[float], float], low: float, high: float) -> float:
    """Where f turns from positive, as at ``low``, to not positive, as at ``high``: to the last bit.

    Only signs are used: neither end is evaluated, because there the limits hold, not the formulas.
    """
    while low < (mid := (low + high) / 2) < high:
        low, high = (mid, high) if f(mid) > 0 else (low, mid)
    return high


def _discriminant(eps: float, model: NRFModel) -> float:
    return (model.eta - eps) ** 2 - 2 * eps * (model.log_odds - 2 * float(np.arctanh(eps))) / model.d


def _vanish(model: NRFModel) -> float | None:
    """The first zero of the discriminant in (0, min(eta, 2p-1)), or None.

    It is convex there. At the right end it is (eta - 2p + 1)^2 if eta >= 2p-1 and negative otherwise.
    """
    reliable = 2 * model.p - 1
    end = min(model.eta, reliable)
    if model.eta >= reliable:  # the convex function may still dip below 0: where its slope turns
        end = _bisect(lambda eps: -_slope(eps, model), 0.0, reliable)
        if _discriminant(end, model) >= 0:
            return None
    return _bisect(lambda eps: _discriminant(eps, model), 0.0, end)


def _slope(eps: float, model: NRFModel) -> float:
    """Derivative of the discriminant."""
    log_odds = model.log_odds - 2 * float(np.arctanh(eps))
    return -2 * (model.eta - eps) - 2 * log_odds / model.d + 4 * eps / ((1 - eps**2) * model.d)


def _lead(eps: float, model: NRFModel) -> float:
    """Has the sign of R(w1) - p at the interior maximum w1 of the robust accuracy R.

    R > p is the same as (1-p) Phi(down) > p Phi(-up). The two masses are compared by the logarithm of their
    ratio, in which the squares of their ends, which can be huge, are subtracted before anything is rounded.
    """
    k, log_odds = model.eta - eps, model.log_odds - 2 * np.arctanh(eps)
    w1 = log_odds / (k + np.sqrt(max(_discriminant(eps, model), 0.0))) if log_odds > 0 else 0.0
    return beats_robust_feature(model, w1, eps)
