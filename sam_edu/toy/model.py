"""One robust feature against many weak ones: the distribution, and every accuracy in closed form.

The data model of Tsipras et al. (2019, arXiv 1805.12152). The label ``y`` is -1 or +1 with equal
probability. Given ``y``, independently::

    x_1 = y with probability p, -y otherwise        (the robust feature)
    x_j ~ N(eta*y, 1),  j = 2, ..., d+1             (d non-robust features)

A linear classifier sgn(w_1 x_1 + x_2 + ... + x_{d+1}) is described by its robust weight ``w1``, all
other weights being 1 (chapter 6 proves that equal weights are optimal). The features are not pixels:
they are unbounded, and radii are in the features' own units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from sam_edu import _check

ATTACKED = ("nonrobust", "all")


@dataclass(frozen=True)
class NRFModel:
    """The toy distribution with one robust and ``d`` non-robust features.

    Parameters
    ----------
    p : float
        Probability that the robust feature agrees with the label, 1/2 < p < 1.
    eta : float
        Mean of each non-robust feature, eta > 0, in units of its standard deviation.
    d : int
        Number of non-robust features, d >= 1.

    Raises
    ------
    ValueError, TypeError
        If a parameter is outside its range.

    Examples
    --------
    >>> m = NRFModel(p=0.95, eta=0.1, d=100)
    >>> round(float(m.natural_accuracy(14.722195)), 6)
    0.959541
    """

    p: float
    eta: float
    d: int

    def __post_init__(self) -> None:
        _check.number("p", self.p, low=0.5, high=1, open_low=True, open_high=True)
        _check.number("eta", self.eta, low=0, high=np.inf, open_low=True, open_high=True)
        _check.integer("d", self.d, low=1)

    @property
    def log_odds(self) -> float:
        """L = ln(p / (1-p)), the evidence that one look at the robust feature gives."""
        return float(2 * np.arctanh(2 * self.p - 1))  # exact near p = 1/2, too

    @property
    def c(self) -> float:
        """c = eta*sqrt(d), the signal-to-noise ratio of all non-robust features together."""
        return float(self.eta * np.sqrt(self.d))

    @property
    def tie_density(self) -> float:
        r"""G = p phi(c + t*) = (1-p) phi(c - t*), t* = w1*/sqrt(d): the two slopes that balance at w1*."""
        t = self.log_odds / (2 * self.c)
        return float(np.sqrt(self.p * (1 - self.p) / (2 * np.pi)) * np.exp(-(t**2 + self.c**2) / 2))

    def sample(self, n: int, seed: int | None = None) -> tuple[NDArray, NDArray]:
        """Draw ``n`` samples: features of shape (n, d+1), robust one first, and labels (n,) in {-1, +1}."""
        rng = np.random.default_rng(seed)
        n = _check.integer("n", n, low=1)
        y = rng.choice([-1.0, 1.0], size=n)
        x = np.empty((n, self.d + 1))
        x[:, 0] = np.where(rng.random(n) < self.p, y, -y)
        x[:, 1:] = rng.standard_normal((n, self.d)) + self.eta * y[:, None]
        return x, y

    def natural_accuracy(self, w1: ArrayLike) -> NDArray:
        r"""Accuracy of sgn(w1 x_1 + sum x_j), broadcast over ``w1``.

        .. math:: A(w_1) = p\,\Phi\Big(\frac{d\eta + w_1}{\sqrt d}\Big)
                         + (1-p)\,\Phi\Big(\frac{d\eta - w_1}{\sqrt d}\Big)
        """
        return self._accuracy(w1, shift=self.eta, wear=0.0)

    def robust_accuracy(
        self, w1: ArrayLike, eps: ArrayLike, attacked: str = "nonrobust", *, rounded: bool = False
    ) -> NDArray:
        r"""Accuracy under the worst l-infinity attack of radius ``eps``, broadcast over both.

        With every non-robust feature attacked, eta becomes eta - eps:
        :math:`A_{\eta-\epsilon}(w_1)`. With ``attacked="all"`` the robust feature moves as well and the
        margin loses a further :math:`\epsilon |w_1|`. The sign of the attack follows from the weights,
        so this is the exact minimum, not the result of a search.

        Parameters
        ----------
        w1, eps : array_like
            Robust weight (any real) and attack radius (>= 0; < 1 where all features are attacked,
            since from eps = 1 on the robust feature itself changes sign).
        attacked : {"nonrobust", "all"}
        rounded : bool
            Whether the classifier reads sgn(x_1) in place of x_1. Then an attack on x_1 with eps < 1 does
            nothing, and "all" is the same as "nonrobust" (Theorem 3d).

        Raises
        ------
        ValueError
            If eps is negative or NaN, or ``attacked`` is unknown.
        """
        _check.choice("attacked", attacked, ATTACKED)
        eps = check_eps(eps, attacked)
        return self._accuracy(w1, self.eta - eps, wear=eps if attacked == "all" and not rounded else 0.0)

    def _accuracy(self, w1: ArrayLike, shift: ArrayLike, wear: ArrayLike) -> NDArray:
        """p Phi((d shift + w1 - wear|w1|)/sqrt d) + (1-p) Phi((d shift - w1 - wear|w1|)/sqrt d).

        At w1 = +-inf only the robust feature counts: the limits p and 1-p.
        """
        w1 = np.asarray(w1, dtype=float)
        if np.isnan(w1).any():
            raise ValueError("w1 must not be NaN; use inf for the classifier sgn(x_1)")
        shift, wear = np.asarray(shift, dtype=float), np.asarray(wear, dtype=float)
        base = self.d * shift
        # (1 - wear)*w1 rather than w1 - wear*|w1|: the latter is inf - inf at w1 = inf
        up = base + np.where(w1 >= 0, 1 - wear, 1 + wear) * w1
        down = base - np.where(w1 >= 0, 1 + wear, 1 - wear) * w1
        root = np.sqrt(self.d)
        return self.p * ndtr(up / root) + (1 - self.p) * ndtr(down / root)

    def accuracy_slope(self, w1: ArrayLike, shift: ArrayLike | None = None) -> NDArray:
        r"""Closed-form derivative of :math:`A_\kappa(w_1)` (Lemma 0; kappa = ``shift``, default eta).

        .. math:: A_\kappa'(a) = \frac{2\sqrt{p(1-p)}}{\sqrt{2\pi d}}\,
                  e^{-(a^2+d^2\kappa^2)/2d}\,\sinh\!\Big(\frac L2 - a\kappa\Big)
        """
        a = np.asarray(w1, dtype=float)
        kappa = np.asarray(self.eta if shift is None else shift, dtype=float)
        # two exponentials instead of exp * sinh: the product overflows to inf * 0 far from 0
        half, root = self.log_odds / 2 - a * kappa, np.sqrt(2 * np.pi * self.d)
        quad = -(a**2 + self.d**2 * kappa**2) / (2 * self.d)
        return np.sqrt(self.p * (1 - self.p)) / root * (np.exp(quad + half) - np.exp(quad - half))


def check_eps(eps: ArrayLike, attacked: str) -> NDArray:
    """Return ``eps`` as an array if each radius makes sense for this attack."""
    eps = np.asarray(eps, dtype=float)
    if not (eps >= 0).all():  # also catches NaN
        raise ValueError("eps must be >= 0 and not NaN: it is the radius of the attack")
    if attacked == "all" and (eps >= 1).any():
        raise ValueError('eps must be < 1 where attacked="all": from eps = 1 on the attack flips x_1 itself')
    return eps
