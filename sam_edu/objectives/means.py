"""Losses that are means: over how much, and the losses of single samples in them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu.objectives import trees

BY_SAMPLES = object()  # the mean divides by the number of samples


def divided_by(loss_of: Callable[..., Tensor], outputs: Any, y: Any, part: slice, n: int) -> Any:
    """Sum over mean for a batch of n samples, on outputs made of one sample's: no other pass is needed.

    They shrink from row to row, and then by jumps, so that a loss that couples the samples, or counts
    some of them only (the hardest, the median), is not taken for a mean; nor is one whose sums over parts of
    the batch do not add up (samples are compared with each other).
    """

    def rows(s: slice, jumping: bool = False) -> Any:
        at = torch.arange(s.start, s.stop)
        shrinking = (1 - at / (2 * n)) / (1 + 2 * jumping * (at % 2))

        def made(t: Tensor) -> Tensor:
            if not t.dim():
                return t
            many = t[:1].expand(s.stop - s.start, *t.shape[1:])
            return many * shrinking.to(t).view(-1, *[1] * (t.dim() - 1)) if t.is_floating_point() else many

        return trees.mapped(made, outputs)

    loss_of = aside(loss_of)
    with torch.no_grad():
        whole = rows(slice(0, n))
        mean = loss_of(whole, y)
        try:
            total = unreduced(loss_of, whole, y).sum()
            other = rows(slice(0, n), jumping=True)
            again, whole_sum = loss_of(other, y), unreduced(loss_of, other, y).sum()
        except TypeError:
            size = part.stop - part.start
            slices = [slice(at, min(at + size, n)) for at in range(0, n, size)]
            sums = [(s.stop - s.start) * loss_of(rows(s), trees.pick(y, s)) for s in slices]
            if torch.allclose(sum(sums[1:], sums[0]) / n, mean, rtol=1e-4):
                return BY_SAMPLES
            raise
        cut = part.stop - part.start
        halves = [s for s in (slice(0, cut), slice(cut, n)) if s.start < s.stop]
        parts = [unreduced(loss_of, rows(s), trees.pick(y, s)).sum() for s in halves]
    tolerance = max(1e-4, 8 * torch.finfo(total.dtype).eps)
    both = torch.stack([total * again, whole_sum * mean])  # NaN where no label counts
    pairs = both, torch.stack([torch.stack(parts).sum(), total])
    fits = [bool(torch.isclose(p[0], p[1], rtol=tolerance, atol=0)) for p in pairs if p.isfinite().all()]
    if mean != 0 and not all(fits):
        raise ValueError(
            "the loss is not a weighted mean of the losses of single samples (does it compare samples, "
            "or take the hardest ones?), so those of sub-batches do not add up to it: leave out m"
        )
    return torch.full_like(total, n) if mean == 0 else total / mean


def aside(loss_of: Any) -> Any:
    """The loss for looks that do not count: a copy, where it may keep counts or averages of its own."""
    if not isinstance(loss_of, nn.Module) or type(loss_of).__module__.startswith("torch."):
        return loss_of
    try:
        return copy.deepcopy(loss_of)
    except RuntimeError:  # it holds on to a graph
        return loss_of


def unreduced(loss_of: Callable[..., Tensor], outputs: Any, y: Any) -> Tensor:
    """One loss per prediction: of a function that takes ``reduction``, or of a module that has it."""
    explained = (
        'this needs the losses of single samples: loss_of(outputs, y, reduction="none") must give them, '
        "as torch's own losses do"
    )
    if isinstance(loss_of, nn.Module) and hasattr(loss_of, "reduction"):
        module: Any = loss_of
        usual = module.reduction
        try:
            module.reduction = "none"  # no copy: what it notes of itself is to stay
        except RuntimeError as error:
            raise TypeError(
                f"{explained}; a scripted loss has its reduction fixed: leave it plain"
            ) from error
        try:
            losses = module(outputs, y)
        finally:
            module.reduction = usual
    else:
        try:
            losses = loss_of(outputs, y, reduction="none")
        except TypeError as error:
            if "reduction" not in str(error):
                raise
            raise TypeError(explained) from error
    if losses.dim() == 0:  # it has the argument or the attribute and gives one number all the same
        raise TypeError(f"{explained}; it gave one number (is its reduction fixed when it is made?)")
    return losses
