"""How many predictions are right, for whatever is predicted."""

from __future__ import annotations

import functools
import operator
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sam_edu.objectives import trees


def predictions(outputs: Any, y: Any, loss_of: Any) -> tuple[Tensor | float, Tensor | float]:
    """How many predictions are right, and how many there are; (0, 0) where right and wrong have no meaning.

    * Class numbers, y (n, ...) against outputs (n, classes, ...), or (n, ..., classes) with a loss of one's
      own: the largest logit, for each row, pixel or word. Where the shapes allow both (as many words as
      classes), only torch's losses say which axis is meant; with others none is counted, and a warning
      says so. Labels that are no class (-100, 255) are ignored ones and do not count, nor does the loss's
      ``ignore_index`` (of a module such as ``nn.CrossEntropyLoss``, or of a ``functools.partial``).
    * Probabilities of classes, y of the outputs' shape and of sum 1: the largest against the largest.
    * One logit (or probability) for each yes or no, with a binary cross-entropy: its sign.
    """
    logits = trees.logits(outputs)
    if logits is None or not isinstance(y, Tensor):
        return 0.0, 0.0
    logits = logits.detach()
    if not y.is_floating_point() and not y.is_complex() and logits.dim() == y.dim() + 1 and logits.dim() > 1:
        axis = _classes(logits, y, loss_of)
        if axis is None:
            return 0.0, 0.0
        if logits.shape[axis] == 1:  # one number for each label: counts, grades, yes or no
            return predictions(logits.squeeze(axis), y.to(logits), loss_of)
        right, counted = logits.argmax(axis) == y, (y >= 0) & (y < logits.shape[axis])
        if 0 <= (ignored := _ignored(loss_of)) < logits.shape[axis]:  # else no prediction is equal to it
            right, counted = right & (y != ignored), counted & (y != ignored)
        return right.sum(), counted.sum()
    if y.numel() != logits.numel() or len(y) != len(logits):
        return 0.0, 0.0
    y = y.reshape(logits.shape)
    name = _name(loss_of)
    if "bce" in name or "binary_cross_entropy" in name:
        border = 0.0 if "logit" in name else 0.5
        return ((logits > border) == (y > 0.5)).sum(), float(y.numel())
    several = logits.dim() > 1 and logits.shape[1] > 1 and y.is_floating_point()
    if several and bool((y >= 0).all()) and torch.allclose(y.sum(1), torch.ones_like(y.sum(1))):
        return (logits.argmax(1) == y.argmax(1)).sum(), float(y.numel() // y.shape[1])
    return 0.0, 0.0


def total(parts: Sequence[Tensor | float]) -> float:
    """The sum, in float64 and in this order (Python's ``sum`` rounds otherwise from version to version)."""
    inside = [part for part in parts if isinstance(part, Tensor)]
    read = iter(torch.stack(inside).tolist() if inside else [])
    numbers = [next(read) if isinstance(part, Tensor) else part for part in parts]
    return float(functools.reduce(operator.add, numbers, 0.0))


def _classes(logits: Tensor, y: Tensor, loss_of: Any) -> int | None:
    """The axis of the classes; None where there is none, or where it could be either."""
    second, last = y.shape == logits.shape[:1] + logits.shape[2:], y.shape == logits.shape[:-1]
    if second and (logits.dim() == 2 or not last or _is_torchs(loss_of)):
        return 1
    if second:
        shape = ", ".join(map(str, logits.shape[1:]))  # without the batch: one line for all
        warnings.warn(
            f"accuracy is NaN: the classes of outputs (n, {shape}) could be axis 1 or the last one; "
            "expected outputs (n, classes, ...): give those, and torch's cross_entropy as the loss",
            stacklevel=4,
        )
    return logits.dim() - 1 if last and not second else None


def _is_torchs(loss_of: Any) -> bool:
    """Whether it is one of torch's losses over classes, which stand on axis 1."""
    while isinstance(loss_of, functools.partial):
        loss_of = loss_of.func
    if isinstance(loss_of, nn.CrossEntropyLoss | nn.NLLLoss):
        return True
    return any(loss_of is known for known in (functional.cross_entropy, functional.nll_loss))


def _name(loss_of: Any) -> str:
    while isinstance(loss_of, functools.partial):
        loss_of = loss_of.func
    return str(getattr(loss_of, "__name__", type(loss_of).__name__)).lower()


def _ignored(loss_of: Any) -> int:
    while isinstance(loss_of, functools.partial):
        if "ignore_index" in loss_of.keywords:
            return int(loss_of.keywords["ignore_index"])
        loss_of = loss_of.func
    return int(getattr(loss_of, "ignore_index", -100))
