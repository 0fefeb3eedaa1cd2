"""Full-batch SAM with the exact inner maximum, for the logistic loss.

The worst loss in a ball is convex in w but has a kink at its minimum, where at least two perturbations are
equally bad: for small rho two opposite ones, plus and minus rho times the top eigenvector of the Hessian
(Expansion 16). For larger rho the worst perturbation can make the non-robust weights unequal, and more than
two can tie. So the minimum is found by exchange: minimise over w the largest of the losses at the
perturbations collected so far, then add the worst ones at the new w, until none is worse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, root
from scipy.special import expit

from sam_edu.toy.model import NRFModel
from sam_edu.toy.numerics import normal_panels
from sam_edu.toy.softplus import BEND

_SIDES = np.array([1.0, -1.0])  # s = y x_1


def expected_logistic(model: NRFModel, w: NDArray) -> tuple[NDArray, NDArray]:
    """Loss (...) and gradient (..., 3) at w = (w1, e, z) of shape (..., 3).

    e and z are the parts of the non-robust weights along and across (1, ..., 1): given s the margin is
    N(w1 s + e c, e^2 + z^2). The derivatives in e and z use Stein's identity.
    """
    nodes = _nodes(model, w)
    return _loss(*nodes), _gradient(model, w, *nodes)


def _nodes(model: NRFModel, w: NDArray) -> tuple[NDArray, NDArray]:
    """Margins (..., 2, Q), for s = 1 and -1, and their weights."""
    mean = w[..., :1] * _SIDES + w[..., 1:2] * model.c
    spread = np.maximum(np.hypot(w[..., 1], w[..., 2]), 1e-9)[..., None]
    t, weights = normal_panels(0.0, (-mean[..., None] + BEND) / spread[..., None])
    margin = mean[..., None] + spread[..., None] * t
    return margin, weights * np.array([model.p, 1 - model.p])[:, None]


def _loss(margin: NDArray, weights: NDArray) -> NDArray:
    return np.asarray((weights * np.logaddexp(0, -margin)).sum((-2, -1)))


def _gradient(model: NRFModel, w: NDArray, margin: NDArray, weights: NDArray) -> NDArray:
    wrong = expit(-margin)
    slope = (weights * wrong).sum(-1)
    bend = (weights * wrong * (1 - wrong)).sum((-2, -1))
    along = w[..., 1] * bend - model.c * slope.sum(-1)
    return np.stack([-(slope @ _SIDES), along, w[..., 2] * bend], axis=-1)


def _gradient_at(model: NRFModel, w: NDArray) -> NDArray:
    """The gradient alone: most calls look at one of the two."""
    return _gradient(model, w, *_nodes(model, w))


def worst_perturbations(model: NRFModel, w: NDArray, rho: float) -> tuple[NDArray, NDArray]:
    """Perturbations of length rho at which the loss at w + e is largest locally, (n, 3), and the losses (n,).

    From many starts e <- rho * gradient/||gradient||, which never lowers a convex function, then Newton
    steps on the sphere.
    """
    tilt = np.arange(12) * np.pi / 6
    rings = (0.0, 0.6, 1.2) if model.d > 1 else (0.0,)
    u = np.concatenate(
        [
            np.stack([np.cos(tilt) * np.cos(r), np.sin(tilt) * np.cos(r), 0 * tilt + np.sin(r)], -1)
            for r in rings
        ]
    )
    for _ in range(25):
        u = _normalised(_gradient_at(model, w + rho * u))
    u = u[_distinct_rows(u, 2)]
    for _ in range(25):
        new = _newton_on_sphere(model, w, rho, u)
        moved = np.abs(new - u).max()
        u = new[_distinct_rows(new, 7)]
        if moved < 1e-9:
            break
    return rho * u, _loss(*_nodes(model, w + rho * u))


def _normalised(u: NDArray) -> NDArray:
    u = u / np.abs(u).max(-1, keepdims=True)  # the square of a tiny gradient would be 0
    return np.asarray(u / np.linalg.norm(u, axis=-1, keepdims=True))


def _distinct_rows(u: NDArray, digits: int) -> NDArray:
    """Indices of the rows of u that differ after rounding."""
    return np.unique(np.round(u, digits), axis=0, return_index=True)[1]


def _newton_on_sphere(model: NRFModel, w: NDArray, rho: float, u: NDArray) -> NDArray:
    """One step for each unit vector in u (n, 3) towards a maximum of the loss at w + rho*u."""
    h = 1e-5
    gradient = rho * _gradient_at(model, w + rho * u)
    ends = [_gradient_at(model, w + rho * (u + sign * h * np.eye(3)[:, None])) for sign in (1, -1)]
    hessian = np.moveaxis(rho * (ends[0] - ends[1]) / (2 * h), 0, 1)
    across = np.eye(3) - u[:, :, None] * u[:, None, :]
    radial = (gradient * u).sum(-1)[:, None, None]
    matrix = radial * np.eye(3) - across @ ((hessian + hessian.swapaxes(1, 2)) / 2) @ across
    uphill = _normalised(gradient)
    top = np.linalg.eigvalsh(matrix)[:, :1] > 1e-8 * radial[:, 0]  # curved downwards: near a maximum
    matrix = np.where(top[:, :, None], matrix, np.eye(3))
    step = np.linalg.solve(matrix, (across @ gradient[:, :, None]))[:, :, 0]
    short = np.linalg.norm(step, axis=-1, keepdims=True) < 0.3
    return np.where(top & short, _normalised(u + step), uphill)


def full_batch_optimum(model: NRFModel, rho: float, start: NDArray) -> NDArray:
    """The minimiser (w1, e) of the largest expected loss within rho, from ``start``."""
    w = np.array([*start, 0.0])
    flat = float(_loss(*_nodes(model, w)))
    found, losses = worst_perturbations(model, w, rho)
    level = losses.max()
    for _ in range(15):
        w, level = _minimise_largest(model, w, level, found)
        new, losses = worst_perturbations(model, w, rho)
        if losses.max() <= level + 1e-9 * (level - flat):
            break
        found = np.concatenate([found, new])
    return _polish(model, w, rho, new[losses > losses.max() - 1e-3 * (losses.max() - flat)])[:2]


def _polish(model: NRFModel, w: NDArray, rho: float, e: NDArray) -> NDArray:
    """Solve for the minimum with the known number of tying perturbations, each kept the worst of its kind.

    One: its gradient vanishes. Two: equal losses, and gradients on one line. Three: equal losses. Where the
    tie is of another kind (a ring of perturbations), or the solution found is not better, w is kept.
    """
    u = e[_distinct_rows(np.column_stack([e[:, :2], np.abs(e[:, 2])]) / rho, 2)] / rho  # +z and -z are one

    def residual(v: NDArray) -> NDArray:
        at, tips = np.array([*v, 0.0]), u
        for _ in range(4):
            tips = _newton_on_sphere(model, at, rho, tips)
        loss, gradient = expected_logistic(model, at + rho * tips)
        g = gradient[:, :2] / rho
        if len(u) == 1:
            return g[0]
        if len(u) == 2:
            return np.array([(loss[1] - loss[0]) / rho**2, g[0, 0] * g[1, 1] - g[0, 1] * g[1, 0]])
        return (loss[1:] - loss[0]) / rho**2

    if len(u) > 3:
        return w
    found = root(residual, w[:2], tol=1e-13)
    new = np.array([*found.x, 0.0])
    better = worst_perturbations(model, new, rho)[1].max() <= worst_perturbations(model, w, rho)[1].max()
    return new if found.success and better else w


def _minimise_largest(model: NRFModel, w: NDArray, level: float, e: NDArray) -> tuple[NDArray, float]:
    """Minimise over (w1, e) the largest loss among the perturbations: t subject to loss_i(w) <= t.

    Losses are measured in units of ``level``, which can be tiny.
    """

    def slack(v: NDArray) -> NDArray:
        return np.asarray(v[2] - _loss(*_nodes(model, np.array([v[0], v[1], 0.0]) + e)) / level)

    def slope(v: NDArray) -> NDArray:
        gradient = _gradient_at(model, np.array([v[0], v[1], 0.0]) + e) / level
        return np.column_stack([-gradient[:, :2], np.ones(len(e))])

    found = minimize(
        lambda v: v[2],
        np.array([w[0], w[1], 1.0]),
        jac=lambda v: np.array([0.0, 0.0, 1.0]),
        method="SLSQP",
        constraints={"type": "ineq", "fun": slack, "jac": slope},
        options={"ftol": 1e-20, "maxiter": 300},
    )
    v = found.x
    return np.array([v[0], v[1], 0.0]), float(level * (v[2] - min(slack(v).min(), 0.0)))
