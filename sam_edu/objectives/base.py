"""The one verb that all objectives share.

An objective decides *along which gradient* to step; a plain torch optimizer still takes the step::

    opt.zero_grad()
    loss = objective.backward(lambda: cross_entropy(model(x), y))
    opt.step()

``backward(closure)`` stands where ``loss.backward()`` stood. The closure runs the forward pass and
returns the loss, nothing else. Since the optimizer is untouched, schedulers, parameter groups,
clipping, gradient accumulation, mixed precision and checkpoints work as with any other training loop.
Like an optimizer, an objective looks at the model's parameters once, when it is made: replace a layer,
and make a new objective. Freezing and unfreezing is noticed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu.objectives import parallel
from sam_edu.objectives.closures import Closure, Scale, scaled
from sam_edu.objectives.passes import FirstPass, WeightsStay, descend, forward, gradient
from sam_edu.objectives.perturb import Size, Tensors, dense, shifted
from sam_edu.objectives.state import State


class ERM:
    """Empirical risk minimisation: the gradient of the loss itself, one forward and backward pass.

    Parameters
    ----------
    model : torch.nn.Module
        The model whose loss the closure computes.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(2, 1)
    >>> loss = ERM(model).backward(lambda: model(torch.ones(3, 2)).square().mean())
    >>> model.weight.grad is not None
    True
    """

    def __new__(cls, model: Any = None, *_: Any, **__: Any) -> ERM:
        if model is not None and not isinstance(model, nn.Module):  # said before Python finds odd arguments
            raise TypeError(
                f"{cls.__name__} takes the model, a torch.nn.Module, got {type(model).__name__}; "
                "the optimizer stays your own (SAMOptimizer takes parameters)"
            )
        return super().__new__(cls)

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._params: list[Tensor] = list(model.parameters())

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
        loss = forward(closure, self._params)
        descend(loss if scale is None else scaled(loss, scale))
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        """What must be saved beside model and optimizer to go on as if nothing had happened."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state_dict`` was taken.

        Raises
        ------
        ValueError
            If the state is another method's.
        """
        if set(state) != set(self.state_dict()):
            known, got = sorted(self.state_dict()), sorted(state)
            raise ValueError(f"the state of {type(self).__name__} has the entries {known}, got {got}")


class WeightPerturbation(ERM):
    """Base of the methods that take the gradient at perturbed weights, min_w L(w + e(w)).

    A member of the family differs in one function, ``climb``. Two passes: the first finds the gradient g
    at w, the second the gradient at w + e, which is what the optimizer gets; e counts as a constant (no
    second derivatives). Both passes are of the same function: they see the same random numbers (torch's,
    Python's, NumPy's: dropout masks, mixing weights) and the same state of the model; afterwards its state
    (running averages, queues, counters, slow copies of weights) is that of one pass, at w. This holds for the
    modules that the closure reaches by its variables, for a batch that a pass changes in place, binds anew or
    takes out of its dictionary, and for variables that the closure itself binds (``nonlocal``, ``global``).
    What closure, hooks and plain functions note elsewhere (lists that grow) counts every pass. Where g
    is 0 or not finite, e is 0: the step is a plain one, and a GradScaler sees the infinity. Should the
    closure raise, the weights are where they were. It must not go ``backward`` itself: what that adds to
    ``p.grad`` is refused. Parameters outside of the model (of a loss, say) get their gradient at w + e but
    are not moved: put them into one module with the model if they are to be.

    The loss is to be minimised: for a reward, return minus the reward and leave the optimizer's
    ``maximize`` alone, or the climb would go to *better* values.

    Parameters
    ----------
    model : torch.nn.Module
        May be wrapped in DistributedDataParallel, also within ``Join`` (with sync=False). Not for sharded
        parameters (``fully_shard``, FSDP): there :class:`~sam_edu.objectives.SAMOptimizer` works.
    sync : bool
        With several processes: whether e follows the gradient averaged over all of them (True) or every
        process climbs on its own share of the batch (False: m-sharpness, as in the SAM paper, with m the
        batch of one process). The gradient that the optimizer gets is averaged in any case. Needs
        ``torch.distributed``; without it there is nothing to average.
    """

    def __init__(self, model: nn.Module, sync: bool = False) -> None:
        super().__init__(model)
        self.sync = sync
        parallel.check(model)
        self._state = State(model)

    def climb(self, w: Tensors, g: Tensors) -> tuple[Tensors, Size]:
        """Map weights and gradients (lists over tensors) to v and size: e = size * v."""
        raise NotImplementedError

    def direction(self, w: Tensors, g: Tensors) -> list[Tensor]:
        """The weight perturbation e itself, for a given gradient g at the weights w."""
        v, size = self.climb(w, g)
        return [part * size for part in v]

    def backward(self, closure: Closure, scale: Scale | None = None) -> Tensor:
        first = FirstPass(self._state, self._params, closure)
        loss, used, g = self._gradient(closure, scale)
        up = self._climbed(used, g, first)
        try:
            first.again()
            del g, first  # and with them the memory, before the second pass
            self._descend(closure, scale)
        finally:
            up.back()
        return loss

    def _gradient(
        self,
        closure: Closure,
        scale: Scale | None,
        among: Iterable[Tensor] | None = None,
    ) -> tuple[Tensor, list[Tensor], Tensors]:
        """The loss at w, the parameters that it depends on, and its gradient, unscaled."""
        used = [p for p in (self._params if among is None else among) if p.requires_grad]
        if not used:
            raise ValueError("the model has no trainable parameter: nothing to perturb")
        if self.sync:
            parallel.everybody_here(self.model)
        # autograd.grad, not backward(): p.grad may hold gradients of earlier batches
        # (accumulation), and they must not leak into the ascent direction.
        with parallel.unaveraged(self.model):
            loss = forward(closure, self._params)
            found = gradient(loss if scale is None else scaled(loss, scale), used)
        if self.sync and parallel.active():
            found = parallel.averaged(found, used, self.model)
        g: Tensors = [part for part in found if part is not None]
        if len(g) < len(used):
            used = [p for p, part in zip(used, found, strict=True) if part is not None]
        if not used and among is None:
            raise ValueError("the closure's loss does not depend on any parameter of the model")
        if any([part.is_sparse for part in g]):
            g = dense(g)
        if scale is not None and used:
            g = torch._foreach_div(g, scale(torch.ones_like(loss)))
        return loss.detach(), used, g

    def _climbed(self, used: list[Tensor], g: Tensors, first: FirstPass) -> shifted:
        """The weights move to w + e, until ``back()`` or the end of a ``with`` block."""
        with torch.set_grad_enabled(False):  # no_grad, at half its cost
            return shifted(used, *self.climb(used, g), first.end(used))

    def _descend(self, closure: Closure, scale: Scale | None) -> Tensor:
        """The gradient at the weights as they are now is added to ``p.grad``; returns the loss there."""
        loss = forward(closure, self._params)
        weights = WeightsStay(self._params)
        descend(loss if scale is None else scaled(loss, scale))
        weights.check()
        return loss.detach()


@contextmanager
def fresh_gradients(params: Sequence[Tensor]) -> Iterator[None]:
    """Inside, p.grad starts empty; what it held before is added afterwards (put back on an error)."""
    held = [None if p.grad is None else p.grad.clone() for p in params]  # DDP may reuse the memory
    for p in params:
        p.grad = None
    try:
        yield
    except BaseException:
        for p, old in zip(params, held, strict=True):
            p.grad = old
        raise
    with torch.no_grad():
        for p, old in zip(params, held, strict=True):
            if old is not None:
                p.grad = old if p.grad is None else p.grad.add_(old)
