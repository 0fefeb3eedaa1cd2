"""Exercises of chapter 5: adversarial training."""

from __future__ import annotations

from math import exp, log

import numpy as np
import torch

from sam_edu.exercises._kinds import Choice, Exercise, Function, Number
from sam_edu.objectives import AWP


def _robust_gradient(w: np.ndarray, x: np.ndarray, y: float, eps: float) -> np.ndarray:
    """Gradient in w of log(1 + exp(-(y w.x - eps |w|_1))): at the worst delta, which is held fixed."""
    worst = x - eps * y * np.sign(w)
    return -y * worst / (1 + exp(y * float(w @ worst)))


def _linear_cases() -> list[tuple[np.ndarray, np.ndarray, float, float]]:
    rng = np.random.default_rng(5)
    return [(rng.normal(size=6), rng.normal(size=6), y, eps) for y in (-1.0, 1.0) for eps in (0.0, 0.1, 0.5)]


def _perturbation(w: np.ndarray, g: np.ndarray, gamma: float) -> np.ndarray:
    """AWP's step for one weight tensor; zero for biases."""
    objective = AWP(torch.nn.Linear(1, 1), gamma)
    return objective.direction([torch.as_tensor(w)], [torch.as_tensor(g)])[0].numpy()


def _weight_cases() -> list[tuple[np.ndarray, np.ndarray, float]]:
    rng = np.random.default_rng(6)
    return [
        (rng.normal(size=shape), rng.normal(size=shape), gamma)
        for shape in ((4, 3), (4,), (2, 1, 3, 3))
        for gamma in (5e-3, 0.1)
    ]


_OTHERS = ("t-shirt", "pullover", "dress", "coat", "sandal", "sneaker")


EXERCISES: dict[str, Exercise] = {
    "5.1": Choice(
        "shirt",
        {
            "shirt": "It shares its shape with four other classes, and strong training gives it up first.",
            **{
                name: "It gives up less than another one does; look for a class that loses half."
                for name in _OTHERS
            },
            "trouser": "Compare its bar with SGD's hollow mark: trousers keep nearly everything.",
            "bag": "Bags lose little; they look like nothing else.",
            "ankle boot": "Boots lose a few points; look for a class that loses half.",
        },
    ),
    "5.2": Number(
        lambda: 10 + 2,
        right="The second pass of AWP is the smaller part of the bill.",
        mistakes={
            "That is AT alone; AWP takes the weight gradient twice.": lambda: 10 + 1,
            "The attack runs once, at w; its result serves both passes.": lambda: 2 * (10 + 1),
            "The passes that move x come on top.": lambda: 2.0,
        },
    ),
    "5.3": Function(
        _robust_gradient,
        _linear_cases,
        right="You differentiated a maximum without differentiating its argument.",
    ),
    "5.4": Number(
        lambda: log(1 + exp(-(1 - 0.2 * 3.5))),
        right="The attack has taken 0.7 of the margin of 1.",
        mistakes={
            "That is the loss without attack.": lambda: log(1 + exp(-1)),
            "The attacker lowers the margin.": lambda: log(1 + exp(-(1 + 0.7))),
            "For an attack in l-infinity the margin falls by ε times the sum of the |w_j|.": lambda: log(
                1 + exp(-(1 - 0.2 * 5.25**0.5))
            ),
        },
    ),
    "5.5": Function(
        _perturbation,
        _weight_cases,
        right="Each layer moves by the same fraction of its own length.",
    ),
}
