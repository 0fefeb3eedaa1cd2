"""Root finding, minimisation and quadrature that the toy model needs; nothing here knows of the model."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh_tridiagonal

_PANELS = np.array([-38.0, -30, -23, -16, -10, -6, -3, 0, 3, 6, 10, 16, 23, 30, 38])

Quadratic = tuple[float, NDArray, NDArray]  # value, gradient (2,), Hessian (2, 2)


def sign_change(
    sign: Callable[[NDArray], NDArray], low: ArrayLike, high: ArrayLike, bits: int = 55, parts: int = 8
) -> NDArray:
    """Where ``sign`` turns from positive to not positive, for all brackets (low, high) at once.

    A bisection into ``parts`` a round, until the bracket is narrower by ``bits`` bits. ``sign`` is handed an
    array of shape (..., parts - 1), the inner points of each bracket, and returns values of that shape; their
    sizes do not matter, so a jump is as good as a zero. It is taken to be positive at ``low`` and not
    positive at ``high``. Where a call of ``sign`` costs much however few its points, take many parts.
    """
    low, high = (np.array(x, dtype=float) for x in np.broadcast_arrays(low, high))
    share = np.arange(parts + 1) / parts
    for _ in range(int(np.ceil(bits / np.log2(parts)))):
        x = low[..., None] + (high - low)[..., None] * share
        ended = sign(x[..., 1:-1]) <= 0
        at = np.where(ended.any(-1), ended.argmax(-1), parts - 1)[..., None]
        low = np.take_along_axis(x, at, -1)[..., 0]
        high = np.take_along_axis(x, at + 1, -1)[..., 0]
    return (low + high) / 2


def zoomed(
    slope: Callable[[NDArray], NDArray], grid: NDArray, dip: Callable[[NDArray], NDArray]
) -> tuple[NDArray, NDArray]:
    """The grid, finer where ``dip(slopes)`` of its inner points is smallest, and the slopes on it.

    A minimum that is about to vanish hides between two points, where the slope comes near 0 and turns back.
    """
    rates = slope(grid)
    for _ in range(4):
        at = dip(rates).argmin(-1)[..., None]
        left, right = (np.take_along_axis(grid, at + i, -1) for i in (0, 2))
        new = left + (right - left) * np.arange(1, 8) / 8
        order = (grid := np.concatenate([grid, new], -1)).argsort(-1)
        rates = np.take_along_axis(np.concatenate([rates, slope(new)], -1), order, -1)
        grid = np.take_along_axis(grid, order, -1)
    return grid, rates


def expand(sign: Callable[[NDArray], NDArray], start: ArrayLike, rounds: int = 200) -> NDArray:
    """Double ``start`` where ``sign`` is still positive there; infinity where it is after all rounds."""
    x = np.array(start, dtype=float)
    for _ in range(rounds):
        positive = sign(x[..., None])[..., 0] > 0
        if not positive.any():
            return x
        x = np.where(positive, 2 * x, x)
    return np.where(positive, np.inf, x)


@lru_cache(maxsize=16)
def legendre_rule(n: int) -> tuple[NDArray, NDArray]:
    """Nodes and weights (sum 2) of Gauss's rule on (-1, 1), found once: it costs more than an integral."""
    return _shared(*leggauss(n))


def _shared(*parts: NDArray) -> tuple[NDArray, NDArray]:
    for part in parts:
        part.flags.writeable = False  # shared by all callers
    return parts[0], parts[1]


@lru_cache(maxsize=256)
def chi_rule(df: int, n: int = 24) -> tuple[NDArray, NDArray]:
    """Nodes and weights (sum 1) of a Gauss rule for the chi distribution; the single node 0 for df = 0.

    Golub and Welsch's eigenvalue method for chi-square, whose weights are normalised: no Gamma function
    overflows, however large df.
    """
    if df == 0:
        return np.zeros(1), np.ones(1)
    alpha, i = df / 2 - 1, np.arange(n)
    nodes, vectors = eigh_tridiagonal(2 * i + 1 + alpha, np.sqrt(i[1:] * (i[1:] + alpha)))
    return _shared(np.sqrt(2 * np.maximum(nodes, 0)), vectors[0] ** 2)


