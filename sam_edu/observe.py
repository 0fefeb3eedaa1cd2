"""A training step seen from outside: where it climbed, what the optimizer got, what BatchNorm counted.

Used for the traps of chapter 2; works for any function ``step(model, optimizer, x, y, rho, right=True)``.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sam_edu import _check, models
from sam_edu.data import Dataset
from sam_edu.training import MILESTONES
from sam_edu.traps import Trap

SYMPTOMS = {
    "climb": "cosine to the right climb",
    "gradient": "cosine to the right gradient",
    "statistics": "error of the running means",
    "nan": "share of weights that are no numbers",
}


@dataclass(frozen=True)
class Step:
    """What one step did.

    Attributes
    ----------
    climb : Tensor
        First displacement e of the weights at which a forward pass ran (0 if there was none), flat.
    gradient : Tensor
        What the optimizer was given, flat.
    counted : int
        Batches that the first BatchNorm layer counted; 0 without one.
    """

    climb: Tensor
    gradient: Tensor
    counted: int


def one_step(trap: Trap, model: nn.Module, x: Tensor, y: Tensor, rho: float, right: bool) -> Step:
    """Watch one step on a copy of the model; the model itself stays as it is."""
    model = deepcopy(model).train()
    norms = _norms(model)
    start, seen, given = _flat(model.parameters()), [], []
    before = _count(norms)
    model.register_forward_pre_hook(lambda *_: seen.append(_flat(model.parameters()) - start))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    optimizer.register_step_pre_hook(
        lambda *_: given.append(
            _flat(torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters())
        )
    )
    trap.step(model, optimizer, x, y, rho, right=right)
    climb = next((e for e in seen if e.any()), torch.zeros_like(start))
    return Step(climb, given[-1] if given else torch.zeros_like(start), _count(norms) - before)


def statistics_error(model: nn.Module, x: Tensor) -> float:
    """How far BatchNorm's running means are from the means over x at the present weights.

    Mean over all channels, in standard deviations of the channel; 0 without BatchNorm.
    """
    fresh = deepcopy(model).train()
    norms = _norms(fresh)
    held = [m.running_mean.clone() for m in norms if m.running_mean is not None]
    for m in norms:
        m.momentum = 1.0  # the running values become those of this one batch
    with torch.no_grad():
        fresh(x.clone())  # models may work in place
    errors = [
        (old - m.running_mean).abs() / m.running_var.sqrt()
        for old, m in zip(held, norms, strict=True)
        if m.running_mean is not None and m.running_var is not None
    ]
    return float(torch.cat(errors).mean()) if errors else 0.0


def symptom(
    trap: Trap, model: nn.Module, x: Tensor, y: Tensor, rho: float, right: bool, batch_size: int = 64
) -> float:
    """The number named in ``SYMPTOMS``, for the network as it is; cosines on the first batch of x."""
    if trap.symptom == "nan":
        return float(_flat(model.parameters()).isnan().double().mean())
    if trap.symptom == "statistics":
        return statistics_error(model, x)
    batch = x[:batch_size], y[:batch_size]
    done, ideal = (one_step(trap, model, *batch, rho, r) for r in (right, True))
    return float(torch.cosine_similarity(getattr(done, trap.symptom), getattr(ideal, trap.symptom), dim=0))


def training(
    trap: Trap,
    data: Dataset,
    right: bool,
    seed: int = 0,
    rho: float = 0.2,
    epochs: int = 12,
    batch_size: int = 64,
    lr: float = 0.05,
) -> tuple[nn.Module, list[float], list[float]]:
    """Train with one setting of the switch: the network, and per epoch test error and symptom.

    A perceptron, or a small convolutional network where BatchNorm is the subject; momentum 0.9, weight
    decay 5e-4 (none where the step brings its own), the learning rate divided by 10 at 75 % and 90 %.
    """
    epochs = _check.integer("epochs", epochs, low=1)
    name = "cnn" if trap.symptom == "statistics" else "mlp"
    model = models.build(name, data.shape, classes=10, width=8, seed=seed)
    decay = 0.0 if trap.step.__name__ == "weight_decay" else 5e-4
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=decay)
    order = torch.Generator().manual_seed(seed)
    errors, symptoms = [], []
    for epoch in range(epochs):
        fall = sum(epoch >= share * epochs for share in MILESTONES)
        optimizer.param_groups[0]["lr"] = lr * 0.1**fall
        model.train()
        for chosen in torch.randperm(len(data.train_x), generator=order).split(batch_size):
            if len(chosen) == batch_size:
                trap.step(model, optimizer, data.train_x[chosen], data.train_y[chosen], rho, right=right)
        model.eval()
        with torch.no_grad():
            wrong = model(data.test_x).argmax(1) != data.test_y
        errors.append(float(wrong.double().mean()))
        symptoms.append(symptom(trap, model, data.train_x, data.train_y, rho, right, batch_size))
    return model, errors, symptoms


def _norms(model: nn.Module) -> list[_BatchNorm]:
    return [m for m in model.modules() if isinstance(m, _BatchNorm)]


def _count(norms: list[_BatchNorm]) -> int:
    return int(norms[0].num_batches_tracked) if norms and norms[0].num_batches_tracked is not None else 0


def _flat(parts: Iterable[Tensor]) -> Tensor:
    return torch.cat([part.detach().flatten() for part in parts])
