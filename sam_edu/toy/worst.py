"""The worst classifier near a given one: exact, for one moving weight, an l2 ball and an l-infinity ball.

A perturbed classifier (w_1; u) is described by three numbers: its robust weight, the mean v of its
non-robust weights and their spread. With tau = w_1/||u|| and gamma = eta*d*v/||u|| its accuracy is::

    F(tau, gamma) = p Phi(gamma + tau) + (1-p) Phi(gamma - tau)

Every perturbation makes, as a function of w1, a hill with one top, so the accuracy of the worst one is
such a hill, too. On which side of the top w1 lies is told by the worst perturbation alone: its accuracy
rises with w1 while tau*gamma < L/2 (Lemma 0). Hence optima are found from a sign, not from values.
Which of two classifiers is worse is found from a sign as well (:func:`ahead`): the accuracies themselves
can agree in all digits, near p, near 1, and wherever the radius is small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray
from scipy.special import erfcx, ndtr

from sam_edu.toy.model import NRFModel
from sam_edu.toy.numerics import sign_change

_NODES, _WEIGHTS = leggauss(10)
_ROOT = np.sqrt(2 * np.pi)
_TIPS = np.geomspace(1e-9, 5e-4, 12)
_SHARES = (1 - np.cos(np.linspace(0, np.pi, 50))) / 2  # of an interval, dense at both ends
_SHARES = np.concatenate([[0], _TIPS, _SHARES[1:-1], 1 - _TIPS[::-1], [1]])


Path = Callable[[NDArray], "tuple[Candidates, NDArray]"]


@dataclass(frozen=True)
class Candidates:
    """Classifiers near (a, 1, ..., 1) among which the worst is; parts of one shape (..., candidates).

    ``shift`` is what is added to a, ``mean`` to the mean of the non-robust weights; ``spread`` is the
    variance of the latter around their mean. Small differences stay exact: no part is a large number.
    """

    a: NDArray
    shift: NDArray
    mean: NDArray
    spread: NDArray

    def __getitem__(self, at: Any) -> Candidates:
        return Candidates(*(part[at] for part in self._parts()))

    def _parts(self) -> tuple[NDArray, ...]:
        return self.a, self.shift, self.mean, self.spread

    @property
    def x(self) -> NDArray:
        return self.a + self.shift

    @property
    def v(self) -> NDArray:
        return 1 + self.mean

    @property
    def lag(self) -> NDArray:
        """1 - gamma/c, what unequal non-robust weights cost of their joint signal."""
        root = np.sqrt(1 + self.spread / self.v**2)
        return self.spread / self.v**2 / (root * (1 + root))

    def margins(self, model: NRFModel) -> tuple[NDArray, NDArray]:
        """tau and gamma."""
        return self.x / self.v / np.sqrt(model.d) * (1 - self.lag), model.c * (1 - self.lag)

    def accuracy(self, model: NRFModel) -> NDArray:
        tau, gamma = self.margins(model)
        return model.p * ndtr(gamma + tau) + (1 - model.p) * ndtr(gamma - tau)

    def rising(self, model: NRFModel) -> NDArray:
        """L/2 - tau*gamma: positive where a larger robust weight would help this classifier."""
        tau, gamma = self.margins(model)
        return model.log_odds / 2 - tau * gamma

    def worst(self, model: NRFModel, among: NDArray | None = None) -> Candidates:
        """The worst on the last axis, which is removed, of those where ``among``; a knock-out in pairs."""
        left, valid = self, np.ones(self.x.shape, dtype=bool) if among is None else among
        while (n := valid.shape[-1]) > 1:
            half = n // 2
            one, other = left[..., :half], left[..., half : 2 * half]
            ok, ok_other = valid[..., :half], valid[..., half : 2 * half]
            change = ok_other & (~ok | (ahead(model, one, other) > 0))
            pairs = zip(one._parts(), other._parts(), left[..., 2 * half :]._parts(), strict=True)
            left = Candidates(*(np.concatenate([np.where(change, b, a), c], -1) for a, b, c in pairs))
            valid = np.concatenate([ok | ok_other, valid[..., 2 * half :]], -1)
        return left[..., 0]


def ahead(model: NRFModel, one: Candidates, other: Candidates) -> NDArray:
    """Has the sign of accuracy(one) - accuracy(other); of two that tie it is 0 up to rounding.

    The ratios x/v and the lags are subtracted before anything else is done with them.
    """
    cross = one.a * (other.mean - one.mean) + (one.shift - other.shift)
    cross = cross + one.shift * other.mean - other.shift * one.mean
    lag = one.lag - other.lag
    tau_one, gamma_one = one.margins(model)
    tau_other, gamma_other = other.margins(model)
    dtau = (cross / (one.v * other.v) * (1 - one.lag) - other.x / other.v * lag) / np.sqrt(model.d)
    return _rise(model, (tau_one + tau_other) / 2, (gamma_one + gamma_other) / 2, dtau, -model.c * lag)


def _rise(model: NRFModel, tau: NDArray, gamma: NDArray, dtau: NDArray, dgamma: NDArray) -> NDArray:
    """Has the sign of F(tau + dtau/2, gamma + dgamma/2) - F(tau - dtau/2, gamma - dgamma/2).

    That is p P(right) + (1-p) P(left), probabilities of two intervals around gamma + tau and gamma - tau,
    with the signs of dgamma + dtau and dgamma - dtau. If these differ, the two terms are compared by the
    logarithm of their ratio; subtracting accuracies would leave rounding noise.
    """
    right, left = (dgamma + dtau) / 2, (dgamma - dtau) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        masses = _log_mass(gamma + tau, np.abs(right)) - _log_mass(gamma - tau, np.abs(left))
    ratio = np.sign(right) * (model.log_odds - 2 * tau * gamma + masses)
    agreed = np.where(np.sign(dgamma) == 0, 0.0, np.copysign(np.inf, dgamma))
    return np.where(np.sign(right) * np.sign(left) < 0, ratio, agreed)


def _log_mass(mid: NDArray, half: NDArray) -> NDArray:
    """ln P(|Z - mid| < half) + mid^2/2 for standard normal Z: no small mass underflows.

    Over a narrow interval the density is integrated (Gauss, 10 nodes), because the two ends cancel. In the
    tail the two ends are scaled by the density at mid.
    """
    mid, half = np.broadcast_arrays(np.abs(mid), half)
    steps = _NODES * half[..., None]
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        narrow = np.log(half) + np.log(np.exp(-steps * (mid[..., None] + steps / 2)) @ _WEIGHTS / _ROOT)
        near, far = np.maximum(mid - half, 0) / np.sqrt(2), (mid + half) / np.sqrt(2)
        ends = (erfcx(near) - np.exp(-2 * mid * half) * erfcx(far)) / 2
        tail = half * (mid - half / 2) + np.log(ends)
        around = mid**2 / 2 + np.log(ndtr(mid + half) - ndtr(mid - half))
    return np.where(half * np.maximum(1, mid) < 0.5, narrow, np.where(mid >= half, tail, around))


def right_end_better(model: NRFModel, w1: NDArray, rho: NDArray) -> NDArray:
    """Has the sign of A(w1 + rho) - A(w1 - rho)."""
    root = np.sqrt(model.d)
    tau, dtau = np.broadcast_arrays(w1 / root, 2 * rho / root)
    return _rise(model, tau, np.full_like(tau, model.c), dtau, np.zeros_like(tau))


def worst_side(model: NRFModel, candidates: Candidates) -> NDArray:
    """Positive where the worst candidate gains from a larger robust weight; last axis removed."""
    return candidates.worst(model).rising(model)


def interval(model: NRFModel, w1: NDArray, rho: NDArray) -> Candidates:
    """Only the robust weight moves, by at most rho: the worst is at one end."""
    a, rho = (part[..., None] for part in np.broadcast_arrays(w1, rho))
    shift = rho * np.array([-1.0, 1.0])
    a, zero = np.broadcast_to(a, shift.shape), np.zeros_like(shift)
    return Candidates(a, shift, zero, zero)


def l2_ball(model: NRFModel, w1: NDArray, rho: NDArray) -> Candidates:
    r"""All weights move, :math:`\|e\|_2\le\rho<\sqrt d`: two tilts in the plane, up to three out of it.

    The accuracy does not depend on the scale, so the ball is a cone of half angle
    :math:`\Delta=\arcsin(\rho/\|w\|)`, and the worst lies on its rim. At angle psi on the rim, 0 being the
    tilt that raises w1/v and pi the one that lowers it, the non-robust weights are unequal unless psi is
    0 or pi. As rho -> 0 the worst is a tilt in the plane (Theorem 10), but for finite rho it can lie
    between. Inner minima are found where the derivative along the rim turns positive.
    """
    w1, rho = np.broadcast_arrays(w1, rho)
    a, rho = w1[..., None], rho[..., None]
    psi = np.zeros((*a.shape[:-1], 5 if model.d > 1 else 2))
    psi[..., 0] = np.pi
    if model.d > 1:
        psi[..., 2:] = np.pi * _inner_minima(model, lambda at: _on_rim(model, a, rho, np.pi * at), w1.shape)
    return _on_rim(model, a, rho, psi)[0]


def _on_rim(model: NRFModel, a: NDArray, rho: NDArray, psi: NDArray) -> tuple[Candidates, NDArray]:
    """The classifiers at angles psi (..., n) of the rim, where it touches the ball; the sign of dF/dpsi."""
    root = np.sqrt(model.d)
    length = np.hypot(a, root)
    sin0, cos0, sin = a / length, root / length, rho / length
    cos = np.sqrt((1 - sin) * (1 + sin))
    tilt, out = sin * np.cos(psi), sin * np.sin(psi) * (psi < np.pi)
    shift = length * (tilt * cos * cos0 - sin**2 * sin0)
    mean = -(sin**2) - tilt * cos * sin0 / cos0
    found = Candidates(np.broadcast_to(a, psi.shape), shift, mean, (out * cos / cos0) ** 2)
    x, y = cos * sin0 + tilt * cos0, cos * cos0 - tilt * sin0  # of the unit vector; out is its third part
    size = np.hypot(y, out)
    dsize = out * (y * sin0 + tilt) / size
    dtau = (-out * cos0 - x * dsize / size) / size
    dgamma = model.c * (out * sin0 - y * dsize / size) / size
    return found, np.tanh(found.rising(model)) * dtau + dgamma  # dF/dpsi up to a positive factor (Lemma 0)


def _inner_minima(model: NRFModel, along: Path, shape: tuple[int, ...]) -> NDArray:
    """The first minimum on either side of the ridge and one on it, inside (0, 1), shape (..., 3); 0 for none.

    ``along`` takes shares of shape (..., n) of a path to its classifiers and the sign of the accuracy's
    derivative. The ridge is where they stop to gain from a larger robust weight. Where the weak features are
    strong, the minima lie close to it, so the search is dense there, as it is at the ends of the path.
    """
    zero, one = np.zeros(shape), np.ones(shape)
    ends = along(np.stack([zero, one], -1))[0].rising(model)
    turned = -np.sign(ends[..., 1:])

    def before_ridge(at: NDArray) -> NDArray:
        return turned * along(at)[0].rising(model)

    crossed = sign_change(before_ridge, zero, one, bits=45, parts=32)
    ridge = np.where(ends[..., 0] * ends[..., 1] < 0, crossed, one)
    low, high = np.stack([zero, ridge], -1)[..., None], np.stack([ridge, one], -1)[..., None]
    grid = low + (high - low) * _SHARES

    def slope(at: NDArray) -> NDArray:  # (..., 2, n): on either side
        return along(at.reshape(*shape, -1))[1].reshape(at.shape)

    rates = slope(grid)
    for _ in range(4):  # a minimum that is about to vanish hides between two points: zoom in on the dip
        inner = rates[..., 1:-1]
        dips = (inner >= 0) & (inner <= rates[..., :-2]) & (inner <= rates[..., 2:])
        at = np.where(dips, inner, np.inf).argmin(-1)[..., None]
        left, right = (np.take_along_axis(grid, at + i, -1) for i in (0, 2))
        new = left + (right - left) * np.arange(1, 8) / 8
        order = (grid := np.concatenate([grid, new], -1)).argsort(-1)
        rates = np.take_along_axis(np.concatenate([rates, slope(new)], -1), order, -1)
        grid = np.take_along_axis(grid, order, -1)
    falls = rates[..., 1:-1] < 0
    turns = falls[..., :-1] & ~falls[..., 1:]
    cell = turns.argmax(-1)[..., None] + 1
    start, end = (np.take_along_axis(grid, cell + i, -1)[..., 0] for i in (0, 1))
    beside = np.where(turns.any(-1), sign_change(lambda at: -slope(at), start, end, bits=25, parts=32), 0.0)
    start, end = grid[..., 0, -2], grid[..., 1, 1]
    across = sign_change(lambda at: -along(at)[1], start, end, parts=32)  # its side of the ridge is asked for
    over = (rates[..., 0, -2] < 0) & (rates[..., 1, 1] >= 0) & (ridge < 1)
    return np.concatenate([beside, np.where(over, across, 0.0)[..., None]], -1)


def linf_ball(model: NRFModel, w1: NDArray, rho: NDArray) -> Candidates:
    """All weights move by at most rho < 1 each: the worst is a corner, some of u up and the rest down.

    For given w_1 and mean of u the accuracy first rises and then falls with ||u||, so the worst u is
    either equal in all features or as unequal as the box allows: with one more step, a corner. On either
    side of w_1 the worst share of weights that go up is none, all, or next to a minimum of the accuracy
    as a function of a share that need not be a whole number of weights.
    """
    w1, rho = np.broadcast_arrays(w1, rho)
    a, shift = np.broadcast_arrays(w1[..., None, None], rho[..., None, None] * [[-1.0], [1.0]])  # two sides
    on_side = partial(_on_side, model, a, shift)
    found = _inner_minima(model, on_side, a.shape[:-1]) * model.d
    ends = np.broadcast_to([0.0, model.d], (*found.shape[:-1], 2))
    corners = on_side(np.concatenate([ends, np.floor(found), np.ceil(found)], -1) / model.d)[0]
    return Candidates(*(part.reshape(*w1.shape, -1) for part in corners._parts()))


def _on_side(model: NRFModel, a: NDArray, shift: NDArray, share: NDArray) -> tuple[Candidates, NDArray]:
    """w_1 moved by shift = -+rho, a share of the weights up, the others down; and the sign of dF/dshare.

    With R = ||u||^2/d, which grows with the share, dF/dR has the sign of
    c/2 (R - 1 + rho^2) - w_1/sqrt(d) tanh(L/2 - tau*gamma).
    """
    rho, here = np.abs(shift), np.zeros_like(share)
    found = Candidates(a + here, shift + here, rho * (2 * share - 1), 4 * rho**2 * share * (1 - share))
    grown = 2 * rho * (rho + 2 * share - 1)  # R - 1 + rho^2
    slope = model.c / 2 * grown - found.x / np.sqrt(model.d) * np.tanh(found.rising(model))
    return found, slope


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
