r"""Where the best classifier under attack changes abruptly (Theorem 3, all features attacked).

Two radii matter. Up to ``vanish`` the robust accuracy, as a function of the robust weight, has a local
maximum at a finite weight. Up to ``jump`` that maximum is also the best of all; from there on the
classifier sgn(x_1) is better. In between, a search that climbs from small weights stops at the wrong one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_ndtr

from sam_edu.toy.model import NRFModel


@dataclass(frozen=True)
class AttackThresholds:
    r"""Radii at which the optimum under attack on all features changes its kind.

    Attributes
    ----------
    jump : float
        :math:`\epsilon_g`, 0 < jump < eta: below it the best linear classifier has a finite robust
        weight, from it on it is sgn(x_1).
    vanish : float or None
        :math:`\epsilon_c`, jump < vanish < eta: the smallest radius at which the interior maximum is
        gone. None where there is no such radius (possible only if eta >= 2p-1: then the maximum moves to
        w_1 = 0 instead).
    """

    jump: float
    vanish: float | None


def attack_thresholds(model: NRFModel) -> AttackThresholds:
    r"""The two radii of Theorem 3, by bracketed root finding.

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
    high = model.eta if vanish is None else vanish
    jump = brentq(_lead, 0.0, high, args=(model,), xtol=1e-15, rtol=1e-13)
    return AttackThresholds(float(jump), vanish)


def _discriminant(eps: float, model: NRFModel) -> float:
    log_odds = model.log_odds - 2 * np.arctanh(eps)
    return float((model.eta - eps) ** 2 - 2 * eps * log_odds / model.d)


def _vanish(model: NRFModel) -> float | None:
    """The first zero of the discriminant in (0, min(eta, 2p-1)), or None."""
    end = min(model.eta, 2 * model.p - 1)
    if _discriminant(end, model) >= 0:  # eta >= 2p-1: the convex function may still dip below 0
        end = float(minimize_scalar(_discriminant, bounds=(0, end), args=(model,), method="bounded").x)
        if _discriminant(end, model) >= 0:
            return None
    return float(brentq(_discriminant, 0.0, end, args=(model,), xtol=1e-15, rtol=1e-13))


def _lead(eps: float, model: NRFModel) -> float:
    """Has the sign of R(w1) - p at the interior maximum w1 of the robust accuracy R.

    R > p is the same as (1-p) Phi(down) > p Phi(-up). The two masses are compared on the log scale: far
    out, R agrees with p to machine precision and their difference would be rounding noise.
    """
    k, log_odds = model.eta - eps, model.log_odds - 2 * np.arctanh(eps)
    w1 = log_odds / (k + np.sqrt(max(_discriminant(eps, model), 0.0))) if log_odds > 0 else 0.0
    root, base = np.sqrt(model.d), model.d * k
    gain = log_ndtr((base - (1 + eps) * w1) / root)
    loss = model.log_odds + log_ndtr(-(base + (1 - eps) * w1) / root)
    return float(gain - loss)
