"""Exercises of chapter 8, SAM solved for the toy model."""

from __future__ import annotations

from bisect import bisect_left
from functools import cache
from math import exp, log, sqrt

from sam_edu import toy
from sam_edu.exercises._kinds import Choice, Exercise, Function, Number


@cache
def _smallest_p() -> float:
    """The first p on the slider, from below, at which l2-SAM of radius 0.1*sqrt(d) raises w1.

    From there on it does, so a bisection finds it.
    """

    def raises(step: int) -> bool:
        m = toy.NRFModel(step / 200, 0.1, 100)
        return bool(toy.sam_optimum(m, 1.0, perturbed="all") > toy.standard_optimum(m))

    return bisect_left(range(199), True, lo=110, key=raises) / 200


EXERCISES: dict[str, Exercise] = {
    "8.1": Number(
        _smallest_p,
        right="There t* has just passed √2.",
        absolute=2.4e-3,
        mistakes={
            "A step further SAM still raises it; go on until it lowers it, then one step back.": lambda: 0.95,
            "There SAM already lowers it; go one step back.": lambda: 0.94,
        },
    ),
    "8.2": Number(
        lambda: log(9) / 0.4 * (1 + 1 / 30),
        right="A thirtieth more.",
        mistakes={
            "That is the standard optimum; SAM adds the share ρ²/(3d) to it.": lambda: log(9) / 0.4,
            "The constant is 1/(3d), not 2/3.": lambda: log(9) / 0.4 * (1 + 2 / 3),
            "That is the Gaussian average; the worst case has 1/(3d).": lambda: log(9) / 0.4 * 1.1,
            "The constant is 1/(3d), not 1/3.": lambda: log(9) / 0.4 * (1 + 1 / 3),
        },
    ),
    "8.3": Number(
        lambda: 1 / (1 + exp(-4 * sqrt(2))),
        right="Better than all four hundred together.",
        mistakes={
            "t* = L/(2c), so the log-odds must exceed 2√2 c, not √2 c.": lambda: 1 / (1 + exp(-2 * sqrt(2))),
            "That makes t* exceed 1; the threshold is √2.": lambda: 1 / (1 + exp(-4)),
            "That is what the weak features reach together; the condition is on L.": lambda: 0.97725,
        },
    ),
    "8.4": Choice(
        "equal",
        {
            "equal": "The step ahead lengthens the gradient and leaves its zero where it is.",
            "larger": "That needs an exact worst case of w1, noise, or a perturbation for each sample.",
            "smaller": "The exact worst case may do that; one gradient step with small steps does not.",
        },
    ),
    "8.5": Function(
        lambda p, eta, d, rho: toy.sam_optimum(toy.NRFModel(p, eta, d), rho),
        lambda: [(0.95, 0.1, 100, 1.0), (0.9, 0.2, 10, 2.0), (0.75, 0.05, 400, 5.0), (0.6, 0.5, 1, 0.3)],
        right="Two ends of a window, equally high.",
    ),
}
