"""Friendly SAM (Li, Zhou, He, Cheng, Huang, CVPR 2024, arXiv 2403.12350)."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from sam_edu import _check
from sam_edu.objectives.base import WeightPerturbation
from sam_edu.objectives.closures import Closure, Scale
from sam_edu.objectives.parallel import wrapped
from sam_edu.objectives.passes import FirstPass
from sam_edu.objectives.perturb import Size, Tensors, length, ratio


class FriendlySAM(WeightPerturbation):
    r"""SAM that climbs along what a batch's gradient has beyond the running mean of the gradients.

    .. math:: v = g - \sigma m, \qquad \hat e = \rho\,\frac{v}{\|v\|_2}, \qquad
              \text{then}\quad m \leftarrow \lambda m + (1-\lambda)\,g

    The rule is that of the authors' code: m is the mean before this batch; at the first step v and m are g.
    Where g is not finite, m stays. Cost: two passes, and one copy of the weights for m. With
    DistributedDataParallel the ascent follows the average over the processes, so that all share one m. Not
    Fisher SAM, which is called FSAM as well.

    Parameters
    ----------
    model : torch.nn.Module
    rho : float
        SAM's radius, >= 0.
    sigma : float
        How much of the mean is taken away, >= 0; 0 gives SAM, 1 is the authors' choice.
    lmbda : float
        Weight of the past in the mean, in [0, 1); 0.9 unless given, as in the authors' code.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(2, 1)
    >>> objective = FriendlySAM(model, rho=0.05)
    >>> loss = objective.backward(lambda: model(torch.ones(3, 2)).square().mean())
    >>> model.weight.grad is not None
    True
    """

    def __init__(self, model: nn.Module, rho: float = 0.05, sigma: float = 1.0, lmbda: float = 0.9) -> None:
        super().__init__(model, sync=wrapped(model))
        self.rho = _check.number("rho", rho, low=0, high=float("inf"), open_high=True)
        self.sigma = _check.number("sigma", sigma, low=0, high=float("inf"), open_high=True)
        self.lmbda = _check.number("lmbda", lmbda, low=0, high=1, open_high=True)
        self.m: dict[Tensor, Tensor] = {}

    def climb(self, w: Tensors, g: Tensors) -> tuple[Tensors, Size]:
        v = [
            part - self.sigma * self.m[p].to(part) if p in self.m else part
            for p, part in zip(w, g, strict=True)
        ]
        return v, ratio(self.rho, length(v))

    def backward(self, closure: Closure, scale: Scale | None = None) -> Tensor:
        first = FirstPass(self._state, self._params, closure)
        loss, used, g = self._gradient(closure, scale)
        mean = [
            self.m[p].to(part).lerp(part, 1 - self.lmbda) if p in self.m else part
            for p, part in zip(used, g, strict=True)
        ]
        with self._climbed(used, g, first):
            first.again()
            self._descend(closure, scale)
        if math.isfinite(length(mean)):  # only now: a pass that raises leaves no trace
            self.m.update(zip(used, mean, strict=True))
        return loss

    def state_dict(self) -> dict[str, Any]:
        return {"m": [self.m.get(p) for p in self._params]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.m = {p: m.to(p) for p, m in zip(self._params, state["m"], strict=True) if m is not None}
