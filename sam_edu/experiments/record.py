"""What is known of a finished run, and how it becomes JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sam_edu.evaluation import EvaluationRecord
from sam_edu.experiments.config import RunConfig


@dataclass(frozen=True)
class Record:
    """What is known of a finished run.

    Attributes
    ----------
    config : RunConfig
    train_accuracy : float
        Of the last epoch, on the inputs trained on (adversarial ones for AT), before each step; for SWA thus
        of weights that went into the average, not of the average.
    linf, l2 : EvaluationRecord or None
    sharpness : dict
        ``top_eigenvalue`` and ``ball`` (worst loss in a ball of radius ``ball_rho`` minus the loss); in newer
        records ``adaptive``, too: the same in the adaptive ball of radius ``adaptive_rho``.
    curves : list of dict
        Loss and accuracy of each epoch.
    seconds : dict
        ``train`` and ``evaluate``, wall time.
    origin : dict
        Data (name, provenance, checksum), versions, hardware, date; in newer records also the
        training images a second and the checksum of the weights. ``begun``: the run whose verdicts stand
        here, too, where only what it left undecided was searched further.
    validation : EvaluationRecord or None
        On training images that were set aside (``validation_size``), at ``validation_linf`` or ``eval_linf``.
    confidence : dict
        Mean probability of the predicted class on the ``test`` images and on those ``train`` images that
        sharpness was measured on, and ``train_accuracy``, that of the final weights on these, without
        attack. Older records do not have it.
    """

    config: RunConfig
    train_accuracy: float
    linf: EvaluationRecord | None
    l2: EvaluationRecord | None
    sharpness: dict[str, float]
    curves: list[dict[str, float]] = field(repr=False)
    seconds: dict[str, float]
    origin: dict[str, Any] = field(repr=False)
    validation: EvaluationRecord | None = None
    confidence: dict[str, float] = field(default_factory=dict)

    @property
    def clean_accuracy(self) -> float:
        """Accuracy on the test images without attack."""
        evaluation = self.linf or self.l2
        if evaluation is None:
            raise ValueError(f"run {self.config.run_id} was not evaluated: it lists no radii")
        return evaluation.clean_accuracy

    @property
    def images_per_second(self) -> float | None:
        """Training images a second, attacks and all; None in records that do not have it."""
        return self.origin.get("images_per_second")

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        plain = {
            **vars(self),
            "config": self.config.to_dict(),
            "linf": self.linf.to_dict() if self.linf else None,
            "l2": self.l2.to_dict() if self.l2 else None,
        }
        for newer in ("validation", "confidence"):  # a record without them stays what it was
            del plain[newer]
        validation = {"validation": self.validation.to_dict()} if self.validation else {}
        return {**plain, **validation, **({"confidence": self.confidence} if self.confidence else {})}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Record:
        """Inverse of :meth:`to_dict`."""
        evaluations = {
            name: EvaluationRecord.from_dict(plain[name]) if plain.get(name) else None
            for name in ("linf", "l2", "validation")
        }
        return cls(**{**plain, "config": RunConfig.from_dict(plain["config"]), **evaluations})


def with_nulls(tree: Any) -> Any:
    """NaN and infinity, which JSON does not know, as None."""
    if isinstance(tree, Mapping):
        return {name: with_nulls(part) for name, part in tree.items()}
    if isinstance(tree, list | tuple):
        return [with_nulls(part) for part in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree


def with_nans(plain: dict[str, Any]) -> dict[str, Any]:
    """None as NaN again, in the parts of a record that hold numbers and nothing else."""

    def numbers(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {name: numbers(part) for name, part in tree.items()}
        if isinstance(tree, list):
            return [numbers(part) for part in tree]
        return math.nan if tree is None else tree

    names = ("linf", "l2", "validation", "sharpness", "curves", "train_accuracy")
    return {
        name: numbers(part) if name in names and (part is not None or name == "train_accuracy") else part
        for name, part in plain.items()
    }
