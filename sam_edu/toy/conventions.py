"""Which SAM? The conventions of chapter 8: who is perturbed, in which ball, by the worst case or on average.

"SAM raises the robust weight" is true, false or void depending on these choices, so every function that
solves SAM for the 0-1 risk takes them by name. :data:`CONVENTIONS` lists the rows of the table that closes
the chapter, in its order; :data:`CONVENTION` finds one by its key.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sam_edu import _check
from sam_edu.toy.model import NRFModel
from sam_edu.toy.numerics import chi_rule

PERTURBED = ("robust", "all")
NORMS = ("l2", "linf")
KINDS = ("worst", "uniform", "gaussian", "per-sample", "one-step", "free-scale")


@dataclass(frozen=True)
class Convention:
    """One way to read "SAM" for the 0-1 risk.

    Attributes
    ----------
    key : str
        Short name, the key of :data:`CONVENTION`.
    label : str
        The convention in plain words.
    perturbed : {"robust", "all"}
        Whether only the robust weight moves or every weight.
    norm : {"l2", "linf"}
        The ball; without meaning where one weight moves, and for averages over a Gaussian.
    kind : {"worst", "uniform", "gaussian", "per-sample", "one-step", "free-scale"}
        The exact worst case for all samples at once, the average over the interval, the average over
        Gaussian noise of standard deviation rho, the worst case for each sample on its own, the one-step
        full-batch algorithm with small steps, or the worst case where the scale of the weights is free.
    """

    key: str
    label: str
    perturbed: str
    norm: str
    kind: str

    @property
    def options(self) -> dict[str, str]:
        """The keyword arguments of this convention: ``sam_optimum(m, rho, **convention.options)``."""
        return {"perturbed": self.perturbed, "norm": self.norm, "kind": self.kind}


CONVENTIONS: tuple[Convention, ...] = (
    Convention("robust-worst", "robust weight only, exact worst case", "robust", "l2", "worst"),
    Convention("robust-uniform", "robust weight only, uniform average", "robust", "l2", "uniform"),
    Convention("robust-gaussian", "robust weight only, Gaussian average", "robust", "l2", "gaussian"),
    Convention("one-step", "one ascent step on the full batch, small steps", "all", "l2", "one-step"),
    Convention("l2-worst", "all weights, worst case in an l2 ball", "all", "l2", "worst"),
    Convention("linf-worst", "all weights, worst case in an l-infinity ball", "all", "linf", "worst"),
    Convention("gaussian", "all weights, Gaussian average", "all", "l2", "gaussian"),
    Convention(
        "per-sample", "all weights, worst case in an l2 ball for each sample", "all", "l2", "per-sample"
    ),
    Convention("free-scale", "worst case, scale of the weights free", "all", "l2", "free-scale"),
)
CONVENTION: dict[str, Convention] = {c.key: c for c in CONVENTIONS}


@dataclass(frozen=True)
class Expansion:
    r"""SAM's optimum for small radii: :math:`w_1^{SAM} = w_1^*(1 + k\rho^n) + \dots`

    Attributes
    ----------
    coefficient : float
        k, the relative change of the robust weight per ``rho**order``; 0 where SAM changes nothing.
    order : int
        n: 2 where one perturbation serves all samples, 1 where each sample has its own.
    w1 : float
        The standard optimum, from which it starts.
    """

    coefficient: float
    order: int
    w1: float

    def __call__(self, rho: ArrayLike) -> np.ndarray:
        """The leading-order optimum at ``rho`` (broadcast)."""
        return self.w1 * (1 + self.coefficient * np.asarray(rho, dtype=float) ** self.order)


def check_convention(perturbed: str, norm: str, kind: str) -> None:
    """Raise ValueError unless the three names are known and this combination is solved in the book."""
    _check.choice("perturbed", perturbed, PERTURBED)
    _check.choice("norm", norm, NORMS)
    _check.choice("kind", kind, KINDS)
    if perturbed == "all" and kind == "uniform":
        raise ValueError(
            'kind="uniform" is solved for perturbed="robust" only; with all weights use "gaussian"'
        )
    if perturbed == "all" and kind == "per-sample" and norm == "linf":
        raise ValueError('kind="per-sample" with all weights is solved for norm="l2" only')


def input_norm_rms(model: NRFModel) -> float:
    r"""Root mean square norm of an input, :math:`r_x = \sqrt{1 + d(1+\eta^2)}`.

    Examples
    --------
    >>> from sam_edu.toy import NRFModel
    >>> round(input_norm_rms(NRFModel(p=0.95, eta=0.1, d=100)), 4)
    10.0995
    """
    return float(np.sqrt(1 + model.d * (1 + model.eta**2)))


def sam_expansion(
    model: NRFModel, perturbed: str = "robust", norm: str = "l2", kind: str = "worst"
) -> Expansion:
    r"""How SAM's optimum for the 0-1 risk leaves the standard one as rho grows from 0 (non-robust weights 1).

    ==================================== ====================================================== =====
    convention                            coefficient k                                          order
    ==================================== ====================================================== =====
    robust, worst or uniform (Thm 7, 8)   1/(3d)                                                 2
    robust, Gaussian (Prop. 8)            1/d, exact                                             2
    robust, per sample                    1/(d eta); exact optimum L/(2(eta - rho/d))            1
    one step, full batch (Thm 9)          0, exact                                               2
    all, l2, worst (Thm 10)               -(2 - t^2)/(3d), t = w1*/sqrt(d)                       2
    all, l-infinity, worst (Exp. 11)      see below                                              2
    all, Gaussian                         1 - (2 - t^2)/d                                        2
    all, l2, per sample                   E[(t^2+k^2)/sqrt(1+t^2+k^2)]/(d eta), k chi_{d-1}      1
    free scale                            0, a supremum that is not attained                     2
    ==================================== ====================================================== =====

    Gaussian: positive for every model with d >= 2; with one non-robust feature only where t > 1. It comes
    from the first two moments of the noise; the simpler :math:`1+\eta^2+\frac1d`, which takes the norm of x
    for constant, agrees up to terms of order 1/d and :math:`\eta^2`. Per sample: the fraction is n - n'/t for
    the mean norm :math:`n(t)=E\sqrt{1+t^2+k^2}` of a sample with margin 0; for large d it is close to the
    root mean square norm, :math:`r_x=\sqrt{1+d(1+\eta^2)}`.

    Expansion 11: with :math:`a = w_1^*`, if :math:`a(1+a)\ge d` (or d = 1) all weak weights move together and
    :math:`k = \frac{(1+a)[a(1+a)-3d]}{3ad}`. Otherwise part of them moves up and part down, with the mean
    shift :math:`\rho j/d`, j the whole number with the parity of d nearest to :math:`\frac{ad}{d-a^2}`, and

    .. math:: k = \frac{T^2}3+1-2\mu^2-\frac\mu a-\frac{\mu(1-\mu^2)}{tT},
              \qquad \mu=\frac jd,\quad T=\frac{1+a\mu}{\sqrt d}.

    That holds for rho well below 1/d, and k has either sign, also for large d, where it is about 1 - j/a.
    For larger radii only :func:`sam_optimum` is right. Of two j that are equally near, the larger is taken.

    Raises
    ------
    ValueError
        If the convention is unknown or not solved.

    Examples
    --------
    >>> from sam_edu.toy import NRFModel
    >>> m = NRFModel(p=0.95, eta=0.1, d=100)
    >>> e = sam_expansion(m)
    >>> round(e.coefficient, 6), e.order
    (0.003333, 2)
    >>> round(sam_expansion(m, perturbed="all").coefficient, 4)
    0.0006
    """
    check_convention(perturbed, norm, kind)
    d, eta = model.d, model.eta
    star = model.log_odds / (2 * eta)
    if kind in ("one-step", "free-scale"):
        return Expansion(0.0, 2, star)
    if kind == "per-sample":
        return Expansion((1.0 if perturbed == "robust" else _border_norm(model)) / (d * eta), 1, star)
    if kind == "gaussian":
        return Expansion(1 / d if perturbed == "robust" else 1 - (2 - star**2 / d) / d, 2, star)
    if perturbed == "robust":
        return Expansion(1 / (3 * d), 2, star)
    if norm == "l2":
        return Expansion(-(2 - star**2 / d) / (3 * d), 2, star)
    return Expansion(_linf_coefficient(star, d), 2, star)


def _linf_coefficient(a: float, d: int) -> float:
    """k of Expansion 11; mu, in units of rho, is the mean shift of the worst corner of the ball."""
    mu = 1.0
    if a * (1 + a) < d:
        mu = min(d, 2 * np.floor((a * d / (d - a**2) - d % 2) / 2 + 0.5) + d % 2) / d
    tension = (1 + a * mu) / np.sqrt(d)
    split = mu * (1 - mu**2) * np.sqrt(d) / (a * tension)
    return float(tension**2 / 3 + 1 - 2 * mu**2 - mu / a - split)


def _border_norm(model: NRFModel) -> float:
    """E[(t^2+k^2)/sqrt(1+t^2+k^2)], t = w1*/sqrt(d), k chi with d-1 degrees of freedom."""
    k, weights = chi_rule(model.d - 1, 60)
    square = (model.log_odds / (2 * model.c)) ** 2 + k**2
    return float(weights @ (square / np.sqrt(1 + square)))
