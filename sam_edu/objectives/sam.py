"""Sharpness-aware minimisation (Foret, Kleiner, Mobahi, Neyshabur, ICLR 2021, arXiv 2010.01412)."""

from __future__ import annotations

from torch import Tensor, nn

from sam_edu import _check
from sam_edu.objectives.base import WeightPerturbation
from sam_edu.objectives.closures import Closure, Scale, needs_batch
from sam_edu.objectives.perturb import Size, Tensors, global_norm, length, ratio

__all__ = ["SAM", "global_norm"]


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
    m : int, optional
        m-sharpness (section 4 of the paper): the batch is cut into sub-batches of m samples, each climbs
        with its own e, and their gradients are averaged. The closure must then be a
        :class:`~sam_edu.objectives.BatchLoss`. Every sub-batch is a batch to BatchNorm. Cost: the same
        number of samples; smaller batches run less efficiently.
    sync : bool
        As in :class:`~sam_edu.objectives.WeightPerturbation`.

    Raises
    ------
    ValueError
        If ``rho`` is negative or NaN, or ``m`` < 1.
    TypeError
        In ``backward``, if ``m`` is given and the closure does not know its batch.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(2, 1)
    >>> before = model.weight.detach().clone()
    >>> loss = SAM(model, rho=0.1).backward(lambda: model(torch.ones(3, 2)).square().mean())
    >>> torch.equal(model.weight, before)  # the weights are back; the gradient is that of the climb
    True
    """

    def __init__(self, model: nn.Module, rho: float = 0.05, m: int | None = None, sync: bool = False) -> None:
        super().__init__(model, sync)
        self.rho = _check.number("rho", rho, low=0, high=float("inf"), open_high=True)
        self.m = None if m is None else _check.integer("m", m, low=1)

    def climb(self, w: Tensors, g: Tensors) -> tuple[Tensors, Size]:
        return g, ratio(self.rho, length(g))

    def backward(self, closure: Closure, scale: Scale | None = None) -> Tensor:
        if self.m is None:
            return super().backward(closure, scale)
        batch = needs_batch(closure, "SAM with m")
        # a sub-batch's contribution to the mean; e does not change with the scale of the loss
        losses = [super(SAM, self).backward(batch.share(part), scale) for part in batch.parts(self.m)]
        return sum(losses[1:], losses[0])
