"""One run of projected gradient ascent from a given start: the loop inside of :mod:`sam_edu.attacks`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from sam_edu import _border
from sam_edu._balls import Ball
from sam_edu._guards import Model, at_leaf, check_labels, check_logits, hits, input_gradient


def ascend(
    model: Model,
    ball: Ball,
    x: Tensor,
    y: Tensor,
    steps: int,
    size: float,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    stop_when_fooled: bool,
) -> tuple[Tensor, Tensor]:
    """One run of PGD from x: the end points and, where asked for, which of them are misclassified."""
    fooled = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    if stop_when_fooled:
        result, active = x.clone(), torch.arange(len(x), device=x.device)
    ones = torch.ones_like(y, dtype=x.dtype)
    extremes: list[Tensor] = []
    box = ball.clip
    for step in range(steps):
        leaf = x.detach().requires_grad_()
        logits = at_leaf(model, leaf)
        if step == 0:
            check_labels(y, check_logits(logits, len(y)).shape[1])
        losses = loss_of(logits, y)
        if losses.dtype != ones.dtype:  # under autocast
            ones = ones.to(losses.dtype)
        gradient = input_gradient(losses, leaf, ones)  # of their sum
        if box is not None and step in (0, steps // 2) and _border.hides(model, leaf, gradient, box):
            model, leaf = _border.inwards(model, box, x.dtype), x.detach().requires_grad_()
            gradient, box = input_gradient(loss_of(at_leaf(model, leaf), y), leaf, ones), None  # found once
        if step in (0, steps - 1):
            extremes += torch.aminmax(gradient)
        if stop_when_fooled:
            right = hits(logits.detach(), y)
            if not right.all():
                result[active[~right]], fooled[active[~right]] = x[~right], True
                x, y, gradient = x[right], y[right], gradient[right]
                active, ball, ones = active[right], ball[right], ones[right]
                if len(active) == 0:
                    break
        x = ball.step(x, gradient, size)
    _warn_unless_finite(extremes)
    if not stop_when_fooled:
        return x, fooled
    if len(active):
        result[active] = x
        with torch.no_grad():
            fooled[active] = ~hits(model(x.clone()), y)
    return result, fooled


def _warn_unless_finite(extremes: list[Tensor]) -> None:
    """Look at the extremes of the first and the last gradient, at the end: a GPU need not wait for it."""
    if not all(map(math.isfinite, torch.stack(extremes).tolist())):
        warnings.warn(
            "the model's input gradient is NaN or infinite somewhere (a root or logarithm at 0, a division "
            "by 0?); the attack cannot follow it there and is weaker than it looks",
            RuntimeWarning,
            stacklevel=4,
        )
