"""What an objective is given: a closure that runs the forward pass and returns the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from sam_edu.objectives import trees
from sam_edu.objectives.means import BY_SAMPLES, aside, divided_by, unreduced

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
    x, y : Tensor, or a tuple or dictionary of tensors
        One batch: inputs (n, ...) and targets (n, ...).
    loss_of : callable
        ``loss_of(outputs, y)``, the mean; with ``reduction="none"`` one loss per sample, as torch's own
        (functions, or modules such as ``nn.CrossEntropyLoss()``).

    Attributes
    ----------
    outputs : Tensor, or what else the model returns
        What the model returned on its first visit to each sample: at the unperturbed weights.

    Examples
    --------
    >>> import torch
    >>> model, x, y = torch.nn.Linear(2, 2), torch.ones(3, 2), torch.tensor([0, 1, 1])
    >>> loss = BatchLoss(model, x, y)
    >>> loss().shape
    torch.Size([])
    """

    def __init__(
        self, model: Callable[..., Any], x: Any, y: Any, loss_of: Callable[..., Tensor] = cross_entropy
    ) -> None:
        self.model, self.x, self.y, self.loss_of = model, x, y, loss_of
        self._first: dict[int, Any] = {}
        self._divisor: Any = None

    def __len__(self) -> int:
        return trees.rows(self.x)

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
        loss = self.loss_of(outputs, y)
        return loss, self._single(trees.mapped(Tensor.detach, outputs), y, aside(self.loss_of))

    def share(self, part: slice) -> Closure:
        """The loss of a sub-batch as a closure; those of all sub-batches add up to the batch's mean.

        A mean may divide by something else than the number of samples: labels that count, weights of
        classes. The sum of the sub-batch's losses is divided by what the whole batch divides by.
        """

        def contribution() -> Tensor:
            outputs, y = self._forward(part)
            if self._divisor is None:
                made = trees.mapped(Tensor.detach, outputs)
                self._divisor = divided_by(self.loss_of, made, self.y, part, len(self))
            if self._divisor is BY_SAMPLES:
                return self.loss_of(outputs, y) * ((part.stop - part.start) / len(self))
            return unreduced(self.loss_of, outputs, y).sum() / self._divisor

        return contribution

    def mean_of_part(self, part: slice) -> Tensor:
        """The mean over a mini-batch; 0 (with a gradient of 0) if no label in it counts."""
        outputs, y = self._forward(part)
        loss = self.loss_of(outputs, y)
        if loss.isfinite():
            return loss
        total = unreduced(self.loss_of, outputs, y).sum()
        return total if total == 0 else loss

    def _single(self, outputs: Any, y: Any, loss_of: Any = None) -> Tensor:
        losses = unreduced(self.loss_of if loss_of is None else loss_of, outputs, y)
        return losses if losses.dim() == 1 else losses.flatten(1).mean(1)

    @property
    def outputs(self) -> Any:
        return trees.joined(list(self._first.values()))

    def parts(self, size: int) -> list[slice]:
        """The batch in slices of ``size`` samples; the last one may be shorter."""
        if len(self) == 0:
            raise ValueError("the batch is empty")
        return [slice(at, min(at + size, len(self))) for at in range(0, len(self), size)]

    def _forward(self, part: Part | None) -> tuple[Any, Any]:
        start: int | None = 0
        if part is None:
            outputs, y = self.model(self.x), self.y
        else:
            outputs, y = self.model(trees.pick(self.x, part)), trees.pick(self.y, part)
            start = part.start if isinstance(part, slice) else None  # indices: never the first visit
        if start is not None and start not in self._first:
            self._first[start] = trees.mapped(Tensor.detach, outputs)
        return outputs, y


def needs_batch(closure: Closure, who: str) -> BatchLoss:
    """The closure, if it knows its batch; one clear line otherwise."""
    if not isinstance(closure, BatchLoss):
        raise TypeError(f"{who} needs to see parts of the batch: pass BatchLoss(model, x, y) as the closure")
    closure.parts(len(closure))  # raises for an empty one
    return closure


_EXPLAINED = {  # what torch says, and what it means here
    "more than 1 value per channel": (
        "BatchNorm cannot normalise a batch of one sample: leave out a last batch of one (drop_last=True), "
        "or take other sizes"
    ),
    "numpy() on Tensor that requires grad": (
        "the model passes its numbers through NumPy (scikit-learn, ONNX?), where no gradient can follow: an "
        "objective needs a loss made of torch operations"
    ),
}


def evaluate(closure: Closure) -> Tensor:
    """Run the closure and make sure that it returned a differentiable scalar."""
    if not callable(closure):
        raise TypeError(
            "an objective needs a function that computes the loss, since it calls it more than once: "
            f"backward(lambda: loss_of(model(x), y)), got {type(closure).__name__}"
        )
    try:
        if torch.is_grad_enabled():
            loss = closure()
        else:
            with torch.enable_grad():
                loss = closure()
    except (ValueError, RuntimeError) as error:
        for words, explanation in _EXPLAINED.items():
            if words in str(error):
                raise ValueError(explanation) from error
        raise
    if not isinstance(loss, Tensor) or loss.dim() != 0:
        got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise TypeError(f"the closure must return the loss as a scalar tensor, got {got}")
    if not loss.requires_grad:
        if torch.is_inference_mode_enabled():
            raise ValueError("training needs gradients: call it outside torch.inference_mode()")
        raise ValueError(
            "the closure's loss does not depend on any trainable parameter; compute it from the model's "
            "output without .item() or .detach() (or argmax, rounding, torch.no_grad, NumPy on the way)"
        )
    return loss


def scaled(loss: Tensor, scale: Scale | None) -> Tensor:
    """What is differentiated: the loss, times the factor of a GradScaler where there is one."""
    if scale is None:
        return loss
    with torch.enable_grad():
        return scale(loss)
