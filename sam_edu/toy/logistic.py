"""The logistic loss on the toy model: what standard, adversarial and sharpness-aware training converge to."""

from __future__ import annotations

from sam_edu.toy.model import NRFModel

METHODS = ("standard", "adversarial", "per-sample-sam", "full-batch-sam", "one-step-sam")
INPUT_NORMS = ("true", "constant")


def logistic_optimum(
    model: NRFModel,
    method: str = "standard",
    radius: float = 0.0,
    attacked: str = "nonrobust",
    input_norm: str = "true",
) -> tuple[float, float]:
    r"""Minimiser (w1, w_nr) of the expected logistic loss ln(1+exp(-margin)); w_nr is each non-robust weight.

    Compare ratios w1/w_nr, not w1: methods change the scale of all weights.

    =================  ==========================================================================
    method             minimiser of
    =================  ==========================================================================
    standard           the loss. (L, 2 eta), ratio w1* of Theorem 1 (Theorem 14)
    adversarial        the loss under the worst l-infinity attack of ``radius`` (= eps). Attack on
                       the non-robust features: (L, 2(eta-eps)), and (L, 0) from eps = eta on (Theorem
                       14). On all: numerical; w_nr = 0 iff eps >= eta, w1 = 0 iff eps >= 2p-1 (Theorem 6)
    per-sample-sam     E max over \|e\|<=rho for each sample: E ln(1+exp(rho\|x\| - margin)). Ratio
                       rises for a constant norm (Theorem 17); w_nr never 0 (Proposition 19)
    full-batch-sam     max over \|e\|<=rho of the expected loss, exact (Expansion 16)
    one-step-sam       the limit of the one-step full-batch algorithm for small steps: the standard
                       minimiser, whatever rho (Theorem 15)
    =================  ==========================================================================

    Parameters
    ----------
    method : str
        One of the above.
    radius : float
        eps of the attack or rho of SAM, >= 0; ignored by "standard".
    attacked : {"nonrobust", "all"}
        Of the method "adversarial"; all features: eps < 1.
    input_norm : {"true", "constant"}
        Of "per-sample-sam": \|x\| itself, or its root mean square :math:`\sqrt{1+d(1+\eta^2)}` for every x.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.
    """
    raise NotImplementedError
