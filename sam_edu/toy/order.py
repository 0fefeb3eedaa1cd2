"""Which of two classifiers is the more accurate? A sign, where the accuracies agree in all digits.

A classifier is (tau, gamma), and its accuracy is::

    F(tau, gamma) = p Phi(gamma + tau) + (1-p) Phi(gamma - tau)

Between two of them F changes by p P(right) - (1-p) P(left): probabilities of two intervals, around
gamma + tau and gamma - tau. They are compared by the logarithm of their ratio. What cancels there is done by
hand: a robust feature that says next to nothing (small L) is not drowned by rounding.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray
from scipy.special import erfcx, ndtr

_NODES, _WEIGHTS = leggauss(10)


class Place(NamedTuple):
    """A classifier: tau, gamma and the rate L/2 - tau*gamma, exact where it is small."""

    tau: NDArray
    gamma: NDArray
    rising: NDArray


class Step(NamedTuple):
    """From one classifier to another: the changes of tau and gamma, and their ratio dgamma/dtau."""

    tau: NDArray
    gamma: NDArray
    slope: NDArray


def rise(log_odds: float, one: Place, two: Place, step: Step) -> NDArray:
    """Has the sign of F(two) - F(one); ``step`` leads from one to two. 0 where they are the same."""
    tau, gamma = (one.tau + two.tau) / 2, (one.gamma + two.gamma) / 2
    opposed = np.abs(step.slope) < 1  # the two intervals move in opposite directions
    slope, half = np.where(opposed, step.slope, 0.0), np.abs(step.tau) / 2
    up, down = half * (1 + slope), half * (1 - slope)  # half lengths of the two intervals
    right, left = np.abs(gamma + tau), np.abs(gamma - tau)
    narrow = (up * np.maximum(1, right) < 0.5) & (down * np.maximum(1, left) < 0.5)
    tails = (right >= up) & (left >= down)
    odds = one.rising + two.rising + step.tau * step.gamma / 2  # L - 2 tau gamma
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        close = odds + 2 * np.arctanh(slope) + _bent(right, up) - _bent(left, down)
        ends = np.log(_ends(right, up)) - np.log(_ends(left, down))
        across = odds + 2 * half * (tau + slope * (gamma - half)) + ends
        nearer = np.where(np.abs(one.tau) < np.abs(two.tau), one.rising, two.rising)
        around = log_odds + _log_mass(right, up) - _log_mass(left, down)
        tail = np.where(np.abs(tau) <= gamma, across, 2 * nearer + ends)
        ratio = np.where(narrow, close, np.where(tails, tail, around))
        agreed = np.where(np.sign(step.gamma) == 0, 0.0, np.copysign(np.inf, step.gamma))
        return np.where(opposed, np.where(half > 0, np.sign(step.tau) * ratio, 0.0), agreed)


def balance(mid: NDArray, half: NDArray) -> NDArray:
    """(phi(mid - half) - phi(mid + half)) / P(|Z - mid| < half): how fast ln P falls with mid."""
    mid, half = np.broadcast_arrays(mid, half)
    narrow = half * np.maximum(1, mid) < 0.5
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        rest = np.where(narrow, half * np.exp(_bent(mid, half) - half * mid + half**2 / 2), 0.0)
        tail = _ends(mid, half) * np.sqrt(np.pi / 8)
        around = (ndtr(mid + half) - ndtr(mid - half)) * np.sqrt(np.pi / 2) * np.exp((mid - half) ** 2 / 2)
        rest = np.where(narrow, rest, np.where(mid >= half, tail, around))
        return np.asarray(-np.expm1(-2 * mid * half) / (2 * rest))


def _bent(mid: NDArray, half: NDArray) -> NDArray:
    """ln of P(|Z - mid| < half) over 2*half times the density at mid, by Gauss's rule; short intervals."""
    steps = _NODES * half[..., None]
    return np.log1p(np.expm1(-steps * (mid[..., None] + steps / 2)) @ _WEIGHTS / 2)


def _ends(mid: NDArray, half: NDArray) -> NDArray:
    """2 P(|Z - mid| < half) exp((mid - half)^2/2) for half <= mid: no tail underflows."""
    near, far = np.maximum(mid - half, 0) / np.sqrt(2), (mid + half) / np.sqrt(2)
    return np.asarray(erfcx(near) - np.exp(-2 * mid * half) * erfcx(far))


def _log_mass(mid: NDArray, half: NDArray) -> NDArray:
    """ln P(|Z - mid| < half), not narrow."""
    tail = np.log(_ends(mid, half) / 2) - (mid - half) ** 2 / 2
    return np.where(mid >= half, tail, np.log(ndtr(mid + half) - ndtr(mid - half)))
