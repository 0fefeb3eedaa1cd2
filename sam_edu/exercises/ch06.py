"""Exercises of chapter 6, robust and non-robust features."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from sam_edu import toy
from sam_edu.exercises._kinds import Exercise, Function, Number

_MODEL = toy.NRFModel(p=0.95, eta=0.1, d=100)

EXERCISES: dict[str, Exercise] = {
    "6.2": Number(
        lambda: _MODEL.eta,
        "There the weak features carry no information at all.",
        mistakes={"At 2η they vote for the wrong class; ask for no vote.": lambda: 2 * _MODEL.eta},
    ),
    "6.3": Function(
        lambda p, eta, d, a: toy.NRFModel(p, eta, d).natural_accuracy(a),
        lambda: [(0.95, 0.1, 100, 0.0), (0.9, 0.2, 10, 5.0), (0.75, 0.05, 400, np.linspace(-20, 40, 7))],
        "It equals toy.NRFModel.natural_accuracy.",
    ),
    "6.4": Number(
        lambda: (ndtri(_MODEL.p) / _MODEL.eta) ** 2,
        "Some 270 features, each hardly better than a coin.",
        mistakes={"That is the root of d.": lambda: ndtri(_MODEL.p) / _MODEL.eta},
    ),
}
