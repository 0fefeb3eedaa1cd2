"""Which of all weights a sparse perturbation moves: masks over one long vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sam_edu.objectives import trees
from sam_edu.objectives.closures import BatchLoss
from sam_edu.objectives.perturb import Tensors, dense, magnitudes


def fisher_information(model: nn.Module, batch: BatchLoss, params: Tensors, samples: int) -> Tensor:
    """Diagonal of the empirical Fisher matrix: sum of the squared gradients of single samples, (weights,).

    In eval mode, each sample by itself: in training mode BatchNorm would see batches of one.
    """
    fisher = [torch.zeros_like(p, dtype=p.real.dtype) for p in params]
    training = [m for m in model.modules() if m.training]
    try:
        for m in training:
            m.training = False
        for i in range(min(samples, len(batch))):
            one = torch.tensor([i], device=trees.tensors(batch.x)[0].device)
            with torch.enable_grad():
                g = torch.autograd.grad(batch.each(one).sum(), params, materialize_grads=True)
            sizes = magnitudes(dense(g))
            torch._foreach_addcmul_(fisher, sizes, sizes)
    finally:
        for m in training:
            m.training = True
    return torch.cat([f.flatten() for f in fisher])


def largest(scores: Tensor, count: int) -> Tensor:
    """True at the ``count`` largest scores."""
    keep = torch.zeros_like(scores, dtype=torch.bool)
    keep[scores.topk(count).indices] = True
    return keep


def random(like: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """True at ``count`` places."""
    keep = torch.zeros_like(like, dtype=torch.bool)
    keep[_some(torch.arange(len(like)), count, generator).to(like.device)] = True
    return keep


def exchanged(keep: Tensor, slopes: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """The share of the ones with the smallest slopes becomes 0, as many random zeros become 1."""
    on, off = keep.nonzero()[:, 0], (~keep).nonzero()[:, 0]
    count = min(int(share * len(on)), len(off))
    keep = keep.clone()
    keep[on[slopes[on].topk(count, largest=False).indices]] = False
    keep[_some(off, count, generator)] = True
    return keep


def _some(of: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return of[torch.randperm(len(of), generator=generator)[:count].to(of.device)]
