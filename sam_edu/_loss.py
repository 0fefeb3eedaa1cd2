"""The loss of a model on one batch, for measures that move the weights: differentiable, finite, and moved."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sam_edu.objectives import trees

Loss = Callable[[Tensor, Tensor], Tensor]


def loss_and_gradient(
    model: nn.Module, x: Tensor, y: Tensor, loss: Loss, params: list[nn.Parameter]
) -> tuple[float, list[Tensor]]:
    value = differentiable(loss(outputs(model, x), y))
    trainable = [p for p in params if p.requires_grad]
    found = iter(torch.autograd.grad(value, trainable, materialize_grads=True))
    gradient = [next(found) if p.requires_grad else torch.zeros_like(p) for p in params]
    return finite(float(value.detach())), gradient


def outputs(model: nn.Module, x: Tensor) -> Tensor:
    """Of a copy of the batch: models may normalise it in place, and it is needed more than once."""
    found: Tensor = model(trees.mapped(Tensor.clone, x))
    return found


def differentiable(value: Tensor) -> Tensor:
    if not value.requires_grad:
        raise ValueError(
            "the loss does not depend on the weights in a way that can be differentiated (no_grad, argmax, "
            "rounding, NumPy or frozen weights?)"
        )
    return value


def finite(value: float) -> float:
    if not abs(value) < float("inf"):
        raise ValueError(f"the loss is {value}: look at the data and the weights first")
    return value


def warn_if_unmoved(one: object, other: object) -> None:
    """Warn if what was seen at weights that lie apart (outputs, losses) is the same to the last bit."""
    if torch.equal(one, other) if isinstance(one, Tensor) and isinstance(other, Tensor) else one == other:
        warnings.warn(
            "the model is the same at all moved weights, to the last bit: it uses a copy that it keeps of "
            "them (some layers store their weights in eval mode), they are frozen, or the step is below "
            "their precision. This says nothing about the flatness of the loss",
            RuntimeWarning,
            stacklevel=3,
        )
