"""The one verb that all objectives share, and the context manager beneath them.

An objective decides *along which gradient* to step; a plain torch optimizer still takes the step:

    opt.zero_grad()
    loss = objective.backward(lambda: cross_entropy(model(x), y))
    opt.step()

``backward(closure)`` stands where ``loss.backward()`` stood. The closure runs the forward pass and
returns the loss, nothing else. Since the optimizer is untouched, schedulers, clipping, gradient
accumulation, mixed precision and checkpoints work as with any other training loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Closure = Callable[[], Tensor]
Scale = Callable[[Tensor], Tensor]


class ERM:
    """Empirical risk minimisation: the gradient of the loss itself, one forward and backward pass.

    Parameters
    ----------
    model : torch.nn.Module
        The model whose loss the closure computes.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def backward(self, closure: Closure, scale: Scale | None = None) -> Tensor:
        """Add the objective's gradient to ``p.grad`` of every trainable parameter.

        Parameters
        ----------
        closure : callable
            Runs the forward pass and returns the loss, a scalar; calls neither ``backward`` nor
            ``zero_grad``.
        scale : callable, optional
            ``GradScaler.scale``, for float16: the scaler then unscales ``p.grad`` as usual.

        Returns
        -------
        Tensor
            The loss at the weights as they are (not at the perturbed ones), detached.
        """
        loss = evaluate(closure)
        (loss if scale is None else scale(loss)).backward()
        return loss.detach()


class WeightPerturbation(ERM):
    """Base of the methods that take the gradient at perturbed weights, min_w L(w + e(w)).

    A member of the family differs in one function, ``direction``. Two passes: the first finds the
    gradient g at w, the second the gradient at w + e, which is what the optimizer gets; e counts as a
    constant (no second derivatives). Both passes see the same random numbers (dropout masks).
    """

    def direction(self, w: Sequence[Tensor], g: Sequence[Tensor]) -> Sequence[Tensor]:
        """Map weights and gradients (lists over tensors) to the weight perturbation e."""
        raise NotImplementedError

    def backward(self, closure: Closure, scale: Scale | None = None) -> Tensor:
        params = list(self.model.parameters())
        trainable = [p for p in params if p.requires_grad]
        if not trainable:
            raise ValueError("the model has no trainable parameter: nothing to perturb")
        random_state = _RandomState(trainable[0].device)
        loss = evaluate(closure)
        # autograd.grad, not backward(): p.grad may hold gradients of earlier batches
        # (accumulation), and they must not leak into the ascent direction.
        grads = torch.autograd.grad(loss, trainable, allow_unused=True)
        used = [(p, g) for p, g in zip(trainable, grads, strict=True) if g is not None]
        with torch.no_grad():
            steps = self.direction([p for p, _ in used], [g for _, g in used])
        by_param = {id(p): e for (p, _), e in zip(used, steps, strict=True)}
        random_state.restore()
        with perturbed(self.model, [by_param.get(id(p)) for p in params]):
            ERM.backward(self, closure, scale)
        return loss.detach()


class _RandomState:
    """torch's random state at one moment, for one device."""

    def __init__(self, device: torch.device) -> None:
        self.cpu = torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        self.device = device

    def restore(self) -> None:
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, self.device)


def evaluate(closure: Closure) -> Tensor:
    """Run the closure and make sure that it returned a differentiable scalar."""
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


@contextmanager
def perturbed(model: nn.Module, e: Sequence[Tensor | None]) -> Iterator[None]:
    """Inside the context the model's weights are w + e; afterwards they are w again, bit for bit.

    BatchNorm still normalises with the batch's own statistics in training mode but leaves its running
    averages and its count alone: they belong to w, and a step must count once. Both are restored
    also when the body raises. Contexts may be nested.

    Parameters
    ----------
    model : torch.nn.Module
    e : sequence of Tensor or None
        One entry per tensor of ``model.parameters()``, in that order, of its shape; None leaves a
        tensor alone.

    Raises
    ------
    ValueError
        If the number of entries or a shape does not fit.
    """
    params = [p.detach() for p in model.parameters()]  # shares storage with the parameters
    if len(params) != len(e):
        raise ValueError(f"e has {len(e)} entries, the model has {len(params)} parameter tensors")
    moved = [(p, step) for p, step in zip(params, e, strict=True) if step is not None]
    for p, step in moved:
        if p.shape != step.shape:
            raise ValueError(f"e has a tensor of shape {tuple(step.shape)} for {tuple(p.shape)}")
    targets, steps = [p for p, _ in moved], [step for _, step in moved]
    # torch's _foreach functions do a whole list of tensors in one call; the leading underscore
    # notwithstanding, they are what torch.optim itself runs on.
    saved = [p.clone() for p in targets]
    norms = [m for m in model.modules()
             if isinstance(m, _BatchNorm) and m.training and m.track_running_stats]  # fmt: skip
    try:
        for m in norms:
            m.track_running_stats = False
        if targets:
            torch._foreach_add_(targets, steps)
        yield
    finally:
        for m in norms:
            m.track_running_stats = True
        if targets:
            torch._foreach_copy_(targets, saved)  # not "minus e": rounding would drift
