"""LookSAM (Liu, Mai, Chen, Hsieh, You, CVPR 2022, arXiv 2203.02714)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu import _check
from sam_edu.objectives.base import WeightPerturbation, fresh_gradients
from sam_edu.objectives.closures import Closure, Scale
from sam_edu.objectives.parallel import wrapped
from sam_edu.objectives.passes import FirstPass
from sam_edu.objectives.perturb import Size, Tensors, dense, length, move, ratio


class LookSAM(WeightPerturbation):
    r"""SAM at every k-th step; in between, what SAM had added to the gradient is used again.

    .. math:: t \bmod k = 0:\quad & g_s = \nabla L(w+\rho g/\|g\|), \qquad
                  g_v = g_s - \frac{\langle g_s, g\rangle}{\|g\|^2}\,g, \qquad \text{gradient used: } g_s \\
              \text{otherwise}:\quad & \text{gradient used: } g + \alpha\,\frac{\|g\|}{\|g_v\|}\,g_v

    Norms and products run over all parameters together, as in the paper (two public versions project
    each tensor by itself). Where g_v comes out not finite, the one before is kept. Cost: (k + 1) / k
    passes, and one copy of the weights for g_v. With DistributedDataParallel the ascent follows the
    average over the processes, so that all share one g_v.

    Parameters
    ----------
    model : torch.nn.Module
    rho : float
        SAM's radius, >= 0.
    k : int
        A full SAM step every k steps, >= 1; 5 in the paper, 1 gives SAM.
    alpha : float
        Weight of the reused part, >= 0. The paper's 0.7 was tuned on vision transformers.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(2, 1)
    >>> objective = LookSAM(model, rho=0.05, k=5)
    >>> loss = objective.backward(lambda: model(torch.ones(3, 2)).square().mean())
    >>> model.weight.grad is not None
    True
    """

    def __init__(self, model: nn.Module, rho: float = 0.05, k: int = 5, alpha: float = 0.7) -> None:
        super().__init__(model, sync=wrapped(model))
        self.rho = _check.number("rho", rho, low=0, high=float("inf"), open_high=True)
        self.k = _check.integer("k", k, low=1)
        self.alpha = _check.number("alpha", alpha, low=0, high=float("inf"), open_high=True)
        self.t = 0
        self.g_v: dict[Tensor, Tensor] = {}
        self._g_v_length: Size = 0.0

    def climb(self, w: Tensors, g: Tensors) -> tuple[Tensors, Size]:
        return g, ratio(self.rho, length(g))

    def backward(self, closure: Closure, scale: Scale | None = None) -> Tensor:
        with fresh_gradients(self._params):  # p.grad is this batch's alone until the end
            loss = (self._look if self.t % self.k == 0 else self._reuse)(closure, scale)
        self.t += 1
        return loss

    def _look(self, closure: Closure, scale: Scale | None) -> Tensor:
        first = FirstPass(self._state, self._params, closure)
        loss, used, g = self._gradient(closure, scale)
        with self._climbed(used, g, first):
            first.again()
            self._descend(closure, scale)
        if self.k > 1:
            # A GradScaler's factor on g_s does no harm: only the direction of g_v is ever used.
            g_s = dense([torch.zeros_like(p) if p.grad is None else p.grad for p in used])
            inner = sum(float(torch.vdot(b.flatten(), a.flatten()).real) for a, b in zip(g_s, g, strict=True))
            share = float(ratio(inner, float(length(g)) ** 2))
            g_v = torch._foreach_add(g_s, g, alpha=-share)
            size = length(g_v)
            if math.isfinite(size):
                self.g_v, self._g_v_length = dict(zip(used, g_v, strict=True)), size
        return loss

    def _reuse(self, closure: Closure, scale: Scale | None) -> Tensor:
        loss = self._descend(closure, scale)
        known = [p for p in self.g_v if p.grad is not None]
        if known:
            for p in known:
                p.grad = p.grad if p.grad is None else dense([p.grad])[0]
            g_norm = length([p.grad for p in self._params if p.grad is not None])
            size = ratio(self.alpha * g_norm, self._g_v_length)
            move([p.grad for p in known if p.grad is not None], [self.g_v[p] for p in known], size)
        return loss

    def state_dict(self) -> dict[str, Any]:
        return {"t": self.t, "g_v": [self.g_v.get(p) for p in self._params]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.t = state["t"]
        self.g_v = {p: v.to(p) for p, v in zip(self._params, state["g_v"], strict=True) if v is not None}
        self._g_v_length = length(list(self.g_v.values()))
