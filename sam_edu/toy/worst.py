"""The worst classifier near a given one: exact, for one moving weight, an l2 ball and an l-infinity ball.

A perturbed classifier (w_1; u) is described by three numbers: its robust weight, the mean v of its
non-robust weights and their spread. With tau = w_1/||u|| and gamma = eta*d*v/||u|| its accuracy is::

    F(tau, gamma) = p Phi(gamma + tau) + (1-p) Phi(gamma - tau)

Every perturbation makes, as a function of w1, a hill with one top, so the accuracy of the worst one is
such a hill, too. On which side of the top w1 lies is told by the worst perturbation alone: its accuracy
rises with w1 while tau*gamma < L/2 (Lemma 0). Hence optima are found from a sign, not from values.
Which of two classifiers is worse is found from a sign as well (:mod:`sam_edu.toy.order`): the accuracies
themselves can agree in all digits, near p, near 1, and wherever the radius is small. The l2 ball has a module
of its own, :mod:`sam_edu.toy.rim`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from sam_edu.toy.family import Family, ahead
from sam_edu.toy.model import NRFModel
from sam_edu.toy.numerics import sign_change, zoomed
from sam_edu.toy.order import Place, Step, balance
from sam_edu.toy.rim import l2_ball

_TIPS = np.geomspace(1e-9, 5e-4, 12)
_SHARES = (1 - np.cos(np.linspace(0, np.pi, 50))) / 2  # of an interval, dense at both ends
_SHARES = np.concatenate([[0], _TIPS, _SHARES[1:-1], 1 - _TIPS[::-1], [1]])


Path = Callable[[NDArray], "tuple[Candidates, NDArray]"]


@dataclass(frozen=True)
class Candidates(Family):
    """Classifiers near (a, 1, ..., 1).

    ``shift`` is what is added to a, ``mean`` to the mean of the non-robust weights; ``spread`` is the
    variance of the latter around their mean. Small differences stay exact: no part is a large number.
    """

    a: NDArray
    shift: NDArray
    mean: NDArray
    spread: NDArray

    def parts(self) -> list[NDArray]:
        return [self.a, self.shift, self.mean, self.spread]

    def of(self, parts: list[NDArray]) -> Candidates:
        return Candidates(*parts)

    @property
    def x(self) -> NDArray:
        return self.a + self.shift

    @cached_property
    def v(self) -> NDArray:
        return 1 + self.mean

    @cached_property
    def lag(self) -> NDArray:
        """1 - gamma/c, what unequal non-robust weights cost of their joint signal."""
        root = np.sqrt(1 + self.spread / self.v**2)
        return self.spread / self.v**2 / (root * (1 + root))

    def place(self, model: NRFModel) -> Place:
        tau, gamma = self.x / self.v / np.sqrt(model.d) * (1 - self.lag), model.c * (1 - self.lag)
        return Place(tau, gamma, model.log_odds / 2 - tau * gamma)

    def step_to(self, model: NRFModel, other: Candidates) -> Step:
        """The ratios x/v and the lags are subtracted before anything else is done with them."""
        cross = self.a * (self.mean - other.mean) + (other.shift - self.shift)
        cross = cross + other.shift * self.mean - self.shift * other.mean
        lag = other.lag - self.lag
        dtau = (cross / (self.v * other.v) * (1 - other.lag) - self.x / self.v * lag) / np.sqrt(model.d)
        with np.errstate(divide="ignore", invalid="ignore"):
            return Step(dtau, -model.c * lag, np.where(lag == 0, 0.0, -model.c * lag / dtau))


def right_end_better(model: NRFModel, w1: NDArray, rho: NDArray) -> NDArray:
    """Has the sign of A(w1 + rho) - A(w1 - rho).

    Where w1 is next to nothing it would drown in w1 +- rho. There the sign comes from the slope at w1 = 0.
    """
    ends, root = interval(model, w1, rho), np.sqrt(model.d)
    small = model.log_odds - 2 * w1 / root * balance(np.asarray(model.c), rho / root)
    return np.where(w1 < 1e-4 * root, small, ahead(model, ends[..., 1], ends[..., 0]))


def worst_side(model: NRFModel, candidates: Family) -> NDArray:
    """Positive where the worst candidate gains from a larger robust weight; last axis removed."""
    return candidates.worst(model).rising(model)


def interval(model: NRFModel, w1: NDArray, rho: NDArray) -> Candidates:
    """Only the robust weight moves, by at most rho: the worst is at one end."""
    a, rho = (part[..., None] for part in np.broadcast_arrays(w1, rho))
    shift = rho * np.array([-1.0, 1.0])
    a, zero = np.broadcast_to(a, shift.shape), np.zeros_like(shift)
    return Candidates(a, shift, zero, zero)


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

    ridge, crosses = one, ends[..., 0] * ends[..., 1] < 0
    if crosses.any():
        ridge = np.where(crosses, sign_change(before_ridge, zero, one, bits=45, parts=32), one)
    low, high = np.stack([zero, ridge], -1)[..., None], np.stack([ridge, one], -1)[..., None]
    grid = low + (high - low) * _SHARES

    def slope(at: NDArray) -> NDArray:  # (..., 2, n): on either side
        return along(at.reshape(*shape, -1))[1].reshape(at.shape)

    grid, rates = zoomed(slope, grid, _dip)
    falls = rates[..., 1:-1] < 0
    turns = falls[..., :-1] & ~falls[..., 1:]
    cell = turns.argmax(-1)[..., None] + 1
    start, end = (np.take_along_axis(grid, cell + i, -1)[..., 0] for i in (0, 1))
    beside = across = np.zeros(())
    if turns.any():  # most balls have no inner minimum: the two searches cost half of all
        beside = sign_change(lambda at: -slope(at), start, end, bits=25, parts=32)
    over = (rates[..., 0, -2] < 0) & (rates[..., 1, 1] >= 0) & (ridge < 1)
    if over.any():  # its side of the ridge is asked for
        across = sign_change(lambda at: -along(at)[1], grid[..., 0, -2], grid[..., 1, 1], parts=32)
    return np.concatenate([np.where(turns.any(-1), beside, 0.0), np.where(over, across, 0.0)[..., None]], -1)


def _dip(rates: NDArray) -> NDArray:
    """The slope where it is positive and lower than at its neighbours."""
    inner = rates[..., 1:-1]
    return np.where((inner >= 0) & (inner <= rates[..., :-2]) & (inner <= rates[..., 2:]), inner, np.inf)


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
    return Candidates(*(part.reshape(*w1.shape, -1) for part in corners.parts()))


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
