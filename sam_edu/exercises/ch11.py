"""Exercises of chapter 11: measuring robustness honestly."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from sam_edu.evaluation import wilson
from sam_edu.exercises._kinds import Exercise, Function, Number


def _worst_case(verdicts: NDArray) -> float:
    """Share of images that every attack left standing; verdicts: (attacks, images), True = stands."""
    return float(np.asarray(verdicts, dtype=bool).all(axis=0).mean())


def _verdicts() -> list[tuple[NDArray]]:
    rng = np.random.default_rng(11)
    shapes = (((3, 40), 0.8), ((1, 7), 0.5), ((5, 200), 0.95))
    return [(rng.random(shape) < share,) for shape, share in shapes]


def _paired(a: NDArray, b: NDArray) -> NDArray:
    """Difference of two accuracies on the same images, and its standard error."""
    d = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    return np.array([d.mean(), d.std(ddof=1) / sqrt(len(d))])


def _pairs() -> list[tuple[NDArray, NDArray]]:
    rng = np.random.default_rng(12)
    cases = []
    for n, base, lost in ((50, 0.6, 0.1), (500, 0.5, 0.3), (200, 0.9, 0.0)):
        a = rng.random(n) < base
        cases.append((a, a & (rng.random(n) >= lost)))
    return cases


def _relu_lines(low: float, high: float) -> NDArray:
    """CROWN's lower slope, its upper slope and the height of the upper line at zero."""
    if low >= 0 or high <= 0:
        return np.array([low >= 0, low >= 0, 0], dtype=float)
    slope = high / (high - low)
    return np.array([high > -low, slope, -low * slope])


def _ends() -> list[tuple[float, float]]:
    return [(-1.0, 3.0), (-2.0, 0.5), (0.5, 2.0), (-3.0, -1.0), (-0.7, 0.8)]


EXERCISES: dict[str, Exercise] = {
    "11.1": Number(
        lambda: (1.959964 * 0.5 / 0.01) ** 2,
        right="Nearly ten thousand: the whole test set of CIFAR-10.",
        digits=2,
        mistakes={
            "That is where the interval is 1 point wide in all, ±0.5.": lambda: (1.959964 * 0.5 / 0.005) ** 2,
            "Half of 50 % is not the spread: the variance of one verdict is 0.5 · 0.5.": lambda: (
                (1.959964 * 0.25 / 0.01) ** 2
            ),
            "That is one standard deviation; the interval reaches 1.96 of them.": lambda: (0.5 / 0.01) ** 2,
        },
    ),
    "11.2": Number(
        lambda: 1 - wilson(100, 100)[0],
        right="No attack got through, and yet one image in 27 may fall.",
        digits=2,
        mistakes={
            "The error bar p(1 − p)/n is 0 here, which is why it is not used; "
            "try wilson(100, 100).": lambda: 0.0,
            "Give the share that may fall, not the share that stands.": lambda: wilson(100, 100)[0],
            "Give it as a share: 1 is 100 %.": lambda: 100 * (1 - wilson(100, 100)[0]),
        },
    ),
    "11.3": Function(_worst_case, _verdicts, right="One attack that succeeds is enough."),
    "11.4": Function(
        _paired, _pairs, right="Images that both networks get right, or both wrong, add nothing to the error."
    ),
    "11.5": Number(
        lambda: 10 * 2 / 255,
        right="A quarter of the ball: the attack never sees its rim.",
        digits=2,
        mistakes={
            "That is the radius of the ball; the attack does not get there.": lambda: 0.3,
            "Ten steps, each of 2/255.": lambda: 2 / 255,
        },
    ),
    "11.6": Number(
        lambda: 0.3 + 0 - 0.2,
        right="Positive, so the image is proved; the true minimum is 0.3.",
        digits=2,
        mistakes={
            "That is the true minimum. Intervals do not see that both units share x.": lambda: 0.3,
            "That is the margin of the image itself; the attacker may move each pixel by 0.1.": lambda: 0.5,
            "The lowest margin needs the lowest h1 and the highest h2.": lambda: 0.3 + 0.4 - 0.0,
        },
    ),
    "11.7": Function(_relu_lines, _ends, right="All that CROWN needs of a ReLU are these three numbers."),
}
