"""Adversarial weight perturbation (Wu, Xia, Wang, NeurIPS 2020, arXiv 2004.05884)."""

from __future__ import annotations

import torch
from torch import nn

from sam_edu import _check
from sam_edu.objectives.base import WeightPerturbation
from sam_edu.objectives.perturb import Size, Tensors


class AWP(WeightPerturbation):
    r"""Perturb every weight matrix relative to its own size, on the loss of attacked inputs.

    .. math:: \min_w \max_{\|e_l\|\le\gamma\|w_l\|} L(w+e;\,x'), \qquad
              \hat e_l = \gamma\,\|w_l\|_2\,\frac{g_l}{\|g_l\|_2},\quad g=\nabla_w L(w;\,x')

    for each tensor l with two or more dimensions (the weights of linear and convolutional layers);
    biases and normalisation layers stay. The attacked inputs x' are found once, at w, before the call:
    the closure computes the loss on them. One ascent step, as in the paper's experiments; their proxy
    network cancels in the normalisation. Weight decay acts at w (the authors' code: at w + e). To warm
    up, keep ``gamma`` at 0 for the first epochs. Cost: two passes, besides the attack.

    Parameters
    ----------
    model : torch.nn.Module
    gamma : float
        Size of the perturbation relative to each tensor, >= 0; 5e-3 in the paper.
    sync : bool
        As in :class:`~sam_edu.objectives.WeightPerturbation`.

    Raises
    ------
    ValueError
        If ``gamma`` is negative or NaN.

    Examples
    --------
    >>> attack, objective = PGD(eps=8 / 255), AWP(model)                          # doctest: +SKIP
    >>> loss, logits = training.step(objective, optimizer, x, y, attack)          # doctest: +SKIP
    """

    def __init__(self, model: nn.Module, gamma: float = 5e-3, sync: bool = False) -> None:
        super().__init__(model, sync)
        self.gamma = _check.number("gamma", gamma, low=0, high=float("inf"), open_high=True)

    def climb(self, w: Tensors, g: Tensors) -> tuple[Tensors, Size]:
        sizes, slopes = torch._foreach_norm(list(w)), torch._foreach_norm(list(g))
        v = [
            part * (size / slope.clamp_min(1e-30)) if part.dim() > 1 else torch.zeros_like(part)
            for part, size, slope in zip(g, sizes, slopes, strict=True)
        ]
        return v, self.gamma
