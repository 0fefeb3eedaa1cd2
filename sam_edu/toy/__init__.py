"""The linear model of robust and non-robust features, in closed form (chapters 6 to 8)."""

from sam_edu.toy.model import NRFModel
from sam_edu.toy.solutions import (
    AdversarialOptimum,
    adversarial_optimum,
    sam_optimum,
    standard_optimum,
)
from sam_edu.toy.thresholds import AttackThresholds, attack_thresholds

__all__ = [
    "AdversarialOptimum",
    "AttackThresholds",
    "NRFModel",
    "adversarial_optimum",
    "attack_thresholds",
    "sam_optimum",
    "standard_optimum",
]
