"""Fisher SAM (Kim, Li, Hu, Hospedales, ICML 2022, arXiv 2206.04920)."""

from __future__ import annotations

import torch
from torch import nn

from sam_edu import _check
from sam_edu.objectives.base import WeightPerturbation
from sam_edu.objectives.perturb import Size, Tensors, length, magnitudes, ratio


class FisherSAM(WeightPerturbation):
    r"""SAM in an ellipsoid that is short where the loss reacts strongly, measured by the Fisher matrix.

    .. math:: \min_w \max_{e^\top F e\le\rho^2} L(w+e), \qquad
              \hat e = \rho\,\frac{F^{-1}g}{\sqrt{g^\top F^{-1}g}},\qquad
              F=\operatorname{diag}(1+\eta\,|g|^2)

    with the gradient g of the batch in the place of the per-sample gradients of a true Fisher matrix.
    Not invariant to the scale of the loss, unlike SAM: a sum instead of a mean changes F. There is no
    code by the authors; public versions that divide by :math:`\|F^{-1}g\|` leave the ellipsoid. Not
    Friendly SAM, which is called FSAM as well. Cost: two passes.

    Parameters
    ----------
    model : torch.nn.Module
    rho : float
        Size of the ellipsoid (gamma in the paper), >= 0.
    eta : float
        Weight of the Fisher term, >= 0; 0 gives SAM.
    sync : bool
        As in :class:`~sam_edu.objectives.WeightPerturbation`.

    Raises
    ------
    ValueError
        If ``rho`` or ``eta`` is negative or NaN.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(2, 1)
    >>> objective = FisherSAM(model, rho=0.1)
    >>> loss = objective.backward(lambda: model(torch.ones(3, 2)).square().mean())
    >>> model.weight.grad is not None
    True
    """

    def __init__(self, model: nn.Module, rho: float = 0.1, eta: float = 1.0, sync: bool = False) -> None:
        super().__init__(model, sync)
        self.rho = _check.number("rho", rho, low=0, high=float("inf"), open_high=True)
        self.eta = _check.number("eta", eta, low=0, high=float("inf"), open_high=True)

    def climb(self, w: Tensors, g: Tensors) -> tuple[Tensors, Size]:
        metric = torch._foreach_mul(magnitudes(g), magnitudes(g))
        torch._foreach_mul_(metric, self.eta)
        torch._foreach_add_(metric, 1.0)  # F
        torch._foreach_sqrt_(metric)
        v = torch._foreach_div(g, metric)  # F^(-1/2) g, whose length is the root in the formula
        size = ratio(self.rho, length(v))
        torch._foreach_div_(v, metric)
        return v, size
