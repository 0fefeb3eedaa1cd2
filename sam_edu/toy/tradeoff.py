"""Natural against robust accuracy: the Pareto arc, and why a small shift is nearly free (Theorem 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam_edu import _check
from sam_edu.toy.model import NRFModel
from sam_edu.toy.solutions import adversarial_optimum, standard_optimum


@dataclass(frozen=True)
class Tradeoff:
    r"""What a small shift h > 0 of the robust weight from :math:`w_1^*` gains and costs (Theorem 4b).

    Attributes
    ----------
    gain : float
        First order: robust accuracy rises by ``gain * h`` + O(h^2); > 0 for every eps > 0.
    cost : float
        Second order: natural accuracy falls by ``cost * h**2`` + O(h^3).
    """

    gain: float
    cost: float


def pareto_interval(model: NRFModel, eps: float) -> tuple[float, float]:
    r"""Theorem 4(a): the robust weights that no other robust weight beats in both accuracies.

    With the non-robust features attacked by eps < eta, natural accuracy strictly falls and robust accuracy
    strictly rises on :math:`[w_1^*, w_1^{AT}]`; outside, both get worse on the way out. From eps = eta on the
    interval has no right end: ``inf``.

    Returns
    -------
    w1_standard, w1_adversarial : float

    Raises
    ------
    ValueError
        If eps is negative or NaN.

    Examples
    --------
    >>> from sam_edu.toy import NRFModel
    >>> m = NRFModel(p=0.95, eta=0.1, d=100)
    >>> [round(w1, 3) for w1 in pareto_interval(m, eps=0.05)]
    [14.722, 29.444]
    """
    return standard_optimum(model), adversarial_optimum(model, eps).w1


def small_shift(model: NRFModel, eps: float) -> Tradeoff:
    r"""Theorem 4(b): gain of first order, cost of second order.

    .. math:: A'_{\eta-\epsilon}(w_1^*) = \frac{2\sqrt{p(1-p)}}{\sqrt{2\pi d}}
              e^{-(w_1^{*2}+d^2(\eta-\epsilon)^2)/2d}\sinh(w_1^*\epsilon), \qquad
              -\tfrac12 A''(w_1^*) = \frac{G\eta}{\sqrt d}

    Raises
    ------
    ValueError
        If eps is negative or NaN.

    Examples
    --------
    >>> from sam_edu.toy import NRFModel
    >>> found = small_shift(NRFModel(p=0.95, eta=0.1, d=100), eps=0.01)
    >>> round(found.gain, 6), round(found.cost, 6)
    (0.00058, 0.000178)
    """
    eps = _check.number("eps", eps, low=0, high=np.inf, open_high=True)
    star = standard_optimum(model)
    gain = float(model.accuracy_slope(star, shift=model.eta - eps))
    return Tradeoff(gain, model.tie_density * model.eta / float(np.sqrt(model.d)))
