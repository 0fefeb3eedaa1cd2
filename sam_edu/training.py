"""The one training loop: an attack moves x, an objective moves w, the optimizer steps.

Standard training, SAM, PGD adversarial training and SAM+AT are the same eight lines with two
constructor calls changed; ``step`` is the book's thesis in code.

Stochastic weight averaging (Izmailov et al., UAI 2018, arXiv 1803.05407) needs nothing of its own; torch
has it. Average the weights after each epoch from 75 % of the training on, at a constant learning rate, then
measure BatchNorm's statistics anew, on the kind of inputs trained on (attacked ones after adversarial
training)::

    average = torch.optim.swa_utils.AveragedModel(model)
    for epoch in range(epochs):
        train_epoch(objective, optimizer, x, y, batch_size)
        if epoch >= 0.75 * epochs:
            average.update_parameters(model)
    torch.optim.swa_utils.update_bn(x.split(batch_size), average)  # average, not model, is the result
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sam_edu import _check, _ready
from sam_edu import _score as score
from sam_edu.objectives import ERM, BatchLoss, trees
from sam_edu.schedules import MILESTONES, step_schedule
from sam_edu.schedules import triangle_schedule as triangle_schedule

Attack = Callable[[nn.Module, Tensor, Tensor], Tensor]
Loss = Callable[..., Tensor]  # loss(outputs, y); with reduction="none" one per sample, if asked for


@dataclass(frozen=True)
class EpochResult:
    """Averages over one epoch, at the weights *before* each step and on the inputs trained on.

    The accuracy is the share of predictions that are right (pixels, words; labels that are ignored do not
    count), NaN for tasks that have none, such as regression, and where the axis of the classes is unclear:
    outputs (n, words, classes) of as many words as classes.
    """

    loss: float
    accuracy: float


def step(
    objective: ERM,
    optimizer: torch.optim.Optimizer,
    x: Any,
    y: Any,
    attack: Attack | None = None,
    loss_of: Loss = cross_entropy,
    scaler: torch.amp.GradScaler | None = None,
) -> tuple[Tensor, Any]:
    """One training step; returns the loss and the logits at the weights before it.

    With float16, ``scaler`` scales the loss and skips a step whose gradient has overflowed.

    Examples
    --------
    >>> from sam_edu.objectives import ERM
    >>> model, x, y = torch.nn.Linear(2, 2), torch.eye(2), torch.tensor([0, 1])
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    >>> loss, logits = step(ERM(model), optimizer, x, y)
    >>> logits.shape
    torch.Size([2, 2])
    """
    model = objective.model
    if any(group.get("maximize") for group in optimizer.param_groups):
        raise ValueError(
            "the loss is to be minimised (SAM climbs to larger ones): leave out the optimizer's "
            "maximize, and negate what is to be maximised"
        )
    if attack is not None:
        x = attack(model, x, y)  # moves x within eps: adversarial training
    closure = BatchLoss(model, x, y, loss_of)
    optimizer.zero_grad()
    if scaler is None:
        loss = objective.backward(closure)  # SAM moves w within rho here, and back
        optimizer.step()
    else:
        loss = objective.backward(closure, scaler.scale)
        scaler.step(optimizer)
        scaler.update()
    return loss, closure.outputs


def train_epoch(
    objective: ERM,
    optimizer: torch.optim.Optimizer,
    x: Any,
    y: Any,
    batch_size: int,
    attack: Attack | None = None,
    loss_of: Loss = cross_entropy,
    augment: Callable[[Tensor], Tensor] | None = None,
    generator: torch.Generator | None = None,
    scaler: torch.amp.GradScaler | None = None,
    share: tuple[int, int] = (0, 1),
    mirrored: Tensor | None = None,
    after_step: Callable[[], None] | None = None,
    drop_last: bool = False,
) -> EpochResult:
    """Go once through the data in random order.

    Gradients are clipped by the optimizer's own hook: ``register_step_pre_hook(clip)``, with a function
    ``clip(*_)`` that calls torch's ``clip_grad_norm_`` and returns nothing.

    Parameters
    ----------
    objective : ERM or a member of its family
        Holds the model, which is put into training mode.
    x, y : Tensor, or a tuple or dictionary of tensors
        All training inputs and labels, on the model's device: batches are slices, no workers needed.
        Labels may be class numbers (one per row, pixel or word), probabilities, one logit's 0 and 1, or
        anything else that ``loss_of(outputs, y)`` takes.
    attack : callable, optional
        ``attack(model, x, y) -> x``.
    augment : callable, optional
        Maps a batch of inputs to a batch of inputs, before the attack.
    generator : torch.Generator, optional
        Source of the order (on the CPU).
    scaler : torch.amp.GradScaler, optional
        For float16.
    share : (rank, processes)
        With several processes each takes its part of every batch, whose gradients are then averaged
        (DistributedDataParallel); the result is this process's part of the sums over the epoch.
    mirrored : Tensor of bool, shape (n,), optional
        Which images are mirrored in this epoch, before ``augment``.
    after_step : callable, optional
        Called after each step, for a schedule that moves with every step.
    drop_last : bool
        Leave out a last batch that is smaller than the others (one row is too few for BatchNorm).

    Raises
    ------
    FloatingPointError
        If the epoch's loss is not finite.
    ValueError
        If the optimizer maximises, needs a closure or holds other parameters; if samples and labels
        differ in number, or there are none (after ``drop_last``).
    """
    batch_size = _check.integer("batch_size", batch_size, low=1)
    _ready.check_optimizer(objective, optimizer)
    y = _ready.labels(x, y)
    objective.model.train()
    n, device = trees.rows(x), trees.tensors(x)[0].device
    if drop_last and n < batch_size:
        raise ValueError(f"drop_last leaves nothing: {n} samples are less than batch_size = {batch_size}")
    last = n % batch_size
    if 0 < last < share[1] and not drop_last:
        raise ValueError(
            f"the last batch has {last} of {n} rows, too few for {share[1]} processes: drop_last=True"
        )
    # read once, after the last step: a GPU need not wait, and a CPU spares a dozen small operations each step
    losses: list[Tensor | float] = []
    right: list[Tensor | float] = []
    counted: list[Tensor | float] = []
    seen = 0
    order = torch.randperm(n, generator=generator).to(device)
    rank, processes = share
    for whole in order.split(batch_size):
        if drop_last and len(whole) < batch_size:
            break
        chosen = whole if processes == 1 else whole.tensor_split(processes)[rank]
        batch, labels = trees.pick(x, chosen), trees.pick(y, chosen)
        if mirrored is not None:
            batch = torch.where(mirrored[chosen, None, None, None], batch.flip(3), batch)
        if augment is not None:
            batch = augment(batch)
        weight = processes * len(chosen) / len(whole)  # 1, but for a last batch that does not divide
        part_of = loss_of if weight == 1 else _weighted(loss_of, weight)
        loss, logits = step(objective, optimizer, batch, labels, attack, part_of, scaler)
        if after_step is not None:
            after_step()
        losses.append(loss * (len(whole) / processes))
        seen += len(whole)
        hits, answers = score.predictions(logits, labels, loss_of)
        right.append(hits)
        counted.append(answers if processes == 1 else answers * len(whole) / len(chosen))
    mean_loss, answered = score.total(losses) / seen, score.total(counted)
    accuracy = score.total(right) / answered if answered else float("nan")
    if not abs(mean_loss) < float("inf"):
        _ready.check_finite(x)
        raise FloatingPointError(
            f"training diverged: the loss is {mean_loss}; lower the learning rate or rho (or is there a "
            "batch without any label that counts?)"
        )
    return EpochResult(mean_loss, accuracy)


def _weighted(loss_of: Loss, weight: float) -> Loss:
    return lambda logits, y, **reduction: weight * loss_of(logits, y, **reduction)


def fit(
    objective: ERM,
    optimizer: torch.optim.Optimizer,
    x: Any,
    y: Any,
    epochs: int,
    batch_size: int = 128,
    attack: Attack | None = None,
    loss_of: Loss = cross_entropy,
    milestones: tuple[float, ...] = MILESTONES,
    seed: int = 0,
    drop_last: bool = False,
) -> list[EpochResult]:
    """Train for ``epochs``, dividing the learning rate by 10 at each milestone (share of the epochs).

    For runs that must survive an interruption use :mod:`sam_edu.experiments`.

    Examples
    --------
    >>> from sam_edu.objectives import SAM
    >>> model, x, y = torch.nn.Linear(2, 2), torch.eye(2), torch.tensor([0, 1])
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    >>> curve = fit(SAM(model, rho=0.05), optimizer, x, y, epochs=20, batch_size=2)
    >>> curve[-1].loss < curve[0].loss
    True
    """
    epochs = _check.integer("epochs", epochs, low=1)
    generator = torch.Generator().manual_seed(seed)
    schedule = step_schedule(optimizer, epochs, milestones)
    results = []
    for _ in range(epochs):
        results.append(
            train_epoch(
                objective,
                optimizer,
                x,
                y,
                batch_size,
                attack,
                loss_of,
                generator=generator,
                drop_last=drop_last,
            )
        )
        schedule.step()
    objective.model.eval()
    return results
