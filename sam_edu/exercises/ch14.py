"""Exercises of chapter 14, price and prize."""

from __future__ import annotations

from types import SimpleNamespace

from sam_edu.exercises._kinds import Exercise, Function, Number
from sam_edu.experiments import RunConfig, summary

#: One climb serves both radii in weight space: 2 epochs of 1 + 1 + 3 passes. (No run of the book has both.)
_BOTH_RADII = SimpleNamespace(
    epochs=2, plain_epochs=0, rho=0.1, gamma=0.01, eps=0.1, attack_steps=3, method="awp"
)

EXERCISES: dict[str, Exercise] = {
    "14.2": Number(
        lambda: 10,
        "Four passes an epoch.",
        mistakes={
            "The pass that moves the weights counts, too.": lambda: 13,
            "Divide the forty passes by those of one epoch of AT.": lambda: 160,
        },
    ),
    "14.3": Number(
        lambda: 0.04,
        "Two comparisons are left when the smallest has been dealt with.",
        mistakes={
            "Only the smallest is multiplied by three.": lambda: 0.06,
            "A corrected value is never below an earlier one, and this one is multiplied, too.": lambda: 0.02,
        },
    ),
    "14.4": Function(
        summary.gradient_passes,
        lambda: [
            (RunConfig(epochs=30),),
            (RunConfig(method="sam", rho=0.1, epochs=7),),
            (RunConfig(method="at", eps=0.1, attack_steps=10, epochs=3),),
            (RunConfig(method="awp", eps=0.1, gamma=0.01, attack_steps=5),),
            (RunConfig(method="sam+at", eps=0.1, rho=0.1, attack_steps=2),),
            (_BOTH_RADII,),
        ],
        "No clock was needed.",
    ),
}
