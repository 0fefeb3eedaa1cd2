"""The linear model of robust and non-robust features, solved (chapters 1, 6 to 10).

``model``        the distribution and its accuracies     ``tradeoff``     the Pareto arc
``solutions``    standard, adversarial: 0-1 risk         ``thresholds``   where adversarial training jumps
``conventions``  which SAM?                              ``sam``          SAM: 0-1 risk, every convention
``perturbed``    what each SAM maximises                 ``worst``, ``averages``, ``per_sample``  by kind
``logistic``, ``squared``, ``hinge``  losses that are trained (``softplus``, ``full_batch``, ``squared_sam``)
``equivalence``  rho against eps                         ``bounds``       Tsipras, PAC-Bayes, margins
``landscape``    the two-valley loss of chapter 2
"""

from sam_edu.toy.bounds import first_layer_perturbation, margin_shift, pac_bayes_bound, tsipras_bound
from sam_edu.toy.conventions import (
    CONVENTION,
    CONVENTIONS,
    Convention,
    Expansion,
    input_norm_rms,
    sam_expansion,
)
from sam_edu.toy.equivalence import equivalent_rho, equivalent_rho_leading, reported_equivalent_rho
from sam_edu.toy.hinge import hinge_drops_weak_features, hinge_limit
from sam_edu.toy.logistic import logistic_optimum
from sam_edu.toy.logistic_expansion import logistic_expansion
from sam_edu.toy.model import NRFModel
from sam_edu.toy.perturbed import perturbed_accuracy
from sam_edu.toy.sam import sam_optimum
from sam_edu.toy.solutions import AdversarialOptimum, adversarial_optimum, kept_features, standard_optimum
from sam_edu.toy.squared import squared_optimum
from sam_edu.toy.squared_sam import critical_norm_shift
from sam_edu.toy.thresholds import AttackThresholds, attack_thresholds
from sam_edu.toy.tradeoff import Tradeoff, pareto_interval, small_shift

__all__ = [
    "CONVENTION",
    "CONVENTIONS",
    "AdversarialOptimum",
    "AttackThresholds",
    "Convention",
    "Expansion",
    "NRFModel",
    "Tradeoff",
    "adversarial_optimum",
    "attack_thresholds",
    "critical_norm_shift",
    "equivalent_rho",
    "equivalent_rho_leading",
    "first_layer_perturbation",
    "hinge_drops_weak_features",
    "hinge_limit",
    "input_norm_rms",
    "kept_features",
    "logistic_expansion",
    "logistic_optimum",
    "margin_shift",
    "pac_bayes_bound",
    "pareto_interval",
    "perturbed_accuracy",
    "reported_equivalent_rho",
    "sam_expansion",
    "sam_optimum",
    "small_shift",
    "squared_optimum",
    "standard_optimum",
    "tsipras_bound",
]
