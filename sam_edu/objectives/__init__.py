"""What perturbs the weights: objectives with one verb, ``backward(closure)`` (chapters 1 to 3 and 5)."""

from sam_edu.objectives.asam import ASAM
from sam_edu.objectives.awp import AWP
from sam_edu.objectives.base import ERM, WeightPerturbation
from sam_edu.objectives.closures import BatchLoss
from sam_edu.objectives.entropy_sgd import EntropySGD
from sam_edu.objectives.esam import ESAM
from sam_edu.objectives.fisher_sam import FisherSAM
from sam_edu.objectives.friendly_sam import FriendlySAM
from sam_edu.objectives.looksam import LookSAM
from sam_edu.objectives.optimizer import SAMOptimizer
from sam_edu.objectives.perturb import perturbed
from sam_edu.objectives.sam import SAM
from sam_edu.objectives.sparse_sam import SparseSAM

__all__ = [
    "ASAM",
    "AWP",
    "ERM",
    "ESAM",
    "SAM",
    "BatchLoss",
    "EntropySGD",
    "FisherSAM",
    "FriendlySAM",
    "LookSAM",
    "SAMOptimizer",
    "SparseSAM",
    "WeightPerturbation",
    "perturbed",
]
