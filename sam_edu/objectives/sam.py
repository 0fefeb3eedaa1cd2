"""Sharpness-aware minimisation (Foret, Kleiner, Mobahi, Neyshabur, ICLR 2021, arXiv 2010.01412)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sam_edu import _check
from sam_edu.objectives.base import WeightPerturbation


class SAM(WeightPerturbation):
    r"""Step along the gradient at the (first-order) worst point of a ball around the weights.

    .. math:: \min_w \max_{\|e\|_2\le\rho} L(w+e), \qquad
              \hat e = \rho\,\frac{g}{\|g\|_2},\quad g=\nabla L(w),\qquad
              \text{gradient used: } \nabla L(w+\hat e)

    The norm runs over all parameters together. Weight decay stays with the optimizer and so outside
    the max; a zero gradient gives e = 0. Cost: two forward and two backward passes per step.

    Parameters
    ----------
    model : torch.nn.Module
    rho : float
        Radius of the ball in weight space, >= 0. The paper uses 0.05 for CIFAR-10, 0.1 for CIFAR-100.

    Raises
    ------
    ValueError
        If ``rho`` is negative or NaN.
    """

    def __init__(self, model: nn.Module, rho: float = 0.05) -> None:
        super().__init__(model)
        self.rho = _check.number("rho", rho, low=0, high=float("inf"), open_high=True)

    def direction(self, w: Sequence[Tensor], g: Sequence[Tensor]) -> Sequence[Tensor]:
        # out of place: autograd may hand the same tensor out twice (two biases that are added)
        return torch._foreach_mul(list(g), self.rho / global_norm(g))


def global_norm(tensors: Sequence[Tensor]) -> Tensor:
    """l2 norm over all tensors together, kept away from 0 so that one may divide by it."""
    norms = torch._foreach_norm(list(tensors))
    norm = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))
    return norm.clamp_min(torch.finfo(norm.dtype).tiny)
