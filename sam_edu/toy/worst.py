"""The worst classifier near a given one: exact, for one moving weight, an l2 ball and an l-infinity ball.

A perturbed classifier (w_1; u) is described by three numbers: its robust weight ``x``, the mean ``v`` of
its non-robust weights and their norm ``size`` = ||u||. With tau = x/size and gamma = eta*d*v/size its
accuracy is::

    F(tau, gamma) = p Phi(gamma + tau) + (1-p) Phi(gamma - tau)

Every perturbation makes, as a function of w1, a hill with one top, so the accuracy of the worst one is
such a hill, too. On which side of the top w1 lies is told by the worst perturbation alone: its accuracy
rises with w1 while tau*gamma < L/2 (Lemma 0). Hence optima are found from a sign, not from values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr

from sam_edu.toy.model import NRFModel
from sam_edu.toy.numerics import sign_change

_NODES, _WEIGHTS = leggauss(10)
_ROOT = np.sqrt(2 * np.pi)


@dataclass(frozen=True)
class Candidates:
    """Perturbed classifiers among which the worst is; arrays of one shape (..., number of candidates)."""

    x: NDArray
    v: NDArray
    size: NDArray

    def take(self, at: NDArray) -> Candidates:
        """The candidates at the indices ``at`` of the last axis, which is removed."""
        parts = (self.x, self.v, self.size)
        return Candidates(*(np.take_along_axis(part, at[..., None], -1)[..., 0] for part in parts))

    def margins(self, model: NRFModel) -> tuple[NDArray, NDArray]:
        """tau and gamma."""
        return self.x / self.size, model.eta * model.d * self.v / self.size

    def accuracy(self, model: NRFModel) -> NDArray:
        tau, gamma = self.margins(model)
        return model.p * ndtr(gamma + tau) + (1 - model.p) * ndtr(gamma - tau)

    def lead(self, model: NRFModel) -> NDArray:
        """accuracy - p, divided by a common positive factor along the last axis.

        Far out all accuracies agree with p to machine precision. The lead is a difference of two tails,
        (1-p) Phi(gamma - tau) - p Phi(-gamma - tau), and is compared on the scale of the largest.
        """
        tau, gamma = self.margins(model)
        gain = np.log1p(-model.p) + log_ndtr(gamma - tau)
        loss = np.log(model.p) + log_ndtr(-gamma - tau)
        scale = np.maximum(gain, loss).max(-1, keepdims=True)
        return np.exp(gain - scale) - np.exp(loss - scale)

    def rising(self, model: NRFModel) -> NDArray:
        """L/2 - tau*gamma: positive where a larger robust weight would help this classifier."""
        tau, gamma = self.margins(model)
        return model.log_odds / 2 - tau * gamma


def worst_side(model: NRFModel, candidates: Candidates) -> NDArray:
    """Positive where the worst candidate gains from a larger robust weight; last axis removed."""
    return candidates.take(candidates.lead(model).argmin(-1)).rising(model)


def interval(model: NRFModel, w1: NDArray, rho: NDArray) -> Candidates:
    """Only the robust weight moves, by at most rho: the worst is at one end."""
    x = np.stack(np.broadcast_arrays(w1 - rho, w1 + rho), axis=-1)
    return Candidates(x, np.ones_like(x), np.full_like(x, np.sqrt(model.d)))


def right_end_better(model: NRFModel, w1: NDArray, rho: NDArray) -> NDArray:
    """Has the sign of A(w1 + rho) - A(w1 - rho), compared as a ratio of two probability masses.

    With a, b = (w1 -+ rho)/sqrt(d) it is p P(c+a < Z < c+b) - (1-p) P(c-b < Z < c-a). Differences of the
    accuracies themselves would be rounding noise where both agree with p, or with 1, to the last bit.
    """
    at, half = w1 / np.sqrt(model.d), rho / np.sqrt(model.d)
    rise, fall = _log_mass(model.c + at, half), _log_mass(model.c - at, half)
    one_point = np.isneginf(rise) & np.isneginf(fall)  # rho is lost in rounding: the slope decides
    rise, fall = np.where(one_point, 0, rise), np.where(one_point, 0, fall)
    return np.where(one_point, model.log_odds / 2 - w1 * model.eta, model.log_odds + rise - fall)


def _log_mass(mid: NDArray, half: NDArray) -> NDArray:
    """ln P(|Z - mid| < half) for standard normal Z, computed in the tail where the mass is small.

    Over a narrow interval the two ends cancel; there the density is integrated (Gauss, 10 nodes).
    """
    mid, half = np.broadcast_arrays(-np.abs(mid), half)
    low, high = mid - half, mid + half
    top, bottom = log_ndtr(high), log_ndtr(low)
    nodes, peak = mid[..., None] + _NODES * half[..., None], -(mid**2) / 2
    with np.errstate(divide="ignore", over="ignore"):
        wide = top + np.log1p(-np.exp(bottom - top))
        narrow = np.log(half) + peak + np.log((np.exp(-(nodes**2) / 2 - peak[..., None]) @ _WEIGHTS) / _ROOT)
    return np.where(2 * half * np.maximum(1, -low) < 1, narrow, wide)


def l2_ball(model: NRFModel, w1: NDArray, rho: NDArray) -> Candidates:
    r"""All weights move, :math:`\|e\|_2\le\rho<\sqrt d`: two tilts in the plane, up to two out of it.

    The accuracy does not depend on the scale, so the ball is a cone of half angle
    :math:`\Delta=\arcsin(\rho/\|w\|)`, and the worst lies on its rim. At angle psi on the rim, 0 being the
    tilt that raises w1/v and pi the one that lowers it, the non-robust weights are unequal unless psi is
    0 or pi. As rho -> 0 the worst is a tilt in the plane (Theorem 10), but for finite rho it can lie
    between. Inner minima are found where the derivative along the rim turns positive.
    """
    w1, rho = np.broadcast_arrays(w1, rho)
    psi = np.zeros((*w1.shape, 4))
    psi[..., 0] = np.pi
    if model.d > 1:
        psi[..., 2:] = _inner_minima(model, w1, rho)
    return _on_rim(model, w1, rho, psi)[0]


def _on_rim(
    model: NRFModel, w1: NDArray, rho: NDArray, psi: NDArray
) -> tuple[Candidates, Callable[[], NDArray]]:
    """The classifiers at angles psi (..., n) of the rim, and a function for the sign of dF/dpsi there."""
    w1, rho = w1[..., None], rho[..., None]
    root = np.sqrt(model.d)
    length = np.hypot(w1, root)
    sin0, cos0, sin = w1 / length, root / length, rho / length
    cos = np.sqrt((1 - sin) * (1 + sin))
    tilt, out = sin * np.cos(psi), sin * np.sin(psi)
    x, y, z = cos * sin0 + tilt * cos0, cos * cos0 - tilt * sin0, out
    reach = length * cos  # the rim touches the ball here
    size = np.hypot(y, z)
    found = Candidates(reach * x, reach * y / root, reach * size)

    def derivative() -> NDArray:
        dx, dy, dz = -out * cos0, out * sin0, tilt
        dsize = (y * dy + z * dz) / size
        dtau, dgamma = (dx - x * dsize / size) / size, model.c * (dy - y * dsize / size) / size
        return np.tanh(found.rising(model)) * dtau + dgamma  # dF/dpsi up to a positive factor (Lemma 0)

    return found, derivative


def _inner_minima(model: NRFModel, w1: NDArray, rho: NDArray) -> NDArray:
    """The first and the last minimum inside (0, pi), shape (..., 2); an end of the rim if there is none."""
    grid = np.linspace(0, np.pi, 66)[1:-1]
    falls = _on_rim(model, w1, rho, np.broadcast_to(grid, (*w1.shape, 64)))[1]() < 0
    turns = falls[..., :-1] & ~falls[..., 1:]
    cells = np.stack([turns.argmax(-1), 62 - turns[..., ::-1].argmax(-1)], axis=-1)
    low, high = grid[cells], grid[np.minimum(cells + 1, 63)]
    w1, rho = w1[..., None], rho[..., None]
    found = sign_change(lambda psi: -_on_rim(model, w1, rho, psi)[1](), low, high)
    return np.where(turns.any(-1, keepdims=True), found, 0.0)


def linf_ball(model: NRFModel, w1: NDArray, rho: NDArray) -> Candidates:
    """All weights move by at most rho < 1 each: the worst is a corner, some of u up and the rest down.

    For given w_1 and mean of u the accuracy first rises and then falls with ||u||, so the worst u is
    either equal in all features or as unequal as the box allows: with one more step, a corner.
    """
    w1, rho = (x[..., None] for x in np.broadcast_arrays(w1, rho))
    up = np.tile(np.arange(model.d + 1), 2)
    side = np.repeat([-1.0, 1.0], model.d + 1)
    share = up / model.d
    v = 1 - rho + 2 * rho * share
    square = share * (1 + rho) ** 2 + (1 - share) * (1 - rho) ** 2
    return Candidates(w1 + rho * side, v, np.sqrt(model.d * square))


BALLS = {
    ("robust", "l2"): interval,
    ("robust", "linf"): interval,
    ("all", "l2"): l2_ball,
    ("all", "linf"): linf_ball,
}


def ball_limit(model: NRFModel, perturbed: str, norm: str) -> float:
    """From this radius on the ball holds classifiers without, or with reversed, non-robust weights."""
    if perturbed == "robust":
        return np.inf
    return float(np.sqrt(model.d)) if norm == "l2" else 1.0
