"""Exercises of the playground's page, 0b."""

from __future__ import annotations

from collections.abc import Sequence

from sam_edu.exercises._kinds import Choice, Exercise, Function, Number
from sam_edu.widgets import Playground


def _lost(points: Sequence[dict[str, float]]) -> float:
    """Points of accuracy under attack between the best and the last epoch."""
    robust = [point["robust"] for point in points]
    return 100 * (max(robust) - robust[-1])


def _best_epoch(curve: Sequence[float]) -> int:
    return max(range(len(curve)), key=lambda epoch: curve[epoch])


EXERCISES: dict[str, Exercise] = {
    "0.1": Number(
        lambda: 3 + 2,
        right="Three passes move the images, two move the weights: one to climb, one to step.",
        mistakes={
            "Those of the attack are there; SAM needs two more, not one.": lambda: 3 + 1,
            "SAM's two are there; the attack has three steps, each with a pass.": lambda: 2 + 1,
        },
    ),
    "0.2": Number(
        lambda: _lost(Playground.stored_runs()["digits-sgd/0"]["points"]),
        right="Nothing but further training took them away; on clean images the network got no worse.",
        absolute=0.05,
        mistakes={
            "That is the accuracy of the last epoch; how far is it below the best one?": lambda: (
                100 * Playground.stored_runs()["digits-sgd/0"]["points"][-1]["robust"]
            ),
        },
    ),
    "0.3": Choice(
        expected="neither",
        feedback={
            "weights": "They are the same, indeed, and so is the order of the batches.",
            "batches": "They are the same, indeed, and so are the initial weights.",
            "neither": "Both come from streams of the seed that no method touches.",
        },
    ),
    "0.4": Function(
        reference=_best_epoch,
        inputs=lambda: [([0.1, 0.6, 0.5],), ([0.2, 0.3, 0.4],), ([0.5, 0.1, 0.5, 0.2],)],
        right="So early stopping is a method; choose the epoch on other images than those you report.",
    ),
}
