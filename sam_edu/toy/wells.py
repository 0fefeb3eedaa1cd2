"""A loss of one weight with a sharp and a wide minimum, and its worst value in a ball (chapter 1).

Two wells of height 1 touch at v = 0. A, on the left, has half-width A_WIDTH * alpha and depth to 0; B, on
the right, has half-width B_WIDTH and depth to ``floor``. The coordinate v stretches the side of A by alpha:
the weight w = v / alpha (v < 0) and what it computes stay the same, only the ruler changes.
"""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sam_edu import _check

A_WIDTH, B_WIDTH = 0.3, 1.2  # half-widths at alpha = 1


def loss(v: ArrayLike, alpha: float = 1.0, floor: float = 0.2) -> NDArray[np.float64]:
    """Loss at v: within a well depth + (1 - depth) (1 - (1 - u^2)^2), u the distance in half-widths.

    Parameters
    ----------
    v : array_like
    alpha : float
        Stretch of A's side, > 0.
    floor : float
        Loss at the bottom of B, in [0, 1); A's is 0.
    """
    alpha, floor = _checked(alpha, floor)
    v = np.asarray(v, dtype=float)
    a = A_WIDTH * alpha
    return np.where(v < 0, _rise((v + a) / a, 0.0), _rise((v - B_WIDTH) / B_WIDTH, floor))


def worst_loss(v: ArrayLike, rho: float, alpha: float = 1.0, floor: float = 0.2) -> NDArray[np.float64]:
    """Highest loss in [v - rho, v + rho]: at an end, or 1 where the interval contains the hump at 0."""
    rho = _check.number("rho", rho, low=0)
    v = np.asarray(v, dtype=float)
    ends = np.maximum(loss(v - rho, alpha, floor), loss(v + rho, alpha, floor))
    return np.where(np.abs(v) < rho, 1.0, ends)


def prices(rho: ArrayLike, alpha: float = 1.0, floor: float = 0.2) -> tuple[NDArray, NDArray]:
    """Lowest worst loss that A and that B can offer at radius rho: each is reached at the bottom."""
    alpha, floor = _checked(alpha, floor)
    rho = np.asarray(rho, dtype=float)
    return _rise(rho / (A_WIDTH * alpha), 0.0), _rise(rho / B_WIDTH, floor)


def critical_rho(alpha: float = 1.0, floor: float = 0.2) -> float:
    r"""Radius at which the minimizer of the worst loss jumps from A to B; inf if it never does.

    .. math:: \rho_c^2=\frac{1-\sqrt{1-f}}{a^{-2}-\sqrt{1-f}\,b^{-2}},\qquad a=\alpha\cdot0.3,\; b=1.2,

    which solves :math:`1-(1-\rho^2/a^2)^2 = 1-(1-f)(1-\rho^2/b^2)^2`, with f the floor of B.
    """
    alpha, floor = _checked(alpha, floor)
    a, keep = A_WIDTH * alpha, sqrt(1 - floor)
    if a >= B_WIDTH:
        return inf
    return sqrt((1 - keep) / (a**-2 - keep * B_WIDTH**-2))


def flattest(rho: float, alpha: float = 1.0, floor: float = 0.2) -> float:
    """Where the worst loss is lowest: the bottom of A up to the critical radius, of B beyond it."""
    rho = _check.number("rho", rho, low=0)
    return -A_WIDTH * alpha if rho <= critical_rho(alpha, floor) else B_WIDTH


def _rise(u: NDArray, depth: float) -> NDArray:
    return depth + (1 - depth) * (1 - np.maximum(1 - u * u, 0) ** 2)


def _checked(alpha: float, floor: float) -> tuple[float, float]:
    alpha = _check.number("alpha", alpha, low=0, high=inf, open_low=True, open_high=True)
    return alpha, _check.number("floor", floor, low=0, high=1, open_high=True)
