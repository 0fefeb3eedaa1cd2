"""Exercises of chapter NN. Expected answers are computed, never typed; a slip gets its own hint."""

from __future__ import annotations

from sam_edu.exercises._kinds import Choice, Exercise, Function, Number
from sam_edu.widgets.figure_name import worst_loss

EXERCISES: dict[str, Exercise] = {
    "NN.1": Number(
        lambda: (2 * 0.32) ** 0.5,
        right="Half the square of the radius, for curvature 1.",
        absolute=0.011,  # a step of the slider
        mistakes={"There the loss grows by ρ²; it is half of that.": lambda: 0.32**0.5},
    ),
    "NN.2": Number(
        lambda: float(worst_loss(0.0, 0.5, 2.0)),
        right="At the minimum only the curvature counts.",
        mistakes={"That is h times ρ², without the half.": lambda: 2.0 * 0.5**2},
    ),
    "NN.3": Choice(
        expected="slope",
        feedback={
            "slope": "Away from the minimum the rise begins with ρ times the slope h|w|.",
            "curvature": "That is what counts at the minimum, where the slope is 0.",
        },
    ),
    "NN.4": Function(
        reference=worst_loss,
        inputs=lambda: [
            (w, rho, h)
            for w in (-1.0, 0.0, 0.5)
            for rho in (0.0, 0.3)
            for h in (0.5, 2.0)
        ],
        right="The far end of the interval is always on the side of w.",
    ),
}
