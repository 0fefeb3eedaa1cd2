"""What an objective is given: a closure that runs the forward pass and returns the loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

Closure = Callable[[], Tensor]
Scale = Callable[[Tensor], Tensor]
Part = slice | Tensor


class BatchLoss:
    """The loss of one batch as a closure, which also gives the loss of a part of the batch.

    ``loss()`` is the mean over the batch: all that ERM, SAM, ASAM, AWP, FisherSAM and LookSAM ask for,
    and for them ``lambda: cross_entropy(model(x), y)`` does as well. Methods that look at single
    samples or at sub-batches (ESAM, SparseSAM, SAM with m, EntropySGD) need to know the batch.

    Parameters
    ----------
    model : callable
        Maps inputs to outputs.
    x, y : Tensor
        One batch: inputs (n, ...) and targets (n, ...).
    loss_of : callable
        ``loss_of(outputs, y)``, the mean; with ``reduction="none"`` one loss per sample, as torch's own.

    Attributes
    ----------
    outputs : Tensor
        What the model returned on its first visit to each sample: at the unperturbed weights.

    Examples
    --------
    >>> import torch
    >>> model, x, y = torch.nn.Linear(2, 2), torch.ones(3, 2), torch.tensor([0, 1, 1])
    >>> loss = BatchLoss(model, x, y)
    >>> loss().shape
    torch.Size([])
    """

    def __init__(self, model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor,
                 loss_of: Callable[..., Tensor] = cross_entropy) -> None:  # fmt: skip
        self.model, self.x, self.y, self.loss_of = model, x, y, loss_of
        self._first: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self.x)

    def __call__(self, part: Part | None = None) -> Tensor:
        """Mean loss over the batch, or over a part of it: a slice or a tensor of indices."""
        outputs, y = self._forward(part)
        return self.loss_of(outputs, y)

    def each(self, part: Part | None = None) -> Tensor:
        """One loss per sample, (n,) or the length of ``part``."""
        return self._single(*self._forward(part))

    def mean_and_each(self) -> tuple[Tensor, Tensor]:
        """Both from one pass: the mean, and one loss per sample, which cannot be differentiated."""
        outputs, y = self._forward(None)
        return self.loss_of(outputs, y), self._single(outputs.detach(), y)

    def _single(self, outputs: Tensor, y: Tensor) -> Tensor:
        losses = self.loss_of(outputs, y, reduction="none")
        return losses if losses.dim() == 1 else losses.flatten(1).mean(1)

    @property
    def outputs(self) -> Tensor:
        return torch.cat(list(self._first.values())) if len(self._first) > 1 else self._first[0]

    def parts(self, size: int) -> list[slice]:
        """The batch in slices of ``size`` samples; the last one may be shorter."""
        return [slice(at, min(at + size, len(self))) for at in range(0, len(self), size)]

    def _forward(self, part: Part | None) -> tuple[Tensor, Tensor]:
        start: int | None = 0
        if part is None:
            outputs, y = self.model(self.x), self.y
        else:
            outputs, y = self.model(self.x[part]), self.y[part]
            start = part.start if isinstance(part, slice) else None  # indices: never the first visit
        if start is not None and start not in self._first:
            self._first[start] = outputs.detach()
        return outputs, y


def needs_batch(closure: Closure, who: str) -> BatchLoss:
    """The closure, if it knows its batch; one clear line otherwise."""
    if not isinstance(closure, BatchLoss):
        raise TypeError(f"{who} needs to see parts of the batch: pass BatchLoss(model, x, y) as the closure")
    return closure


def evaluate(closure: Closure) -> Tensor:
    """Run the closure and make sure that it returned a differentiable scalar."""
    if torch.is_grad_enabled():
        loss = closure()
    else:
        with torch.enable_grad():
            loss = closure()
    if not isinstance(loss, Tensor) or loss.dim() != 0:
        got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise TypeError(f"the closure must return the loss as a scalar tensor, got {got}")
    if not loss.requires_grad:
        raise ValueError(
            "the closure's loss does not depend on any trainable parameter; "
            "compute it from the model's output without .item() or .detach()"
        )
    return loss


def scaled(loss: Tensor, scale: Scale | None) -> Tensor:
    """What is differentiated: the loss, times the factor of a GradScaler where there is one."""
    if scale is None:
        return loss
    with torch.enable_grad():
        return scale(loss)


class RandomState:
    """torch's random state at one moment, for one device: two passes see the same dropout masks."""

    def __init__(self, params: list[Tensor]) -> None:
        self.cpu, self.cuda = torch.default_generator.get_state(), None
        if params and params[0].is_cuda:
            self.device = params[0].device
            self.cuda = torch.cuda.get_rng_state(self.device)

    def restore(self) -> None:
        torch.default_generator.set_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, self.device)
