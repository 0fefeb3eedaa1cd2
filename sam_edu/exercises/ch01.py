"""Exercises of chapter 1, flat minima."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from sam_edu import toy
from sam_edu.exercises._kinds import Choice, Exercise, Function, Number
from sam_edu.toy import wells


def _last_ruler() -> float:
    """Smallest position of the slider (steps of 0.1) at which the jump never comes."""
    return next(k / 10 for k in range(5, 51) if wells.critical_rho(k / 10, 0.2) == np.inf)


def _adaptive_rise(w: NDArray, g: NDArray, rho: float) -> float:
    """Maximum of g . e over all e with |e / |w|| <= rho."""
    return float(rho * np.linalg.norm(np.abs(w) * g))


def _cases() -> list[tuple[NDArray, NDArray, float]]:
    draws = np.random.default_rng(1).normal(size=(4, 2, 6))
    return [(w, g, rho) for w, g in draws for rho in (0.1, 2.0)]


EXERCISES: dict[str, Exercise] = {
    "1.1": Number(
        _last_ruler,
        right="There A is drawn as wide as B, and its loss is lower. Nothing else has changed.",
        absolute=0.051,
        mistakes={
            "The jump has moved, but it is still there; go on.": lambda: 3.0,
            "There it never comes, but it stayed away before; go back.": lambda: 5.0,
        },
    ),
    "1.2": Number(
        lambda: wells.critical_rho(1.0, 0.36),
        right="The more B costs, the longer A is preferred.",
        mistakes={
            "That is the square of the radius.": lambda: wells.critical_rho(1.0, 0.36) ** 2,
            "Multiply out (1 - f): its root, 0.8, belongs to B's bracket, not 0.64.": lambda: sqrt(
                (1 - 0.64) / (1 / 0.09 - 0.64 / 1.44)
            ),
            "That is the jump for the figure's first setting, f = 0.2.": lambda: wells.critical_rho(1.0, 0.2),
        },
    ),
    "1.3": Number(
        lambda: 4 + 1 / 4,
        right="At (1, 1) it is 2; at (10, 1/10) it is 100.01. The function is x ↦ x at all three.",
        mistakes={
            "That is the value at (1, 1).": lambda: 2.0,
            "That is the larger entry on the diagonal; the off-diagonal entries add to it.": lambda: 4.0,
            "The second derivatives along w1 and w2 are the squares of the other weight.": lambda: 2.5,
        },
    ),
    "1.4": Function(
        _adaptive_rise,
        _cases,
        right="Put u = e/|w| and use the Cauchy–Schwarz inequality: it is g ⊙ |w| whose length counts.",
    ),
    "1.5": Number(
        lambda: float(toy.pac_bayes_bound(0.0, 1.0, 1.0, 10, 10_000, 0.05)),
        right="Ten weights and ten thousand samples: here the bound does say something.",
        mistakes={
            "Take the root of the fraction.": lambda: (
                float(toy.pac_bayes_bound(0.0, 1.0, 1.0, 10, 10_000, 0.05)) ** 2
            ),
            "That is the value for k = 1; there are ten weights.": lambda: float(
                toy.pac_bayes_bound(0.0, 1.0, 1.0, 1, 10_000, 0.05)
            ),
        },
    ),
    "1.6": Choice(
        "some",
        {
            "robust": "No attack occurs in the theorem: both losses are taken on clean samples.",
            "flat": "The theorem compares one network with its own surroundings, not two networks.",
            "some": "Right, and for the networks of this page what it says is that their error is at most "
            "a number above 1.",
        },
    ),
}
