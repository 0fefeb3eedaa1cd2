"""Weights that are elsewhere for the length of a ``with`` block, and norms over all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sam_edu.objectives.state import After, State

Size = float | Tensor
Tensors = list[Tensor] | tuple[Tensor, ...]

# torch's _foreach functions do a whole list of tensors in one call; the leading underscore
# notwithstanding, they are what torch.optim itself runs on.


@contextmanager
def perturbed(model: nn.Module, e: Sequence[Tensor | None]) -> Iterator[None]:
    """Inside the context the model's weights are w + e; afterwards they are w again, bit for bit.

    So is the model's state: BatchNorm normalises with the batch's own statistics in training mode, but its
    running averages and its count belong to w, and so does whatever else a forward pass changes. Both
    are restored also when the body raises. Contexts may be nested.

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
    state = State(model).now(params, [p for p, _ in moved])
    with torch.no_grad():
        there = shifted([p for p, _ in moved], [step for _, step in moved], 1.0, state)
    with there:
        yield


class shifted:
    """``perturbed`` by size * v, from here until ``back()`` or the end of a ``with`` block.

    Is made where no gradients are recorded.
    (A class, since a generator's context manager costs more, and all of SAM's overhead on a small model
    is such.)
    """

    def __init__(self, params: Tensors, v: Tensors, size: Size, state: After) -> None:
        self.params = list(params)
        self.saved = [p.clone() for p in params]
        self.state = state
        try:
            move(self.params, v, size)
        except BaseException:
            self.back()
            raise

    def back(self) -> None:
        """The weights, and the state that forward passes change, are what they were."""
        if self.params:
            with torch.set_grad_enabled(False):
                torch._foreach_copy_(self.params, self.saved)  # not "minus e": rounding would drift
        self.state.put()
        forget_cached_weights()

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
        forget_cached_weights()


def forget_cached_weights() -> None:
    """Two caches do not notice that the weights have moved: the second pass would run at w.

    ``torch.autocast`` keeps low-precision copies, ``torch.nn.utils.parametrize.cached`` what the
    parametrizations made of the weights.
    """
    torch.clear_autocast_cache()
    parametrize._cache.clear()


def length(tensors: Tensors) -> Size:
    """l2 norm over all tensors together: a number on the CPU, a tensor elsewhere (nobody has to wait)."""
    if not tensors:
        return 0.0
    if hasattr(tensors[0], "full_tensor"):  # sharded (DTensor): each process has a part of each tensor
        return math.hypot(*[float(torch.linalg.vector_norm(t).full_tensor()) for t in tensors])
    if tensors[0].is_cpu:
        return math.hypot(*map(Tensor.item, torch._foreach_norm(tensors)))
    norms = torch._foreach_norm(tensors)
    return norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))


def ratio(a: Size, b: Size) -> Size:
    """a / b; 0 where b is 0 (or so small that the quotient could overflow) or not finite."""
    if isinstance(b, Tensor):
        return torch.where((b > 1e-30) & b.isfinite(), a / b, torch.zeros_like(b))
    return a / b if 1e-30 < b < math.inf else 0.0


def dense(g: Iterable[Tensor]) -> Tensors:
    """Gradients as ordinary tensors: those of embeddings may be sparse."""
    return [part.to_dense() if part.is_sparse else part for part in g]


def magnitudes(g: Tensors) -> Tensors:
    """|g| where g is complex, g itself (of either sign) where it is real: the square is what matters."""
    return [part.abs() if part.is_complex() else part for part in g]


def global_norm(tensors: Sequence[Tensor]) -> Tensor:
    """l2 norm over all tensors together, kept away from 0 so that one may divide by it."""
    norms = torch._foreach_norm(list(tensors))
    norm = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))
    return norm.clamp_min(torch.finfo(norm.dtype).tiny)
