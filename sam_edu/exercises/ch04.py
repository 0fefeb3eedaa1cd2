"""Exercises of chapter 4: adversarial examples, and (from 4.7 on) of its page 4b on units."""

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


def _normalised_set(eps: float, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Radius, lowest and highest value per channel, in normalised units: shape (3, channels)."""
    return np.stack([eps / std, -mean / std, (1 - mean) / std])


def _channels() -> list[tuple[float, np.ndarray, np.ndarray]]:
    imagenet = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return [(8 / 255, *imagenet), (0.1, np.array([0.3]), np.array([0.4])), (0.0, *imagenet)]


def _move(x: np.ndarray, zeta: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Pixels moved by a change ``zeta`` of the normalised pixels; the mean drops out."""
    return np.clip(x + std * zeta, 0, 1)


def _moves() -> list[tuple[np.ndarray, np.ndarray, float, float]]:
    levels = np.arange(256, dtype=np.float32) / np.float32(255)  # zero change: exact to the last bit
    zeta = np.random.default_rng(9).normal(size=256)
    return [(levels, np.zeros(256, np.float32), 0.1307, 0.3081), (levels.astype(float), zeta, 0.485, 0.229)]


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
        digits=2,
        mistakes={
            "That is its size in the normalised units; go back to pixels.": lambda: 8 / 255,
            "The other way round: x = 0.25 z + 0.5, so a change of z shrinks.": lambda: 32 / 255,
            "The shift by 0.5 moves x and x + δ alike and drops out of δ.": lambda: 8 / 255 * 0.25 + 0.5,
        },
    ),
    "4.7": Choice(
        "falls to the truth",
        {
            "falls to the truth": "The script reads the curve at ε σ; at σ = 1 that is the right place.",
            "rises": "A larger σ makes ε σ larger, and the accuracy at a larger radius is lower.",
            "stays": "Watch the hollow diamond at ε = 0.15 while σ moves.",
        },
    ),
    "4.8": Number(
        lambda: 8 * 0.229,
        right="Less than two grey levels, where eight were claimed.",
        mistakes={
            "That is the radius that the script should have typed: ε / σ, in normalised units.":
                lambda: 8 / 255 / 0.229,
            "Multiply by σ, do not divide: a change of z by one is a change of x by σ.": lambda: 8 / 0.229,
            "That is in units of [0, 1]; count grey levels, 255 of them.": lambda: 8 / 255 * 0.229,
        },
    ),
    "4.9": Function(
        _normalised_set, _channels,
        right="Radius and box, both per channel: now an attack in normalised units is the attack in pixels.",
    ),
    "4.10": Function(
        _move, _moves, exact=lambda x, zeta, mean, std: not zeta.any(),
        right="Only the change is scaled, so that no change stays no change, to the last bit.",
    ),
}  # fmt: skip