def chi_panels(df: int, breaks: ArrayLike = (), n: int = 16) -> tuple[NDArray, NDArray]:
    """Nodes and *logarithms* of weights for the chi distribution: panels around its mode, to 38 either side.

    For integrands that Gauss's rule is too coarse for: bent (panels end at ``breaks``), or decided by norms
    that all but never happen (no weight underflows). The single node 0 for df = 0.
    """
    if df == 0:
        return np.zeros(1), np.zeros(1)
    mode = np.sqrt(df - 1)
    fixed = np.concatenate([_PANELS, [-2, -1, 1, 2]])
    ends = np.unique(np.maximum(np.concatenate([fixed, np.clip(np.ravel(breaks) - mode, -38, 38)]), -mode))
    t, w = legendre_rule(n)
    half = np.diff(ends)[:, None] / 2
    x = (ends[:-1, None] + half + half * t).ravel()
    log_weights = np.log(half * w).ravel() - x * (x + 2 * mode) / 2
    if df > 1:
        log_weights += (df - 1) * np.log1p(x / mode)
    return mode + x, log_weights - np.logaddexp.reduce(log_weights)


def normal_panels(mean: float, breaks: NDArray, n: int = 16) -> tuple[NDArray, NDArray]:
    """Nodes and weights, shape (..., Q), for E h(N(mean, 1)) with h smooth between breaks.

    ``breaks`` has shape (..., B). Panels also end at mean and at fixed distances from it. The last are +-38,
    where the density underflows: h may be so small near the mean that the far tail decides. Breaks outside
    are moved to the ends, where their panels are empty.
    """
    fixed = np.broadcast_to(mean + _PANELS, (*breaks.shape[:-1], len(_PANELS)))
    inside = np.clip(breaks, fixed[..., :1], fixed[..., -1:])
    ends = np.sort(np.concatenate([inside, fixed], axis=-1), axis=-1)
    t, w = legendre_rule(n)
    half = np.diff(ends)[..., None] / 2
    x = (ends[..., :-1, None] + half) + half * t
    weights = half * w * np.exp(-((x - mean) ** 2) / 2) / np.sqrt(2 * np.pi)
    return x.reshape(*breaks.shape[:-1], -1), weights.reshape(*breaks.shape[:-1], -1)


def newton(objective: Callable[[NDArray], Quadratic], start: ArrayLike, rounds: int = 200) -> NDArray:
    """Minimise a smooth convex function of (w1, e), e > 0, by Newton steps, shortened while they do not help.

    The function is positive, and can be tiny: it is judged in units of its own value.

    Raises
    ------
    RuntimeError
        If the steps do not come to rest.
    """
    x = np.array(start, dtype=float)
    value, gradient, hessian = objective(x)
    last = np.inf  # the decrement of a step that the value could not judge
    for _ in range(rounds):
        ridge = 1e-12 * (np.trace(hessian) + np.linalg.norm(gradient))  # a hinge is flat in places
        step = -np.linalg.solve(hessian + ridge * np.eye(2), gradient)
        decrement = float(-gradient @ step)
        if decrement <= 1e-26 * abs(value) or decrement > last / 4:
            return x
        short = min(1.0, 3 * (1 + float(np.linalg.norm(x))) / float(np.linalg.norm(step)))
        step, decrement = short * step, short * decrement
        size = 1.0 if x[1] + step[1] > 0 else 0.9 * x[1] / -step[1]
        while True:
            trial = x + size * step
            new = objective(trial)
            if new[0] <= value - 0.1 * size * decrement:
                break
            if size * decrement <= 1e-13 * abs(value):  # below rounding: the slopes judge, while they shrink
                last = decrement
                break
            size /= 2
        x, (value, gradient, hessian) = trial, new
    raise RuntimeError("Newton's method did not come to rest; the parameters are too extreme")
