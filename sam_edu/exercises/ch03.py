"""Exercises of chapter 3, the SAM family."""

from __future__ import annotations

from math import hypot, sqrt

import numpy as np
from numpy.typing import NDArray

from sam_edu.exercises._kinds import Exercise, Function, Number


def _fisher(g: NDArray, rho: float, eta: float) -> NDArray:
    u = g / (1 + eta * g**2)
    return rho * u / np.sqrt(g @ u)


EXERCISES: dict[str, Exercise] = {
    "3.2": Number(
        lambda: 0.1 * hypot(4, 0.25) / sqrt(4.25),
        "Nearly all of it lies along the large weight.",
        mistakes={
            "That is ρ, the length of SAM's ê (and of T⁻¹ê): T appears squared in ê.": lambda: 0.1,
            "Divide by the length of T g, not of g.": lambda: 0.1 * hypot(4, 0.25) / sqrt(2),
        },
    ),
    "3.3": Number(
        lambda: 11 / 10,
        "Close to SGD's price.",
        mistakes={
            "That is for k = 5.": lambda: 6 / 5,
            "The steps in between still take one pass.": lambda: 2 / 10,
        },
    ),
    "3.4": Function(
        _fisher,
        lambda: [
            (np.array([1.0, 0.2, -3.0]), 0.1, 1.0),
            (np.array([0.5, -0.5]), 0.3, 0.0),
            (np.array([2.0, 1.0, 0.0]), 0.05, 4.0),
        ],
        "With eta = 0 it is SAM.",
    ),
}
