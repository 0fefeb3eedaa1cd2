"""Exercises of chapter 10, from theorems to trained models."""

from __future__ import annotations

from functools import cache
from math import log, sinh

import numpy as np
from numpy.typing import NDArray

from sam_edu import toy
from sam_edu.exercises._kinds import Choice, Exercise, Function, Number
from sam_edu.toy.stationary import lost_weight


@cache
def _first_batch_below(share: float) -> float:
    """The smallest batch of the live figure at which less than ``share`` is lost."""
    batches = [8, 16, 32]
    m = toy.NRFModel(0.9, 0.2, 10)
    lost = lost_weight(m, "squared", batches, [0, 0.02, 0.05, 0.1, 0.2], 4096, range(4))[:, -1].mean(1)
    return float(batches[int(np.argmax(lost < share))])


def _per_sample_loss(w: NDArray, xi: NDArray, rho: float) -> NDArray:
    return np.logaddexp(0, rho * np.linalg.norm(xi, axis=1) - xi @ w)


def _inputs() -> list[tuple[NDArray, NDArray, float]]:
    rng = np.random.default_rng(0)
    return [(rng.normal(size=d), rng.normal(size=(7, d)), rho) for d, rho in ((3, 0.0), (5, 0.2), (11, 3.0))]


EXERCISES: dict[str, Exercise] = {
    "10.1": Number(
        lambda: _first_batch_below(0.1),
        right="One doubling of the batch halves the effect, and more.",
        mistakes={
            "At m = 8 they still lose almost a fifth.": lambda: 8.0,
            "A smaller batch is already enough.": lambda: 32.0,
        },
    ),
    "10.2": Number(
        lambda: sinh(log(9)) / 0.4,
        right="Twice what the best classifier has: the loss moves the ratio, without any SAM.",
        mistakes={
            "That is the ratio of the logistic loss; the squared loss has sinh L in place of L.": lambda: (
                log(9) / 0.4
            ),
            "The factor 2 in the denominator is missing.": lambda: sinh(log(9)) / 0.2,
        },
    ),
    "10.3": Choice(
        "stays",
        {
            "rises": "That is SAM with one perturbation per sample; here all samples share one.",
            "falls": "That is the exact maximum over the ball; one ascent step does not find it.",
            "stays": "Theorem 15, which holds for finite samples and every radius.",
        },
    ),
    "10.4": Function(
        _per_sample_loss,
        _inputs,
        right="Theorem 12 in one line: the margin loses the radius times the length of the input.",
    ),
    "10.5": Number(
        lambda: 0.1 * 3,
        right="It is below p, so the features go as soon as c is small enough.",
        mistakes={
            "The share of the minority is 1 - p, not p.": lambda: 0.9 * 3,
            "κ divides the 2; it does not multiply the 1.": lambda: 0.1 * 2,
        },
    ),
}
