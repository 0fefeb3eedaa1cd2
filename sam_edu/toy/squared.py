"""The squared loss (1 - margin)^2 on the toy model: what training converges to."""

from __future__ import annotations

from sam_edu.toy.model import NRFModel


def squared_optimum(
    model: NRFModel,
    method: str = "standard",
    radius: float = 0.0,
    attacked: str = "nonrobust",
    input_norm: str = "true",
) -> tuple[float, float]:
    r"""Minimiser (w1, w_nr) of the expected squared loss (1 - margin)^2, w_nr is each non-robust weight.

    With :math:`\mu = 2p-1`, :math:`c^2 = d\eta^2`:

    =================  ==========================================================================
    method             minimiser of
    =================  ==========================================================================
    standard           the loss: :math:`(\mu, \eta(1-\mu^2))/(1+c^2(1-\mu^2))`, ratio
                       :math:`\sinh(L)/2\eta \ge L/2\eta` (Theorem 20)
    adversarial        :math:`E(|1-m|+\epsilon\|w\|_1)^2`, over the attacked weights; w_nr = 0 iff eps >= eta
    per-sample-sam     :math:`E(|1-m|+\rho\|x\|)^2`; w_nr can be 0 (Proposition 22)
    full-batch-sam     max over \|e\|<=rho of the expected loss: the standard minimiser (Theorem 21)
    one-step-sam       the standard minimiser (Theorems 9 and 21)
    =================  ==========================================================================

    Parameters, errors: as :func:`sam_edu.toy.logistic_optimum`.
    """
    raise NotImplementedError
