"""What must fit together before an epoch begins: samples and labels, the objective and the optimizer."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from sam_edu.objectives import ERM, SAMOptimizer, trees

_WHOLE = (torch.int8, torch.int16, torch.int32, torch.uint16, torch.uint32, torch.uint64)


def labels(x: Any, y: Any) -> Any:
    """The labels, whole numbers as int64 (what torch's losses take).

    Raises
    ------
    ValueError
        If there is no sample, or another number of labels.
    """
    n, m = trees.rows(x), trees.rows(y)
    if n == 0:
        raise ValueError("there is no sample to train on: x is empty")
    if n != m:
        raise ValueError(f"x has {n} samples and y {m} labels; each sample needs its own")

    def whole(t: Tensor) -> Tensor:
        yes_or_no = t.dtype == torch.bool and t.dim() == 1
        return t.long() if t.dtype in _WHOLE or yes_or_no else t

    return trees.mapped(whole, y)


def check_finite(x: Any) -> None:
    """Raise if it is the samples that are not finite, and so every loss."""
    if not all(bool(t.isfinite().all()) for t in trees.tensors(x) if t.is_floating_point()):
        raise FloatingPointError("x holds NaN or infinity, and so the loss is no number: repair the samples")


def check_optimizer(objective: ERM, optimizer: torch.optim.Optimizer) -> None:
    """Raise unless the optimizer takes a plain step for parameters of the objective's model."""
    if isinstance(optimizer, SAMOptimizer):
        raise ValueError("here the objective is SAM, and the optimizer a plain one: pass the base optimizer")
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise ValueError(
            f"{type(optimizer).__name__} calls a closure as often as it likes, the loop has none for it: "
            "take an optimizer whose step() needs no closure"
        )
    ours = {id(p) for p in objective.model.parameters()}
    if not any(id(p) in ours for group in optimizer.param_groups for p in group["params"]):
        raise ValueError(
            "the optimizer holds no parameter of the objective's model, which would never learn: make it "
            "from objective.model.parameters()"
        )
