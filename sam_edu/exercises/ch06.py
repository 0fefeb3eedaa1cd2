"""Exercises of chapter 6, robust and non-robust features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from sam_edu import toy
from sam_edu.exercises._kinds import Choice, Exercise, Function, Number

_MODEL = toy.NRFModel(p=0.95, eta=0.1, d=100)


def _robust(p: float, eta: float, d: int, a: float | NDArray, eps: float) -> NDArray:
    return toy.NRFModel(p, eta, d).robust_accuracy(a, eps, attacked="all")


EXERCISES: dict[str, Exercise] = {
    "6.1": Choice(
        "fall",
        {
            "fall": "Each feature is half as strong: ε erases more of it.",
            "rise": "More features share the signal, so each is weaker. Compare ε with η.",
            "stay": "c stays, and with it the natural accuracy; but ε against η has doubled.",
        },
    ),
    "6.2": Number(
        lambda: _MODEL.eta,
        right="There the weak features say nothing at all.",
        mistakes={
            "At 2η they vote for the wrong class; ask for no vote.": lambda: 2 * _MODEL.eta,
            "At η/2 half of their signal is left.": lambda: _MODEL.eta / 2,
        },
    ),
    "6.3": Number(
        lambda: (ndtri(_MODEL.p) / _MODEL.eta) ** 2,
        right="Some 270 features, each hardly better than a coin.",
        digits=2,
        mistakes={
            "That is the root of d.": lambda: ndtri(_MODEL.p) / _MODEL.eta,
            "Divide by η before you square.": lambda: ndtri(_MODEL.p) ** 2 / _MODEL.eta,
        },
    ),
    "6.4": Function(
        _robust,
        lambda: [
            (0.95, 0.1, 100, 0.0, 0.05),
            (0.9, 0.2, 10, 5.0, 0.1),
            (0.9, 0.2, 10, -5.0, 0.1),
            (0.75, 0.05, 400, np.linspace(-20, 40, 7), 0.1),
        ],
        right="It equals robust_accuracy(..., attacked='all').",
    ),
    "6.5": Number(
        lambda: (2 * _MODEL.eta - 0.05) / (_MODEL.eta - 0.05),
        right="Without the attack it is 2.",
        mistakes={
            "That is the ratio without an attack.": lambda: 2.0,
            "The attack takes ε from each mean; it does not add to it.": lambda: 0.25 / 0.15,
        },
    ),
}
