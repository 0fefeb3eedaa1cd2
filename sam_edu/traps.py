"""Six ways to get SAM wrong, each beside the right way (chapter 2): one function with a switch.

Every function takes one training step, ``step(model, optimizer, x, y, rho, right=True)``, and returns
the loss at the weights before it. With ``right=False`` it does what published loops have been seen to
do. None of them raises or warns: that is what makes them traps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sam_edu._guards import eval_mode
from sam_edu.objectives import SAM, BatchLoss, perturbed
from sam_edu.objectives.sam import global_norm

Step = Callable[..., Tensor]


def batch_norm(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, rho: float, right: bool = True
) -> Tensor:
    """Right: running statistics see the pass at w alone. Wrong: they see the pass at w + e as well."""
    optimizer.zero_grad()
    if right:
        loss = _sam(model, optimizer, rho).backward(lambda: cross_entropy(model(x), y))
    else:
        loss = cross_entropy(model(x), y)
        weights = [p.detach() for p in model.parameters()]
        saved, e = [w.clone() for w in weights], _climb(_gradient(loss, model), rho)
        torch._foreach_add_(weights, e)
        cross_entropy(model(x), y).backward()  # BatchNorm averages this pass in, too
        torch._foreach_copy_(weights, saved)
    optimizer.step()
    return loss.detach()


def weight_decay(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    rho: float,
    right: bool = True,
    decay: float = 0.02,
) -> Tensor:
    """Right: decay * w is added at w, after SAM. Wrong: ``decay/2 |w|^2`` stands in the loss of both passes.

    The optimizer must have no weight decay of its own. (The decay is a strong one; with the usual 5e-4
    the two can hardly be told apart.)
    """

    def closure() -> Tensor:
        loss = cross_entropy(model(x), y)
        return loss if right else loss + decay / 2 * _squared_length(model)

    optimizer.zero_grad()
    loss = _sam(model, optimizer, rho).backward(closure)
    if right:
        for p in model.parameters():
            if p.grad is not None:
                p.grad.add_(p.detach(), alpha=decay)
    optimizer.step()
    return loss


def accumulation(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    rho: float,
    right: bool = True,
    parts: int = 4,
) -> Tensor:
    """A batch in several parts. Right: their SAM gradients add up. Wrong: each part erases the earlier ones.

    The wrong way reads the climb from ``p.grad`` and clears it between the passes, as SAM written as an
    optimizer wrapper does: only the last part reaches the step.
    """
    optimizer.zero_grad()
    total = x.new_zeros(())
    for some, labels in zip(x.chunk(parts), y.chunk(parts), strict=True):

        def closure(some: Tensor = some, labels: Tensor = labels) -> Tensor:
            return cross_entropy(model(some), labels, reduction="sum") / len(x)

        if right:
            total += _sam(model, optimizer, rho).backward(closure)
        else:
            loss = closure()
            loss.backward()
            e = _climb([_grad_of(p) for p in model.parameters()], rho)
            optimizer.zero_grad()
            with perturbed(model, e):
                closure().backward()
            total += loss.detach()
    optimizer.step()
    return total


def precision(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, rho: float, right: bool = True
) -> Tensor:
    """float16 with a GradScaler, whose scale grows until a gradient overflows: that is how it works.

    Right: a step with an overflow is left out. Wrong: the climb is computed from the infinite gradient
    and undone by subtraction. NaN - NaN is NaN: one overflow, and the network is lost.
    """
    scaler = _scaler_of(optimizer, x.device.type)

    def closure() -> Tensor:
        with torch.autocast(x.device.type, torch.float16):
            return cross_entropy(model(x), y)

    optimizer.zero_grad()
    if right:
        loss = _sam(model, optimizer, rho).backward(closure, scaler.scale)
    else:
        loss = closure()
        scaler.scale(loss).backward()
        weights = [p.detach() for p in model.parameters()]
        e = _climb([_grad_of(p) for p in model.parameters()], rho)  # the scale cancels, infinity does not
        optimizer.zero_grad()
        torch._foreach_add_(weights, e)
        scaler.scale(closure()).backward()
        torch._foreach_sub_(weights, e)
    scaler.step(optimizer)
    scaler.update()
    return loss.detach()


def m_sharpness(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    rho: float,
    right: bool = True,
    m: int = 8,
) -> Tensor:
    """Right: one e for the batch, as announced. Wrong: one e for each m samples (parts, or workers)."""
    optimizer.zero_grad()
    loss = _sam(model, optimizer, rho, None if right else m).backward(BatchLoss(model, x, y))
    optimizer.step()
    return loss


def stale_gradient(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    rho: float,
    right: bool = True,
    eps: float = 0.1,
    steps: int = 5,
) -> Tensor:
    """SAM + adversarial training with a loop that calls backward() for the attack and for the climb.

    Right: the gradients that the attack left in ``p.grad`` are cleared before the climb. Wrong: they
    stay, and become part of its direction. (``SAM`` never reads ``p.grad``, so it cannot fall for this.)
    """
    x = _pgd_by_backward(model, x, y, eps, steps)
    if right:
        optimizer.zero_grad()
    loss = cross_entropy(model(x), y)
    loss.backward()
    e = _climb([_grad_of(p) for p in model.parameters()], rho)
    optimizer.zero_grad()
    with perturbed(model, e):
        cross_entropy(model(x), y).backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach()


@dataclass(frozen=True)
class Trap:
    """One way to go wrong, for menus and tables.

    Attributes
    ----------
    title : str
    right, wrong : str
        What the two positions of the switch do.
    step : callable
        ``step(model, optimizer, x, y, rho, right=True)``.
    symptom : {"climb", "gradient", "statistics", "nan"}
        Where :mod:`sam_edu.observe` looks: at the direction of e, at the gradient that the optimizer
        gets, at BatchNorm's running means, at weights that are no numbers.
    """

    title: str
    right: str
    wrong: str
    step: Step
    symptom: str


TRAPS: dict[str, Trap] = {
    "batchnorm": Trap(
        "BatchNorm statistics", "counted at w", "counted at w and w + e", batch_norm, "statistics"
    ),
    "decay": Trap("Weight decay", "outside the maximum", "inside, in both passes", weight_decay, "climb"),
    "accumulation": Trap(
        "Gradient accumulation", "parts add up", "each part erases the last", accumulation, "gradient"
    ),
    "precision": Trap("float16", "overflow skips the step", "overflow enters the climb", precision, "nan"),
    "m": Trap("m-sharpness", "one e per batch", "one e per 8 samples", m_sharpness, "gradient"),
    "stale": Trap(
        "Stale gradients", "cleared after the attack", "left in the climb", stale_gradient, "climb"
    ),
}


_objectives: WeakKeyDictionary[torch.optim.Optimizer, SAM] = WeakKeyDictionary()


def _sam(model: nn.Module, optimizer: torch.optim.Optimizer, rho: float, m: int | None = None) -> SAM:
    """One objective for the life of an optimizer: to make one means to look through the model."""
    sam = _objectives.get(optimizer)
    if sam is None or (sam.model, sam.rho, sam.m) != (model, rho, m):
        sam = _objectives[optimizer] = SAM(model, rho, m)
    return sam


_scalers: WeakKeyDictionary[torch.optim.Optimizer, torch.amp.GradScaler] = WeakKeyDictionary()


def _scaler_of(optimizer: torch.optim.Optimizer, device: str) -> torch.amp.GradScaler:
    """One scaler for the life of an optimizer; it doubles every 10 steps (torch's default: every 2000)."""
    if optimizer not in _scalers:
        _scalers[optimizer] = torch.amp.GradScaler(device, growth_interval=10)
    return _scalers[optimizer]


def _gradient(loss: Tensor, model: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True))


def _grad_of(p: nn.Parameter) -> Tensor:
    return torch.zeros_like(p) if p.grad is None else p.grad.detach().clone()


def _climb(g: Sequence[Tensor], rho: float) -> list[Tensor]:
    return [rho / global_norm(g) * part for part in g]


def _squared_length(model: nn.Module) -> Tensor:
    return torch.stack([p.square().sum() for p in model.parameters()]).sum()


def _pgd_by_backward(model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int) -> Tensor:
    """l-infinity PGD in [0, 1] as many scripts write it: ``backward()`` fills the weights' p.grad, too."""
    moved = x.detach().clone()
    with eval_mode(model):
        for _ in range(steps):
            moved.requires_grad_()
            cross_entropy(model(moved), y).backward()
            assert moved.grad is not None
            step = moved.detach() + eps / 4 * moved.grad.sign()
            moved = torch.clamp(step, min=x - eps, max=x + eps).clamp(0, 1)
    return moved
