"""Exercises of chapter 13, the paper's protocol on a GPU."""

from __future__ import annotations

from collections.abc import Callable

from sam_edu.exercises._kinds import Choice, Exercise, Function, Number
from sam_edu.experiments import RunConfig, protocols, summary
from sam_edu.methods import METHODS


def _grid() -> dict[str, RunConfig]:
    return {label: group[0] for label, group in protocols.configs("cifar10", [0]).items()}


def _attacks(config: RunConfig) -> bool:
    return METHODS[config.method].attacks


def _share(counts: Callable[[RunConfig], bool]) -> float:
    """Of all gradient passes, those of the rows that count."""
    runs, price = list(_grid().values()), summary.gradient_passes
    return sum(price(run) for run in runs if counts(run)) / sum(map(price, runs))


EXERCISES: dict[str, Exercise] = {
    "13.1": Number(
        lambda: 100 * _share(_attacks),
        "The rows without an attack cost the rest, less than a third of the whole.",
        digits=2,
        mistakes={
            "Give it in per cent.": lambda: _share(_attacks),
            "SAM+AT is adversarial training, too.": lambda: 100 * _share(lambda run: run.method == "at"),
        },
    ),
    "13.2": Function(
        summary.gradient_passes,
        lambda: [(config,) for config in _grid().values()],
        "One pass moves the weights, SAM's ascent takes one more, the attack one per step.",
    ),
    "13.3": Number(
        lambda: 128 / 4,
        "Four processes, four ascent directions, each on 32 images; `sync=True` averages them into one.",
        mistakes={
            "That is the whole batch: one ascent direction for all.": lambda: 128.0,
            "That is the number of processes, not of images.": lambda: 4.0,
        },
    ),
    "13.4": Number(
        lambda: 2.0**-24 / 2.0**16,
        "Without the factor everything below 6e-8 is lost.",
        digits=2,
        mistakes={
            "That is the smallest positive float16 itself; the factor has not been used.": lambda: 2.0**-24,
            "Gradients are multiplied before they are stored: divide the limit by the factor.": lambda: (
                2.0**-24 * 2.0**16
            ),
            "Float16 goes on below 2^-14, its smallest normal number, with fewer digits.": lambda: (
                2.0**-14 / 2.0**16
            ),
        },
    ),
    "13.5": Choice(
        "seed 1, all others equal",
        {
            "seed 1, all others equal": "Another seed is another run; its record stands beside the first.",
            "the same settings on another GPU": "The machine is not part of the identity: the record "
            "that is there is found, and nothing is computed.",
            "the same settings after a disconnect": "It continues from its last checkpoint; a finished one "
            "is only read.",
            "the same settings in another cell": "The same settings are the same run, wherever typed.",
        },
    ),
}
