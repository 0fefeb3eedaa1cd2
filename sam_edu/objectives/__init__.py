"""What perturbs the weights: objectives with one verb, ``backward(closure)`` (chapters 2 and 3)."""

from sam_edu.objectives.asam import ASAM
from sam_edu.objectives.awp import AWP
from sam_edu.objectives.base import ERM, WeightPerturbation, perturbed
from sam_edu.objectives.sam import SAM

__all__ = ["ASAM", "AWP", "ERM", "SAM", "WeightPerturbation", "perturbed"]
