"""The toy model solved: what standard and adversarial training converge to.

All optima are for the 0-1 risk over linear classifiers, given as the robust weight ``w1`` where every
non-robust weight is 1; ``w1 = inf`` stands for the classifier sgn(x_1), which ignores them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import erfcx, log_ndtr

from sam_edu import _check
from sam_edu.toy.model import ATTACKED, NRFModel


@dataclass(frozen=True)
class AdversarialOptimum:
    """Best linear classifier under attack.

    Attributes
    ----------
    w1 : float
        Robust weight; ``inf`` in the regime "robust-only". It is 0 where the robust feature itself
        is dropped (only with all features attacked and eps >= 2p-1).
    regime : {"interior", "robust-only"}
    robust_accuracy, natural_accuracy : float
        Of this classifier, with and without the attack.
    """

    w1: float
    regime: str
    robust_accuracy: float
    natural_accuracy: float


def standard_optimum(model: NRFModel) -> float:
    r"""Theorem 1: the accuracy is maximal exactly at :math:`w_1^* = \frac{\ln p - \ln(1-p)}{2\eta}`.

    It does not depend on d, and no classifier of any kind does better.

    Examples
    --------
    >>> from sam_edu.toy import NRFModel
    >>> round(standard_optimum(NRFModel(p=0.95, eta=0.1, d=100)), 6)
    14.722195
    """
    return model.log_odds / (2 * model.eta)


def adversarial_optimum(
    model: NRFModel, eps: float, attacked: str = "nonrobust", *, rounded: bool = False
) -> AdversarialOptimum:
    r"""Theorems 2 and 3: the linear classifier with the highest accuracy under attack.

    ``attacked="nonrobust"``: :math:`w_1 = \frac{L}{2(\eta-\epsilon)}` for :math:`\epsilon<\eta`, and
    sgn(x_1) from :math:`\epsilon=\eta` on (where the formula would be infinite or negative).

    ``attacked="all"``: the interior optimum

    .. math:: w_1 = \frac{L_\epsilon}{k+\sqrt{k^2 - 2\epsilon L_\epsilon/d}}, \qquad
              k = \eta-\epsilon,\quad L_\epsilon = L - 2\,\mathrm{artanh}\,\epsilon

    as long as it exists and its robust accuracy exceeds p, the accuracy of sgn(x_1): at a threshold
    below eta the best classifier *jumps*.

    ``rounded=True``: the classifier may read sgn(x_1) in place of x_1; then an attack on all features with
    eps < 1 has the same optimum as one on the non-robust features (Theorem 3d).

    Raises
    ------
    ValueError
        If eps < 0, or eps >= 1 where all features are attacked.

    Examples
    --------
    >>> from sam_edu.toy import NRFModel
    >>> m = NRFModel(p=0.95, eta=0.1, d=100)
    >>> best = adversarial_optimum(m, eps=0.05)
    >>> round(best.w1, 4), best.regime, round(best.robust_accuracy, 4)
    (29.4444, 'interior', 0.9501)
    >>> adversarial_optimum(m, eps=0.1).w1
    inf
    """
    _check.choice("attacked", attacked, ATTACKED)
    high = 1.0 if attacked == "all" else np.inf
    eps = _check.number("eps", eps, low=0, high=high, open_high=True)
    if rounded:
        attacked = "nonrobust"
    w1 = _interior_optimum(model, eps, attacked)
    if w1 is not None:
        # Only with all features attacked can sgn(x_1) win although an interior optimum exists.
        if attacked == "nonrobust" or beats_robust_feature(model, w1, eps) > 0:
            robust = float(model.robust_accuracy(w1, eps, attacked))
            return AdversarialOptimum(w1, "interior", robust, float(model.natural_accuracy(w1)))
    return AdversarialOptimum(np.inf, "robust-only", model.p, model.p)


def kept_features(model: NRFModel, eps: float) -> tuple[bool, bool]:
    r"""Theorem 6: which features adversarial training of a linear model keeps, all features attacked.

    For every strictly convex, differentiable loss that falls with the margin and is finite here, a feature
    gets weight 0 iff its mean is at most eps: the robust one from eps = 2p-1 on, the others from eps = eta.
    (The 0-1 risk, which is not convex, drops the non-robust ones earlier: :func:`attack_thresholds`.)

    Returns
    -------
    robust, nonrobust : bool

    Examples
    --------
    >>> from sam_edu.toy import NRFModel
    >>> kept_features(NRFModel(p=0.95, eta=0.1, d=100), eps=0.05)
    (True, True)
    >>> kept_features(NRFModel(p=0.95, eta=0.1, d=100), eps=0.1)
    (True, False)
    """
    eps = _check.number("eps", eps, low=0, high=1, open_high=True)
    return 2 * model.p - 1 > eps, model.eta > eps


def beats_robust_feature(model: NRFModel, w1: float, eps: float) -> float:
    """Positive where R, the accuracy at ``w1`` >= 0 with all features attacked, is above p, that of sgn(x_1).

    R > p is the same as (1-p) Phi(-low) > p Phi(-high), low, high = ((1 +- eps) w1 -+ d (eta - eps))/sqrt(d).
    Far out R agrees with p to machine precision, so the two tails are compared by the logarithm of their
    ratio. In it (high^2 - low^2)/2 = 2 w1 (eta - eps - eps w1/d) is taken in closed form: both squares can
    be huge.
    """
    root, k = np.sqrt(model.d), model.eta - eps
    low, high = ((1 + eps) * w1 / root - root * k), ((1 - eps) * w1 / root + root * k)
    if low < 0:
        return float(log_ndtr(-low) - model.log_odds - log_ndtr(-high))
    tails = np.log(erfcx(low / np.sqrt(2))) - np.log(erfcx(high / np.sqrt(2)))
    return float(tails + 2 * w1 * (k - eps * w1 / model.d) - model.log_odds)


def _interior_optimum(model: NRFModel, eps: float, attacked: str) -> float | None:
    """The local maximum of the robust accuracy at a finite w1 >= 0, or None where there is none."""
    k = model.eta - eps
    if k <= 0:
        return None
    if attacked == "nonrobust":
        return model.log_odds / (2 * k)
    log_odds = model.log_odds - 2 * np.arctanh(eps)
    if log_odds <= 0:  # eps >= 2p-1: more is lost by an attack on x_1 than it ever gives
        return 0.0
    discriminant = k**2 - 2 * eps * log_odds / model.d
    return None if discriminant <= 0 else float(log_odds / (k + np.sqrt(discriminant)))
