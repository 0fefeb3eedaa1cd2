r"""The toy model trained by gradient descent on finite samples: many runs as one tensor (chapter 10).

Every sample enters as its signed features xi = y*x, so that its margin is w.xi. A step of SAM with batches
of m samples lets each batch move the weights along its own gradient, by ``rho``, and then steps along the
mean of the gradients found there. m = 1 is SAM per sample, m = n is SAM over the full batch.

:mod:`sam_edu.toy.stationary` finds where such steps lead to without taking them one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from sam_edu import _check
from sam_edu.toy.model import ATTACKED, NRFModel

LOSSES = ("logistic", "squared")
METHODS = ("standard", "sam", "adversarial")


@dataclass(frozen=True)
class Trained:
    """Weights of shape (runs, d+1) after training, the robust one first."""

    weights: NDArray

    @property
    def ratio(self) -> NDArray:
        """Robust weight over the mean non-robust weight, one per run; inf where the latter is 0."""
        weak = self.weights[:, 1:].mean(1)
        with np.errstate(divide="ignore"):
            return np.asarray(self.weights[:, 0] / weak)


def slope(margin: NDArray, loss: str = "logistic") -> NDArray:
    """Derivative in the margin of ln(1+exp(-margin)), or of (1-margin)^2."""
    return np.asarray(-expit(-margin) if loss == "logistic" else 2 * (margin - 1))


def samples(model: NRFModel, n: int, seeds: Sequence[int]) -> NDArray:
    """Signed features y*x of ``n`` samples for each seed, shape (seeds, n, d+1)."""
    drawn = [model.sample(n, seed) for seed in seeds]
    return np.stack([x * y[:, None] for x, y in drawn])


def train(
    xi: NDArray,
    method: str = "standard",
    radius: float = 0.0,
    batch: int | None = None,
    loss: str = "logistic",
    attacked: str = "nonrobust",
    steps: int = 600,
    step_size: float = 1.0,
    one_batch_a_step: bool = False,
    seed: int = 0,
) -> Trained:
    r"""Gradient descent from w = 0, one run per sample in ``xi``.

    .. math:: w \leftarrow w - \alpha_t\,\frac1B\sum_{b=1}^B \nabla L_b\Big(w + \rho\,
              \frac{\nabla L_b(w)}{\|\nabla L_b(w)\|}\Big)

    where :math:`L_b` is the mean loss over the b-th of B batches; ``method="adversarial"`` descends on the
    loss with margin :math:`m - \epsilon\|w\|_1` instead. The step starts at ``step_size`` / beta, beta a
    bound on the curvature, stays there for half of the steps and then falls linearly to 0: with constant
    steps SAM keeps bouncing around its goal.

    Parameters
    ----------
    xi : array (runs, n, d+1)
        Signed features, as :func:`samples` draws them.
    radius : float
        rho of SAM or eps of the attack, >= 0.
    batch : int, optional
        m, a divisor of n; all n by default.
    loss : {"logistic", "squared"}
    attacked : {"nonrobust", "all"}
    one_batch_a_step : bool
        Take one batch at each step, in an order shuffled anew in each epoch, as is done in practice;
        otherwise each step averages over all batches, which is what it comes to when steps are small.

    Raises
    ------
    ValueError
        If an argument is outside its range or ``batch`` does not divide n.
    """
    xi, batch = checked_batches(xi, batch, loss)
    _check.choice("method", method, METHODS)
    _check.choice("attacked", attacked, ATTACKED)
    radius = _check.number("radius", radius, low=0, high=np.inf, open_high=True)
    steps = _check.integer("steps", steps, low=1)
    runs, n, k = xi.shape
    w, rng = np.zeros((runs, k)), np.random.default_rng(seed)
    second = np.linalg.eigvalsh(xi.swapaxes(1, 2) @ xi / n)[:, -1:]
    first = _check.number("step_size", step_size, low=0, high=np.inf, open_low=True) / second
    first = first * (4 if loss == "logistic" else 0.5)
    order: list[int] = []
    for t in range(steps):
        if one_batch_a_step and n > batch:
            if not order:
                xi = xi[:, rng.permutation(n)]
                order = list(range(0, n, batch))
            at = order.pop()
            part = xi[:, at : at + batch]
        else:
            part = xi
        if method == "adversarial":
            g = _attacked_gradient(w, part, radius, loss, attacked)
        else:
            g = _sam_gradient(w, part, radius if method == "sam" else 0.0, batch, loss)
        w = w - first * min(1.0, 2 * (1 - t / steps)) * g
    return Trained(w)


def checked_batches(xi: ArrayLike, batch: int | None, loss: str) -> tuple[NDArray, int]:
    _check.choice("loss", loss, LOSSES)
    xi = np.asarray(xi, dtype=float)
    if xi.ndim != 3 or xi.shape[2] < 2:
        raise ValueError(f"xi must have shape (runs, n, d+1) with d >= 1, got {xi.shape}")
    n = xi.shape[1]
    batch = n if batch is None else _check.integer("batch", batch, low=1)
    if n % batch:
        raise ValueError(f"batch must divide the number of samples, {n}; got {batch}")
    return xi, batch


def _sam_gradient(w: NDArray, xi: NDArray, rho: float, batch: int, loss: str) -> NDArray:
    """Mean over the batches of the gradient after each batch's own ascent; shape of w."""
    runs, n, k = xi.shape
    margin = (xi @ w[:, :, None])[:, :, 0]
    if rho > 0 and batch == 1:  # along the sample itself: the margin moves by rho*||xi||
        margin = margin + rho * np.sign(slope(margin, loss)) * np.linalg.norm(xi, axis=2)
    elif rho > 0:
        parts = xi.reshape(-1, batch, k)
        g = slope(margin, loss).reshape(-1, 1, batch) @ parts
        length = np.linalg.norm(g, axis=2, keepdims=True)
        up = rho * g / (length + (length == 0))  # where the gradient vanishes there is nowhere to go
        margin = margin + (parts @ up.swapaxes(1, 2)).reshape(runs, n)
    return np.asarray((slope(margin, loss)[:, None] @ xi)[:, 0] / n)


def _attacked_gradient(w: NDArray, xi: NDArray, eps: float, loss: str, attacked: str) -> NDArray:
    """Gradient of the loss under the worst attack. At a weight of 0 the subgradient nearest 0."""
    free = np.zeros(w.shape[1])
    free[(1 if attacked == "nonrobust" else 0) :] = eps
    margin = (xi @ w[:, :, None])[:, :, 0]
    wear = (np.abs(w) * free).sum(1, keepdims=True)
    if loss == "squared":  # not monotone: the attacker pushes away from 1 on either side
        side = np.sign(margin - 1)
        outer = 2 * (np.abs(margin - 1) + wear)
        plain, push = (outer * side)[:, None] @ xi, outer.mean(1, keepdims=True) * free
    else:
        outer = slope(margin - wear, loss)
        plain, push = outer[:, None] @ xi, -outer.mean(1, keepdims=True) * free
    g = plain[:, 0] / xi.shape[1]
    still = np.sign(g) * np.maximum(np.abs(g) - push, 0)
    return np.asarray(np.where(w == 0, still, g + push * np.sign(w)))
