"""Weights that are elsewhere for the length of a ``with`` block, and norms over all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Size = float | Tensor
Tensors = list[Tensor] | tuple[Tensor, ...]

# torch's _foreach functions do a whole list of tensors in one call; the leading underscore
# notwithstanding, they are what torch.optim itself runs on.


@contextmanager
def perturbed(model: nn.Module, e: Sequence[Tensor | None]) -> Iterator[None]:
    """Inside the context the model's weights are w + e; afterwards they are w again, bit for bit.

    BatchNorm still normalises with the batch's own statistics in training mode but leaves its running
    averages and its count alone: they belong to w, and a step must count once. Both are restored
    also when the body raises. Contexts may be nested.

    Parameters
    ----------
    model : torch.nn.Module
    e : sequence of Tensor or None
        One entry per tensor of ``model.parameters()``, in that order, of its shape; None leaves a
        tensor alone.

    Raises
    ------
    ValueError
        If the number of entries or a shape does not fit.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> with perturbed(model, [torch.ones(1, 1)]):
    ...     inside = model.weight.item()
    >>> round(inside - model.weight.item(), 5)
    1.0
    """
    params: list[Tensor] = list(model.parameters())
    if len(params) != len(e):
        raise ValueError(f"e has {len(e)} entries, the model has {len(params)} parameter tensors")
    moved = [(p, step) for p, step in zip(params, e, strict=True) if step is not None]
    for p, step in moved:
        if p.shape != step.shape:
            raise ValueError(f"e has a tensor of shape {tuple(step.shape)} for {tuple(p.shape)}")
    with torch.no_grad():
        there = shifted([p for p, _ in moved], [step for _, step in moved], 1.0, batch_norms(model))
    with there:
        yield


class shifted:
    """``perturbed`` by size * v, from here until ``back()`` or the end of a ``with`` block.

    (A class, since a generator's context manager costs more, and all of SAM's overhead on a small model
    is such.)
    """

    def __init__(self, params: Tensors, v: Tensors, size: Size, norms: list[_BatchNorm]) -> None:
        self.params = [p.detach() for p in params]  # the same memory, out of autograd's sight
        self.saved = [torch.empty_like(p) for p in self.params]
        self.counting = [m for m in norms if m.training and m.track_running_stats]
        if self.params:
            torch._foreach_copy_(self.saved, self.params)
        try:
            for m in self.counting:
                m.track_running_stats = False
            move(self.params, v, size)
        except BaseException:
            self.back()
            raise

    def back(self) -> None:
        """The weights, and BatchNorm's counting, are what they were."""
        for m in self.counting:
            m.track_running_stats = True
        if self.params:
            torch._foreach_copy_(self.params, self.saved)  # not "minus e": rounding would drift
        torch.clear_autocast_cache()

    def __enter__(self) -> shifted:
        return self

    def __exit__(self, *_: object) -> None:
        self.back()


def move(params: list[Tensor], v: Tensors, size: Size) -> None:
    """params += size * v, in place."""
    if isinstance(size, Tensor):
        v, size = torch._foreach_mul(v, size), 1.0
    if size != 0 and params:
        torch._foreach_add_(params, v, alpha=size)
        # Inside torch.autocast the low-precision copies of the weights are cached, and the cache does
        # not notice that the weights have moved: the second pass would run at w.
        torch.clear_autocast_cache()


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    return [m for m in model.modules() if isinstance(m, _BatchNorm)]


def length(tensors: Tensors) -> Size:
    """l2 norm over all tensors together: a number on the CPU, a tensor elsewhere (nobody has to wait)."""
    if not tensors:
        return 0.0
    if tensors[0].is_cpu:
        return math.hypot(*[torch.linalg.vector_norm(t).item() for t in tensors])
    norms = torch._foreach_norm(tensors)
    return norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))


def ratio(a: Size, b: Size) -> Size:
    """a / b; 0 where b is 0 (or so small that the quotient could overflow) or not finite."""
    if isinstance(b, Tensor):
        return torch.where((b > 1e-30) & b.isfinite(), a / b, torch.zeros_like(b))
    return a / b if 1e-30 < b < math.inf else 0.0


def global_norm(tensors: Sequence[Tensor]) -> Tensor:
    """l2 norm over all tensors together, kept away from 0 so that one may divide by it."""
    norms = torch._foreach_norm(list(tensors))
    norm = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))
    return norm.clamp_min(torch.finfo(norm.dtype).tiny)
