"""Exercises of chapter 12, a replication on two CPU cores."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from sam_edu.evaluation import wilson
from sam_edu.exercises._kinds import Exercise, Function, Number
from sam_edu.experiments import Record, load_records, protocols, summary


@lru_cache(maxsize=1)
def _fashion() -> dict[str, list[Record]]:
    return load_records(protocols.configs("fashion-mnist", range(5)))


def _share(groups: Mapping[str, list[Record]], method: str, control: str, eps: float) -> float:
    sgd = groups["SGD"]
    return summary.gain(groups[control], sgd, eps).mean / summary.gain(groups[method], sgd, eps).mean


def _interval_width() -> float:
    low, high = wilson(1000, 2000)
    return 100 * (high - low)


EXERCISES: dict[str, Exercise] = {
    "12.2": Number(
        lambda: 11 / 2,
        "Ten passes move x, one moves w; SAM takes two.",
        mistakes={
            "Count the pass that gives the weights their gradient, too.": lambda: 10 / 2,
            "That is the ratio to SGD; SAM's step takes two passes itself.": lambda: 11.0,
        },
    ),
    "12.3": Function(
        _share,
        lambda: [
            (_fashion(), "SAM ρ=0.2", control, eps)
            for control in ("SGD, 8 epochs", "SGD, weight decay 0.005")
            for eps in (4 / 255, 8 / 255)
        ],
        "Most of the gain is not SAM's alone.",
    ),
    "12.4": Number(
        _interval_width,
        "About ±2 points.",
        digits=2,
        mistakes={
            "That is the half width; give the distance between the two ends.": lambda: _interval_width() / 2,
            "Give it in points (per cent), not as a share.": lambda: _interval_width() / 100,
        },
    ),
}
