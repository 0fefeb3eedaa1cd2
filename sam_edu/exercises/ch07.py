"""Exercises of chapter 7, standard and adversarial training solved."""

from __future__ import annotations

from math import log

import numpy as np

from sam_edu import toy
from sam_edu.exercises._kinds import Exercise, Function, Number


def _interior(p: float, eta: float, d: int, eps: float) -> float:
    """The local maximum under attack on all features, also where sgn(x_1) is better; inf if none."""
    k, log_odds = eta - eps, toy.NRFModel(p, eta, d).log_odds - 2 * np.arctanh(eps)
    discriminant = k**2 - 2 * eps * log_odds / d
    return float(log_odds / (k + np.sqrt(discriminant))) if k > 0 and discriminant > 0 else np.inf


EXERCISES: dict[str, Exercise] = {
    "7.1": Number(
        lambda: toy.attack_thresholds(toy.NRFModel(0.6, 0.1, 100)).jump,
        right="One step before, the weak features still had a say.",
        absolute=6e-4,
        mistakes={
            "Choose all features as attacked; the weak ones alone are given up only at ε = η.": lambda: 0.1,
        },
    ),
    "7.2": Number(
        lambda: toy.adversarial_optimum(toy.NRFModel(0.9, 0.2, 10), 0.05).w1,
        right="A quarter off η makes it a third larger.",
        mistakes={
            "That is the standard optimum; the attack turns η into η − ε.": lambda: log(9) / 0.4,
            "The attack takes ε from η; it does not add to it.": lambda: log(9) / 0.5,
            "The factor 2 in the denominator is missing.": lambda: log(9) / 0.15,
        },
    ),
    "7.3": Number(
        lambda: 0.9 / 0.1 * 0.02,
        right="The error times the odds of the robust feature.",
        mistakes={
            "δ is the natural error, not the accuracy.": lambda: 9 * 0.98,
            "Answer with a share: 1 is 100 %.": lambda: 18.0,
        },
    ),
    "7.4": Function(
        _interior,
        lambda: [
            (0.95, 0.1, 100, 0.02),
            (0.9, 0.2, 10, 0.04),
            (0.6, 0.1, 100, 0.079),
            (0.95, 0.1, 100, 0.05),
            (0.95, 0.1, 100, 0.15),
        ],
        right="At p = 0.6, ε = 0.079, sgn(x_1) is already better.",
    ),
}
