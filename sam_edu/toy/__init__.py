"""The linear model of robust and non-robust features, in closed form (chapters 6 to 8)."""

from sam_edu.toy.model import NRFModel
from sam_edu.toy.solutions import (
    AdversarialOptimum,
    adversarial_optimum,
    sam_optimum,
    standard_optimum,
)

__all__ = [
    "AdversarialOptimum",
    "NRFModel",
    "adversarial_optimum",
    "sam_optimum",
    "standard_optimum",
]
