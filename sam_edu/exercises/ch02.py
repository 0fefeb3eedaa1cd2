"""Exercises of chapter 2: SAM, step by step."""

from __future__ import annotations

from functools import cache
from math import hypot, sqrt

import numpy as np

from sam_edu.exercises._kinds import Exercise, Function, Number
from sam_edu.toy import landscape


def _end_curvature(rho: float) -> float:
    """Curvature across the valley after the 60 steps that the live figure starts with."""
    w = np.array([-1.2, 0.5])
    for _ in range(60):
        w = landscape.step(w, rho, 0.08)
    return float(landscape.curvature(w[0]))


@cache
def _threshold() -> float:
    """Smallest multiple of 0.01 at which SAM's end is less than half as curved as SGD's."""
    target = _end_curvature(0.0) / 2
    return next(k / 100 for k in range(1, 101) if _end_curvature(k / 100) < target)


def _climb_cases() -> list[tuple[np.ndarray, float]]:
    g = np.random.default_rng(2).normal(size=(3, 5))
    return [(row, rho) for row in g for rho in (0.05, 1.0)] + [(np.array([1.0, 0.0, -2.0]), 0.5)]


def _highest_in_the_cube(e: np.ndarray, g: np.ndarray, rho: float) -> bool:
    """Where an entry of g is 0 every entry of e does: any e in the cube with g.e = rho |g|_1 is right."""
    return bool(np.abs(e).max() <= rho * (1 + 1e-9) and np.isclose(e @ g, rho * np.abs(g).sum()))


def _off(e: np.ndarray, g: np.ndarray, rho: float) -> float:
    """How far a climb is from SAM's, in units of rho."""
    return float(np.linalg.norm(e - rho * g / np.linalg.norm(g)) / rho)


def _climbs() -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Right ones, and the three slips: decay in the climb, stale gradients in it, the wrong length."""
    rng = np.random.default_rng(6)
    g, w, old = rng.normal(size=(3, 8))
    made = [g, g + 0.02 * w, g + old, 3 * g]
    cases = [(0.2 * v / np.linalg.norm(v), g, 0.2) for v in made]
    return [*cases, (0.1 * g, g, 0.5), (np.zeros(8), g, 0.2)]


EXERCISES: dict[str, Exercise] = {
    "2.1": Number(
        _threshold,
        right="From here on 60 steps are enough to pass the bump. With more steps a smaller ρ passes it, "
        "too; at 0.12 SAM stays for ever.",
        absolute=0.0051,
        mistakes={
            "That is a ρ at which SAM has arrived; go back until it just fails to leave.": lambda: 0.3,
        },
    ),
    "2.2": Number(
        lambda: 10 * (0.3 + 0.5 * 3 / hypot(3, 0.4)),
        right="The steep direction takes nearly all of the climb.",
        mistakes={
            "That is the gradient at w; SAM takes it at w + e.": lambda: 3.0,
            "The climb has length ρ: divide the gradient by its own length first.": lambda: 18.0,
            "The length is the root of the sum of squares, not the sum: 3 and 0.4 give 3.027.": lambda: (
                10 * (0.3 + 0.5 * 3 / 3.4)
            ),
            "SAM climbs before it looks: w + e, not w - e.": lambda: 10 * (0.3 - 0.5 * 3 / hypot(3, 0.4)),
        },
    ),
    "2.3": Function(
        lambda g, rho: rho * np.sign(g),
        _climb_cases,
        right="On the inputs of a network this very step is the fast gradient sign method.",
        also=_highest_in_the_cube,
    ),
    "2.4": Number(
        lambda: sqrt(6) * 0.2,
        right="Values of ρ can be compared only where the norm runs over the same weights.",
        mistakes={
            "Lengths of perpendicular parts do not add; their squares do.": lambda: 1.2,
            "Each tensor alone has length 0.2; the whole is longer.": lambda: 0.2,
        },
    ),
    "2.6": Function(
        _off,
        _climbs,
        right="It is 0 for SAM's own climb, and one assertion on it catches two of the six traps.",
    ),
}
