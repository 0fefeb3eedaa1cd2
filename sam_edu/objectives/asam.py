"""Adaptive SAM (Kwon, Kim, Park, Choi, ICML 2021, arXiv 2102.11600)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sam_edu import _check
from sam_edu.objectives.base import WeightPerturbation
from sam_edu.objectives.perturb import Size, Tensors, length, ratio


class ASAM(WeightPerturbation):
    r"""SAM in a ball that stretches with the weights, so that rescaling the weights changes nothing.

    .. math:: \min_w \max_{\|T_w^{-1}e\|_2\le\rho} L(w+e), \qquad
              \hat e = \rho\,\frac{T_w^2\,g}{\|T_w\,g\|_2},\qquad T_w=\operatorname{diag}(|w|+\eta)

    Where the name of a tensor lacks the word "weight", T is 1, as in the authors' code: on biases, class
    tokens, position embeddings, scales of layers. Scale invariance is exact for eta = 0 and the tensors
    that T does rescale; eta > 0 lets weights that are 0 move at all. Cost: two passes.

    Parameters
    ----------
    model : torch.nn.Module
    rho : float
        Radius, >= 0, *relative* to the weights: about ten times SAM's. The paper uses 0.5 for CIFAR-10
        and 1 for CIFAR-100.
    eta : float
        Added to \|w\|, >= 0, in the units of the weights.
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
    >>> objective = ASAM(model, rho=0.5)
    >>> loss = objective.backward(lambda: model(torch.ones(3, 2)).square().mean())
    >>> model.weight.grad is not None
    True
    """

    def __init__(self, model: nn.Module, rho: float = 0.5, eta: float = 0.01, sync: bool = False) -> None:
        super().__init__(model, sync)
        self.rho = _check.number("rho", rho, low=0, high=float("inf"), open_high=True)
        self.eta = _check.number("eta", eta, low=0, high=float("inf"), open_high=True)
        self._plain: set[Tensor] = {p for name, p in model.named_parameters() if "weight" not in name}

    def scaling(self, w: Sequence[Tensor]) -> list[Tensor]:
        """The diagonal of T_w, tensor by tensor; of the model's own parameters it knows the names."""
        return [torch.ones_like(p) if p in self._plain else p.abs() + self.eta for p in w]

    def climb(self, w: Tensors, g: Tensors) -> tuple[Tensors, Size]:
        t = self.scaling(w)
        v = torch._foreach_mul(t, g)
        size = ratio(self.rho, length(v))
        torch._foreach_mul_(v, t)
        return v, size
