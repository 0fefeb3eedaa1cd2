"""The worst classifier in an l2 ball around (a, 1, ..., 1): on the rim of a cone.

The accuracy does not depend on the scale, so the ball is a cone of half angle Delta, sin Delta = rho/||w||,
and the worst lies on its rim: the direction of w turned by Delta, at an angle psi between 0 (towards e_1) and
pi (away from it). In between the non-robust weights are unequal. Let (X, Y, Z) be the unit vector's parts
along e_1, along the ones and across them, N^2 = Y^2 + Z^2 = 1 - X^2, and theta the angle of w. Differences
are exact in terms of e = cos(psi) - tan(theta) tan(Delta) and g = c sin(Delta) cos(Delta) e::

    L/2 - tau*gamma = -(a*eta - L/2) - g/N^2,         dF/de has the sign of  g - tanh(a*eta - L/2 + g/N^2)

so minima inside solve artanh(g) - g/N^2 = a*eta - L/2. (tau = X/N, gamma = cY/N; both follow from Lemma 0 and
tan(theta)(1 - X^2) - XY = tan(theta) sin^2(Delta) - sin(Delta) cos(Delta) cos(psi).)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sam_edu.toy.family import Family
from sam_edu.toy.model import NRFModel
from sam_edu.toy.numerics import sign_change, zoomed
from sam_edu.toy.order import Place, Step

_TIPS = np.geomspace(1e-15, 0.02, 34)
_SHARES = (1 - np.cos(np.linspace(0, np.pi, 50))) / 2
_SHARES = np.unique(
    np.concatenate([[0, 1], _TIPS, _SHARES[_SHARES > 0.02]])
)  # of the way to an end of the rim


@dataclass(frozen=True)
class Rim(Family):
    """Classifiers on the rim of the ball of radius share*sqrt(d) around (a, 1, ..., 1), at e (see above)."""

    a: NDArray
    share: NDArray
    e: NDArray
    d: int

    def parts(self) -> list[NDArray]:
        return [self.a, self.share, self.e]

    def of(self, parts: list[NDArray]) -> Rim:
        a, share, e = parts
        return Rim(a, share, e, self.d)

    @cached_property
    def length(self) -> NDArray:
        return np.hypot(self.a, np.sqrt(self.d))

    @cached_property
    def sin0(self) -> NDArray:
        return self.a / self.length

    @cached_property
    def cos0(self) -> NDArray:
        return np.sqrt(self.d) / self.length

    @cached_property
    def sin(self) -> NDArray:
        return self.share * self.cos0

    @cached_property
    def cos(self) -> NDArray:
        return np.sqrt((1 - self.sin) * (1 + self.sin))

    @cached_property
    def room(self) -> NDArray:
        return (1 - self.share) * (1 + self.share)

    def ends(self) -> tuple[NDArray, NDArray]:
        """e at psi = pi and at psi = 0; in large balls one of them would cancel, hence the quotient."""
        across, cos = self.share * self.sin0, self.cos
        ratio = across / cos
        near = self.room / (cos * (cos + np.abs(across)))  # 1 - |ratio|
        return -np.where(ratio < 0, near, 1 + ratio), np.where(ratio < 0, 1 - ratio, near)

    @cached_property
    def X(self) -> NDArray:
        return self.sin0 / self.cos + self.sin * self.cos0 * self.e

    @cached_property
    def Y(self) -> NDArray:
        return self.cos0 * (self.room / self.cos - self.share * self.sin0 * self.e)

    @cached_property
    def N(self) -> NDArray:
        low, high = self.ends()
        return np.hypot(
            self.Y, self.sin * np.sqrt(np.maximum(self.e - low, 0) * np.maximum(high - self.e, 0))
        )

    @cached_property
    def x(self) -> NDArray:
        return self.length * self.cos * self.X

    @cached_property
    def v(self) -> NDArray:
        return self.length * self.cos * self.Y / np.sqrt(self.d)

    def place(self, model: NRFModel) -> Place:
        size = self.N
        g = model.c * self.sin * self.cos * self.e
        drift = self.a * model.eta - model.log_odds / 2
        return Place(self.X / size, model.c * self.Y / size, -(drift + g / size**2))

    def step_to(self, model: NRFModel, other: Rim) -> Step:
        sizes, dx = self.N + other.N, self.sin * self.cos0 * (other.e - self.e)
        half = dx / sizes  # the tangent of half the angle between the two, seen from e_1
        dtau = 2 * half / ((1 + half**2) * self.N * other.N)
        middle = (self.e + other.e) / 2
        slope = model.c * self.cos * (self.sin * middle + (self.X + other.X) / 2 * half**2 / self.cos0)
        return Step(dtau, slope * dtau, slope)


def l2_ball(model: NRFModel, w1: NDArray, rho: NDArray) -> Rim:
    r"""All weights move, :math:`\|e\|_2\le\rho<\sqrt d`: two tilts in the plane, up to four out of it.

    As rho -> 0 the worst is a tilt in the plane (Theorem 10), but for finite rho it can lie between.
    """
    w1, rho = np.broadcast_arrays(w1, rho)
    a, share = w1[..., None], rho[..., None] / np.sqrt(model.d)
    ends = np.concatenate(Rim(a, share, np.zeros_like(a), model.d).ends(), -1)
    inner = _wells(model, a, share, ends) if model.d > 1 else ends[..., :0]
    a, share, e = np.broadcast_arrays(a, share, np.concatenate([ends, inner], -1))
    return Rim(a, share, e, model.d)


def _ridge(model: NRFModel, rim: Rim) -> NDArray:
    """g where a larger robust weight stops to help: drift + g/N^2 = 0, a quadratic, without cancelling."""
    drift = rim.a * model.eta - model.log_odds / 2
    lean = rim.cos0 / model.c / rim.cos
    square, linear = -drift * lean**2, 1 - 2 * drift * rim.sin0 / rim.cos * lean
    constant = drift * rim.cos0**2 * rim.room / rim.cos**2
    root = np.sqrt(linear**2 - 4 * square * constant)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(linear >= 0, -2 * constant / (linear + root), (root - linear) / (2 * square))


def _wells(model: NRFModel, a: NDArray, share: NDArray, ends: NDArray) -> NDArray:
    """e of the minima inside: the first and the last on either side of the ridge; the upper end if none is.

    Those next to the ridge can be close to it and to each other, so the search is dense there.
    """
    rim = Rim(a, share, np.zeros_like(a), model.d)
    scale, drift = model.c * rim.sin * rim.cos, a * model.eta - model.log_odds / 2
    low, high = ends[..., :1], ends[..., 1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = np.where(scale > 0, 1 / scale, 0.0)  # there |g| = 1
        ridge = np.clip(np.where(scale > 0, _ridge(model, rim) / scale, 0.0), low, high)
    left, right = np.minimum(np.maximum(low, -bound), ridge), np.maximum(np.minimum(high, bound), ridge)
    span, way = (np.concatenate([left, right], -1) - ridge)[..., None], np.array([-1.0, 1.0])[:, None]

    def slope(at: NDArray) -> NDArray:  # at: (..., 2 sides, n), shares of the way to the end of the search
        e = ridge[..., None] + span * at
        here = Rim(a[..., None], share[..., None], e, model.d)
        g = scale[..., None] * e
        return way * (_bend(g) - g * (here.X / here.N) ** 2 - drift[..., None])

    grid, rates = zoomed(slope, np.broadcast_to(_SHARES, (*span.shape[:-1], len(_SHARES))), _dip)
    falls = rates < 0
    turns = falls[..., :-1] & ~falls[..., 1:]
    if not turns.any():  # so in most balls, and the search below is half of the work
        return np.broadcast_to(high, (*high.shape[:-1], 4))
    cells = np.stack([turns.argmax(-1), turns.shape[-1] - 1 - turns[..., ::-1].argmax(-1)], -1)
    start, end = (np.take_along_axis(grid, cells + i, -1) for i in (0, 1))

    def before(at: NDArray) -> NDArray:  # (..., 2 sides, 2, n)
        return -slope(at.reshape(*at.shape[:-2], -1)).reshape(at.shape)

    found = ridge[..., None] + span * sign_change(before, start, end, parts=32)
    found = np.where(np.asarray(turns.any(-1))[..., None], found, high[..., None])
    return found.reshape(*found.shape[:-2], 4)


def _dip(rates: NDArray) -> NDArray:
    """How near the slope comes to 0 where it turns back on the same side of it, beside its neighbours."""
    size, up = np.abs(rates), rates >= 0
    inner, around = size[..., 1:-1], np.minimum(size[..., :-2], size[..., 2:])
    dips = (inner <= around) & (up[..., 1:-1] == up[..., :-2]) & (up[..., 1:-1] == up[..., 2:])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(dips, inner / around, np.inf)


def _bend(g: NDArray) -> NDArray:
    """artanh(g) - g: its series where g is small, and only there, since powers are slow."""
    found, small = np.empty_like(g), np.abs(g) < 0.03
    near, far = g[small], g[~small]
    series = near**2 * (1 / 5 + near**2 * (1 / 7 + near**2 * (1 / 9 + near**2 / 11)))
    found[small] = near**3 * (1 / 3 + series)
    with np.errstate(divide="ignore", invalid="ignore"):
        found[~small] = np.arctanh(np.clip(far, -1, 1)) - far
    return found
