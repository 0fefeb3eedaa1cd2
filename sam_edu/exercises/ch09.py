"""Exercises of chapter 9, the duality of the two radii."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sam_edu.exercises._kinds import Choice, Exercise, Function, Number

_W, _X = np.array([2.0, -1.0, 2.0]), np.array([3.0, 0.0, 4.0])


def _layer_change(W: ArrayLike, delta: ArrayLike, x: ArrayLike) -> NDArray:
    """The Delta of smallest Frobenius norm with Delta x = W delta."""
    x = np.asarray(x, dtype=float)
    return np.outer(np.asarray(W) @ np.asarray(delta), x) / (x @ x)


def _layers() -> list[tuple[NDArray, NDArray, NDArray]]:
    rng = np.random.default_rng(9)
    return [tuple(rng.normal(size=s) for s in ((m, n), n, n)) for m, n in ((3, 4), (5, 2), (1, 6))]  # type: ignore[misc]


EXERCISES: dict[str, Exercise] = {
    "9.1": Choice(
        "shared worst case",
        {
            "shared worst case": "Here t* < √2, and a small shared worst case lowers the robust weight.",
            "per sample": "Its curve is there, the lowest of all: ε and ρ grow in proportion.",
            "noise": "Noise in all weights has a curve on every data set.",
            "w1 alone": "Its curve is there for every ε below η.",
        },
    ),
    "9.2": Number(
        lambda: sqrt(100 * 0.02 / 0.08),
        right="σ² is to d as ε is to η − ε.",
        mistakes={
            "That is σ²; take the root.": lambda: 100 * 0.02 / 0.08,
            "Divide ε by η − ε, not by η.": lambda: sqrt(100 * 0.02 / 0.1),
            "The factor 3 belongs to the worst case; noise has d alone.": lambda: sqrt(300 * 0.02 / 0.08),
        },
    ),
    "9.3": Number(
        lambda: float(0.3 * np.linalg.norm(_X) / np.linalg.norm(_W)),
        right="The margin falls by 1.5 either way.",
        mistakes={
            "That is the fall of the margin; divide it by what one unit of ε takes away.": lambda: 1.5,
            "The other way round: ρ acts through ‖x‖, ε through ‖w‖.": lambda: 0.3 * 3 / 5,
            "The attack is measured in l2, so its dual norm is l2 as well.": lambda: 1.5 / 5,
        },
    ),
    "9.4": Function(_layer_change, _layers, right="No smaller change of this layer has the same effect."),
    "9.5": Number(
        lambda: (abs(1 - 1.5) + 0.2 * 4) ** 2,
        right="Here the attacker raises the margin: it was already too large.",
        mistakes={
            "That is (1 − (m − ε‖w‖₁))², the formula for losses that fall with the margin.": lambda: 0.3**2,
            "The loss is the square of the distance from 1.": lambda: 0.5 + 0.8,
            "Without the attack it is 0.25.": lambda: 0.25,
        },
    ),
    "9.6": Number(
        lambda: sqrt(6 * 10),
        right="The formula that is reported has 3 in the place of 6d, and answers with √3.",
        mistakes={
            "That is what the reported formula gives; replace 3 by 6d.": lambda: sqrt(3),
            "That is ρ²; take the root.": lambda: 60.0,
        },
    ),
}
