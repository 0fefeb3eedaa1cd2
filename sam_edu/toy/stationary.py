r"""Where small steps of SAM lead on the toy model: batches of m samples, radius rho (chapter 10).

The average step of SAM over a sample, each batch moving the weights along its own gradient before the
gradient is taken, is no gradient of anything, but it vanishes somewhere, and small steps end there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import root

from sam_edu import _check
from sam_edu.toy.descent import checked_batches, samples, slope
from sam_edu.toy.model import NRFModel

Step = Callable[[NDArray], NDArray]


def stationary(
    xi: NDArray, rho: float, batch: int | None = None, loss: str = "logistic", start: ArrayLike | None = None
) -> tuple[float, float]:
    """(w1, w_nr), all non-robust weights equal, where SAM's average step over one sample vanishes.

    Equal weights see only the sums over the non-robust features, so that two numbers are fitted and not d+1.
    With the squared loss and a large rho the non-robust weights can vanish; the step then jumps where it
    should vanish, and the point returned is within about a per cent of the jump.

    Parameters
    ----------
    xi : array (n, d+1)
        Signed features of one sample, see :func:`sam_edu.toy.descent.samples`.
    batch : int, optional
        m, a divisor of n; all n by default.
    start : (w1, w_nr), optional
        Where to begin; by default the standard solution of the same sample.

    Raises
    ------
    ValueError
        If an argument is outside its range.
    """
    rho = _check.number("rho", rho, low=0, high=np.inf, open_high=True)
    xi = np.asarray(xi, dtype=float)
    if xi.ndim != 2:
        raise ValueError(f"xi must have shape (n, d+1), the signed features of one sample; got {xi.shape}")
    all_, batch = checked_batches(xi[None], batch, loss)
    features = np.stack([xi[:, 0], xi[:, 1:].sum(1)], axis=1)
    step = _average_step(features, all_.reshape(-1, batch, xi.shape[1]), rho, loss)
    if start is None:
        start = stationary(xi, 0.0, None, loss, (1.0, 0.1)) if rho > 0 else (1.0, 0.1)
    found = root(step, np.asarray(start, dtype=float), method="hybr", options={"xtol": 1e-9})
    scale = np.sqrt((features**2).mean(0))
    if (np.abs(step(found.x)) < 1e-7 * scale).all():
        return float(found.x[0]), float(found.x[1])
    w1, w_nr = _descend(step, np.asarray(start, dtype=float), features)
    return float(w1), float(w_nr)


def _average_step(features: NDArray, parts: NDArray, rho: float, loss: str) -> Step:
    """w -> gradient after the ascent, averaged over the batches ``parts`` (batches, m, d+1)."""
    batch = parts.shape[1]
    small = batch < parts.shape[2]  # inner products within a batch instead of the features themselves
    inner = parts @ parts.swapaxes(1, 2) if small and rho > 0 else None

    def step(w: NDArray) -> NDArray:
        margin = features @ w
        if rho > 0:
            r = slope(margin, loss).reshape(-1, batch, 1)
            if inner is not None:
                shift = inner @ r
                length = np.sqrt(np.maximum((r * shift).sum(1, keepdims=True), 0))
            else:
                g = parts.swapaxes(1, 2) @ r
                length = np.linalg.norm(g, axis=1, keepdims=True)
                shift = parts @ g
            margin = margin + rho * (shift / (length + (length == 0))).ravel()
        return np.asarray(slope(margin, loss) @ features / len(features))

    return step


def _descend(step: Step, w: NDArray, features: NDArray, steps: int = 300) -> NDArray:
    """Follow the steps, each divided by the curvature 2 E xi xi^T of the squared loss and ever shorter."""
    curvature = 2 * features.T @ features / len(features)
    for t in range(steps):
        w = w - 0.5 * (1 - t / steps) * np.linalg.solve(curvature, step(w))
    return w


def lost_weight(
    model: NRFModel, loss: str, batches: Sequence[int], rhos: Sequence[float], n: int, seeds: Sequence[int]
) -> NDArray:
    r"""Share of their relative weight that SAM takes from the non-robust features, measured.

    .. math:: 1 - \frac{w_{nr}/w_1\ \text{(SAM)}}{w_{nr}/w_1\ \text{(standard training of the same sample)}}

    With the logistic loss, adversarial training of radius eps takes eps/eta (Theorem 14), so that the share
    is also the attack that has the same effect, in units of eta. Negative where SAM adds weight.

    Returns
    -------
    array (batches, rhos, seeds)
        One sample of size ``n`` per seed. A batch of size n stands for the full batch, 0 by Theorem 15 and
        Theorem 21.
    """
    lost = np.zeros((len(batches), len(rhos), len(seeds)))
    for k, xi in enumerate(samples(model, n, seeds)):
        standard = stationary(xi, 0.0, None, loss)
        for i, batch in enumerate(batches):
            w = standard
            for j, rho in enumerate(rhos):
                if rho > 0 and batch < n:
                    w = stationary(xi, rho, batch, loss, start=w)
                    lost[i, j, k] = 1 - w[1] / w[0] * standard[0] / standard[1]
    return lost
