"""The slope at the very border of the range of inputs, where black pixels and those of attacks lie.

A ReLU, a hardtanh or a mask of the image has the slope 0 there, and attacks would leave these pixels alone.
A hair inwards it has another: the one that counts, since every point of a ball lies in the range.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sam_edu._guards import Model, at_leaf, input_gradient


def width(box: tuple[float, float], dtype: torch.dtype) -> float:
    """How far inwards: a few roundings."""
    return 2 * torch.finfo(dtype).eps * max(1.0, abs(box[0]), abs(box[1]))


def nudged(x: Tensor, box: tuple[float, float], hair: float) -> Tensor:
    """The nearest inputs that lie so far inside; gradients pass as if nothing were moved."""
    plain = x.detach()
    return x + (plain.clamp(box[0] + hair, box[1] - hair) - plain)


def inwards(model: Model, box: tuple[float, float], dtype: torch.dtype) -> Model:
    """The model at the nearest input that is so far inside, with the gradient there."""
    hair = width(box, dtype)
    return lambda x: model(nudged(x, box, hair))


def vanishes(model: Model, x: Tensor, box: tuple[float, float], dtype: torch.dtype) -> bool:
    """Whether the slope of a model, which computes in ``dtype``, is 0 at the border, and not inwards."""
    slopes = []
    for function in (model, inwards(model, box, dtype)):
        leaf = x.detach().clone().requires_grad_()
        logits = at_leaf(function, leaf)
        slopes.append(input_gradient(logits.amax(1), leaf, logits.new_ones(len(logits))))
    at, inside = slopes
    return bool((_on_border(x, box) & (at == 0) & (inside != 0)).any())


def hides(model: Model, x: Tensor, gradient: Tensor, box: tuple[float, float]) -> bool:
    """Whether some of this gradient is 0 for that reason; asks the model only where it may be."""
    if int(torch.count_nonzero(gradient)) == gradient.numel():
        return False
    pinned = ((gradient == 0) & _on_border(x.detach(), box)).flatten(1)
    # a gradient that is 0 inside the range, too, is that of a saturated loss
    rows = pinned.any(1) & ((gradient != 0).flatten(1).any(1) | pinned.all(1))
    # the whole batch: a model may belong to its rows, as one class against that of each row does
    return bool(rows.any()) and vanishes(model, x, box, x.dtype)


def _on_border(x: Tensor, box: tuple[float, float]) -> Tensor:
    return (x <= box[0]) | (x >= box[1])
