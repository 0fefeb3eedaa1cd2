"""Exercises of chapter 4: adversarial examples."""

from __future__ import annotations

from math import sqrt

import numpy as np

from sam_edu.exercises._kinds import Choice, Exercise, Function, Number

_W, _X = np.array([2.0, -1.0, 0.5]), np.array([0.5, 0.2, 0.4])


def _one_entry(g: np.ndarray, eps: float) -> np.ndarray:
    """The delta of l1 length eps that maximises delta . g: everything on the largest entry."""
    delta = np.zeros_like(g)
    j = np.abs(g).argmax()
    delta[j] = eps * np.sign(g[j])
    return delta


def _gradients() -> list[tuple[np.ndarray, float]]:
    g = np.random.default_rng(4).normal(size=(4, 6))
    return [(row, eps) for row in g for eps in (0.1, 2.0)] + [(np.array([0.5, -3.0, 1.0]), 1.0)]


EXERCISES: dict[str, Exercise] = {
    "4.1": Choice(
        "grow together",
        {
            "grow together": "The budget is per pixel, so the attack spends it on every pixel.",
            "a few grow": "Set ε = 0.05 and count the coloured pixels: black and white ones aside, "
                          "nearly all have changed.",
            "noise": "Compare the strength of the colours: wherever there is room it is the same.",
        },
    ),
    "4.2": Number(
        lambda: _W @ _X / np.abs(_W).sum(),
        right="Each pixel moves by less than 0.3, and together they undo the whole margin.",
        mistakes={
            "That is the distance in l2; for l-infinity divide by the sum of the |w_j|.":
                lambda: 1 / sqrt(5.25),
            "Take the absolute values first: the attacker chooses the sign for each pixel.":
                lambda: 1 / 1.5,
            "That is the margin itself; divide it by what one unit of ε takes away.": lambda: 1.0,
        },
    ),
    "4.3": Function(
        _one_entry, _gradients, right="One pixel pays for all: the dual of the sum is the maximum."
    ),
    "4.4": Number(
        lambda: 8 / 255 * 0.25,
        right="That is 2/255, a quarter of what the script claims.",
        mistakes={
            "That is its size in the normalised units; go back to pixels.": lambda: 8 / 255,
            "The other way round: x = 0.25 z + 0.5, so a change of z shrinks.": lambda: 32 / 255,
            "The shift by 0.5 moves x and x + δ alike and drops out of δ.": lambda: 8 / 255 * 0.25 + 0.5,
        },
    ),
}  # fmt: skip
